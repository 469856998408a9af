//! What the policy keeps of each object: when it was asked for last, how often, and in what interval. Eight bytes in its row; one
//! byte of them on disk.

use super::{
    ages::{OCTAVES, octave, of_octave},
    class::Class,
    clock::Now,
};

/// Bits of an interval's mantissa.
const MANTISSA: u32 = 9;
/// Beside the interval: the object was there at the start, and how long nobody asked for it before is not known well.
const RESTORED: u16 = 1 << 15;
/// The mean interval moves by this part of the difference at least, as a power of two: what was long ago is forgotten.
const MEMORY: u32 = 3;

/// Of an object that is here. The moment is of 40 bits, the interval a number with an exponent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Usage {
    last: u32,
    last_upper: u8,
    uses: u8,
    interval: u16,
}

/// That somebody came back to an object: what it was before, and after how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Return {
    pub(crate) before: Usage,
    pub(crate) age: u64,
}

impl Usage {
    /// Of an object that nobody asked for before.
    pub(crate) fn new(now: Now) -> Self {
        Self::remembered(now, 1, 0)
    }

    /// Of an object of which this much is known, asked for last then.
    pub(crate) fn remembered(last: Now, uses: u8, interval: u64) -> Self {
        let lookups = last.lookups();
        let interval = pack(interval);
        Self { last: lookups as u32, last_upper: (lookups >> 32) as u8, uses: uses.max(1), interval }
    }

    /// The object was asked for. Answers what is to be learned from it, unless too little is known of the time before.
    pub(crate) fn touch(&mut self, now: Now) -> Option<Return> {
        let (before, age) = (*self, self.age(now));
        *self = Self::remembered(now, before.uses().saturating_add(1), before.next_interval(age));
        (!before.is_restored()).then_some(Return { before, age })
    }

    /// The mean interval after one more. Of a few it is the mean of all, about; later it follows the latest.
    fn next_interval(&self, age: u64) -> u64 {
        let shift = match self.uses {
            0 | 1 => 0,
            2 => 1,
            3 | 4 => 2,
            _ => MEMORY,
        };
        let interval = self.interval();
        interval - (interval >> shift) + (age >> shift)
    }

    /// How often it was asked for; more than 255 times count as 255.
    pub(crate) fn uses(&self) -> u8 {
        self.uses.max(1)
    }

    /// Lookups since it was asked for.
    pub(crate) fn age(&self, now: Now) -> u64 {
        now.since(Now::at(u64::from(self.last) | u64::from(self.last_upper) << 32))
    }

    /// Mean lookups between two times that it was asked for; 0 if it was once.
    pub(crate) fn interval(&self) -> u64 {
        unpack(self.interval & !RESTORED)
    }

    pub(crate) fn class(&self) -> Class {
        Class::of(self.uses(), self.interval())
    }

    /// Whether it was here at the start, and was not asked for since.
    pub(crate) fn is_restored(&self) -> bool {
        self.interval & RESTORED != 0
    }

    /// All of it in one byte, for the index on disk: how often, and in what interval, to the doubling. Time does not go on while nobody
    /// runs, so that an age becomes part of the interval; of what was asked for once it is all there is.
    pub(crate) fn written(&self, now: Now) -> u8 {
        let (age, uses) = (self.age(now), u64::from(self.uses()));
        if uses == 1 {
            return (age.max(1).ilog2() as u8).min(ONCE - 1);
        }
        let again = uses - 1;
        let stretched = (self.interval() * again + age) / again;
        let octave = octave(if self.is_restored() || age <= self.interval() { self.interval() } else { stretched });
        let level = LEVELS.partition_point(|level| u64::from(*level) < uses);
        ONCE + (level * OCTAVES + octave) as u8
    }

    /// Of an object found at a start, by its byte.
    pub(crate) fn restored(now: Now, written: u8) -> Self {
        let usage = match written.checked_sub(ONCE) {
            None => Self::remembered(now.before(1 << written), 1, 0),
            Some(code) => {
                let (level, octave) = (usize::from(code) / OCTAVES, usize::from(code) % OCTAVES);
                Self::remembered(now, LEVELS[level], of_octave(octave))
            }
        };
        Self { interval: usage.interval | RESTORED, ..usage }
    }
}

/// Codes of objects that were asked for once; the others have one for each level and octave.
const ONCE: u8 = 32;
/// How often, rounded up to these.
const LEVELS: [u8; 8] = [2, 4, 8, 16, 32, 64, 128, 255];

const _: () = assert!(ONCE as usize + LEVELS.len() * OCTAVES == 256, "every byte means something");

fn pack(span: u64) -> u16 {
    let exponent = (u64::BITS - span.leading_zeros()).saturating_sub(MANTISSA);
    // Of 40 bits at most: the exponent is below 32, and the upper bit stays free.
    let exponent = exponent.min(31);
    ((exponent << MANTISSA) as u64 | (span >> exponent).min((1 << MANTISSA) - 1)) as u16
}

fn unpack(packed: u16) -> u64 {
    let mantissa = u64::from(packed) & ((1 << MANTISSA) - 1);
    mantissa << (packed >> MANTISSA)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn eight_bytes_per_object() {
        assert_eq!(size_of::<Usage>(), 8);
    }

    #[test]
    fn the_interval_is_the_mean_and_then_follows() {
        let mut usage = Usage::new(Now::at(0));
        let mut at = 0;
        let mut touch = |gap| {
            at += gap;
            usage.touch(Now::at(at));
            usage.interval()
        };
        assert_eq!([touch(100), touch(300), touch(200)], [100, 200, 200]);
        let later = (0..60).map(|_| touch(1000)).last();
        assert!(later.is_some_and(|mean| (950..=1000).contains(&mean)), "the first are forgotten: {later:?}");
    }

    #[test]
    fn who_comes_back_tells_of_what_it_was() {
        let mut usage = Usage::new(Now::at(10));
        let mut touch = |at| usage.touch(Now::at(at)).map(|back| (back.before.class(), back.before.uses(), back.age));
        assert_eq!(touch(60), Some((Class::of(1, 0), 1, 50)));
        assert_eq!(touch(160), Some((Class::of(2, 50), 2, 100)));
        let mut usage = Usage::restored(Now::at(10), 3);
        assert!(usage.touch(Now::at(60)).is_none() && usage.touch(Now::at(70)).is_some());
    }

    #[test]
    fn a_restart_keeps_who_is_asked_for_more_often_and_later_apart() {
        let now = Now::at(1 << 30);
        let of = |uses, interval, age| Usage::remembered(now.before(age), uses, interval).written(now);
        let read = |written| {
            let usage = Usage::restored(Now::at(0), written);
            (usage.uses(), usage.interval(), usage.age(Now::at(0)))
        };
        assert_eq!(read(of(1, 0, 5000)), (1, 0, 4096));
        assert_eq!(read(of(21, 100, 10)), (32, 96, 0));
        assert_eq!(read(of(3, 100, 100_000)), (4, 49_152, 0), "nobody came for a long time");
        assert_eq!(read(of(255, 100, 100_000)), (255, 384, 0), "for so long, after so often");
    }

    proptest! {
        #[test]
        fn an_interval_is_kept_to_a_hundredth(span in 0..1u64 << 40) {
            let kept = unpack(pack(span));
            prop_assert!(kept <= span && span - kept <= span / 256, "{} became {}", span, kept);
        }

        #[test]
        fn what_is_restored_is_written_alike(byte: u8, lookups in 0..1u64 << 40) {
            let now = Now::at(lookups);
            prop_assert_eq!(Usage::restored(now, byte).written(now), byte);
        }
    }
}
