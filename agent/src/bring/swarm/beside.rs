//! What goes on beside a plain download: others are told now and then that this machine fetches it, and when somebody is around, what has come is
//! compared piece by piece, so that they can have it. A machine with nobody around asks one question every few seconds, and no more.

use std::{convert::Infallible, time::Duration};

use parking_lot::Mutex;
use tokio::time::{Instant, sleep_until};

use super::{
    party::Party,
    reread::{Reread, reread},
};
use crate::{
    bring::finder::now,
    decide::{health::Health, source::Rank},
};

/// How often a server is asked, whatever it says.
const ASK_EVERY: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));
/// After one that did not answer, and where nobody gives a list.
const ASK_AGAIN: Duration = Duration::from_secs(30);

impl Party {
    /// Goes on until it is dropped, which loses nothing.
    pub(crate) async fn beside(&mut self, health: &Mutex<Health>) -> Infallible {
        let arrival = self.arriving.as_ref().map(|arriving| arriving.arrival.clone());
        let sources: Vec<_> = self.swarm.sources().cloned().collect();
        let (asker, root) = (self.asker.clone(), self.root);
        let comparing = async {
            let Some(arrival) = arrival else { return std::future::pending().await };
            arrival.wanted().await;
            let list = loop {
                match arrival.list().cloned() {
                    Some(list) => break list,
                    None => match asker.list(&sources, root).await {
                        Some(list) => break list,
                        None => tokio::time::sleep(ASK_AGAIN).await,
                    },
                }
            };
            arrival.listed(&list);
            loop {
                let unverified = arrival.unverified();
                if reread(&arrival, &list, &unverified).await == Reread::Wrong {
                    // In the end the digest of the whole says so; nobody gets it from here.
                    return std::future::pending().await;
                }
                // The piece that comes next at the front; the last one can be read when all is here, and then it is an object.
                let end = list.span(next(&arrival.written(), list.count())).end;
                if arrival.reader().readable(end.saturating_sub(1)).await.is_err() || arrival.reader().is_sealed() {
                    return std::future::pending().await;
                }
            }
        };
        tokio::select! {
            never = comparing => never,
            never = self.announce(health) => never,
        }
    }

    /// Asks the nearest proxy what it has: so it knows that we want it, and we hear who else does.
    async fn announce(&mut self, health: &Mutex<Health>) -> Infallible {
        let Some(place) = self.swarm.first_of(Rank::Proxy) else { return std::future::pending().await };
        let source = self.swarm.source(place).clone();
        let mut due = Instant::now() + ASK_EVERY.0;
        loop {
            sleep_until(due).await;
            let had = self.asker.question(&source).await;
            let next_in = had.as_ref().map_or(ASK_AGAIN, |have| Duration::from_millis(have.next_in));
            due = Instant::now() + next_in.clamp(ASK_EVERY.0, ASK_EVERY.1);
            if had.is_ok() {
                self.had(place, had, &mut health.lock(), now());
            }
        }
    }
}

/// The first piece that is not there, or the last of all.
fn next(written: &protocol::pieces::Bitmap, count: u32) -> u32 {
    (0..count).find(|piece| !written.get(*piece)).unwrap_or(count.saturating_sub(1))
}
