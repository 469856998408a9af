//! Hashing of streams: MD5 alone, MD5 and SHA-256 in one pass, or these and the SHA-256 of each piece of the stream.
//!
//! MD5 is one long chain of dependent steps that leaves most of a core idle. SHA-256 of the same block fits into the gaps if the processor
//! meets it soon enough, which is why the two take turns block by block: together they take hardly longer than MD5 alone
//! (`cargo bench -p outpost-protocol`), and so does the SHA-256 of pieces beside the two. Blocks of more than 64 bytes in turn lose that again.

use super::{Digests, Md5, Sha256};

/// Bytes that either algorithm compresses at a time.
const BLOCK: usize = 64;
/// Where the length begins in the last block (RFC 1321 section 3.2, FIPS 180-4 section 5.1.1).
const LENGTH_AT: usize = BLOCK - size_of::<u64>();

/// MD5 of a stream.
#[derive(Clone, Default)]
pub struct Md5Hasher(Stream<Md5State>);

/// MD5 and SHA-256 of a stream, in one pass.
#[derive(Clone, Default)]
pub struct DigestsHasher(Stream<BothStates>);

/// MD5 and SHA-256 of a stream, and the SHA-256 of each of its pieces, in one pass.
pub(crate) struct PieceDigestsHasher(Stream<PieceStates>);

impl Md5Hasher {
    /// Adds the next bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The digest of all bytes so far.
    pub fn finish(self) -> Md5 {
        let (blocks, tail) = self.0.padded(u64::to_le_bytes);
        self.0.state.finish(&tail[..blocks])
    }
}

impl DigestsHasher {
    /// Adds the next bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// Bytes so far.
    pub fn position(&self) -> u64 {
        self.0.len
    }

    /// The MD5 of all bytes so far; the stream may go on.
    pub fn md5(&self) -> Md5 {
        let (blocks, tail) = self.0.padded(u64::to_le_bytes);
        self.0.state.md5.clone().finish(&tail[..blocks])
    }

    /// The digests of all bytes so far.
    pub fn finish(self) -> Digests {
        let (blocks, tail) = self.0.padded(u64::to_be_bytes);
        Digests { md5: self.md5(), sha256: self.0.state.sha256.finish(&tail[..blocks]) }
    }
}

impl PieceDigestsHasher {
    /// In pieces of a size, a multiple of the block's.
    pub(crate) fn new(piece_size: u64) -> Self {
        debug_assert!(piece_size > 0 && piece_size.is_multiple_of(BLOCK as u64), "pieces are whole blocks");
        let state = PieceStates { piece_size, ..PieceStates::default() };
        Self(Stream { state, begun: [0; BLOCK], len: 0 })
    }

    /// Adds the next bytes.
    pub(crate) fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// Bytes so far.
    pub(crate) fn position(&self) -> u64 {
        self.0.len
    }

    /// The digests of all bytes so far, and of each piece; the last may be shorter.
    pub(crate) fn finish(self) -> (Digests, Vec<Sha256>) {
        let (held, len) = (self.0.held(), self.0.len);
        let tail = self.0.begun;
        let PieceStates { both, mut piece, in_piece, mut pieces, .. } = self.0.state;
        if in_piece > 0 || held > 0 {
            let rest = Stream { state: (), begun: tail, len: in_piece + held as u64 };
            let (blocks, padded) = rest.padded(u64::to_be_bytes);
            pieces.push(std::mem::take(&mut piece).finish(&padded[..blocks]));
        }
        (DigestsHasher(Stream { state: both, begun: tail, len }).finish(), pieces)
    }
}

impl Md5 {
    /// Of bytes in hand.
    pub fn of(bytes: &[u8]) -> Self {
        let mut hasher = Md5Hasher::default();
        hasher.update(bytes);
        hasher.finish()
    }
}

