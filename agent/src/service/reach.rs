//! Under which URL neighbours reach this machine. Pure.

use std::net::{IpAddr, SocketAddr};

/// What is said; else the address at which it listens, or that speaks to the origin if it listens at all of them. `None`: nobody else reaches it, or it
/// is not known how.
pub(super) fn url(said: &str, listens: SocketAddr, own: Option<IpAddr>) -> Option<String> {
    if !said.is_empty() {
        return Some(format!("{}/", said.trim_end_matches('/')));
    }
    let at = match listens.ip() {
        ip if ip.is_unspecified() => own.filter(|own| ip.is_ipv6() || own.is_ipv4())?,
        ip if ip.is_loopback() => own.filter(IpAddr::is_loopback).map(|_| ip)?,
        ip => ip,
    };
    Some(format!("http://{}/", SocketAddr::new(at, listens.port())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table() {
        for (said, listens, own, expected) in [
            ("https://pc1.example", "0.0.0.0:7778", None, Some("https://pc1.example/")),
            ("", "10.7.0.2:7778", None, Some("http://10.7.0.2:7778/")),
            ("", "0.0.0.0:7778", Some("10.7.0.3"), Some("http://10.7.0.3:7778/")),
            ("", "[::]:7778", Some("2001:db8::3"), Some("http://[2001:db8::3]:7778/")),
            ("", "0.0.0.0:7778", Some("2001:db8::3"), None),
            ("", "0.0.0.0:7778", None, None),
            ("", "127.0.0.1:7778", Some("127.0.0.1"), Some("http://127.0.0.1:7778/")),
            ("", "127.0.0.1:7778", Some("10.7.0.3"), None),
        ] {
            let found = url(said, listens.parse().unwrap(), own.map(|own| own.parse().unwrap()));
            assert_eq!(found.as_deref(), expected, "{said} {listens} {own:?}");
        }
    }
}
