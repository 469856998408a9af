//! What is compared: the rows by name, who takes part in each, what is measured, and what Outpost is to reach.

use super::contestant::Contestant::{self, Limit, Nginx, NginxAio, NginxNoPush, Outpost, Varnish};

/// One kind of work.
#[derive(Debug)]
pub(crate) struct Row {
    /// As on the command line.
    pub(crate) name: &'static str,
    /// Rows that are chosen together.
    pub(crate) group: &'static str,
    /// For people.
    pub(crate) title: &'static str,
    pub(crate) work: Work,
    /// In the order of a round.
    pub(crate) contestants: &'static [Contestant],
    pub(crate) figures: &'static [Figure],
    /// Whether the servers are started anew for it: what earlier rows left in their memory would count.
    pub(crate) is_fresh: bool,
    /// Rounds at most, where a round takes long and varies little.
    pub(crate) runs_max: u32,
}

/// What is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Work {
    /// A closed loop of keep-alive clients on one object in the cache.
    Hits { size: u64, clients: u32 },
    /// The same over TLS 1.3.
    Tls { size: u64, clients: u32 },
    /// Clients that ask at once for a file that is not there, from an origin of this rate in bytes a second.
    Cold { size: u64, clients: u32, rate: Option<u64> },
    /// Hits of 1 KiB while so many clients read bodies of 1 GiB from the disk.
    Disk { readers: u32 },
    /// Connections that have asked once.
    Idle { clients: u32 },
}

/// One number of a row.
#[derive(Debug)]
pub(crate) struct Figure {
    pub(crate) key: &'static str,
    pub(crate) title: &'static str,
    /// Shown behind the decimals that it is worth.
    pub(crate) digits: usize,
    pub(crate) aims: &'static [Aim],
}

/// What Outpost is to reach.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Aim {
    /// At most so many times the other's.
    AtMost(Against, f64),
    /// At least so many times the other's.
    AtLeast(Against, f64),
}

/// What an aim is counted in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Against {
    /// nginx, in the better of its settings.
    Nginx,
    Varnish,
    Limit,
    /// The figure's own unit.
    Nothing,
}

use Against::{Limit as TheLimit, Nginx as TheNginx, Nothing, Varnish as TheVarnish};
use Aim::{AtLeast, AtMost};

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;

/// Longest that a hit may take at p99 where nothing but a held-back segment makes it wait (ms). Such a wait is 40 ms on Linux.
const STALL: f64 = 20.0;

const ALL: &[Contestant] = &[Outpost, Nginx, Varnish, Limit];
const ALL_AND_NO_PUSH: &[Contestant] = &[Outpost, Nginx, NginxNoPush, Varnish, Limit];

/// Figures of hits that are counted in requests.
const fn per_request(aims: &'static [Aim]) -> [Figure; 4] {
    [
        Figure { key: "cpu", title: "server CPU, ms per 1,000", digits: 2, aims },
        Figure { key: "rate", title: "requests a second", digits: 0, aims: &[] },
        Figure { key: "p50", title: "latency p50, ms", digits: 3, aims: &[] },
        Figure { key: "p99", title: "latency p99, ms", digits: 3, aims: &[AtMost(Nothing, STALL)] },
    ]
}

/// Figures of hits that are counted in bytes.
const PER_BYTE: &[Figure] = &[
    Figure {
        key: "cpu",
        title: "server CPU, s per GB",
        digits: 3,
        aims: &[AtMost(TheNginx, 1.0), AtMost(TheLimit, 1.1)],
    },
    Figure { key: "rate", title: "GB a second", digits: 2, aims: &[] },
];

const FIGURES_1K: &[Figure] = &per_request(&[AtMost(TheNginx, 0.5), AtMost(TheLimit, 1.25)]);
const FIGURES_16K: &[Figure] = &per_request(&[AtMost(TheNginx, 0.6)]);
const FIGURES_100K: &[Figure] = &per_request(&[AtMost(TheNginx, 0.75)]);

/// Hits over TLS.
const FIGURES_TLS: &[Figure] = &[
    Figure { key: "cpu", title: "server CPU, ms per 1,000", digits: 2, aims: &[AtMost(TheNginx, 0.75)] },
    Figure { key: "rate", title: "requests a second", digits: 0, aims: &[] },
];

/// Figures of a cold file: how long it took the last client, what it took to get there, and whether it was right.
const fn cold(last: &'static [Aim], complete: &'static [Aim]) -> [Figure; 8] {
    const ONCE: &[Aim] = &[AtMost(Nothing, 1.0)];
    [
        Figure { key: "last", title: "last client done, s", digits: 3, aims: last },
        Figure {
            key: "first",
            title: "first byte after the origin's, median client, ms",
            digits: 1,
            aims: &[AtMost(Nothing, 10.0)],
        },
        Figure { key: "first-of-last", title: "the same, last client, ms", digits: 1, aims: &[] },
        Figure { key: "complete", title: "clients with all bytes", digits: 0, aims: complete },
        Figure { key: "asked", title: "requests to the origin", digits: 0, aims: ONCE },
        Figure { key: "fetched", title: "bytes from the origin, x the file", digits: 2, aims: ONCE },
        Figure { key: "cpu", title: "server CPU, s", digits: 2, aims: &[] },
        Figure { key: "anonymous", title: "anonymous memory, peak, MiB", digits: 1, aims: &[] },
    ]
}

