//! What comes into the cache by another way than the line, and how it gets on its way to another one: the files of a share that this machine
//! has already, and bundles.
//!
//! In reading order: [`order`] is what can be asked for, [`import`] begins it. `share` takes in the files of a directory: `walk` finds them, `take` is what is done
//! with one. [`bundle`] is a file with many objects and the names that they have, as a format; `unpack` takes one in, `export` writes one.
//! `crew` are the threads that do it and give way to everybody else. [`job`] is how such a work stands, for who watches or stops it,
//! `pace` how quick it is.
//!
//! It decides nothing of objects and names: `store` takes bytes in and says under which digest, `cache` what a name stands for.
#![forbid(unsafe_code)]

pub mod bundle;
mod crew;
mod export;
#[cfg(fuzzing)]
pub mod fuzz;
mod import;
pub mod job;
pub mod order;
mod pace;
mod share;
mod take;
mod unpack;
mod walk;

pub use export::export;
pub use import::import;
