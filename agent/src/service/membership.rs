//! How this machine stands with its origin, for whoever asks.

use parking_lot::Mutex;
use protocol::topology::DomainName;

/// How it stands; said by `member`, shown by `local`.
#[derive(Debug, Default)]
pub(crate) struct Membership(Mutex<Stands>);

/// What is shown.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Stands {
    /// The origin knows it, and takes its reports.
    pub(crate) is_member: bool,
    /// Who answered last.
    pub(crate) origin: Option<String>,
    /// Where it is in the tree.
    pub(crate) domain: Option<DomainName>,
}

impl Membership {
    pub(super) fn say(&self, change: impl FnOnce(&mut Stands)) {
        change(&mut self.0.lock());
    }

    pub(super) fn now(&self) -> Stands {
        self.0.lock().clone()
    }
}
