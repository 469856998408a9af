//! What is told to all who wait and kept for nobody: a thousand who ask for what is missing are one request upstream.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};

use super::{outcome::Outcome, task::Fetch};
use crate::{
    answer::said::Said,
    names::representation::Proof,
    upstream::{body::Body, error::AskError, reply::Head},
};

/// Longer answers go to the one who asked, and everybody else asks for themselves.
const BYTES_MAX: usize = 64 << 10;

impl Fetch {
    /// Reads one to its end. What is longer, or breaks off, passes.
    pub(super) async fn say(&self, head: Head, body: Option<Body>) -> Outcome {
        let body = match body {
            None => None,
            Some(body) => match self.unless_closing(read(body)).await {
                Ok(Some(bytes)) => Some(bytes),
                Ok(None) | Err(_) => return Outcome::pass(None),
            },
        };
        Outcome::Said(Arc::new(Said { representation: self.describe(&head.record, Proof::Nothing), body }))
    }
}

/// `None` if there is more than is read.
async fn read(mut body: Body) -> Result<Option<Bytes>, AskError> {
    let mut bytes = BytesMut::new();
    while let Some(piece) = body.next().await? {
        if bytes.len() + piece.len() > BYTES_MAX {
            return Ok(None);
        }
        bytes.extend_from_slice(&piece);
    }
    Ok(Some(bytes.freeze()))
}
