//! How a content is cut into pieces: all of one size but the last. Pure arithmetic; what is in them is not its concern.

use super::bitmap::{Bitmap, PIECES_MAX};
use crate::span::Span;

/// Bytes of a piece at least; somebody else's cut is refused below that.
pub const PIECE_SIZE_MIN: u64 = 64 << 10;
/// Bytes of a piece of every content that needs no larger ones.
const PIECE_SIZE: u64 = 1 << 20;

/// Bytes of each piece of a content of `size` bytes: 1 MiB, doubled until there are at most [`PIECES_MAX`].
pub fn piece_size(size: u64) -> u64 {
    let mut piece = PIECE_SIZE;
    while size.div_ceil(piece) > u64::from(PIECES_MAX) {
        piece <<= 1;
    }
    piece
}

/// Whether a content of `size` bytes has more than one piece: only then there is a list of them.
pub fn has_several(size: u64) -> bool {
    size > PIECE_SIZE
}

/// A size and the size of its pieces, which fit each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    size: u64,
    piece_size: u64,
}

impl Layout {
    /// As this release cuts it.
    pub fn of(size: u64) -> Self {
        Self { size, piece_size: piece_size(size) }
    }

    /// As somebody else says: `None` unless the piece size is a power of two, at least [`PIECE_SIZE_MIN`], and makes at most [`PIECES_MAX`].
    pub fn new(size: u64, piece_size: u64) -> Option<Self> {
        let fits = piece_size.is_power_of_two()
            && piece_size >= PIECE_SIZE_MIN
            && size.div_ceil(piece_size) <= u64::from(PIECES_MAX);
        fits.then_some(Self { size, piece_size })
    }

    /// Bytes in all.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Bytes of each piece but the last.
    pub fn piece_size(&self) -> u64 {
        self.piece_size
    }

    /// Pieces; none of an empty content.
    pub fn count(&self) -> u32 {
        u32::try_from(self.size.div_ceil(self.piece_size)).expect("at most PIECES_MAX, as was checked when it was made")
    }

    /// Where a piece is; empty, at the end, for one that there is not.
    pub fn span(&self, piece: u32) -> Span {
        let start = u64::from(piece).saturating_mul(self.piece_size).min(self.size);
        Span::new(start, start.saturating_add(self.piece_size).min(self.size))
    }

    /// The pieces that lie wholly within one of the spans, of which no two touch.
    pub fn within(&self, spans: &[Span]) -> Bitmap {
        let mut pieces = Bitmap::new(self.count());
        for span in spans {
            let first = span.start.div_ceil(self.piece_size);
            let after = if span.end >= self.size { u64::from(self.count()) } else { span.end / self.piece_size };
            (first..after).filter_map(|piece| u32::try_from(piece).ok()).for_each(|piece| pieces.set(piece));
        }
        pieces
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const M: u64 = 1 << 20;

    #[test]
    fn pieces_grow_only_where_there_would_be_too_many() {
        for (size, piece, count) in [
            (0, M, 0),
            (1, M, 1),
            (M, M, 1),
            (M + 1, M, 2),
            (50_000_000, M, 48),
            (4096 * M, M, 4096),
            (4096 * M + 1, 2 * M, 2049),
            (8192 * M, 2 * M, 4096),
            (1 << 40, 256 * M, 4096),
            (u64::MAX, 1 << 52, 4096),
        ] {
            let layout = Layout::of(size);
            assert_eq!((piece_size(size), layout.piece_size(), layout.count()), (piece, piece, count), "{size}");
            assert_eq!(Layout::new(size, piece), Some(layout), "{size}");
            assert_eq!(has_several(size), count > 1, "{size}");
        }
    }

    #[test]
    fn what_somebody_else_says_is_checked() {
        for (size, piece, fits) in [
            (10 * M, 0, false),
            (10 * M, 1, false),
            (10 * M, 3 * M, false),
            (10 * M, M - 1, false),
            (10 * M, 32 << 10, false),
            (10 * M, 64 << 10, true),
            (10 * M, 1 << 63, true),
            (4096 * M + 1, M, false),
            (u64::MAX, M, false),
        ] {
            assert_eq!(Layout::new(size, piece).is_some(), fits, "{size} in pieces of {piece}");
        }
    }

    #[test]
    fn the_spans_are_all_of_it_once() {
        for size in [1, M - 1, M, M + 1, 3 * M, 3 * M + 7, u64::MAX] {
            let layout = Layout::of(size);
            let mut end = 0;
            for piece in 0..layout.count() {
                let span = layout.span(piece);
                assert!(span.start == end && !span.is_empty(), "{size} {piece}");
                end = span.end;
            }
            assert_eq!(end, size);
            assert!(layout.span(layout.count()).is_empty() && layout.span(u32::MAX).is_empty());
        }
    }

    #[test]
    fn a_piece_is_within_spans_only_as_a_whole() {
        let layout = Layout::of(3 * M + 10);
        let within = |spans: &[(u64, u64)]| {
            let spans: Vec<_> = spans.iter().map(|(start, end)| Span::new(*start, *end)).collect();
            layout.within(&spans).ones().collect::<Vec<_>>()
        };
        for (spans, expected) in [
            (&[][..], &[][..]),
            (&[(0, 0)], &[]),
            (&[(0, M - 1)], &[]),
            (&[(0, M)], &[0]),
            (&[(1, 2 * M)], &[1]),
            (&[(1, 2 * M - 1)], &[]),
            (&[(M, 3 * M + 9)], &[1, 2]),
            (&[(3 * M, 3 * M + 10)], &[3]),
            (&[(3 * M + 1, 3 * M + 10)], &[]),
            (&[(0, M + 5), (2 * M, 3 * M + 10)], &[0, 2, 3]),
            (&[(0, u64::MAX)], &[0, 1, 2, 3]),
            (&[(u64::MAX - 1, u64::MAX)], &[]),
        ] {
            assert_eq!(within(spans), expected, "{spans:?}");
        }
        assert_eq!(Layout::of(0).within(&[Span::new(0, 0)]).len(), 0);
    }

    proptest! {
        #[test]
        fn what_somebody_else_says_is_cut_into_all_of_it_once(size: u64, doublings in 0..64_u32) {
            let Some(layout) = Layout::new(size, 1 << doublings) else {
                prop_assert!(doublings < 16 || size.div_ceil(1 << doublings) > u64::from(PIECES_MAX));
                return Ok(());
            };
            let mut spans = (0..layout.count()).map(|piece| layout.span(piece));
            let end = spans.try_fold(0, |end, span| (end == span.start && !span.is_empty()).then_some(span.end));
            prop_assert_eq!(end, Some(size));
        }

        #[test]
        fn those_within_spans_are_those_of_which_every_byte_is(
            size in 1..100 * PIECE_SIZE_MIN,
            ends in prop::collection::btree_set(0..110 * PIECE_SIZE_MIN, 0..12),
        ) {
            let layout = Layout::new(size, PIECE_SIZE_MIN).expect("fits");
            let ends: Vec<_> = ends.into_iter().collect();
            let spans: Vec<_> = ends.chunks_exact(2).map(|ends| Span::new(ends[0], ends[1])).collect();
            let is_within = |piece: u32| {
                let all = layout.span(piece);
                spans.iter().any(|span| span.start <= all.start && all.end <= span.end)
            };
            let expected: Vec<_> = (0..layout.count()).filter(|piece| is_within(*piece)).collect();
            prop_assert_eq!(layout.within(&spans).ones().collect::<Vec<_>>(), expected);
        }
    }
}
