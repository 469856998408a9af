//! What a cache is made with.

use std::{
    ffi::OsStr,
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
    time::Duration,
};

use protocol::glob::Globs;

use crate::{fetch::account::CLIENTS_MAX, hosts::Pattern};

pub mod line;
mod preload;

pub use line::{Background, LineOptions};
pub use preload::{AtClose, Mode, PreloadOptions, ReadyBy, Schedule};

/// Most that [`Options::history_clients`] can be.
pub const HISTORY_CLIENTS_MAX: usize = CLIENTS_MAX;

/// Options of the read-through side, typed and checked by `config`.
#[derive(Clone, Debug)]
pub struct Options {
    /// At least one; the longest matching mount wins.
    pub upstreams: Vec<UpstreamOptions>,
    /// Transfers of one object at once; 0: no limit. More: 503 `max-requesters`.
    pub max_requesters: usize,
    /// `Retry-After` of a refusal.
    pub retry_delay: Duration,
    /// What counts as a requester.
    pub requesters_by: RequestersBy,
    /// Fills at once; more: 503 `overloaded`.
    pub fills_max: usize,
    /// What to do with a file that does not fit.
    pub no_room: NoRoom,
    /// How long a last good copy may stand in for an upstream that cannot be reached.
    pub stale_if_error: Duration,
    /// This machine's name in `Via`.
    pub via: String,
    /// Servers that clients may name themselves.
    pub delivery: DeliveryOptions,
    /// What is never evicted, by the paths that clients ask for.
    pub pin: Globs,
    /// Clients named in what is written down of each fetch.
    pub history_clients: usize,
}

/// The form in which Windows Delivery Optimization asks a cache host: `/path?cacheHostOrigin=HOST`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeliveryOptions {
    /// Which; none: the form means nothing.
    pub hosts: Vec<Pattern>,
    /// Whether they are asked over TLS.
    pub is_https: bool,
    /// Parameters of the query that are sent and take no part in the name of a file.
    pub tokens: Vec<String>,
    /// How their files come into the cache.
    pub mode: Mode,
}

impl Default for DeliveryOptions {
    /// No server; the tokens are those of Microsoft's.
    fn default() -> Self {
        Self {
            hosts: Vec::new(),
            is_https: false,
            tokens: ["P1", "P2", "P3", "P4"].map(str::to_owned).to_vec(),
            mode: Mode::default(),
        }
    }
}

/// One upstream and where it is mounted.
#[derive(Clone, Debug, PartialEq)]
pub struct UpstreamOptions {
    /// For people, logs and metrics; also part of the key under which names are kept.
    pub name: String,
    /// Prefix such as `/` or `/prod`; empty for one that is mounted nowhere.
    pub mount: String,
    /// Which kind, and where.
    pub location: Location,
    /// Further servers that have the same files at the same paths, of the same kind: asked when those before them fail.
    pub origins: Vec<Location>,
    /// Whether an Outpost's word that nothing has changed stands in for questions.
    pub follow: bool,
    /// How its files come into the cache.
    pub mode: Mode,
    /// Which of them beforehand, and when.
    pub preload: PreloadOptions,
    /// How much of the line it may have, and for whom.
    pub line: LineOptions,
    /// PEM file of the authorities whose certificates are believed over TLS; `None`: those that the operating system trusts.
    pub authorities: Option<PathBuf>,
    /// PEM file of the certificate that is shown to the upstream, if it asks for one.
    pub certificate: Option<PathBuf>,
    /// PEM file of its private key.
    pub key: Option<PathBuf>,
    /// To connect, TLS included.
    pub connect_timeout: Duration,
    /// To the head of an answer, and between two pieces of its body.
    pub read_timeout: Duration,
    /// Tries of one fill that make no progress before it is given up.
    pub retries_max: u32,
    /// Wait before the first retry; doubles with jitter.
    pub retry_backoff: Duration,
    /// Longest such wait.
    pub retry_backoff_max: Duration,
    /// How long a name is believed before it is looked at again (directory: 1 s; Outpost: 5 s; `http`: 2 min, and only
    /// for an answer that says nothing by which RFC 9111 could tell its freshness).
    pub recheck: Duration,
}

/// Where an upstream is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Location {
    /// A directory: local disk, or a mounted share.
    Directory(PathBuf),
    /// A web server: `http://` or `https://`.
    Http(String),
    /// An Outpost origin or proxy, as `http://` or `https://` (without `outpost+`).
    Outpost(String),
}

impl Location {
    /// Whether TLS is spoken with it.
    pub fn is_tls(&self) -> bool {
        match self {
            Self::Directory(_) => false,
            Self::Http(url) | Self::Outpost(url) => url.starts_with("https:"),
        }
    }
}

/// Text that is no upstream.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "'{text}' is not an upstream: {reason}; write a directory (/srv/share), http://HOST/, https://HOST/ or outpost+http://HOST:8090/"
)]
pub struct BadLocation {
    /// As written.
    text: String,
    /// What is wrong.
    reason: String,
}

/// What counts as a requester.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RequestersBy {
    /// Each connection (default).
    #[default]
    Connection,
    /// All connections of one address together.
    Address,
}

/// What becomes of a file that does not fit in the cache.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum NoRoom {
    /// It is passed through, uncached.
    #[default]
    Pass,
    /// 507.
    Refuse,
}

impl std::str::FromStr for Location {
    type Err = BadLocation;

