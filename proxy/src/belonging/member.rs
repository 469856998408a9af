//! The conversation of one member with its origin: one loop, in which one thing is said at a time.
//!
//! | what happens | what follows |
//! | --- | --- |
//! | the start, a `configuration` event, now and then | the configuration is asked for; who has no credential and a token enrols first |
//! | a stream of changes begins | likewise, spread, for something may have been missed |
//! | an `order` | it is done, and told of until its end was heard |
//! | something came, an order moved on, the time is over | a report |
//! | SIGHUP | what failed is tried again at once; another identity begins a new conversation |

use std::{
    hash::{BuildHasher, RandomState},
    sync::Arc,
    time::{Duration, SystemTime},
};

use cache::link::OriginLink;
use config::{Belonging, Delivered};
use protocol::{
    changes::Change,
    membership::{Numbering, Rhythm, Standing},
    patience::Backoff,
};
use store::Watch;
use tokio::time::Instant;

use super::{
    holding::Holding,
    identity::Identity,
    keep,
    load::Moment,
    orders::Orders,
    report,
    status::{State, Status},
};
use crate::app::App;

/// Waits after failures. A stream of changes that begins again cuts them short.
const BACKOFF: Backoff = Backoff { first: Duration::from_secs(60), max: Duration::from_secs(1800) };
/// The first question of a start.
const BEGIN_WITHIN: Duration = Duration::from_secs(2);
/// What everybody hears at the same moment is acted on within so long.
const HEARD_WITHIN: Duration = Duration::from_secs(10);

/// One conversation.
pub(super) struct Member {
    pub(super) app: Arc<App>,
    pub(super) identity: Identity,
    pub(super) link: OriginLink,
    pub(super) standing: Standing,
    pub(super) state: State,
    /// A credential that was never shown.
    pub(super) is_fresh: bool,
    /// When the configuration is asked for.
    pub(super) asking: Rhythm,
    /// When a report is sent.
    pub(super) telling: Rhythm,
    pub(super) numbering: Numbering,
    pub(super) holding: Holding,
    pub(super) watch: Watch,
    pub(super) orders: Orders,
    /// What was delivered and refused, and why.
    pub(super) refused: Option<(Delivered, String)>,
    pub(super) before: Moment,
    /// What was said last, so that it is said once.
    trouble: Option<String>,
}

impl Member {
    /// Begins with what is kept; `None` if the upstream is none that can be spoken with.
    pub(super) fn new(app: &Arc<App>, identity: Identity) -> Option<Self> {
        let parts = app.parts()?;
        let link = parts.cache.origin_links().into_iter().find(|link| link.upstream() == identity.upstream)?;
        let options = app.config.lock().settings.belonging.clone();
        let credential = keep::credential(&options, &identity.node).unwrap_or_else(|error| {
            let path = options.credential_file();
            tracing::warn!("the credential in {} cannot be read, and counts as lost: {error}", path.display());
            None
        });
        link.set_node(&identity.node);
        let has_credential = credential.is_some() && link.set_credential(credential.as_deref());
        let standing = Standing::new(identity.token_file.is_some(), has_credential);
        let (now, seed) = (Instant::now().into_std(), seed(&identity.node));
        let member = Self {
            app: app.clone(),
            standing,
            state: State::Asking,
            is_fresh: false,
            asking: Rhythm::new(now, BEGIN_WITHIN, BACKOFF, seed),
            telling: Rhythm::new(now, BEGIN_WITHIN, BACKOFF, seed.wrapping_add(1)),
            numbering: Numbering::default(),
            holding: Holding::default(),
            watch: parts.store.watch(),
            orders: Orders::default(),
            refused: None,
            before: Moment::default(),
            trouble: None,
            identity,
            link,
        };
        *app.belonging.lock() = Status {
            state: State::Asking,
            upstream: Some(member.identity.upstream.clone()),
            node: member.identity.node.clone(),
            enrolled: has_credential,
            ..Status::default()
        };
        Some(member)
    }

