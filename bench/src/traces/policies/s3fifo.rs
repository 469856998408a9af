//! S3-FIFO (SOSP 2023): a small queue that one-timers fall out of, a main queue with second chances, and a memory of who fell out.

use super::{Policy, queues::Queues};

const SMALL: usize = 0;
const MAIN: usize = 1;
const GHOST: usize = 2;
/// The small queue's part of the room.
const SMALL_PART: u64 = 10;
/// Hits that are counted.
const HITS_MAX: u8 = 3;
/// Hits in the small queue after which an object belongs to the main one.
const HITS_FOR_MAIN: u8 = 2;

/// The three queues. The ghosts have no bytes of their own; what they stand for is at most what the main queue may hold.
pub(crate) struct S3Fifo {
    queues: Queues<3>,
    room: u64,
    hits: Vec<u8>,
}

impl S3Fifo {
    pub(crate) fn new(room: u64, objects: usize) -> Self {
        Self { queues: Queues::new(objects), room, hits: vec![0; objects] }
    }

    fn evict(&mut self) {
        let main_max = self.room - self.room / SMALL_PART;
        if self.queues.bytes(MAIN) > main_max || self.queues.bytes(SMALL) == 0 {
            self.evict_main();
        } else {
            self.evict_small();
        }
    }

    fn evict_small(&mut self) {
        let Some(last) = self.queues.last(SMALL) else { return };
        if self.hits[last as usize] >= HITS_FOR_MAIN {
            self.hits[last as usize] = 0;
            self.queues.move_to(MAIN, last);
            return;
        }
        self.queues.move_to(GHOST, last);
        while self.queues.bytes(GHOST) > self.room - self.room / SMALL_PART {
            let Some(oldest) = self.queues.last(GHOST) else { break };
            self.queues.take(oldest);
        }
    }

    fn evict_main(&mut self) {
        let Some(last) = self.queues.last(MAIN) else { return };
        match self.hits[last as usize].checked_sub(1) {
            Some(left) => {
                self.hits[last as usize] = left;
                self.queues.move_to(MAIN, last);
            }
            None => drop(self.queues.take(last)),
        }
    }
}

impl Policy for S3Fifo {
    fn ask(&mut self, id: u32, size: u64) -> bool {
        if self.queues.place(id).is_some_and(|place| place != GHOST) {
            let hits = &mut self.hits[id as usize];
            *hits = (*hits + 1).min(HITS_MAX);
            return true;
        }
        while self.queues.bytes(SMALL) + self.queues.bytes(MAIN) + size > self.room {
            self.evict();
        }
        let queue = match self.queues.place(id) {
            Some(_) => {
                self.queues.take(id);
                MAIN
            }
            None => SMALL,
        };
        self.hits[id as usize] = 0;
        self.queues.push(queue, id, size);
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::traces::policies::tests::hits;

    #[test]
    fn a_scan_goes_through_the_small_queue() {
        let mut asks: Vec<u32> = (0..9).flat_map(|id| [id, id, id]).collect();
        asks.extend(9..200);
        asks.extend(0..9);
        let found = hits(&mut S3Fifo::new(10, 200), &asks);
        assert_eq!(found.len(), 18 + 9, "all nine are still there behind the scan");
    }

    #[test]
    fn who_comes_back_soon_goes_to_the_main_queue() {
        let mut policy = S3Fifo::new(10, 60);
        hits(&mut policy, &(0..15).collect::<Vec<_>>());
        assert_eq!(policy.queues.place(4), Some(GHOST));
        policy.ask(4, 1);
        assert_eq!(policy.queues.place(4), Some(MAIN));
    }
}
