//! Entries for `fuzz/`, which are there only when fuzzing: what must hold whatever bytes come.

use std::net::{IpAddr, Ipv4Addr};

use crate::{
    clients::{
        forwarded::{self, Told},
        proxy_header::{self, Header},
        ranges::{Range, Ranges},
    },
    head::{
        chunks::{Chunks, Step},
        parse::{Limits, Parsed, parse, slots},
    },
    request::Fields,
};

const LIMITS: Limits = Limits { head_bytes_max: 4 << 10, fields_max: 50 };

/// A head that is accepted ends with its empty line, and is accepted at no shorter length.
pub fn request_head(bytes: &[u8]) {
    let mut room = slots();
    let Parsed::Whole(head) = parse(bytes, &mut room, &LIMITS) else { return };
    assert!(bytes[..head.len].ends_with(b"\r\n\r\n") && head.len <= LIMITS.head_bytes_max + 2);
    assert!(matches!(parse(&bytes[..head.len - 1], &mut slots(), &LIMITS), Parsed::Partial));
}

/// A body that is read in one piece is the same as one that is read byte by byte.
pub fn chunked_body(bytes: &[u8]) {
    let whole = read(bytes, bytes.len());
    let slow = read(bytes, 1);
    assert_eq!(whole, slow);
}

/// The body and how many bytes it took; `None` if it is no body, or not all of one.
fn read(bytes: &[u8], step: usize) -> Option<(Vec<u8>, usize)> {
    let (mut chunks, mut body, mut at, mut seen) = (Chunks::default(), Vec::new(), 0, 0);
    loop {
        match chunks.step(&bytes[at..seen]).ok()? {
            Step::Data(place) => {
                body.extend_from_slice(&bytes[at..seen][place.clone()]);
                at += place.end;
            }
            Step::Skip(len) => at += len,
            Step::End => return Some((body, at)),
            Step::More if seen == bytes.len() => return None,
            Step::More => seen = (seen + step.max(1)).min(bytes.len()),
        }
    }
}

/// What is seen of frames does not depend on the pieces in which they come.
pub fn http2_frames(bytes: &[u8]) {
    crate::http2::fuzz_frames(bytes);
}

/// A header of the PROXY protocol is known by its own bytes alone; whoever is believed, an address comes out.
pub fn clients(bytes: &[u8]) {
    if let Header::Whole(len, client) = proxy_header::read(bytes) {
        assert!(len <= bytes.len() && proxy_header::read(&bytes[..len]) == Header::Whole(len, client));
        assert!((0..len).all(|cut| proxy_header::read(&bytes[..cut]) == Header::Partial));
    }
    let peer = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let trusted = Ranges::new(vec![Range::from(peer)]);
    let lines = [("x-forwarded-for", Told::XForwardedFor), ("forwarded", Told::Forwarded)];
    for (name, told) in lines {
        let fields = [httparse::Header { name, value: bytes }];
        forwarded::client(told, &trusted, peer, &Fields::new(&fields));
    }
}
