//! Short answers that are kept for nobody but say the same to all who wait for them: that there is no such file, that it is elsewhere.

use std::time::SystemTime;

use bytes::Bytes;
use protocol::cache_status::CacheStatus;
use serve::response::{Body, FieldBlock, Response};

use super::pieces::NoPieces;
use crate::{
    asked::Asked,
    names::representation::{self, Representation},
};

/// One of them.
pub(crate) struct Said {
    pub(crate) representation: Representation,
    /// `None` if only a HEAD was asked.
    pub(crate) body: Option<Bytes>,
}

impl Said {
    /// `None` if the client wants bytes, and there are none.
    pub(crate) fn respond(&self, asked: &Asked<'_>, now: SystemTime) -> Option<Response> {
        let body = match &self.body {
            Some(body) => Body::Memory(body.clone()),
            None if asked.is_head => Body::Stream { stream: Box::pin(NoPieces), len: self.representation.len },
            None => return None,
        };
        let fields = FieldBlock { shared: Some(self.representation.whole_block()), own: Vec::new(), dated: true };
        let mut response = Response { fields, body, ..Response::new(self.representation.status) };
        if let Some(age) = self.representation.age(now) {
            response.fields.push("Age", representation::number(age));
        }
        response.cache_status = Some(CacheStatus::Passed);
        Some(response)
    }
}
