//! The map of what is here of a part beyond its front: runs of bytes that came before their turn. Pure.

use protocol::span::Span;

/// Runs in one map. A fetch that would make more waits until the front has reached some: each costs a request, and a place in every look.
pub const EXTENTS_MAX: usize = 256;

/// Runs of bytes, in order; no two of them overlap or touch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Extents {
    runs: Vec<Span>,
}

impl Extents {
    /// Adds a span, joined with what it overlaps or touches. `false`, and nothing is added, if it would be one run more than [`EXTENTS_MAX`].
    pub fn insert(&mut self, span: Span) -> bool {
        if span.is_empty() {
            return true;
        }
        let first = self.runs.partition_point(|run| run.end < span.start);
        let after = self.runs.partition_point(|run| run.start <= span.end);
        if first == after {
            if self.runs.len() >= EXTENTS_MAX {
                return false;
            }
            self.runs.insert(first, span);
            return true;
        }
        let joined = Span::new(span.start.min(self.runs[first].start), span.end.max(self.runs[after - 1].end));
        self.runs.splice(first..after, [joined]);
        true
    }

    /// Up to where everything from `position` on is in it; `position` itself if that byte is not.
    pub fn covered_from(&self, position: u64) -> u64 {
        let next = self.runs.partition_point(|run| run.end <= position);
        self.runs.get(next).filter(|run| run.start <= position).map_or(position, |run| run.end)
    }

    /// The first run of bytes at or behind `position` and before `end` that is not in it; empty if there is none.
    pub fn gap_from(&self, position: u64, end: u64) -> Span {
        let start = self.covered_from(position).min(end);
        let next = self.runs.partition_point(|run| run.start < start);
        Span::new(start, self.runs.get(next).map_or(end, |run| run.start.min(end)))
    }

    /// Where the gap that ends at or holds `position` begins: behind the run before it, or at `least`.
    pub fn gap_start(&self, position: u64, least: u64) -> u64 {
        let before = self.runs.partition_point(|run| run.end <= position);
        before.checked_sub(1).map_or(least, |at| self.runs[at].end.max(least))
    }

    /// The front has come to `front`: takes out what it has reached, and answers how far it comes with that.
    pub fn reach(&mut self, front: u64) -> u64 {
        let mut reached = front;
        let count = self
            .runs
            .iter()
            .take_while(|run| {
                run.start <= reached && {
                    reached = reached.max(run.end);
                    true
                }
            })
            .count();
        self.runs.drain(..count);
        reached
    }

    /// What can be read where everything up to `watermark` can, and of the runs what is before `end`: in order, and no two touch.
    pub(crate) fn behind(&self, watermark: u64, end: u64) -> Vec<Span> {
        let front = self
            .runs
            .iter()
            .fold(watermark, |front, run| if run.start <= front { front.max(run.end.min(end)) } else { front });
        let ahead = self.runs.iter().filter(|run| run.start > front).map(|run| Span::new(run.start, run.end.min(end)));
        let spans = std::iter::once(Span::new(0, front)).chain(ahead);
        spans.filter(|span| !span.is_empty()).collect()
    }

    /// All of them, in order.
    pub(crate) fn runs(&self) -> &[Span] {
        &self.runs
    }

    /// How many runs.
    pub fn count(&self) -> usize {
        self.runs.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.runs.is_empty()
    }

    /// Bytes in all.
    pub fn bytes(&self) -> u64 {
        self.runs.iter().map(|run| run.len()).sum()
    }

