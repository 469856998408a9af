//! How fast fetches may be that yield to everybody else on the line: they look at how long packets wait in its queues, as LEDBAT does (RFC 6817), on
//! the receiving side (as rLEDBAT, RFC 9840). The time there and back is what it was at best, and the rest is a queue. Below the delay that is
//! allowed the rate rises, above it falls, and the more so the farther it is. Who fills the queue, as most downloads do, so gets nearly all. Pure.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use os::tcp::Path;

/// Bytes per second to begin with, and at least: enough to go on seeing how long packets take.
const RATE_FIRST: f64 = 64_000.0;
const RATE_MIN: f64 = 32_000.0;
/// As good as no limit.
const RATE_MAX: f64 = 12.5e9;
/// How often the rate is set.
const STEP: Duration = Duration::from_millis(100);
/// By how much it rises in a step where nothing waits, and falls where it is twice what is allowed.
const RISE: f64 = 0.07;
const FALL: f64 = 0.1;
/// A step counts as so many at most.
const STEPS_MAX: f64 = 4.0;
/// It falls to no less than this part in a step.
const FALL_MAX: f64 = 0.5;
/// What is looked at is the delay so many steps from now, if it goes on as it does: what is seen is late, for the kernel smoothes it, and the queue
/// sums up what was too much.
const AHEAD: f64 = 6.0;
/// Who uses less than this part of the rate is not given more.
const USED_MIN: f64 = 0.7;
/// A time there and back that was not measured again for so long is believed half, and so on: where few packets come, the kernel measures few. If
/// the queue is there still, more packets show it.
const STALE: Duration = Duration::from_secs(1);
/// What was the best time there and back is believed for so many minutes: the way may change.
const BASE_MINUTES: usize = 10;
const MINUTE: Duration = Duration::from_secs(60);

/// The rate of those who yield.
#[derive(Debug)]
pub(super) struct Background {
    /// Bytes per second.
    rate: f64,
    /// How long packets may wait in queues.
    delay_max: Duration,
    /// The shortest times there and back of the last minutes, the newest last.
    best: VecDeque<(Instant, Duration)>,
    /// The shortest time there and back since the last step, if any was seen.
    seen: Option<Duration>,
    /// The one before, and when it was another.
    told: Option<(Duration, Instant)>,
    /// Bytes since the last step.
    came: u64,
    stepped: Instant,
    /// As of the last step.
    queueing: Option<Duration>,
    /// Whether the other side sends no timestamps, without which a receiver cannot tell.
    is_blind: bool,
}

impl Background {
    pub(super) fn new(delay_max: Duration, now: Instant) -> Self {
        Self {
            rate: RATE_FIRST,
            delay_max,
            best: VecDeque::new(),
            seen: None,
            told: None,
            came: 0,
            stepped: now,
            queueing: None,
            is_blind: false,
        }
    }

    pub(super) fn set_delay_max(&mut self, delay_max: Duration) {
        self.delay_max = delay_max;
    }

    /// Bytes per second; `None`: nothing can be seen, so that nothing is held back.
    pub(super) fn rate(&self) -> Option<u64> {
        (!self.is_blind).then_some(self.rate as u64)
    }

    /// How long packets wait in queues, if that is known.
    pub(super) fn queueing(&self) -> Option<Duration> {
        self.queueing
    }

    /// Bytes of those who yield came.
    pub(super) fn came(&mut self, bytes: u64) {
        self.came += bytes;
    }

    /// How packets of a connection travel now.
    pub(super) fn sees(&mut self, path: &Path, now: Instant) {
        self.is_blind = !path.is_stamped;
        let trips = [path.received, path.shortest].into_iter().filter(|trip| !trip.is_zero());
        trips.for_each(|trip| self.remember(trip, now));
        if !path.received.is_zero() {
            self.seen = Some(self.seen.map_or(path.received, |seen| seen.min(path.received)));
        }
        if now.saturating_duration_since(self.stepped) >= STEP {
            self.step(now);
        }
    }

