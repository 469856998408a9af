//! Brings one content: does what the chain says, one step after the other.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use protocol::digest::Digests;
use serde::{Deserialize, Serialize};
use tokio::sync::{Notify, Semaphore};

use super::{
    attempt::{Attempt, Came},
    blame::Blame,
    finder::{Finder, Found, now},
    queue::{self, Followed},
    sink::Sink,
    swarm::{
        arrivals::Arrivals,
        party::{Party, Turn},
    },
    told::{Stage, Told},
    trouble::SinkError,
    wanted::Wanted,
};
use crate::decide::{
    chain::{Chain, End, Step, Wait, Why},
    health::Health,
    outcome::Outcome,
    resume::Identity,
    source::{Rank, Source},
};

/// During a blackout it is looked so often whether somebody may be asked all the same.
const LOOK_EVERY: Duration = Duration::from_secs(60);

/// Brings one content. Dropping its future stops it; what is here stays.
pub(crate) struct Task {
    pub(crate) finder: Arc<Finder>,
    pub(crate) health: Arc<Mutex<Health>>,
    pub(crate) chain: Chain,
    /// Whether sources are asked by the digest before they are asked by the path.
    pub(crate) by_digest: bool,
    pub(crate) wanted: Wanted,
    pub(crate) sink: Sink,
    pub(crate) told: Told,
    /// Nobody waits beyond this.
    pub(crate) deadline: Option<Instant>,
    /// All waits are over at once when this is notified.
    pub(crate) retry_now: Arc<Notify>,
    /// How many may receive at once.
    pub(crate) slots: Option<Arc<Semaphore>>,
    /// Who brought how much.
    pub(crate) sources: Vec<Brought>,
    /// Where neighbours find what arrives; without it everything comes in one piece.
    pub(crate) arrivals: Option<Arc<Arrivals>>,
    /// What may come in pieces.
    pub(crate) party: Option<Party>,
    /// What is wanted is known from a proxy, which no origin has confirmed.
    pub(crate) knows_proxies_word: bool,
}

/// A source, and what it brought.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Brought {
    pub(crate) name: String,
    pub(crate) rank: String,
    pub(crate) url: String,
    pub(crate) bytes: u64,
}

/// Why it did not come.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BringError {
    /// Nobody has it.
    #[error("nobody has this file; check its spelling, upper and lower case included")]
    Absent,
    /// Nobody gives it to us.
    #[error("nobody gives this file to this machine{}", said(.0))]
    Refused(Option<String>),
    /// Wrong bytes.
    #[error("everything that came has another digest than it should have{}", said(.0))]
    Wrong(Option<String>),
    /// Too long.
    #[error("it did not come in time{}; what is here is kept, and the same command continues it", said(.0))]
    TimedOut(Option<String>),
    /// Our own disk.
    #[error("{0}")]
    Disk(String),
}

impl BringError {
    /// The exit code that says it.
    pub(crate) fn code(&self) -> u8 {
        match self {
            Self::Disk(_) => 1,
            Self::Absent => 3,
            Self::Wrong(_) => 4,
            Self::TimedOut(_) => 69,
            Self::Refused(_) => 77,
        }
    }
}

fn said(trouble: &Option<String>) -> String {
    trouble.as_ref().map(|trouble| format!(" ({trouble})")).unwrap_or_default()
}

impl Task {
    /// Brings it. May be called again after it was dropped: it goes on where it was.
    pub(crate) async fn bring(&mut self) -> Result<Digests, BringError> {
        let mut blame = Blame::default();
        if self.sink.position() > 0 {
            blame.has_earlier();
        }
        self.told.at(self.sink.position());
        self.ask_proxies(&mut blame).await?;
        loop {
            match self.in_pieces(&mut blame).await? {
                Turn::Here(digests) => return Ok(digests),
                Turn::Plain(source) => {
                    if let Some(digests) = self.ask_in_one(&source, &mut blame).await? {
                        return Ok(digests);
                    }
                    continue;
                }
                Turn::Chain => {}
            }
            let step = self.chain.next(&self.health.lock(), now());
            match step {
                Step::Discover => {
                    if let Some(digests) = self.discover(&mut blame).await? {
                        return Ok(digests);
                    }
                }
                Step::Ask(place) if self.is_held(place) => self.wait_for_line().await?,
                Step::Ask(place) => {
                    if let Some(digests) = self.ask(place, &mut blame).await? {
                        return Ok(digests);
                    }
                }
                Step::Wait(wait) => self.wait(&wait).await?,
                Step::GiveUp(End::Absent) if self.knows_proxies_word => self.go_by_path(&mut blame).await?,
                Step::GiveUp(end) => return Err(self.given_up(end)),
            }
        }
    }

