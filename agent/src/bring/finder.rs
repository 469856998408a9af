//! Asks who has a content: an origin for its digest, then for its sources. Where no origin can be asked, those are used that were told beforehand.

use std::{
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use parking_lot::Mutex;
use protocol::{
    digest::Md5,
    info::{INFO, Info, NODE_FIELD, SOURCES},
    patience::Next,
    sources::{Answer, Question, SOURCES_MAX},
};
use serde::de::DeserializeOwned;

use super::{near, wanted::Wanted};
use crate::{
    decide::{
        health::{Health, Request},
        outcome::Outcome,
        source::{Rank, Source},
    },
    net::{
        client::{Ask, Client},
        error::NetError,
        json,
    },
    service::neighbours::Neighbours,
};

/// Seconds for which sources are used that an origin names, and until one is asked again that has none yet, whatever it says.
const SOURCES_AGE_MAX: u64 = 7 * 86_400;
/// How long sources that nobody has confirmed are used.
const UNCONFIRMED_EXPIRY: Duration = Duration::from_secs(600);
/// Where nobody but neighbours is known, it is looked for others so often.
const NEIGHBOURS_EXPIRY: Duration = Duration::from_secs(60);

/// A proxy that has to ask its own origin first answers within this.
const PROXY_KNOWS_WITHIN: Duration = Duration::from_secs(2);

/// Who asks.
#[derive(Clone)]
pub(crate) struct Finder {
    pub(crate) client: Arc<Client>,
    pub(crate) health: Arc<Mutex<Health>>,
    /// In their order.
    pub(crate) origins: Vec<String>,
    /// Where no origin can be asked, in their order.
    pub(crate) fallback: Vec<Source>,
    /// Our name and what proves it, for origins.
    pub(crate) node: Option<Node>,
    /// The addresses of our network cards, for who has not enrolled.
    pub(crate) machines: Vec<String>,
    /// Other agents nearby; none where there is no service.
    pub(crate) neighbours: Option<Arc<Neighbours>>,
}

/// Our name, and what proves it.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub(crate) name: String,
    pub(crate) credential: Option<String>,
}

/// What was found.
#[derive(Debug)]
pub(crate) enum Found {
    /// The nearest first, and for how long.
    Sources(Vec<Source>, Duration),
    /// It is on its way; ask again then.
    NotReady(Duration),
    /// Nobody who knows can be asked before then.
    Unknown(Instant),
    /// There is no such file.
    Absent,
}

/// What came of a question that one of several origins is to answer.
pub(crate) enum Answered<T> {
    /// This.
    By(T),
    /// Nobody can be asked before then.
    Nobody(Instant),
    /// It knows, and there is none.
    None,
}

impl Finder {
    /// Looks for a content, and learns what it is on the way.
    pub(crate) async fn find(&self, wanted: &mut Wanted) -> Found {
        let found = self.ask_who_knows(wanted).await;
        let Some(md5) = wanted.identity.md5 else { return found };
        match found {
            // Who names some knows more of them than we do.
            Found::Sources(sources, expires_in) if !sources.iter().any(|source| source.rank == Rank::Peer) => {
                Found::Sources(with_neighbours(self.near(&md5).await, sources), expires_in)
            }
            Found::Unknown(until) if self.may_have_neighbours() => {
                let near = self.near(&md5).await;
                let soon = until.min(now() + NEIGHBOURS_EXPIRY);
                if near.is_empty() { Found::Unknown(soon) } else { Found::Sources(near, NEIGHBOURS_EXPIRY) }
            }
            found => found,
        }
    }

    /// Neighbours that have it, whoever else knows of them.
    pub(crate) async fn near(&self, md5: &Md5) -> Vec<Source> {
        let urls = self.neighbours.as_ref().map(|neighbours| neighbours.urls()).unwrap_or_default();
        near::who_has(&self.client, urls, md5).await
    }

    /// Whether there may be some, now or later.
    pub(crate) fn may_have_neighbours(&self) -> bool {
        self.neighbours.as_ref().is_some_and(|neighbours| neighbours.may_be())
    }

    async fn ask_who_knows(&self, wanted: &mut Wanted) -> Found {
        if wanted.identity.md5.is_none()
            && let Some(path) = wanted.path().map(str::to_owned)
        {
            match self.info(&path).await {
                Answered::By(info) => learn(wanted, &info),
                Answered::None => return Found::Absent,
                Answered::Nobody(until) => return self.without_origin(until),
            }
        }
        let Some(md5) = wanted.identity.md5 else { return self.without_origin(now() + UNCONFIRMED_EXPIRY) };
        let answer = match self.sources(md5).await {
            Answered::By(answer) => answer,
            // An older origin, which knows the file and not who has it.
            Answered::None => return Found::Sources(self.with_origins(), UNCONFIRMED_EXPIRY),
            Answered::Nobody(until) => return self.without_origin(until),
        };
        let Some(content) = answer.contents.into_iter().find(|content| content.md5 == md5) else {
            return self.without_origin(now() + UNCONFIRMED_EXPIRY);
        };
        wanted.identity.size = wanted.identity.size.or(content.size);
        wanted.pieces = content.pieces.or(wanted.pieces);
        if wanted.target.is_none() {
            wanted.target = content.path;
        }
        if content.ready {
            let sources = content.sources.into_iter().take(SOURCES_MAX).map(Source::from).collect();
            Found::Sources(sources, said_in(answer.expires_in))
        } else {
            Found::NotReady(said_in(content.retry_after.unwrap_or_default()))
        }
    }