    fn remember(&mut self, trip: Duration, now: Instant) {
        let is_new_minute = self.best.back().is_none_or(|(since, _)| now.saturating_duration_since(*since) >= MINUTE);
        match self.best.back_mut() {
            Some((_, best)) if !is_new_minute => *best = trip.min(*best),
            _ => self.best.push_back((now, trip)),
        }
        while self.best.len() > BASE_MINUTES {
            self.best.pop_front();
        }
    }

    /// What is seen may be what was seen before.
    fn belief(&mut self, seen: Duration, now: Instant) -> f64 {
        let since = self.told.filter(|(told, _)| *told == seen).map_or(now, |(_, since)| since);
        self.told = Some((seen, since));
        let stale = now.saturating_duration_since(since).saturating_sub(STALE).as_secs_f64();
        0.5_f64.powf(stale / STALE.as_secs_f64())
    }

    fn step(&mut self, now: Instant) {
        let past = now.saturating_duration_since(self.stepped).as_secs_f64();
        let is_used = self.came as f64 >= self.rate * past * USED_MIN;
        (self.stepped, self.came) = (now, 0);
        let base = self.best.iter().map(|(_, trip)| *trip).min();
        let Some((seen, base)) = self.seen.take().zip(base) else { return };
        let queueing = seen.saturating_sub(base).mul_f64(self.belief(seen, now));
        let before = self.queueing.replace(queueing).unwrap_or(queueing);
        let trend = queueing.as_secs_f64() - before.as_secs_f64();
        // 0 where nothing will wait, 1 at what is allowed.
        let filled = (queueing.as_secs_f64() + AHEAD * trend).max(0.0) / self.delay_max.as_secs_f64().max(0.001);
        let factor = match filled {
            filled if filled > 1.0 => (1.0 - FALL * (filled - 1.0)).max(FALL_MAX),
            filled if is_used => 1.0 + RISE * (1.0 - filled),
            _ => 1.0,
        };
        // At a low rate packets are few, and looks far apart: what would have been several steps is one.
        let steps = (past / STEP.as_secs_f64()).clamp(1.0, STEPS_MAX);
        self.rate = (self.rate * factor.powf(steps)).clamp(RATE_MIN, RATE_MAX);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);
    const DELAY_MAX: Duration = Duration::from_millis(60);
    /// Bytes per second of the thin line, and how long its queue may become.
    const LINE: f64 = 1_250_000.0;
    const QUEUE_MAX: f64 = 0.3;
    const BASE: f64 = 0.03;

    /// A line with a queue, one who yields, and others who take all they can and keep the queue full.
    struct Sim {
        background: Background,
        now: Instant,
        /// Seconds that a packet waits.
        queue: f64,
        smoothed: f64,
        stamped: bool,
    }

    impl Sim {
        fn new() -> Self {
            let now = Instant::now();
            Self { background: Background::new(DELAY_MAX, now), now, queue: 0.0, smoothed: BASE, stamped: true }
        }

        /// Bytes per second that came within a time, and the longest queue.
        fn run(&mut self, seconds: u32, others: bool) -> (f64, f64) {
            let (mut bytes, mut longest) = (0.0, 0.0_f64);
            let step = 0.01;
            for tick in 0..seconds * 100 {
                let wanted = self.background.rate().map_or(LINE, |rate| rate as f64);
                if others {
                    self.queue = (self.queue + step).min(QUEUE_MAX);
                } else {
                    self.queue = (self.queue + (wanted / LINE - 1.0) * step).max(0.0);
                }
                let came = if others { wanted.min(LINE / 2.0) } else { wanted.min(LINE) } * step;
                self.background.came(came as u64);
                bytes += came;
                longest = longest.max(self.queue);
                // As the kernel smoothes it, once each time there and back, and as often as a connection is looked at.
                self.smoothed +=
                    (BASE + self.queue - self.smoothed) * (step / (BASE + self.queue)).min(1.0) / 8.0 * 3.0;
                self.now += 10 * MS;
                if tick % 10 == 9 {
                    let received = Duration::from_secs_f64(self.smoothed);
                    let path = Path {
                        shortest: Duration::from_secs_f64(BASE),
                        received,
                        is_stamped: self.stamped,
                        ..Path::default()
                    };
                    self.background.sees(&path, self.now);
                }
            }
            (bytes / f64::from(seconds), longest)
        }
    }

