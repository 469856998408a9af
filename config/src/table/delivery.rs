//! `[delivery]`: servers that clients name themselves.

use cache::hosts::Pattern;

use super::{Kind, Proxy};

pub(super) const HOSTS: Proxy = Proxy::reload(
    "delivery.hosts",
    "Servers that clients may name themselves, as Windows Delivery Optimization does: `/PATH?cacheHostOrigin=HOST`.",
    "Such a request stands for `http://HOST/PATH`, and others are answered 403. None switches it off. Allow only servers that everybody here \
         may read: the address that a name stands for is not looked at.",
    Kind::Texts {
        range: "`dl.example.com`, `*.example.com` for all names below, an address or a port only as written here",
        check: |text| text.parse::<Pattern>().map(|_| ()).map_err(|bad| bad.to_string()),
        put: |s, v| s.cache.delivery.hosts = v.iter().filter_map(|text| text.parse().ok()).collect(),
        get: |s| s.cache.delivery.hosts.iter().map(ToString::to_string).collect(),
    },
);

pub(super) const SCHEME: Proxy = Proxy::reload(
    "delivery.scheme",
    "How they are asked: `http`, or `https`.",
    "Clients check what they get of Windows by its hash, so that `http` is what Microsoft's own cache uses.",
    Kind::Word {
        words: &["http", "https"],
        put: |s, v| s.cache.delivery.is_https = v == 1,
        get: |s| usize::from(s.cache.delivery.is_https),
    },
);

pub(super) const TOKENS: Proxy = Proxy::reload(
    "delivery.tokens",
    "Parameters of the query that are sent to them and take no part in the name of a file.",
    "Without, every new signature of the same file is a name of its own, and fetched again from the first byte (kept once all the same). With them, a file \
         that is here is given to clients whatever their signature is.",
    Kind::Texts {
        range: "names of parameters",
        check: is_parameter,
        put: |s, v| s.cache.delivery.tokens = v,
        get: |s| s.cache.delivery.tokens.clone(),
    },
);

/// The name of a parameter, which is compared as it stands in a query.
fn is_parameter(name: &str) -> Result<(), String> {
    if name.is_empty()
        || name.len() > 64
        || !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte))
    {
        return Err(format!(
            "'{name}' is not the name of a parameter: write 1 to 64 letters, digits, '-', '.', '_' or '~'"
        ));
    }
    Ok(())
}
