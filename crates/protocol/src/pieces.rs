//! Contents in pieces: what lets many machines give each other a file while it still arrives, and believe nobody.
//!
//! | | |
//! | --- | --- |
//! | [`layout`] | how a content is cut: a function of its size, so that nobody has to agree on it |
//! | [`list`] | the SHA-256 of each piece, and their root, which stands for the list |
//! | [`hasher`] | makes the list and the digests of the content in one pass |
//! | [`bitmap`] | a set of pieces |
//! | [`have`] | what somebody has now, and who else wants it |
//!
//! A piece goes over plain HTTP, as one `Range` of `objects/MD5`. Who asks for what, and where, is decided elsewhere.

pub mod bitmap;
pub mod hasher;
pub mod have;
pub mod layout;
pub mod list;

pub use self::{
    bitmap::{Bitmap, PIECES_MAX},
    hasher::PiecesHasher,
    have::{HAVE_BYTES_MAX, HAVE_PEERS_MAX, Have, peer_port},
    layout::{Layout, PIECE_SIZE_MIN, has_several, piece_size},
    list::{NotAList, PIECES_BYTES_MAX, Pieces},
};

use crate::digest::{Claims, Sha256};

/// `PIECES` + MD5: the list of digests.
pub const PIECES: &str = "/.outpost/v1/pieces/";
/// `HAVE` + MD5 + `?piece=BYTES`: what is here now, and who else asks.
pub const HAVE: &str = "/.outpost/v1/have/";
/// The request field in which an asker tells the port at which it shares what it has; its address is the connection's.
pub const PEER_FIELD: &str = "outpost-peer";
/// The request field in which who asks for a range of an object says which SHA-256 just these bytes must have, as `Repr-Digest` would: to him the end of
/// a content that is still on its way can be given before all of it is verified.
pub const PIECE_FIELD: &str = "outpost-piece";

/// The digest in an `Outpost-Piece` field. What cannot be read says nothing.
pub fn piece_digest(field: &[u8]) -> Option<Sha256> {
    Claims::from_fields(Some(field), None, None).sha256
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::Digests;

    #[test]
    fn a_piece_is_named_as_any_content_is() {
        let digest = Digests::of(b"a piece").sha256;
        assert_eq!(piece_digest(digest.repr_digest().as_bytes()), Some(digest));
        for field in
            ["", "sha-256", "sha-256=::", "md5=:1B2M2Y8AsgTpgAmY7PhCfg==:", "sha-256=:1B2M2Y8AsgTpgAmY7PhCfg==:"]
        {
            assert_eq!(piece_digest(field.as_bytes()), None, "{field}");
        }
        assert_eq!(piece_digest(digest.to_string().as_bytes()), None, "hexadecimal");
    }
}