    /// Where nobody else tells what is at the path, a proxy may.
    async fn ask_proxies(&mut self, blame: &mut Blame) -> Result<(), BringError> {
        if self.by_digest {
            return Ok(());
        }
        let finder = self.finder.clone();
        self.knows_proxies_word |= finder.ask_proxies(&mut self.wanted).await;
        if self.knows_proxies_word {
            self.told.say(|state| state.size = self.wanted.identity.size);
            self.leave_other_content(blame).await?;
            // A web server has no pieces.
            let proxies = self.chain.sources().map(|(source, _)| source.clone());
            let proxies: Vec<_> = proxies.filter(|source| source.rank == Rank::Proxy).collect();
            self.meet(&proxies);
        }
        Ok(())
    }

    /// What is here may be of another content than the path has now.
    async fn leave_other_content(&mut self, blame: &mut Blame) -> Result<(), SinkError> {
        let (ours, theirs) = (self.sink.identity().md5, self.wanted.identity.md5);
        if self.sink.position() > 0 && theirs.is_some() && ours != theirs {
            self.sink.anew().await?;
            self.told.at(0);
            blame.anew();
        }
        Ok(())
    }

    /// Nobody has what the proxy said: at the path may be another content now.
    async fn go_by_path(&mut self, blame: &mut Blame) -> Result<(), BringError> {
        (self.knows_proxies_word, self.wanted.is_given, self.party) = (false, false, None);
        self.wanted.identity = Identity::default();
        self.sink.anew().await?;
        blame.anew();
        self.told.at(0);
        self.chain.forgive();
        Ok(())
    }

    /// One's own cache first, then whoever knows. `Some`: it is here.
    async fn discover(&mut self, blame: &mut Blame) -> Result<Option<Digests>, BringError> {
        self.told.stage(Stage::Looking, None);
        if let Some(digests) = self.sink.prepare(&self.wanted.identity).await? {
            return Ok(Some(digests));
        }
        let finder = self.finder.clone();
        let found = finder.find(&mut self.wanted).await;
        let now = now();
        match found {
            Found::Sources(sources, expires_in) => {
                self.meet(&sources);
                self.chain.found(sources, expires_in, now);
            }
            Found::NotReady(retry_after) => {
                self.meet(&[]);
                self.chain.not_ready(retry_after, now);
            }
            Found::Unknown(until) => self.chain.unknown(until, now),
            Found::Absent => return Err(BringError::Absent),
        }
        self.told.say(|state| state.size = self.wanted.identity.size);
        self.leave_other_content(blame).await?;
        Ok(self.sink.prepare(&self.wanted.identity).await?)
    }

    /// One download of all that is missing.
    async fn ask_in_one(&mut self, source: &Source, blame: &mut Blame) -> Result<Option<Digests>, BringError> {
        match self.chain.place_of(&source.url) {
            Some(place) => self.ask(place, blame).await,
            None => {
                self.plain_ended(source, &Outcome::Absent);
                Ok(None)
            }
        }
    }

    async fn ask(&mut self, place: usize, blame: &mut Blame) -> Result<Option<Digests>, BringError> {
        let source = self.chain.source(place).clone();
        // Who waits for an answer or in a queue takes nobody's place.
        let _slot = match &self.slots {
            Some(slots) => slots.clone().acquire_owned().await.ok(),
            None => None,
        };
        self.told.stage(Stage::Asking, Some((&source.name, source.rank.name())));
        if let Some(digests) = self.sink.prepare(&self.wanted.identity).await? {
            return Ok(Some(digests));
        }
        if let Some(digests) = self.arrive_in_one().await? {
            return Ok(Some(digests));
        }
        let before = self.sink.taken();
        let (chain, health) = (&mut self.chain, &self.health);
        let mut began = || chain.began(place, &mut health.lock());
        let mut attempt = Attempt {
            client: &self.finder.client,
            source: &source,
            by_digest: self.by_digest || (self.knows_proxies_word && source.rank != Rank::Origin),
            wanted: &mut self.wanted,
            sink: &mut self.sink,
            blame,
            told: &self.told,
            began: &mut began,
        };
        let came = match &mut self.party {
            Some(party) => tokio::select! {
                biased;
                came = attempt.make() => came,
                never = party.beside(health) => match never {},
            },
            None => attempt.make().await,
        }?;
        self.brought(&source, self.sink.taken().saturating_sub(before));
        match came {
            Came::All(digests) => Ok(Some(digests)),
            Came::Not(outcome) => {
                self.plain_ended(&source, &outcome);
                self.chain.outcome(place, &outcome, &mut self.health.lock(), now());
                Ok(None)
            }
            // It is nobody's fault, and what is here is kept.
            Came::Closed => Ok(None),
        }
    }

