//! What is done with the objects of the index, by whoever needs it: [`claim`] takes the slot of a digest and gives it free, [`open`] opens
//! files, [`remove`] takes objects out, [`room`] decides who has to go, [`page`] lists, [`hash`] reads again what is on disk.

pub(crate) mod claim;
mod hash;
mod open;
pub(crate) mod page;
mod remove;
mod room;
