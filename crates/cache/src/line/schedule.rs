//! Whose turn on the line it is, and when: [`Order`](super::order) says who, a [`Bucket`] whether bytes may come already, and another for those who
//! yield to all others on the line ([`background`](super::background)). Pure: it takes `now`, and
//! the time of day; who waits and wakes is [`turn`](super::turn).

use std::{
    num::NonZeroU64,
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use os::tcp::Path;
use protocol::rate::Bucket;

use super::{
    background::Background,
    order::{Order, Ticket},
};
use crate::{
    fetch::urgency::{Class, Urgency},
    options::{self, line::LineOptions},
};

/// What comes in one turn: so long, at the rate that holds. Longer turns cost less and let the rate be left by more.
const TURN: Duration = Duration::from_millis(10);
/// Bytes of a turn: from a packet to what a connection reads at once.
const TURN_MIN: u64 = 1460;
const TURN_MAX: u64 = 1 << 20;
/// The time of day is looked at again after this at the latest, for a clock may be set.
const LOOK_EVERY: Duration = Duration::from_secs(10);

/// The state of a line.
#[derive(Debug)]
pub(super) struct Schedule {
    options: LineOptions,
    /// When it is to be seen again which rate holds.
    look_at: Instant,
    bucket: Option<Bucket>,
    /// Of those who yield.
    yielding: Option<Yielding>,
    order: Order,
}

#[derive(Debug)]
struct Yielding {
    background: Background,
    /// None, where nothing can be seen of the line.
    bucket: Option<Bucket>,
}

/// What who asks for a turn is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It is theirs.
    Go,
    /// They are next: to ask again then.
    At(Instant),
    /// Others are before them: to ask again when they are told so.
    Wait,
}

impl Schedule {
    pub(super) fn new(options: LineOptions, now: Instant, wall: SystemTime) -> Self {
        let mut schedule = Self { options, look_at: now, bucket: None, yielding: None, order: Order::default() };
        schedule.yield_or_not(now);
        schedule.look(now, wall);
        schedule
    }

    /// From now on these hold. What is owed stays owed.
    pub(super) fn set_options(&mut self, options: LineOptions, now: Instant, wall: SystemTime) {
        self.options = options;
        self.look_at = now;
        self.yield_or_not(now);
        self.look(now, wall);
    }

    fn yield_or_not(&mut self, now: Instant) {
        let delay_max = self.options.background_delay;
        match (&mut self.yielding, self.options.background) {
            (yielding, options::Background::Off) => *yielding = None,
            (Some(yielding), _) => yielding.background.set_delay_max(delay_max),
            (None, _) => self.yielding = Some(Yielding::new(Background::new(delay_max, now), now)),
        }
    }

    /// How packets of a connection that yields travel now. `true` if nothing can be seen of the line by them, for the first time.
    pub(super) fn sees(&mut self, path: &Path, class: Class, now: Instant) -> bool {
        let Some(yielding) = self.yielding.as_mut().filter(|_| self.options.yields(class)) else { return false };
        let was_seen = yielding.bucket.is_some();
        yielding.background.sees(path, now);
        yielding.follow(now);
        was_seen && yielding.bucket.is_none()
    }

    /// What holds for a class.
    fn buckets(&self, class: Class) -> impl Iterator<Item = &Bucket> {
        let yielding = self.yielding.as_ref().filter(|_| self.options.yields(class));
        self.bucket.iter().chain(yielding.and_then(|yielding| yielding.bucket.as_ref()))
    }

    /// Sees which rate holds, if it is time for that.
    fn look(&mut self, now: Instant, wall: SystemTime) {
        if now < self.look_at {
            return;
        }
        let (rate, until) = self.options.rates.at(wall);
        let change = until.and_then(|until| until.duration_since(wall).ok()).unwrap_or(LOOK_EVERY);
        self.look_at = now + change.min(LOOK_EVERY);
        self.bucket = rate.map(|rate| match self.bucket {
            Some(mut bucket) if bucket.rate() != rate.get() => {
                bucket.set_rate(now, rate);
                bucket
            }
            Some(bucket) => bucket,
            None => Bucket::new(rate, now),
        });
    }