    /// Where no origin is named: asks a proxy what is at the path. `true`: it knows. One whose upstream tells no digests would read the whole file for
    /// that: it is not waited for, and the file is had by its path.
    pub(crate) async fn ask_proxies(&self, wanted: &mut Wanted) -> bool {
        let path =
            wanted.path().filter(|path| wanted.identity.md5.is_none() && wanted.target.as_deref() == Some(*path));
        let Some(target) = path.map(|path| format!("{}{path}", INFO.trim_end_matches('/'))) else { return false };
        for proxy in self.fallback.iter().filter(|source| source.rank == Rank::Proxy) {
            if self.health.lock().due(&proxy.url, Request::Info, now()).is_some() {
                continue;
            }
            let asking = async {
                let answer = self.client.send(Ask::get(&proxy.url, &target)).await?;
                json::read::<Info>(answer).await
            };
            match tokio::time::timeout(PROXY_KNOWS_WITHIN, asking).await {
                Ok(Ok(Ok(info))) if info.md5.parse::<Md5>().is_ok() => {
                    learn(wanted, &info);
                    return true;
                }
                Ok(Err(NetError::Senseless(_))) => return false,
                Ok(Err(error)) => {
                    tracing::debug!(proxy = proxy.name, %error, "a proxy cannot be asked");
                    self.health.lock().failed(&proxy.url, Request::Info, now());
                }
                // It does not know, and others of the same branch would not either.
                Ok(Ok(_)) | Err(_) => return false,
            }
        }
        false
    }

    async fn info(&self, path: &str) -> Answered<Info> {
        let target = format!("{}{path}", INFO.trim_end_matches('/'));
        self.ask_origins(Request::Info, |origin| Ask::get(origin, &target)).await
    }

    async fn sources(&self, md5: Md5) -> Answered<Answer> {
        let question = Question { digests: vec![md5], machines: self.machines.clone() };
        self.ask_origins(Request::Sources, |origin| Ask::post(origin, SOURCES, &question)).await
    }

    /// Asks the origins in their order until one answers.
    pub(crate) async fn ask_origins<'a, T: DeserializeOwned>(
        &'a self,
        request: Request,
        ask: impl Fn(&'a str) -> Ask<'a>,
    ) -> Answered<T> {
        loop {
            let next = self.health.lock().first(self.origins.iter().map(String::as_str), request, now());
            let origin = match next {
                Next::Ask(place) => self.origins[place].as_str(),
                Next::Wait(until) => return Answered::Nobody(until),
            };
            let mut ask = ask(origin);
            if let Some(node) = &self.node {
                ask = ask.with(NODE_FIELD, &node.name);
                if let Some(credential) = &node.credential {
                    ask = ask.with("Authorization", &format!("Bearer {credential}"));
                }
            }
            let answer = match self.client.send(ask).await {
                Ok(answer) => json::read(answer).await,
                Err(error) => Err(error),
            };
            if let Some(answered) = self.judge(origin, request, answer) {
                return answered;
            }
        }
    }

    /// What an origin said; `None`: the next one is asked.
    fn judge<T>(
        &self,
        origin: &str,
        request: Request,
        answer: Result<Result<T, json::Refusal>, NetError>,
    ) -> Option<Answered<T>> {
        let mut health = self.health.lock();
        let refusal = match answer {
            Ok(Ok(value)) => {
                health.succeeded(origin, request);
                return Some(Answered::By(value));
            }
            Ok(Err(refusal)) => refusal,
            Err(error) => {
                tracing::info!(origin, %error, "an origin cannot be asked");
                health.failed(origin, request, now());
                return None;
            }
        };
        let retry_after = refusal.fields.get(http::header::RETRY_AFTER).map(|field| field.as_bytes());
        match Outcome::of(refusal.status, refusal.problem.as_ref(), retry_after, SystemTime::now()) {
            Outcome::Absent => {
                health.succeeded(origin, request);
                Some(Answered::None)
            }
            Outcome::Busy(_, wait) => {
                health.busy(origin, request, wait, now());
                None
            }
            _ => {
                tracing::info!(origin, status = refusal.status.as_u16(), "an origin refuses to answer");
                health.failed(origin, request, now());
                None
            }
        }
    }

    fn without_origin(&self, until: Instant) -> Found {
        if self.fallback.is_empty() {
            return Found::Unknown(until);
        }
        Found::Sources(self.fallback.clone(), until.saturating_duration_since(now()))
    }

    fn with_origins(&self) -> Vec<Source> {
        self.fallback.iter().cloned().chain(self.as_sources()).collect()
    }

    /// The origins, as those who may be asked for contents.
    pub(crate) fn as_sources(&self) -> Vec<Source> {
        let origin = |url: &String| Source { rank: Rank::Origin, name: url.clone(), url: url.clone(), partial: false };
        self.origins.iter().map(origin).collect()
    }
}

/// Neighbours first: they are nearer than all who are no peers.
fn with_neighbours(mut near: Vec<Source>, others: Vec<Source>) -> Vec<Source> {
    near.extend(others);
    near
}

/// Beyond all that is waited for there is no moment.
fn said_in(seconds: u64) -> Duration {
    Duration::from_secs(seconds.min(SOURCES_AGE_MAX))
}

fn learn(wanted: &mut Wanted, info: &Info) {
    wanted.identity.size = Some(info.size);
    wanted.identity.md5 = info.md5.parse().ok();
    wanted.identity.sha256 = info.sha256.parse().ok();
    wanted.is_given = true;
}

/// The moment, as the runtime sees it.
pub(crate) fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_week_is_believed_and_no_eternity() {
        for (said, expected) in [(0, 0), (604_800, 604_800), (604_801, SOURCES_AGE_MAX), (u64::MAX, SOURCES_AGE_MAX)] {
            assert_eq!(said_in(said), Duration::from_secs(expected));
            // What the chain makes of it.
            assert!(now().checked_add(2 * said_in(said)).is_some());
        }
    }
}
