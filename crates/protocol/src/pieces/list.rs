//! The digests of a content's pieces. Whoever knows the root can believe a list from anybody, and whoever has the list a piece from anybody.

use std::{fmt, sync::Arc};

use base64::Engine;
use serde::{Deserialize, Serialize};
use sha2::Digest as _;

use super::{bitmap::PIECES_MAX, layout::Layout};
use crate::{
    digest::{BASE64, Md5, Sha256},
    span::Span,
};

/// Bytes of a list as JSON, at most: with these a reader bounds what it takes.
pub const PIECES_BYTES_MAX: usize = PIECES_MAX as usize * size_of::<Sha256>() * 4 / 3 + 1024;

/// One SHA-256 for each piece of one content. Clones share the digests.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Written", into = "Written")]
pub struct Pieces {
    md5: Md5,
    layout: Layout,
    sha256: Arc<[Sha256]>,
}

/// It is no list of that content's pieces.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotAList {
    /// No such piece size, or more pieces than there may be.
    #[error("pieces of {piece_size} bytes of a content of {size} are not allowed")]
    Layout {
        /// Bytes in all.
        size: u64,
        /// Bytes of a piece.
        piece_size: u64,
    },
    /// Too few digests, or too many.
    #[error("{found} digests of {count} pieces")]
    Count {
        /// How many there are.
        found: usize,
        /// How many there should be.
        count: u32,
    },
    /// Not base64, or not a multiple of 32 bytes.
    #[error("the digests of the pieces cannot be read")]
    Digests,
}

/// As JSON has it: the digests one behind the other.
#[derive(Serialize, Deserialize)]
struct Written {
    md5: Md5,
    size: u64,
    piece_size: u64,
    sha256: String,
}

impl Pieces {
    /// A list; the number of digests must fit the size.
    pub fn new(md5: Md5, size: u64, piece_size: u64, sha256: impl Into<Arc<[Sha256]>>) -> Result<Self, NotAList> {
        let layout = Layout::new(size, piece_size).ok_or(NotAList::Layout { size, piece_size })?;
        let (sha256, count) = (sha256.into(), layout.count());
        if sha256.len() != count as usize {
            return Err(NotAList::Count { found: sha256.len(), count });
        }
        Ok(Self { md5, layout, sha256 })
    }

    /// From digests that stand one behind the other, as a database keeps them.
    pub fn from_bytes(md5: Md5, size: u64, piece_size: u64, bytes: &[u8]) -> Result<Self, NotAList> {
        let (digests, rest) = bytes.as_chunks();
        if !rest.is_empty() {
            return Err(NotAList::Digests);
        }
        Self::new(md5, size, piece_size, digests.iter().copied().map(Sha256).collect::<Vec<_>>())
    }

    /// The digests one behind the other.
    pub fn to_bytes(&self) -> Vec<u8> {
        self.sha256.iter().flat_map(|digest| digest.0).collect()
    }

    /// Of which content.
    pub fn md5(&self) -> Md5 {
        self.md5
    }

    /// How it is cut.
    pub fn layout(&self) -> Layout {
        self.layout
    }

    /// Bytes of the content.
    pub fn size(&self) -> u64 {
        self.layout.size()
    }

    /// Bytes of each piece but the last.
    pub fn piece_size(&self) -> u64 {
        self.layout.piece_size()
    }

    /// Pieces.
    pub fn count(&self) -> u32 {
        self.layout.count()
    }

    /// Where a piece is.
    pub fn span(&self, piece: u32) -> Span {
        self.layout.span(piece)
    }

    /// What a piece must be; `None` if there is no such piece.
    pub fn sha256(&self, piece: u32) -> Option<Sha256> {
        self.sha256.get(piece as usize).copied()
    }

    /// Whether these bytes are that piece, all of it.
    pub fn fits(&self, piece: u32, bytes: &[u8]) -> bool {
        let expected = self.sha256.get(piece as usize);
        expected.is_some_and(|digest| {
            bytes.len() as u64 == self.span(piece).len() && digest.0 == *sha2::Sha256::digest(bytes)
        })
    }

    /// What the list is known by: the SHA-256 of the content's size, the piece size (eight bytes each, the highest first), and all digests in order.
    pub fn root(&self) -> Sha256 {
        let mut hasher = sha2::Sha256::new();
        hasher.update(self.size().to_be_bytes());
        hasher.update(self.piece_size().to_be_bytes());
        self.sha256.iter().for_each(|digest| hasher.update(digest.0));
        Sha256(hasher.finalize().into())
    }
}

impl TryFrom<Written> for Pieces {
    type Error = NotAList;

    fn try_from(written: Written) -> Result<Self, NotAList> {
        // Looked at before it is decoded, so that nobody makes it take memory.
        let is_short = written.sha256.len() <= PIECES_BYTES_MAX;
        let bytes = is_short.then(|| BASE64.decode(&written.sha256).ok()).flatten().ok_or(NotAList::Digests)?;
        Self::from_bytes(written.md5, written.size, written.piece_size, &bytes)
    }
}

impl From<Pieces> for Written {
    fn from(pieces: Pieces) -> Self {
        Self {
            md5: pieces.md5,
            size: pieces.size(),
            piece_size: pieces.piece_size(),
            sha256: BASE64.encode(pieces.to_bytes()),
        }
    }
}

