//! What the log says of preloading.

use std::time::Duration;

use super::plan::{Notice, Plan, Track};
use crate::status::{Counters, add};

/// Says it once, and counts what is counted.
pub(super) fn tell(upstream: &str, notice: &Notice, plan: &Plan, counters: &Counters) {
    match notice {
        Notice::Began => tracing::debug!(upstream, "a round of preload begins"),
        Notice::Ended(track) => {
            add(&counters.preload_rounds, 1);
            let Some(round) = plan.round(*track) else { return };
            let (files, bytes, failed, here) = (round.fetched.files, round.crossed, round.failed, round.here.files);
            let beyond = round.beyond.files;
            match (track, files + failed) {
                (Track::Clock, 0) => {
                    tracing::debug!(upstream, here, "preload found nothing new");
                }
                (Track::Clock, _) => {
                    tracing::info!(upstream, files, bytes, failed, here, "a round of preload is done");
                }
                (Track::Demand, _) => {
                    tracing::info!(upstream, files, bytes, failed, here, "what was asked to be preloaded is done");
                }
            }
            if beyond > 0 {
                let bytes = round.beyond.bytes;
                tracing::warn!(
                    upstream,
                    files = beyond,
                    bytes,
                    "the cache is too small for all that is to be preloaded; what goes last is left out: raise cache.max_size, or leave out what is not needed (exclude)"
                );
            }
        }
        Notice::Unlisted { reason, is_tried_again: true } => {
            tracing::warn!(
                upstream,
                "an upstream could not be listed for preload, and is listed again after a pause: {reason}"
            );
        }
        Notice::Unlisted { reason, .. } => {
            tracing::warn!(upstream, "an upstream could not be listed for preload: {reason}");
        }
        Notice::Closed { files, bytes } => {
            tracing::info!(
                upstream,
                files,
                bytes,
                "the window of preload has closed before all was here; the rest comes in the next"
            );
        }
        Notice::WillBeLate { needs, has } => {
            let (needs, has) = (needs.map_or("for ever".into(), show), show(*has));
            tracing::warn!(
                upstream,
                "preload will not be done in time (ready_by): at this rate it needs {needs}, and has {has}; give it more of the line (rate), or leave out what is not needed (exclude)"
            );
        }
        Notice::InTimeAgain => tracing::info!(upstream, "preload will be done in time after all (ready_by)"),
        Notice::Missed { files, bytes } => {
            tracing::warn!(
                upstream,
                files,
                bytes,
                "preload was not done in time (ready_by); the rest comes as the line allows"
            );
        }
    }
}

/// Hours and minutes.
fn show(time: Duration) -> String {
    let minutes = time.as_secs().div_ceil(60);
    match (minutes / 60, minutes % 60) {
        (0, minutes) => format!("{minutes} min"),
        (hours, 0) => format!("{hours} h"),
        (hours, minutes) => format!("{hours} h {minutes} min"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_as_people_read_them() {
        for (seconds, text) in [(0, "0 min"), (61, "2 min"), (3600, "1 h"), (9000, "2 h 30 min")] {
            assert_eq!(show(Duration::from_secs(seconds)), text);
        }
    }
}
