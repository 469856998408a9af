//! The line, as all who bring something over it see it. What it allows is decided in `decide::line`.

use std::time::{Instant, SystemTime};

use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::decide::line::{Line, Terms, Turn};

/// The line of this machine.
pub(crate) struct SharedLine {
    line: Mutex<Line>,
    renewed: Notify,
}

impl SharedLine {
    pub(crate) fn new(terms: Terms, seed: u64) -> Self {
        Self { line: Mutex::new(Line::new(terms, seed, now(), SystemTime::now())), renewed: Notify::new() }
    }

    /// From now on these hold, also for what is on its way and for who waits.
    pub(crate) fn renew(&self, terms: Terms) {
        self.line.lock().renew(terms, now(), SystemTime::now());
        self.renewed.notify_waiters();
    }

    /// Waits until the next bytes may be read; the error is until when it is closed. Dropping the future loses nothing.
    pub(crate) async fn turn(&self) -> Result<(), Instant> {
        loop {
            let renewed = self.renewed.notified();
            let turn = self.line.lock().turn(now(), SystemTime::now());
            match turn {
                Turn::Go => return Ok(()),
                Turn::Closed(until) => return Err(until),
                Turn::At(moment) => tokio::select! {
                    () = tokio::time::sleep_until(moment.into()) => {}
                    () = renewed => {}
                },
            }
        }
    }

    /// Bytes came over it.
    pub(crate) fn came(&self, bytes: u64) {
        self.line.lock().came(bytes, now());
    }

    /// Until when nothing may be brought over it.
    pub(crate) fn closed(&self) -> Option<Instant> {
        match self.line.lock().turn(now(), SystemTime::now()) {
            Turn::Closed(until) => Some(until),
            Turn::Go | Turn::At(_) => None,
        }
    }

    /// Ends when other terms hold.
    pub(crate) async fn renewed(&self) {
        self.renewed.notified().await;
    }

    /// Bytes that a connection may hold unread.
    pub(crate) fn unread_max(&self) -> Option<u64> {
        self.line.lock().unread_max(now(), SystemTime::now())
    }
}

fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

#[cfg(test)]
mod tests {
    use std::{sync::Arc, time::Duration};

    use protocol::rate::Rates;

    use super::*;

    fn at(rate: u64) -> Terms {
        Terms { rates: Rates { otherwise: rate, rules: Vec::new() }, ..Terms::default() }
    }

    #[tokio::test(start_paused = true)]
    async fn all_downloads_together_keep_the_rate() {
        let line = Arc::new(SharedLine::new(at(100_000), 1));
        let began = tokio::time::Instant::now();
        let reads = |line: Arc<SharedLine>| async move {
            for _ in 0..50 {
                line.turn().await.unwrap();
                line.came(10_000);
            }
        };
        let downloads: Vec<_> = (0..4).map(|_| tokio::spawn(reads(line.clone()))).collect();
        for download in downloads {
            download.await.unwrap();
        }
        let took = began.elapsed();
        assert!((Duration::from_millis(19_000)..Duration::from_millis(20_100)).contains(&took), "{took:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn who_waits_hears_of_another_rate() {
        let line = Arc::new(SharedLine::new(at(1_000), 1));
        line.came(1_000_000);
        let waits = tokio::spawn({
            let line = line.clone();
            async move { line.turn().await }
        });
        tokio::task::yield_now().await;
        let began = tokio::time::Instant::now();
        line.renew(at(0));
        waits.await.unwrap().unwrap();
        assert!(began.elapsed() < Duration::from_secs(1));
    }
}
