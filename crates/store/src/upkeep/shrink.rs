//! Reaching limits that are exceeded: `max_size` was lowered, others fill the disk, or `min_free` was raised. In steps of a bounded number of
//! objects and a bounded time, with a rest behind each that [`Pace`] decides, so that requests go on: no lock is held from one step to the next.

use std::{
    sync::{Arc, Weak, atomic::Ordering},
    time::{Duration, Instant},
};

use crate::{
    history::event::{Need, Purpose},
    shared::Shared,
    space::{ledger::Excess, pressure::Pace},
};

/// Objects evicted per step.
const STEP_OBJECTS: usize = 64;

/// How a step ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// The limits hold, or will when readers let go of what has gone.
    Reached,
    /// There is more to do.
    More,
    /// Nothing is left that may go.
    Stuck,
}

impl Shared {
    /// Reaches limits that are exceeded, in steps, in the background.
    pub(crate) fn shrink(self: &Arc<Self>) {
        let excess = self.space.excess();
        if excess.bytes() == 0 {
            self.is_stuck.store(false, Ordering::Relaxed);
        }
        if excess.bytes() <= self.space.sums().unlinked || !self.is_settled() {
            return;
        }
        if !self.shrinking.swap(true, Ordering::AcqRel) {
            self.io.spawn(steps(Arc::downgrade(self)));
        }
    }

    /// One step; how it ended, and how long to rest behind it. Blocks.
    fn step(&self) -> (Step, Duration) {
        let _one_at_a_time = self.evicting.lock();
        let (begun, census) = (Instant::now(), self.census());
        let pace = Pace::of(self.space.excess());
        for _ in 0..STEP_OBJECTS {
            // What is unlinked and still read comes free by itself; evicting more in its stead would be too much.
            let (excess, coming) = (self.space.excess(), self.space.sums().unlinked);
            if excess.bytes() <= coming {
                return (Step::Reached, Duration::ZERO);
            }
            let need = need_of(excess, coming);
            if self.evict_one(&census, &need, true).is_none() {
                self.tell_stuck(&need);
                return (Step::Stuck, Duration::ZERO);
            }
            if begun.elapsed() >= pace.work {
                break;
            }
        }
        (Step::More, pace.rest(begun.elapsed()))
    }

    /// Once, until the limits hold again.
    fn tell_stuck(&self, need: &Need) {
        if self.is_stuck.swap(true, Ordering::Relaxed) {
            return;
        }
        let (limit, missing, pinned) = (limit_of(need.purpose), need.bytes, self.pins.sums.bytes());
        tracing::warn!(
            limit,
            missing,
            pinned,
            "a limit of the cache is not kept, and nothing is left that may go: nothing new is kept until there is room; pin less, change the limit, or make room on the disk"
        );
    }
}

/// Ends when a step says so; who finds limits exceeded later begins anew.
async fn steps(store: Weak<Shared>) {
    loop {
        let Some(shared) = store.upgrade().filter(|store| !store.is_closed()) else { return };
        let stepping = shared.clone();
        let stepped = shared.io.blocking(move || stepping.step()).await;
        let Some((Step::More, rest)) = stepped else {
            shared.shrinking.store(false, Ordering::Release);
            return;
        };
        drop(shared);
        tokio::time::sleep(rest).await;
    }
}

fn need_of(excess: Excess, coming: u64) -> Need {
    let purpose = if excess.under >= excess.over { Purpose::MinFree } else { Purpose::MaxSize };
    Need::own(purpose, excess.bytes() - coming)
}

fn limit_of(purpose: Purpose) -> &'static str {
    if purpose == Purpose::MinFree { "cache.min_free" } else { "cache.max_size" }
}

#[cfg(test)]
mod tests {
    use crate::{FillSpec, Limit, Options, Store};

    use super::*;

    async fn filled(dir: &std::path::Path, objects: u64) -> Store {
        let (max_size, min_free) = (Limit::Bytes(64 << 20), Limit::Bytes(0));
        // Nothing but what is tested here makes room.
        let options = Options { max_size, min_free, history_max: 0, ..Options::new(dir.join("cache")) };
        let store = Store::open(options).expect("it opens");
        for number in 0..objects {
            let mut fill = store.fill(FillSpec::default()).await.expect("it begins");
            fill.push(number.to_le_bytes().to_vec().into()).await.expect("it takes the bytes");
            fill.verify(true).await.expect("it is right").commit().await.expect("it is durable");
        }
        store
    }

    #[tokio::test]
    async fn a_step_is_bounded_and_steps_reach_the_limit() {
        let dir = tempfile::tempdir().expect("a directory");
        let store = filled(dir.path(), 300).await;
        store.shared.until_settled().await;
        // As if nobody had looked yet.
        store.shared.shrinking.store(true, Ordering::Release);
        store.set_limits(Limit::Bytes(3 << 19), Limit::Bytes(0)).expect("limits that make sense");
        let (mut steps, mut before) = (0, store.report().evictions);
        loop {
            let (step, rest) = store.shared.step();
            let after = store.report().evictions;
            assert!(after - before <= STEP_OBJECTS as u64, "{} objects in one step", after - before);
            (steps, before) = (steps + 1, after);
            if step != Step::More {
                assert_eq!(step, Step::Reached, "{:?}", store.report());
                break;
            }
            assert!(rest > Duration::ZERO, "a step without rest");
        }
        assert!(steps >= 3 && store.report().used <= 3 << 19, "{steps} steps: {:?}", store.report());
        store.close().await;
    }
}
