//! One source of a content in pieces: what it has, as far as it has said, and when it may be asked for what.

use std::time::{Duration, Instant};

use protocol::{
    patience::{Backoff, Spread},
    pieces::Bitmap,
};

use super::{coming::Coming, turns};
use crate::decide::{
    health::{Health, Request},
    outcome::{Busy, Outcome},
    source::{Rank, Source},
    swarm::terms::Turns,
};

/// A neighbour without a free place is asked again within this, doubled with each time in a row: a piece is there in a moment.
const PEER_BUSY: (Duration, Duration) = (Duration::from_millis(50), Duration::from_millis(250));
/// Doublings of it at most.
const PEER_BUSY_DOUBLINGS_MAX: u32 = 4;
/// Who broke off in mid-piece, or lacked a piece that it had said to have, is asked again within this.
const MOMENT: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(3));
/// Pieces in a row that somebody had said to have and did not give; then nothing is asked of it any more.
const LIES_MAX: u32 = 3;
/// Pieces in a row that a server may break off in; then it has failed, whatever it says.
const BREAKS_MAX: u32 = 3;
/// So often a neighbour that knows nothing of the content is asked again.
const ABSENCES_MAX: u32 = 8;
/// Nobody is asked again sooner for what they said of their own time.
const LEAST_WAIT: Duration = Duration::from_secs(1);
/// What somebody has is asked no sooner again, and no later, whatever they say.
const NEXT_IN: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(60));
/// A neighbour that is named again after this may have come back.
const RETURN_AFTER: Duration = Duration::from_secs(30);
/// No piece was seen at that time.
const NEVER: u32 = u32::MAX;

/// A source, and what is known of it.
#[derive(Clone, Debug)]
pub(super) struct Place {
    pub(super) source: Source,
    /// Its place in the list that came last; of a neighbour it does not matter.
    pub(super) order: usize,
    pub(super) has: Has,
    /// When a server was first seen to have a piece, in milliseconds from the beginning; the turns count from then.
    seen: Vec<u32>,
    /// Since when a server neither has all nor fetches it.
    idle_since: Option<Instant>,
    /// Since when a server fetches what lies far before the first piece that is missing here.
    pub(super) behind_since: Option<Instant>,
    /// When it is to be asked what it has; `None`: not any more.
    pub(super) ask_at: Option<Instant>,
    /// Since when it is being asked.
    pub(super) asked_at: Option<Instant>,
    /// It has told what it has, or that it cannot tell.
    pub(super) is_told: bool,
    /// A server that tells what it has failed when it was asked last: what it had said counts no more.
    pub(super) is_silent: bool,
    /// A server broke off, and has said nothing since.
    pub(super) is_doubted: bool,
    /// A server fetches it, as it said last.
    is_filling: bool,
    /// A server has fetched it, or had some of it.
    has_brought: bool,
    /// Since when it is the server, of those of its rank: our turns at it count from then.
    pub(super) server_since: Option<Instant>,
    /// Pieces in a row that a server broke off in.
    breaks: u32,
    /// What a neighbour brings over the line.
    pub(super) coming: Coming,
    /// Times in a row that a neighbour knew nothing of the content.
    absences: u32,
    /// It has no word for us before then, and why.
    pub(super) until: Option<(Instant, Option<Busy>)>,
    /// Pieces on their way from it.
    pub(super) in_flight: usize,
    /// Refusals in a row.
    refusals: u32,
    /// Untruths in a row.
    lies: u32,
    /// Since when nothing is asked of it.
    gone_at: Option<Instant>,
}

/// Which pieces somebody has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Has {
    /// Nothing is known.
    Unknown,
    All,
    These(Bitmap),
}

impl Place {
    pub(super) fn new(source: Source, order: usize, now: Instant) -> Self {
        let mut place = Self {
            source,
            order,
            has: Has::Unknown,
            seen: Vec::new(),
            idle_since: None,
            behind_since: None,
            ask_at: None,
            asked_at: None,
            is_told: false,
            is_silent: false,
            is_doubted: false,
            is_filling: false,
            has_brought: false,
            server_since: None,
            breaks: 0,
            coming: Coming::default(),
            absences: 0,
            until: None,
            in_flight: 0,
            refusals: 0,
            lies: 0,
            gone_at: None,
        };
        place.listed(now);
        place
    }

    /// It stands in a list: an origin has everything, a neighbour that is not partial too, and all others are to be asked.
    fn listed(&mut self, now: Instant) {
        match self.source.rank {
            Rank::Origin => self.has_all(now),
            Rank::Peer if !self.source.partial => self.has_all(now),
            _ => self.ask_at = Some(now),
        }
    }

    /// It stands in a later list.
    pub(super) fn listed_again(&mut self, source: Source, order: usize, now: Instant) {
        let is_whole_now = self.source.partial && !source.partial;
        (self.source, self.order) = (source, order);
        if self.gone_at.take().is_some() || is_whole_now {
            self.listed(now);
        }
    }

    pub(super) fn is_peer(&self) -> bool {
        self.source.rank == Rank::Peer
    }

