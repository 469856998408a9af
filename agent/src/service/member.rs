//! Belongs to an origin: enrols, and takes its configuration. When and as whom is decided in `protocol::membership`; what is told is `telling`.

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::{Duration, SystemTime},
};

use config::agent::Origins;
use http::header;
use parking_lot::Mutex;
use protocol::{
    changes::Change,
    digest::Md5,
    enrolment::{Configuration, Enrol, Enrolled, Role},
    info::{CONFIGURATION, ENROL, NODE_FIELD},
    jobs::JobState,
    membership::{As, Meaning, Numbering, Rhythm, Standing},
    patience::{Backoff, Next},
};
use serde::de::DeserializeOwned;
use tokio::sync::{mpsc, watch};

use super::{
    downloads::Downloads,
    hearing::{Hearing, Interest},
    kept,
    membership::Membership,
    orders::Orders,
    renewal::Renewal,
    sharing::Sharing,
};
use crate::{
    bring::finder::{Node, now},
    decide::{
        health::{Health, Request},
        outcome::Outcome,
    },
    jobs::keeper::Jobs,
    net::{
        client::{Ask, Client},
        json,
    },
    seed,
};

/// The first question of all comes within this from the start: many machines start at the same moment.
const FIRST_WITHIN: Duration = Duration::from_secs(2);
/// What the origin has told and was not acted on yet.
const CHANGES_MAX: usize = 64;
/// A configuration is used without asking again for so many seconds, whatever it says.
const CONFIGURATION_AGE: std::ops::RangeInclusive<u64> = 10..=86_400;

/// Who belongs.
pub(crate) struct Member {
    pub(crate) origins: Origins,
    pub(crate) name: String,
    pub(crate) client: Arc<Client>,
    pub(crate) health: Arc<Mutex<Health>>,
    pub(crate) downloads: Arc<Downloads>,
    /// What neighbours may have, and where it listens for them; none where it does not.
    pub(crate) shares: Option<(Arc<Sharing>, SocketAddr)>,
    pub(crate) machines: Vec<String>,
    /// From which of its addresses it speaks to the origin, where that is said.
    pub(crate) local_address: Option<IpAddr>,
    pub(crate) backoff: Backoff,
    /// What takes what is delivered.
    pub(crate) renewal: Arc<Renewal>,
    /// Where it is said how it stands.
    pub(crate) membership: Arc<Membership>,
    /// Packages that it keeps.
    pub(crate) jobs: Arc<Jobs>,
    /// What it listens for.
    pub(crate) interest: watch::Sender<Option<Interest>>,
}

/// Where the conversation stands.
pub(super) struct Talk {
    pub(super) standing: Standing,
    credential: Option<String>,
    /// The origin has delivered a configuration, and takes reports.
    pub(super) is_member: bool,
    /// The credential was given just now, and has not been taken yet.
    is_fresh: bool,
    /// Neighbours are served, as the origin was told last.
    pub(super) shares: bool,
    pub(super) questions: Rhythm,
    pub(super) numbering: Numbering,
    pub(super) reports: Rhythm,
    /// Of a full report: what is still to be told.
    pub(super) rest: Vec<Md5>,
    pub(super) orders: Orders,
    /// How jobs stood when that was told last.
    pub(super) told_jobs: Option<Vec<JobState>>,
}

/// Why an origin did not do it.
pub(super) struct Refused {
    pub(super) meaning: Meaning,
    retry_after: Option<Duration>,
}

impl Member {
    /// Goes on until it is dropped.
    pub(crate) async fn belong(self) {
        let store = self.downloads.store().clone();
        let watch = store.watch();
        let mut talk = self.begin();
        self.know(&talk);
        // Where nothing is shared nothing changes.
        let mut renewed = self.renewal.settled.renewed();
        let mut sharing = self.shares.as_ref().map_or_else(|| watch::channel(None).1, |(sharing, _)| sharing.changes());
        let retry_now = self.downloads.retried();
        // Heard too while something is being asked.
        let mut retried = std::pin::pin!(retry_now.notified());
        let (mut changes, mut jobs) = (self.hearing(), self.jobs.board().changes());
        loop {
            tokio::select! {
                () = tokio::time::sleep_until(talk.due().into()) => {}
                () = watch.came() => talk.reports.soon(now()),
                // Others may have pieces of it.
                () = self.downloads.arrivals().changed(), if self.shares.is_some() => talk.reports.soon(now()),
                Some(change) = changes.recv() => self.heard(&mut talk, change),
                () = talk.orders.ended() => self.order_ended(&mut talk),
                Ok(()) = jobs.changed() => talk.reports.soon(now()),
                Ok(()) = sharing.changed() => self.shares_or_not(&mut talk),
                Ok(()) = renewed.changed() => talk.everything_anew(),
                () = &mut retried => {
                    retried.set(retry_now.notified());
                    talk.forgive();
                }
            }
            self.membership.say(|stands| stands.is_member = talk.is_member);
            if talk.questions.due() <= now() {
                self.ask_what_is_wanted(&mut talk).await;
            } else if talk.is_member && talk.reports.due() <= now() {
                self.report(&mut talk, &watch).await;
            }
            self.listen_as(&talk);
        }
    }

