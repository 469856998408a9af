//! Why there is nothing to serve, as a client will read it.

use std::sync::Arc;

use protocol::{
    digest::Md5,
    problem::{Kind, Problem},
};
use serve::response::Response;

/// A problem with its status. Clones share it: everybody who waited for the same thing gets the same answer.
#[derive(Clone, Debug)]
pub(crate) struct Failure {
    pub(crate) kind: Kind,
    problem: Arc<Problem>,
}

impl Failure {
    pub(crate) fn new(kind: Kind, detail: impl Into<String>) -> Self {
        Self { kind, problem: Arc::new(Problem::new(kind, detail)) }
    }

    pub(crate) fn with_retry_after(self, seconds: u64) -> Self {
        Self { kind: self.kind, problem: Arc::new(Problem::clone(&self.problem).retry_after(seconds)) }
    }

    /// What a person reads.
    pub(crate) fn detail(&self) -> &str {
        &self.problem.detail
    }

    /// Seconds after which to come back, if it says so.
    pub(crate) fn retry_after(&self) -> Option<u64> {
        self.problem.retry_after
    }

    /// The task that should have answered ended.
    pub(crate) fn interrupted() -> Self {
        Self::new(Kind::Overloaded, "the fetch was interrupted, for this server is stopping; ask again in a moment")
            .with_retry_after(1)
    }

    /// An object that is neither here nor where digests are known.
    pub(crate) fn no_object(md5: &Md5) -> Self {
        let detail = format!(
            "there is no object {md5} here, and no upstream that knows digests has it; ask for the file by its path"
        );
        Self::new(Kind::NotFound, detail)
    }

    /// A request that this server has sent itself would wait for its own answer (RFC 9110 section 7.6.3).
    pub(crate) fn came_back(path: &str, name: &str, upstream: &str) -> Self {
        let detail = format!(
            "the request for {path} came back to this server, which is '{name}' in its field Via: the upstream '{upstream}' leads here. \
             Correct its url, or, if another server has the same name, give each its own (serve.name)"
        );
        Self::new(Kind::Loop, detail)
    }

    pub(crate) fn to_response(&self) -> Response {
        Response::problem(&self.problem, self.kind)
    }
}
