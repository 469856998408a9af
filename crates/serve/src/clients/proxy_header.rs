//! The header of the PROXY protocol, by which a balancer tells for whom it connects, before TLS and before the first request. Both versions, strictly:
//! what a lax reader would take for a client's address could be anybody's.
//!
//! <https://www.haproxy.org/download/3.0/doc/proxy-protocol.txt>, sections 2.1 and 2.2.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// What version 1 begins with.
const TEXT: &[u8] = b"PROXY ";
/// The longest header of version 1, its line's end included.
const TEXT_BYTES_MAX: usize = 107;
/// What version 2 begins with.
const BINARY: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";
/// What follows it: version and command, family and transport, length of the rest.
const BINARY_HEAD: usize = BINARY.len() + 4;
/// Of the rest; addresses take at most 216 bytes, what is said besides them is passed over.
const BINARY_REST_MAX: usize = 2048;

/// So many bytes are enough to know all of a header.
pub(crate) const BYTES_MAX: usize = BINARY_HEAD + BINARY_REST_MAX;

/// What a connection begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Header {
    /// It may be a header, of which more is to come.
    Partial,
    /// No header.
    Nothing,
    /// A header that cannot be understood.
    Malformed,
    /// A header of so many bytes, and the client that it names: none where the balancer speaks for itself.
    Whole(usize, Option<SocketAddr>),
}

/// Reads the first bytes of a connection.
pub(crate) fn read(bytes: &[u8]) -> Header {
    if begins(bytes, TEXT) {
        read_text(bytes)
    } else if begins(bytes, BINARY) {
        read_binary(bytes)
    } else {
        Header::Nothing
    }
}

/// Whether as many as there are are those of `start`.
fn begins(bytes: &[u8], start: &[u8]) -> bool {
    let len = bytes.len().min(start.len());
    bytes[..len] == start[..len]
}

fn read_text(bytes: &[u8]) -> Header {
    let Some(end) = bytes.iter().take(TEXT_BYTES_MAX).position(|byte| *byte == b'\n') else {
        return if bytes.len() < TEXT_BYTES_MAX { Header::Partial } else { Header::Malformed };
    };
    let line = bytes[..end].strip_suffix(b"\r").and_then(|line| std::str::from_utf8(line).ok());
    let Some(line) = line.and_then(|line| line.strip_prefix("PROXY ")) else { return Header::Malformed };
    // What stands behind it is passed over, as the protocol says.
    if line == "UNKNOWN" || line.starts_with("UNKNOWN ") {
        return Header::Whole(end + 1, None);
    }
    match source(line) {
        Some(client) => Header::Whole(end + 1, Some(client)),
        None => Header::Malformed,
    }
}

/// Of `TCP4 FROM TO PORT PORT` or `TCP6 ...`.
fn source(line: &str) -> Option<SocketAddr> {
    let mut words = line.split(' ');
    let mut next = || words.next();
    let address: fn(&str) -> Option<IpAddr> = match next()? {
        "TCP4" => |text| text.parse::<Ipv4Addr>().ok().map(IpAddr::V4),
        "TCP6" => |text| text.parse::<Ipv6Addr>().ok().map(IpAddr::V6),
        _ => return None,
    };
    let (from, _to) = (address(next()?)?, address(next()?)?);
    let (port, _to) = (port(next()?)?, port(next()?)?);
    next().is_none().then_some(SocketAddr::new(from, port))
}

