//! Digest to bytes. The store keeps objects by the MD5 of their content, one file each, within its limits of space, and
//! gives out readers of them, also while they are still arriving. It also keeps the small journaled table of names.
//!
//! It has never heard of HTTP, of upstreams or of requests.
#![forbid(unsafe_code)]

mod active;
mod background;
mod begin;
mod body;
mod claim;
mod commit;
mod compact;
mod counters;
mod crc;
mod dirs;
pub mod disk;
mod end;
pub mod evict;
pub mod fill;
mod fill_error;
mod fill_spec;
mod fill_state;
mod growing;
mod hash;
mod hot;
#[cfg(test)]
mod index_size;
mod io;
mod journal;
mod lane;
mod layout;
mod marker;
pub mod names;
mod open;
mod open_files;
mod open_object;
pub mod options;
mod page;
mod part_state;
mod parts;
mod pipe;
mod push;
mod quarantine;
pub mod reader;
mod record;
mod recover;
mod remove;
pub mod report;
mod room;
mod row;
mod rows;
mod scrub;
mod sealed;
mod search;
mod shared;
mod sip;
mod slots;
mod snapshot;
mod space;
mod store;
mod strays;
mod suspend;
mod table;
mod wait;

pub use disk::Disk;
pub use fill::{Fill, Vacancy, Verified};
pub use fill_error::FillError;
pub use fill_spec::{FillSpec, Resumable};
pub use growing::ReadError;
pub use names::{Name, Names};
pub use options::{Limit, OpenError, Options};
pub use reader::Reader;
pub use report::{ObjectInfo, Page, Report, ScrubReport};
pub use store::{Lookup, Store};