const LAST_PACED: &[Aim] = &[AtMost(TheLimit, 1.02)];
const LAST_FAST: &[Aim] = &[AtMost(TheNginx, 0.9)];
const COLD_PACED: &[Figure] = &cold(LAST_PACED, &[AtLeast(Nothing, 100.0)]);
const COLD_FAST: &[Figure] = &cold(LAST_FAST, &[AtLeast(Nothing, 100.0)]);
const COLD_SINGLE: &[Figure] = &cold(LAST_FAST, &[AtLeast(Nothing, 1.0)]);
const COLD_CROWD: &[Figure] = &{
    let mut figures = cold(&[AtMost(TheVarnish, 1.0)], &[AtLeast(Nothing, 1000.0)]);
    // So many requests take longer than the first byte.
    figures[1].aims = &[];
    figures[7].aims = &[AtMost(Nothing, 32.0)];
    figures
};

const FIGURES_DISK: &[Figure] = &[
    Figure { key: "p99", title: "hits, latency p99, ms", digits: 3, aims: &[AtMost(TheNginx, 1.0)] },
    Figure { key: "p50", title: "hits, latency p50, ms", digits: 3, aims: &[] },
    Figure { key: "max", title: "hits, longest, ms", digits: 1, aims: &[] },
    Figure { key: "hits", title: "hits a second", digits: 0, aims: &[] },
    Figure { key: "rate", title: "readers, GB a second", digits: 2, aims: &[AtLeast(TheNginx, 1.0)] },
];

/// Before anybody reads from the disk.
const FIGURES_NO_READER: &[Figure] = &[
    Figure { key: "p99", title: "hits, latency p99, ms", digits: 3, aims: &[] },
    Figure { key: "p50", title: "hits, latency p50, ms", digits: 3, aims: &[] },
    Figure { key: "hits", title: "hits a second", digits: 0, aims: &[] },
];

const FIGURES_IDLE: &[Figure] =
    &[Figure { key: "each", title: "anonymous memory each, KiB", digits: 2, aims: &[AtMost(Nothing, 2.0)] }];

/// 100 Mbit/s.
const THIN: Option<u64> = Some(12_500_000);

const PROXIES: &[Contestant] = &[Outpost, Nginx, Varnish];
const WITH_TLS: &[Contestant] = &[Outpost, Nginx];
/// Varnish is not among them: its objects lie in memory.
const WITH_DISK: &[Contestant] = &[Outpost, NginxAio];

const fn row(
    (group, name): (&'static str, &'static str),
    title: &'static str,
    work: Work,
    contestants: &'static [Contestant],
    figures: &'static [Figure],
) -> Row {
    Row { name, group, title, work, contestants, figures, is_fresh: false, runs_max: u32::MAX }
}

/// One that finds the servers as they start.
const fn fresh(row: Row) -> Row {
    Row { is_fresh: true, ..row }
}

/// One that has so many rounds at most.
const fn rounds(runs_max: u32, row: Row) -> Row {
    Row { runs_max, ..row }
}

const fn hits(
    name: &'static str,
    title: &'static str,
    (size, clients): (u64, u32),
    contestants: &'static [Contestant],
    figures: &'static [Figure],
) -> Row {
    let group = if size <= MIB { "small" } else { "large" };
    row((group, name), title, Work::Hits { size, clients }, contestants, figures)
}

const fn tls(name: &'static str, title: &'static str, size: u64) -> Row {
    row(("tls", name), title, Work::Tls { size, clients: 64 }, WITH_TLS, FIGURES_TLS)
}

const fn cold_file(
    name: &'static str,
    title: &'static str,
    (size, clients, rate): (u64, u32, Option<u64>),
    figures: &'static [Figure],
) -> Row {
    row(("cold", name), title, Work::Cold { size, clients, rate }, ALL, figures)
}

const fn disk(name: &'static str, title: &'static str, readers: u32, figures: &'static [Figure]) -> Row {
    row(("p99", name), title, Work::Disk { readers }, WITH_DISK, figures)
}

const IDLE: Row =
    row(("idle", "idle"), "10,000 idle keep-alive connections", Work::Idle { clients: 10_000 }, PROXIES, FIGURES_IDLE);

