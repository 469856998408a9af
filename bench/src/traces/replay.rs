//! Replays a trace against a policy at a size, and counts hits.

use super::{
    policies::{
        Policy,
        belady::{Belady, BeladySize},
        greedy::Greedy,
        queued::{Queue, Sieve},
        s3fifo::S3Fifo,
        tinylfu::TinyLfu,
    },
    trace::Trace,
};

/// Which policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Kind {
    /// The store's.
    Outpost,
    /// First in, first out.
    Fifo,
    /// Least recently used.
    Lru,
    /// Least frequently used, with ageing (LFU-DA).
    Lfu,
    /// Greedy-Dual-Size-Frequency.
    Gdsf,
    /// W-TinyLFU with a window of one percent.
    #[value(name = "w-tinylfu")]
    TinyLfu,
    /// W-TinyLFU whose window adapts.
    #[value(name = "w-tinylfu-adaptive")]
    TinyLfuClimbing,
    /// S3-FIFO.
    #[value(name = "s3-fifo")]
    S3Fifo,
    /// SIEVE.
    Sieve,
    /// The offline bound on bytes.
    Belady,
    /// The offline bound on objects.
    BeladySize,
}

impl Kind {
    /// In the order of the table.
    pub(crate) const ALL: [Self; 11] = [
        Self::Outpost,
        Self::Fifo,
        Self::Lru,
        Self::Lfu,
        Self::Gdsf,
        Self::TinyLfu,
        Self::TinyLfuClimbing,
        Self::S3Fifo,
        Self::Sieve,
        Self::Belady,
        Self::BeladySize,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Outpost => "Outpost",
            Self::Fifo => "FIFO",
            Self::Lru => "LRU",
            Self::Lfu => "LFU, ageing",
            Self::Gdsf => "GDSF",
            Self::TinyLfu => "W-TinyLFU",
            Self::TinyLfuClimbing => "W-TinyLFU, adaptive",
            Self::S3Fifo => "S3-FIFO",
            Self::Sieve => "SIEVE",
            Self::Belady => "Belady (bytes)",
            Self::BeladySize => "Belady-Size (objects)",
        }
    }

    /// As on the command line.
    pub(crate) fn id(self) -> &'static str {
        match self {
            Self::Outpost => "outpost",
            Self::Fifo => "fifo",
            Self::Lru => "lru",
            Self::Lfu => "lfu",
            Self::Gdsf => "gdsf",
            Self::TinyLfu => "w-tinylfu",
            Self::TinyLfuClimbing => "w-tinylfu-adaptive",
            Self::S3Fifo => "s3-fifo",
            Self::Sieve => "sieve",
            Self::Belady => "belady",
            Self::BeladySize => "belady-size",
        }
    }

    /// Whether it does without knowing the future.
    pub(crate) fn is_online(self) -> bool {
        !matches!(self, Self::Belady | Self::BeladySize)
    }
}

/// What came out of one replay.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) asks: u64,
    pub(crate) asked_bytes: u64,
    pub(crate) hits: u64,
    pub(crate) hit_bytes: u64,
}

impl Counts {
    /// Percent of the bytes.
    pub(crate) fn byte_hits(&self) -> f64 {
        100.0 * self.hit_bytes as f64 / self.asked_bytes.max(1) as f64
    }

    /// Percent of the requests.
    pub(crate) fn object_hits(&self) -> f64 {
        100.0 * self.hits as f64 / self.asks.max(1) as f64
    }
}

