//! Who is answered while everybody asks at once. Proxies that others depend on come before those behind thin lines, and these before clients; each of
//! these tiers has its share of the places for certain.
//!
//! [`table`] decides, with [`returns`] (when those who are refused come again) and [`limits`]; [`refusal`] has their answers ready. What is here acts
//! on it: whoever is admitted holds a [`Permit`], which goes with the work, not with the request, for work that has begun does not end when its client
//! leaves. It knows nothing of what is asked.

mod limits;
mod refusal;
mod returns;
mod table;

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Instant,
};

use parking_lot::Mutex;
use protocol::{patience::Spread, topology::Tier};
use serve::response::Response;
use tokio::sync::oneshot;

pub(crate) use self::{limits::Limits, table::Present};
use self::{
    limits::{TIERS, index},
    refusal::Refusals,
    table::{Arrival, Table, Told},
};

/// The gate; shared by all who answer.
pub(crate) struct Admission {
    /// Held for moments, and never while somebody is woken.
    table: Mutex<Table<oneshot::Sender<Turn>>>,
    refusals: Refusals,
    /// Another one for each refusal.
    seed: AtomicU64,
    admitted: [AtomicU64; TIERS],
    refused: [AtomicU64; TIERS],
}

/// What one who waits is told.
enum Turn {
    Admitted(Permit),
    /// To come again after so many seconds.
    Refused(u64),
}

/// Is to come again; see [`Admission::answer`].
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Refused {
    seconds: u64,
}

/// A place, until it is dropped.
pub(crate) struct Permit {
    admission: Arc<Admission>,
    tier: Tier,
    since: Instant,
}

/// Has a place, or waits for one.
pub(crate) enum Entry {
    /// Has one.
    Admitted(Permit),
    /// Waits.
    Waits(Waiter),
}

/// One in a queue. Dropping it leaves the queue.
pub(crate) struct Waiter {
    admission: Arc<Admission>,
    tier: Tier,
    ticket: u64,
    until: Instant,
    turn: oneshot::Receiver<Turn>,
}

/// What has become of those of a tier since the start, and how many there are now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    /// Were answered at once, or after they had waited.
    pub(crate) admitted: u64,
    /// Were told to come again.
    pub(crate) refused: u64,
    /// Are here.
    pub(crate) present: Present,
}

impl Admission {
    /// With any number as the seed.
    pub(crate) fn new(limits: Limits, seed: u64) -> Arc<Self> {
        Arc::new(Self {
            table: Mutex::new(Table::new(limits)),
            refusals: Refusals::new(),
            seed: AtomicU64::new(seed),
            admitted: Default::default(),
            refused: Default::default(),
        })
    }

    /// Refuses one for whom there is neither a place nor room to wait, before anything else is done for it: not even its body is read.
    pub(crate) fn knock(&self, tier: Tier, now: Instant) -> Result<(), Refused> {
        let refused = self.table.lock().refuses(tier, now, &mut self.spread());
        refused.map_or(Ok(()), |seconds| Err(self.refuse(tier, seconds)))
    }

    /// Takes a place or waits for one; else the answer is there.
    pub(crate) fn enter(self: &Arc<Self>, tier: Tier, now: Instant) -> Result<Entry, Refused> {
        let mut turn = None;
        let whom = || {
            let (sender, receiver) = oneshot::channel();
            turn = Some(receiver);
            sender
        };
        let arrival = self.table.lock().arrive(tier, now, &mut self.spread(), whom);
        match (arrival, turn) {
            (Arrival::Waits { ticket, until }, Some(turn)) => {
                Ok(Entry::Waits(Waiter { admission: self.clone(), tier, ticket, until, turn }))
            }
            (Arrival::Refused(seconds), _) => Err(self.refuse(tier, seconds)),
            (Arrival::Admitted | Arrival::Waits { .. }, _) => Ok(Entry::Admitted(self.permit(tier, now))),
        }
    }

    /// What one who is refused is answered.
    pub(crate) fn answer(&self, refused: Refused) -> Response {
        self.refusals.response(refused.seconds)
    }

    /// Other limits from now on.
    pub(crate) fn set_limits(self: &Arc<Self>, limits: Limits) {
        let told = self.table.lock().set_limits(limits);
        self.tell(told);
    }

    /// Questions that may be answered at once.
    pub(crate) fn places(&self) -> usize {
        self.table.lock().places()
    }

    /// By tier, the first to be admitted first.
    pub(crate) fn tallies(&self) -> [(Tier, Tally); TIERS] {
        let present = self.table.lock().present();
        Tier::ALL.map(|tier| {
            let at = index(tier);
            let (admitted, refused) = (self.admitted[at].load(Relaxed), self.refused[at].load(Relaxed));
            (tier, Tally { admitted, refused, present: present[at] })
        })
    }

    fn spread(&self) -> Spread {
        Spread::new(self.seed.fetch_add(1, Relaxed))
    }

    fn permit(self: &Arc<Self>, tier: Tier, now: Instant) -> Permit {
        self.admitted[index(tier)].fetch_add(1, Relaxed);
        Permit { admission: self.clone(), tier, since: now }
    }

    fn refuse(&self, tier: Tier, seconds: u64) -> Refused {
        self.refused[index(tier)].fetch_add(1, Relaxed);
        Refused { seconds }
    }

