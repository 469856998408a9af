//! Under which URL others of the branch reach this proxy. Pure.
//!
//! | said | listens on | speaks to the origin from | URL |
//! | --- | --- | --- | --- |
//! | a URL | anything | anything | that |
//! | nothing | an address of a network | anything | that address |
//! | nothing | every address | a known one | that one, with the port |
//! | nothing | every address | nobody knows | none |
//! | nothing | this machine only | this machine (the origin is here too) | the loopback address |
//! | nothing | this machine only | a network | none |
//!
//! Plain addresses go before those with TLS, whose certificates seldom name an address.

use std::net::{IpAddr, SocketAddr};

/// Where this proxy listens.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Listening<'a> {
    pub(super) plain: &'a [SocketAddr],
    pub(super) tls: &'a [SocketAddr],
}

/// The URL, with its `/`; `None` if nobody else can reach this proxy, or it is not known how.
pub(super) fn url(said: &str, listening: Listening<'_>, local: Option<IpAddr>) -> Option<String> {
    if !said.is_empty() {
        return Some(format!("{}/", said.trim_end_matches('/')));
    }
    let plain = listening.plain.iter().map(|address| ("http", *address));
    let tls = listening.tls.iter().map(|address| ("https", *address));
    plain.chain(tls).find_map(|(scheme, address)| {
        let ip = reached_at(address.ip(), local)?;
        Some(format!("{scheme}://{}/", SocketAddr::new(ip, address.port())))
    })
}

fn reached_at(listens: IpAddr, local: Option<IpAddr>) -> Option<IpAddr> {
    match listens {
        listens if listens.is_unspecified() => local.filter(|local| listens.is_ipv6() || local.is_ipv4()),
        listens if listens.is_loopback() => local.filter(IpAddr::is_loopback).map(|_| listens),
        listens => Some(listens),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table() {
        for (said, plain, tls, local, expected) in [
            ("https://files.example", "0.0.0.0:8080", "", None, Some("https://files.example/")),
            ("http://a:1/", "", "", None, Some("http://a:1/")),
            ("", "10.7.0.2:8080", "", None, Some("http://10.7.0.2:8080/")),
            ("", "0.0.0.0:8080", "", Some("10.7.0.3"), Some("http://10.7.0.3:8080/")),
            ("", "[::]:8080", "", Some("10.7.0.3"), Some("http://10.7.0.3:8080/")),
            ("", "[::]:8080", "", Some("2001:db8::3"), Some("http://[2001:db8::3]:8080/")),
            ("", "0.0.0.0:8080", "", Some("2001:db8::3"), None),
            ("", "0.0.0.0:8080", "", None, None),
            ("", "127.0.0.1:8080", "", Some("127.0.0.1"), Some("http://127.0.0.1:8080/")),
            ("", "127.0.0.1:8080", "", Some("10.7.0.3"), None),
            ("", "127.0.0.1:8080", "0.0.0.0:8443", Some("10.7.0.3"), Some("https://10.7.0.3:8443/")),
            ("", "0.0.0.0:8080", "0.0.0.0:8443", Some("10.7.0.3"), Some("http://10.7.0.3:8080/")),
        ] {
            let addresses = |text: &str| text.parse::<SocketAddr>().into_iter().collect::<Vec<_>>();
            let (plain, tls) = (addresses(plain), addresses(tls));
            let listening = Listening { plain: &plain, tls: &tls };
            let found = url(said, listening, local.map(|local| local.parse().unwrap()));
            assert_eq!(found.as_deref(), expected, "{said} {plain:?} {tls:?} {local:?}");
        }
    }
}
