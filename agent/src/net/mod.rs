//! The one room of the agent that connects to anyone. It decides nothing: who is asked, and what is made of the answer, is for others.
//!
//! In reading order: [`client`] sends one request and gives its answer, [`pieces`] its body, [`json`] a body that is read at once; [`mod@line`] is how fast
//! and when, [`own_address`] from where; [`trust`] whom to believe over TLS, [`error`] what can go wrong.

pub(crate) mod client;
pub(crate) mod error;
pub(crate) mod json;
pub(crate) mod line;
pub(crate) mod own_address;
pub(crate) mod pieces;
mod trust;
