//! Heads: what a client sends is read strictly ([`parse`]), what it gets is written quickly ([`write`]). Both are pure.

pub mod parse;
pub mod write;