impl Digests {
    /// Of bytes in hand.
    pub fn of(bytes: &[u8]) -> Self {
        let mut hasher = DigestsHasher::default();
        hasher.update(bytes);
        hasher.finish()
    }
}

/// What compresses whole blocks.
trait Compress {
    fn compress(&mut self, blocks: &[[u8; BLOCK]]);
}

/// A state and the bytes that are not yet a block.
#[derive(Clone)]
struct Stream<S> {
    state: S,
    /// The first `len % BLOCK` bytes wait for the rest of their block.
    begun: [u8; BLOCK],
    len: u64,
}

impl<S: Default> Default for Stream<S> {
    fn default() -> Self {
        Self { state: S::default(), begun: [0; BLOCK], len: 0 }
    }
}

impl<S: Compress> Stream<S> {
    fn update(&mut self, mut bytes: &[u8]) {
        let held = self.held();
        self.len = self.len.wrapping_add(bytes.len() as u64);
        if held > 0 {
            let (completing, rest) = bytes.split_at(bytes.len().min(BLOCK - held));
            self.begun[held..held + completing.len()].copy_from_slice(completing);
            if held + completing.len() < BLOCK {
                return;
            }
            self.state.compress(&[self.begun]);
            bytes = rest;
        }
        let (blocks, rest) = bytes.as_chunks();
        self.state.compress(blocks);
        self.begun[..rest.len()].copy_from_slice(rest);
    }
}

impl<S> Stream<S> {
    fn held(&self) -> usize {
        (self.len % BLOCK as u64) as usize
    }

    /// What is left with the padding behind it, one or two blocks: a one bit, zeros, and the length in bits.
    fn padded(&self, length: impl Fn(u64) -> [u8; 8]) -> (usize, [[u8; BLOCK]; 2]) {
        let held = self.held();
        let mut tail = [[0; BLOCK]; 2];
        tail[0][..held].copy_from_slice(&self.begun[..held]);
        tail[0][held] = 0x80;
        let last = usize::from(held >= LENGTH_AT);
        tail[last][LENGTH_AT..].copy_from_slice(&length(self.len.wrapping_mul(8)));
        (last + 1, tail)
    }
}

/// RFC 1321 section 3.3.
#[derive(Clone)]
struct Md5State([u32; 4]);

impl Default for Md5State {
    fn default() -> Self {
        Self([0x6745_2301, 0xefcd_ab89, 0x98ba_dcfe, 0x1032_5476])
    }
}

impl Md5State {
    fn finish(mut self, tail: &[[u8; BLOCK]]) -> Md5 {
        self.compress(tail);
        let mut digest = Md5([0; 16]);
        for (bytes, word) in digest.0.as_chunks_mut().0.iter_mut().zip(self.0) {
            *bytes = word.to_le_bytes();
        }
        digest
    }
}

impl Compress for Md5State {
    fn compress(&mut self, blocks: &[[u8; BLOCK]]) {
        for block in blocks {
            fast_md5::transform(&mut self.0, block);
        }
    }
}

/// FIPS 180-4 section 5.3.3.
#[derive(Clone)]
struct Sha256State([u32; 8]);

impl Default for Sha256State {
    fn default() -> Self {
        Self([0x6a09_e667, 0xbb67_ae85, 0x3c6e_f372, 0xa54f_f53a, 0x510e_527f, 0x9b05_688c, 0x1f83_d9ab, 0x5be0_cd19])
    }
}

impl Sha256State {
    fn finish(mut self, tail: &[[u8; BLOCK]]) -> Sha256 {
        sha2::block_api::compress256(&mut self.0, tail);
        let mut digest = Sha256([0; 32]);
        for (bytes, word) in digest.0.as_chunks_mut().0.iter_mut().zip(self.0) {
            *bytes = word.to_be_bytes();
        }
        digest
    }
}

#[derive(Clone, Default)]
struct BothStates {
    md5: Md5State,
    sha256: Sha256State,
}

