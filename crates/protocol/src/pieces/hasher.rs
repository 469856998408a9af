//! Makes the digests of a content and the list of its pieces from its bytes, in one pass.

use super::{layout::Layout, list::Pieces};
use crate::digest::{Digests, PieceDigestsHasher};

/// The digests of a content and of its pieces as its bytes come.
pub struct PiecesHasher {
    layout: Layout,
    hasher: PieceDigestsHasher,
}

impl PiecesHasher {
    /// Of a content of `size` bytes.
    pub fn new(size: u64) -> Self {
        let layout = Layout::of(size);
        Self { layout, hasher: PieceDigestsHasher::new(layout.piece_size()) }
    }

    /// Adds the next bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        self.hasher.update(bytes);
    }

    /// The digests, and the list if exactly as many bytes came as were announced.
    pub fn finish(self) -> (Digests, Option<Pieces>) {
        let is_whole = self.hasher.position() == self.layout.size();
        let (digests, pieces) = self.hasher.finish();
        let (size, piece_size) = (self.layout.size(), self.layout.piece_size());
        (digests, is_whole.then(|| Pieces::new(digests.md5, size, piece_size, pieces).ok()).flatten())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const M: usize = 1 << 20;

    #[test]
    fn each_piece_has_the_digest_of_its_bytes_however_they_come() {
        let bytes: Vec<u8> = (0..(5 * M / 2) as u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
        let expected: Vec<_> = bytes.chunks(M).flat_map(|piece| Digests::of(piece).sha256.0).collect();
        for step in [77_777, M - 1, M, M + 1, 10 * M] {
            let mut hasher = PiecesHasher::new(bytes.len() as u64);
            bytes.chunks(step).for_each(|some| hasher.update(some));
            let (digests, pieces) = hasher.finish();
            assert_eq!((digests, pieces.expect("whole").to_bytes()), (Digests::of(&bytes), expected.clone()), "{step}");
        }
    }

    proptest! {
        #[test]
        fn another_number_of_bytes_makes_no_list(announced in 0..5_000_u64, came in 0..5_000_usize) {
            let mut hasher = PiecesHasher::new(announced);
            vec![7; came].chunks(999).for_each(|some| hasher.update(some));
            let (digests, pieces) = hasher.finish();
            prop_assert_eq!(pieces.is_some(), announced == came as u64);
            prop_assert_eq!(digests, Digests::of(&vec![7; came]));
        }
    }
}
