//! Who was evicted a while ago: who comes back soon is not a stranger. Eight bytes for each, at most three for every object that is here;
//! what is oldest makes room.

use super::{
    ages::step,
    class::Class,
    clock::Now,
    usage::{Return, Usage},
};

/// Ghosts that stand together: one of so many makes room for another.
const WAYS: usize = 4;
/// Fewest, and most of all: 256 KiB and 32 MiB.
const GHOSTS_MIN: usize = 1 << 15;
const GHOSTS_MAX: usize = 1 << 22;
/// So many for each object when the table is made, in halves; it is made anew when there are less than half as many.
const PER_OBJECT_HALVES: usize = 5;

/// Looked at in one go.
const LOOKED: usize = 1 << 15;

/// One of them; an empty place has no uses.
#[derive(Clone, Copy, Debug, Default)]
struct Ghost {
    /// When it was asked for, in the lower bits of the moment.
    last: u32,
    print: u16,
    uses: u8,
    /// The doubling of its interval.
    interval: u8,
}

/// All of them, by their hashes.
#[derive(Debug, Default)]
pub(crate) struct Ghosts {
    places: Box<[[Ghost; WAYS]]>,
    /// Where the next look begins.
    looked: usize,
}

impl Ghost {
    fn age(&self, now: Now) -> u64 {
        u64::from((now.lookups() as u32).wrapping_sub(self.last))
    }

    fn class(&self) -> Class {
        Class::of(self.uses, self.mean())
    }

    fn mean(&self) -> u64 {
        interval_of(self.interval)
    }
}

impl Ghosts {
    /// Makes the table large enough for so many objects that are here. What was in a smaller one is forgotten.
    pub(crate) fn fit(&mut self, objects: usize) {
        let wanted = (objects * PER_OBJECT_HALVES / 2).clamp(GHOSTS_MIN, GHOSTS_MAX) / WAYS;
        if self.places.len() * 2 < wanted || self.places.is_empty() {
            (self.places, self.looked) = (vec![[Ghost::default(); WAYS]; wanted].into(), 0);
        }
    }

    #[cfg(test)]
    fn len(&self) -> usize {
        self.places.len() * WAYS
    }

    /// Who has come back, and what it was; it is no ghost any more. `hash` is well spread over the objects.
    pub(crate) fn take(&mut self, now: Now, hash: u64) -> Option<Return> {
        let print = print(hash);
        let ghost = self.ways(hash)?.iter_mut().find(|ghost| ghost.uses > 0 && ghost.print == print)?;
        let found = std::mem::take(ghost);
        let age = found.age(now);
        let before = Usage::remembered(now.before(age), found.uses, found.mean());
        Some(Return { before, age })
    }

    /// An object was evicted. Answers the class and the step of age of who is forgotten for it.
    pub(crate) fn put(&mut self, now: Now, hash: u64, usage: &Usage) -> Option<(Class, usize)> {
        let age = usage.age(now).min(u64::from(u32::MAX));
        let last = (now.lookups() as u32).wrapping_sub(age as u32);
        let ghost = Ghost { last, print: print(hash), uses: usage.uses(), interval: octave_of(usage.interval()) };
        let ways = self.ways(hash)?;
        let same = ways.iter().position(|found| found.print == ghost.print);
        let place = same.or_else(|| ways.iter().position(|found| found.uses == 0));
        let oldest = || (0..WAYS).max_by_key(|at| ways[*at].age(now)).unwrap_or(0);
        let place = place.unwrap_or_else(oldest);
        let before = std::mem::replace(&mut ways[place], ghost);
        (before.uses > 0).then(|| (before.class(), step(before.age(now))))
    }

    /// Looks at the next ones, of which there may be many: hands out the class and the step of age of each, and answers for how many each stands.
    pub(crate) fn look(&mut self, now: Now, mut see: impl FnMut(Class, usize)) -> f32 {
        let (all, looked) = (self.places.len(), self.places.len().min(LOOKED / WAYS));
        for at in 0..looked {
            let place = &self.places[(self.looked + at) % all];
            place.iter().filter(|ghost| ghost.uses > 0).for_each(|ghost| see(ghost.class(), step(ghost.age(now))));
        }
        self.looked = (self.looked + looked).checked_rem(all).unwrap_or(0);
        all as f32 / looked.max(1) as f32
    }

    fn ways(&mut self, hash: u64) -> Option<&mut [Ghost; WAYS]> {
        // The upper bits as a fraction of the table; the print is of the lower ones.
        let place = (u128::from(hash) * self.places.len() as u128) >> 64;
        self.places.get_mut(place as usize)
    }
}

fn print(hash: u64) -> u16 {
    hash as u16
}

/// An interval to a quarter of its doubling: eight bits, where [`Usage`] has more.
fn octave_of(interval: u64) -> u8 {
    if interval < 4 {
        return interval as u8;
    }
    let octave = interval.ilog2().min(40);
    (octave * 4 + (interval >> (octave - 2) & 3) as u32) as u8
}

fn interval_of(packed: u8) -> u64 {
    if packed < 4 {
        return u64::from(packed);
    }
    let quarters = u64::from(packed);
    (4 + quarters % 4) << (quarters / 4) >> 2
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spread(key: u64) -> u64 {
        (key + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15)
    }

    #[test]
    fn eight_bytes_each_and_three_at_most_for_each_object() {
        assert_eq!(size_of::<Ghost>(), 8);
        for objects in [100_000, 130_000, 200_000, 262_000, 400_000, 1_000_000] {
            let mut ghosts = Ghosts::default();
            ghosts.fit(objects);
            assert!(ghosts.len() <= 3 * objects, "{} for {objects}", ghosts.len());
        }
    }

    #[test]
    fn who_comes_back_is_known_once() {
        let (mut ghosts, now) = (Ghosts::default(), Now::at(5000));
        ghosts.fit(10);
        assert!(ghosts.put(now, spread(1), &Usage::remembered(Now::at(4000), 7, 300)).is_none());
        assert!(ghosts.take(now, spread(2)).is_none(), "a stranger");
        let Return { before, age } = ghosts.take(Now::at(6000), spread(1)).expect("it was evicted");
        assert_eq!((before.uses(), before.age(Now::at(6000)), age), (7, 2000, 2000));
        assert_eq!((before.interval(), before.class()), (256, Class::of(7, 300)), "to a quarter of a doubling");
        assert!(ghosts.take(now, spread(1)).is_none());
    }

    #[test]
    fn the_oldest_makes_room() {
        let mut ghosts = Ghosts::default();
        ghosts.fit(10);
        let many = 3 * GHOSTS_MIN as u64;
        let mut forgotten = 0;
        for key in 0..many {
            let usage = Usage::new(Now::at(key));
            forgotten += u64::from(ghosts.put(Now::at(key), spread(key), &usage).is_some());
        }
        let now = Now::at(many);
        let recent = (many - 8192..many).filter(|key| ghosts.take(now, spread(*key)).is_some()).count();
        assert!(recent > 8000, "{recent} of the last are known");
        let known = (0..many - 8192).filter(|key| ghosts.take(now, spread(*key)).is_some()).count();
        assert_eq!(known + recent, (many - forgotten) as usize);
    }

    #[test]
    fn intervals_keep_their_octave() {
        for interval in [0, 1, 3, 4, 5, 7, 8, 300, 65_535, 1 << 39] {
            let kept = interval_of(octave_of(interval));
            assert!(kept <= interval && interval <= kept + kept / 4 + 1, "{interval} became {kept}");
        }
    }
}