    /// What the origin tells, for as long as this belongs to it.
    fn hearing(&self) -> mpsc::Receiver<Change> {
        let (tell, changes) = mpsc::channel(CHANGES_MAX);
        let (client, health, downloads) = (self.client.clone(), self.health.clone(), self.downloads.clone());
        tokio::spawn(Hearing { client, health, downloads, interest: self.interest.subscribe(), tell }.listen());
        changes
    }

    /// Everything is told anew, or that there is nothing any more.
    fn shares_or_not(&self, talk: &mut Talk) {
        let shares = self.sharing().is_some();
        if talk.shares != shares {
            talk.shares = shares;
            talk.everything_anew();
        }
    }

    /// What neighbours may have now.
    pub(super) fn sharing(&self) -> Option<&Arc<Sharing>> {
        self.shares.as_ref().map(|(sharing, _)| sharing).filter(|sharing| sharing.is_on())
    }

    fn begin(&self) -> Talk {
        let credential = kept::credential(&self.origins, &self.name);
        let start = now();
        let rhythm = || Rhythm::new(start, FIRST_WITHIN, self.backoff, seed());
        Talk {
            standing: Standing::new(self.origins.token_file.is_some(), credential.is_some()),
            credential,
            is_member: false,
            is_fresh: false,
            shares: self.sharing().is_some(),
            questions: rhythm(),
            numbering: Numbering::default(),
            reports: rhythm(),
            rest: Vec::new(),
            orders: Orders::default(),
            told_jobs: None,
        }
    }

    /// From now on questions are asked with this.
    fn know(&self, talk: &Talk) {
        let node = Node { name: self.name.clone(), credential: talk.credential.clone() };
        self.downloads.change_ways(|finder| finder.node = Some(node));
    }

    async fn ask_what_is_wanted(&self, talk: &mut Talk) {
        if talk.standing.next() == As::Newcomer && !self.enrol(talk).await {
            return;
        }
        match self.ask(Request::Enrolment, talk, |origin| Ask::get(origin, CONFIGURATION)).await {
            Ok(configuration) => self.take(talk, configuration).await,
            Err(refused) => {
                talk.standing.answered(refused.meaning);
                talk.is_member &= refused.meaning != Meaning::Unknown;
                let knows_it_no_more = refused.meaning == Meaning::Unknown && talk.standing.next() == As::Newcomer;
                match knows_it_no_more && !talk.is_fresh {
                    // One that was given just now and is not taken is a fault that more of it does not mend.
                    true => talk.questions.more(now()),
                    false => refused.hold(&mut talk.questions),
                }
            }
        }
    }

    async fn take(&self, talk: &mut Talk, configuration: Configuration) {
        talk.standing.answered(Meaning::Taken);
        (talk.is_member, talk.is_fresh) = (true, false);
        let age = configuration.source_expiry.clamp(*CONFIGURATION_AGE.start(), *CONFIGURATION_AGE.end());
        talk.questions.done(now(), Duration::from_secs(age));
        self.membership.say(|stands| stands.domain = configuration.domain.clone());
        let (renewal, origins, name) = (self.renewal.clone(), self.origins.clone(), self.name.clone());
        let jobs = self.jobs.clone();
        // Not on the thread that serves.
        let taking = tokio::task::spawn_blocking(move || {
            jobs.assign(&configuration.jobs);
            if renewal.deliver(&configuration) {
                said(kept::keep_configuration(&origins, &name, &configuration), &origins.state_dir);
                return true;
            }
            false
        });
        // What became of it is told at once.
        if taking.await.unwrap_or_default() {
            talk.reports.soon(now());
        }
    }

    /// Shows the token; `true` if there is a credential that was never shown now.
    async fn enrol(&self, talk: &mut Talk) -> bool {
        let file = self.origins.token_file.clone().unwrap_or_default();
        let token = match std::fs::read_to_string(&file) {
            Ok(token) => token,
            Err(error) => {
                let file = file.display().to_string();
                tracing::warn!(file, %error, "the token by which this machine enrols cannot be read");
                talk.questions.failed(now());
                return false;
            }
        };
        let enrol = Enrol {
            name: self.name.clone(),
            role: Role::Agent,
            version: env!("CARGO_PKG_VERSION").into(),
            url: self.url().await,
            machines: self.machines.clone(),
            // Another origin of the site may have given it: then it is the same one everywhere.
            credential: talk.credential.clone(),
        };
        let bearer = format!("Bearer {}", token.trim());
        let asked = self
            .ask(Request::Enrolment, talk, |origin| Ask::post(origin, ENROL, &enrol).with("Authorization", &bearer));
        match asked.await {
            Ok(Enrolled { credential }) => {
                self.enrolled(talk, credential).await;
                true
            }
            Err(refused) => {
                if matches!(refused.meaning, Meaning::Unknown | Meaning::Forbidden) {
                    let name = &self.name;
                    tracing::warn!(
                        name,
                        "the origin does not let this machine enrol: its token is wrong, or another has this name"
                    );
                }
                refused.hold(&mut talk.questions);
                false
            }
        }
    }

