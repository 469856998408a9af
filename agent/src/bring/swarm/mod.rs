//! Brings a content in pieces: acts on what [`decide::swarm`](crate::decide::swarm) says, and knows nothing better.
//!
//! In reading order: [`arrivals`] is what is on its way here, as neighbours may have it; [`asker`] asks others: [`listing`] for the digests of the pieces, [`question`] what
//! they have, [`piece`] for one of them; [`reread`] compares what is here already; [`party`] is all that is known of one content, [`beside`] what goes on beside a plain
//! download of it, [`session`] does what is to be done next.

pub(crate) mod arrivals;
pub(crate) mod asker;
mod beside;
mod listing;
pub(crate) mod party;
mod piece;
mod question;
mod reread;
mod session;
