//! Traces that are made up: what a policy meets in a branch, and what it is tested with. Deterministic for a seed.

use std::collections::HashMap;

use super::trace::{Builder, Changed, Trace};

/// Bytes of a small file, which others are multiples of.
const SIZE: u64 = 10_000;

/// What a made-up trace is like.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Synthetic {
    /// Popularity by rank to the power of 0.6: hardly anything is popular.
    Zipf06,
    /// Of 0.9: as on the web.
    Zipf09,
    /// Of 1.2: few files are nearly all of it.
    Zipf12,
    /// Of 0.9, and every so often somebody reads a tenth of all objects in order.
    Scans,
    /// Of 0.9, and who is popular changes over time.
    Shift,
    /// The same objects in the same order again and again, with a few popular ones.
    Loop,
    /// A package comes out, everybody asks for it within an hour, then nobody; beside it daily work.
    Waves,
    /// Sizes from kilobytes to a tenth of a percent of everything, whatever the popularity.
    Heavy,
    /// Half of all requests are for what is never asked for again.
    OneTimers,
}

/// SplitMix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut hash = self.0;
        hash = (hash ^ (hash >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        hash = (hash ^ (hash >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        hash ^ (hash >> 31)
    }

    fn below(&mut self, end: u64) -> u64 {
        self.next() % end.max(1)
    }

    /// Between 0 and 1.
    fn part(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }
}

/// Ranks with Zipf's popularity.
struct Zipf(Vec<f64>);

impl Zipf {
    fn new(objects: u64, alpha: f64) -> Self {
        let mut sum = 0.0;
        Self(
            (1..=objects)
                .map(|rank| {
                    sum += (rank as f64).powf(-alpha);
                    sum
                })
                .collect(),
        )
    }

    fn rank(&self, random: &mut Random) -> u64 {
        let at = random.part() * self.0.last().copied().unwrap_or(0.0);
        self.0.partition_point(|sum| *sum <= at) as u64
    }
}

/// Writes requests down; each key has one size for ever.
struct Writer {
    random: Random,
    builder: Builder<u64>,
    sizes: HashMap<u64, u64>,
    heavy: bool,
    left: u64,
}

impl Writer {
    fn ask(&mut self, key: u64) {
        let (random, heavy) = (&mut self.random, self.heavy);
        let size = *self.sizes.entry(key).or_insert_with(|| {
            if heavy {
                (SIZE as f64 * random.part().max(1e-4).powf(-0.8)) as u64
            } else {
                SIZE + random.below(SIZE * 9)
            }
        });
        if self.left > 0 {
            self.builder.ask(key, size);
            self.left -= 1;
        }
    }
}

impl Synthetic {
    /// As on the command line.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Zipf06 => "zipf06",
            Self::Zipf09 => "zipf09",
            Self::Zipf12 => "zipf12",
            Self::Scans => "scans",
            Self::Shift => "shift",
            Self::Loop => "loop",
            Self::Waves => "waves",
            Self::Heavy => "heavy",
            Self::OneTimers => "one-timers",
        }
    }

    /// So many requests.
    pub(crate) fn trace(self, requests: u64, seed: u64) -> Trace {
        let heavy = matches!(self, Self::Heavy | Self::Waves);
        let (random, builder) = (Random(seed), Builder::new(Changed::Same));
        let mut to = Writer { random, builder, sizes: HashMap::new(), heavy, left: requests };
        let objects = requests / 6 + 1;
        match self {
            Self::Zipf06 => zipf(&mut to, objects, 0.6),
            Self::Zipf09 | Self::Heavy => zipf(&mut to, objects, 0.9),
            Self::Zipf12 => zipf(&mut to, objects, 1.2),
            Self::Scans => scans(&mut to, objects),
            Self::Shift => shift(&mut to, objects),
            Self::Loop => around(&mut to, objects),
            Self::Waves => waves(&mut to, objects),
            Self::OneTimers => one_timers(&mut to, objects),
        }
        to.builder.done()
    }
}