    #[test]
    fn alone_it_takes_the_line_and_makes_no_long_queue() {
        let mut sim = Sim::new();
        sim.run(10, false);
        let (rate, longest) = sim.run(60, false);
        assert!(rate > 0.85 * LINE, "{rate}");
        assert!(longest < 0.2, "{longest} s");
    }

    #[test]
    fn others_get_nearly_all_and_it_comes_back_when_they_have_gone() {
        let mut sim = Sim::new();
        sim.run(20, false);
        sim.run(3, true);
        let (rate, _) = sim.run(20, true);
        assert!(rate < 0.05 * LINE, "{rate}");
        assert!(rate >= RATE_MIN, "what is seen of the line it sees by its own bytes");
        sim.run(12, false);
        let (rate, _) = sim.run(20, false);
        assert!(rate > 0.8 * LINE, "{rate}");
    }

    #[test]
    fn what_is_not_used_does_not_rise() {
        let mut sim = Sim::new();
        let before = sim.background.rate();
        for _ in 0..100 {
            sim.now += 100 * MS;
            sim.background
                .sees(&Path { shortest: 30 * MS, received: 30 * MS, is_stamped: true, ..Path::default() }, sim.now);
        }
        assert_eq!(sim.background.rate(), before);
    }

    #[test]
    fn a_queue_that_was_not_seen_again_is_not_believed_for_long() {
        let mut sim = Sim::new();
        sim.run(20, false);
        sim.run(20, true);
        let old = Path {
            shortest: Duration::from_secs_f64(BASE),
            received: Duration::from_secs_f64(BASE + 0.15),
            is_stamped: true,
            ..Path::default()
        };
        let mut rate_after = |seconds: u32| {
            for _ in 0..seconds * 10 {
                sim.now += 100 * MS;
                sim.background.came(1 << 20);
                sim.background.sees(&old, sim.now);
            }
            sim.background.rate().unwrap_or(0) as f64
        };
        assert_eq!(rate_after(1), RATE_MIN);
        assert!(rate_after(5) > 1.5 * RATE_MIN);
    }

    #[test]
    fn a_way_that_has_become_longer_is_believed_after_ten_minutes() {
        let mut sim = Sim::new();
        let see = |sim: &mut Sim, trip: Duration, minutes: u32| {
            for second in 0..minutes * 60 {
                sim.now += 1000 * MS;
                sim.background.came(1 << 30);
                // No two measurements are the same.
                let received = trip + Duration::from_micros(u64::from(second % 2));
                sim.background.sees(&Path { shortest: trip, received, is_stamped: true, ..Path::default() }, sim.now);
            }
            sim.background.queueing().map(|queueing| queueing.as_millis())
        };
        assert_eq!(see(&mut sim, 30 * MS, 2), Some(0));
        assert_eq!(see(&mut sim, 130 * MS, 5), Some(100));
        assert_eq!(see(&mut sim, 130 * MS, 8), Some(0));
    }

    #[test]
    fn without_timestamps_nothing_is_seen_and_nothing_held_back() {
        let mut sim = Sim::new();
        sim.stamped = false;
        sim.run(1, false);
        assert_eq!(sim.background.rate(), None);
        sim.stamped = true;
        sim.run(1, false);
        assert!(sim.background.rate().is_some());
    }
}
