//! Brings one content: acts on what [`decide::chain`](crate::decide::chain) says, and knows nothing better.
//!
//! In reading order: [`wanted`] is what somebody asked for, [`task`] brings it, [`finder`] asks who has it, and [`near`] neighbours, [`attempt`] asks one source for the bytes,
//! [`queue`] follows a server's fill, [`sink`] takes the bytes: [`part`] a file beside the one that is wanted, which is written by its [`lane`], or [`object`] one of the service's cache.
//! [`swarm`] brings a content in pieces from many.
//! [`told`] is what others are shown meanwhile, [`blame`] who sent wrong bytes, [`trouble`] why
//! bytes cannot be taken.

pub(crate) mod attempt;
pub(crate) mod blame;
pub(crate) mod finder;
pub(crate) mod lane;
pub(crate) mod near;
pub(crate) mod object;
pub(crate) mod part;
pub(crate) mod queue;
pub(crate) mod sink;
pub(crate) mod swarm;
pub(crate) mod task;
pub(crate) mod told;
pub(crate) mod trouble;
pub(crate) mod wanted;
