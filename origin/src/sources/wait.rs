//! When somebody who cannot have a content yet may ask again. Those who wait for the same come one after the other, in a window that begins when it is
//! expected, and grows with each of them. Pure: the time and the seed are arguments.

use std::time::{Duration, SystemTime};

use protocol::patience::Spread;

use super::{rule::Reason, terms::Terms};

/// Of those who wait for one content so many come back in a second: one in this time. An answer takes a tenth of it on one core.
const RETURN_EACH: Duration = Duration::from_millis(2);
/// From the end of a fetch until it has been reported.
const REPORTED_WITHIN: Duration = Duration::from_secs(5);
/// From the moment when one was told to fetch it until it does.
const BEGUN_WITHIN: Duration = Duration::from_secs(1);
/// A digest that no file has for so long is none that is just being made.
pub(crate) const UNKNOWN_AFTER: Duration = Duration::from_secs(600);

/// A question, as far as waiting goes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asked<'a> {
    pub(crate) terms: &'a Terms,
    pub(crate) now: SystemTime,
    /// Another one for each question.
    pub(crate) seed: u64,
}

/// Seconds until one more of those who wait for a content since `since` may ask again. `until` is by when all before it have come back.
pub(crate) fn moment(reason: Reason, since: SystemTime, until: &mut SystemTime, asked: &Asked<'_>) -> u64 {
    let Asked { terms, now, seed } = *asked;
    let waited = now.duration_since(since).unwrap_or_default();
    let begin = begin(reason, waited, terms);
    let first = now + begin;
    *until = (*until).max(first) + RETURN_EACH;
    let queue = until.duration_since(first).unwrap_or_default();
    let least = if reason.is_begin() { BEGUN_WITHIN } else { terms.retry_min };
    let window = queue.clamp(least, (terms.retry_max / 2).max(terms.retry_min));
    whole_seconds(Spread::new(seed).between(begin, begin + window))
}

/// When the first may come.
fn begin(reason: Reason, waited: Duration, terms: &Terms) -> Duration {
    let bounded = |time: Duration| time.clamp(terms.retry_min, (terms.retry_max / 2).max(terms.retry_min));
    match reason {
        Reason::Blackout(left) => left,
        Reason::Unknown if waited >= UNKNOWN_AFTER => bounded(terms.retry_max),
        Reason::Unknown => bounded(waited),
        // If it has still not begun, it is not to be hurried.
        reason if reason.is_begin() => waited.max(BEGUN_WITHIN).min(bounded(terms.retry_max)),
        Reason::OnItsWay { forecast, guess, not_before } => {
            let said = forecast.unwrap_or_default() + guess + not_before + REPORTED_WITHIN;
            // What has taken so long already, and nobody knows how far it is, will take as long again.
            let expected = if guess.is_zero() { said } else { said.max(waited) };
            bounded(expected).max(not_before)
        }
    }
}

impl Reason {
    /// Whether only a beginning is waited for, of whoever gives each byte on as it comes.
    fn is_begin(self) -> bool {
        self == Self::OnItsWay { forecast: None, guess: Duration::ZERO, not_before: Duration::ZERO }
    }
}

