//! What of a file is fetched next, where somebody waits for bytes far ahead of the front: pure decisions. Each byte is asked for once, so all that
//! can be chosen is the order.
//!
//! | who waits | what comes next |
//! | --- | --- |
//! | nobody far ahead | the front |
//! | far ahead, and nobody at the front | what they wait for, each wish in its turn |
//! | both | a wish and the front by turns, so that each side has half of the line |

use std::time::Duration;

use protocol::span::Span;
use store::{Demand, EXTENTS_MAX};

/// A wish is worth a second request when its byte would come later than this by itself, and by so many bytes: a few pieces of those that agents ask for,
/// for whom all that a proxy has yet to fetch before is here already.
const PATIENCE: Duration = Duration::from_secs(2);
const FAR_BYTES: u64 = 4 << 20;
/// A segment is what the line carries in about this time, within limits: long enough that asking for it costs little, short enough that the next
/// wish does not wait for long.
const SEGMENT_TIME: Duration = Duration::from_secs(1);
const SEGMENT_MIN: u64 = 1 << 20;
const SEGMENT_MAX: u64 = 16 << 20;
/// A rest smaller than this is not worth a request of its own.
const REST_MIN: u64 = 64 << 10;
/// The end of a file comes last, unless somebody waits for it: all but those who know what it must be get it when all is verified. A parent proxy does not
/// give it before that either.
const TAIL: u64 = 64 << 10;
/// Runs that may come to be beside those that are being fetched.
const RUNS_SPARE: usize = 8;

/// A run of bytes to be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Segment {
    pub(crate) span: Span,
    /// Somebody waits for it far ahead.
    pub(crate) is_wish: bool,
}

/// Bytes per second of a fill that moved so many bytes in this time. A line that has just begun is not taken to be faster than it showed in a
/// second.
pub(crate) fn rate(bytes: u64, elapsed: Duration) -> u64 {
    (bytes as f64 / elapsed.as_secs_f64().max(1.0)) as u64
}

/// The first segment to be asked for beside a stream that moves at `rate`; `None` while all that is wished for comes soon by itself.
pub(crate) fn first(demand: &Demand, len: u64, rate: u64) -> Option<Segment> {
    let soon = (rate as f64 * PATIENCE.as_secs_f64()) as u64;
    let far = demand.front.saturating_add(soon.max(FAR_BYTES));
    let mut demand = demand.clone();
    demand.wishes.retain(|wish| wish.start > far);
    demand.is_front_followed = false;
    Order::default().next(&demand, &[], len, rate).filter(|segment| segment.is_wish)
}

/// Whose turn it is.
#[derive(Clone, Debug, Default)]
pub(crate) struct Order {
    /// Where the segment ended that was the last turn of the wishes. Who it was for waits at or before that byte now.
    last: u64,
    was_wish: bool,
}

impl Order {
    /// The next segment of a file of `len` bytes; `claimed` is being fetched. `None` if nothing is left to begin.
    pub(crate) fn next(&mut self, demand: &Demand, claimed: &[Span], len: u64, rate: u64) -> Option<Segment> {
        let size = (rate as f64 * SEGMENT_TIME.as_secs_f64()) as u64;
        let size = size.clamp(SEGMENT_MIN, SEGMENT_MAX);
        let mut taken = demand.clone();
        for span in claimed {
            // There is room for it: see `RUNS_SPARE`.
            taken.ahead.insert(*span);
        }
        let front = at_front(&taken, len, size);
        let is_front_due = self.was_wish && demand.is_front_followed && front.is_some();
        let wish = if is_front_due { None } else { self.wish(&taken, len, size) };
        self.was_wish = wish.is_some();
        wish.or(front)
    }

    /// What the next in turn waits for, as far as it is neither here nor being fetched.
    fn wish(&mut self, taken: &Demand, len: u64, size: u64) -> Option<Segment> {
        let is_full = taken.ahead.count() + RUNS_SPARE >= EXTENTS_MAX;
        let open = |wish: &&Span| {
            let gap = missing(taken, wish, len);
            let adjoins = || taken.ahead.gap_start(gap.start, taken.front) == gap.start;
            !gap.is_empty() && (!is_full || adjoins())
        };
        let after = |wish: &&Span| wish.start > self.last;
        let mut candidates = taken.wishes.iter().filter(open);
        let wish = candidates.clone().find(after).or_else(|| candidates.next())?;
        let missing = missing(taken, wish, len);
        let before = taken.ahead.gap_start(missing.start, taken.front);
        let start = if missing.start - before < REST_MIN { before } else { missing.start };
        let wanted = (wish.end - start).clamp(SEGMENT_MIN, size);
        let gap = taken.ahead.gap_from(missing.start, if wish.end > tail(len) { len } else { tail(len) });
        let span = cut(Span::new(start, gap.end), wanted);
        self.last = span.end;
        Some(Segment { span, is_wish: true })
    }
}

/// Where the end of a file begins.
fn tail(len: u64) -> u64 {
    len.saturating_sub(TAIL)
}

