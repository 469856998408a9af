//! The options of one upstream. Its defaults are those of [`UpstreamOptions::new`] for the kind of upstream.

use std::time::Duration;

use cache::options::{Background, Location, Mode, UpstreamOptions};

use super::preload;
use crate::option::{Kind, Setting};

const HOUR: Duration = Duration::from_secs(3600);
/// Bytes per second: 100 Gbit/s.
const RATE_MAX: u64 = 12_500_000_000;
/// Where an option stands that holds for all upstreams.
const OF_ALL: &str = "that of `[preload]`";

type Upstream = Setting<UpstreamOptions>;

/// Options of one `[[upstream]]`.
pub(crate) static UPSTREAM: &[Setting<UpstreamOptions>] = &[
    Upstream::reload(
        "name",
        "A short name for logs and metrics.",
        "Names of files are remembered under it and the url: after a change of either all are asked for again (contents are kept).",
        Kind::Text { range: "1 to 64 letters, digits, `-`, `_`, `.`", check: is_name, put: |u, v| u.name = v, get: |u| u.name.clone() },
    )
    .default_note("must be given"),
    Upstream::reload(
        "mount",
        "Path prefix under which the upstream is seen; the longest that fits a request wins.",
        "Equal content under two mounts is stored once.",
        Kind::Text { range: "`/`, or a prefix such as `/prod`", check: is_mount, put: |u, v| u.mount = trim_mount(&v), get: |u| u.mount.clone() },
    ),
    Upstream::reload(
        "url",
        "Where the files are: a directory (local disk, or a mounted share), a web server, or an Outpost origin or proxy.",
        "An Outpost tells digests, so that a file that is here under another name is not fetched again.",
        Kind::Location { put: |u, v| u.location = v, get: |u| u.location.clone() },
    )
    .default_note("must be given"),
    Upstream::reload(
        "origins",
        "Further servers that have the same files at the same paths, in the order in which they are asked when those before them fail. Of the kind of `url`.",
        "A server that cannot be reached, breaks off or answers 5xx (a 503 with `Retry-After` is none) is left at once, also in mid-file, and asked again when it is back: tried beside the requests after 10 s, then ever more rarely up to 5 min. `docs/following.md` says more.",
        Kind::Texts {
            range: "URLs such as `\"outpost+https://hq2.example:8090/\"`",
            check: is_server,
            put: |u, v| u.origins = v.iter().filter_map(|text| text.parse().ok()).collect(),
            get: |u| u.origins.iter().map(ToString::to_string).collect(),
        },
    ),
    Upstream::reload(
        "follow",
        "Whether an Outpost origin's word that nothing has changed stands in for questions. It means nothing for other upstreams.",
        "A file that has not changed is then given out without a question, and one that has is never given out later than a second after the origin knew. While the origin is silent, and of one that has no such stream, names are asked for as `recheck` says.",
        Kind::Switch { put: |u, v| u.follow = v, get: |u| u.follow },
    ),
    Upstream::reload(
        "mode",
        "How its files come into the cache; see [`mode`](#mode).",
        "Where a client names a server itself (`delivery.hosts`) the mode at the top holds.",
        Kind::Word {
            words: &["fetch", "fetch-and-preload", "preload"],
            put: |u, v| u.mode = [Mode::Fetch, Mode::FetchAndPreload, Mode::Preload][v],
            get: |u| u.mode as usize,
        },
    )
    .default_note("that at the top of the file"),
    preload::schedule("schedule").default_note(OF_ALL),
    preload::ready_by("ready_by").default_note(OF_ALL),
    preload::include("include").default_note(OF_ALL),
    preload::exclude("exclude").default_note(OF_ALL),
    preload::priority("priority").default_note(OF_ALL),
    preload::concurrency("preload_concurrency").default_note(OF_ALL),
    preload::at_close("at_close").default_note(OF_ALL),
    preload::relist("relist").default_note(OF_ALL),
    Upstream::reload(
        "rate",
        "How fast its bytes may come, all of them together: `\"50Mbit/s\"`; `\"0\"` = no limit.",
        "Held within 5 percent over any two seconds, by reading no faster. What clients wait for goes before what is preloaded. `docs/line.md` says more.",
        Kind::Rate { max: RATE_MAX, put: |u, v| u.line.rates.otherwise = v, get: |u| u.line.rates.otherwise },
    ),
    Upstream::reload(
        "rate_rules",
        "Other rates at times of the day or week, by the clocks of `time_zone`. The first whose time it is holds, and `rate` when none does.",
        "For instance less while people work. A rate of `\"0\"` is no limit here too.",
        Kind::RateRules { put: |u, v| u.line.rates.rules = v, get: |u| u.line.rates.rules.clone() },
    ),
    Upstream::reload(
        "preload_wait_max",
        "How long a preload may wait for the line while clients take all of it. Then it has a turn, which is a hundredth of a second of the rate.",
        "Shorter gives preload more beside busy clients. Much longer, and the upstream may take a fetch that stands still for a dead one.",
        Kind::Duration {
            min: Duration::from_millis(100),
            max: HOUR,
            put: |u, v| u.line.preload_wait_max = v,
            get: |u| u.line.preload_wait_max,
        },
    ),
    Upstream::reload(
        "background",
        "Which fetches yield to all other traffic on the line, whoever it is of: `off`, `preload`, or `all`, those that clients wait for too.",
        "They see others by how long packets wait in the queues of the line, and get little while others fill those. For a web server or an Outpost whose machine sends TCP timestamps, as nearly all do; of a mounted share nothing can be seen.",
        Kind::Word {
            words: &["off", "preload", "all"],
            put: |u, v| u.line.background = [Background::Off, Background::Preload, Background::All][v],
            get: |u| u.line.background as usize,
        },
    ),
    Upstream::reload(
        "background_delay",
        "How long packets may wait in the queues of the line before those fetches give way.",
        "Longer takes more beside others and makes the line slower to answer for them. RFC 6817 wants no more than `100ms`.",
        Kind::Duration {
            min: Duration::from_millis(5),
            max: Duration::from_secs(1),
            put: |u, v| u.line.background_delay = v,
            get: |u| u.line.background_delay,
        },
    ),
    Upstream::reload(
        "ca",
        "PEM file of the authorities whose certificates are believed, for an upstream of `https://`.",
        "They alone are believed then; without it those that the operating system trusts. SIGHUP reads it again.",
        Kind::File { put: |u, v| u.authorities = v, get: |u| u.authorities.clone() },
    ),
    Upstream::reload(
        "certificate",
        "PEM file of the certificate that is shown to an upstream of `https://` that asks for one (mTLS).",
        "Followed by those between it and its root. SIGHUP reads it again.",
        Kind::File { put: |u, v| u.certificate = v, get: |u| u.certificate.clone() },
    ),
    Upstream::reload(
        "key",
        "PEM file of that certificate's private key, without a passphrase.",
        "Only this user should be able to read it.",
        Kind::File { put: |u, v| u.key = v, get: |u| u.key.clone() },
    ),
    Upstream::reload(
        "connect_timeout",
        "To connect, TLS included.",
        "Until then a request for a file that is not here waits; one that is here is not asked for again meanwhile.",
        Kind::Duration {
            min: Duration::from_millis(10),
            max: HOUR,
            put: |u, v| u.connect_timeout = v,
            get: |u| u.connect_timeout,
        },
    ),
    Upstream::reload(
        "read_timeout",
        "To the head of an answer, and between two pieces of its body.",
        "Then the fetch is tried again at its byte.",
        Kind::Duration {
            min: Duration::from_millis(10),
            max: HOUR,
            put: |u, v| u.read_timeout = v,
            get: |u| u.read_timeout,
        },
    ),
    Upstream::reload(
        "retries_max",
        "Tries of one fetch in a row that bring no byte, before it is given up.",
        "Given up, its readers are cut short and the part is kept; the next request continues it.",
        Kind::Count {
            min: 0,
            max: 1000,
            put: |u, v| u.retries_max = v as u32,
            get: |u| u64::from(u.retries_max),
        },
    ),
    Upstream::reload(
        "retry_backoff",
        "Wait before the first retry; it doubles with each, with jitter.",
        "Shorter finds a short outage's end sooner and presses harder on an upstream in trouble.",
        Kind::Duration {
            min: Duration::from_millis(1),
            max: HOUR,
            put: |u, v| u.retry_backoff = v,
            get: |u| u.retry_backoff,
        },
    ),
    Upstream::reload(
        "retry_backoff_max",
        "Longest wait between two tries.",
        "With `retries_max` it bounds how long a request waits for an upstream that is away.",
        Kind::Duration {
            min: Duration::from_millis(1),
            max: HOUR,
            put: |u, v| u.retry_backoff_max = v,
            get: |u| u.retry_backoff_max,
        },
    ),
    Upstream::reload(
        "recheck",
        "How long a name is believed before the upstream is asked whether it changed.",
        "Longer spares round trips and serves a changed file later. A web server's own caching rules (RFC 9111) go before it: there it is for answers without any date, tag or lifetime.",
        Kind::Duration {
            min: Duration::ZERO,
            max: Duration::from_secs(86_400),
            put: |u, v| u.recheck = v,
            get: |u| u.recheck,
        },
    )
    .default_note("`1s` for a directory, `5s` for an Outpost, `2m` for a web server"),
];

