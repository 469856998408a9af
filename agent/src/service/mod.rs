//! The service of a machine: its own cache, brought to by everybody's `get`, shared with neighbours, and told of to the origin.
//!
//! In reading order: [`life`] starts and ends it, of the [`parts`] that it consists of, as it [`begin`]s from what was delivered last; [`settled`] is the settings in force, [`renewal`] takes
//! others. [`neighbours`] are other agents nearby, and [`multicast`] finds them. [`member`] belongs to an origin, and [`membership`] is how it stands with it, with what is [`kept`] of it and its own [`cards`]; [`telling`] says what
//! is here, and how others [`reach`] it; [`hearing`] listens to the origin, [`heard`] is what follows from that, [`orders`] does what it orders. [`ways`] is whom to ask, [`downloads`] is what is being brought, [`names`] what contents are called. [`local`]
//! answers programs of this machine, with [`events`] on a download; [`peers`] answers neighbours, those in one's own [`subnets`], as [`sharing`] allows under
//! the [`conditions`] of the machine; [`content`] is how bytes are answered with, [`arriving`] what is told and given of those on
//! their way.

mod arriving;
pub(crate) mod begin;
mod cards;
mod conditions;
pub(crate) mod content;
pub(crate) mod downloads;
pub(crate) mod events;
mod heard;
mod hearing;
pub(crate) mod kept;
pub(crate) mod life;
pub(crate) mod local;
mod member;
mod membership;
mod multicast;
pub(crate) mod names;
pub(crate) mod neighbours;
mod orders;
mod parts;
pub(crate) mod peers;
mod reach;
pub(crate) mod renewal;
pub(crate) mod settled;
pub(crate) mod sharing;
mod subnets;
mod telling;
mod ways;