    /// Somebody asks for a turn, for the first time or again.
    pub(super) fn ask(&mut self, ticket: Ticket, urgency: &Arc<Urgency>, now: Instant, wall: SystemTime) -> Verdict {
        self.look(now, wall);
        let Some(ready_at) = self.buckets(urgency.class()).map(Bucket::ready_at).max() else {
            self.order.leave(ticket);
            return Verdict::Go;
        };
        self.order.join(ticket, urgency, now);
        if self.next(now) != Some(ticket) {
            return Verdict::Wait;
        }
        if now < ready_at {
            return Verdict::At(ready_at);
        }
        self.order.leave(ticket);
        Verdict::Go
    }

    /// Somebody waits no more.
    pub(super) fn leave(&mut self, ticket: Ticket) {
        self.order.leave(ticket);
    }

    /// Who is to ask again.
    pub(super) fn next(&self, now: Instant) -> Option<Ticket> {
        // Who yields does not stand before others for want of room on the line.
        let may = |class| {
            let yielding = self.yielding.as_ref().filter(|_| self.options.yields(class));
            yielding.and_then(|yielding| yielding.bucket).is_none_or(|bucket| bucket.ready_at() <= now)
        };
        self.order.next(now, self.options.preload_wait_max, may).map(|(ticket, _)| ticket)
    }

    /// Bytes came.
    pub(super) fn came(&mut self, bytes: u64, class: Class, now: Instant) {
        if let Some(bucket) = &mut self.bucket {
            bucket.take(now, bytes);
        }
        if let Some(yielding) = self.yielding.as_mut().filter(|_| self.options.yields(class)) {
            yielding.background.came(bytes);
            yielding.bucket.iter_mut().for_each(|bucket| bucket.take(now, bytes));
        }
    }

    /// Bytes that may come in a turn of so many usual ones; `None`: no limit.
    pub(super) fn turn(&self, length: u32, class: Class) -> Option<u64> {
        self.bytes_of(TURN * length, class).map(|bytes| bytes.clamp(TURN_MIN, TURN_MAX))
    }

    /// Bytes that come in a time; `None`: no limit.
    pub(super) fn bytes_of(&self, time: Duration, class: Class) -> Option<u64> {
        self.buckets(class).map(|bucket| bucket.bytes_of(time)).min()
    }

    /// Bytes per second, if there is a limit now.
    pub(super) fn rate_at(&mut self, now: Instant, wall: SystemTime) -> Option<u64> {
        self.look(now, wall);
        self.bucket.map(|bucket| bucket.rate())
    }

    /// Of those who yield: bytes per second, and how long packets wait in the queues of the line.
    pub(super) fn yielding(&self) -> (Option<u64>, Option<Duration>) {
        let background = self.yielding.as_ref().map(|yielding| &yielding.background);
        (background.and_then(Background::rate), background.and_then(Background::queueing))
    }

    /// How many wait, of demand and of preload.
    pub(super) fn waiting(&self) -> (usize, usize) {
        self.order.waiting()
    }
}

impl Yielding {
    fn new(background: Background, now: Instant) -> Self {
        let mut yielding = Self { background, bucket: None };
        yielding.follow(now);
        yielding
    }

    /// Takes the rate of the moment.
    fn follow(&mut self, now: Instant) {
        let rate = self.background.rate().and_then(NonZeroU64::new);
        self.bucket = rate.map(|rate| match self.bucket {
            Some(mut bucket) => {
                bucket.set_rate(now, rate);
                bucket
            }
            None => Bucket::new(rate, now),
        });
    }
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use protocol::{
        rate::{Rates, Rule},
        schedule::Zone,
    };

    use super::*;

    const MS: Duration = Duration::from_millis(1);
    const RATE: u64 = 1_000_000;

    fn options(otherwise: u64, rules: &[(&str, u64)]) -> LineOptions {
        let rules = rules.iter().map(|(during, rate)| Rule::parse(during, *rate, &Zone::default()).unwrap()).collect();
        LineOptions { rates: Rates { otherwise, rules }, ..LineOptions::default() }
    }

