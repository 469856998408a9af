//! What is done with the objects of the index, by whoever needs it: [`claim`] takes the slot of a digest and gives it free, [`open`] opens
//! files, [`remove`] takes objects out, [`room`] makes room, [`victim`] says who has to go for it and [`merit`] why, [`pin`] marks those that never have, [`page`] lists, [`watch`] remembers what came and went, [`standing`] tells of one, [`hash`] reads again what is on disk.

pub(crate) mod claim;
mod hash;
mod merit;
mod open;
pub(crate) mod page;
mod pin;
pub(crate) mod remove;
pub(crate) mod room;
mod standing;
mod victim;
pub(crate) mod watch;
