//! How far a stream of changes had come, and whether another goes on where it was cut. Pure.

use protocol::listening::Reading;

/// How far a stream had come, and since when what was asked for is vouched for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Bar {
    pub(super) epoch: String,
    /// The last change that was told.
    pub(super) generation: u64,
    pub(super) since: u64,
    /// How often the upstream had moved to another of its servers.
    pub(super) moves: u64,
}

impl Bar {
    /// Whether all that has changed since is being told, so that what was vouched for then still is.
    pub(super) fn goes_on(&self, reading: &Reading, moves: u64) -> bool {
        reading.hello().is_some_and(|hello| {
            !hello.reset && hello.epoch == self.epoch && hello.generation == self.generation && moves == self.moves
        })
    }
}

#[cfg(test)]
mod tests {
    use protocol::changes::{Change, Hello};

    use super::*;

    fn hello(generation: u64, reset: bool) -> String {
        Change::Hello(Hello { epoch: "e".into(), generation, reset, heartbeat: 5, delay: 0 }).to_text()
    }

    #[test]
    fn whether_a_stream_goes_on_is_a_table() {
        let bar = Bar { epoch: "e".into(), generation: 7, since: 1, moves: 2 };
        for (generation, reset, moves, epoch, expected) in [
            (7, false, 2, "e", true),
            (9, false, 2, "e", false),
            (7, true, 2, "e", false),
            (7, false, 3, "e", false),
            (7, false, 2, "f", false),
        ] {
            let mut reading = Reading::default();
            assert!(!bar.goes_on(&reading, moves), "before it has begun");
            reading.take(hello(generation, reset).as_bytes()).unwrap();
            let bar = Bar { epoch: epoch.into(), ..bar.clone() };
            assert_eq!(bar.goes_on(&reading, moves), expected, "{generation} {reset} {moves} {epoch}");
        }
    }
}