/// Decimal digits without zeros before them.
fn port(text: &str) -> Option<u16> {
    let plain = text.bytes().all(|byte| byte.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    text.parse().ok().filter(|_| plain)
}

fn read_binary(bytes: &[u8]) -> Header {
    let Some(head) = bytes.get(BINARY.len()..BINARY_HEAD) else { return Header::Partial };
    let rest_len = usize::from(u16::from_be_bytes([head[2], head[3]]));
    let (is_local, family) = match (head[0], head[1]) {
        (0x20, _) => (true, 0),
        (0x21, family) => (false, family),
        _ => return Header::Malformed,
    };
    let addresses_len = match family {
        // Nobody, or somebody without an Internet address.
        0x00 => 0,
        0x11 | 0x12 => 12,
        0x21 | 0x22 => 36,
        0x31 | 0x32 => 216,
        _ => return Header::Malformed,
    };
    if rest_len > BINARY_REST_MAX || rest_len < addresses_len {
        return Header::Malformed;
    }
    let Some(rest) = bytes.get(BINARY_HEAD..BINARY_HEAD + rest_len) else { return Header::Partial };
    let client = match (is_local, family, rest) {
        (false, 0x11, [a, b, c, d, _, _, _, _, high, low, ..]) => {
            Some((Ipv4Addr::new(*a, *b, *c, *d).into(), u16::from_be_bytes([*high, *low])))
        }
        (false, 0x21, _) => rest.first_chunk::<34>().map(|rest| {
            let from = rest.first_chunk::<16>().map_or(Ipv6Addr::UNSPECIFIED, |from| Ipv6Addr::from(*from));
            (from.into(), u16::from_be_bytes([rest[32], rest[33]]))
        }),
        _ => None,
    };
    Header::Whole(BINARY_HEAD + rest_len, client.map(|(address, port)| SocketAddr::new(address, port)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn binary(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
        let len = (rest.len() as u16).to_be_bytes();
        [BINARY, &[command, family], &len, rest].concat()
    }

    fn v4() -> Vec<u8> {
        [&[192, 0, 2, 1, 198, 51, 100, 2][..], &4711u16.to_be_bytes(), &443u16.to_be_bytes()].concat()
    }

    fn v6() -> Vec<u8> {
        let from = "2001:db8::1".parse::<Ipv6Addr>().unwrap().octets();
        [&from[..], &from, &4711u16.to_be_bytes(), &443u16.to_be_bytes()].concat()
    }

    #[test]
    fn the_line_of_version_1() {
        use Header::{Malformed, Nothing, Partial};
        let whole = |text: &str, client: Option<&str>| {
            Header::Whole(text.find('\n').unwrap() + 1, client.map(|client| client.parse().unwrap()))
        };
        let long = format!("PROXY UNKNOWN {}", "x".repeat(100));
        for text in
            ["PROXY TCP4 192.0.2.1 198.51.100.2 4711 443\r\nGET /", "PROXY TCP4 192.0.2.1 198.51.100.2 4711 0\r\n"]
        {
            assert_eq!(read(text.as_bytes()), whole(text, Some("192.0.2.1:4711")), "{text:?}");
        }
        let text = "PROXY TCP6 2001:db8::1 2001:db8::2 4711 443\r\n\x16\x03";
        assert_eq!(read(text.as_bytes()), whole(text, Some("[2001:db8::1]:4711")));
        for text in ["PROXY UNKNOWN\r\n", "PROXY UNKNOWN ffff:f...f:ffff whatever\r\nGET"] {
            assert_eq!(read(text.as_bytes()), whole(text, None), "{text:?}");
        }
        for (text, expected) in [
            ("", Partial),
            ("P", Partial),
            ("PROXY", Partial),
            ("PROXY TCP4 192.0.2.1", Partial),
            ("PROXY TCP4 192.0.2.1 198.51.100.2 4711 443\r", Partial),
            ("POST / HTTP/1.1\r\n", Nothing),
            ("PROXX ", Nothing),
            ("GET ", Nothing),
            ("\x16\x03\x01", Nothing),
            ("\r\nGET / HTTP/1.1\r\n", Nothing),
            ("PROXY TCP4 192.0.2.1 198.51.100.2 4711 443\n", Malformed),
            ("PROXY  TCP4 192.0.2.1 198.51.100.2 4711 443\r\n", Malformed),
            ("PROXY TCP4 192.0.2.1 198.51.100.2 4711 443 \r\n", Malformed),
            ("PROXY TCP4 192.0.2.1 198.51.100.2 4711\r\n", Malformed),
            ("PROXY TCP4 192.0.2.1 198.51.100.2 04711 443\r\n", Malformed),
            ("PROXY TCP4 192.0.2.1 198.51.100.2 +4711 443\r\n", Malformed),
            ("PROXY TCP4 192.0.2.1 198.51.100.2 65536 443\r\n", Malformed),
            ("PROXY TCP4 192.0.2.01 198.51.100.2 4711 443\r\n", Malformed),
            ("PROXY TCP4 2001:db8::1 2001:db8::2 4711 443\r\n", Malformed),
            ("PROXY TCP6 192.0.2.1 198.51.100.2 4711 443\r\n", Malformed),
            ("PROXY UDP4 192.0.2.1 198.51.100.2 4711 443\r\n", Malformed),
            ("PROXY UNKNOWNS\r\n", Malformed),
            ("PROXY \r\n", Malformed),
            (&long, Malformed),
        ] {
            assert_eq!(read(text.as_bytes()), expected, "{text:?}");
        }
    }

    #[test]
    fn the_bytes_of_version_2() {
        let client = |text: &str| Some(text.parse::<SocketAddr>().unwrap());
        let with_more = [&v4()[..], &[4, 0, 3, 1, 2, 3]].concat();
        for (bytes, expected) in [
            (binary(0x21, 0x11, &v4()), client("192.0.2.1:4711")),
            (binary(0x21, 0x11, &with_more), client("192.0.2.1:4711")),
            (binary(0x21, 0x21, &v6()), client("[2001:db8::1]:4711")),
            (binary(0x20, 0x00, &[]), None),
            (binary(0x20, 0x11, &v4()), None),
            (binary(0x21, 0x00, &[1, 2, 3]), None),
            (binary(0x21, 0x12, &v4()), None),
            (binary(0x21, 0x31, &[0; 216]), None),
        ] {
            let followed = [&bytes[..], b"GET / HTTP/1.1\r\n"].concat();
            assert_eq!(read(&followed), Header::Whole(bytes.len(), expected), "{bytes:?}");
            for len in 0..bytes.len() {
                assert_eq!(read(&bytes[..len]), Header::Partial, "{len} of {bytes:?}");
            }
        }
        for bytes in [
            binary(0x11, 0x11, &v4()),
            binary(0x22, 0x11, &v4()),
            binary(0x21, 0x13, &v4()),
            binary(0x21, 0x41, &v4()),
            binary(0x21, 0x11, &v4()[..11]),
            binary(0x21, 0x21, &v4()),
            binary(0x21, 0x11, &[0; BINARY_REST_MAX + 1]),
        ] {
            assert_eq!(read(&bytes), Header::Malformed, "{:?}", &bytes[..16]);
        }
    }

    proptest! {
        #[test]
        fn what_was_understood_does_not_depend_on_what_follows(bytes: Vec<u8>, text in "(PROXY )?[A-Z0-9 .:]{0,40}\r?\n?", command: u8, family: u8, more: Vec<u8>) {
            for bytes in [bytes.clone(), text.into_bytes(), binary(command, family, &bytes)] {
                let found = read(&bytes);
                if let Header::Whole(len, _) = found {
                    prop_assert!(len <= bytes.len() && len <= BYTES_MAX);
                    prop_assert_eq!(read(&bytes[..len]), found);
                }
                if found != Header::Partial {
                    prop_assert_eq!(read(&[&bytes[..], &more].concat()), found);
                } else {
                    prop_assert!(bytes.len() < BYTES_MAX);
                }
            }
        }
    }
}
