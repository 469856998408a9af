//! Once for all who ask: [`flights`] coalesces, [`join`] takes part in a flight, [`fly`] is the task behind one and [`fill`] its way into the
//! store, [`task`] what the two share. [`landing`] is what a flight comes to, [`contents`] makes one of what is here already. [`retry`] and [`slots`]
//! say when to try again and how many at once.

pub(crate) mod contents;
pub(crate) mod fill;
pub(crate) mod flights;
pub(crate) mod fly;
pub(crate) mod join;
pub(crate) mod landing;
pub(crate) mod retry;
pub(crate) mod slots;
pub(crate) mod task;
