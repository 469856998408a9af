//! The options of an origin outside of blocks, each defined once, in the order of the reference.

use std::time::Duration;

use protocol::schedule::Zone;
use serve::{access_log::Format, tls::clients::Wanted};

use super::settings::Settings;
use crate::{
    option::{Kind, Setting},
    proxies::{is_server, with_slash},
    times,
};

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(86_400);

/// What each option of `[blackout]` brings.
const BLACKOUT: &str = "Whoever asks then where to get something is told when to come again: the end of the window. What was begun goes on, and files are given to who asks for them all the same.";

type Origin = Setting<Settings>;

/// All of them.
pub(super) static SETTINGS: &[Setting<Settings>] = &[
    Origin::restart(
        "listen",
        "Addresses on which files and everything else are served.",
        "`0.0.0.0` serves every network this machine is in, `127.0.0.1` this machine alone.",
        Kind::Addresses { may_be_none: false, put: |s, v| s.serve.listen = v, get: |s| s.serve.listen.clone() },
    )
    .flag("listen"),
    Origin::restart(
        "admin",
        "Where /healthz, /readyz and /metrics are, and what the commands `update`, `nodes` and `forget` ask.",
        "None: there are none. Whatever is on another address than a loopback one, only programs of this machine may change anything.",
        Kind::MaybeAddress { put: |s, v| s.admin = v, get: |s| s.admin },
    )
    .flag("admin"),
    Origin::reload(
        "origins",
        "All origins of the site, the first to be asked first, as others reach them: `http://hq.example:8090/`.",
        "Told to agents and proxies, which ask the next when one fails, and come back to the first. None: they know no other than the one in their own file.",
        Kind::Texts {
            range: "`http://HOST:PORT/` or `https://HOST:PORT/`",
            check: is_server,
            put: |s, v| s.origins = v.into_iter().map(with_slash).collect(),
            get: |s| s.origins.clone(),
        },
    ),
    Origin::reload(
        "time_zone",
        "By whose clocks all times of day in this file are meant.",
        "`local` is what the machine is set to, which is UTC in most containers.",
        Kind::Text {
            range: "`local`, `UTC`, or a name of the IANA database such as `Europe/Berlin`",
            check: |text| Zone::named(text).map(drop).map_err(|bad| bad.to_string()),
            put: |s, v| s.zone = Zone::named(&v).unwrap_or_default(),
            get: |s| s.zone.name().to_owned(),
        },
    ),
    Origin::restart(
        "catalogue.directory",
        "The directory that is published at `/`: a local disk, or an SMB or NFS mount.",
        "Nothing is ever written there.",
        Kind::Path { put: |s, v| s.directory = v, get: |s| s.directory.clone() },
    )
    .default_note("must be given")
    .flag("share"),
    Origin::restart(
        "catalogue.database",
        "File in which digests are kept, so that a restart reads no file again.",
        "Must not lie in what is published.",
        Kind::Path { put: |s, v| s.database = v, get: |s| s.database.clone() },
    )
    .flag("database"),
    Origin::restart(
        "catalogue.rescan",
        "How often the whole share is looked through for changes that were not announced (network mounts announce none).",
        "Shorter finds them sooner and asks the disk or the mount more often.",
        Kind::Duration { min: SECOND, max: DAY.saturating_mul(7), put: |s, v| s.rescan = v, get: |s| s.rescan },
    )
    .flag("rescan"),
    Origin::restart(
        "catalogue.settle",
        "A file is read for its digest only when it has been unchanged for so long.",
        "Shorter makes a file known sooner, and reads one that is still being written more than once.",
        Kind::Duration { min: Duration::ZERO, max: HOUR, put: |s, v| s.settle = v, get: |s| s.settle },
    )
    .flag("settle"),
    Origin::restart(
        "catalogue.watch",
        "Whether the kernel is asked for changes (inotify).",
        "Without, only the rescan finds them.",
        Kind::Switch { put: |s, v| s.watch = v, get: |s| s.watch },
    ),
    Origin::restart(
        "changes.heartbeat",
        "Between two signs of life on a stream of changes.",
        "After three without one a proxy takes its origin for gone, and asks about each file again. Shorter notices that sooner.",
        Kind::Duration {
            min: SECOND,
            max: SECOND.saturating_mul(60),
            put: |s, v| s.heartbeat = v,
            get: |s| s.heartbeat,
        },
    ),
    Origin::reload(
        "sources.expiry",
        "For how long an answer about sources, and the list of proxies, may be used without asking again.",
        "Longer spares questions, and finds out later that a domain has a new proxy.",
        Kind::Duration {
            min: SECOND,
            max: DAY.saturating_mul(7),
            put: |s, v| s.sources.expiry = v,
            get: |s| s.sources.expiry,
        },
    ),
    Origin::reload(
        "sources.staging",
        "Whether clients wait until a proxy near them holds a content, and proxies until one above them does.",
        "With `false` everybody is told at once whom to ask, and a new package crosses each line as often as it is asked for at the same time.",
        Kind::Switch { put: |s, v| s.sources.staging = v, get: |s| s.sources.staging },
    ),
    Origin::reload(
        "sources.retry_min",
        "The shortest wait that is told to who asks for a content that is not ready.",
        "Shorter brings more questions.",
        Kind::Duration { min: SECOND, max: HOUR, put: |s, v| s.sources.retry_min = v, get: |s| s.sources.retry_min },
    ),
    Origin::reload(
        "sources.retry_max",
        "The longest such wait.",
        "What takes longer is asked for more than once.",
        Kind::Duration { min: SECOND, max: DAY, put: |s, v| s.sources.retry_max = v, get: |s| s.sources.retry_max },
    ),
    Origin::reload(
        "blackout.unconstrained",
        "When proxies with a good line are told no sources.",
        BLACKOUT,
        Kind::Texts {
            range: "such as `08:00-17:00` or `Mon-Fri 22:00-06:00`",
            check: times::check,
            put: |s, v| s.blackout.unconstrained = v,
            get: |s| s.blackout.unconstrained.clone(),
        },
    ),
    Origin::reload(
        "blackout.constrained",
        "When proxies behind a thin line are told no sources.",
        BLACKOUT,
        Kind::Texts {
            range: "likewise",
            check: times::check,
            put: |s, v| s.blackout.constrained = v,
            get: |s| s.blackout.constrained.clone(),
        },
    ),
    Origin::reload(
        "blackout.client",
        "When all other machines are told no sources.",
        BLACKOUT,
        Kind::Texts {
            range: "likewise",
            check: times::check,
            put: |s, v| s.blackout.client = v,
            get: |s| s.blackout.client.clone(),
        },
    ),
    Origin::reload(
        "admission.max_concurrent_info_requests",
        "Questions about sources, files and the catalogue that are answered at once. Each tier has a quarter for certain, and what nobody needs goes to the first that waits.",
        "What is more waits in a queue of its tier, and what finds no place there is answered 503 with the time to come again. Files are not counted.",
        Kind::Count {
            min: 3,
            max: 4096,
            put: |s, v| s.max_concurrent_info_requests = v as usize,
            get: |s| s.max_concurrent_info_requests as u64,
        },
    )
    .flag("max-concurrent-info-requests"),
    Origin::restart(
        "registry.database",
        "File in which it is kept who holds what.",
        "Must not lie in what is published. Without it everybody reports anew.",
        Kind::Path { put: |s, v| s.registry.database = v, get: |s| s.registry.database.clone() },
    ),
    Origin::reload(
        "registry.report_every",
        "How often proxies and agents report what has changed there.",
        "Shorter knows sooner who holds what, and costs a request of each machine each time.",
        Kind::Duration {
            min: SECOND,
            max: DAY,
            put: |s, v| s.registry.report_every = v,
            get: |s| s.registry.report_every,
        },
    ),
    Origin::reload(
        "registry.expiry",
        "Who has not reported for so long counts as away.",
        "Shorter sends nobody to a machine that is off; longer bears reports that are lost.",
        Kind::Duration {
            min: SECOND.saturating_mul(2),
            max: DAY.saturating_mul(7),
            put: |s, v| s.registry.expiry = v,
            get: |s| s.registry.expiry,
        },
    ),
    Origin::restart(
        "enrolment.database",
        "File in which it is kept who has enrolled, and which orders have not ended.",
        "Must not lie in what is published. Only this user should be able to read it. Without it everybody has to enrol anew.",
        Kind::Path { put: |s, v| s.enrolment.database = v, get: |s| s.enrolment.database.clone() },
    ),
    Origin::reload(
        "enrolment.tokens_file",
        "File with the tokens by which proxies and agents enrol, one on each line; none = by no token.",
        "`docs/origin.md` says how its lines look. Only this user should be able to read it. SIGHUP reads it again; who has enrolled stays.",
        Kind::File {
            put: |s, v| s.enrolment.tokens_file = v,
            get: |s| s.enrolment.tokens_file.clone(),
        },
    ),
    Origin::reload(
        "enrolment.required",
        "Whether a proxy or an agent is believed its name only with the credential that it got when it enrolled.",
        "With `false` whoever says a name has it: reports and configurations are then as safe as the network. Files are for everybody either way.",
        Kind::Switch { put: |s, v| s.enrolment.required = v, get: |s| s.enrolment.required },
    ),
    Origin::restart(
        "serve.workers",
        "Threads that serve; `0`: one per core.",
        "More than cores bring nothing: a thread never waits for a disk.",
        Kind::Count {
            min: 0,
            max: 1024,
            put: |s, v| s.serve.workers = v as usize,
            get: |s| s.serve.workers as u64,
        },
    ),
    Origin::restart(
        "serve.connections_max",
        "Connections at once. Each proxy and agent keeps one for the stream of changes.",
        "One more is answered 503 `overloaded` and closed. Each takes a file descriptor.",
        Kind::Count {
            min: 1,
            max: 1_000_000,
            put: |s, v| s.serve.connections_max = v as usize,
            get: |s| s.serve.connections_max as u64,
        },
    ),
    Origin::restart(
        "serve.connections_per_client_max",
        "Connections of one address at once, or of one network of 64 bits where it is IPv6; 0 = no limit of its own.",
        "One more is answered 503 `overloaded`. Many machines may share an address (NAT).",
        Kind::Count {
            min: 0,
            max: 1_000_000,
            put: |s, v| s.serve.connections_per_client_max = v as usize,
            get: |s| s.serve.connections_per_client_max as u64,
        },
    ),
    Origin::restart(
        "serve.drain_timeout",
        "How long what is being sent may take to finish after SIGTERM or SIGINT.",
        "What is not finished by then is cut; clients continue it with a range request after the restart.",
        Kind::Duration {
            min: Duration::ZERO,
            max: HOUR,
            put: |s, v| s.serve.drain_timeout = v,
            get: |s| s.serve.drain_timeout,
        },
    )
    .flag("drain-timeout"),
    Origin::restart(
        "tls.listen",
        "Addresses on which the same is served over TLS (`https://`), besides those of `listen`.",
        "None switches it off. TLS 1.2 and 1.3, HTTP/1.1 and HTTP/2.",
        Kind::Addresses { may_be_none: true, put: |s, v| s.serve.tls.listen = v, get: |s| s.serve.tls.listen.clone() },
    )
    .flag("tls-listen"),
    Origin::reload(
        "tls.certificate",
        "PEM file of the server's certificate, followed by those between it and its root.",
        "SIGHUP reads it again: new connections see the new one, those that are there stay.",
        Kind::File { put: |s, v| s.serve.tls.certificate = v, get: |s| s.serve.tls.certificate.clone() },
    ),
    Origin::reload(
        "tls.key",
        "PEM file of the certificate's private key, without a passphrase.",
        "Only this user should be able to read the file.",
        Kind::File { put: |s, v| s.serve.tls.key = v, get: |s| s.serve.tls.key.clone() },
    ),
    Origin::reload(
        "tls.client_certificates",
        "Whether clients are asked for a certificate (mTLS): `off`, `optional`, `required`.",
        "With `required` who has none is not even served files. Who enrols needs a token all the same.",
        Kind::Word {
            words: &["off", "optional", "required"],
            put: |s, v| s.serve.tls.clients.wanted = [Wanted::Off, Wanted::Optional, Wanted::Required][v],
            get: |s| s.serve.tls.clients.wanted as usize,
        },
    ),
    Origin::reload(
        "tls.client_ca",
        "PEM file of the authorities that sign the certificates of clients.",
        "They need not be those of this server's own certificate. SIGHUP reads it again, and sessions of before are not resumed.",
        Kind::File {
            put: |s, v| s.serve.tls.clients.authorities = v,
            get: |s| s.serve.tls.clients.authorities.clone(),
        },
    ),
    Origin::reload(
        "tls.client_crl",
        "PEM file with lists of revoked certificates of clients, one of each authority.",
        "Who is on a list is refused, and so is who was signed by an authority of which there is no list. SIGHUP reads it again.",
        Kind::File { put: |s, v| s.serve.tls.clients.revoked = v, get: |s| s.serve.tls.clients.revoked.clone() },
    ),
    Origin::restart(
        "access_log.path",
        "File for a line per request, appended to.",
        "A thread of its own writes it. Lines that it cannot write in time are dropped and counted, never waited for.",
        Kind::Output { put: |s, v| s.access_log = v, get: |s| s.access_log.clone() },
    )
    .flag("access-log"),
    Origin::restart(
        "access_log.format",
        "`combined` as Apache and nginx write it, with the seconds at the end, or `json`: an object per line.",
        "`json` lines are longer.",
        Kind::Word {
            words: &["combined", "json"],
            put: |s, v| s.access_log_format = [Format::Combined, Format::Json][v],
            get: |s| s.access_log_format as usize,
        },
    )
    .flag("access-log-format"),
];