    /// Nothing is asked of it any more.
    pub(super) fn leave(&mut self, now: Instant) {
        self.gone_at.get_or_insert(now);
    }

    pub(super) fn is_gone(&self) -> bool {
        self.gone_at.is_some()
    }

    /// It left a while ago, and may have come back.
    pub(super) fn may_return(&self, now: Instant) -> bool {
        self.gone_at.is_some_and(|at| now.saturating_duration_since(at) >= RETURN_AFTER)
    }

    /// A server beyond the line.
    pub(super) fn is_far(&self) -> bool {
        self.source.rank > Rank::Proxy
    }

    pub(super) fn has_all(&mut self, now: Instant) {
        (self.has, self.is_told, self.ask_at) = (Has::All, true, None);
        self.idle_since.get_or_insert(now);
    }

    pub(super) fn has_piece(&self, piece: u32) -> bool {
        match &self.has {
            Has::Unknown => false,
            Has::All => true,
            Has::These(these) => these.get(piece),
        }
    }

    /// Until when it may not be asked for a piece; `None`: it may.
    pub(super) fn waits(&self, health: &Health, now: Instant) -> Option<Instant> {
        let own = self.until.map(|(until, _)| until).filter(|until| *until > now);
        own.into_iter().chain(health.due(&self.source.url, Request::Content, now)).max()
    }

    /// Its own word keeps us from those that are farther away.
    pub(super) fn is_wall(&self, now: Instant) -> bool {
        !self.is_gone() && !self.is_peer() && self.until.is_some_and(|(until, busy)| until > now && busy.is_some())
    }

    /// Whether another server may be asked in spite of this one's word: where its places are taken nobody behind it, else nobody farther away.
    pub(super) fn lets_past(&self, other: &Self, now: Instant) -> bool {
        match self.until {
            Some((_, Some(Busy::Places(_)))) if self.is_wall(now) => other.order < self.order,
            _ if self.is_wall(now) => other.source.rank <= self.source.rank,
            _ => true,
        }
    }

    /// What it has. A neighbour that has all needs not be asked again; a server is, for it tells who else wants it.
    pub(super) fn told(&mut self, have: &Bitmap, filling: bool, next_in: Duration, began: Instant, now: Instant) {
        (self.asked_at, self.is_told, self.is_silent, self.absences) = (None, true, false, 0);
        if !self.is_peer() {
            self.note(have, began, now);
            (self.is_doubted, self.is_filling) = (false, filling);
            self.has_brought |= filling || have.count() > 0;
            let is_idle = !filling && !have.is_full();
            self.idle_since = if is_idle { self.idle_since.or(Some(now)) } else { None };
        }
        let is_over = have.is_full() && self.is_peer();
        self.ask_at = (!is_over).then(|| now + next_in.clamp(NEXT_IN.0, NEXT_IN.1));
        self.has = if have.is_full() { Has::All } else { Has::These(have.clone()) };
    }

    /// Whether what a server fetches now is of no use here for long.
    pub(super) fn is_behind(&mut self, is: bool, now: Instant) {
        self.behind_since = self.behind_since.or(Some(now)).filter(|_| is && !self.is_peer());
    }

    fn note(&mut self, have: &Bitmap, began: Instant, now: Instant) {
        self.seen.resize(have.len() as usize, NEVER);
        let moment = milliseconds(began, now);
        for piece in have.ones() {
            let seen = &mut self.seen[piece as usize];
            *seen = (*seen).min(moment);
        }
    }

    /// It was asked and told nothing. A server that does not know the question may still give what it is asked for.
    pub(super) fn untold(&mut self, outcome: &Outcome, spread: &mut Spread, now: Instant) {
        self.asked_at = None;
        match (outcome, self.is_peer()) {
            (Outcome::Absent | Outcome::Refused, false) => {
                (self.is_doubted, self.is_filling) = (false, false);
                self.has_all(now);
            }
            (Outcome::Busy(_, wait), _) => {
                self.ask_at = Some(now + Backoff::obey((*wait).max(LEAST_WAIT), spread));
                // Where it has told nothing yet nobody waits for its word: others have pieces.
                self.is_told = true;
            }
            // It was named as one who wants it, and has not begun.
            (Outcome::Absent, true) if self.absences < ABSENCES_MAX => {
                self.absences += 1;
                self.ask_at = Some(now + spread.between(MOMENT.0, MOMENT.1));
            }
            (_, true) => self.leave(now),
            // When its back-off is over it is asked again, and for pieces only behind that.
            (_, false) => {
                (self.is_told, self.is_silent) = (true, true);
                self.forget_its_word();
                self.ask_at = Some(now + LEAST_WAIT);
            }
        }
    }

    /// When our turn to ask a server for a piece begins to count, if it was looked at long before; `None`: it has not got it.
    pub(super) fn has_since(&self, piece: u32, began: Instant) -> Option<Instant> {
        if !self.has_piece(piece) {
            return None;
        }
        let seen = self.seen.get(piece as usize).filter(|seen| **seen != NEVER);
        seen.map(|seen| began + Duration::from_millis(u64::from(*seen))).or(self.idle_since)
    }