/// Replays all of a trace with room for so many bytes.
pub(crate) fn replay(trace: &Trace, kind: Kind, room: u64, seed: u64) -> Counts {
    let objects = trace.sizes.len();
    match kind {
        Kind::Outpost => run(trace, room, store::policy::Replay::new(room, seed)),
        Kind::Fifo => run(trace, room, Queue::fifo(room, objects)),
        Kind::Lru => run(trace, room, Queue::lru(room, objects)),
        Kind::Lfu => run(trace, room, Greedy::lfu(room, objects)),
        Kind::Gdsf => run(trace, room, Greedy::gdsf(room, objects)),
        Kind::TinyLfu => run(trace, room, TinyLfu::new(room, objects, in_room(trace, room), false)),
        Kind::TinyLfuClimbing => run(trace, room, TinyLfu::new(room, objects, in_room(trace, room), true)),
        Kind::S3Fifo => run(trace, room, S3Fifo::new(room, objects)),
        Kind::Sieve => run(trace, room, Sieve::new(room, objects)),
        Kind::Belady => run(trace, room, Belady::new(room, objects, fitting_next_asks(trace, room))),
        Kind::BeladySize => run(trace, room, BeladySize::new(room, objects, fitting_next_asks(trace, room))),
    }
}

fn run(trace: &Trace, room: u64, mut policy: impl Policy) -> Counts {
    let mut counts = Counts::default();
    for id in &trace.requests {
        let size = trace.sizes[*id as usize];
        counts.asks += 1;
        counts.asked_bytes += size;
        // What does not fit at all passes, and no policy has a say in it.
        if size <= room && policy.ask(*id, size) {
            counts.hits += 1;
            counts.hit_bytes += size;
        }
    }
    counts
}

/// About how many objects the room holds.
fn in_room(trace: &Trace, room: u64) -> u64 {
    let mean = trace.unique_bytes() / trace.sizes.len().max(1) as u64;
    (room / mean.max(1)).max(1)
}

/// When each request's object is asked for next, for those requests that a policy sees.
fn fitting_next_asks(trace: &Trace, room: u64) -> Vec<usize> {
    let fits = |id: &u32| trace.sizes[*id as usize] <= room;
    let requests = trace.requests.iter().copied().filter(fits).collect();
    Trace { requests, sizes: trace.sizes.clone() }.next_asks()
}

#[cfg(test)]
mod tests {
    use clap::ValueEnum;

    use super::*;
    use crate::traces::synthetic::Synthetic;

    const SEED: u64 = 7;

    #[test]
    fn programs_read_the_names_that_the_command_line_takes() {
        for kind in Kind::ALL {
            assert_eq!(kind.to_possible_value().map(|value| value.get_name().to_owned()), Some(kind.id().to_owned()));
        }
        assert_eq!(Kind::value_variants(), Kind::ALL);
    }

    #[test]
    fn no_online_policy_beats_the_bound_where_all_sizes_are_equal() {
        let mut trace = Synthetic::Zipf09.trace(20_000, 1);
        trace.sizes.iter_mut().for_each(|size| *size = 1);
        for room in [10, 100, 1000] {
            let bound = replay(&trace, Kind::Belady, room, SEED).hits;
            for kind in Kind::ALL {
                let hits = replay(&trace, kind, room, SEED).hits;
                assert!(hits <= bound, "{} has {hits} hits of {bound} at {room}", kind.name());
                assert!(hits > bound / 4, "{} has only {hits} hits of {bound} at {room}", kind.name());
            }
        }
    }

    #[test]
    fn all_policies_keep_within_the_room_and_pass_what_is_larger() {
        let mut trace = Synthetic::Heavy.trace(5_000, 1);
        trace.sizes[0] = 1 << 50;
        for kind in Kind::ALL {
            let counts = replay(&trace, kind, trace.sizes.iter().min().copied().unwrap_or(1), SEED);
            assert_eq!(counts.asks, 5_000, "{}", kind.name());
            assert!(counts.hits < 5_000);
        }
    }

    #[test]
    fn with_room_for_all_everybody_has_the_same_hits() {
        let trace = Synthetic::Shift.trace(5_000, 1);
        for kind in Kind::ALL.into_iter().filter(|kind| *kind != Kind::TinyLfu && *kind != Kind::TinyLfuClimbing) {
            let counts = replay(&trace, kind, 2 * trace.unique_bytes(), SEED);
            assert_eq!(counts.asks - counts.hits, trace.sizes.len() as u64, "{}", kind.name());
        }
    }
}
