//! The agent of a machine: finds a file by its digest at the nearest place that has it, loads nobody more than it may, and keeps trying in a way
//! that never adds to a storm.
//!
//! In reading order: [`decide`] is all that is decided, without sockets and without a clock.
#![forbid(unsafe_code)]

pub mod decide;