/// Nobody's wish brings the end of the file before its turn: the upstream withholds it itself.
pub(crate) fn without_tail(mut demand: Demand, len: u64) -> Demand {
    demand.wishes.retain_mut(|wish| {
        wish.end = wish.end.min(tail(len));
        wish.start < wish.end
    });
    demand
}

/// The first run of a wish that is neither here nor being fetched.
fn missing(taken: &Demand, wish: &Span, end: u64) -> Span {
    taken.ahead.gap_from(wish.start.max(taken.front), wish.end.min(end))
}

/// What comes next at the front.
fn at_front(taken: &Demand, len: u64, size: u64) -> Option<Segment> {
    let gap = taken.ahead.gap_from(taken.front, len);
    (!gap.is_empty()).then(|| Segment { span: cut(gap, size), is_wish: false })
}

/// The first `size` bytes of a gap, or all if hardly anything would be left.
fn cut(gap: Span, size: u64) -> Span {
    if gap.len() < size.saturating_add(REST_MIN) { gap } else { Span::new(gap.start, gap.start + size) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use store::Extents;

    use super::*;

    const M: u64 = 1 << 20;
    const LEN: u64 = 1000 * M;

    fn demand(front: u64, ahead: &[(u64, u64)], wishes: &[(u64, u64)], is_front_followed: bool) -> Demand {
        let mut extents = Extents::default();
        ahead.iter().for_each(|(start, end)| assert!(extents.insert(Span::new(*start, *end))));
        let wishes = wishes.iter().map(|(start, end)| Span::new(*start, *end)).collect();
        Demand { front, ahead: extents, wishes, is_front_followed }
    }

    fn segment(start: u64, end: u64, is_wish: bool) -> Option<Segment> {
        Some(Segment { span: Span::new(start, end), is_wish })
    }

    #[test]
    fn a_wish_is_worth_a_request_when_it_is_far_in_bytes_and_in_time() {
        let wish = (100 * M, 110 * M);
        for (front, rate, expected) in [
            (0, 0, segment(100 * M, 101 * M, true)),
            (0, 5 * M, segment(100 * M, 105 * M, true)),
            (0, 40 * M, segment(100 * M, 110 * M, true)),
            (0, 50 * M, None),
            (0, 1 << 40, None),
            (96 * M - 1, 0, segment(100 * M, 101 * M, true)),
            (96 * M, 0, None),
            (200 * M, 0, None),
        ] {
            assert_eq!(first(&demand(front, &[], &[wish], true), LEN, rate), expected, "{front} {rate}");
        }
        assert_eq!(first(&demand(0, &[], &[], true), LEN, 0), None);
        assert_eq!(first(&demand(0, &[(100 * M, 110 * M)], &[wish], true), LEN, 0), None, "it is here");
        let near_and_far = demand(0, &[], &[(17 * M, 18 * M), (100 * M, 110 * M)], true);
        assert_eq!(first(&near_and_far, LEN, 20 * M), segment(100 * M, 110 * M, true));
    }

    #[test]
    fn a_fast_start_is_not_believed_at_once() {
        assert_eq!(rate(M, Duration::from_millis(1)), M);
        assert_eq!(rate(M, Duration::from_secs(4)), M / 4);
        assert_eq!(rate(M, Duration::ZERO), M);
    }

    #[test]
    fn segments_are_asked_for_in_the_order_that_serves_all() {
        for (name, demand, claimed, expected) in [
            ("nobody waits", demand(5 * M, &[], &[], false), &[][..], segment(5 * M, 6 * M, false)),
            ("a wish", demand(0, &[], &[(500 * M, 501 * M)], false), &[], segment(500 * M, 501 * M, true)),
            (
                "a byte brings what is around it",
                demand(0, &[], &[(500 * M, 500 * M + 1)], false),
                &[],
                segment(500 * M, 501 * M, true),
            ),
            (
                "what is being fetched is left alone",
                demand(0, &[], &[(500 * M, 510 * M)], false),
                &[(500 * M, 501 * M)],
                segment(501 * M, 502 * M, true),
            ),
            (
                "what is here as well",
                demand(0, &[(500 * M, 502 * M)], &[(500 * M, 510 * M)], false),
                &[],
                segment(502 * M, 503 * M, true),
            ),
            (
                "a wish that is being fetched wholly is none",
                demand(0, &[], &[(500 * M, 501 * M)], false),
                &[(500 * M, 501 * M)],
                segment(0, M, false),
            ),
            (
                "the front jumps over what is being fetched",
                demand(0, &[(2 * M, 3 * M)], &[], true),
                &[(0, M)],
                segment(M, 2 * M, false),
            ),
            (
                "a gap that is nearly a segment is one",
                demand(0, &[(M + 1000, 2 * M)], &[], true),
                &[],
                segment(0, M + 1000, false),
            ),
            (
                "no hole is left before a wish that would be hardly a request",
                demand(0, &[(400 * M, 500 * M)], &[(500 * M + 1000, 501 * M)], true),
                &[],
                segment(500 * M, 501 * M, true),
            ),
            (
                "the tail comes last",
                demand(0, &[], &[(999 * M, LEN - TAIL)], false),
                &[],
                segment(999 * M, LEN - TAIL, true),
            ),
            ("unless it is wished for", demand(0, &[], &[(999 * M, LEN)], false), &[], segment(999 * M, LEN, true)),
            (
                "and alone",
                demand(0, &[(999 * M, LEN - TAIL)], &[(999 * M, LEN)], false),
                &[],
                segment(LEN - TAIL, LEN, true),
            ),
            ("and is there at last", demand(999 * M, &[], &[], false), &[], segment(999 * M, LEN, false)),
            (
                "who waits for what was taken and is not written yet wants the rest",
                demand(30 * M, &[], &[(20 * M, 25 * M), (28 * M, 40 * M)], false),
                &[(30 * M, 31 * M)],
                segment(31 * M, 32 * M, true),
            ),
            ("nothing is left", demand(LEN, &[], &[], true), &[], None),
            ("or all of it is on its way", demand(0, &[(M, LEN)], &[], true), &[(0, M)], None),
        ] {
            let claimed: Vec<_> = claimed.iter().map(|(start, end)| Span::new(*start, *end)).collect();
            assert_eq!(Order::default().next(&demand, &claimed, LEN, 0), expected, "{name}");
        }
    }

    #[test]
    fn a_parent_that_withholds_the_tail_is_not_asked_for_it_before_its_turn() {
        let wished = demand(0, &[], &[(500 * M, 501 * M), (999 * M, LEN), (LEN - TAIL, LEN), (LEN - 1, LEN)], true);
        let left = without_tail(wished, LEN);
        assert_eq!(left.wishes, [Span::new(500 * M, 501 * M), Span::new(999 * M, LEN - TAIL)]);
        assert!(without_tail(demand(0, &[], &[(0, 5)], true), 5).wishes.is_empty());
    }

    #[test]
    fn wishes_take_turns_and_a_followed_front_has_every_second_one() {
        let wishes = [(100 * M, 200 * M), (300 * M, 400 * M), (500 * M, 600 * M)];
        let turns = |is_front_followed: bool| {
            let mut demand = demand(0, &[], &wishes, is_front_followed);
            let mut order = Order::default();
            let mut starts = Vec::new();
            for _ in 0..8 {
                let Segment { span, .. } = order.next(&demand, &[], LEN, 0).expect("much is left");
                starts.push(span.start / M);
                assert!(demand.ahead.insert(span));
                demand.front = demand.ahead.reach(demand.front);
                // Who was waited for reads on, up to the end of what came.
                demand.wishes.iter_mut().for_each(|wish| wish.start = demand.ahead.covered_from(wish.start));
            }
            starts
        };
        assert_eq!(turns(false), [100, 300, 500, 101, 301, 501, 102, 302]);
        assert_eq!(turns(true), [100, 0, 300, 1, 500, 2, 101, 3]);
    }

    #[test]
    fn when_there_are_too_many_runs_only_those_that_are_here_grow() {
        let runs: Vec<_> = (1..=EXTENTS_MAX as u64 - 8).map(|at| (at * M, at * M + 1000)).collect();
        let far = demand(0, &runs, &[(900 * M, 901 * M)], true);
        assert_eq!(Order::default().next(&far, &[], LEN, 0), segment(0, M, false));
        let adjoining = demand(0, &runs, &[(7 * M + 1000, 7 * M + 2000)], true);
        assert_eq!(Order::default().next(&adjoining, &[], LEN, 0), segment(7 * M + 1000, 8 * M, true));
    }

    proptest! {
        /// Whatever is wished for meanwhile, and on however many lines: every byte is asked for exactly once.
        #[test]
        fn each_byte_is_asked_for_once(
            len in 1..80 * M,
            rate in 0..40 * M,
            wishes in prop::collection::vec((0..80 * M, 1..8 * M, any::<bool>()), 0..12),
        ) {
            let (mut demand, mut order) = (Demand::default(), Order::default());
            let (mut claimed, mut asked, mut wishes) = (Vec::<Span>::new(), 0, wishes.into_iter());
            loop {
                if let Some((start, bytes, is_front_followed)) = wishes.next() {
                    demand.wishes.push(Span::new(start, (start + bytes).min(len)));
                    demand.wishes.sort_by_key(|wish| wish.start);
                    demand.is_front_followed = is_front_followed;
                }
                match order.next(&demand, &claimed, len, rate) {
                    Some(Segment { span, .. }) => {
                        prop_assert!(!span.is_empty() && span.end <= len && span.start >= demand.front);
                        asked += span.len();
                        claimed.push(span);
                    }
                    None if claimed.is_empty() => break,
                    None => {}
                }
                if claimed.len() == 2 || asked >= len {
                    let span = claimed.remove(0);
                    prop_assert_eq!(demand.ahead.gap_from(span.start, span.end), span, "none of it was here");
                    prop_assert!(demand.ahead.insert(span));
                    demand.front = demand.ahead.reach(demand.front);
                }
            }
            prop_assert_eq!((asked, demand.front), (len, len));
        }
    }
}
