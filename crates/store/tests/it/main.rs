//! The store as its users see it: one test binary, a file per promise.
#![allow(missing_docs)]

mod fills;
mod helpers;
mod names;
mod reopen;
