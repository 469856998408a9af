//! How busy this proxy is, of what it can do, in percent. Pure.

/// Figures of one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Moment {
    /// Since the program began.
    pub(super) seconds: f64,
    /// Processor time until then.
    pub(super) processor: f64,
    pub(super) connections: u64,
    pub(super) connections_max: u64,
    pub(super) cores: u64,
}

/// Of the processors since the moment before, or of the connections now, whichever is more.
pub(super) fn percent(before: Moment, now: Moment) -> u8 {
    let time = (now.seconds - before.seconds) * now.cores.max(1) as f64;
    let processor = if time > 0.0 { (now.processor - before.processor) / time } else { 0.0 };
    let connections = now.connections as f64 / now.connections_max.max(1) as f64;
    (processor.max(connections).clamp(0.0, 1.0) * 100.0).round() as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fuller_of_the_two_counts() {
        let before = Moment { seconds: 10.0, processor: 5.0, connections_max: 100, cores: 2, ..Moment::default() };
        for (seconds, processor, connections, expected) in [
            (20.0, 5.0, 0, 0),
            (20.0, 15.0, 0, 50),
            (20.0, 15.0, 80, 80),
            (20.0, 90.0, 0, 100),
            (10.0, 5.0, 7, 7),
            (10.0, 5.0, 500, 100),
        ] {
            let now = Moment { seconds, processor, connections, ..before };
            assert_eq!(percent(before, now), expected, "{now:?}");
        }
    }
}
