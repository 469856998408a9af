//! Memory of a server that is its own: anonymous pages, not what it maps from files or has in the page cache.

use std::{
    fs, io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use crate::pause::pause;

/// How often is looked while something goes on.
const LOOK: Duration = Duration::from_millis(5);

/// Looks on until it is stopped.
pub(crate) struct Watch {
    stop: Arc<AtomicBool>,
    looking: JoinHandle<u64>,
}

impl Watch {
    pub(crate) fn start(pids: Vec<u32>) -> io::Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let looking = thread::Builder::new().name("memory".into()).spawn(move || {
            let mut peak = anonymous(&pids);
            while !stopped.load(Relaxed) {
                pause(LOOK);
                peak = peak.max(anonymous(&pids));
            }
            peak
        })?;
        Ok(Self { stop, looking })
    }

    /// The most that was seen, in bytes.
    pub(crate) fn stop(self) -> u64 {
        self.stop.store(true, Relaxed);
        // It does not panic.
        self.looking.join().unwrap_or(0)
    }
}

/// Bytes of all these processes now; who has ended has none.
pub(crate) fn anonymous(pids: &[u32]) -> u64 {
    pids.iter().filter_map(|pid| of_status(&fs::read_to_string(format!("/proc/{pid}/status")).ok()?)).sum()
}

/// `RssAnon` of `/proc/PID/status`.
fn of_status(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:"))?;
    Some(line.split_ascii_whitespace().next()?.parse::<u64>().ok()? << 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn anonymous_pages_are_what_is_counted() {
        assert_eq!(of_status("Name:\tx\nVmRSS:\t9000 kB\nRssAnon:\t    12 kB\nRssFile:\t7 kB\n"), Some(12 << 10));
        assert_eq!(of_status("Name:\tx\n"), None);
    }

    #[test]
    fn a_peak_is_remembered() {
        let own = vec![std::process::id()];
        let watch = Watch::start(own.clone()).unwrap();
        let before = anonymous(&own);
        let block = vec![1_u8; 64 << 20];
        while anonymous(&own) < before + (32 << 20) {
            thread::yield_now();
        }
        pause(4 * LOOK);
        drop(std::hint::black_box(block));
        assert!(watch.stop() >= before + (32 << 20));
    }
}
