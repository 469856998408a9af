//! A file with objects and the names that they have, to bring them to another cache by hand. [`mod@format`] is what its bytes mean, which
//! `docs/bundle-format.md` tells too; [`read`] checks and reads one, [`mod@write`] makes one.

pub mod format;
pub mod read;
pub mod write;

pub use read::BundleError;
