//! Who may give a content to who asks, in order; or why nobody yet, what that depends on, and who is to fetch it. See the table of the folder.

use std::time::Duration;

use protocol::topology::{Neighbour, Relation, Tier};

use super::{
    scene::{Forecast, Level, Scene, Standing},
    terms::Terms,
};

/// Bytes per second of a line of which nothing is known, where it is thin.
const THIN_LINE: u64 = 1 << 20;
/// And where it is good.
const GOOD_LINE: u64 = 50 << 20;

/// What is known of one content.
#[derive(Clone, Debug, Default)]
pub(crate) struct Facts {
    /// A file here has this digest.
    pub(crate) is_known: bool,
    /// Bytes.
    pub(crate) size: Option<u64>,
    /// Who of the scene holds it, by place.
    pub(crate) holds: Vec<bool>,
    /// In how long it will be at who fetches it, by place; `None`: is not fetching it, or cannot tell.
    pub(crate) fetching: Vec<Option<Forecast>>,
    /// Who of those that serve who asks has been told to fetch it, by place.
    pub(crate) told: Vec<usize>,
    /// How many peers are to be told of.
    pub(crate) peers: usize,
    /// How many origins there are.
    pub(crate) origins: usize,
}

/// What the rule says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// In this order.
    Ready(Vec<Pick>),
    /// Not yet.
    NotReady(NotReady),
}

/// Somebody to ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Pick {
    /// A peer, by its place among those that were chosen.
    Peer(usize),
    /// A proxy, by its place in the scene.
    Proxy(usize),
    /// An origin, by its place in the list.
    Origin(usize),
}

/// Why it cannot be had yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NotReady {
    pub(crate) reason: Reason,
    /// Proxies that are to fetch it, by their places in the scene.
    pub(crate) tell: Vec<usize>,
}

/// What is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reason {
    /// It is on its way to those who serve who asks.
    OnItsWay {
        /// As far as it was said.
        forecast: Option<Duration>,
        /// What the fetches may take of which nothing was said, one after the other.
        guess: Duration,
        /// The end of a blackout in which one of those may not fetch.
        not_before: Duration,
    },
    /// A blackout of who asks ends then.
    Blackout(Duration),
    /// No file here has this digest.
    Unknown,
}

/// Which of those around are told of.
#[derive(Clone, Copy, PartialEq)]
enum Which {
    /// All that may be asked.
    All,
    /// Only who holds it.
    Holders,
    /// Only who holds it and is reached without a line.
    NearHolders,
}

/// See the table of the folder.
pub(crate) fn decide(scene: &Scene<'_>, facts: &Facts, terms: &Terms) -> Verdict {
    if let Some(left) = scene.blackout_left {
        let way = way(scene, facts);
        return list_or(scene, facts, Which::NearHolders, Reason::Blackout(left), way.tell);
    }
    if !facts.is_known {
        return list_or(scene, facts, Which::Holders, Reason::Unknown, Vec::new());
    }
    if terms.staging && !is_staged(scene, facts) {
        let Way { tell, forecast, guess, not_before } = way(scene, facts);
        return Verdict::NotReady(NotReady { reason: Reason::OnItsWay { forecast, guess, not_before }, tell });
    }
    let nobody = Reason::OnItsWay { forecast: None, guess: Duration::ZERO, not_before: Duration::ZERO };
    list_or(scene, facts, Which::All, nobody, Vec::new())
}

/// A list is never empty without a time.
fn list_or(scene: &Scene<'_>, facts: &Facts, which: Which, reason: Reason, tell: Vec<usize>) -> Verdict {
    let picks = list(scene, facts, which);
    match picks.is_empty() {
        false => Verdict::Ready(picks),
        true => Verdict::NotReady(NotReady { reason, tell }),
    }
}

/// Whether those who serve who asks have it, or nobody can be waited for.
fn is_staged(scene: &Scene<'_>, facts: &Facts) -> bool {
    let has = |level: &Level| holds(level, facts) || has_silent(scene, level);
    match scene.standing {
        Standing::Unconstrained => true,
        Standing::Constrained => {
            scene.levels.iter().all(|level| level.relation == Relation::Home) || scene.levels.iter().any(has)
        }
        Standing::Client => {
            facts.peers > 0 || home(scene).is_none_or(|home| has(home) || is_coming(scene, home, facts))
        }
    }
}

/// Whether the proxies that serve a client fetch it, or were told to and may: those above have it, or there are none. Whoever asks such a one fetches
/// nothing twice, and has each byte as it comes.
fn is_coming(scene: &Scene<'_>, home: &Level, facts: &Facts) -> bool {
    let fetches = |at: &usize| facts.fetching.get(*at).is_some_and(Option::is_some);
    if home.members.iter().any(fetches) {
        return true;
    }
    let above = || scene.levels.iter().filter(|level| level.relation == Relation::Above);
    let has = |level: &Level| holds(level, facts) || has_silent(scene, level);
    let may = home.tier == Tier::Unconstrained || above().next().is_none() || above().any(has);
    let is_told = home.members.iter().any(|at| facts.told.contains(at));
    is_told && may && scene.blackout_of(home.tier).is_none()
}

