//! Spans of time in steps that grow: how long nobody asked for an object. Two steps to each doubling tell apart what matters.

/// Steps; what is longer than about four thousand million lookups falls into the last.
pub(crate) const AGES: usize = 64;
/// Doublings that are told apart where a coarser measure will do.
pub(crate) const OCTAVES: usize = 28;

/// The step that a span falls into.
pub(crate) fn step(span: u64) -> usize {
    if span < 4 {
        return span as usize;
    }
    let octave = span.ilog2();
    let is_upper = span >> (octave - 1) & 1;
    (4 + 2 * (octave as usize - 2) + is_upper as usize).min(AGES - 1)
}

/// Where a step begins.
pub(crate) const fn begin(step: usize) -> u64 {
    if step < 4 {
        return step as u64;
    }
    let octave = (step - 4) / 2 + 2;
    (2 + (step as u64 & 1)) << (octave - 1)
}

/// How long a step is.
pub(crate) fn length(step: usize) -> f32 {
    (begin(step + 1) - begin(step)) as f32
}

/// Which doubling a span falls into.
pub(crate) fn octave(span: u64) -> usize {
    (span.max(1).ilog2() as usize).min(OCTAVES - 1)
}

/// The middle of a doubling, as factors go.
pub(crate) fn of_octave(octave: usize) -> u64 {
    (1u64 << octave) + (1 << octave) / 2
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_follow_each_other_without_a_gap() {
        for at in 0..AGES - 1 {
            assert_eq!((step(begin(at)), step(begin(at + 1) - 1)), (at, at), "step {at}");
        }
        assert_eq!(step(u64::MAX), AGES - 1);
    }

    #[test]
    fn an_octave_is_known_by_its_middle() {
        (0..OCTAVES).for_each(|at| assert_eq!(octave(of_octave(at)), at));
        assert_eq!((octave(0), octave(u64::MAX)), (0, OCTAVES - 1));
    }
}