impl Compress for BothStates {
    fn compress(&mut self, blocks: &[[u8; BLOCK]]) {
        for block in blocks {
            fast_md5::transform(&mut self.md5.0, block);
            sha2::block_api::compress256(&mut self.sha256.0, std::slice::from_ref(block));
        }
    }
}

#[derive(Clone, Default)]
struct PieceStates {
    both: BothStates,
    piece_size: u64,
    piece: Sha256State,
    /// Bytes of whole blocks in the piece that has begun.
    in_piece: u64,
    pieces: Vec<Sha256>,
}

impl PieceStates {
    /// The piece that has begun is whole: it ends with a block of padding.
    fn end_piece(&mut self) {
        let (blocks, padded) = Stream { state: (), begun: [0; BLOCK], len: self.piece_size }.padded(u64::to_be_bytes);
        self.pieces.push(std::mem::take(&mut self.piece).finish(&padded[..blocks]));
        self.in_piece = 0;
    }
}

impl Compress for PieceStates {
    fn compress(&mut self, mut blocks: &[[u8; BLOCK]]) {
        while !blocks.is_empty() {
            let left = (self.piece_size - self.in_piece) / BLOCK as u64;
            let (these, rest) = blocks.split_at(blocks.len().min(usize::try_from(left).unwrap_or(usize::MAX)));
            for block in these {
                fast_md5::transform(&mut self.both.md5.0, block);
                sha2::block_api::compress256(&mut self.both.sha256.0, std::slice::from_ref(block));
                sha2::block_api::compress256(&mut self.piece.0, std::slice::from_ref(block));
            }
            self.in_piece += (these.len() * BLOCK) as u64;
            if self.in_piece == self.piece_size {
                self.end_piece();
            }
            blocks = rest;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// As the well-known implementations have it.
    fn oracle(bytes: &[u8]) -> Digests {
        let md5 = <md5::Md5 as md5::Digest>::digest(bytes);
        let sha256 = <sha2::Sha256 as sha2::Digest>::digest(bytes);
        Digests { md5: Md5(md5.into()), sha256: Sha256(sha256.into()) }
    }

    #[test]
    fn every_length_around_the_blocks_is_padded_rightly() {
        let bytes: Vec<u8> = (0..4 * BLOCK as u32).map(|at| (at * 7) as u8).collect();
        for len in 0..bytes.len() {
            assert_eq!(Digests::of(&bytes[..len]), oracle(&bytes[..len]), "{len}");
            assert_eq!(Md5::of(&bytes[..len]), oracle(&bytes[..len]).md5, "{len}");
        }
    }

    proptest! {
        #[test]
        fn each_piece_has_the_digest_of_its_bytes(
            pieces in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..300), 0..12),
            blocks in 1..5_u64,
        ) {
            let mut hasher = PieceDigestsHasher::new(blocks * BLOCK as u64);
            let mut whole = Vec::new();
            for piece in &pieces {
                hasher.update(piece);
                whole.extend_from_slice(piece);
                prop_assert_eq!(hasher.position(), whole.len() as u64);
            }
            let expected: Vec<_> = whole.chunks(blocks as usize * BLOCK).map(|piece| oracle(piece).sha256).collect();
            prop_assert_eq!(hasher.finish(), (oracle(&whole), expected));
        }

        #[test]
        fn a_stream_in_pieces_has_the_digests_of_the_whole(
            pieces in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..300), 0..12),
        ) {
            let (mut both, mut alone, mut whole) = (DigestsHasher::default(), Md5Hasher::default(), Vec::new());
            for piece in &pieces {
                both.update(piece);
                alone.update(piece);
                whole.extend_from_slice(piece);
                prop_assert_eq!(both.md5(), oracle(&whole).md5, "a look in between");
                prop_assert_eq!(both.position(), whole.len() as u64);
            }
            prop_assert_eq!(alone.finish(), oracle(&whole).md5);
            prop_assert_eq!(both.finish(), oracle(&whole));
        }
    }
}
