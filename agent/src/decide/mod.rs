//! What an agent does next, as pure functions and tables: the moment and the seed are arguments, nothing waits, nothing is sent. The agent, the load
//! of the bench and its simulations run the same code.
//!
//! In reading order: [`chain`] is one content on its way, [`source`] who may be asked for it, [`outcome`] what came of asking, [`health`] what is
//! remembered of servers beyond one content, [`resume`] whether an answer continues what is here already, [`swarm`] a content that comes in pieces
//! from many; [`mod@line`] is how fast and when servers' bytes may come, [`sharing`] whether neighbours may be served, [`neighbours`] which are
//! known, [`jobs`] what is done for packages that this machine keeps.

pub mod chain;
pub mod health;
pub mod jobs;
pub mod line;
pub mod neighbours;
pub mod outcome;
pub mod resume;
pub mod sharing;
pub mod source;
pub mod swarm;
