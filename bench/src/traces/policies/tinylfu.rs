//! W-TinyLFU (TOS 2017): a window, a segmented LRU, and a sketch of counts that decides who may pass from one to the other. Weights as in
//! Caffeine: a candidate must be asked for more often than each of those that it would push out.

use super::{Policy, queues::Queues};

const WINDOW: usize = 0;
const PROBATION: usize = 1;
const PROTECTED: usize = 2;
/// Percent of the room for the window, if it does not adapt, and percent of the rest that is protected.
const WINDOW_PERCENT: u64 = 1;
const PROTECTED_PERCENT: u64 = 80;
/// Requests per object of the cache, after which all counts are halved.
const SAMPLE: u64 = 10;

/// A count-min sketch of four rows with counts up to 15.
struct Sketch {
    counts: Vec<[u8; 4]>,
    added: u64,
    sample: u64,
}

impl Sketch {
    fn new(objects: u64) -> Self {
        let width = objects.next_power_of_two().max(64);
        Self { counts: vec![[0; 4]; width as usize], added: 0, sample: SAMPLE * objects.max(1) }
    }

    fn places(&self, id: u32) -> [usize; 4] {
        let mask = self.counts.len() - 1;
        [0x9e37_79b9_7f4a_7c15, 0xc2b2_ae3d_27d4_eb4f, 0x1656_67b1_9e37_79f9, 0x27d4_eb2f_1656_67c5].map(|seed: u64| {
            let hash = (u64::from(id) + 1).wrapping_mul(seed);
            (hash ^ (hash >> 32)).wrapping_mul(seed) as usize >> 20 & mask
        })
    }

    fn add(&mut self, id: u32) {
        for (row, place) in self.places(id).into_iter().enumerate() {
            let count = &mut self.counts[place][row];
            *count = (*count + 1).min(15);
        }
        self.added += 1;
        if self.added >= self.sample {
            self.added /= 2;
            self.counts.as_flattened_mut().iter_mut().for_each(|count| *count /= 2);
        }
    }

    fn estimate(&self, id: u32) -> u8 {
        let counts = self.places(id).into_iter().enumerate().map(|(row, place)| self.counts[place][row]);
        counts.min().unwrap_or(0)
    }
}

/// The window adapts to the byte hits of the last requests, as hill climbing does: on in one direction while it helps.
struct Climber {
    step: f64,
    hit_bytes: u64,
    asked_bytes: u64,
    before: f64,
    asked: u64,
    period: u64,
}

impl Climber {
    const STEP: f64 = 0.0625;
    const DECAY: f64 = 0.98;
    const RESTART: f64 = 0.05;

    fn new(objects: u64) -> Self {
        Self { step: Self::STEP, hit_bytes: 0, asked_bytes: 0, before: 0.0, asked: 0, period: SAMPLE * objects.max(64) }
    }

    /// By what part of the room the window is to grow, when it is time.
    fn note(&mut self, size: u64, is_hit: bool) -> Option<f64> {
        self.asked += 1;
        self.asked_bytes += size;
        self.hit_bytes += if is_hit { size } else { 0 };
        if self.asked < self.period {
            return None;
        }
        let ratio = self.hit_bytes as f64 / self.asked_bytes as f64;
        let change = ratio - self.before;
        let amount = if change >= 0.0 { self.step } else { -self.step };
        let restarts = change.abs() >= Self::RESTART;
        self.step = if restarts { Self::STEP.copysign(amount) } else { amount * Self::DECAY };
        (self.before, self.asked, self.hit_bytes, self.asked_bytes) = (ratio, 0, 0, 0);
        Some(amount)
    }
}

/// The policy.
pub(crate) struct TinyLfu {
    queues: Queues<3>,
    sketch: Sketch,
    window: u64,
    room: u64,
    climber: Option<Climber>,
}

