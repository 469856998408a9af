//! What is read from: a [`reader`] is of an object that is [`sealed`] or still [`growing`], and both stand on an open file, the [`body`].
//! [`wishes`] are the waits for what is not there yet. What somebody knows that a span must be is [`expected`], and compared with [`proofs`] of what is
//! written. Small [`hot`] bodies are in memory; [`open_files`] says whose files stay open.

pub(crate) mod body;
pub(crate) mod expected;
pub(crate) mod growing;
pub(crate) mod hot;
pub(crate) mod open_files;
pub(crate) mod proofs;
pub(crate) mod reader;
pub(crate) mod sealed;
pub(crate) mod wishes;
