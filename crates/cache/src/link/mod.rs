//! The conversation with an upstream's origin beside files: what the program says to it and hears from it. Over the upstream's own connections, as
//! `desk` has it who we are. It decides nothing of what is said. `follower` listens to what changes, `reading` reads it, `changes` is what follows.

mod changes;
pub(crate) mod desk;
pub(crate) mod follower;
mod reading;

use std::{net::IpAddr, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode};
use protocol::changes::Change;
use tokio::sync::broadcast::{self, error::RecvError};

use self::desk::Desk;
use crate::{
    shared::Shared,
    upstream::{
        error::{AskError, CallError},
        route,
    },
};

/// One upstream's origin; clones share the conversation. It goes on when the upstream gets other options.
#[derive(Clone)]
pub struct OriginLink {
    shared: Arc<Shared>,
    desk: Arc<Desk>,
}

/// Why an origin gave no answer.
#[derive(Clone, Debug, thiserror::Error)]
pub enum LinkError {
    /// It cannot be asked, or did not answer in full: try again later.
    #[error("the origin of the upstream '{upstream}' gave no answer: {reason}")]
    NoAnswer {
        /// The upstream's name.
        upstream: String,
        /// What happened.
        reason: String,
    },
    /// It says to come back later.
    #[error("the origin of the upstream '{upstream}' has no time now; it is asked again in {} s", retry_after.as_secs())]
    Busy {
        /// The upstream's name.
        upstream: String,
        /// For how long it is to be left alone.
        retry_after: Duration,
    },
    /// The options in force have no such upstream, or it is no Outpost.
    #[error("there is no upstream '{upstream}' that is an Outpost origin any more")]
    NoUpstream {
        /// Its name.
        upstream: String,
    },
}

impl LinkError {
    /// When to try again at the earliest, where the origin has said so.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Busy { retry_after, .. } => Some(*retry_after),
            Self::NoAnswer { .. } | Self::NoUpstream { .. } => None,
        }
    }
}

/// What an origin tells beside changes of files, as it comes: `hello` when a stream begins, `order`, `configuration` and `topology`.
pub struct Events {
    desk: Arc<Desk>,
    receiver: broadcast::Receiver<Change>,
}

impl Events {
    /// The next one. Who does not take them for long misses some: then the stream begins anew, with what is still to be told. Dropping the future
    /// loses nothing.
    pub async fn next(&mut self) -> Change {
        loop {
            match self.receiver.recv().await {
                Ok(change) => return change,
                Err(RecvError::Lagged(_)) => self.desk.begin_again(),
                // The desk that this holds has the sender.
                Err(RecvError::Closed) => std::future::pending().await,
            }
        }
    }
}

impl OriginLink {
    pub(crate) fn new(shared: &Arc<Shared>, upstream: &str) -> Self {
        Self { shared: shared.clone(), desk: shared.desks.of(upstream) }
    }

    /// The name of the upstream whose origin this is.
    pub fn upstream(&self) -> &str {
        &self.desk.name
    }

    /// From now on we speak under this name ([`NODE_FIELD`](protocol::info::NODE_FIELD)). `false` if it is none that can be sent.
    pub fn set_node(&self, name: &str) -> bool {
        self.desk.set_node(name)
    }

    /// From now on with this credential (`Authorization: Bearer`), or with none. `false` if it is none that can be sent.
    pub fn set_credential(&self, credential: Option<&str>) -> bool {
        self.desk.set_credential(credential)
    }

    /// Whether the stream of changes is up.
    pub fn is_live(&self) -> bool {
        self.desk.is_live()
    }

    /// What is told from now on.
    pub fn events(&self) -> Events {
        Events { desk: self.desk.clone(), receiver: self.desk.listen() }
    }

    /// Says something, and waits for the whole answer, of which the status may be any but one that says to come back later. A path begins with
    /// [`API`](protocol::info::API); a body is JSON, and none where it is empty. Another of the upstream's origins is asked when one fails. Dropping
    /// the future takes back nothing that was said.
    pub async fn call(&self, method: Method, path: &str, body: Bytes) -> Result<(StatusCode, Bytes), LinkError> {
        self.say(method, path, self.desk.fields(), body).await
    }

    /// Likewise, with this token in place of a credential: so one enrols. `None` if it is none that can be sent.
    pub async fn call_with(
        &self,
        token: &str,
        method: Method,
        path: &str,
        body: Bytes,
    ) -> Option<Result<(StatusCode, Bytes), LinkError>> {
        let fields = self.desk.fields_with(token)?;
        Some(self.say(method, path, fields, body).await)
    }

    /// The address under which this machine speaks with its origin; `None` while the way there is not known.
    pub async fn own_address(&self) -> Option<IpAddr> {
        let settings = self.shared.settings();
        let origins = settings.named(&self.desk.name)?.status().origins;
        let url = origins.into_iter().find(|origin| origin.in_use)?.url;
        self.shared.on_fetches(async move { route::own_address(&url).await }).await.ok().flatten()
    }

    async fn say(
        &self,
        method: Method,
        path: &str,
        fields: HeaderMap,
        body: Bytes,
    ) -> Result<(StatusCode, Bytes), LinkError> {
        let name = || self.desk.name.to_string();
        let settings = self.shared.settings();
        let upstream = settings.named(&self.desk.name).filter(|upstream| upstream.knows_digests()).cloned();
        let upstream = upstream.ok_or_else(|| LinkError::NoUpstream { upstream: name() })?;
        let path = path.to_owned();
        let calling = async move { upstream.call(method, &path, fields, body).await };
        let called = self
            .shared
            .on_fetches(calling)
            .await
            .unwrap_or_else(|failure| Err(CallError::Ask(AskError::Unreachable(failure.detail().into()))));
        called.map_err(|error| match error {
            CallError::Busy { retry_after } => LinkError::Busy { upstream: name(), retry_after },
            CallError::Ask(error) => LinkError::NoAnswer { upstream: name(), reason: error.to_string() },
        })
    }
}
