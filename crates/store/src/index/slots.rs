//! The slots of the index: what is decided under a shard's lock besides the rows themselves.
//!
//! | state of a digest | row | filling | leaving | a lookup answers |
//! | --- | --- | --- | --- | --- |
//! | vacant | - | - | - | `Miss`, and it is filling |
//! | filling | - | running | - | `Filling` |
//! | verified, not durable yet | - | verified | - | `Filling`, complete |
//! | sealed | yes | - | - | `Hit` |
//! | being unlinked | - | - | yes | as vacant; a commit waits |
//!
//! A verified fill takes the slot from a running one; the one that comes second finds the object sealed.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use protocol::digest::Md5;

use crate::read::{growing::Growing, open_files::OpenFiles};

/// Beside the rows of a shard.
#[derive(Default)]
pub(crate) struct Slots {
    pub(crate) filling: HashMap<Md5, Slot>,
    pub(crate) leaving: HashSet<Md5>,
    pub(crate) open: OpenFiles,
    /// Objects whose uses changed since they were last written.
    pub(crate) touched: Vec<Md5>,
    /// Lookups that the clock has not been told of.
    pub(crate) lookups: u64,
}

/// Who fills a digest.
pub(crate) struct Slot {
    pub(crate) growing: Arc<Growing>,
    pub(crate) verified: bool,
}