impl fmt::Debug for Pieces {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} pieces of {:?}", self.count(), self.md5)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{digest::Digests, pieces::PiecesHasher};

    const M: usize = 1 << 20;

    fn content(len: usize) -> Vec<u8> {
        (0..len as u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 13) as u8).collect()
    }

    fn list(bytes: &[u8]) -> Pieces {
        let mut hasher = PiecesHasher::new(bytes.len() as u64);
        hasher.update(bytes);
        hasher.finish().1.expect("as many bytes as were announced")
    }

    #[test]
    fn a_piece_fits_only_as_it_was_and_where_it_was() {
        let bytes = content(2 * M + 10);
        let pieces = list(&bytes);
        assert_eq!(pieces.count(), 3);
        assert!(pieces.fits(0, &bytes[..M]) && pieces.fits(1, &bytes[M..2 * M]) && pieces.fits(2, &bytes[2 * M..]));
        let mut wrong = bytes[..M].to_vec();
        wrong[M - 1] ^= 1;
        for (piece, bytes, what) in [
            (0, &wrong[..], "a bit is another"),
            (0, &bytes[..M - 1], "too short"),
            (0, &bytes[..M + 1], "too long"),
            (0, &bytes[M..2 * M], "another piece"),
            (2, &bytes[..0], "empty"),
            (3, &bytes[..0], "there is no such piece"),
            (u32::MAX, &bytes[..M], "far beyond"),
        ] {
            assert!(!pieces.fits(piece, bytes), "{what}");
        }
    }

    #[test]
    fn json_is_short_and_comes_back() {
        let pieces = list(&content(M + 1));
        let text = serde_json::to_string(&pieces).expect("serialises");
        assert!(text.starts_with(r#"{"md5":""#) && text.contains(r#""size":1048577,"piece_size":1048576,"sha256":""#));
        assert_eq!(serde_json::from_str::<Pieces>(&text).expect("reads"), pieces);
        let digests = vec![Sha256([7; 32]); PIECES_MAX as usize];
        let largest = Pieces::new(Md5([255; 16]), u64::MAX, 1 << 52, digests).expect("fits");
        let text = serde_json::to_string(&largest).expect("serialises");
        assert!(text.len() <= PIECES_BYTES_MAX, "{}", text.len());
        assert_eq!(serde_json::from_str::<Pieces>(&text).expect("reads"), largest);
    }

    #[test]
    fn a_list_that_does_not_fit_is_refused() {
        let md5 = Md5([1; 16]);
        let digests = |count: usize| vec![Sha256([7; 32]); count];
        let m = M as u64;
        for (size, piece_size, count, expected) in [
            (2 * m, m, 2, None),
            (2 * m, m, 1, Some(NotAList::Count { found: 1, count: 2 })),
            (2 * m, m, 3, Some(NotAList::Count { found: 3, count: 2 })),
            (2 * m, 1, 2, Some(NotAList::Layout { size: 2 * m, piece_size: 1 })),
            (2 * m, 0, 2, Some(NotAList::Layout { size: 2 * m, piece_size: 0 })),
            (u64::MAX, m, 2, Some(NotAList::Layout { size: u64::MAX, piece_size: m })),
        ] {
            assert_eq!(
                Pieces::new(md5, size, piece_size, digests(count)).err(),
                expected,
                "{size} {piece_size} {count}"
            );
        }
        assert_eq!(Pieces::from_bytes(md5, m + 1, m, &[0; 63]), Err(NotAList::Digests));
        let text =
            |sha256: &str| format!(r#"{{"md5":"{md5}","size":1048577,"piece_size":1048576,"sha256":"{sha256}"}}"#);
        assert!(serde_json::from_str::<Pieces>(&text(&BASE64.encode([0; 64]))).is_ok());
        for wrong in [BASE64.encode([0; 32]), BASE64.encode([0; 65]), "*".into(), "A".repeat(PIECES_BYTES_MAX + 4)] {
            assert!(serde_json::from_str::<Pieces>(&text(&wrong)).is_err(), "{wrong:.40}");
        }
    }

    #[test]
    fn the_root_stands_for_all_of_it() {
        let m = M as u64;
        let of = |size, piece, digests: &[u8]| {
            let digests: Vec<_> = digests.iter().map(|byte| Sha256([*byte; 32])).collect();
            Pieces::new(Md5([1; 16]), size, piece, digests).expect("fits").root()
        };
        let root = of(2 * m, m, &[1, 2]);
        for other in
            [of(2 * m, m, &[2, 1]), of(2 * m, m, &[1, 3]), of(2 * m - 1, m, &[1, 2]), of(3 * m, 2 * m, &[1, 2])]
        {
            assert_ne!(other, root);
        }
        let by_hand = [&(2 * m).to_be_bytes()[..], &m.to_be_bytes(), &[1; 32], &[2; 32]].concat();
        assert_eq!(root, Digests::of(&by_hand).sha256);
    }

    proptest! {
        #[test]
        fn any_list_comes_back_and_any_other_number_of_digests_is_refused(
            size in 1..200_u64 << 20,
            doublings in 16..30_u32,
            md5: [u8; 16],
            seed: u8,
            more in -2..=2_i64,
        ) {
            let layout = Layout::new(size, 1 << doublings).expect("few pieces");
            let count = (i64::from(layout.count()) + more).max(0) as usize;
            let bytes: Vec<u8> = (0..32 * count).map(|at| (at as u8).wrapping_mul(31) ^ seed).collect();
            let list = Pieces::from_bytes(Md5(md5), size, layout.piece_size(), &bytes);
            prop_assert_eq!(list.is_ok(), count == layout.count() as usize);
            let Ok(list) = list else { return Ok(()) };
            let text = serde_json::to_string(&list).expect("serialises");
            let read: Pieces = serde_json::from_str(&text).expect("reads");
            prop_assert_eq!((read.root(), read.layout()), (list.root(), layout));
            prop_assert_eq!(read, list.clone());
            prop_assert_eq!(list.to_bytes(), bytes);
        }
    }
}