    /// Whether it neither has all nor fetches it.
    pub(super) fn is_idle(&self) -> bool {
        self.idle_since.is_some() && self.has != Has::All
    }

    /// When it is our turn to ask a server for a piece that it neither has nor fetches, which makes it begin.
    pub(super) fn turn_to_begin(&self, piece: u32, seed: u64, askers: u64, terms: Turns) -> Option<Instant> {
        let since = self.idle_since.filter(|_| !self.has_piece(piece))?;
        let since = self.server_since.map_or(since, |server_since| server_since.max(since));
        since.checked_add(turns::wait(seed, piece, askers, terms))
    }

    /// It may not be asked before then, which is not its word.
    pub(super) fn hold(&mut self, until: Instant) {
        if self.until.is_none_or(|(own, _)| own < until) {
            self.until = Some((until, None));
        }
    }

    /// A piece came.
    pub(super) fn gave(&mut self) {
        (self.refusals, self.lies, self.breaks, self.until) = (0, 0, 0, None);
        (self.is_doubted, self.has_brought) = (false, true);
        // A server that sends what it had not is fetching it.
        self.idle_since = self.idle_since.filter(|_| self.has == Has::All);
    }

    /// A piece did not come.
    pub(super) fn failed(&mut self, outcome: &Outcome, spread: &mut Spread, now: Instant) {
        match *outcome {
            Outcome::Busy(busy, wait) => self.is_busy(busy, wait, spread, now),
            // It is asked again what it has; where it is asked no more, it has lost it.
            Outcome::Absent if self.is_peer() && self.ask_at.is_some() && self.lies + 1 < LIES_MAX => {
                self.lies += 1;
                self.until = Some((now + spread.between(MOMENT.0, MOMENT.1), None));
            }
            Outcome::Absent | Outcome::Refused | Outcome::Wrong => self.leave(now),
            Outcome::Failed { got: 0 } => {
                self.forget_its_word();
                self.is_doubted = !self.is_peer();
            }
            Outcome::Failed { .. } => {
                self.until = Some((now + spread.between(MOMENT.0, MOMENT.1), None));
                if !self.is_peer() {
                    // It is asked at once whether it goes on.
                    (self.is_doubted, self.is_filling, self.breaks) = (true, false, self.breaks.saturating_add(1));
                    self.ask_at = self.ask_at.map(|at| at.min(now));
                }
            }
        }
    }

    /// Who is away keeps nobody from those that are farther by what it said before.
    fn forget_its_word(&mut self) {
        self.until = self.until.filter(|(_, busy)| busy.is_none());
        (self.is_filling, self.server_since) = (false, None);
    }

    fn is_busy(&mut self, busy: Busy, wait: Duration, spread: &mut Spread, now: Instant) {
        let until = if self.is_peer() {
            let factor = 1 << self.refusals.min(PEER_BUSY_DOUBLINGS_MAX);
            self.refusals = self.refusals.saturating_add(1);
            now + spread.between(PEER_BUSY.0 * factor, PEER_BUSY.1 * factor)
        } else {
            now + Backoff::obey(wait.max(LEAST_WAIT), spread)
        };
        self.until = Some((until, Some(busy)));
        if let (Busy::Places(_), false) = (busy, self.is_peer()) {
            // They are taken by those whom it brings it.
            (self.is_filling, self.is_doubted) = (true, false);
        }
    }

    /// Whether it brings the content to its branch, as far as it has said: it fetches it, or has what is missing here. That its places are taken does not contradict that.
    pub(super) fn brings(&self, here: &Bitmap, health: &Health, now: Instant) -> bool {
        if self.is_doubted || !self.may_bring(health, now) {
            return false;
        }
        match &self.has {
            _ if self.is_filling => true,
            _ if !self.is_told => false,
            Has::All => self.holds_all(),
            Has::These(these) => these.without(here, 0..here.len()).next().is_some(),
            Has::Unknown => false,
        }
    }

    /// Whether its word is worth hearing: it has not failed, and does not refuse.
    pub(super) fn may_bring(&self, health: &Health, now: Instant) -> bool {
        let has_failed = self.is_silent || self.breaks >= BREAKS_MAX;
        let is_refusal = |busy: Busy| !matches!(busy, Busy::Places(_));
        let refuses = self.until.is_some_and(|(until, busy)| until > now && busy.is_some_and(is_refusal));
        let is_due = || health.due(&self.source.url, Request::Content, now).is_none();
        !self.is_gone() && !has_failed && !refuses && is_due()
    }

    /// It said so itself, or is an origin: who does not know the question may have nothing.
    pub(super) fn holds_all(&self) -> bool {
        self.has == Has::All && (self.ask_at.is_some() || self.source.rank == Rank::Origin)
    }

    /// It has fetched this content, and was the server: so it goes on with its part.
    pub(super) fn has_a_part(&self) -> bool {
        self.has_brought && self.server_since.is_some()
    }
}

/// As moments of pieces are kept.
pub(super) fn milliseconds(began: Instant, now: Instant) -> u32 {
    u32::try_from(now.saturating_duration_since(began).as_millis()).unwrap_or(NEVER - 1)
}
