//! How often one may report: pure. Who has not for a while may at once send the pages of a large report; in the long run it is as often as news need. Kept is, for each who
//! reported lately, only until when the past would take at the allowed pace.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

/// In the long run, one report in this time.
const EVERY: Duration = Duration::from_millis(500);
/// Reports at once, after some quiet: a full one of as many contents as there may be has a hundred pages.
const BURST: u32 = 128;
/// Those who reported lately.
const NAMES_MAX: usize = 1 << 16;
/// How often those are forgotten who did not.
const TIDY_EVERY: Duration = Duration::from_secs(1);

/// All who reported lately.
#[derive(Debug, Default)]
pub(crate) struct Pace {
    until: HashMap<Box<str>, Instant>,
    tidied: Option<Instant>,
}

impl Pace {
    /// Whether one may report now; else the time after which it may.
    pub(super) fn take(&mut self, name: &str, now: Instant) -> Result<(), Duration> {
        let ahead = EVERY * (BURST - 1);
        match self.until.get_mut(name) {
            Some(until) if *until > now + ahead => Err(*until - ahead - now),
            Some(until) => {
                *until = now.max(*until) + EVERY;
                Ok(())
            }
            None => self.enter(name, now),
        }
    }

    fn enter(&mut self, name: &str, now: Instant) -> Result<(), Duration> {
        if self.until.len() >= NAMES_MAX && self.tidied.is_none_or(|tidied| now >= tidied + TIDY_EVERY) {
            self.until.retain(|_, until| *until > now);
            self.tidied = Some(now);
        }
        if self.until.len() >= NAMES_MAX {
            return Err(TIDY_EVERY);
        }
        self.until.insert(name.into(), now + EVERY);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_pages_at_once_then_twice_a_second() {
        let (mut pace, start) = (Pace::default(), Instant::now());
        let taken = |pace: &mut Pace, now| (0..10_000).take_while(|_| pace.take("a", now).is_ok()).count();
        assert_eq!(taken(&mut pace, start), BURST as usize);
        assert_eq!(pace.take("a", start), Err(EVERY));
        assert_eq!(pace.take("b", start), Ok(()), "others are not held up");
        let mut count = 0;
        for second in 1..=10 {
            count += taken(&mut pace, start + Duration::from_secs(second));
        }
        assert_eq!(count, 20);
        let later = start + Duration::from_secs(3_600);
        assert_eq!(taken(&mut pace, later), BURST as usize, "not more than that for all the quiet");
    }

    #[test]
    fn who_refuses_to_wait_does_not_wait_longer() {
        let (mut pace, start) = (Pace::default(), Instant::now());
        while pace.take("a", start).is_ok() {}
        for _ in 0..1_000 {
            assert_eq!(pace.take("a", start), Err(EVERY));
        }
        assert_eq!(pace.take("a", start + EVERY), Ok(()));
    }

    #[test]
    fn names_are_bounded_and_those_of_long_ago_make_room() {
        let (mut pace, start) = (Pace::default(), Instant::now());
        for name in 0..NAMES_MAX {
            assert_eq!(pace.take(&name.to_string(), start), Ok(()));
        }
        assert_eq!(pace.take("new", start), Err(TIDY_EVERY));
        assert_eq!(pace.take("7", start), Ok(()), "who is known goes on");
        assert_eq!(pace.take("new", start + EVERY), Err(TIDY_EVERY), "looked through a moment ago");
        assert_eq!(pace.take("new", start + TIDY_EVERY), Ok(()));
        assert!(pace.until.len() <= 2);
    }
}