    async fn enrolled(&self, talk: &mut Talk, credential: String) {
        tracing::info!(name = self.name, "this machine has enrolled at its origin");
        let (origins, name, kept) = (self.origins.clone(), self.name.clone(), credential.clone());
        talk.credential = Some(credential);
        talk.is_fresh = true;
        talk.standing.enrolled();
        self.know(talk);
        let keeping = move || said(kept::keep_credential(&origins, &name, &kept), &origins.state_dir);
        drop(tokio::task::spawn_blocking(keeping).await);
    }

    /// Asks the origins in their order until one answers.
    pub(super) async fn ask<T: DeserializeOwned>(
        &self,
        request: Request,
        talk: &Talk,
        make: impl for<'o> Fn(&'o str) -> Ask<'o>,
    ) -> Result<T, Refused> {
        let origins = self.downloads.ways().finder.origins.clone();
        loop {
            let next = self.health.lock().first(origins.iter().map(String::as_str), request, now());
            let Next::Ask(place) = next else { return Err(Refused::FAILED) };
            let origin = origins[place].as_str();
            let answer = match self.client.send(self.signed(make(origin), talk)).await {
                Ok(answer) => json::read::<T>(answer).await,
                Err(error) => Err(error),
            };
            match answer {
                Ok(Ok(value)) => {
                    self.health.lock().succeeded(origin, request);
                    self.membership.say(|stands| stands.origin = Some(origin.to_owned()));
                    return Ok(value);
                }
                Ok(Err(refusal)) => {
                    let refused = Refused::of(&refusal);
                    tracing::debug!(origin, status = refusal.status.as_u16(), "an origin refuses to answer");
                    if refused.meaning != Meaning::Failed {
                        return Err(refused);
                    }
                }
                Err(error) => tracing::debug!(origin, %error, "an origin cannot be asked"),
            }
            self.health.lock().failed(origin, request, now());
        }
    }

    /// With our name, and what proves it.
    fn signed<'a>(&self, ask: Ask<'a>, talk: &Talk) -> Ask<'a> {
        let ask = ask.with(NODE_FIELD, &self.name);
        match &talk.credential {
            Some(credential) if !ask.fields.contains_key(header::AUTHORIZATION) => {
                ask.with("Authorization", &format!("Bearer {credential}"))
            }
            _ => ask,
        }
    }
}

impl Talk {
    fn due(&self) -> std::time::Instant {
        let questions = self.questions.due();
        if self.is_member { questions.min(self.reports.due()) } else { questions }
    }

    /// Nobody waits any more for what was said or has failed.
    fn forgive(&mut self) {
        self.questions.forgive(now());
        self.reports.forgive(now());
    }

    /// What may be had is another: everything is told again.
    fn everything_anew(&mut self) {
        self.numbering.begin_anew();
        self.reports.soon(now());
    }

    /// The origin does not know who reports: it is asked who that is.
    pub(super) fn is_unknown(&mut self) {
        self.standing.answered(Meaning::Unknown);
        self.is_member = false;
        self.questions.soon(now());
    }
}

impl Refused {
    const FAILED: Self = Self { meaning: Meaning::Failed, retry_after: None };

    fn of(refusal: &json::Refusal) -> Self {
        let field = refusal.fields.get(header::RETRY_AFTER).map(|field| field.as_bytes());
        let outcome = Outcome::of(refusal.status, refusal.problem.as_ref(), field, SystemTime::now());
        let retry_after = if let Outcome::Busy(_, wait) = outcome { Some(wait) } else { None };
        Self { meaning: Meaning::of(refusal.status), retry_after }
    }

    pub(super) fn hold(&self, rhythm: &mut Rhythm) {
        match self.retry_after {
            Some(wait) => rhythm.busy(now(), wait),
            None => rhythm.failed(now()),
        }
    }
}

/// What could not be kept is said, and nothing else follows from it.
fn said(kept: std::io::Result<()>, directory: &std::path::Path) {
    if let Err(error) = kept {
        let directory = directory.display().to_string();
        tracing::warn!(directory, %error, "what the origin delivered cannot be kept: the next start has to ask for it");
    }
}
