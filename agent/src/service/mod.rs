//! The service of a machine: its own cache, brought to by everybody's `get`, shared with neighbours, and told of to the origin.
//!
//! In reading order: [`life`] starts and ends it, [`downloads`] is what is being brought, [`names`] what contents are called. [`local`] answers programs of
//! this machine, with [`events`] on a download; [`peers`] answers neighbours, those in one's own [`subnets`]; [`content`] is how bytes are answered with.

pub(crate) mod content;
pub(crate) mod downloads;
pub(crate) mod events;
pub(crate) mod life;
pub(crate) mod local;
pub(crate) mod names;
pub(crate) mod peers;
mod subnets;