/// All of them, in the order of the table.
pub(crate) const ROWS: &[Row] = &[
    hits("1k-64", "hits of 1 KiB, 64 clients", (KIB, 64), ALL, FIGURES_1K),
    hits("16k-64", "hits of 16 KiB, 64 clients", (16 * KIB, 64), ALL, FIGURES_16K),
    hits("100k-64", "hits of 100 KiB, 64 clients", (100 * KIB, 64), ALL_AND_NO_PUSH, FIGURES_100K),
    hits("100k-1", "hits of 100 KiB, 1 client", (100 * KIB, 1), ALL_AND_NO_PUSH, FIGURES_100K),
    hits("100m-1", "hits of 100 MiB, 1 client", (100 * MIB, 1), ALL, PER_BYTE),
    hits("100m-16", "hits of 100 MiB, 16 clients", (100 * MIB, 16), ALL, PER_BYTE),
    hits("100m-256", "hits of 100 MiB, 256 clients", (100 * MIB, 256), ALL, PER_BYTE),
    hits("1g-1", "hits of 1 GiB, 1 client", (GIB, 1), ALL, PER_BYTE),
    hits("1g-16", "hits of 1 GiB, 16 clients", (GIB, 16), ALL, PER_BYTE),
    hits("1g-256", "hits of 1 GiB, 256 clients", (GIB, 256), ALL, PER_BYTE),
    tls("tls-16k", "hits of 16 KiB over TLS 1.3, 64 clients", 16 * KIB),
    tls("tls-100k", "hits of 100 KiB over TLS 1.3, 64 clients", 100 * KIB),
    // Takes the line's own 22 seconds, everybody's turn.
    rounds(1, cold_file("cold-paced", "cold 256 MiB at 100 Mbit/s, 100 clients", (256 * MIB, 100, THIN), COLD_PACED)),
    cold_file("cold-fast", "cold 256 MiB, unlimited, 100 clients", (256 * MIB, 100, None), COLD_FAST),
    cold_file("cold-single", "cold 256 MiB, unlimited, 1 client", (256 * MIB, 1, None), COLD_SINGLE),
    fresh(cold_file("cold-crowd", "cold 16 MiB at 100 Mbit/s, 1,000 clients", (16 * MIB, 1000, THIN), COLD_CROWD)),
    disk("p99-0", "hits of 1 KiB, 4 clients at 2,000 a second each at most, alone", 0, FIGURES_NO_READER),
    disk("p99-1", "hits of 1 KiB while 1 client reads 1 GiB from disk", 1, FIGURES_DISK),
    disk("p99-4", "hits of 1 KiB while 4 clients read 1 GiB each from disk", 4, FIGURES_DISK),
    // A second round would find what the first has left allocated.
    rounds(1, fresh(IDLE)),
];

/// The rows of these names and groups (`all` is every one), in the order of the table.
pub(crate) fn choose(names: &[String]) -> Result<Vec<&'static Row>, String> {
    let is = |row: &Row, name: &str| name == "all" || row.name == name || row.group == name;
    for name in names {
        if !ROWS.iter().any(|row| is(row, name)) {
            return Err(format!("there is no row or group {name:?}; {}", help()));
        }
    }
    Ok(ROWS.iter().filter(|row| names.iter().any(|name| is(row, name))).collect())
}

/// What can be chosen.
pub(crate) fn help() -> String {
    let mut groups: Vec<(&str, Vec<&str>)> = Vec::new();
    for row in ROWS {
        match groups.last_mut() {
            Some((group, names)) if *group == row.group => names.push(row.name),
            _ => groups.push((row.group, vec![row.name])),
        }
    }
    let shown = groups.iter().map(|(group, names)| match names[..] {
        [name] if name == *group => name.to_owned(),
        _ => format!("{group} ({})", names.join(", ")),
    });
    format!("rows: all, {}", shown.collect::<Vec<_>>().join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(chosen: &[&str]) -> Result<Vec<&'static str>, String> {
        let chosen: Vec<_> = chosen.iter().map(|&name| name.to_owned()).collect();
        Ok(choose(&chosen)?.iter().map(|row| row.name).collect())
    }

    #[test]
    fn rows_are_chosen_by_name_and_group_and_come_in_order() {
        assert_eq!(names(&["all"]).unwrap().len(), ROWS.len());
        assert_eq!(names(&["100k-1", "1k-64", "1k-64"]).unwrap(), ["1k-64", "100k-1"]);
        assert!(names(&["large"]).unwrap().contains(&"1g-256"));
        let error = names(&["1k-64", "other"]).unwrap_err();
        assert!(error.contains("\"other\"") && error.contains("small (1k-64, "), "{error}");
    }

    #[test]
    fn every_row_has_its_own_name_and_every_figure_its_key() {
        for (at, row) in ROWS.iter().enumerate() {
            assert!(ROWS[..at].iter().all(|other| other.name != row.name), "{}", row.name);
            for (at, figure) in row.figures.iter().enumerate() {
                assert!(row.figures[..at].iter().all(|other| other.key != figure.key), "{}", row.name);
            }
            assert_eq!(row.contestants[0], Outpost, "{}", row.name);
        }
    }
}