    /// One who has gone meanwhile gives its place back by the permit that nobody took.
    fn tell(self: &Arc<Self>, told: impl IntoIterator<Item = Told<oneshot::Sender<Turn>>>) {
        for Told { tier, whom, turn } in told {
            let turn = match turn {
                Ok(()) => Turn::Admitted(self.permit(tier, now())),
                Err(seconds) => Turn::Refused(seconds),
            };
            // What is not taken is dropped.
            let _ = whom.send(turn);
        }
    }
}

impl Entry {
    /// A place, as soon as it is there. Dropping the future leaves the queue.
    pub(crate) async fn turn(self) -> Result<Permit, Refused> {
        match self {
            Self::Admitted(permit) => Ok(permit),
            Self::Waits(waiter) => waiter.turn().await,
        }
    }
}

impl Waiter {
    async fn turn(mut self) -> Result<Permit, Refused> {
        let too_long = tokio::time::sleep_until(self.until.into());
        let turn = tokio::select! {
            biased;
            turn = &mut self.turn => turn,
            () = too_long => {
                let told = self.admission.table.lock().expire(now(), &mut self.admission.spread());
                self.admission.tell(told);
                // It was among them, or its turn had come just before.
                (&mut self.turn).await
            }
        };
        match turn {
            Ok(Turn::Admitted(permit)) => Ok(permit),
            Ok(Turn::Refused(seconds)) => Err(self.admission.refuse(self.tier, seconds)),
            // Nobody drops a sender without a word.
            Err(_) => Err(self.admission.refuse(self.tier, 1)),
        }
    }
}

impl Drop for Waiter {
    fn drop(&mut self) {
        self.admission.table.lock().abandon(self.tier, self.ticket);
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let took = now().saturating_duration_since(self.since);
        let told = self.admission.table.lock().leave(self.tier, took);
        self.admission.tell(told);
    }
}

/// By the runtime's clock, which tests can stop.
fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn small() -> Arc<Admission> {
        Admission::new(Limits::of(3), 7)
    }

    async fn place(admission: &Arc<Admission>, tier: Tier) -> Permit {
        let Ok(entry) = admission.enter(tier, now()) else { panic!("refused") };
        let Ok(permit) = entry.turn().await else { panic!("refused after a while") };
        permit
    }

    fn present(admission: &Admission) -> [(usize, usize); TIERS] {
        admission.tallies().map(|(_, tally)| (tally.present.running, tally.present.waiting))
    }

    #[tokio::test]
    async fn a_place_that_is_given_back_goes_to_who_waits() {
        let admission = small();
        let first = place(&admission, Tier::Client).await;
        let others = [place(&admission, Tier::Client).await, place(&admission, Tier::Client).await];
        let waits = tokio::spawn({
            let admission = admission.clone();
            async move { drop(place(&admission, Tier::Unconstrained).await) }
        });
        while present(&admission)[0].1 == 0 {
            tokio::task::yield_now().await;
        }
        drop(first);
        waits.await.unwrap();
        assert_eq!(present(&admission), [(0, 0), (0, 0), (2, 0)]);
        drop(others);
        assert_eq!(present(&admission), [(0, 0); TIERS]);
        assert_eq!(admission.tallies().map(|(_, tally)| tally.admitted), [1, 0, 3]);
    }

    #[tokio::test]
    async fn who_leaves_the_queue_takes_no_place_whenever_it_leaves() {
        let admission = small();
        let mut places = Vec::new();
        for _ in 0..3 {
            places.push(place(&admission, Tier::Client).await);
        }
        let enter = || admission.enter(Tier::Client, now());
        let (Ok(before), Ok(after)) = (enter(), enter()) else { panic!("refused") };
        drop(before);
        assert_eq!(present(&admission)[2], (3, 1));
        // Its turn comes, and it goes before it has looked.
        places.pop();
        assert_eq!(present(&admission)[2], (3, 0));
        drop(after);
        assert_eq!(present(&admission)[2], (2, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn who_waits_too_long_is_told_to_come_again() {
        let admission = small();
        let mut places = Vec::new();
        for _ in 0..3 {
            places.push(place(&admission, Tier::Client).await);
        }
        let begun = now();
        let Ok(entry) = admission.enter(Tier::Client, begun) else { panic!("refused") };
        let Err(refused) = entry.turn().await else { panic!("there is no place") };
        assert_eq!(admission.answer(refused).status, 503);
        assert!(now() - begun >= Duration::from_secs(2));
        assert_eq!(present(&admission)[2], (3, 0));
        assert_eq!(admission.tallies()[2].1.refused, 1);
    }

    #[tokio::test]
    async fn a_full_queue_refuses_at_the_door() {
        let admission = small();
        let mut inside = Vec::new();
        while admission.knock(Tier::Client, now()).is_ok() {
            let Ok(entry) = admission.enter(Tier::Client, now()) else { panic!("refused behind the door") };
            inside.push(entry);
        }
        assert!(admission.enter(Tier::Client, now()).is_err());
        assert_eq!(present(&admission)[2], (3, inside.len() - 3));
        assert_eq!(admission.tallies()[2].1.refused, 2);
        // Others are not concerned.
        assert!(admission.knock(Tier::Constrained, now()).is_ok());
        admission.set_limits(Limits::of(inside.len() + 1));
        assert!(matches!(admission.enter(Tier::Client, now()), Ok(Entry::Admitted(_))));
    }
}
