//! What a fill is told before it begins, and what it may build on.

use bytes::Bytes;
use protocol::digest::Claims;

/// What is about to be filled.
#[derive(Clone, Debug, Default)]
pub struct FillSpec {
    /// Complete length, if known. Room for it is reserved before the first byte.
    pub len: Option<u64>,
    /// What the bytes are claimed to be; checked before the tail is released.
    pub claims: Claims,
    /// Of what this is a fill, as the caller understands it: name and validators. A part with an equal source can be continued.
    pub source: Bytes,
    /// What this is, for people who ask why something else had to give way to it.
    pub label: Box<str>,
    /// Continue at the part's end, as [`crate::Store::resumable`] told. `false` begins at 0 and discards an old part.
    pub resume: bool,
}

/// A part from before that can be continued.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Resumable {
    /// The first byte that is missing. What is before it is durable and hashed anew.
    pub position: u64,
    /// Bytes that are there in all, those included that came before their turn.
    pub taken: u64,
}