    fn from_str(text: &str) -> Result<Self, BadLocation> {
        let bad = |reason: &str| BadLocation { text: text.into(), reason: reason.into() };
        let Some((scheme, rest)) = text.split_once("://") else {
            return match text {
                "" => Err(bad("it is empty")),
                _ if text.contains('\0') => Err(bad("it has a NUL byte")),
                _ => Ok(Self::Directory(PathBuf::from(text))),
            };
        };
        match scheme {
            "file" => file_path(rest).map(Self::Directory).map_err(|reason| bad(&reason)),
            "http" | "https" => {
                check_url(text).map_err(|reason| bad(&reason))?;
                Ok(Self::Http(text.into()))
            }
            "outpost+http" | "outpost+https" => {
                let url = text.trim_start_matches("outpost+");
                check_url(url).map_err(|reason| bad(&reason))?;
                Ok(Self::Outpost(url.into()))
            }
            _ => Err(bad(&format!("'{scheme}://' is not a known scheme"))),
        }
    }
}

/// The path of `file://` after the scheme: `/srv/share`, or `localhost/srv/share`; percent-encoded like every URL.
fn file_path(rest: &str) -> Result<PathBuf, String> {
    let path = rest.strip_prefix("localhost").unwrap_or(rest);
    if !path.starts_with('/') {
        return Err("a file URL names no other host: file:///srv/share".into());
    }
    let target = protocol::target::Target::parse(path.as_bytes()).map_err(|error| error.to_string())?;
    let decoded = target.decode().map_err(|error| error.to_string())?;
    Ok(Path::new("/").join(OsStr::from_bytes(&decoded)))
}

fn check_url(url: &str) -> Result<(), String> {
    let uri: http::Uri = url.parse().map_err(|error| format!("it is not a URL ({error})"))?;
    let authority = uri.authority().ok_or("it names no host")?;
    if authority.host().is_empty() {
        return Err("it names no host".into());
    }
    if authority.as_str().contains('@') {
        return Err("a user name in the URL is not supported".into());
    }
    if uri.query().is_some() || url.contains('#') {
        return Err("it has a query or a fragment".into());
    }
    Ok(())
}

impl std::fmt::Display for Location {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Directory(path) => write!(f, "{}", path.display()),
            Self::Http(url) => f.write_str(url),
            Self::Outpost(url) => write!(f, "outpost+{url}"),
        }
    }
}

impl UpstreamOptions {
    /// The defaults for a location.
    pub fn new(name: impl Into<String>, mount: impl Into<String>, location: Location) -> Self {
        let recheck = match location {
            Location::Directory(_) => Duration::from_secs(1),
            Location::Http(_) => Duration::from_secs(120),
            Location::Outpost(_) => Duration::from_secs(5),
        };
        Self {
            name: name.into(),
            mount: mount.into(),
            location,
            origins: Vec::new(),
            follow: true,
            mode: Mode::default(),
            preload: PreloadOptions::default(),
            line: LineOptions::default(),
            authorities: None,
            certificate: None,
            key: None,
            connect_timeout: Duration::from_secs(5),
            read_timeout: Duration::from_secs(30),
            retries_max: 8,
            retry_backoff: Duration::from_millis(250),
            retry_backoff_max: Duration::from_secs(10),
            recheck,
        }
    }
}

impl Options {
    /// The name in `Via` of a server that was given none.
    pub const VIA: &str = "outpost";

    /// The defaults for some upstreams.
    pub fn new(upstreams: Vec<UpstreamOptions>) -> Self {
        Self {
            upstreams,
            max_requesters: 5,
            retry_delay: Duration::from_secs(90),
            requesters_by: RequestersBy::Connection,
            fills_max: 256,
            no_room: NoRoom::Pass,
            stale_if_error: Duration::from_secs(7 * 86_400),
            via: Self::VIA.into(),
            delivery: DeliveryOptions::default(),
            pin: Globs::default(),
            history_clients: 4,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn locations_are_told_by_their_scheme() {
        let directory = |path: &str| Ok(Location::Directory(path.into()));
        for (text, expected) in [
            ("/srv/share", directory("/srv/share")),
            ("./share", directory("./share")),
            ("file:///srv/a%20share", directory("/srv/a share")),
            ("file://localhost/srv", directory("/srv")),
            ("http://mirror/debian/", Ok(Location::Http("http://mirror/debian/".into()))),
            ("https://mirror:8443", Ok(Location::Http("https://mirror:8443".into()))),
            ("outpost+http://hq:8090/", Ok(Location::Outpost("http://hq:8090/".into()))),
            ("outpost+https://hq/", Ok(Location::Outpost("https://hq/".into()))),
            ("", Err("empty")),
            ("ftp://host/", Err("scheme")),
            ("file://host/srv", Err("no other host")),
            ("http://", Err("not a URL")),
            ("http://user@host/", Err("user name")),
            ("http://host/?a=b", Err("query")),
        ] {
            match (text.parse::<Location>(), expected) {
                (Ok(found), Ok(expected)) => assert_eq!(found, expected, "{text}"),
                (Err(error), Err(reason)) => assert!(error.to_string().contains(reason), "{text}: {error}"),
                (found, expected) => panic!("{text}: {found:?}, not {expected:?}"),
            }
        }
    }

    #[test]
    fn a_location_is_shown_as_it_is_written() {
        for text in ["/srv/share", "http://mirror/debian/", "outpost+https://hq:8090/"] {
            assert_eq!(text.parse::<Location>().unwrap().to_string(), text);
        }
    }
}