    /// Fetches that take every turn they get, in virtual time. Bytes of each within each of some seconds.
    struct Play {
        schedule: Schedule,
        begin: Instant,
        wall: SystemTime,
        now: Duration,
        fetches: Vec<(Arc<Urgency>, u64)>,
    }

    impl Play {
        fn new(options: LineOptions, classes: &[Class]) -> Self {
            let (begin, wall) = (Instant::now() + Duration::from_secs(3600), UNIX_EPOCH);
            let fetches = classes.iter().map(|class| (Arc::new(Urgency::new(*class)), 0)).collect();
            let schedule = Schedule::new(options, begin, wall);
            Self { schedule, begin, wall, now: Duration::ZERO, fetches }
        }

        fn ask(&mut self, number: usize) -> Verdict {
            let urgency = self.fetches[number].0.clone();
            self.schedule.ask(number as u64, &urgency, self.begin + self.now, self.wall + self.now)
        }

        /// Until then. The clock goes on in steps of a millisecond, as timers do.
        fn until(&mut self, end: Duration) {
            while self.now < end {
                // Somebody may have to take their turn before another can: until nobody gets one.
                while (0..self.fetches.len()).any(|number| {
                    let goes = self.ask(number) == Verdict::Go;
                    if goes {
                        let class = self.fetches[number].0.class();
                        let bytes = self.schedule.turn(1, class).unwrap_or(TURN_MAX).min(100_000);
                        self.fetches[number].1 += bytes;
                        self.schedule.came(bytes, class, self.begin + self.now);
                    }
                    goes && self.schedule.turn(1, self.fetches[number].0.class()).is_some()
                }) {}
                self.now += MS;
            }
        }

        fn bytes(&mut self) -> Vec<u64> {
            self.fetches.iter_mut().map(|(_, bytes)| std::mem::take(bytes)).collect()
        }
    }

    fn is_near(found: u64, expected: u64) -> bool {
        found.abs_diff(expected) <= expected / 20
    }

    #[test]
    fn the_rate_is_shared_by_turns() {
        let mut play = Play::new(options(RATE, &[]), &[Class::Demand; 4]);
        for second in [2, 4, 6] {
            play.until(second * 1000 * MS);
            let bytes = play.bytes();
            assert!(is_near(bytes.iter().sum(), 2 * RATE), "{bytes:?}");
            assert!(bytes.iter().all(|bytes| is_near(*bytes, RATE / 2)), "{bytes:?}");
        }
    }

    #[test]
    fn what_clients_wait_for_leaves_a_turn_in_ten_seconds_to_preload() {
        let mut play = Play::new(options(RATE, &[]), &[Class::Demand, Class::Preload, Class::Preload]);
        play.until(9999 * MS);
        assert_eq!(play.fetches[1].1 + play.fetches[2].1, 0);
        assert!(is_near(play.bytes()[0], 10 * RATE));
        for _ in 0..3 {
            play.until(play.now + 10_000 * MS);
            let bytes = play.bytes();
            assert_eq!(bytes[1..], [RATE / 100; 2], "each has one turn of 10 ms");
            assert!(is_near(bytes[0], 10 * RATE), "{bytes:?}");
        }
    }

    #[test]
    fn preload_gets_what_is_left() {
        let mut play = Play::new(options(RATE, &[]), &[Class::Preload, Class::Preload]);
        // A client's fetch that brings less than the rate: it never waits, and is paid for before preload goes on.
        for _ in 0..200 {
            play.schedule.came(7_500, Class::Demand, play.begin + play.now);
            play.until(play.now + 10 * MS);
        }
        let bytes = play.bytes();
        assert!(is_near(bytes.iter().sum(), 2 * RATE / 4), "{bytes:?}");
    }