    /// The end of the last run; 0 if there is none.
    pub fn end(&self) -> u64 {
        self.runs.last().map_or(0, |run| run.end)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(spans: &[(u64, u64)]) -> Extents {
        let mut extents = Extents::default();
        for (start, end) in spans {
            assert!(extents.insert(Span::new(*start, *end)));
        }
        extents
    }

    #[test]
    fn what_overlaps_or_touches_is_one_run() {
        for (spans, expected) in [
            (&[(10, 20), (30, 40)][..], &[(10, 20), (30, 40)][..]),
            (&[(30, 40), (10, 20)], &[(10, 20), (30, 40)]),
            (&[(10, 20), (20, 30)], &[(10, 30)]),
            (&[(20, 30), (10, 20)], &[(10, 30)]),
            (&[(10, 20), (40, 50), (15, 45)], &[(10, 50)]),
            (&[(10, 20), (40, 50), (20, 40)], &[(10, 50)]),
            (&[(10, 50), (20, 30)], &[(10, 50)]),
            (&[(10, 10)], &[]),
            (&[(1, 2), (3, 4), (5, 6), (2, 5)], &[(1, 6)]),
        ] {
            assert_eq!(of(spans).runs, of(expected).runs, "{spans:?}");
        }
    }

    #[test]
    fn looks_at_runs_and_gaps() {
        let extents = of(&[(10, 20), (30, 40)]);
        for (position, covered, gap, start) in [
            (0, 0, (0, 10), 0),
            (10, 20, (20, 30), 0),
            (19, 20, (20, 30), 0),
            (20, 20, (20, 30), 20),
            (25, 25, (25, 30), 20),
            (30, 40, (40, 50), 20),
            (45, 45, (45, 50), 40),
            (50, 50, (50, 50), 40),
        ] {
            assert_eq!(extents.covered_from(position), covered, "{position}");
            assert_eq!(extents.gap_from(position, 50), Span::new(gap.0, gap.1), "{position}");
            assert_eq!(extents.gap_start(position, 0), start, "{position}");
        }
        assert_eq!(extents.gap_from(0, 5), Span::new(0, 5));
        assert_eq!(extents.gap_from(12, 15), Span::new(15, 15));
        assert_eq!(extents.gap_start(25, 22), 22);
        assert_eq!((extents.bytes(), extents.count(), extents.end()), (20, 2, 40));
    }

    #[test]
    fn the_front_takes_what_it_reaches() {
        for (front, reached, left) in
            [(9, 9, 2), (10, 20, 1), (15, 20, 1), (20, 20, 1), (29, 29, 1), (30, 40, 0), (99, 99, 0)]
        {
            let mut extents = of(&[(10, 20), (30, 40)]);
            assert_eq!((extents.reach(front), extents.count()), (reached, left), "{front}");
        }
    }

    #[test]
    fn what_can_be_read_is_the_front_and_what_is_ahead() {
        let extents = of(&[(10, 20), (30, 40), (50, 60)]);
        for (watermark, end, expected) in [
            (0, 100, &[(10, 20), (30, 40), (50, 60)][..]),
            (5, 100, &[(0, 5), (10, 20), (30, 40), (50, 60)]),
            // What the front has reached is still there for a moment.
            (10, 100, &[(0, 20), (30, 40), (50, 60)]),
            (20, 100, &[(0, 20), (30, 40), (50, 60)]),
            (35, 100, &[(0, 40), (50, 60)]),
            (70, 100, &[(0, 70)]),
            (5, 55, &[(0, 5), (10, 20), (30, 40), (50, 55)]),
            (5, 35, &[(0, 5), (10, 20), (30, 35)]),
            (5, 30, &[(0, 5), (10, 20)]),
            (15, 12, &[(0, 15)]),
            (5, 0, &[(0, 5)]),
        ] {
            let expected: Vec<_> = expected.iter().map(|(start, end)| Span::new(*start, *end)).collect();
            assert_eq!(extents.behind(watermark, end), expected, "{watermark} {end}");
        }
        assert_eq!(Extents::default().behind(0, 0), []);
    }

    #[test]
    fn there_are_never_more_than_a_limit() {
        let mut extents = Extents::default();
        assert!((0..EXTENTS_MAX as u64).all(|at| extents.insert(Span::new(at * 4, at * 4 + 2))));
        let full = extents.clone();
        assert!(!extents.insert(Span::new(4 * EXTENTS_MAX as u64, 4 * EXTENTS_MAX as u64 + 1)));
        assert_eq!(extents, full);
        assert!(extents.insert(Span::new(2, 3)), "what adjoins is none more");
        assert!(extents.insert(Span::new(3, 4)), "what joins two is one less");
        assert_eq!(extents.count(), EXTENTS_MAX - 1);
    }

    proptest! {
        #[test]
        fn it_is_a_set_of_bytes(spans in prop::collection::vec((0..200u64, 0..20u64), 0..60), front in 0..220u64) {
            let (mut extents, mut bytes) = (Extents::default(), [false; 240]);
            for (start, len) in spans {
                prop_assert!(extents.insert(Span::new(start, start + len)));
                bytes[start as usize..(start + len) as usize].fill(true);
            }
            prop_assert!(extents.runs.windows(2).all(|two| two[0].end < two[1].start));
            prop_assert_eq!(extents.bytes(), bytes.iter().filter(|byte| **byte).count() as u64);
            let end_of = |from: usize, is: bool| (from..240).find(|at| bytes[*at] != is).unwrap_or(240) as u64;
            for (at, is) in bytes.iter().enumerate() {
                let covered = if *is { end_of(at, true) } else { at as u64 };
                prop_assert_eq!(extents.covered_from(at as u64), covered);
                let gap = extents.gap_from(at as u64, 240);
                prop_assert_eq!(gap.start, covered);
                prop_assert_eq!(gap.end, if gap.start == 240 { 240 } else { end_of(gap.start as usize, false) });
            }
            let reached = extents.reach(front);
            prop_assert_eq!(reached, if bytes[front as usize] { end_of(front as usize, true) } else { front });
            prop_assert!(extents.runs.iter().all(|run| run.start > reached));
        }
    }
}
