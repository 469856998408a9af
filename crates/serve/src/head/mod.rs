//! Heads: what a client sends is read strictly ([`parse`], with what of it decides about the connection in `framing`, and the reasons to
//! refuse it in `refusal`), what it gets is written quickly ([`mod@write`]). All of it is pure.

pub(crate) mod chunks;
pub(crate) mod framing;
pub mod parse;
pub(crate) mod refusal;
#[cfg(test)]
mod tests;
pub mod write;