/// Rounded up: who comes a moment too early comes once more.
fn whole_seconds(time: Duration) -> u64 {
    time.as_secs() + u64::from(time.subsec_nanos() > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: SystemTime = SystemTime::UNIX_EPOCH;

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn told(reason: Reason, waited: u64, waiting: u64) -> Vec<u64> {
        let now = START + seconds(waited);
        let mut until = now;
        let terms = Terms { retry_min: seconds(10), retry_max: seconds(600), ..Terms::default() };
        (0..waiting).map(|seed| moment(reason, START, &mut until, &Asked { terms: &terms, now, seed })).collect()
    }

    fn on_its_way(forecast: Option<u64>, guess: u64, not_before: u64) -> Reason {
        Reason::OnItsWay { forecast: forecast.map(seconds), guess: seconds(guess), not_before: seconds(not_before) }
    }

    #[test]
    fn the_first_may_come_when_it_is_expected() {
        for (reason, waited, least) in [
            (on_its_way(Some(60), 0, 0), 0, 65),
            (on_its_way(Some(60), 20, 0), 0, 85),
            (on_its_way(None, 20, 0), 0, 25),
            (on_its_way(None, 20, 0), 100, 100),
            // A forecast is believed, however long it has taken.
            (on_its_way(Some(60), 0, 0), 100, 65),
            (on_its_way(Some(0), 0, 0), 0, 10),
            (on_its_way(Some(6_000), 0, 0), 0, 300),
            (on_its_way(None, 20, 4_000), 0, 4_000),
            (Reason::Blackout(seconds(50_000)), 0, 50_000),
            (Reason::Blackout(seconds(1)), 0, 1),
            (Reason::Unknown, 0, 10),
            (Reason::Unknown, 40, 40),
            (Reason::Unknown, 600, 300),
        ] {
            let told = told(reason, waited, 100);
            let (first, last) = (told.iter().min().copied(), told.iter().max().copied());
            // In a window of the shortest wait, for so few.
            assert!(first >= Some(least) && last <= Some(least + 10), "{reason:?} {waited}: {first:?} to {last:?}");
            assert!(first <= Some(least + 1) && last >= Some(least + 9), "{reason:?} {waited}: {first:?} to {last:?}");
        }
    }

    #[test]
    fn for_a_beginning_nobody_waits_long_but_for_one_that_does_not_come() {
        let begin = on_its_way(None, 0, 0);
        let within = |waited, least, most| told(begin, waited, 100).iter().all(|time| (least..=most).contains(time));
        assert!(within(0, 1, 2) && within(1, 1, 2));
        assert!(within(20, 20, 21) && within(10_000, 300, 301));
        let many = told(begin, 0, 50_000);
        assert!(many.iter().max() > Some(&90), "2 ms each");
    }

    #[test]
    fn the_window_grows_with_those_who_wait_and_all_of_it_is_used() {
        let told = told(on_its_way(Some(95), 0, 0), 0, 50_000);
        let least = told[0].min(100);
        // 2 ms each.
        assert!(told.iter().all(|time| (100..=200).contains(time)) && least >= 100);
        let late = told[40_000..].iter().filter(|time| **time > 150).count();
        assert!((3_500..7_000).contains(&late), "{late} of the last ten thousand come in the second half");
        let most_at_once = (100..=200).map(|second| told.iter().filter(|time| **time == second).count()).max();
        // Five hundred are meant to come each second; those who came first stand closer.
        assert!(most_at_once < Some(2_500), "{most_at_once:?}");
    }

    #[test]
    fn it_is_never_longer_than_the_longest_but_for_blackouts() {
        for reason in [on_its_way(Some(100_000), 50, 0), on_its_way(None, 1, 0), Reason::Unknown] {
            let told = told(reason, 100_000, 50_000);
            assert!(told.iter().all(|time| (10..=600).contains(time)), "{reason:?}: {:?}", told.iter().max());
        }
    }

    #[test]
    fn those_who_wait_are_forgotten_as_they_come_back() {
        let terms = Terms { retry_min: seconds(10), retry_max: seconds(600), ..Terms::default() };
        let mut until = START;
        let reason = on_its_way(Some(0), 0, 0);
        for seed in 0..10_000 {
            moment(reason, START, &mut until, &Asked { terms: &terms, now: START, seed });
        }
        let later = START + seconds(250);
        let told: Vec<_> = (0..100)
            .map(|seed| moment(reason, START, &mut until, &Asked { terms: &terms, now: later, seed }))
            .collect();
        assert!(told.iter().all(|time| *time <= 20), "{:?}", told.iter().max());
    }
}
