//! Packages that the origin assigns to this machine: brought, kept in a directory, and followed by a command. What is decided of them is `decide::jobs`.
//!
//! In reading order: [`keeper`] looks after all of them, [`run`] after one of them once: it asks what the package is ([`listing`]), brings what is missing ([`mod@file`] by file, by [`bringing`] it to the cache),
//! puts it into its [`place`] and runs its [`command`], whose [`output`] is kept. [`places`] is what lies where, [`record`] what is remembered over ends of the
//! program, [`board`] what others are shown, [`disk`] what holds a place while it works, [`stray`] ends what a killed agent has left running.

pub(crate) mod board;
pub(crate) mod bringing;
mod command;
mod disk;
mod file;
pub(crate) mod keeper;
pub(crate) mod listing;
mod output;
mod place;
mod places;
mod record;
mod run;
mod stray;
