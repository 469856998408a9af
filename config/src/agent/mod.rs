//! What is written for an agent: its file, its flags, its reference. In reading order: `settings` is what comes out, `table` defines each option once, with
//! `manners` for what an agent spares its line and its user, and `jobs` for packages; [`load`] puts the layers together, [`flags`] and [`mod@reference`] are made from the table.

pub mod flags;
mod jobs;
mod load;
mod manners;
pub mod reference;
mod settings;
mod table;
#[cfg(test)]
mod tests;

pub use load::{Loaded, load, needs_restart};
pub use settings::{Jobs, Line, Metered, Origins, Peers, Servers, Settings, Sharing};

pub use crate::times::Times;
