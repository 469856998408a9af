//! Digest to bytes. The store keeps objects by the MD5 of their content, one file each, within its limits of space, and
//! gives out readers of them, also while they are still arriving. It also keeps the small journaled table of names.
//!
//! It has never heard of HTTP, of upstreams or of requests.
#![forbid(unsafe_code)]

mod active;
mod background;
mod begin;
mod body;
mod commit;
mod compact;
mod counters;
mod crc;
mod dirs;
pub mod disk;
pub mod evict;
pub mod fill;
mod growing;
mod hot;
#[cfg(test)]
mod index_size;
mod io;
mod journal;
mod lane;
mod layout;
pub mod names;
mod open;
mod open_files;
pub mod options;
mod part_state;
mod parts;
mod pipe;
mod quarantine;
pub mod reader;
mod record;
mod recover;
pub mod report;
mod room;
mod rows;
mod scrub;
mod search;
mod sip;
mod slots;
mod snapshot;
mod space;
mod store;
mod table;
mod wait;

pub use disk::Disk;
pub use fill::{Fill, FillError, FillSpec, Resumable, Vacancy, Verified};
pub use names::{Name, Names};
pub use options::{Limit, OpenError, Options};
pub use reader::{ReadError, Reader};
pub use report::{ObjectInfo, Page, Report, ScrubReport};
pub use store::{Lookup, Store};
