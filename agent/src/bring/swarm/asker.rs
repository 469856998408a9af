//! Asks others for one content in pieces: how, and what is made of an answer that is none.

use std::{sync::Arc, time::SystemTime};

use http::{Response, header};
use hyper::body::Incoming;
use protocol::{
    digest::Md5,
    pieces::{Layout, PEER_FIELD},
};

use super::arrivals::Arrivals;
use crate::{
    decide::{
        outcome::Outcome,
        source::{Rank, Source},
    },
    net::{
        client::{Ask, Client},
        error::NetError,
        json::{self, Refusal},
    },
};

/// Who asks for one content.
#[derive(Clone)]
pub(crate) struct Asker {
    pub(crate) client: Arc<Client>,
    pub(crate) md5: Md5,
    pub(crate) layout: Layout,
    /// Where it is, without a query; for servers.
    pub(crate) path: Option<String>,
    /// Who knows the digests of its pieces, whether or not the content may be asked of them.
    pub(crate) origins: Vec<Source>,
    /// Whether and where we give what we have of it.
    pub(crate) arrivals: Arc<Arrivals>,
}

/// Why nothing came of a question.
#[derive(Clone, Debug)]
pub(crate) struct Missed {
    pub(crate) outcome: Outcome,
    /// For people.
    pub(crate) said: String,
    /// Others that were named.
    pub(crate) peers: Vec<String>,
}

impl Asker {
    /// What is below `place` of this content, as this source is asked for it.
    pub(super) fn target(&self, source: &Source, place: &str) -> String {
        match self.path.as_deref().filter(|_| source.rank != Rank::Peer) {
            // What separates parameters must not stand in one.
            Some(path) => format!("{place}{}?path={}", self.md5, path.replace('&', "%26")),
            None => format!("{place}{}", self.md5),
        }
    }

    /// One request up to the head of its answer, with what finds us.
    pub(super) async fn send(&self, mut ask: Ask<'_>) -> Result<Response<Incoming>, Missed> {
        if let Some(port) = self.arrivals.port_for(self.path.as_deref(), self.layout.size()) {
            ask = ask.with(PEER_FIELD, &port.to_string());
        }
        self.client.send(ask).await.map_err(Missed::from)
    }
}

impl Missed {
    /// It makes no sense.
    pub(super) fn senseless(why: &str) -> Self {
        Self::from(NetError::Senseless(why.into()))
    }

    /// It broke behind so many bytes.
    pub(super) fn behind(got: u64, error: &NetError) -> Self {
        Self { outcome: Outcome::Failed { got }, said: error.to_string(), peers: Vec::new() }
    }

    /// An answer that brings nothing.
    pub(super) async fn refused(answer: Response<Incoming>) -> Self {
        Self::of(json::refusal(answer).await)
    }

    pub(super) fn of(refusal: Refusal) -> Self {
        let retry_after = refusal.fields.get(header::RETRY_AFTER).map(|field| field.as_bytes());
        let outcome = Outcome::of(refusal.status, refusal.problem.as_ref(), retry_after, SystemTime::now());
        let (detail, peers) = refusal.problem.map(|problem| (problem.detail, problem.peers)).unwrap_or_default();
        let said = if detail.is_empty() { format!("status {}", refusal.status.as_u16()) } else { detail };
        Self { outcome, said, peers }
    }
}

impl From<NetError> for Missed {
    fn from(error: NetError) -> Self {
        Self::behind(0, &error)
    }
}
