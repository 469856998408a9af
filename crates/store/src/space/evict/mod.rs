//! Which object goes when room is needed: a pure policy, without I/O, without a clock of its own and without locks, that a trace can be
//! replayed against.
//!
//! An object is worth what it is likely to be asked for again, for the time that it would have to be kept until then. How likely that
//! is, the policy learns from the requests themselves: of all objects that were asked for as often, and in such intervals, and then not for so
//! long, how many came back, and when? The one that is worth least of a few drawn at random goes. `docs/eviction.md` has the reasons and
//! the figures.
//!
//! In reading order: `clock` (time is counted in lookups), `ages` (spans of it, in steps), `usage` (what is kept of an object), `class` (objects
//! that are alike), `returns` (who came back after how long), `evidence` (and who did not), `worth` (what follows from it), `ghosts` (who
//! was evicted a while ago), `evictor` (who goes).

mod ages;
mod class;
mod clock;
mod evictor;
mod evidence;
mod ghosts;
mod returns;
mod usage;
mod worth;

pub(crate) use self::{
    clock::{Clock, Now},
    evictor::{Candidate, Evictor, Pick},
    returns::{Returns, TOLD},
    usage::{Return, Usage},
    worth::Worths,
};
