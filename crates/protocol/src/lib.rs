//! What the three programs agree on, as pure types: no I/O, no clock, no configuration.
//!
//! In reading order: [`digest`] names content, [`target`] names what is asked for, [`glob`] many of them at once, [`span`] and [`range`] cut it,
//! [`condition`] decides whether to send it, [`etag`], [`content_type`] and [`cache_status`] describe it, [`problem`] says why not,
//! [`listing`], [`info`] and [`progress`] are the bodies that programs exchange, [`webdav`] the view of a share that other people's clients mount,
//! [`pieces`] a content in parts that can be believed one by one, [`plain`] how people are shown what others say, [`timestamp`] how times are written, [`schedule`] when something may happen, [`rate`] how fast.
//!
//! What the origin and those who depend on it say to each other: [`topology`] is who stands where ([`machines`] are told by their cards), [`catalog`]
//! what there is, [`changes`] what has just changed ([`event_stream`] is how that is written, [`listening`] how it is heard), [`sources`] where to get it, [`report`] who has it,
//! [`enrolment`] who belongs to it, [`jobs`] what agents keep for it, [`patience`] how long one waits and whom one asks next, [`membership`] what one decides about belonging.
#![forbid(unsafe_code)]

pub mod cache_status;
pub mod catalog;
pub mod changes;
pub mod condition;
pub mod content_type;
pub mod digest;
pub mod enrolment;
pub mod etag;
pub mod event_stream;
pub mod glob;
pub mod info;
pub mod jobs;
pub mod listening;
pub mod listing;
pub mod machines;
pub mod membership;
pub mod patience;
pub mod pieces;
pub mod plain;
pub mod problem;
pub mod progress;
pub mod range;
pub mod rate;
pub mod report;
pub mod schedule;
pub mod sources;
pub mod span;
pub mod target;
pub mod timestamp;
pub mod topology;
pub mod webdav;
