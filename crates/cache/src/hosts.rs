//! Servers that are asked on a client's word: what of that word names a server at all, and which servers may be named. Pure. Whom such a client could
//! make this machine ask is what matters here: nothing is resolved, guessed or repaired.

use std::{
    fmt,
    net::{Ipv4Addr, Ipv6Addr},
    str::FromStr,
};

/// A server in canonical spelling: lower case, with its port where one was given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Host {
    text: String,
    /// A name without a port; no address.
    is_bare_name: bool,
}

/// Which servers are meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Pattern {
    /// This one, with this port or none.
    Exact(Host),
    /// Every name below this one (which begins with a dot), without a port.
    Below(String),
}

/// Text that is no pattern.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "'{0}' names no server: write one such as dl.example.com, 10.0.0.1 or host:8080, or *.example.com for all names below"
)]
pub struct BadPattern(String);

impl Host {
    /// `None` for what is no name and no address. An address must be written in full: there are libraries that take `127.1` or `0x7f000001` for one.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.to_ascii_lowercase();
        let (host, port) = match text.strip_prefix('[') {
            Some(rest) => {
                let (address, port) = rest.split_once(']')?;
                address.parse::<Ipv6Addr>().ok()?;
                (address, port)
            }
            None => {
                let end = text.find(':').unwrap_or(text.len());
                if !is_name(&text[..end]) && text[..end].parse::<Ipv4Addr>().is_err() {
                    return None;
                }
                text.split_at(end)
            }
        };
        let is_port = |port: &str| {
            port.bytes().all(|byte| byte.is_ascii_digit()) && port.parse::<u16>().is_ok_and(|port| port > 0)
        };
        if !port.is_empty() && !port.strip_prefix(':').is_some_and(is_port) {
            return None;
        }
        let is_bare_name = port.is_empty() && is_name(host);
        Some(Self { text, is_bare_name })
    }

    /// As it stands in a URL.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

/// RFC 1123 section 2.1, with `_`, which is in use. Whose last label is a number is none, but an address, or would be taken for one.
fn is_name(text: &str) -> bool {
    let is_label = |label: &str| {
        let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'_');
        (1..=63).contains(&label.len()) && label.bytes().all(fits) && !label.starts_with('-') && !label.ends_with('-')
    };
    let last = text.rsplit('.').next().unwrap_or_default();
    let is_number = last.bytes().all(|byte| byte.is_ascii_digit()) || last.starts_with("0x");
    text.len() <= 253 && text.split('.').all(is_label) && !is_number
}

impl Pattern {
    /// Whether it means this server.
    pub fn means(&self, host: &Host) -> bool {
        match self {
            Self::Exact(known) => known == host,
            Self::Below(suffix) => host.is_bare_name && host.text.len() > suffix.len() && host.text.ends_with(suffix),
        }
    }
}

impl FromStr for Pattern {
    type Err = BadPattern;

    fn from_str(text: &str) -> Result<Self, BadPattern> {
        let bad = || BadPattern(text.into());
        let Some(suffix) = text.strip_prefix('*') else {
            return Host::parse(text).map(Self::Exact).ok_or_else(bad);
        };
        // All of a top-level domain is no list of servers.
        let host = suffix.strip_prefix('.').filter(|below| below.contains('.')).and_then(Host::parse);
        match host.filter(|host| host.is_bare_name) {
            Some(host) => Ok(Self::Below(format!(".{}", host.text))),
            None => Err(bad()),
        }
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(host) => f.write_str(&host.text),
            Self::Below(suffix) => write!(f, "*{suffix}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_names_a_server() {
        for (text, expected) in [
            ("DL.Delivery.example", Some("dl.delivery.example")),
            ("a_b-c.example:8080", Some("a_b-c.example:8080")),
            ("localhost", Some("localhost")),
            ("127.0.0.1", Some("127.0.0.1")),
            ("[::1]:80", Some("[::1]:80")),
            ("127.1", None),
            ("2130706433", None),
            ("0x7f000001", None),
            ("0177.0.0.1", None),
            ("1.2.3.4.5", None),
            ("a.0x1", None),
            ("::1", None),
            ("[::1", None),
            ("[::1]x", None),
            ("[fe80::1%25eth0]", None),
            ("", None),
            (".", None),
            ("a.", None),
            (".a", None),
            ("a..b", None),
            ("-a.b", None),
            ("user@a.b", None),
            ("a.b/c", None),
            ("a.b?c", None),
            ("a.b#c", None),
            ("a b", None),
            ("a\u{e9}.b", None),
            ("a.b:", None),
            ("a.b:0", None),
            ("a.b:65536", None),
            ("a.b:+80", None),
            ("a.b:80:80", None),
        ] {
            assert_eq!(Host::parse(text).as_ref().map(Host::as_str), expected, "{text}");
        }
    }

    #[test]
    fn who_may_be_asked() {
        for (pattern, host, expected) in [
            ("dl.example.com", "DL.example.com", true),
            ("dl.example.com", "dl.example.com:80", false),
            ("dl.example.com", "x.dl.example.com", false),
            ("dl.example.com:8080", "dl.example.com:8080", true),
            ("dl.example.com:8080", "dl.example.com", false),
            ("*.Example.com", "a.example.com", true),
            ("*.example.com", "a.b.example.com", true),
            ("*.example.com", "example.com", false),
            ("*.example.com", "evilexample.com", false),
            ("*.example.com", "a.example.com:81", false),
            ("*.example.com", "a.example.com.evil", false),
            ("10.0.0.1", "10.0.0.1", true),
            ("*.example.com", "10.0.0.1", false),
            ("[::1]", "[::1]", true),
        ] {
            let pattern: Pattern = pattern.parse().unwrap();
            assert_eq!(pattern.means(&Host::parse(host).unwrap()), expected, "{pattern} {host}");
        }
        for text in
            ["*", "*.", "*.com", "*example.com", "*.example.com:80", "*.10.0.0.1", "a.*.b", "http://a.b", "a.b/"]
        {
            assert!(text.parse::<Pattern>().is_err(), "{text}");
        }
    }
}
