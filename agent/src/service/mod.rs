//! The service of a machine: its own cache, brought to by everybody's `get`, shared with neighbours, and told of to the origin.
//!
//! In reading order: [`life`] starts and ends it, [`member`] belongs to an origin, with what is [`kept`] of it and its own [`cards`]; [`telling`] says what
//! is here, and how others [`reach`] it. [`ways`] is whom to ask, [`downloads`] is what is being brought, [`names`] what contents are called. [`local`]
//! answers programs of this machine, with [`events`] on a download; [`peers`] answers neighbours, those in one's own [`subnets`]; [`content`] is how bytes
//! are answered with.

mod cards;
pub(crate) mod content;
pub(crate) mod downloads;
pub(crate) mod events;
mod kept;
pub(crate) mod life;
pub(crate) mod local;
mod member;
pub(crate) mod names;
pub(crate) mod peers;
mod reach;
mod subnets;
mod telling;
mod ways;
