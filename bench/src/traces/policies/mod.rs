//! The policies that a trace is replayed against: the store's own, by way of `store::policy`, and beside it the field's, each with its
//! capacity in bytes. What is larger than the cache never comes here: it passes, whatever the policy.

pub(crate) mod belady;
pub(crate) mod greedy;
pub(crate) mod ours;
pub(crate) mod queued;
mod queues;
pub(crate) mod s3fifo;
pub(crate) mod tinylfu;

/// A cache of objects without contents.
pub(crate) trait Policy {
    /// Asks for an object of `size` bytes, which is at most the room; `true` if it was here.
    fn ask(&mut self, id: u32, size: u64) -> bool;
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Which of these asks for objects of size one are hits.
    pub(crate) fn hits(policy: &mut impl Policy, asks: &[u32]) -> Vec<usize> {
        (0..asks.len()).filter(|at| policy.ask(asks[*at], 1)).collect()
    }
}
