//! What is written for an origin: its own options, the shares that it publishes, and the site: who stands where, and what is delivered to whom.
//!
//! In reading order: `settings` is what comes out, `table` and `blocks` define each option once, [`delivered`] is what proxies and agents are given, [`load`]
//! puts the layers together, `check` says what makes no sense together, `jobs` of jobs, [`flags`] and [`mod@reference`] are made from the tables.

mod blocks;
mod check;
pub mod delivered;
pub mod flags;
mod jobs;
mod load;
pub mod reference;
mod settings;
mod table;
#[cfg(test)]
mod tests;

pub use load::{Loaded, load, needs_restart, only};
pub use settings::{
    Blackout, Delivered, DomainOptions, EnrolmentOptions, JobOptions, NodeOptions, RegistryOptions, Settings,
    ShareOptions, SourceOptions, USUAL_PACKAGES,
};
