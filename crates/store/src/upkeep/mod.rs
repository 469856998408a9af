//! What goes on beside all that is asked for: [`background`] is the round, in which [`compact`] writes the tables afresh; [`search`] finds
//! files that the index does not know, [`scrub`] reads everything again, and [`close`] is the orderly end.

pub(crate) mod background;
mod close;
mod compact;
mod scrub;
mod search;
