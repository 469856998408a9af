//! Jobs: what is to be done for a package that this machine keeps.
//!
//! [`tree`] is what a package is on a disk, [`plan`] what is done about it and what comes of that, [`due`] when.

pub mod due;
pub mod plan;
pub mod tree;