impl TinyLfu {
    /// `in_room` is about how many objects the room holds.
    pub(crate) fn new(room: u64, objects: usize, in_room: u64, adapts: bool) -> Self {
        let climber = adapts.then(|| Climber::new(in_room));
        let window = (room * WINDOW_PERCENT / 100).max(1);
        Self { queues: Queues::new(objects), sketch: Sketch::new(in_room), window, room, climber }
    }

    fn hit(&mut self, id: u32) {
        match self.queues.place(id) {
            Some(PROBATION) => {
                self.queues.move_to(PROTECTED, id);
                let most = (self.room - self.window) * PROTECTED_PERCENT / 100;
                while self.queues.bytes(PROTECTED) > most {
                    let last = self.queues.last(PROTECTED).expect("its bytes are somebody's");
                    self.queues.move_to(PROBATION, last);
                }
            }
            Some(queue) => self.queues.move_to(queue, id),
            None => {}
        }
    }

    /// Who falls out of the window is a candidate for the rest.
    fn drain_window(&mut self) {
        while self.queues.bytes(WINDOW) > self.window {
            let Some(candidate) = self.queues.last(WINDOW) else { return };
            self.queues.take(candidate);
            self.admit(candidate);
        }
    }

    fn admit(&mut self, candidate: u32) {
        let (size, count) = (self.queues.size(candidate), self.sketch.estimate(candidate));
        let most = self.room - self.window;
        if size > most {
            return;
        }
        while self.queues.bytes(PROBATION) + self.queues.bytes(PROTECTED) + size > most {
            let victim = self.queues.last(PROBATION).or(self.queues.last(PROTECTED));
            let victim = victim.expect("bytes are used, so that somebody is there");
            if self.sketch.estimate(victim) >= count {
                return;
            }
            self.queues.take(victim);
        }
        self.queues.push(PROBATION, candidate, size);
    }

    fn resize(&mut self, part: f64) {
        let window = self.window as f64 + part * self.room as f64;
        self.window = (window as u64).clamp((self.room / 100).max(1), (self.room * 4 / 5).max(1));
        let most = self.room - self.window;
        while self.queues.bytes(PROBATION) + self.queues.bytes(PROTECTED) > most {
            let last = self.queues.last(PROBATION).or(self.queues.last(PROTECTED));
            self.queues.move_to(WINDOW, last.expect("bytes are used, so that somebody is there"));
        }
        self.drain_window();
    }
}

impl Policy for TinyLfu {
    fn ask(&mut self, id: u32, size: u64) -> bool {
        self.sketch.add(id);
        let is_hit = self.queues.place(id).is_some();
        if is_hit {
            self.hit(id);
        } else {
            self.queues.push(WINDOW, id, size);
            self.drain_window();
        }
        if let Some(part) = self.climber.as_mut().and_then(|climber| climber.note(size, is_hit)) {
            self.resize(part);
        }
        is_hit
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::traces::policies::tests::hits;

    #[test]
    fn one_timers_do_not_get_past_the_window() {
        let mut asks: Vec<u32> = (0..50).flat_map(|id| [id, id, id]).collect();
        asks.extend(100..2000);
        asks.extend(0..50);
        let mut policy = TinyLfu::new(100, 2000, 1000, false);
        let found = hits(&mut policy, &asks);
        assert!(found.len() >= 100 + 45, "{} hits", found.len());
    }

    #[test]
    fn counts_fade() {
        let mut sketch = Sketch::new(10);
        (0..10).for_each(|_| sketch.add(1));
        assert_eq!(sketch.estimate(1), 10);
        (0..90).for_each(|_| sketch.add(2));
        assert_eq!((sketch.estimate(1), sketch.estimate(2)), (5, 7));
    }

    #[test]
    fn the_window_grows_where_only_the_latest_counts() {
        let mut policy = TinyLfu::new(100, 200_000, 100, true);
        // Each object three times, never again: who is kept for its counts is kept in vain.
        let asks: Vec<u32> = (0..150_000u32).map(|at| at / 90 * 30 + at % 30).collect();
        hits(&mut policy, &asks);
        assert!(policy.window > 10, "{}", policy.window);
    }
}
