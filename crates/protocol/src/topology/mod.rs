//! The tree of domains, and in which order somebody in one of them asks for a file ([`Topology::order`]). Pure: the origin answers by it, and agents
//! keep a copy and use it themselves when no origin answers.
//!
//! | in turn | who |
//! | --- | --- |
//! | 1 | the proxies of one's own domain, in their order |
//! | 2 | branch by branch the domains beside it, with all below them |
//! | 3 | the proxies of its parent |
//! | 4 | 2 and 3 again from there, up to the root |
//! | 5 | the domains below one's own: better than nobody |
//!
//! Who is known to be away is asked when all others have been: what is known may be old.

mod domain;
mod order;

pub use domain::{BadDomain, Domain, DomainName, Proxy, Tier, Topology, TopologyError};
