//! The options, each defined once. `docs/config.md`, the flags and the environment's names are made from these two tables, and the example file
//! `config/proxy.toml` is tested against them. Defaults are not repeated here: they are those of [`Settings::default`].

use std::time::Duration;

use cache::options::{NoRoom, RequestersBy};
use os::engine::Choice;
use serve::{
    access_log::Format,
    clients::forwarded::Told,
    head::parse::FIELDS_CEILING,
    options::ProxyHeader,
    tls::{Kernel, clients::Wanted},
};

use crate::{option::Kind, settings::Settings};

mod access;
mod certificate;
mod delivery;
mod kept;
mod origin;
mod preload;
mod shares;
#[cfg(test)]
mod tests;
mod upstream;

pub(crate) use self::{
    certificate::CERTIFICATE,
    upstream::{UPSTREAM, is_name},
};
pub(crate) use crate::option::Setting;

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3600);
const YEAR: Duration = Duration::from_secs(365 * 86_400);

type Proxy = Setting<Settings>;

/// Options of the proxy, in the order of the reference.
pub(crate) static SETTINGS: &[Setting<Settings>] = &[
    Proxy::restart(
        "listen",
        "Addresses on which files are served.",
        "`0.0.0.0` serves every network this machine is in, `127.0.0.1` this machine alone.",
        Kind::Addresses { may_be_none: false, put: |s, v| s.serve.listen = v, get: |s| s.serve.listen.clone() },
    )
    .flag("listen"),
    Proxy::restart(
        "admin",
        "Where the admin interface is: an address, or a Unix socket such as `unix:/run/outpost/admin.sock`. Health, metrics, status, and what the commands ask.",
        "Whoever may ask it can empty the cache and end the program. Another address than a loopback one wants `access.admin_token_file`; a Unix socket is for its user and group.",
        Kind::Admin { put: |s, v| s.admin = v, get: |s| s.admin.clone() },
    )
    .flag("admin"),
    preload::MODE,
    preload::TIME_ZONE,
    Proxy::restart(
        "cache.dir",
        "Directory of the cache. It is made if it is not there, and refused if it holds anything that Outpost did not put there.",
        "One running instance per directory. A disk of its own keeps `max_size` and `min_free` simple.",
        Kind::Path { put: |s, v| s.store.dir = v, get: |s| s.store.dir.clone() },
    )
    .flag("cache-dir"),
    Proxy::reload(
        "cache.max_size",
        "Most bytes that the cache directory takes, everything in it counted.",
        "Objects asked for least are evicted to stay below it. Lowering it evicts at once, in steps.",
        Kind::Limit { put: |s, v| s.store.max_size = v, get: |s| s.store.max_size },
    )
    .flag("max-size"),
    Proxy::reload(
        "cache.min_free",
        "Least bytes that stay free on the cache's disk, whoever fills it.",
        "The cache gives way to other users of the disk: it shrinks when they grow.",
        Kind::Limit { put: |s, v| s.store.min_free = v, get: |s| s.store.min_free },
    )
    .flag("min-free"),
    Proxy::reload(
        "cache.no_room",
        "What becomes of a file that does not fit: `pass` it through uncached, or `refuse` it with 507.",
        "Passing through costs the line to the upstream once per request.",
        Kind::Word {
            words: &["pass", "refuse"],
            put: |s, v| s.cache.no_room = [NoRoom::Pass, NoRoom::Refuse][v],
            get: |s| s.cache.no_room as usize,
        },
    ),
    kept::pin(),
    Proxy::reload(
        "cache.stale_if_error",
        "How long the last good copy may stand in for an upstream that cannot be reached.",
        "`0s` answers 502 or 504 at once when the upstream is away.",
        Kind::Duration {
            min: Duration::ZERO,
            max: YEAR,
            put: |s, v| s.cache.stale_if_error = v,
            get: |s| s.cache.stale_if_error,
        },
    ),
    Proxy::reload(
        "cache.fills_max",
        "Files fetched at once.",
        "A file that would be one more is answered 503 `overloaded`; hits are never refused for it.",
        Kind::Count {
            min: 1,
            max: 65_536,
            put: |s, v| s.cache.fills_max = v as usize,
            get: |s| s.cache.fills_max as u64,
        },
    ),
    Proxy::restart(
        "cache.fill_buffer_max",
        "Bytes of one fetch that may have arrived but are not yet written and hashed.",
        "Times `fills_max` this is the most memory that fetches take. Less slows a fast upstream down.",
        Kind::Size {
            min: 256 << 10,
            max: 1 << 30,
            put: |s, v| s.store.fill_buffer_max = v,
            get: |s| s.store.fill_buffer_max,
        },
    ),
    Proxy::restart(
        "cache.part_age_max",
        "How long an interrupted fetch is kept for continuing it at its byte.",
        "Parts count against `max_size`.",
        Kind::Duration {
            min: SECOND,
            max: YEAR,
            put: |s, v| s.store.part_age_max = v,
            get: |s| s.store.part_age_max,
        },
    ),
    Proxy::restart(
        "cache.quarantine_max",
        "Bytes of fetches with a wrong length or digest that are kept for inspection.",
        "`0` keeps none. They count against `max_size` and are never served.",
        Kind::Size {
            min: 0,
            max: 1 << 50,
            put: |s, v| s.store.quarantine_max = v,
            get: |s| s.store.quarantine_max,
        },
    ),
    kept::history_max(),
    kept::history_clients(),
    Proxy::restart(
        "cache.open_files_max",
        "How many objects' files are kept open, ready to be sent.",
        "More spare an `open` per hit and take file descriptors, of which the system allows a limited number.",
        Kind::Count {
            min: 16,
            max: 1_000_000,
            put: |s, v| s.store.open_files_max = v as usize,
            get: |s| s.store.open_files_max as u64,
        },
    ),
    Proxy::restart(
        "cache.hot_bytes_max",
        "Bytes of memory for small files (at most 16 KiB each) that are asked for often.",
        "`0` keeps none: every hit then reads its file, from the page cache as a rule. Of all files at most `open_files_max` are kept.",
        Kind::Size {
            min: 0,
            max: 1 << 40,
            put: |s, v| s.store.hot_bytes_max = v,
            get: |s| s.store.hot_bytes_max,
        },
    ),
    Proxy::restart(
        "cache.disk_engine",
        "How the disk is written, synced and read ahead: a pool of `threads`, io_uring (`uring`), or `auto`: what measured better, which is threads.",
        "`uring` refuses to start where io_uring is forbidden, as it is in most containers.",
        Kind::Word {
            words: &["auto", "uring", "threads"],
            put: |s, v| s.store.engine = [Choice::Auto, Choice::Uring, Choice::Threads][v],
            get: |s| s.store.engine as usize,
        },
    ),
    preload::schedule("preload.schedule"),
    preload::ready_by("preload.ready_by"),
    preload::include("preload.include"),
    preload::exclude("preload.exclude"),
    preload::priority("preload.priority"),
    preload::concurrency("preload.concurrency"),
    preload::at_close("preload.at_close"),
    preload::relist("preload.relist"),
    Proxy::reload(
        "serve.max_requesters",
        "Transfers of one object to clients at once; `0`: no limit.",
        "One more is answered 503 `max-requesters` with its place in the queue. Bodies of at most 64 KiB take no place.",
        Kind::Count {
            min: 0,
            max: 1_000_000,
            put: |s, v| s.cache.max_requesters = v as usize,
            get: |s| s.cache.max_requesters as u64,
        },
    )
    .flag("max-requesters"),
    Proxy::reload(
        "serve.retry_delay",
        "How long a refused client is asked to wait (`Retry-After`).",
        "Shorter brings more requests that are refused again, longer leaves places empty.",
        Kind::Duration {
            min: SECOND,
            max: Duration::from_secs(86_400),
            put: |s, v| s.cache.retry_delay = v,
            get: |s| s.cache.retry_delay,
        },
    )
    .flag("retry-delay"),
    Proxy::reload(
        "serve.requesters_by",
        "What counts as one requester: a `connection`, or an `address` with all its connections together.",
        "`address` is right for segmented downloaders, and wrong where many machines share one address (NAT).",
        Kind::Word {
            words: &["connection", "address"],
            put: |s, v| s.cache.requesters_by = [RequestersBy::Connection, RequestersBy::Address][v],
            get: |s| s.cache.requesters_by as usize,
        },
    ),
    Proxy::restart(
        "serve.workers",
        "Threads that serve clients; `0`: one per core.",
        "More than cores bring nothing: a thread never waits for a disk or an upstream.",
        Kind::Count {
            min: 0,
            max: 1024,
            put: |s, v| s.serve.workers = v as usize,
            get: |s| s.serve.workers as u64,
        },
    ),
    Proxy::restart(
        "serve.connections_max",
        "Connections of clients at once.",
        "One more is answered 503 `overloaded` and closed. Each takes a file descriptor.",
        Kind::Count {
            min: 1,
            max: 1_000_000,
            put: |s, v| s.serve.connections_max = v as usize,
            get: |s| s.serve.connections_max as u64,
        },
    ),
    Proxy::restart(
        "serve.connections_per_client_max",
        "Connections of one client at once: of its address, or of its network of 64 bits where it is IPv6; 0 = no limit of its own.",
        "One more is answered 503 `overloaded`. Without it one client could take all of `connections_max`. Proxies of `serve.trusted` are not counted.",
        Kind::Count {
            min: 0,
            max: 1_000_000,
            put: |s, v| s.serve.connections_per_client_max = v as usize,
            get: |s| s.serve.connections_per_client_max as u64,
        },
    ),
    Proxy::restart(
        "serve.trusted",
        "Ranges of addresses of proxies and balancers whose word is taken for who their clients are, as the next two options say.",
        "Whoever has such an address can pretend to be anybody: name nothing but machines that you run.",
        Kind::Ranges { put: |s, v| s.serve.clients.trusted = v, get: |s| s.serve.clients.trusted.clone() },
    ),
    Proxy::restart(
        "serve.client_from",
        "Which field of a request from `serve.trusted` names its client: `none`, `x-forwarded-for`, `forwarded` (RFC 7239).",
        "The last address in it that is not of `serve.trusted` is the client: in the access log, for `requesters_by` and `access`. Choose the field \
         that your proxy writes; the other one it may hand on as the client sent it.",
        Kind::Word {
            words: &["none", "x-forwarded-for", "forwarded"],
            put: |s, v| s.serve.clients.told = [Told::No, Told::XForwardedFor, Told::Forwarded][v],
            get: |s| s.serve.clients.told as usize,
        },
    ),
    Proxy::restart(
        "serve.proxy_protocol",
        "Whether connections from `serve.trusted` begin with a header of the PROXY protocol, version 1 or 2, before TLS: `off`, `optional`, `required`.",
        "With `required` one that does not is closed. Connections from elsewhere never do: there such bytes are a malformed request.",
        Kind::Word {
            words: &["off", "optional", "required"],
            put: |s, v| {
                s.serve.clients.proxy_header = [ProxyHeader::Off, ProxyHeader::Optional, ProxyHeader::Required][v];
            },
            get: |s| s.serve.clients.proxy_header as usize,
        },
    ),
    Proxy::restart(
        "serve.head_bytes_max",
        "Bytes of a request's head.",
        "A longer one is answered 431, or 414 if its target is the long part.",
        Kind::Size {
            min: 1 << 10,
            max: 1 << 20,
            put: |s, v| s.serve.head_bytes_max = v as usize,
            get: |s| s.serve.head_bytes_max as u64,
        },
    ),
    Proxy::restart(
        "serve.fields_max",
        "Header fields of a request.",
        "More are answered 431.",
        Kind::Count {
            min: 8,
            max: FIELDS_CEILING as u64,
            put: |s, v| s.serve.fields_max = v as usize,
            get: |s| s.serve.fields_max as u64,
        },
    ),
    Proxy::restart(
        "serve.http2_streams_max",
        "Requests at once on one connection of HTTP/2; `0`: HTTP/2 is not spoken.",
        "More are refused, and clients wait until one ends. It is spoken over TLS with clients that offer it, and in plain with those that begin with it.",
        Kind::Count {
            min: 0,
            max: 10_000,
            put: |s, v| s.serve.http2_streams_max = v as u32,
            get: |s| s.serve.http2_streams_max.into(),
        },
    ),
    Proxy::restart(
        "serve.header_timeout",
        "From the first byte of a request to the end of its head.",
        "Then 408 and a close: a client that trickles its request holds nothing for longer.",
        Kind::Duration {
            min: SECOND,
            max: HOUR,
            put: |s, v| s.serve.header_timeout = v,
            get: |s| s.serve.header_timeout,
        },
    ),
    Proxy::restart(
        "serve.body_max",
        "Bytes of a request's body that is passed on to a web server.",
        "More are answered 413. Nothing of it is kept here: it goes on as it comes.",
        Kind::Size {
            min: 1 << 10,
            max: 1 << 50,
            put: |s, v| s.serve.body_bytes_max = v,
            get: |s| s.serve.body_bytes_max,
        },
    ),
    Proxy::restart(
        "serve.body_timeout",
        "How long a client may send nothing of its request's body.",
        "Then 408 and a close; the request upstream is cut with it.",
        Kind::Duration {
            min: SECOND,
            max: HOUR,
            put: |s, v| s.serve.body_timeout = v,
            get: |s| s.serve.body_timeout,
        },
    ),
    Proxy::restart(
        "serve.idle_timeout",
        "How long a connection without a request is kept.",
        "Longer spares clients a new connection and takes file descriptors.",
        Kind::Duration {
            min: SECOND,
            max: HOUR,
            put: |s, v| s.serve.idle_timeout = v,
            get: |s| s.serve.idle_timeout,
        },
    ),
    Proxy::restart(
        "serve.send_timeout",
        "How long a client may take no byte of its answer.",
        "Then it is cut and its requester place is free again. One that takes something must be as fast as `min_send_rate`.",
        Kind::Duration {
            min: SECOND,
            max: HOUR,
            put: |s, v| s.serve.send_timeout = v,
            get: |s| s.serve.send_timeout,
        },
    ),
    Proxy::restart(
        "serve.min_send_rate",
        "Bytes per second that a client must take of an answer, on average over each `rate_window`; `0` = any rate is good.",
        "A slower one is cut, and its requester place is free again. Only time counts in which there is something for it to take: whoever waits for the upstream is not slow.",
        Kind::Rate { max: 1 << 40, put: |s, v| s.serve.min_send_rate = v, get: |s| s.serve.min_send_rate },
    ),
    Proxy::restart(
        "serve.min_body_rate",
        "Bytes per second that a client must send of a request's body, likewise; `0` = any rate is good.",
        "A slower one gets 408 and is closed.",
        Kind::Rate { max: 1 << 40, put: |s, v| s.serve.min_body_rate = v, get: |s| s.serve.min_body_rate },
    ),
    Proxy::restart(
        "serve.rate_window",
        "The time over which these two rates are averaged.",
        "Clients take bytes in lumps: over a short time a steady reader can look as if it stood still.",
        Kind::Duration {
            min: SECOND,
            max: HOUR,
            put: |s, v| s.serve.rate_window = v,
            get: |s| s.serve.rate_window,
        },
    ),
    shares::RATE,
    shares::RATE_RULES,
    shares::RATE_PER_CLIENT,
    Proxy::restart(
        "serve.drain_timeout",
        "How long what is being sent may take to finish after SIGTERM or SIGINT.",
        "What is not finished by then is cut; clients continue it with a range request after the restart.",
        Kind::Duration {
            min: Duration::ZERO,
            max: HOUR,
            put: |s, v| s.serve.drain_timeout = v,
            get: |s| s.serve.drain_timeout,
        },
    ),
    Proxy::reload(
        "serve.name",
        "This machine's name in the field `Via`.",
        "Give each proxy of a chain a name of its own, so that a loop is recognised and a trace can be read.",
        Kind::Text { range: "1 to 64 letters, digits, `-`, `_`, `.`", check: is_token, put: |s, v| s.cache.via = v, get: |s| s.cache.via.clone() },
    ),
    access::ALLOW,
    access::DENY,
    access::ADMIN_TOKEN_FILE,
    Proxy::restart(
        "tls.listen",
        "Addresses on which files are served over TLS (`https://`), besides those of `listen`.",
        "None switches it off. TLS 1.2 and 1.3, HTTP/1.1 and HTTP/2; a bare HTTP request there is answered 400. Without a certificate a self-signed one is made.",
        Kind::Addresses { may_be_none: true, put: |s, v| s.serve.tls.listen = v, get: |s| s.serve.tls.listen.clone() },
    )
    .flag("tls-listen"),
    Proxy::reload(
        "tls.certificate",
        "PEM file of the server's certificate, followed by those between it and its root.",
        "SIGHUP reads it again: new connections see the new one, those that are there stay. Further ones stand in `[[certificate]]`.",
        Kind::File { put: |s, v| s.serve.tls.certificate = v, get: |s| s.serve.tls.certificate.clone() },
    )
    .flag("tls-certificate"),
    Proxy::reload(
        "tls.key",
        "PEM file of the certificate's private key, without a passphrase.",
        "A key for ECDSA P-256 costs less per new session than one for RSA. Only this user should be able to read the file.",
        Kind::File { put: |s, v| s.serve.tls.key = v, get: |s| s.serve.tls.key.clone() },
    )
    .flag("tls-key"),
    Proxy::reload(
        "tls.state_dir",
        "Directory of the self-signed certificate, which is made where `tls.listen` is given and no certificate is.",
        "It is kept there with its key and used again with the next start. Clients must be given its `certificate.pem`; the start lines tell the fingerprint.",
        Kind::Path { put: |s, v| s.self_signed_dir = v, get: |s| s.self_signed_dir.clone() },
    ),
    Proxy::reload(
        "tls.client_certificates",
        "Whether clients are asked for a certificate (mTLS): `off`, `optional`, `required`.",
        "With `optional` who has none is served all the same; one that does not hold is refused either way.",
        Kind::Word {
            words: &["off", "optional", "required"],
            put: |s, v| s.serve.tls.clients.wanted = [Wanted::Off, Wanted::Optional, Wanted::Required][v],
            get: |s| s.serve.tls.clients.wanted as usize,
        },
    ),
    Proxy::reload(
        "tls.client_ca",
        "PEM file of the authorities that sign the certificates of clients.",
        "They need not be those of this server's own certificate. SIGHUP reads it again, and sessions of before are not resumed.",
        Kind::File {
            put: |s, v| s.serve.tls.clients.authorities = v,
            get: |s| s.serve.tls.clients.authorities.clone(),
        },
    ),
    Proxy::reload(
        "tls.client_crl",
        "PEM file with lists of revoked certificates of clients, one of each authority.",
        "Who is on a list is refused, and so is who was signed by an authority of which there is no list. SIGHUP reads it again.",
        Kind::File { put: |s, v| s.serve.tls.clients.revoked = v, get: |s| s.serve.tls.clients.revoked.clone() },
    ),
    Proxy::restart(
        "tls.redirect",
        "Addresses on which nothing is served, and every request is sent on to `https://` with 308, path and query as they are.",
        "For instance `0.0.0.0:80`, while `listen` stays on loopback. None switches it off.",
        Kind::Addresses { may_be_none: true, put: |s, v| s.serve.tls.redirect = v, get: |s| s.serve.tls.redirect.clone() },
    )
    .flag("tls-redirect"),
    Proxy::restart(
        "tls.redirect_port",
        "Port that `tls.redirect` sends to; 0 = that of the first address of `tls.listen`.",
        "To be given where clients see another port than this machine, such as 443 behind a balancer or in front of a container.",
        Kind::Count {
            min: 0,
            max: 65_535,
            put: |s, v| s.serve.tls.redirect_port = v as u16,
            get: |s| s.serve.tls.redirect_port.into(),
        },
    ),
    Proxy::restart(
        "tls.hsts",
        "For how long browsers that came over TLS are told to come over nothing else (`Strict-Transport-Security`); `0s` = they are not told.",
        "It cannot be taken back before it is over: a browser then refuses the host over plain HTTP, on every port. Begin with little.",
        Kind::Duration {
            min: Duration::ZERO,
            max: Duration::from_secs(2 * 365 * 86_400),
            put: |s, v| s.serve.tls.strict = v,
            get: |s| s.serve.tls.strict,
        },
    ),
    Proxy::restart(
        "tls.handshake_timeout",
        "From a connection's begin to the end of its TLS handshake.",
        "Then it is closed: a client that begins and does not go on holds nothing for longer.",
        Kind::Duration {
            min: SECOND,
            max: HOUR,
            put: |s, v| s.serve.tls.handshake_timeout = v,
            get: |s| s.serve.tls.handshake_timeout,
        },
    ),
    Proxy::restart(
        "tls.kernel",
        "Whether the kernel makes the records (kTLS) where it has the module: `auto`, or `off`.",
        "Bodies leave by `sendfile` then, for TLS 1.3 with AES-GCM. Never tried on a kernel that has it: measure and watch before you rely on it.",
        Kind::Word {
            words: &["off", "auto"],
            put: |s, v| s.serve.tls.kernel = [Kernel::Off, Kernel::Auto][v],
            get: |s| s.serve.tls.kernel as usize,
        },
    ),
    delivery::HOSTS,
    delivery::SCHEME,
    delivery::TOKENS,
    origin::BELONG,
    origin::NAME,
    origin::TOKEN_FILE,
    origin::STATE_DIR,
    origin::ADVERTISE,
    origin::REPORT_EVERY,
    Proxy::restart(
        "access_log.path",
        "File for a line per request, appended to; SIGUSR1 opens it anew after a rotation.",
        "A thread of its own writes it. Lines that it cannot write in time are dropped and counted, never waited for.",
        Kind::Output { put: |s, v| s.access_log = v, get: |s| s.access_log.clone() },
    )
    .flag("access-log"),
    Proxy::restart(
        "access_log.format",
        "`combined` as Apache and nginx write it, with the cache's word and the seconds at the end, or `json`: an object per line.",
        "`json` lines are longer.",
        Kind::Word {
            words: &["combined", "json"],
            put: |s, v| s.access_log_format = [Format::Combined, Format::Json][v],
            get: |s| s.access_log_format as usize,
        },
    )
    .flag("access-log-format"),
];

/// A token (RFC 9110 section 5.6.2), as `Via` wants a pseudonym.
fn is_token(name: &str) -> Result<(), String> {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    if name.is_empty() || name.len() > 64 || !name.bytes().all(fits) {
        return Err(format!("'{name}' cannot stand in Via: write 1 to 64 letters, digits, '-', '_' or '.'"));
    }
    Ok(())
}