    /// Whether a source is behind our own line, and nothing is brought over that now.
    fn is_held(&self, place: usize) -> bool {
        self.chain.source(place).rank.is_behind_line() && self.finder.client.line().closed().is_some()
    }

    /// Waits for the end of a blackout, but not long at once: a neighbour may have got it meanwhile.
    async fn wait_for_line(&mut self) -> Result<(), BringError> {
        let line = self.finder.client.line().clone();
        let Some(until) = line.closed() else { return Ok(()) };
        self.told.stage(Stage::Waiting, None);
        let again_in = until.saturating_duration_since(now()) + Duration::from_millis(999);
        self.told.say(|state| (state.why, state.again_in) = (Some("blackout".into()), Some(again_in.as_secs())));
        if self.deadline.is_some_and(|deadline| until > deadline) {
            return Err(BringError::TimedOut(self.told.now().trouble));
        }
        tokio::select! {
            () = tokio::time::sleep_until(until.min(now() + LOOK_EVERY).into()) => {}
            () = line.renewed() => {}
        }
        Ok(())
    }

    pub(super) fn brought(&mut self, source: &Source, bytes: u64) {
        match self.sources.iter_mut().find(|brought| brought.url == source.url) {
            Some(brought) => brought.bytes += bytes,
            None if bytes > 0 => self.sources.push(Brought {
                name: source.name.clone(),
                rank: source.rank.name().into(),
                url: source.url.clone(),
                bytes,
            }),
            None => {}
        }
    }

    async fn wait(&mut self, wait: &Wait) -> Result<(), BringError> {
        let source = wait.source.map(|place| self.chain.source(place).clone());
        self.say_why(wait, source.as_ref());
        if self.deadline.is_some_and(|deadline| wait.until > deadline) {
            return Err(BringError::TimedOut(self.told.now().trouble));
        }
        let retry_now = self.retry_now.clone();
        let pieces_at = self.party.as_ref().and_then(|party| party.looks_again_at(now()));
        tokio::select! {
            () = retry_now.notified() => self.forgive(),
            // Who keeps us waiting is asked meanwhile who else has pieces.
            () = sleep_until(pieces_at), if pieces_at.is_some() => {}
            followed = self.pass(wait, source.as_ref()) => match (followed, wait.source) {
                (Followed::Come, Some(place)) => self.chain.place_free(place, now()),
                (Followed::Lost, Some(place)) => self.chain.lost(place, &mut self.health.lock(), now()),
                _ => {}
            },
        }
        Ok(())
    }

    /// All waits are over.
    pub(super) fn forgive(&mut self) {
        self.health.lock().forgive();
        self.chain.forgive();
        if let Some(party) = &mut self.party {
            party.forgive();
        }
    }

    /// Lets the time pass, unless the one whose fill is followed says something before it is over.
    async fn pass(&self, wait: &Wait, source: Option<&Source>) -> Followed {
        if let (true, Some(source), Some(md5)) = (wait.follow, source, &self.wanted.identity.md5) {
            let followed = queue::follow(&self.finder.client, &source.url, md5, wait.until, &self.told).await;
            if followed != Followed::Nothing {
                return followed;
            }
        }
        tokio::time::sleep_until(wait.until.into()).await;
        Followed::Nothing
    }

    fn say_why(&self, wait: &Wait, source: Option<&Source>) {
        self.told.stage(Stage::Waiting, source.map(|source| (source.name.as_str(), source.rank.name())));
        let again_in = wait.until.saturating_duration_since(now()) + Duration::from_millis(999);
        self.told.say(|state| {
            let why = match wait.why {
                Why::Failing => "failing",
                Why::Busy(busy) => busy.name(),
                Why::NotReady => "not-ready",
            };
            (state.why, state.again_in) = (Some(why.into()), Some(again_in.as_secs()));
        });
        if let Why::Busy(crate::decide::outcome::Busy::Places(queue)) = wait.why {
            self.told.queue(queue);
        }
    }

    fn given_up(&self, end: End) -> BringError {
        let trouble = self.told.now().trouble;
        match end {
            End::Absent => BringError::Absent,
            End::Refused => BringError::Refused(trouble),
            End::Wrong => BringError::Wrong(trouble),
        }
    }
}

async fn sleep_until(at: Option<Instant>) {
    if let Some(at) = at {
        tokio::time::sleep_until(at.into()).await;
    }
}

impl From<SinkError> for BringError {
    fn from(error: SinkError) -> Self {
        Self::Disk(error.to_string())
    }
}