/// The proxies that serve a client, if any of them is alive.
pub(super) fn home<'s>(scene: &'s Scene<'_>) -> Option<&'s Level> {
    scene.levels.first().filter(|level| level.relation == Relation::Home)
}

fn holds(level: &Level, facts: &Facts) -> bool {
    level.members.iter().any(|at| facts.holds.get(*at).is_some_and(|holds| *holds))
}

/// Whether one of them has never reported: it may hold anything.
fn has_silent(scene: &Scene<'_>, level: &Level) -> bool {
    level.members.iter().any(|at| scene.around[*at].node.is_none())
}

/// How a content comes down to who asks.
#[derive(Default)]
struct Way {
    tell: Vec<usize>,
    forecast: Option<Duration>,
    guess: Duration,
    not_before: Duration,
}

/// From who serves who asks upwards, until somebody has it, fetches it, or can always fetch it.
fn way(scene: &Scene<'_>, facts: &Facts) -> Way {
    let mut way = Way::default();
    // To a proxy those of its own domain are no more than it is itself.
    let is_above = |level: &&Level| scene.standing == Standing::Client || level.relation == Relation::Above;
    for level in scene.levels.iter().filter(is_above) {
        if holds(level, facts) || has_silent(scene, level) {
            break;
        }
        let forecasts = level.members.iter().filter_map(|at| facts.fetching.get(*at).copied().flatten());
        let told = forecasts.clone().filter_map(|forecast| match forecast {
            Forecast::In(time) => Some(time),
            Forecast::Unknown => None,
        });
        if let Some(soonest) = told.min() {
            way.forecast = Some(soonest);
            break;
        }
        // Who serves a client gives it each byte as it comes: only what is above that is waited for.
        let is_followed = scene.standing == Standing::Client && level.relation == Relation::Home;
        if !is_followed {
            way.guess += guess(level.tier, facts.size);
        }
        if forecasts.count() > 0 {
            break;
        }
        match scene.blackout_of(level.tier) {
            Some(left) => way.not_before = way.not_before.max(left),
            None if facts.is_known => way.tell.extend(to_tell(level)),
            None => {}
        }
        if level.tier == Tier::Unconstrained {
            break;
        }
    }
    way
}

/// What a fetch takes that nobody has said anything of.
fn guess(tier: Tier, size: Option<u64>) -> Duration {
    let rate = if tier == Tier::Unconstrained { GOOD_LINE } else { THIN_LINE };
    Duration::from_secs(size.unwrap_or(0) / rate + 1)
}

/// Of proxies with good lines all, so that each can serve those below; behind a thin line one, from which the others get it.
fn to_tell(level: &Level) -> impl Iterator<Item = usize> {
    let count = if level.tier == Tier::Unconstrained { usize::MAX } else { 1 };
    level.members.iter().copied().take(count)
}

/// Those to ask: peers, proxies from near to far, origins, and at last who is away.
fn list(scene: &Scene<'_>, facts: &Facts, which: Which) -> Vec<Pick> {
    let peers = if scene.standing == Standing::Client { facts.peers } else { 0 };
    let mut picks: Vec<_> = (0..peers).map(Pick::Peer).collect();
    let wanted = |at: &usize| is_wanted(scene, facts, *at, which);
    let (here, away): (Vec<usize>, Vec<usize>) =
        (0..scene.around.len()).filter(wanted).partition(|at| !scene.around[*at].neighbour.is_away);
    picks.extend(holders_first(scene, facts, here).map(Pick::Proxy));
    if which == Which::All {
        picks.extend((0..facts.origins).map(Pick::Origin));
        picks.extend(away.into_iter().map(Pick::Proxy));
    }
    picks
}

fn is_wanted(scene: &Scene<'_>, facts: &Facts, at: usize, which: Which) -> bool {
    let Neighbour { relation, domain, is_away, .. } = scene.around[at].neighbour;
    let holds = !is_away && facts.holds.get(at).is_some_and(|holds| *holds);
    match which {
        Which::Holders => holds,
        Which::NearHolders => holds && Some(domain) == scene.domain,
        // What those beside a proxy do not hold they would fetch over two lines.
        Which::All => holds || scene.standing == Standing::Client || relation != Relation::Across,
    }
}

/// Among the proxies of one domain those that hold it stand before the others: they need no line.
fn holders_first(scene: &Scene<'_>, facts: &Facts, here: Vec<usize>) -> impl Iterator<Item = usize> {
    let mut order = Vec::with_capacity(here.len());
    for domain in
        here.chunk_by(|one, other| scene.around[*one].neighbour.domain == scene.around[*other].neighbour.domain)
    {
        let holds = |at: &&usize| facts.holds.get(**at).is_some_and(|holds| *holds);
        order.extend(domain.iter().filter(holds));
        order.extend(domain.iter().filter(|at| !holds(at)));
    }
    order.into_iter()
}
