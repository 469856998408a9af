//! What of a history that has become too long is kept: of objects that are here everything if it fits into most of the room, and of those that went
//! the latest. Decided by where in the file the bytes lie, so that it takes no memory however long the file is.

/// Into so many equal stretches the file is cut; from where on entries are kept is known to one of them.
pub(crate) const STRETCHES: usize = 1024;

/// Bytes of entries in each stretch, the oldest first.
pub(crate) struct Stretches {
    here: [u64; STRETCHES],
    gone: [u64; STRETCHES],
    len: u64,
}

/// The first stretch of which entries are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Kept {
    /// Those of objects that are here.
    pub(crate) here: usize,
    /// Those of others.
    pub(crate) gone: usize,
}

impl Stretches {
    /// Of a file of so many bytes.
    pub(crate) fn new(len: u64) -> Self {
        Self { here: [0; STRETCHES], gone: [0; STRETCHES], len }
    }

    /// The stretch of a place in the file.
    pub(crate) fn at(&self, place: u64) -> usize {
        let stretch = u128::from(place) * STRETCHES as u128 / u128::from(self.len.max(1));
        (stretch as usize).min(STRETCHES - 1)
    }

    /// There is an entry.
    pub(crate) fn add(&mut self, place: u64, bytes: u64, is_here: bool) {
        let at = self.at(place);
        if is_here { self.here[at] += bytes } else { self.gone[at] += bytes }
    }

    /// What is kept so that no more than `budget` bytes are. An eighth is for those that went, more if the others leave it.
    pub(crate) fn keep(&self, budget: u64) -> Kept {
        let here = suffix(&self.here, budget - budget / 8);
        let used: u64 = self.here[here..].iter().sum();
        Kept { here, gone: suffix(&self.gone, budget - used) }
    }
}

/// Where the longest tail begins that has no more than `most` bytes.
fn suffix(bytes: &[u64; STRETCHES], most: u64) -> usize {
    let mut sum = 0;
    let tail = bytes.iter().rev().take_while(|bytes| {
        sum += **bytes;
        sum <= most
    });
    STRETCHES - tail.count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_here_is_kept_before_what_went_and_the_latest_before_the_oldest() {
        let mut stretches = Stretches::new(STRETCHES as u64 * 100);
        for at in 0..STRETCHES as u64 {
            stretches.add(at * 100, 10, true);
            stretches.add(at * 100 + 50, 40, false);
        }
        let all_here = 10 * STRETCHES as u64;
        // Everything fits.
        assert_eq!(stretches.keep(5 * all_here), Kept { here: 0, gone: 0 });
        // All of what is here, and as much of the others as is left.
        assert_eq!(stretches.keep(3 * all_here), Kept { here: 0, gone: STRETCHES / 2 });
        // Not all of what is here.
        let kept = stretches.keep(all_here / 2);
        assert_eq!(kept.here, STRETCHES - (STRETCHES / 2) * 7 / 8);
        assert_eq!(kept.gone, STRETCHES - STRETCHES / 2 / 8 / 4);
        assert_eq!(stretches.keep(0), Kept { here: STRETCHES, gone: STRETCHES });
    }

    #[test]
    fn every_place_has_a_stretch() {
        let stretches = Stretches::new(10);
        assert_eq!((stretches.at(0), stretches.at(9), stretches.at(10)), (0, 921, STRETCHES - 1));
        assert_eq!(Stretches::new(0).at(5), STRETCHES - 1);
        assert_eq!(Stretches::new(u64::MAX).at(u64::MAX - 1), STRETCHES - 1);
    }
}
