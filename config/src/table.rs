//! The options, each defined once. `docs/config.md`, the flags and the environment's names are made from these two tables, and the example file
//! `config/proxy.toml` is tested against them. Defaults are not repeated here: they are those of [`Settings::default`].

use std::time::Duration;

use cache::options::{NoRoom, RequestersBy, UpstreamOptions};
use os::engine::Choice;
use serve::access_log::Format;

use crate::{
    option::{Applies, Kind},
    settings::{Mode, Settings},
};

pub use crate::option::Setting;

/// A place for a line of documentation that has nothing to say about a default.
const SHOWN: Option<&str> = None;

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3600);
const YEAR: Duration = Duration::from_secs(365 * 86_400);

/// Options of the proxy, in the order of the reference.
pub static SETTINGS: &[Setting<Settings>] = &[
    Setting {
        key: "listen",
        what: "Addresses on which files are served.",
        consequence: "`0.0.0.0` serves every network this machine is in, `127.0.0.1` this machine alone.",
        applies: Applies::Restart,
        flag: Some("listen"),
        default_note: SHOWN,
        kind: Kind::Addresses { put: |s, v| s.serve.listen = v, get: |s| s.serve.listen.clone() },
    },
    Setting {
        key: "admin",
        what: "Address of the admin interface: health, metrics, status, purge, drain.",
        consequence: "It asks for no password: whoever reaches it can empty the cache. Another address than loopback brings a warning.",
        applies: Applies::Restart,
        flag: Some("admin"),
        default_note: SHOWN,
        kind: Kind::Address { put: |s, v| s.admin = v, get: |s| s.admin },
    },
    Setting {
        key: "mode",
        what: "How files come into the cache: when they are asked for, beforehand, or both.",
        consequence: "This version preloads nothing yet: `fetch-and-preload` fetches what is asked for, and `preload` is refused.",
        applies: Applies::Restart,
        flag: Some("mode"),
        default_note: SHOWN,
        kind: Kind::Word {
            words: &["fetch", "fetch-and-preload", "preload"],
            put: |s, v| s.mode = [Mode::Fetch, Mode::FetchAndPreload, Mode::Preload][v],
            get: |s| s.mode as usize,
        },
    },
    Setting {
        key: "cache.dir",
        what: "Directory of the cache. It is made if it is not there, and refused if it holds anything that Outpost did not put there.",
        consequence: "One running instance per directory. A disk of its own keeps `max_size` and `min_free` simple.",
        applies: Applies::Restart,
        flag: Some("cache-dir"),
        default_note: SHOWN,
        kind: Kind::Path { put: |s, v| s.store.dir = v, get: |s| s.store.dir.clone() },
    },
    Setting {
        key: "cache.max_size",
        what: "Most bytes that the cache directory takes, everything in it counted.",
        consequence: "Objects asked for least are evicted to stay below it. Lowering it evicts at once, in steps.",
        applies: Applies::Reload,
        flag: Some("max-size"),
        default_note: SHOWN,
        kind: Kind::Limit { put: |s, v| s.store.max_size = v, get: |s| s.store.max_size },
    },
    Setting {
        key: "cache.min_free",
        what: "Least bytes that stay free on the cache's disk, whoever fills it.",
        consequence: "The cache gives way to other users of the disk: it shrinks when they grow.",
        applies: Applies::Reload,
        flag: Some("min-free"),
        default_note: SHOWN,
        kind: Kind::Limit { put: |s, v| s.store.min_free = v, get: |s| s.store.min_free },
    },
    Setting {
        key: "cache.no_room",
        what: "What becomes of a file that does not fit: `pass` it through uncached, or `refuse` it with 507.",
        consequence: "Passing through costs the line to the upstream once per request.",
        applies: Applies::Reload,
        flag: None,
        default_note: SHOWN,
        kind: Kind::Word {
            words: &["pass", "refuse"],
            put: |s, v| s.cache.no_room = [NoRoom::Pass, NoRoom::Refuse][v],
            get: |s| s.cache.no_room as usize,
        },
    },
    Setting {
        key: "cache.stale_if_error",
        what: "How long the last good copy may stand in for an upstream that cannot be reached.",
        consequence: "`0s` answers 502 or 504 at once when the upstream is away.",
        applies: Applies::Reload,
        flag: None,
        default_note: SHOWN,
        kind: Kind::Duration {
            min: Duration::ZERO,
            max: YEAR,
            put: |s, v| s.cache.stale_if_error = v,
            get: |s| s.cache.stale_if_error,
        },
    },
    Setting {
        key: "cache.fills_max",
        what: "Files fetched at once.",
        consequence: "A file that would be one more is answered 503 `overloaded`; hits are never refused for it.",
        applies: Applies::Reload,
        flag: None,
        default_note: SHOWN,
        kind: Kind::Count {
            min: 1,
            max: 65_536,
            put: |s, v| s.cache.fills_max = v as usize,
            get: |s| s.cache.fills_max as u64,
        },
    },
    Setting {
        key: "cache.fill_buffer_max",
        what: "Bytes of one fetch that may have arrived but are not yet written and hashed.",
        consequence: "Times `fills_max` this is the most memory that fetches take. Less slows a fast upstream down.",
        applies: Applies::Restart,
        flag: None,
        default_note: SHOWN,
        kind: Kind::Size {
            min: 256 << 10,
            max: 1 << 30,
            put: |s, v| s.store.fill_buffer_max = v,
            get: |s| s.store.fill_buffer_max,
        },
    },
    Setting {
        key: "cache.part_age_max",
        what: "How long an interrupted fetch is kept for continuing it at its byte.",
        consequence: "Parts count against `max_size`.",
        applies: Applies::Restart,
        flag: None,
        default_note: SHOWN,
        kind: Kind::Duration {
            min: SECOND,
            max: YEAR,
            put: |s, v| s.store.part_age_max = v,
            get: |s| s.store.part_age_max,
        },
    },
    Setting {
        key: "cache.quarantine_max",
        what: "Bytes of fetches with a wrong length or digest that are kept for inspection.",
        consequence: "`0` keeps none. They count against `max_size` and are never served.",
        applies: Applies::Restart,
        flag: None,
        default_note: SHOWN,
        kind: Kind::Size {
            min: 0,
            max: 1 << 50,
            put: |s, v| s.store.quarantine_max = v,
            get: |s| s.store.quarantine_max,
        },
    },
    Setting {
        key: "cache.open_files_max",
        what: "How many objects' files are kept open, ready to be sent.",
        consequence: "More spare an `open` per hit and take file descriptors, of which the system allows a limited number.",
        applies: Applies::Restart,
        flag: None,
        default_note: SHOWN,
        kind: Kind::Count {
            min: 16,
            max: 1_000_000,
            put: |s, v| s.store.open_files_max = v as usize,
            get: |s| s.store.open_files_max as u64,
        },
    },
    Setting {
        key: "cache.disk_engine",
        what: "How the disk is written, synced and read ahead: io_uring (`uring`), a pool of `threads`, or `auto`: io_uring where the kernel allows it.",
        consequence: "`uring` refuses to start where io_uring is forbidden, as it is in most containers.",
        applies: Applies::Restart,
        flag: None,
        default_note: SHOWN,
        kind: Kind::Word {
            words: &["auto", "uring", "threads"],
            put: |s, v| s.store.engine = [Choice::Auto, Choice::Uring, Choice::Threads][v],
            get: |s| s.store.engine as usize,
        },
    },
    Setting {
        key: "serve.max_requesters",
        what: "Transfers of one object to clients at once; `0`: no limit.",
        consequence: "One more is answered 503 `max-requesters` with its place in the queue. Bodies of at most 64 KiB take no place.",
        applies: Applies::Reload,
        flag: Some("max-requesters"),
        default_note: SHOWN,
        kind: Kind::Count {
            min: 0,
            max: 1_000_000,
            put: |s, v| s.cache.max_requesters = v as usize,
            get: |s| s.cache.max_requesters as u64,
        },
    },
    Setting {
        key: "serve.retry_delay",
        what: "`Retry-After` of a refusal: when the client shall come back.",
        consequence: "Shorter brings more requests that are refused again, longer leaves places empty.",
        applies: Applies::Reload,
        flag: Some("retry-delay"),
        default_note: SHOWN,
        kind: Kind::Duration {
            min: SECOND,
            max: Duration::from_secs(86_400),
            put: |s, v| s.cache.retry_delay = v,
            get: |s| s.cache.retry_delay,
        },
    },
    Setting {
        key: "serve.requesters_by",
        what: "What counts as one requester: a `connection`, or an `address` with all its connections together.",
        consequence: "`address` is right for segmented downloaders, and wrong where many machines share one address (NAT).",
        applies: Applies::Reload,
        flag: None,
        default_note: SHOWN,
        kind: Kind::Word {
            words: &["connection", "address"],
            put: |s, v| s.cache.requesters_by = [RequestersBy::Connection, RequestersBy::Address][v],
            get: |s| s.cache.requesters_by as usize,
        },
    },
    Setting {
        key: "serve.workers",
        what: "Threads that serve clients; `0`: one per core.",
        consequence: "More than cores bring nothing: a thread never waits for a disk or an upstream.",
        applies: Applies::Restart,
        flag: None,
        default_note: SHOWN,
        kind: Kind::Count {
            min: 0,
            max: 1024,
            put: |s, v| s.serve.workers = v as usize,
            get: |s| s.serve.workers as u64,
        },
    },
    Setting {
        key: "serve.connections_max",
        what: "Connections of clients at once.",
        consequence: "One more is answered 503 `overloaded` and closed. Each takes a file descriptor.",
        applies: Applies::Restart,
        flag: None,
        default_note: SHOWN,
        kind: Kind::Count {
            min: 1,
            max: 1_000_000,
            put: |s, v| s.serve.connections_max = v as usize,
            get: |s| s.serve.connections_max as u64,
        },
    },
    Setting {
        key: "serve.head_bytes_max",
        what: "Bytes of a request's head.",
        consequence: "A longer one is answered 431, or 414 if its target is the long part.",
        applies: Applies::Restart,
        flag: None,
        default_note: SHOWN,
        kind: Kind::Size {
            min: 1 << 10,
            max: 1 << 20,
            put: |s, v| s.serve.head_bytes_max = v as usize,
            get: |s| s.serve.head_bytes_max as u64,
        },
    },
    Setting {
        key: "serve.fields_max",
        what: "Header fields of a request.",
        consequence: "More are answered 431.",
        applies: Applies::Restart,
        flag: None,
        default_note: SHOWN,
        kind: Kind::Count {
            min: 8,
            max: 1024,
            put: |s, v| s.serve.fields_max = v as usize,
            get: |s| s.serve.fields_max as u64,
        },
    },
    Setting {
        key: "serve.header_timeout",
        what: "From the first byte of a request to the end of its head.",
        consequence: "Then 408 and a close: a client that trickles its request holds nothing for longer.",
        applies: Applies::Restart,
        flag: None,
        default_note: SHOWN,
        kind: Kind::Duration {
            min: SECOND,
            max: HOUR,
            put: |s, v| s.serve.header_timeout = v,
            get: |s| s.serve.header_timeout,
        },
    },
    Setting {
        key: "serve.idle_timeout",
        what: "How long a connection without a request is kept.",
        consequence: "Longer spares clients a new connection and takes file descriptors.",
        applies: Applies::Restart,
        flag: None,
        default_note: SHOWN,
        kind: Kind::Duration {
            min: SECOND,
            max: HOUR,
            put: |s, v| s.serve.idle_timeout = v,
            get: |s| s.serve.idle_timeout,
        },
    },
    Setting {
        key: "serve.send_timeout",
        what: "How long a client may take no byte of its answer.",
        consequence: "Then it is cut and its requester place is free again. A slow client that takes something is never cut.",
        applies: Applies::Restart,
        flag: None,
        default_note: SHOWN,
        kind: Kind::Duration {
            min: SECOND,
            max: HOUR,
            put: |s, v| s.serve.send_timeout = v,
            get: |s| s.serve.send_timeout,
        },
    },
    Setting {
        key: "serve.drain_timeout",
        what: "How long what is being sent may take to finish after SIGTERM or SIGINT.",
        consequence: "What is not finished by then is cut; clients continue it with a range request after the restart.",
        applies: Applies::Restart,
        flag: None,
        default_note: SHOWN,
        kind: Kind::Duration {
            min: Duration::ZERO,
            max: HOUR,
            put: |s, v| s.serve.drain_timeout = v,
            get: |s| s.serve.drain_timeout,
        },
    },
    Setting {
        key: "serve.name",
        what: "This machine's name in the field `Via`.",
        consequence: "Give each proxy of a chain a name of its own, so that a loop is recognised and a trace can be read.",
        applies: Applies::Reload,
        flag: None,
        default_note: SHOWN,
        kind: Kind::Text { check: is_token, put: |s, v| s.cache.via = v, get: |s| s.cache.via.clone() },
    },
    Setting {
        key: "access_log.path",
        what: "File for a line per request, appended to; SIGUSR1 opens it anew after a rotation.",
        consequence: "A thread of its own writes it. Lines that it cannot write in time are dropped and counted, never waited for.",
        applies: Applies::Restart,
        flag: Some("access-log"),
        default_note: SHOWN,
        kind: Kind::Output { put: |s, v| s.access_log = v, get: |s| s.access_log.clone() },
    },
    Setting {
        key: "access_log.format",
        what: "`combined` as Apache and nginx write it, with the cache's word and the seconds at the end, or `json`: an object per line.",
        consequence: "`json` lines are longer.",
        applies: Applies::Restart,
        flag: Some("access-log-format"),
        default_note: SHOWN,
        kind: Kind::Word {
            words: &["combined", "json"],
            put: |s, v| s.access_log_format = [Format::Combined, Format::Json][v],
            get: |s| s.access_log_format as usize,
        },
    },
];

