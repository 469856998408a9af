//! Why something is here, or is not: what the index knows of it now, what the history knows of before, and in words what follows from both.
//! For people and the admin interface; nothing here is on the way of a request.

mod told;
mod verdict;

use std::collections::BTreeSet;

use protocol::{digest::Md5, target::Target};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use store::{Entry, Event};

use self::told::{asked_in_all, counts, happened, merit_details};
pub use crate::fetch::account::Account;
use crate::{
    names::{book, key::Parts, variant},
    settings::Settings,
    shared::Shared,
};

/// Contents of one name that are told of, at most: those of now, and the latest of before.
const CONTENTS_MAX: usize = 16;

/// What is asked about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Subject {
    /// A name, as clients ask for it.
    Path(Target),
    /// A content.
    Md5(Md5),
}

/// Whether something is here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Whole and verified.
    Here,
    /// On its way.
    Fetching,
    /// It was here.
    Gone,
    /// Nothing is known of it.
    Unknown,
}

/// The answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Why {
    /// The name that was asked about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// How it stands with what the name stands for now, or with the content.
    pub state: State,
    /// That in words.
    pub because: String,
    /// What is being fetched under the name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fetching: Option<Fetching>,
    /// Each content, what the name stands for now first.
    pub objects: Vec<Life>,
}

/// A fetch that is on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Fetching {
    /// Over which upstream.
    pub upstream: String,
    /// Bytes here.
    pub fetched: u64,
    /// Bytes in all, if known.
    pub total: Option<u64>,
    /// Since it began.
    pub seconds: f64,
    /// Requests that waited for it so far.
    pub waited: u32,
    /// Some of the clients that did.
    pub clients: Vec<String>,
}

/// What is known of one content.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Life {
    /// Its name.
    pub md5: String,
    /// Whether it is here.
    pub state: State,
    /// Why it is kept, or went.
    pub because: String,
    /// Bytes, where it is here.
    pub size: Option<u64>,
    /// Names that stand for it.
    pub paths: Vec<String>,
    /// The pattern of `cache.pin` that names one of these.
    pub pinned_by: Option<String>,
    /// Whether it is pinned: a pattern may name more than fits.
    pub is_pinned: bool,
    /// What the policy knows of it.
    pub merit: Value,
    /// Objects that were compared with it, drawn at random, and how many of these would go before it.
    pub compared: Option<Compared>,
    /// How often it was asked for in all that is known.
    pub asked_for: Value,
    /// What happened to it, the oldest first.
    pub history: Vec<Happened>,
}

/// How an object stands among others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Compared {
    /// Others that were looked at.
    pub others: u32,
    /// Of these, how many would go first.
    pub go_first: u32,
}

/// One thing that happened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Happened {
    /// When.
    pub at: String,
    /// `fetched`, `imported`, `found`, `asked`, `evicted`, `removed`, `damaged`, `missing`, `replaced`.
    pub event: String,
    /// That in words.
    pub text: String,
    /// What else is known of it.
    #[serde(flatten)]
    pub details: Map<String, Value>,
}

/// Tells all that is known.
pub(crate) async fn why(shared: &Shared, subject: Subject) -> Why {
    match subject {
        Subject::Md5(md5) => {
            let life = life(shared, md5).await;
            let (state, because) = (life.state, life.because.clone());
            Why { path: None, state, because, fetching: None, objects: vec![life] }
        }
        Subject::Path(target) => of_path(shared, &target).await,
    }
}

