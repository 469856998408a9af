//! What is known of the conversation with an upstream's origin beside files, whatever becomes of the upstream's connections: as whom we speak, and
//! who listens to what the origin tells.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use http::{HeaderMap, HeaderName, HeaderValue, header::AUTHORIZATION};
use parking_lot::Mutex;
use protocol::{changes::Change, info::NODE_FIELD};
use tokio::sync::{broadcast, watch};

/// Events that a slow listener has not taken yet; who is slower misses some, and the stream begins anew.
const EVENTS_MAX: usize = 64;

/// Of one upstream, by its name.
pub(crate) struct Desk {
    pub(crate) name: Box<str>,
    speaker: Mutex<Speaker>,
    events: broadcast::Sender<Change>,
    is_live: AtomicBool,
    /// How often the stream of changes was to begin anew.
    again: watch::Sender<u64>,
    told: Mutex<Heard>,
}

/// How the stream of changes stands.
#[derive(Clone, Debug, Default)]
pub(crate) struct Heard {
    /// The last change that was told.
    pub(crate) generation: u64,
    /// Why it is not up.
    pub(crate) trouble: Option<String>,
}

/// As whom we speak.
#[derive(Clone, Default)]
struct Speaker {
    node: Option<HeaderValue>,
    credential: Option<HeaderValue>,
}

/// All of them; those of upstreams that are there no more stay, for they may come back, and their number is that of names ever configured.
#[derive(Default)]
pub(crate) struct Desks(Mutex<BTreeMap<Box<str>, Arc<Desk>>>);

impl Desks {
    /// That of an upstream, made where there is none yet.
    pub(crate) fn of(&self, name: &str) -> Arc<Desk> {
        self.0.lock().entry(name.into()).or_insert_with(|| Arc::new(Desk::new(name))).clone()
    }
}

impl Desk {
    fn new(name: &str) -> Self {
        Self {
            name: name.into(),
            speaker: Mutex::default(),
            events: broadcast::Sender::new(EVENTS_MAX),
            is_live: AtomicBool::new(false),
            again: watch::Sender::new(0),
            told: Mutex::default(),
        }
    }

    /// From now on we speak under this name. `false` if it cannot stand in a field of a request.
    pub(crate) fn set_node(&self, node: &str) -> bool {
        let Ok(value) = HeaderValue::from_str(node) else { return false };
        self.change(|speaker| speaker.node = Some(value));
        true
    }

    /// Likewise, with this credential, or none.
    pub(crate) fn set_credential(&self, credential: Option<&str>) -> bool {
        let value = credential.map(bearer);
        if value.as_ref().is_some_and(Option::is_none) {
            return false;
        }
        self.change(|speaker| speaker.credential = value.flatten());
        true
    }

    /// What goes with a request that shows a token in place of the credential.
    pub(crate) fn fields_with(&self, token: &str) -> Option<HeaderMap> {
        let mut fields = self.fields();
        fields.insert(AUTHORIZATION, bearer(token)?);
        Some(fields)
    }

    fn change(&self, change: impl FnOnce(&mut Speaker)) {
        let mut speaker = self.speaker.lock();
        let before = speaker.clone();
        change(&mut speaker);
        let has_changed = (&before.node, &before.credential) != (&speaker.node, &speaker.credential);
        drop(speaker);
        if has_changed {
            // What concerns us alone is told to who says who he is.
            self.begin_again();
        }
    }

    /// What of that goes with a request.
    pub(crate) fn fields(&self) -> HeaderMap {
        let Speaker { node, credential } = self.speaker.lock().clone();
        let node = node.map(|node| (HeaderName::from_bytes(NODE_FIELD.as_bytes()), node));
        let node = node.and_then(|(name, node)| Some((name.ok()?, node)));
        node.into_iter().chain(credential.map(|credential| (AUTHORIZATION, credential))).collect()
    }

    /// Tells those who listen; nobody has to.
    pub(crate) fn tell(&self, change: Change) {
        let _ = self.events.send(change);
    }

    pub(crate) fn listen(&self) -> broadcast::Receiver<Change> {
        self.events.subscribe()
    }

    pub(crate) fn set_live(&self, is_live: bool) {
        self.is_live.store(is_live, Ordering::Release);
    }

    /// The stream is to begin anew.
    pub(crate) fn begin_again(&self) {
        self.again.send_modify(|times| *times += 1);
    }

    pub(crate) fn again(&self) -> watch::Receiver<u64> {
        self.again.subscribe()
    }

    pub(crate) fn heard(&self) -> Heard {
        self.told.lock().clone()
    }

    pub(crate) fn hear(&self, change: impl FnOnce(&mut Heard)) {
        change(&mut self.told.lock());
    }

    pub(crate) fn is_live(&self) -> bool {
        self.is_live.load(Ordering::Acquire)
    }
}

/// As it stands in a field; it is shown in no log. `None` of what cannot stand there.
fn bearer(secret: &str) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_str(&format!("Bearer {secret}")).ok()?;
    value.set_sensitive(true);
    Some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_we_are_stands_in_each_request_and_no_secret_in_a_log() {
        let desk = Desk::new("hq");
        assert!(desk.fields().is_empty());
        assert!(desk.set_node("branch7") && desk.set_credential(Some("s3cret")));
        let fields = desk.fields();
        assert_eq!(
            (&fields["outpost-node"], &fields["authorization"]),
            (&"branch7".parse().unwrap(), &"Bearer s3cret".parse().unwrap())
        );
        assert!(!format!("{fields:?}").contains("s3cret"));
        assert!(!desk.set_node("a\nb") && !desk.set_credential(Some("a\r\nb")), "a line end would begin another field");
        assert_eq!(desk.fields_with("t0ken").unwrap()["authorization"], "Bearer t0ken");
        assert!(desk.fields_with("a\nb").is_none());
        assert!(desk.set_credential(None));
        assert_eq!(desk.fields().len(), 1);
    }

    #[test]
    fn the_stream_begins_anew_for_another_name_and_not_for_the_same() {
        let desk = Desk::new("hq");
        let mut again = desk.again();
        let mut is_wanted = || again.has_changed().unwrap() && *again.borrow_and_update() > 0;
        desk.set_node("a");
        assert!(is_wanted());
        desk.set_node("a");
        assert!(!is_wanted());
        desk.set_credential(Some("b"));
        assert!(is_wanted());
    }
}
