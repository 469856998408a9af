//! The tree of domains, and in which order somebody in one of them asks for a file. Pure: the origin answers by it, and agents keep a copy of what it
//! says and use that when no origin answers.
//!
//! | in turn | who, for a machine of a domain ([`Topology::order`]) |
//! | --- | --- |
//! | 1 | the proxies of its home, in their order: the nearest domain, its own or one above it, that has any |
//! | 2 | branch by branch the domains beside that one, with all below them; first the one that stands behind it, and so round |
//! | 3 | the proxies of its parent |
//! | 4 | 2 and 3 again from there, up to the root |
//! | 5 | the domains below one's own: better than nobody |
//!
//! Of large trees a few stand for many ([`PROXIES_MAX`]): of those beside, [`ACROSS_MAX`] on each level, so that whom they all depend on is never
//! crowded out. Each domain begins with another one of those beside it, lest all that lose their proxies go to the same one.
//!
//! | in turn | who, for a proxy of the tree ([`Topology::upstreams`]) |
//! | --- | --- |
//! | 1 | the proxies that stand before it in its own domain |
//! | 2 | those of its parent, then of the next above, up to the root |
//! | 3 | those beside it and beside those above it that stand before them |
//!
//! Proxies fetch on behalf of others, so that two that ask each other would wait for ever. None can: places are numbered from the root down, level by
//! level and as they were written, and a proxy is only told of such with a lower number than its own. Along every chain of fetches the numbers fall, and
//! so it ends. This holds whatever is believed of who holds what, for the numbers depend on the tree alone.
//!
//! Who is known to be away comes when all others have been asked: what is known may be old.

mod domain;
mod order;
mod prefixes;
mod tree;

pub use domain::{BadDomain, Domain, DomainName, Proxy, Tier};
pub use order::{ACROSS_MAX, Neighbour, PROXIES_MAX, Relation};
pub use tree::{Topology, TopologyError};
