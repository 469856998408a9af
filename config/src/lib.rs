//! What an operator writes, typed: a TOML file, then the environment, then flags; the later wins.
//!
//! In reading order: `table` is the one place where an option is defined, `option` what a definition consists of, [`value`],
//! `rate_rules`, `proxies` and `raw` the text forms, `settings` what comes out, `admin` where the admin interface is, `belonging` to which
//! origin a proxy belongs, `delivered` what that one delivers, `layers` how any program's are put together,
//! [`mod@load`] those of a proxy, `check` what makes no sense together, `fault` how that is said, [`flags`] the command line, [`mod@reference`] and
//! [`mod@print`] the texts made from the table. [`mod@origin`] is the same for an origin, [`agent`] for an agent.
//!
//! It reads one file and nothing else: no environment, no clock, no disk sizes. Programs hand those in.
#![forbid(unsafe_code)]

mod admin;
pub mod agent;
mod belonging;
mod check;
mod delivered;
mod fault;
pub mod flags;
mod inherit;
mod layers;
pub mod load;
mod option;
pub mod origin;
pub mod print;
mod proxies;
mod rate_rules;
mod raw;
pub mod reference;
mod settings;
mod table;
mod times;
pub mod value;

pub use admin::AdminAddress;
pub use belonging::{Belonging, BelongsTo};
pub use delivered::{Delivered, LeftOut};
pub use fault::{ConfigFile, Fault, Refused};
pub use layers::{Origin, Said, Sources};
pub use load::{Loaded, load};
pub use settings::Settings;
