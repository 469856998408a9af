//! Once for all who ask: [`flights`] coalesces names, [`join`] takes part in a flight, [`ask`] is the task behind one and [`transfer`] its way into
//! the store, [`lines`] that way where somebody waits far ahead and [`demand`] its order, [`refused`] what follows where that is no use, [`say`] what is
//! not kept and yet told to all who wait, [`task`] what these share. [`outcome`] is what a flight comes to, [`contents`] makes
//! one of what is here already. [`retry`] and [`slots`] say when to try again and how many at once, [`urgency`] for whom,
//! [`waiters`] who that was, and [`account`] is what is written down of all this.

pub(crate) mod account;
pub(crate) mod ask;
pub(crate) mod contents;
pub(crate) mod demand;
pub(crate) mod flights;
pub(crate) mod join;
pub(crate) mod lines;
pub(crate) mod outcome;
pub(crate) mod refused;
pub(crate) mod retry;
mod say;
pub(crate) mod slots;
pub(crate) mod task;
pub(crate) mod transfer;
pub(crate) mod urgency;
pub(crate) mod waiters;
