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
    have::{HAVE_PEERS_MAX, Have, peer_port},
    layout::{Layout, PIECE_SIZE_MIN, has_several, piece_size},
    list::{NotAList, PIECES_BYTES_MAX, Pieces},
};

/// `PIECES` + MD5: the list of digests.
pub const PIECES: &str = "/.outpost/v1/pieces/";
/// `HAVE` + MD5 + `?piece=BYTES`: what is here now, and who else asks.
pub const HAVE: &str = "/.outpost/v1/have/";
/// The request field in which an asker tells the port at which it shares what it has; its address is the connection's.
pub const PEER_FIELD: &str = "outpost-peer";
