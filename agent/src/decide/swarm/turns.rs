//! When it is whose turn to ask a server. Everybody draws a number for each piece, from their own seed; with as many agents as are
//! known to want it, that says how many of them come first. So about as many ask as there are to be copies, without a word between them.

use std::time::Duration;

use protocol::patience::Spread;

use super::terms::Turns;

/// Stands for the content as a whole where turns are not by piece.
pub(super) const CONTENT: u32 = u32::MAX;

/// Between two of those that come first where one is to begin, of a turn.
const APART: f64 = 0.2;
/// So many come one after the other.
const FIRST: f64 = 4.0;

/// A number for a seed and a piece: the same each time, and another one for each of both.
pub(super) fn number(seed: u64, piece: u32) -> u64 {
    Spread::new(seed ^ u64::from(piece).wrapping_mul(0xd6e8_feb8_6659_fd93)).number()
}

/// How long we leave it to others, with so many `askers`, ourselves included: of the first `copies` nobody waits, of as many again each for a part of the first
/// turn, and in each further turn come as many as in all before. So what spreads is asked for a few times, and what does not spread is soon asked for by all.
pub(super) fn wait(seed: u64, piece: u32, askers: u64, turns: Turns) -> Duration {
    // How many are before us: the draw is a part of all.
    let before = number(seed, piece) as f64 / 2_f64.powi(64) * askers as f64;
    turns.every.mul_f64((before / f64::from(turns.copies.max(1))).max(1.0).log2())
}

/// Likewise where one is to begin, and the others are to hear of it before it is their turn: the first of them come one after the other, each about a part of a turn
/// behind the one before, and only those behind the first few ever more at a time.
pub(super) fn apart(seed: u64, piece: u32, askers: u64, turns: Turns) -> Duration {
    if askers <= u64::from(turns.copies) {
        return Duration::ZERO;
    }
    let before = number(seed, piece) as f64 / 2_f64.powi(64) * askers as f64 / f64::from(turns.copies.max(1));
    let step = turns.every.mul_f64(APART);
    if before <= FIRST {
        step.mul_f64(before)
    } else {
        step.mul_f64(FIRST) + turns.every.mul_f64((before / FIRST).log2())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TURNS: Turns = Turns { copies: 2, every: Duration::from_secs(2) };

    #[test]
    fn with_few_it_is_everybodys_turn() {
        for askers in 0..=2 {
            assert!((0..1_000).all(|seed| wait(seed, 7, askers, TURNS).is_zero()), "{askers}");
        }
    }

    #[test]
    fn of_many_about_as_many_as_copies_ask_at_once_and_twice_as_many_with_each_turn() {
        let turn = |from: u64| Duration::from_secs(2 * from);
        let mut asked = [0_u32; 6];
        for piece in 0..500 {
            for seed in 0..40 {
                let wait = wait(seed, piece, 40, TURNS);
                for (at, count) in (0..).zip(&mut asked) {
                    *count += u32::from(wait <= turn(at) && (at == 0 || wait > turn(at - 1)));
                }
            }
        }
        // 500 pieces, two copies each at once; and in the end all 40 have asked.
        for (count, copies) in asked.into_iter().zip([2.0, 2.0, 4.0, 8.0, 16.0, 8.0]) {
            assert!((0.85..1.15).contains(&(f64::from(count) / 500.0 / copies)), "{asked:?}");
        }
    }

    #[test]
    fn where_one_is_to_begin_the_first_come_one_after_the_other() {
        const FAR: Turns = Turns { copies: 1, every: Duration::from_secs(10) };
        assert!((0..1_000).all(|seed| apart(seed, CONTENT, 1, FAR).is_zero()), "who is alone waits for nobody");
        for askers in [2, 40, 200] {
            let within = |seconds: u64| {
                let limit = Duration::from_secs(seconds);
                (0..100_000).filter(|seed| apart(*seed, CONTENT, askers, FAR) < limit).count() as f64 * askers as f64
                    / 1e5
            };
            let of = |count: f64| count.min(askers as f64);
            for (seconds, count) in [(2, 1.0), (4, 2.0), (8, 4.0), (18, 8.0), (28, 16.0)] {
                let found = within(seconds) / of(count);
                assert!((0.85..1.15).contains(&found), "{askers} within {seconds} s: {found}");
            }
        }
    }

    #[test]
    fn a_draw_is_the_same_each_time_and_differs_by_seed_and_piece() {
        let mut numbers: Vec<_> = (0..100).flat_map(|seed| (0..100).map(move |piece| number(seed, piece))).collect();
        numbers.sort_unstable();
        assert!(numbers.windows(2).all(|two| two[0] != two[1]));
        assert_eq!(number(3, 4), number(3, 4));
    }
}