/// A mount without the slash at its end, so that `/prod/` and `/prod` are one.
fn trim_mount(mount: &str) -> String {
    match mount.trim_end_matches('/') {
        "" => "/".into(),
        trimmed => trimmed.into(),
    }
}

fn is_mount(mount: &str) -> Result<(), String> {
    let refuse =
        |reason: &str| Err(format!("'{mount}' is not a mount: {reason}; write \"/\" or a prefix such as \"/prod\""));
    if !mount.starts_with('/') {
        return refuse("it does not begin with '/'");
    }
    if mount.contains(['?', '#', '%', ' ', '\\']) || !mount.bytes().all(|byte| byte.is_ascii_graphic()) {
        return refuse("only plain letters, digits and signs can stand in it");
    }
    let inner = mount.trim_end_matches('/');
    if inner.split('/').skip(1).any(|segment| matches!(segment, "" | "." | "..")) {
        return refuse("it has an empty, '.' or '..' segment");
    }
    if inner.split('/').nth(1) == Some(".outpost") {
        return refuse("/.outpost is the interface of Outpost itself");
    }
    Ok(())
}

/// A label that is safe in metrics, logs and keys.
pub(crate) fn is_name(name: &str) -> Result<(), String> {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    if name.is_empty() || name.len() > 64 || !name.bytes().all(fits) {
        return Err(format!("'{name}' is not a name: write 1 to 64 letters, digits, '-', '_' or '.'"));
    }
    Ok(())
}

fn is_server(text: &str) -> Result<(), String> {
    match text.parse::<Location>().map_err(|bad| bad.to_string())? {
        Location::Directory(_) => {
            Err(format!("'{text}' is no server; write a URL such as outpost+https://hq2.example:8090/"))
        }
        Location::Http(_) | Location::Outpost(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mounts() {
        for (mount, good) in [
            ("/", true),
            ("/prod", true),
            ("/prod/", true),
            ("/a/b", true),
            ("", false),
            ("prod", false),
            ("/../x", false),
            ("/a//b", false),
            ("/.outpost", false),
            ("/.outpost/x", false),
            ("/a b", false),
        ] {
            assert_eq!(is_mount(mount).is_ok(), good, "{mount}");
        }
        assert_eq!(trim_mount("/prod/"), "/prod");
        assert_eq!(trim_mount("/"), "/");
    }
}
