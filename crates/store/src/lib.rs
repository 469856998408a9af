//! Digest to bytes. The store keeps objects by the MD5 of their content, one file each, within its limits of space, and
//! gives out readers of them, also while they are still arriving. It also keeps the small journaled table of names.
//!
//! It has never heard of HTTP, of upstreams or of requests.
#![forbid(unsafe_code)]

pub mod fill;
pub mod names;
pub mod options;
pub mod reader;
pub mod report;
mod store;

pub use fill::{Fill, FillError, FillSpec, Resumable, Vacancy, Verified};
pub use names::{Name, Names};
pub use options::{Limit, OpenError, Options};
pub use reader::{ReadError, Reader};
pub use report::{ObjectInfo, Page, Report, ScrubReport};
pub use store::{Lookup, Store};
