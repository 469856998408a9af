//! Whether a client is fast enough, in one direction: bytes that it moves in the time in which nobody but it is waited for. Pure: who counts the bytes and what
//! the time is is told.
//!
//! A client takes bytes in lumps: the kernel on its side opens a closed window only when a sixteenth of it is free. So bytes are compared with the time over a window
//! that is long enough to have several lumps in it, and that has no time in which we had nothing to give.

use std::time::Duration;

/// What is known of one direction. Times are counted from the worker's start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Pace {
    /// Waited for the client in this window, but for the wait that is under way.
    waited: Duration,
    /// When that one began.
    since: Option<Duration>,
    /// Bytes that had been moved when the window began.
    moved_before: u64,
    /// Bytes that had been moved when it was looked for the last time.
    moved: u64,
}

/// What a look shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Look {
    /// Nothing was moved since the last look.
    Still,
    /// Something was.
    Moving,
    /// Less than must be, over a whole window.
    TooSlow,
}

impl Pace {
    /// A wait for the client begins, or goes on.
    pub(crate) fn begin(&mut self, now: Duration) {
        self.pause(now);
        self.since = Some(now);
    }

    /// Somebody else is waited for now, or nobody.
    pub(crate) fn pause(&mut self, now: Duration) {
        if let Some(since) = self.since.take() {
            self.waited += now.saturating_sub(since);
        }
    }

    /// Waited in this window.
    pub(crate) fn waited(&self, now: Duration) -> Duration {
        self.waited + self.since.map_or(Duration::ZERO, |since| now.saturating_sub(since))
    }

    /// So many bytes were moved since the connection began. With a window behind it the next one begins. A rate of 0 is reached by everybody.
    pub(crate) fn look(&mut self, moved: u64, now: Duration, window: Duration, bytes_per_second: u64) -> Look {
        let look = if moved > self.moved { Look::Moving } else { Look::Still };
        self.moved = moved;
        let waited = self.waited(now);
        if waited < window {
            return look;
        }
        let enough = u128::from(bytes_per_second) * waited.as_millis() / 1000;
        let too_slow = u128::from(moved.saturating_sub(self.moved_before)) < enough;
        (self.waited, self.moved_before) = (Duration::ZERO, moved);
        self.since = self.since.map(|_| now);
        if too_slow { Look::TooSlow } else { look }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WINDOW: Duration = Duration::from_secs(60);

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn a_client_must_move_so_much_in_the_time_that_is_its_own() {
        for (moved, expected) in [(59_999, Look::TooSlow), (60_000, Look::Moving), (10_000_000, Look::Moving)] {
            let mut pace = Pace::default();
            pace.begin(at(0));
            assert_eq!(pace.look(1, at(30), WINDOW, 1000), Look::Moving, "within the first window nobody is too slow");
            assert_eq!(pace.look(moved, at(60), WINDOW, 1000), expected, "{moved}");
        }
    }

    #[test]
    fn what_came_in_one_window_does_not_count_in_the_next() {
        let mut pace = Pace::default();
        pace.begin(at(0));
        assert_eq!(pace.look(6_000_000, at(60), WINDOW, 1000), Look::Moving);
        assert_eq!(pace.look(6_000_060, at(90), WINDOW, 1000), Look::Moving);
        assert_eq!(pace.look(6_000_120, at(120), WINDOW, 1000), Look::TooSlow);
    }

    #[test]
    fn the_time_of_others_does_not_count() {
        let mut pace = Pace::default();
        for second in 0..3 {
            pace.begin(at(second * 1000));
            pace.pause(at(second * 1000 + 10));
            pace.pause(at(second * 1000 + 999));
        }
        assert_eq!(pace.waited(at(9000)), at(30));
        assert_eq!(pace.look(1, at(9000), WINDOW, 1000), Look::Moving);
        // Beginning anew while it goes on loses nothing.
        pace.begin(at(10_000));
        pace.begin(at(10_020));
        assert_eq!(pace.waited(at(10_029)), at(59));
        assert_eq!(pace.look(2, at(10_030), WINDOW, 1000), Look::TooSlow);
    }

    #[test]
    fn without_a_rate_nobody_is_too_slow_and_who_stands_still_is_seen() {
        let mut pace = Pace::default();
        pace.begin(at(0));
        assert_eq!(pace.look(5, at(1), WINDOW, 0), Look::Moving);
        assert_eq!(pace.look(5, at(1000), WINDOW, 0), Look::Still);
        assert_eq!(pace.look(6, at(1001), WINDOW, 0), Look::Moving);
    }
}
