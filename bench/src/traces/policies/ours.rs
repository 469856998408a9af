//! The store's own policy.

use super::Policy;

impl Policy for store::policy::Replay {
    fn ask(&mut self, id: u32, size: u64) -> bool {
        Self::ask(self, u64::from(id), size)
    }
}
