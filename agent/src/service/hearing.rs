//! Listens to what the origin tells as it happens: one connection, mostly silent.
//!
//! | what ends a stream | what follows |
//! | --- | --- |
//! | cut, silent for three heartbeats, an event that cannot be understood | the next origin, and this one again after a back-off, as after any failure |
//! | the origin has none (an earlier release) | it is asked again after [`NONE_WAIT`] |
//! | it says to come back later | that is obeyed |
//! | other folders are of interest, or we are somebody else | it begins anew, soon |

use std::{
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use http::StatusCode;
use parking_lot::Mutex;
use protocol::{
    changes::Change,
    info::{CHANGES, NODE_FIELD},
    listening::Reading,
    patience::{Next, Spread},
};
use tokio::sync::{mpsc, watch};

use super::downloads::Downloads;
use crate::{
    bring::finder::{Node, now},
    decide::{
        health::{Health, Request},
        outcome::Outcome,
    },
    net::{
        client::{Ask, Client, escaped},
        json,
        pieces::Pieces,
    },
    seed,
};

/// Who has no stream may have one after an update.
const NONE_WAIT: Duration = Duration::from_secs(600);
/// Heartbeats without a sign of life.
const SILENT_MAX: u64 = 3;
/// A stream that was up for so long was well: what ends it is a first failure.
const WELL_AFTER: Duration = Duration::from_secs(30);
/// Before a stream that is to begin anew does.
const AGAIN_WITHIN: Duration = Duration::from_secs(1);
/// Below our own prefix there are no files: who is interested in none asks for these.
const NO_FOLDER: &str = "/.outpost/";

/// What is listened for: as whom, and changes below which folders. None: nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Interest {
    pub(crate) name: String,
    pub(crate) credential: Option<String>,
    pub(crate) folders: Vec<String>,
}

/// Who listens.
pub(crate) struct Hearing {
    pub(crate) client: Arc<Client>,
    pub(crate) health: Arc<Mutex<Health>>,
    pub(crate) downloads: Arc<Downloads>,
    pub(crate) interest: watch::Receiver<Option<Interest>>,
    /// Who is told; while nobody takes it, nothing more is read.
    pub(crate) tell: mpsc::Sender<Change>,
}

/// Why a stream is not on.
enum Ended {
    Failed(String, bool),
    None,
    Busy(Duration),
    /// Something else is of interest, or nobody listens any more.
    Again,
}

impl Hearing {
    /// Goes on until nobody listens any more.
    pub(crate) async fn listen(mut self) {
        let mut spread = Spread::new(seed());
        while !self.tell.is_closed() {
            let interest = self.interest.borrow_and_update().clone();
            let Some(interest) = interest else {
                if self.interest.changed().await.is_err() {
                    return;
                }
                continue;
            };
            let origins = self.downloads.ways().finder.origins.clone();
            let next = self.health.lock().first(origins.iter().map(String::as_str), Request::Changes, now());
            let until = match next {
                Next::Wait(until) => until,
                Next::Ask(place) => {
                    let ended = self.one(&origins[place], &interest).await;
                    self.judge(&origins[place], ended);
                    now() + spread.between(AGAIN_WITHIN / 4, AGAIN_WITHIN)
                }
            };
            tokio::select! {
                () = tokio::time::sleep_until(until.into()) => {}
                changed = self.interest.changed() => if changed.is_err() { return },
            }
        }
    }

    fn judge(&self, origin: &str, ended: Ended) {
        let mut health = self.health.lock();
        match ended {
            Ended::Again => {}
            Ended::None => health.busy(origin, Request::Changes, NONE_WAIT, now()),
            Ended::Busy(wait) => health.busy(origin, Request::Changes, wait, now()),
            Ended::Failed(error, was_well) => {
                tracing::debug!(origin, error, "an origin tells no more what changes");
                if was_well {
                    health.succeeded(origin, Request::Changes);
                }
                health.failed(origin, Request::Changes, now());
            }
        }
    }

    /// Asks for a stream.
    async fn open(&self, origin: &str, interest: &Interest) -> Result<Pieces, Ended> {
        let target = target(&interest.folders);
        let mut ask = Ask::get(origin, &target).with(NODE_FIELD, &interest.name);
        if let Some(credential) = &interest.credential {
            ask = ask.with("Authorization", &format!("Bearer {credential}"));
        }
        match self.client.send(ask).await {
            Ok(answer) if answer.status() == StatusCode::OK => Ok(self.client.pieces(answer.into_body(), false)),
            Ok(answer) => Err(refused(json::refusal(answer).await)),
            Err(error) => Err(Ended::Failed(error.to_string(), false)),
        }
    }

    /// One stream, from asking for it to its end.
    async fn one(&mut self, origin: &str, interest: &Interest) -> Ended {
        let mut pieces = match self.open(origin, interest).await {
            Ok(pieces) => pieces,
            Err(ended) => return ended,
        };
        let (began, mut reading) = (Instant::now(), Reading::default());
        loop {
            let piece = tokio::select! {
                biased;
                _ = self.interest.changed() => return Ended::Again,
                piece = pieces.next() => piece,
            };
            let was_well = began.elapsed() >= WELL_AFTER;
            let failed = |error: String| Ended::Failed(error, was_well);
            let said = match piece {
                None => return failed("it ended".into()),
                Some(Err(error)) => return failed(error.to_string()),
                Some(Ok(piece)) => reading.take(&piece),
            };
            let said = match said {
                Ok(said) => said,
                Err(error) => return failed(error),
            };
            if said.begins {
                tracing::info!(origin, "the origin tells what changes");
                self.health.lock().succeeded(origin, Request::Changes);
                pieces.set_silence(Duration::from_secs(SILENT_MAX * reading.heartbeat()));
            }
            let begin = reading.hello().filter(|_| said.begins).cloned().map(Change::Hello);
            for change in begin.into_iter().chain(said.changes) {
                if self.tell.send(change).await.is_err() {
                    return Ended::Again;
                }
            }
        }
    }
}

fn target(folders: &[String]) -> String {
    let below = |folder: &str| format!("below={}", escaped(folder));
    let all: Vec<String> = folders.iter().map(|folder| below(folder)).collect();
    format!("{CHANGES}?{}", if all.is_empty() { below(NO_FOLDER) } else { all.join("&") })
}

fn refused(refusal: json::Refusal) -> Ended {
    let retry_after = refusal.fields.get(http::header::RETRY_AFTER).map(|field| field.as_bytes());
    match Outcome::of(refusal.status, refusal.problem.as_ref(), retry_after, SystemTime::now()) {
        Outcome::Busy(_, wait) => Ended::Busy(wait),
        Outcome::Absent => Ended::None,
        _ => Ended::Failed(format!("status {}", refusal.status.as_u16()), false),
    }
}

impl Interest {
    /// Of a node.
    pub(crate) fn of(node: &Node, folders: Vec<String>) -> Self {
        Self { name: node.name.clone(), credential: node.credential.clone(), folders }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_keeps_nothing_is_told_of_no_files() {
        assert_eq!(target(&[]), "/.outpost/v1/changes?below=/.outpost/");
        let folders = ["/prod/a%20b/".to_owned(), "/x&y/".to_owned()];
        assert_eq!(target(&folders), "/.outpost/v1/changes?below=/prod/a%2520b/&below=/x%26y/");
    }
}
