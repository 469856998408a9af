//! Makes the list of a content's pieces from its bytes, in one pass, beside whoever makes its digests.

use sha2::Digest as _;

use super::{layout::Layout, list::Pieces};
use crate::digest::{Md5, Sha256};

/// The digests of pieces as their bytes come.
pub struct PiecesHasher {
    layout: Layout,
    /// Of the piece that has begun.
    hasher: sha2::Sha256,
    position: u64,
    done: Vec<Sha256>,
}

impl PiecesHasher {
    /// Of a content of `size` bytes.
    pub fn new(size: u64) -> Self {
        Self { layout: Layout::of(size), hasher: sha2::Sha256::new(), position: 0, done: Vec::new() }
    }

    /// Adds the next bytes; what comes beyond the announced size is only counted.
    pub fn update(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let left = self.layout.span(self.begun()).end.saturating_sub(self.position);
            if left == 0 {
                self.position += bytes.len() as u64;
                return;
            }
            let (these, rest) = bytes.split_at(bytes.len().min(usize::try_from(left).unwrap_or(usize::MAX)));
            self.hasher.update(these);
            self.position += these.len() as u64;
            if these.len() as u64 == left {
                self.done.push(Sha256(self.hasher.finalize_reset().into()));
            }
            bytes = rest;
        }
    }

    fn begun(&self) -> u32 {
        u32::try_from(self.done.len()).expect("at most PIECES_MAX, for a piece is done only within the layout")
    }

    /// The list, if exactly as many bytes came as were announced. It is of the content `md5`, which others have computed of the same bytes.
    pub fn finish(self, md5: Md5) -> Option<Pieces> {
        let is_whole = self.position == self.layout.size();
        is_whole.then(|| Pieces::new(md5, self.layout.size(), self.layout.piece_size(), self.done).ok()).flatten()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::digest::Digests;

    const M: usize = 1 << 20;

    #[test]
    fn each_piece_has_the_digest_of_its_bytes_however_they_come() {
        let bytes: Vec<u8> = (0..(5 * M / 2) as u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
        let expected: Vec<_> = bytes.chunks(M).flat_map(|piece| Digests::of(piece).sha256.0).collect();
        for step in [77_777, M - 1, M, M + 1, 10 * M] {
            let mut hasher = PiecesHasher::new(bytes.len() as u64);
            bytes.chunks(step).for_each(|some| hasher.update(some));
            assert_eq!(hasher.finish(Md5([0; 16])).expect("whole").to_bytes(), expected, "{step}");
        }
    }

    proptest! {
        #[test]
        fn another_number_of_bytes_makes_no_list(announced in 0..5_000_u64, came in 0..5_000_usize) {
            let mut hasher = PiecesHasher::new(announced);
            vec![7; came].chunks(999).for_each(|some| hasher.update(some));
            prop_assert_eq!(hasher.finish(Md5([0; 16])).is_some(), announced == came as u64);
        }
    }
}
