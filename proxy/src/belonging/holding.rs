//! What the origin knows of what is here.

use protocol::digest::Md5;

/// While everything is being told, and after.
#[derive(Debug, Default)]
pub(super) struct Holding {
    /// Where the next page begins, while everything is being told.
    pub(super) page: Option<Md5>,
    /// Contents that it was told of.
    pub(super) told: u64,
    /// More are here than it takes, which has been said.
    pub(super) is_cut: bool,
}
