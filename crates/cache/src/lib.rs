//! Read-through: a name becomes content. Decides hit, follow, fill, queue or pass, and where the bytes come from. It sends nothing
//! downstream itself and writes nothing to disk: that is `serve` and `store`. Outbound connections open only in `upstream`.
//!
//! In reading order: `resolve` is the request in one screen, and `follow`, `pass`, `methods`, `webdav` and `endpoints` are the ways that it can take; `asked` is what was asked, `forwarded` what of it goes upstream, `delivery` names of servers that are mounted nowhere,
//! `context` what every step of answering needs, [`Cache`] the whole as its program sees it. `answer` is what is said to clients, `requesters` who may have
//! bytes at once, `swarm` what is told to machines that give each other pieces. `fetch` gets them once for all who ask; `upstream` is where they come from, `line` how fast; `names` is what is known of names. `shared` is what the parts
//! share, `settings` the options in force, `pins` what of the names these pin; [`link`] is the conversation with an origin beside files, `imports` and `catalogue` are what is known of names by other ways; [`preload`] fetches before anybody asks, by a [`clock`]; [`why`] tells what became of objects; [`options`] with [`hosts`], and [`status`], are what goes in and out.
#![forbid(unsafe_code)]

pub mod clock;
pub mod hosts;
pub mod options;
pub mod status;

mod answer;
mod asked;
mod bounded;
mod cache;
mod catalogue;
mod context;
mod delivery;
mod endpoints;
mod failure;
mod fetch;
mod follow;
mod forwarded;
#[cfg(fuzzing)]
pub mod fuzz;
mod imports;
mod line;
pub mod link;
mod methods;
mod names;
mod pass;
mod pins;
pub mod preload;
pub mod requesters;
mod resolve;
mod settings;
mod shared;
pub mod swarm;
mod upstream;
mod webdav;
pub mod why;

pub use cache::Cache;
pub use catalogue::{CataloguedFile, NoUpstream};
pub use imports::{Binding, NamedContent};
