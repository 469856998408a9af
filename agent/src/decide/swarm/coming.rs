//! What a neighbour says that it brings over the line: others leave that to it, but not for ever. Whoever says so again and again and does not have it
//! in the end is not believed any more.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use protocol::pieces::Bitmap;

/// What it said is waited for so long, if it says so no more; it is asked more often.
const SAID: Duration = Duration::from_secs(5);
/// And so long, though it says so still.
const LONGEST: Duration = Duration::from_secs(30);
/// Pieces that it did not have by then; behind that it is not believed.
const BROKEN_MAX: u32 = 3;
/// Pieces of one neighbour: it brings a few at once.
const PIECES_MAX: usize = 64;

/// What one neighbour brings.
#[derive(Clone, Debug, Default)]
pub(super) struct Coming {
    /// When it said so first, and last.
    pieces: BTreeMap<u32, (Instant, Instant)>,
    broken: u32,
}

impl Coming {
    /// It says what it brings, and what it has. `true`: it brings something that is not here and of which it had not said so.
    pub(super) fn said(&mut self, coming: &Bitmap, has: &Bitmap, here: &Bitmap, now: Instant) -> bool {
        self.pieces.retain(|piece, (first, _)| {
            let is_here = has.get(*piece) || here.get(*piece);
            let is_over = now.saturating_duration_since(*first) >= LONGEST;
            self.broken = self.broken.saturating_add(u32::from(is_over && !is_here));
            !is_here && !is_over
        });
        let before = self.pieces.len();
        for piece in coming.ones().filter(|piece| !here.get(*piece) && !has.get(*piece)).take(PIECES_MAX) {
            if self.pieces.len() < PIECES_MAX || self.pieces.contains_key(&piece) {
                self.pieces.entry(piece).or_insert((now, now)).1 = now;
            }
        }
        self.pieces.len() > before && self.is_believed()
    }

    fn is_believed(&self) -> bool {
        self.broken < BROKEN_MAX
    }

    /// What is left to it now.
    pub(super) fn pieces(&self, now: Instant) -> impl Iterator<Item = u32> + '_ {
        let counts = move |(first, last): &(Instant, Instant)| {
            now.saturating_duration_since(*first) < LONGEST && now.saturating_duration_since(*last) < SAID
        };
        let pieces = self.pieces.iter().filter(|_| self.is_believed());
        pieces.filter(move |(_, said)| counts(said)).map(|(piece, _)| *piece)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SEC: Duration = Duration::from_secs(1);

    fn of(pieces: &[u32]) -> Bitmap {
        let mut bitmap = Bitmap::new(100);
        pieces.iter().for_each(|piece| bitmap.set(*piece));
        bitmap
    }

    #[test]
    fn what_it_says_is_left_to_it_while_it_says_so() {
        let (mut coming, start, none) = (Coming::default(), Instant::now(), of(&[]));
        let left = |coming: &Coming, second: u32| coming.pieces(start + second * SEC).collect::<Vec<_>>();
        assert!(coming.said(&of(&[3, 4, 9]), &none, &of(&[9]), start), "what is here does not count");
        assert_eq!((left(&coming, 0), left(&coming, 4), left(&coming, 5)), (vec![3, 4], vec![3, 4], vec![]));
        assert!(!coming.said(&of(&[4]), &of(&[3]), &none, start + 4 * SEC), "no news");
        assert_eq!((left(&coming, 8), left(&coming, 9)), (vec![4], vec![]));
        assert!(coming.said(&of(&[4, 5]), &none, &none, start + 10 * SEC));
        assert_eq!(left(&coming, 10), [4, 5]);
    }

    #[test]
    fn who_never_has_it_is_not_believed_for_ever() {
        let (mut coming, start, none) = (Coming::default(), Instant::now(), of(&[]));
        let mut news = 0;
        // Another piece each second, and none of them comes.
        for second in 0..100 {
            news += u32::from(coming.said(&of(&[second]), &none, &none, start + second * SEC));
        }
        assert_eq!(news, 32);
        assert_eq!(coming.pieces(start + 99 * SEC).count(), 0);
        // The same one all the time.
        let mut coming = Coming::default();
        let left: Vec<_> = (0..200)
            .filter(|second| {
                coming.said(&of(&[7]), &none, &none, start + *second * SEC);
                coming.pieces(start + *second * SEC).count() > 0
            })
            .collect();
        assert_eq!(left.len(), 90);
        let all: Vec<u32> = (0..100).collect();
        let mut coming = Coming::default();
        coming.said(&of(&all), &none, &none, start);
        assert_eq!(coming.pieces(start).count(), PIECES_MAX);
    }
}