/// Options of one `[[upstream]]`.
pub static UPSTREAM: &[Setting<UpstreamOptions>] = &[
    Setting {
        key: "name",
        what: "A short name for logs and metrics.",
        consequence: "Names of files are remembered under it: a renamed upstream asks for all of them again (contents are kept).",
        applies: Applies::Reload,
        flag: None,
        default_note: Some("must be given"),
        kind: Kind::Text { check: is_name, put: |u, v| u.name = v, get: |u| u.name.clone() },
    },
    Setting {
        key: "mount",
        what: "Path prefix under which the upstream is seen; the longest that fits a request wins.",
        consequence: "Equal content under two mounts is stored once.",
        applies: Applies::Reload,
        flag: None,
        default_note: SHOWN,
        kind: Kind::Text { check: is_mount, put: |u, v| u.mount = trim_mount(&v), get: |u| u.mount.clone() },
    },
    Setting {
        key: "url",
        what: "Where the files are: a directory (local disk, or a mounted share), a web server, or an Outpost origin or proxy.",
        consequence: "An Outpost tells digests, so that a file that is here under another name is not fetched again.",
        applies: Applies::Reload,
        flag: None,
        default_note: Some("must be given"),
        kind: Kind::Location { put: |u, v| u.location = v, get: |u| u.location.clone() },
    },
    Setting {
        key: "connect_timeout",
        what: "To connect, TLS included.",
        consequence: "Until then a request for a file that is not here waits; one that is here is not asked for again meanwhile.",
        applies: Applies::Reload,
        flag: None,
        default_note: SHOWN,
        kind: Kind::Duration {
            min: Duration::from_millis(10),
            max: HOUR,
            put: |u, v| u.connect_timeout = v,
            get: |u| u.connect_timeout,
        },
    },
    Setting {
        key: "read_timeout",
        what: "To the head of an answer, and between two pieces of its body.",
        consequence: "Then the fetch is tried again at its byte.",
        applies: Applies::Reload,
        flag: None,
        default_note: SHOWN,
        kind: Kind::Duration {
            min: Duration::from_millis(10),
            max: HOUR,
            put: |u, v| u.read_timeout = v,
            get: |u| u.read_timeout,
        },
    },
    Setting {
        key: "retries_max",
        what: "Tries of one fetch in a row that bring no byte, before it is given up.",
        consequence: "Given up, its readers are cut short and the part is kept; the next request continues it.",
        applies: Applies::Reload,
        flag: None,
        default_note: SHOWN,
        kind: Kind::Count {
            min: 0,
            max: 1000,
            put: |u, v| u.retries_max = v as u32,
            get: |u| u64::from(u.retries_max),
        },
    },
    Setting {
        key: "retry_backoff",
        what: "Wait before the first retry; it doubles with each, with jitter.",
        consequence: "Shorter finds a short outage's end sooner and presses harder on an upstream in trouble.",
        applies: Applies::Reload,
        flag: None,
        default_note: SHOWN,
        kind: Kind::Duration {
            min: Duration::from_millis(1),
            max: HOUR,
            put: |u, v| u.retry_backoff = v,
            get: |u| u.retry_backoff,
        },
    },
    Setting {
        key: "retry_backoff_max",
        what: "Longest wait between two tries.",
        consequence: "With `retries_max` it bounds how long a request waits for an upstream that is away.",
        applies: Applies::Reload,
        flag: None,
        default_note: SHOWN,
        kind: Kind::Duration {
            min: Duration::from_millis(1),
            max: HOUR,
            put: |u, v| u.retry_backoff_max = v,
            get: |u| u.retry_backoff_max,
        },
    },
    Setting {
        key: "recheck",
        what: "How long a name is believed before the upstream is asked whether it changed.",
        consequence: "Longer spares round trips and serves a changed file later. A web server's own caching rules (RFC 9111) go before it.",
        applies: Applies::Reload,
        flag: None,
        default_note: Some("`1s` for a directory, `5s` for an Outpost, `0s` for a web server"),
        kind: Kind::Duration {
            min: Duration::ZERO,
            max: Duration::from_secs(86_400),
            put: |u, v| u.recheck = v,
            get: |u| u.recheck,
        },
    },
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
fn is_name(name: &str) -> Result<(), String> {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    if name.is_empty() || name.len() > 64 || !name.bytes().all(fits) {
        return Err(format!("'{name}' is not a name: write 1 to 64 letters, digits, '-', '_' or '.'"));
    }
    Ok(())
}

/// A token (RFC 9110 section 5.6.2), as `Via` wants a pseudonym.
fn is_token(name: &str) -> Result<(), String> {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    if name.is_empty() || name.len() > 64 || !name.bytes().all(fits) {
        return Err(format!("'{name}' cannot stand in Via: write 1 to 64 letters, digits, '-', '_' or '.'"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_key_and_flag_is_defined_once() {
        let keys: HashSet<_> = SETTINGS.iter().map(|row| row.key).collect();
        assert_eq!(keys.len(), SETTINGS.len());
        let flags: Vec<_> = SETTINGS.iter().filter_map(|row| row.flag).collect();
        assert_eq!(flags.iter().collect::<HashSet<_>>().len(), flags.len());
        let keys: HashSet<_> = UPSTREAM.iter().map(|row| row.key).collect();
        assert_eq!(keys.len(), UPSTREAM.len());
    }

    #[test]
    fn words_stand_in_the_order_of_their_values() {
        let base = std::path::Path::new("/");
        for row in SETTINGS {
            let Kind::Word { words, get, .. } = &row.kind else { continue };
            for (place, word) in words.iter().enumerate() {
                let mut settings = Settings::default();
                row.put(&mut settings, &crate::raw::Raw::Text((*word).to_owned()), base).unwrap();
                assert_eq!(get(&settings), place, "{} = {word}", row.key);
            }
        }
    }

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
