//! Every option of an agent, defined once.

use std::{net::IpAddr, time::Duration};

use super::{jobs, manners, settings::Settings};
use crate::{
    option::{Kind, Setting},
    proxies::{is_node, is_server, with_slash},
};

type Agent = Setting<Settings>;

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(86_400);

/// Letters of an extension.
const EXTENSION_MAX: usize = 16;

/// In the order of the reference.
pub(super) static SETTINGS: &[Agent] = &[
    Agent::restart(
        "local",
        "Where programs of this machine ask the service: `get`, `status` and the others.",
        "Only ever an address of this machine itself. `\"\"`: nobody can.",
        Kind::MaybeAddress { put: |s, v| s.local = v, get: |s| s.local },
    )
    .flag("local"),
    Agent::restart(
        "downloads_max",
        "Contents that are brought at once; others wait for their turn.",
        "More use a good line better, and take memory: up to a few MiB each.",
        Kind::Count { min: 1, max: 256, put: |s, v| s.downloads_max = v as usize, get: |s| s.downloads_max as u64 },
    ),
    manners::TIME_ZONE,
    Agent::restart(
        "origin.urls",
        "The origins in the order in which they are asked; one that fails is left for the next, and asked again later.",
        "They know digests and who has what. None: the servers alone are asked, by path.",
        Kind::Texts {
            range: "`http://HOST:PORT/` or `https://HOST:PORT/`",
            check: is_server,
            put: |s, v| s.origins.urls = v.into_iter().map(with_slash).collect(),
            get: |s| s.origins.urls.clone(),
        },
    )
    .flag("origin"),
    Agent::restart(
        "origin.name",
        "This machine's name, unlike all others; `\"\"` is the name of the host.",
        "By it the machine counts once at each server, and the origin's configuration calls it so.",
        Kind::Text {
            range: "1 to 64 letters, digits, `-`, `_`, `.`, or `\"\"`",
            check: |text| if text.is_empty() { Ok(()) } else { is_node(text) },
            put: |s, v| s.origins.name = v,
            get: |s| s.origins.name.clone(),
        },
    )
    .flag("name"),
    Agent::restart(
        "origin.token_file",
        "File with the token by which this machine enrols at its origin; none = it says its name only.",
        "Needed once: what it is given in exchange is kept in `origin.state_dir`.",
        Kind::File { put: |s, v| s.origins.token_file = v, get: |s| s.origins.token_file.clone() },
    )
    .flag("token-file"),
    Agent::restart(
        "origin.state_dir",
        "Directory of what the origin gave to this machine: its credential, and the last configuration, with which it starts when no origin can be reached.",
        "It is made when there is something to keep. Who reads the credential can pass for this machine.",
        Kind::Path { put: |s, v| s.origins.state_dir = v, get: |s| s.origins.state_dir.clone() },
    )
    .flag("state-dir"),
    Agent::reload(
        "origin.report_every",
        "Between two reports to the origin; `0s` = as the origin says.",
        "That a content came is told within a second all the same.",
        Kind::Duration {
            min: Duration::ZERO,
            max: DAY,
            put: |s, v| s.origins.report_every = v,
            get: |s| s.origins.report_every,
        },
    ),
    jobs::CHANGES,
    Agent::reload(
        "servers.urls",
        "Proxies in the order in which they are asked, where no origin says who is.",
        "Those that the origin has delivered come behind them.",
        Kind::Texts {
            range: "`http://HOST:PORT/` or `https://HOST:PORT/`",
            check: is_server,
            put: |s, v| s.servers.urls = v.into_iter().map(with_slash).collect(),
            get: |s| s.servers.urls.clone(),
        },
    )
    .flag("server"),
    Agent::restart(
        "servers.ca",
        "Certificates of authorities to believe in place of the system's (PEM).",
        "Of all origins, proxies and peers that are reached over `https://`.",
        Kind::File { put: |s, v| s.servers.authorities = v, get: |s| s.servers.authorities.clone() },
    )
    .flag("ca"),
    Agent::restart(
        "servers.local_address",
        "The address of this machine from which servers are asked, where it has several; `\"\"` = the system's choice.",
        "By it an origin knows in which domain this machine is.",
        Kind::Text {
            range: "an IP address, or `\"\"`",
            check: |text| if text.is_empty() { Ok(()) } else { address(text).map(drop) },
            put: |s, v| s.servers.local_address = address(&v).ok(),
            get: |s| s.servers.local_address.map_or_else(String::new, |address| address.to_string()),
        },
    ),
    Agent::restart(
        "servers.connect_timeout",
        "How long a server may take to accept a connection.",
        "Shorter finds the next one sooner.",
        Kind::Duration {
            min: Duration::from_millis(100),
            max: HOUR,
            put: |s, v| s.servers.connect_timeout = v,
            get: |s| s.servers.connect_timeout,
        },
    ),
    Agent::restart(
        "servers.silence_max",
        "A server that sends nothing for so long is left for the next.",
        "A proxy that waits for its own upstream is silent too.",
        Kind::Duration {
            min: Duration::from_millis(100),
            max: HOUR,
            put: |s, v| s.servers.silence_max = v,
            get: |s| s.servers.silence_max,
        },
    ),
    Agent::restart(
        "servers.backoff_first",
        "The longest wait after a server's first failure; it doubles with each further one, and all of it is spread.",
        "Shorter uses a server that is back sooner, and asks one that is not more often.",
        Kind::Duration {
            min: Duration::from_millis(100),
            max: DAY,
            put: |s, v| s.servers.backoff.first = v,
            get: |s| s.servers.backoff.first,
        },
    ),
    Agent::restart(
        "servers.backoff_max",
        "The longest wait of all.",
        "Not below `servers.backoff_first`.",
        Kind::Duration {
            min: SECOND,
            max: DAY,
            put: |s, v| s.servers.backoff.max = v,
            get: |s| s.servers.backoff.max,
        },
    ),
    manners::LINE_RATE,
    manners::LINE_RATE_RULES,
    manners::LINE_BLACKOUT,
    Agent::restart(
        "cache.dir",
        "Directory of the service's own cache. It is made if it is not there, and refused if it holds anything that Outpost did not put there.",
        "One running instance per directory.",
        Kind::Path { put: |s, v| s.store.dir = v, get: |s| s.store.dir.clone() },
    )
    .flag("cache-dir"),
    Agent::reload(
        "cache.max_size",
        "Most bytes that the cache directory takes, everything in it counted.",
        "Contents asked for least are evicted to stay below it.",
        Kind::Limit { put: |s, v| s.store.max_size = v, get: |s| s.store.max_size },
    )
    .flag("max-size"),
    Agent::reload(
        "cache.min_free",
        "Least bytes that stay free on the cache's disk, whoever fills it.",
        "The cache gives way to other users of the disk: it shrinks when they grow.",
        Kind::Limit { put: |s, v| s.store.min_free = v, get: |s| s.store.min_free },
    )
    .flag("min-free"),
    Agent::restart(
        "peers.listen",
        "Where other agents get what this machine has.",
        "`\"\"`: nowhere, and nothing is shared.",
        Kind::MaybeAddress { put: |s, v| s.peers.listen = v, get: |s| s.peers.listen },
    )
    .flag("peer-listen"),
    Agent::reload(
        "peers.uploads",
        "Transfers to them at once; one more is asked to come again shortly. `0`: nothing is shared.",
        "More help neighbours sooner, and take of this machine's line and disk.",
        Kind::Count { min: 0, max: 256, put: |s, v| s.peers.uploads = v as usize, get: |s| s.peers.uploads as u64 },
    )
    .flag("peer-uploads"),
    Agent::reload(
        "peers.extensions",
        "Which files are shared, by the ends of their names.",
        "None: every file. What is here by its digest alone has no name, and is not shared where there are any.",
        Kind::Texts {
            range: "up to 16 letters or digits",
            check: is_extension,
            put: |s, v| s.peers.extensions = v.into_iter().map(|text| text.to_ascii_lowercase()).collect(),
            get: |s| s.peers.extensions.clone(),
        },
    ),
    Agent::reload(
        "peers.min_size",
        "Bytes of the smallest file that is shared.",
        "Smaller ones come from a proxy as quickly.",
        Kind::Size { min: 0, max: 1 << 50, put: |s, v| s.peers.min_size = v, get: |s| s.peers.min_size },
    ),
    Agent::reload(
        "peers.allow",
        "Who may have them; none: machines in the networks that this one is in itself, those of containers and tunnels left out.",
        "Others are answered 403.",
        Kind::Ranges { put: |s, v| s.peers.allow = v, get: |s| s.peers.allow.clone() },
    ),
    Agent::reload(
        "peers.advertise",
        "URL under which other agents reach this one, such as `http://10.7.0.9:7778/`; `\"\"` = found out from the address that speaks to the origin.",
        "The origin names it to those who ask where a file is.",
        Kind::Text {
            range: "`http://HOST:PORT/`, or `\"\"`",
            check: |text| if text.is_empty() { Ok(()) } else { is_server(text) },
            put: |s, v| s.peers.advertise = v,
            get: |s| s.peers.advertise.clone(),
        },
    ),
    manners::PEERS_RATE,
    manners::PEERS_RATE_RULES,
    manners::PEERS_FIND,
    manners::PEERS_KNOWN,
    manners::ON_BATTERY,
    manners::METERED,
    manners::METERED_INTERFACES,
    manners::CPU_MAX,
    manners::DISK_MAX,
    manners::FREE_MIN,
    manners::NOT_DURING,
    jobs::DIR,
    jobs::MIN_FREE,
    jobs::EVERY,
    jobs::SPREAD,
    jobs::ON_READY,
    jobs::COMMANDS,
    jobs::TIME_LIMIT,
    jobs::UNASSIGNED,
];

fn is_extension(text: &str) -> Result<(), String> {
    let is_word = (1..=EXTENSION_MAX).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_alphanumeric());
    if is_word {
        Ok(())
    } else {
        Err(format!("'{text}' is not the end of a name; write it without its dot, such as zip"))
    }
}

fn address(text: &str) -> Result<IpAddr, String> {
    text.parse().map_err(|_| format!("'{text}' is no IP address, such as 10.7.0.12"))
}