fn zipf(to: &mut Writer, objects: u64, alpha: f64) {
    let zipf = Zipf::new(objects, alpha);
    while to.left > 0 {
        let rank = zipf.rank(&mut to.random);
        to.ask(rank);
    }
}

fn scans(to: &mut Writer, objects: u64) {
    let zipf = Zipf::new(objects, 0.9);
    while to.left > 0 {
        for _ in 0..objects / 3 {
            let rank = zipf.rank(&mut to.random);
            to.ask(rank);
        }
        let first = to.random.below(objects);
        (first..first + objects / 10).for_each(|key| to.ask(key % objects));
    }
}

fn shift(to: &mut Writer, objects: u64) {
    let zipf = Zipf::new(objects / 2, 0.9);
    let (all, mut done) = (to.left, 0);
    while to.left > 0 {
        // The ranks slide over the objects; at the end half of them are others than at the start.
        let rank = zipf.rank(&mut to.random);
        to.ask((rank * 2_654_435_761 % (objects / 2)) + done * (objects / 2) / all);
        done += 1;
    }
}

fn around(to: &mut Writer, objects: u64) {
    // A tenth of all in a loop: as much as the fourth of the usual sizes of caches, and a little more.
    let looped = objects / 9;
    let zipf = Zipf::new(objects, 0.9);
    let mut at = 0;
    while to.left > 0 {
        to.ask(objects + at % looped.max(1));
        at += 1;
        if at % 4 == 0 {
            let rank = zipf.rank(&mut to.random);
            to.ask(rank);
        }
    }
}

fn waves(to: &mut Writer, objects: u64) {
    let machines = (to.left / 200).max(10);
    let zipf = Zipf::new(objects / 4, 0.8);
    let mut package = objects;
    while to.left > 0 {
        // Three packages at once, each of a few files, for all machines; while daily work goes on.
        let first = package;
        package += 3 + to.random.below(9);
        for _ in 0..machines {
            (first..package).for_each(|file| to.ask(file));
            let rank = zipf.rank(&mut to.random);
            to.ask(rank);
        }
        for _ in 0..machines * 4 {
            let rank = zipf.rank(&mut to.random);
            to.ask(rank);
        }
    }
}

fn one_timers(to: &mut Writer, objects: u64) {
    let zipf = Zipf::new(objects / 2, 0.9);
    let mut stranger = objects;
    while to.left > 0 {
        let rank = zipf.rank(&mut to.random);
        to.ask(rank);
        to.ask(stranger);
        stranger += 1;
    }
}

#[cfg(test)]
mod tests {
    use clap::ValueEnum;

    use super::*;

    #[test]
    fn each_is_as_long_as_asked_for_and_the_same_for_a_seed() {
        for kind in Synthetic::value_variants() {
            let trace = kind.trace(3000, 1);
            assert_eq!(trace.requests.len(), 3000, "{kind:?}");
            assert_eq!(kind.to_possible_value().map(|value| value.get_name().to_owned()), Some(kind.name().to_owned()));
            assert_eq!(trace.requests, kind.trace(3000, 1).requests);
            assert_ne!(trace.requests, kind.trace(3000, 2).requests, "{kind:?}");
        }
    }

    #[test]
    fn popularity_is_as_skewed_as_it_is_said_to_be() {
        let top = |kind: Synthetic| {
            let trace = kind.trace(30_000, 1);
            let mut counts = vec![0; trace.sizes.len()];
            trace.requests.iter().for_each(|id| counts[*id as usize] += 1);
            counts.sort_unstable_by(|one, other| other.cmp(one));
            counts.iter().take(50).sum::<i32>()
        };
        assert!(top(Synthetic::Zipf06) * 2 < top(Synthetic::Zipf09));
        assert!(top(Synthetic::Zipf09) * 3 < top(Synthetic::Zipf12) * 2);
    }
}
