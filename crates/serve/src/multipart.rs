//! `multipart/byteranges` (RFC 9110 section 14.6): the bytes around the parts. It sends nothing.

use std::hash::{BuildHasher, RandomState};

use bytes::Bytes;
use protocol::{range::content_range, span::Span};

use crate::response::Part;

/// BITS takes no more than this of framing for one part; a `Content-Type` that does not fit is left out of the parts.
const PREAMBLE_MAX: usize = 180;

/// What follows the last part: a delimiter of 16 hexadecimal digits in its dashes and line ends.
const END_BYTES: u64 = 24;

/// The most bytes that these spans come to in their framing. Nobody is to be sent more than the whole has, which many small parts of a small one
/// would be.
pub fn framed_max(spans: &[Span]) -> u64 {
    let framing = (spans.len() * PREAMBLE_MAX) as u64 + END_BYTES;
    spans.iter().map(|span| span.len()).sum::<u64>() + framing
}

/// The framing of `multipart/byteranges` for these spans of one representation: the part for a body and the value of `Content-Type`.
/// At most 180 bytes of fields per part (BITS).
pub fn byteranges(spans: &[Span], len: u64, content_type: &str) -> (Part, String) {
    // Keyed by the process's own random state: who publishes a file cannot know the delimiter and write it into the file.
    let boundary = format!("{:016x}", RandomState::new().hash_one((len, spans.len(), content_type)));
    let parts = spans
        .iter()
        .enumerate()
        .map(|(index, span)| (preamble(&boundary, index == 0, *span, len, content_type), *span))
        .collect();
    let end = Bytes::from(format!("\r\n--{boundary}--\r\n"));
    (Part::Multipart { parts, end }, format!("multipart/byteranges; boundary={boundary}"))
}

fn preamble(boundary: &str, first: bool, span: Span, len: u64, content_type: &str) -> Bytes {
    let before = if first { "" } else { "\r\n" };
    let range = content_range(span, len);
    let with_type = format!("{before}--{boundary}\r\nContent-Type: {content_type}\r\nContent-Range: {range}\r\n\r\n");
    let sendable = !content_type.is_empty() && !content_type.bytes().any(|byte| matches!(byte, b'\r' | b'\n' | 0));
    if sendable && with_type.len() <= PREAMBLE_MAX {
        return with_type.into();
    }
    format!("{before}--{boundary}\r\nContent-Range: {range}\r\n\r\n").into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_parts_as_a_reader_expects() {
        let spans = [Span::new(0, 2), Span::new(7, 9)];
        let (Part::Multipart { parts, end }, content_type) = byteranges(&spans, 10, "text/plain") else { panic!() };
        let boundary = content_type.strip_prefix("multipart/byteranges; boundary=").unwrap();
        let text: Vec<_> = parts.iter().map(|(bytes, _)| String::from_utf8(bytes.to_vec()).unwrap()).collect();
        assert_eq!(text[0], format!("--{boundary}\r\nContent-Type: text/plain\r\nContent-Range: bytes 0-1/10\r\n\r\n"));
        assert_eq!(
            text[1],
            format!("\r\n--{boundary}\r\nContent-Type: text/plain\r\nContent-Range: bytes 7-8/10\r\n\r\n")
        );
        assert_eq!(end, format!("\r\n--{boundary}--\r\n"));
    }

    #[test]
    fn a_part_costs_no_more_than_bits_allows() {
        let far = Span::new(u64::MAX - 2, u64::MAX - 1);
        for content_type in ["", "application/octet-stream", &"x".repeat(200)] {
            let (Part::Multipart { parts, end }, _) = byteranges(&[far, far], u64::MAX, content_type) else { panic!() };
            assert!(parts.iter().all(|(bytes, _)| bytes.len() <= PREAMBLE_MAX), "{content_type}");
            let framed = parts.iter().map(|(bytes, span)| bytes.len() as u64 + span.len()).sum::<u64>();
            assert!(framed + end.len() as u64 <= framed_max(&[far, far]), "{content_type}");
            assert_eq!(end.len() as u64, END_BYTES);
        }
    }
}
