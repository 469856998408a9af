//! What proxies and agents decide about belonging to an origin. Pure: what is sent and kept is for the programs.
//!
//! [`Meaning`] is what an answer of the origin says, [`Standing`] as whom one asks next, [`Rhythm`] when, [`Numbering`] which report is sent, [`Ledger`]
//! which orders there are and what is still to be told of them.

mod answer;
mod ledger;
mod numbering;
mod rhythm;
mod standing;

pub use answer::Meaning;
pub use ledger::{ENDED_MAX, Given, Ledger, OPEN_MAX};
pub use numbering::Numbering;
pub use rhythm::Rhythm;
pub use standing::{As, Standing};