async fn of_path(shared: &Shared, target: &Target) -> Why {
    let path = Some(target.as_str().to_owned());
    let Some(key) = shared.settings().key_of(target) else {
        let because = verdict::NO_UPSTREAM.to_owned();
        return Why { path, state: State::Unknown, because, fetching: None, objects: Vec::new() };
    };
    let now: Vec<Md5> = shared.book.contents(&key);
    let before = contents_before(shared, target, &key).await;
    let mut objects: Vec<Life> = Vec::new();
    let mut seen = BTreeSet::new();
    for md5 in now.iter().copied().chain(before).filter(|md5| seen.insert(*md5)).take(CONTENTS_MAX) {
        objects.push(life(shared, md5).await);
    }
    let fetching = fetching(shared, &key);
    let current = objects.iter().find(|life| now.iter().any(|md5| md5.to_string() == life.md5));
    let (state, because) = verdict::of_name(fetching.as_ref(), current, objects.first());
    Why { path, state, because, fetching, objects }
}

/// Contents that the name has stood for, the latest first.
async fn contents_before(shared: &Shared, target: &Target, key: &[u8]) -> Vec<Md5> {
    let (path, key) = (target.path().to_owned(), key.to_vec());
    let is_of_name = move |entry: &Entry| match &entry.event {
        Event::Came { about, .. } => Account::of_bytes(about).path == path,
        Event::Replaced { key: of, .. } => **of == *key || of.strip_prefix(&key[..]).is_some_and(|rest| rest[0] == 0),
        _ => false,
    };
    let entries = shared.store.history_where(is_of_name).await;
    entries.iter().rev().map(|entry| entry.md5).collect()
}

fn fetching(shared: &Shared, key: &[u8]) -> Option<Fetching> {
    let flight = shared.flights.find(key)?;
    let (reader, waited) = (flight.reader.get()?, flight.waiters.read());
    Some(Fetching {
        upstream: flight.upstream.to_string(),
        fetched: reader.fetched(),
        total: reader.len(),
        seconds: flight.began.elapsed().as_secs_f64(),
        waited: waited.requests,
        clients: waited.clients.iter().map(ToString::to_string).collect(),
    })
}

/// All that is known of one content.
async fn life(shared: &Shared, md5: Md5) -> Life {
    let settings = shared.settings();
    let standing = shared.store.standing(&md5);
    let entries = shared.store.history(md5).await;
    let keys = shared.store.keys_of(md5).await;
    let path_of = |key: &[u8]| path_of(&settings, key);
    let paths: BTreeSet<String> = keys.iter().filter_map(|key| path_of(key)).collect();
    let pinned_by = keys.iter().find_map(|key| shared.store.pattern_of(key)).map(String::from);
    let history: Vec<Happened> = entries.iter().map(|entry| happened(entry, &path_of)).collect();
    let (state, because) = verdict::of_content(standing.as_ref(), pinned_by.as_deref(), &history);
    let asked = asked_in_all(&entries, standing.as_ref().map(|standing| &standing.asked));
    Life {
        md5: md5.to_string(),
        state,
        because,
        size: standing.as_ref().map(|standing| standing.info.size),
        paths: paths.into_iter().collect(),
        pinned_by,
        is_pinned: standing.as_ref().is_some_and(|standing| standing.is_pinned),
        merit: standing.as_ref().map_or(Value::Null, |standing| merit_details(&standing.merit)),
        compared: standing.as_ref().map(|standing| Compared { others: standing.others, go_first: standing.worse }),
        asked_for: counts(&asked),
        history,
    }
}

/// What clients ask for by a key, if its upstream is still mounted.
fn path_of(settings: &Settings, key: &[u8]) -> Option<String> {
    let parts = Parts::of(key)?;
    let upstream = settings.upstreams.iter().find(|upstream| upstream.options.name == parts.upstream)?;
    Some(parts.target_at(&upstream.options.mount)?.as_str().to_owned())
}

impl book::Book {
    /// What a name stands for now, its variants included.
    fn contents(&self, key: &[u8]) -> Vec<Md5> {
        match self.entry(key) {
            None => Vec::new(),
            Some(book::Entry::Content(known)) => vec![known.md5],
            Some(book::Entry::Variants(variants)) => {
                let places = variants.ids.iter().map(|id| variant::place(key, id));
                places.filter_map(|place| Some(self.known(&place)?.md5)).collect()
            }
        }
    }
}
