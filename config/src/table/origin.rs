//! `[origin]`: to which origin this proxy belongs, and as whom.

use std::time::Duration;

use super::{Kind, Proxy};
use crate::belonging::BelongsTo;

const DAY: Duration = Duration::from_secs(86_400);
/// Bytes of a URL.
const URL_MAX: usize = 255;

pub(super) const BELONG: Proxy = Proxy::reload(
    "origin.belong",
    "To which origin this proxy belongs: `auto` is that of the first upstream that is an Outpost, `none` to none, else the name of an upstream.",
    "It tells that origin what it holds and how it is, takes its configuration and orders from it, and reports on them (`docs/belonging.md`). An upstream that \
     has no such interface, such as a parent proxy, is left alone.",
    Kind::Text {
        range: "`auto`, `none`, or the name of an upstream",
        check: super::upstream::is_name,
        put: |s, v| s.belonging.to = BelongsTo::of(&v),
        get: |s| s.belonging.to.text(),
    },
);

pub(super) const NAME: Proxy = Proxy::reload(
    "origin.name",
    "This proxy's name at its origin, unlike all others; `\"\"` is the name of this machine.",
    "It is what the origin's configuration calls it. Another name is another proxy: it enrols again.",
    Kind::Text {
        range: "1 to 64 letters, digits, `-`, `_`, `.`, or `\"\"`",
        check: |text| if text.is_empty() { Ok(()) } else { super::upstream::is_name(text) },
        put: |s, v| s.belonging.name = v,
        get: |s| s.belonging.name.clone(),
    },
);

pub(super) const TOKEN_FILE: Proxy = Proxy::reload(
    "origin.token_file",
    "File with the token by which this proxy enrols at its origin; none = it does not enrol, and says its name only.",
    "Needed once: what it is given in exchange is kept in `origin.state_dir`. With the token still there it can enrol again when the origin has forgotten it.",
    Kind::File { put: |s, v| s.belonging.token_file = v, get: |s| s.belonging.token_file.clone() },
);

pub(super) const STATE_DIR: Proxy = Proxy::restart(
    "origin.state_dir",
    "Directory of what the origin gave to this proxy: its credential, and the last configuration, with which it starts when no origin can be reached.",
    "It is made when there is something to keep. Not in the cache's directory, nor in a share. Who reads the credential can pass for this proxy.",
    Kind::Path { put: |s, v| s.belonging.state_dir = v, get: |s| s.belonging.state_dir.clone() },
);

pub(super) const ADVERTISE: Proxy = Proxy::reload(
    "origin.advertise",
    "URL under which others of the branch reach this proxy, such as `http://10.7.0.2:8080/`; `\"\"` = found out from `listen` and from the address that speaks to the origin.",
    "The origin names it to those who ask where a file is. Say it where others come by a name, by another address, or over `https://`.",
    Kind::Text {
        range: "`http(s)://HOST:PORT/`, or `\"\"`",
        check: is_url,
        put: |s, v| s.belonging.advertise = v,
        get: |s| s.belonging.advertise.clone(),
    },
);

pub(super) const REPORT_EVERY: Proxy = Proxy::reload(
    "origin.report_every",
    "Between two reports to the origin; `0s` = as the origin says.",
    "What others wait for (a content came, an order ended) is told within a second all the same. Longer than the origin expects, and it counts this proxy as away.",
    Kind::Duration {
        min: Duration::ZERO,
        max: DAY,
        put: |s, v| s.belonging.report_every = v,
        get: |s| s.belonging.report_every,
    },
);

fn is_url(text: &str) -> Result<(), String> {
    let refuse = || Err(format!("'{text}' is no URL under which a proxy is reached; write http://HOST:PORT/"));
    let Some(rest) = text.strip_prefix("http://").or_else(|| text.strip_prefix("https://")) else {
        return if text.is_empty() { Ok(()) } else { refuse() };
    };
    let host = rest.strip_suffix('/').unwrap_or(rest);
    let is_plain = host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._:[]".contains(&byte));
    if host.is_empty() || !is_plain || text.len() > URL_MAX { refuse() } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_advertised_is_a_url() {
        for (text, good) in [
            ("", true),
            ("http://10.7.0.2:8080/", true),
            ("https://files.branch7.example", true),
            ("http://[2001:db8::1]:8080/", true),
            ("10.7.0.2:8080", false),
            ("http://", false),
            ("http:///", false),
            ("ftp://a/", false),
            ("http://a/b", false),
            ("http://a b/", false),
            ("http://user@a/", false),
        ] {
            assert_eq!(is_url(text).is_ok(), good, "{text}");
        }
    }
}
