//! What goes on beside all that is asked for: [`background`] is the round, in which [`compact`] writes the tables afresh, [`shrink`] reaches limits that
//! are exceeded and [`trim`] shortens the history; [`pins`] goes through all names after the patterns of pins have changed; [`search`] finds
//! files that the index does not know, [`scrub`] reads everything again, and [`close`] is the orderly end.

pub(crate) mod background;
mod close;
mod compact;
mod pins;
mod scrub;
mod search;
mod shrink;
mod trim;
