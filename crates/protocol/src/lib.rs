//! What the three programs agree on, as pure types: no I/O, no clock, no configuration.
//!
//! In reading order: [`digest`] names content, [`target`] names what is asked for, [`glob`] many of them at once, [`span`] and [`range`] cut it,
//! [`condition`] decides whether to send it, [`etag`], [`content_type`] and [`cache_status`] describe it, [`problem`] says why not,
//! [`listing`], [`info`] and [`progress`] are the bodies that programs exchange, [`webdav`] the view of a share that other people's clients mount,
//! [`timestamp`] how times are written, [`schedule`] when something may happen, [`rate`] how fast.
#![forbid(unsafe_code)]

pub mod cache_status;
pub mod condition;
pub mod content_type;
pub mod digest;
pub mod etag;
pub mod glob;
pub mod info;
pub mod listing;
pub mod problem;
pub mod progress;
pub mod range;
pub mod rate;
pub mod schedule;
pub mod span;
pub mod target;
pub mod timestamp;
pub mod webdav;