    #[test]
    fn the_rate_changes_with_the_time_of_day_and_with_the_options() {
        // The play begins at midnight.
        let mut play = Play::new(options(RATE, &[("00:01-00:02", RATE / 10), ("00:02-00:03", 0)]), &[Class::Demand]);
        play.until(60_000 * MS);
        assert!(is_near(play.bytes()[0], 60 * RATE));
        play.until(120_000 * MS);
        assert!(is_near(play.bytes()[0], 6 * RATE));
        play.until(121_000 * MS);
        assert!(play.bytes()[0] > 10 * RATE, "no limit");
        play.until(180_000 * MS);
        play.bytes();
        let (now, wall) = (play.begin + play.now, play.wall + play.now);
        play.schedule.set_options(options(RATE / 2, &[]), now, wall);
        play.until(190_000 * MS);
        assert!(is_near(play.bytes()[0], 5 * RATE));
    }

    #[test]
    fn who_is_not_next_waits_to_be_told() {
        let mut play = Play::new(options(RATE, &[]), &[Class::Preload, Class::Demand]);
        assert_eq!(play.ask(0), Verdict::Go);
        play.schedule.came(50_000, Class::Preload, play.begin);
        assert_eq!(play.ask(0), Verdict::At(play.begin + 50 * MS));
        assert_eq!(play.ask(1), Verdict::At(play.begin + 50 * MS));
        assert_eq!(play.ask(0), Verdict::Wait);
        play.now = 50 * MS;
        assert_eq!(play.ask(0), Verdict::Wait);
        assert_eq!(play.schedule.waiting(), (1, 1));
        play.schedule.leave(1);
        assert_eq!(play.schedule.next(play.begin + play.now), Some(0));
        assert_eq!(play.ask(0), Verdict::Go);
    }

    #[test]
    fn a_turn_is_a_packet_at_least() {
        for (rate, expected) in [(1000, 1460), (RATE, 10_000), (1 << 40, 1 << 20)] {
            let schedule = Schedule::new(options(rate, &[]), Instant::now(), UNIX_EPOCH);
            assert_eq!(schedule.turn(1, Class::Demand), Some(expected), "{rate}");
        }
        assert_eq!(Schedule::new(options(0, &[]), Instant::now(), UNIX_EPOCH).turn(1, Class::Demand), None);
    }

    #[test]
    fn who_yields_is_held_back_beside_who_does_not() {
        let both = LineOptions { background: options::Background::Preload, ..options(0, &[]) };
        let mut play = Play::new(both.clone(), &[Class::Preload, Class::Demand]);
        assert_eq!(play.schedule.turn(1, Class::Demand), None, "no limit");
        play.until(2000 * MS);
        let bytes = play.bytes();
        assert!(is_near(bytes[0], 2 * 64_000), "as fast as it begins: {bytes:?}");
        assert!(bytes[1] > 10 * RATE, "{bytes:?}");
        // The line is free: it rises, and falls when packets wait.
        let see = |play: &mut Play, trip: Duration| {
            let path = Path { shortest: 20 * MS, received: trip, is_stamped: true, ..Path::default() };
            assert!(!play.schedule.sees(&path, Class::Preload, play.begin + play.now));
            play.until(play.now + 100 * MS);
            play.schedule.yielding().0.unwrap()
        };
        let risen = (0..20).map(|_| see(&mut play, 20 * MS)).last().unwrap();
        assert!(risen > 200_000, "{risen}");
        // No two measurements are the same.
        let trip = |step: u64| 220 * MS + Duration::from_micros(step % 2);
        let fallen = (0..20).map(|step| see(&mut play, trip(step))).last().unwrap();
        assert_eq!(fallen, 32_000);
        assert_eq!(play.schedule.yielding().1.map(|queueing| queueing.as_millis()), Some(200));
        let blind = Path::default();
        assert!(!play.schedule.sees(&blind, Class::Demand, play.begin + play.now), "clients' fetches do not yield");
        assert!(play.schedule.sees(&blind, Class::Preload, play.begin + play.now));
        assert_eq!(play.schedule.turn(1, Class::Preload), None, "nothing is seen, nothing is held back");
        let (now, wall) = (play.begin + play.now, play.wall + play.now);
        play.schedule.set_options(LineOptions { background: options::Background::All, ..both }, now, wall);
        play.schedule.set_options(options(0, &[]), now, wall);
        assert_eq!(play.schedule.yielding(), (None, None));
    }
}
