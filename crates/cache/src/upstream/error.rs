//! What goes wrong between an upstream and us, sorted by what follows from it.

use std::{io, time::Duration};

use http::Method;
use protocol::problem::Kind as ProblemKind;

use super::health::Trouble;
use crate::failure::Failure;

/// Why an upstream could not be asked, or what is wrong with its answer.
#[derive(Clone, Debug, thiserror::Error)]
pub(crate) enum AskError {
    #[error("{0}")]
    Unreachable(String),
    #[error("{0}")]
    TimedOut(String),
    /// It is there, but failed at this: a 5xx where bytes were to come, a connection that broke, a file that cannot be read.
    #[error("{0}")]
    Failing(String),
    /// Not HTTP, or not what was asked for.
    #[error("{0}")]
    Invalid(String),
    /// Other bytes than those that were begun.
    #[error("{0}")]
    Changed(String),
    /// It asks to come back later.
    #[error("{detail}")]
    Busy {
        /// Seconds.
        retry_after: u64,
        detail: String,
        kind: ProblemKind,
    },
}

/// Why an origin's answer to what the program says to it is not here.
#[derive(Clone, Debug)]
pub(crate) enum CallError {
    Ask(AskError),
    /// It says to come back after this.
    Busy {
        retry_after: Duration,
    },
}

impl From<AskError> for CallError {
    fn from(error: AskError) -> Self {
        Self::Ask(error)
    }
}

impl AskError {
    /// A request that got no answer.
    pub(super) fn of_request(server: &str, error: &hyper_util::client::legacy::Error) -> Self {
        let text = root_cause(error);
        let is_name_unknown = causes(error).any(|cause| cause.to_string() == "dns error");
        let timed_out = causes(error).any(|cause| {
            cause.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::TimedOut)
        });
        let of_hyper = causes(error).find_map(|cause| cause.downcast_ref::<hyper::Error>());
        match of_hyper {
            Some(error) if error.is_parse() => {
                Self::Invalid(format!("{server} sent something that is not HTTP: {text}"))
            }
            _ if timed_out => Self::TimedOut(format!("{server} does not answer: {text}")),
            _ if is_name_unknown => {
                let text = text.rsplit(": ").next().unwrap_or_default();
                Self::Unreachable(format!("the server {server} cannot be found by its name: {text}"))
            }
            _ if error.is_connect() => Self::Unreachable(format!("cannot connect to {server}: {text}")),
            // Whatever else failed cost no timeout, and may be the fault of one name.
            _ => Self::Failing(format!("the connection to {server} broke: {text}")),
        }
    }

    /// A body that broke off.
    pub(super) fn of_body(error: &hyper::Error) -> Self {
        let text = root_cause(error);
        let is_of = |kinds: &[io::ErrorKind]| {
            let found = causes(error).filter_map(|cause| cause.downcast_ref::<io::Error>());
            found.map(io::Error::kind).any(|kind| kinds.contains(&kind))
        };
        if error.is_parse() || is_of(&[io::ErrorKind::InvalidInput, io::ErrorKind::InvalidData]) {
            return Self::Invalid(format!("the upstream's body is not as its head announces it: {text}"));
        }
        if is_of(&[io::ErrorKind::UnexpectedEof]) {
            return Self::cut();
        }
        Self::Unreachable(format!("the connection broke: {text}"))
    }

    /// Fewer bytes than were announced.
    pub(crate) fn cut() -> Self {
        Self::Unreachable("the connection ended before all bytes had come".into())
    }

    /// As clients see it whose request was to pass, and may or may not have been carried out.
    pub(crate) fn to_failure_of(&self, method: &Method, path: &str, name: &str) -> Failure {
        let kind = match self {
            Self::Unreachable(_) | Self::Failing(_) => ProblemKind::UpstreamUnreachable,
            Self::TimedOut(_) => ProblemKind::UpstreamTimeout,
            Self::Invalid(_) | Self::Changed(_) | Self::Busy { .. } => ProblemKind::UpstreamInvalid,
        };
        let detail = format!(
            "the upstream '{name}' gave no answer to {method} {path}: {self}. It may have been carried out all the same: look before you repeat it"
        );
        Failure::new(kind, detail)
    }

    /// As clients see it when there is nothing else to serve: of which path, and the upstream's name.
    pub(crate) fn to_failure(&self, path: &str, name: &str) -> Failure {
        let failure = |kind, advice: &str| {
            let detail =
                format!("{path} is not here, and cannot be fetched from the upstream '{name}': {self}. {advice}");
            Failure::new(kind, detail)
        };
        match self {
            Self::Unreachable(_) | Self::Failing(_) => failure(
                ProblemKind::UpstreamUnreachable,
                "Try again later; if it lasts, check the upstream and the line to it",
            ),
            Self::TimedOut(_) => failure(
                ProblemKind::UpstreamTimeout,
                "Try again later; if it lasts, check the upstream and the line to it",
            ),
            Self::Invalid(_) => failure(ProblemKind::UpstreamInvalid, "Check what the upstream sends"),
            Self::Changed(_) => failure(ProblemKind::UpstreamInvalid, "Try again when nobody writes to it"),
            Self::Busy { retry_after, detail, kind } => {
                Failure::new(*kind, detail.clone()).with_retry_after(*retry_after)
            }
        }
    }

    /// Whether it says something of the upstream as a whole, for its breaker.
    pub(crate) fn trouble(&self) -> Option<Trouble> {
        match self {
            Self::Unreachable(_) => Some(Trouble::Refused),
            Self::TimedOut(_) => Some(Trouble::TimedOut),
            Self::Failing(_) | Self::Invalid(_) | Self::Changed(_) | Self::Busy { .. } => None,
        }
    }
}

fn causes<'a>(
    error: &'a (dyn std::error::Error + 'static),
) -> impl Iterator<Item = &'a (dyn std::error::Error + 'static)> {
    std::iter::successors(Some(error), |&error| error.source())
}

/// What the last in the chain says; those before it say in which of its steps the client library met it.
fn root_cause(error: &(dyn std::error::Error + 'static)) -> String {
    causes(error).last().map_or_else(String::new, ToString::to_string)
}
