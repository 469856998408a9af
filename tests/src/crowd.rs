//! Many at once: each on a thread of its own, all let go at the same moment.

use std::{sync::Barrier, thread};

/// What a thread of a crowd may use of the stack, in bytes: there are hundreds of them.
const STACK: usize = 512 << 10;

/// Runs `act` for each number below `count`, begun together, and gathers what they answer in that order. A panic in one fails the test.
#[track_caller]
pub fn all_at_once<T: Send>(count: usize, act: impl Fn(usize) -> T + Sync) -> Vec<T> {
    let start = Barrier::new(count);
    let (act, start) = (&act, &start);
    thread::scope(|scope| {
        let run = |number| {
            let begun = move || {
                start.wait();
                act(number)
            };
            thread::Builder::new().stack_size(STACK).spawn_scoped(scope, begun).expect("a thread")
        };
        let threads: Vec<_> = (0..count).map(run).collect();
        threads.into_iter().map(|thread| thread.join().expect("one of the crowd failed")).collect()
    })
}
