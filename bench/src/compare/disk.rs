//! Small hits while others read large objects from the disk: whether a server lets its clients wait for each other's pages.

use std::{
    fs::{self, File},
    io,
    path::Path,
    sync::mpsc,
    thread,
    time::Duration,
};

use anyhow::{Context as _, bail};
use rustix::fs::{Advice, fadvise};

use super::{contestant::Contestant, field::Field, hits, samples::Sample};
use crate::{
    crowd::Crowd,
    load::{GB, Job, Until, measure},
    target::Targets,
};

/// The hits.
const SMALL: u64 = 1 << 10;

/// Clients that ask for them.
const CLIENTS: u32 = 4;

/// From one answer to the next request of each: everybody gets the same hits to serve, else a fast server would have the less left for the
/// readers.
const THINK: Duration = Duration::from_micros(500);

/// Each reader reads one object of this size, its own.
const LARGE: u64 = 1 << 30;

/// Longest that no reader gets a byte.
const STALL: Duration = Duration::from_secs(60);

/// Longest that the hits go on.
const LONGEST: Duration = Duration::from_secs(300);

/// Files from this size on are dropped from memory.
const DROPPED_MIN: u64 = 1 << 20;

/// One run: hits for as long as the readers read, or for `duration` if there are none.
pub(crate) fn run(
    field: &mut Field,
    contestant: Contestant,
    readers: u32,
    duration: Duration,
) -> anyhow::Result<Sample> {
    let place = field.place(contestant, SMALL)?;
    let small = hits::target(&place, SMALL);
    let large: Vec<_> = (0..readers).map(|reader| format!("/{}/disk-{reader}/{LARGE}", place.name)).collect();
    for target in large.iter().chain([&small]) {
        hits::prime(field, contestant, &place, target)?;
    }
    drop_pages(&place.directory).context("cannot drop the cache's pages from memory")?;
    let (reading, read) = mpsc::channel::<()>();
    let job = Job {
        targets: Targets::new(&[place.url(&small)], &[])?,
        clients: CLIENTS,
        threads: 1,
        cpus: Vec::new(),
        warmup: Duration::ZERO,
        think: THINK,
        until: if readers == 0 { Until::Time(duration) } else { Until::Told(read, LONGEST) },
        server: place.server(),
    };
    let hits = thread::Builder::new().name("hits".into()).spawn(move || measure(job))?;
    let rate = (readers > 0).then(|| {
        let urls: Vec<_> = large.iter().map(|target| place.url(target)).collect();
        let mut crowd = Crowd::connect(Targets::new(&urls, &[])?, readers)?;
        crowd.fetch(STALL)?;
        if crowd.require_all()? != LARGE {
            bail!("a reader got another length");
        }
        Ok((u64::from(readers) * LARGE) as f64 / GB / crowd.summary().done.max().as_secs_f64())
    });
    drop(reading);
    let report = hits.join().map_err(|_| anyhow::anyhow!("the load panicked"))??;
    if let Some((failure, count)) = report.tally.failures.first_key_value() {
        bail!("{count} requests failed: {failure}");
    }
    let millis = |part| report.tally.latency.quantile(part).as_secs_f64() * 1e3;
    let mut sample = vec![("p99", millis(0.99)), ("p50", millis(0.5)), ("max", millis(1.0))];
    sample.push(("hits", report.tally.latency.count() as f64 / report.elapsed.as_secs_f64()));
    sample.extend(rate.transpose()?.map(|rate| ("rate", rate)));
    Ok(sample)
}

/// Large files below a directory are in the page cache no more.
fn drop_pages(directory: &Path) -> io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let about = entry.metadata()?;
        if about.is_dir() {
            drop_pages(&entry.path())?;
        } else if about.is_file() && about.len() >= DROPPED_MIN {
            let file = File::open(entry.path())?;
            // Only pages that are on the disk are dropped.
            file.sync_all()?;
            fadvise(&file, 0, None, Advice::DontNeed)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::{io::Write, os::fd::AsFd};

    use super::*;

    #[test]
    fn large_files_are_dropped_wherever_they_lie() {
        let directory = tempfile::tempdir_in("/var/tmp").unwrap();
        let below = directory.path().join("a/b");
        fs::create_dir_all(&below).unwrap();
        let mut file = File::create_new(below.join("large")).unwrap();
        file.write_all(&vec![7; DROPPED_MIN as usize]).unwrap();
        fs::write(below.join("small"), "x").unwrap();
        drop_pages(directory.path()).unwrap();
        let file = File::open(below.join("large")).unwrap();
        assert!(!os::residency::is_resident(file.as_fd(), 0, DROPPED_MIN).unwrap());
    }
}
