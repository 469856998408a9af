//! The address of a client as proxies in between tell it: the last one in their list that is no proxy of ours. Each proxy appends whom it was asked
//! by, so what stands further to the left was written by somebody whom nobody vouches for.

use std::net::{IpAddr, SocketAddr};

use super::ranges::Ranges;
use crate::request::Fields;

/// Which field is believed. Never two: a proxy that writes one may hand on the other as the client sent it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Told {
    /// None: a client is who connects.
    #[default]
    No,
    /// `X-Forwarded-For`
    XForwardedFor,
    /// `Forwarded` (RFC 7239)
    Forwarded,
}

/// The client of a request that came from `peer`.
pub(crate) fn client(told: Told, trusted: &Ranges, peer: IpAddr, fields: &Fields<'_>) -> IpAddr {
    if told == Told::No || !trusted.contains(peer) {
        return peer;
    }
    let mut hops = Vec::new();
    match told {
        Told::XForwardedFor => fields.all("x-forwarded-for").for_each(|value| list_plain(value, &mut hops)),
        Told::Forwarded | Told::No => fields.all("forwarded").for_each(|value| list_pairs(value, &mut hops)),
    }
    last_untrusted(trusted, peer, &hops)
}

/// From the right: as long as each was vouched for by the one before. Who is not named cannot vouch for anybody.
fn last_untrusted(trusted: &Ranges, peer: IpAddr, hops: &[Option<IpAddr>]) -> IpAddr {
    let mut client = peer;
    for hop in hops.iter().rev() {
        let Some(hop) = hop else { return client };
        client = *hop;
        if !trusted.contains(client) {
            return client;
        }
    }
    client
}

/// `ADDRESS, ADDRESS`
fn list_plain(value: &[u8], hops: &mut Vec<Option<IpAddr>>) {
    hops.extend(value.split(|byte| *byte == b',').map(|hop| address(hop.trim_ascii())));
}

/// `for=ADDRESS;by=..., for="ADDRESS"`. A comma within quotes, which no address has, ends an element as well: a quote that a client leaves open
/// must not swallow what is written behind it.
fn list_pairs(value: &[u8], hops: &mut Vec<Option<IpAddr>>) {
    hops.extend(value.split(|byte| *byte == b',').map(element));
}

/// Whom one element is for, if it is one and says so once.
fn element(text: &[u8]) -> Option<IpAddr> {
    let (mut hop, mut rest) = (None, text);
    loop {
        rest = rest.trim_ascii_start();
        let name_len = rest.iter().take_while(|byte| is_token(**byte)).count();
        let (name, behind) = rest.split_at(name_len);
        let (value, behind) = value(behind.strip_prefix(b"=").filter(|_| name_len > 0)?)?;
        // Twice would be two answers to one question.
        if name.eq_ignore_ascii_case(b"for") && hop.replace(address(&value)).is_some() {
            return None;
        }
        match behind.trim_ascii_start() {
            [b';', behind @ ..] => rest = behind,
            [] => return hop.flatten(),
            _ => return None,
        }
    }
}

/// A token or a quoted string, and what follows it.
fn value(text: &[u8]) -> Option<(Vec<u8>, &[u8])> {
    let Some(quoted) = text.strip_prefix(b"\"") else {
        let (token, rest) = text.split_at(text.iter().take_while(|byte| is_token(**byte)).count());
        return (!token.is_empty()).then(|| (token.to_vec(), rest));
    };
    let (mut value, mut bytes) = (Vec::new(), quoted);
    loop {
        match bytes {
            [b'"', rest @ ..] => return Some((value, rest)),
            [b'\\', byte, rest @ ..] | [byte, rest @ ..] => {
                value.push(*byte);
                bytes = rest;
            }
            [] => return None,
        }
    }
}

fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// An address, with or without a port; an IPv6 address with or without brackets. Not a name, `unknown` or `_hidden`.
fn address(text: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(text).ok()?;
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']'));
    let address = match bare {
        Some(bare) => bare.parse().map(IpAddr::V6).ok(),
        None => text.parse().ok().or_else(|| text.parse::<SocketAddr>().ok().map(|with_port| with_port.ip())),
    };
    address.map(|address| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn trusted() -> Ranges {
        Ranges::new(["10.0.0.0/8", "2001:db8::/32"].map(|range| range.parse().unwrap()).to_vec())
    }

    fn found(told: Told, peer: &str, lines: &[(&str, &[u8])]) -> String {
        let raw: Vec<_> = lines.iter().map(|(name, value)| httparse::Header { name, value }).collect();
        client(told, &trusted(), peer.parse().unwrap(), &Fields::new(&raw)).to_string()
    }

    #[test]
    fn the_rightmost_that_is_not_ours_is_the_client() {
        for (value, expected) in [
            ("", "10.0.0.1"),
            ("192.0.2.1", "192.0.2.1"),
            ("198.51.100.1, 192.0.2.1", "192.0.2.1"),
            ("192.0.2.1, 10.0.0.2", "192.0.2.1"),
            ("6.6.6.6, 192.0.2.1,10.0.0.2 , 10.0.0.3", "192.0.2.1"),
            ("10.0.0.9, 10.0.0.2", "10.0.0.9"),
            ("192.0.2.1:4711", "192.0.2.1"),
            ("[2001:db9::1]:4711", "2001:db9::1"),
            ("[2001:db9::1]", "2001:db9::1"),
            ("2001:db9::1", "2001:db9::1"),
            ("192.0.2.1, 2001:db8::2", "192.0.2.1"),
            ("::ffff:192.0.2.1", "192.0.2.1"),
            ("192.0.2.1, unknown", "10.0.0.1"),
            ("192.0.2.1, unknown, 10.0.0.2", "10.0.0.2"),
            ("192.0.2.1,", "10.0.0.1"),
            ("[192.0.2.1]", "10.0.0.1"),
            ("192.0.2.1:x", "10.0.0.1"),
            ("localhost", "10.0.0.1"),
            ("192.0.2.1\t", "192.0.2.1"),
        ] {
            let lines: &[(&str, &[u8])] = &[("X-Forwarded-For", value.as_bytes())];
            assert_eq!(found(Told::XForwardedFor, "10.0.0.1", lines), expected, "{value}");
            // Who is not trusted speaks for nobody.
            assert_eq!(found(Told::XForwardedFor, "203.0.113.5", lines), "203.0.113.5", "{value}");
            assert_eq!(found(Told::No, "10.0.0.1", lines), "10.0.0.1", "{value}");
            assert_eq!(found(Told::Forwarded, "10.0.0.1", lines), "10.0.0.1", "{value}");
        }
        let lines: &[(&str, &[u8])] = &[("X-Forwarded-For", b"192.0.2.1"), ("x-forwarded-for", b"192.0.2.2, 10.0.0.2")];
        assert_eq!(found(Told::XForwardedFor, "10.0.0.1", lines), "192.0.2.2");
    }

    #[test]
    fn the_same_of_rfc_7239() {
        for (value, expected) in [
            ("for=192.0.2.1", "192.0.2.1"),
            ("For=\"192.0.2.1:4711\";proto=https;by=10.0.0.1", "192.0.2.1"),
            ("for=\"[2001:db9::1]:4711\"", "2001:db9::1"),
            ("for=198.51.100.1, for=192.0.2.1;by=10.0.0.1 , for=10.0.0.7", "192.0.2.1"),
            ("for=\"a, for=6.6.6.6\", for=10.0.0.7", "10.0.0.7"),
            ("by=\"x\\\", for=6.6.6.6\";for=192.0.2.1", "10.0.0.1"),
            ("by=\"x\\\"y\";for=192.0.2.1", "192.0.2.1"),
            ("for=\", for=192.0.2.1", "192.0.2.1"),
            ("for=6.6.6.6, for=unknown", "10.0.0.1"),
            ("for=6.6.6.6, for=_hidden", "10.0.0.1"),
            ("for=6.6.6.6, by=10.0.0.1", "10.0.0.1"),
            ("for=192.0.2.1;for=6.6.6.6", "10.0.0.1"),
            ("for=192.0.2.1; =x", "10.0.0.1"),
            ("for=\"192.0.2.1", "10.0.0.1"),
            ("192.0.2.1", "10.0.0.1"),
            ("for 192.0.2.1", "10.0.0.1"),
            ("for=192.0.2.1,", "10.0.0.1"),
            ("", "10.0.0.1"),
        ] {
            let lines: &[(&str, &[u8])] = &[("Forwarded", value.as_bytes())];
            assert_eq!(found(Told::Forwarded, "10.0.0.1", lines), expected, "{value}");
        }
    }

    proptest! {
        #[test]
        fn what_a_client_writes_to_the_left_changes_nothing(forged in "[ -~]{0,40}") {
            let value = format!("{forged}, 192.0.2.1, 10.0.0.2");
            prop_assert_eq!(found(Told::XForwardedFor, "10.0.0.1", &[("x-forwarded-for", value.as_bytes())]), "192.0.2.1");
            prop_assert_eq!(found(Told::Forwarded, "10.0.0.1", &[("forwarded", format!("{forged}, for=192.0.2.1, for=10.0.0.2").as_bytes())]), "192.0.2.1");
        }

        #[test]
        fn no_bytes_panic(bytes: Vec<u8>) {
            found(Told::XForwardedFor, "10.0.0.1", &[("x-forwarded-for", &bytes)]);
            found(Told::Forwarded, "10.0.0.1", &[("forwarded", &bytes)]);
        }
    }
}