    /// Until it has another identity.
    pub(super) async fn run(mut self) {
        let (app, mut events) = (self.app.clone(), self.link.events());
        loop {
            self.show();
            let due = Instant::from_std(self.due());
            tokio::select! {
                change = events.next() => self.heard(change),
                () = self.watch.came() => self.telling.soon(now()),
                () = self.orders.ended() => self.telling.soon(now()),
                () = app.reconfigured.notified() => {
                    if Identity::of(&app.config.lock().settings).as_ref() != Some(&self.identity) {
                        return;
                    }
                    self.refused = None;
                    self.asking.forgive(now());
                    self.telling.forgive(now());
                }
                () = tokio::time::sleep_until(due) => {}
            }
            if let Some(parts) = app.parts() {
                self.orders.begin(&parts.cache, &self.identity.upstream);
            }
            if self.asking.due() <= now() {
                self.ask().await;
            } else if self.state == State::Member && self.telling.due() <= now() {
                self.tell().await;
            }
        }
    }

    fn due(&self) -> std::time::Instant {
        match self.state {
            State::Member => self.asking.due().min(self.telling.due()),
            _ => self.asking.due(),
        }
    }

    fn heard(&mut self, change: Change) {
        match change {
            Change::Hello(_) => {
                self.asking.back(now(), HEARD_WITHIN);
                self.asking.within(now(), HEARD_WITHIN);
                self.telling.back(now(), HEARD_WITHIN);
            }
            Change::Configuration(_) => self.asking.soon(now()),
            Change::Topology(_) => self.asking.within(now(), HEARD_WITHIN),
            Change::Order(order) => {
                if self.orders.give(order) {
                    self.telling.soon(now());
                }
            }
            Change::File(_) | Change::Gone(_) | Change::Stale(_) => {}
        }
    }

    /// What went wrong, in words: said in the log when it is something else than the last time.
    pub(super) fn has_trouble(&mut self, trouble: String) {
        if self.trouble.as_ref() != Some(&trouble) {
            let upstream = &self.identity.upstream;
            tracing::warn!(upstream, "the origin and this proxy do not come together, which is tried again: {trouble}");
        }
        self.app.belonging.lock().trouble = Some(trouble.clone());
        self.trouble = Some(trouble);
    }

    /// It went well.
    pub(super) fn has_none(&mut self) {
        if self.trouble.take().is_some() {
            let upstream = &self.identity.upstream;
            tracing::info!(upstream, "the origin and this proxy have come together again");
        }
        self.app.belonging.lock().trouble = None;
    }

    /// The origin has no such interface: that is no trouble.
    pub(super) fn is_outside(&mut self) {
        if self.state != State::NoInterface {
            let upstream = &self.identity.upstream;
            tracing::debug!(upstream, "the origin knows nothing of members");
        }
        self.state = State::NoInterface;
        self.trouble = None;
        self.app.belonging.lock().trouble = None;
    }

    pub(super) fn options(&self) -> Belonging {
        self.app.config.lock().settings.belonging.clone()
    }

    /// For people.
    fn show(&mut self) {
        let (orders, live) = (self.orders.shown(), self.link.is_live());
        let mut refused = report::left_out(&self.app);
        refused.extend(self.refusal());
        let needs_restart = report::needs_restart(&self.app);
        let (generation, options) = {
            let loaded = self.app.config.lock();
            (loaded.generation(), loaded.delivered().map(str::to_owned).collect())
        };
        let mut status = self.app.belonging.lock();
        (status.state, status.enrolled, status.live) = (self.state, self.standing.has_credential, live);
        status.orders = orders;
        status.configuration = super::status::Wanted { generation, options, needs_restart, refused };
    }
}

pub(super) fn now() -> std::time::Instant {
    Instant::now().into_std()
}

pub(super) fn wall() -> SystemTime {
    SystemTime::now()
}

/// Another one for each machine and start.
fn seed(node: &str) -> u64 {
    RandomState::new().hash_one(node)
}
