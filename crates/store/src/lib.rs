//! Digest to bytes. The store keeps objects by the MD5 of their content, one file each, within its limits of space, and
//! gives out readers of them, also while they are still arriving. It also keeps the small journaled table of names.
//!
//! It has never heard of HTTP, of upstreams or of requests.
//!
//! In reading order, which is also from above to below: `store` is the handle, with the one look that decides between hit, follow and
//! miss, and `names` the handle to the table of names; `open` puts a store together and `upkeep` goes on beside. `fill` brings objects in,
//! `adopt` takes in what this machine has already, `objects` is what is done with those that are there. All of them work on what is `shared`. It consists of what knows nothing of it:
//! `part` is a fill while it is not done, `journal` what survives a crash, `history` what people are told, `index` what is here, `read` what is read from, `space` the
//! bytes on the disk, and [`disk`] how it is reached. [`policy`] is not of the store: it replays traces against its eviction.
#![forbid(unsafe_code)]

mod adopt;
mod counters;
pub mod disk;
mod fill;
#[cfg(fuzzing)]
pub mod fuzz;
mod history;
mod index;
#[cfg(test)]
mod index_size;
mod journal;
mod names;
mod objects;
mod open;
mod options;
mod part;
pub mod policy;
mod read;
mod report;
mod shared;
mod space;
mod store;
mod upkeep;
mod wait;

pub use adopt::{AdoptError, Adopted, GoOn, Incoming, OldName, Room};
pub use disk::Disk;
pub use fill::{Demand, Fill, Vacancy, Verified};
pub use history::event::{Arrival, Asked, Entry, Event, Eviction, Merit, Need, Others, Purpose};
pub use names::Names;
pub use objects::watch::{Changed, Watch};
pub use options::{Limit, OpenError, Options};
pub use part::{
    error::FillError,
    extents::{EXTENTS_MAX, Extents},
    spec::{FillSpec, Resumable},
};
pub use read::{growing::ReadError, reader::Reader};
pub use report::{ObjectInfo, Page, Report, ScrubReport, Standing};
pub use space::pins::{Matching, Pinned, Pinning};
pub use store::{Lookup, Store};
