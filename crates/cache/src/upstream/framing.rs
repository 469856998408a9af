//! Whether the head of an answer can be understood in one way only: where its body ends, and which part it is. An answer that cannot is none
//! (RFC 9112 section 6.3, RFC 9110 section 14.4): nothing of it is handed on or kept, and its connection is not used again.

use http::{HeaderMap, Response, StatusCode, Version, header};
use protocol::range::parse_content_range;

use super::error::AskError;

/// Refuses what two readers could understand differently. What the client library refuses by itself (lengths that differ, a chunk's bad size, a status
/// of two digits) does not come here.
pub(crate) fn check<B>(answer: &Response<B>) -> Result<(), AskError> {
    let fields = answer.headers();
    check_end(fields, answer.version())?;
    match answer.status() {
        StatusCode::PARTIAL_CONTENT => check_part(fields),
        // Nobody asked for an upgrade, and what comes behind one is no HTTP.
        StatusCode::SWITCHING_PROTOCOLS => {
            Err(AskError::Invalid("the upstream changed the protocol, which nobody asked for".into()))
        }
        _ => Ok(()),
    }
}

fn check_end(fields: &HeaderMap, version: Version) -> Result<(), AskError> {
    let mut codings = fields.get_all(header::TRANSFER_ENCODING).iter();
    let Some(coding) = codings.next() else { return Ok(()) };
    let is_chunked = coding.as_bytes().trim_ascii().eq_ignore_ascii_case(b"chunked");
    let what = match (is_chunked, codings.next().is_some(), fields.contains_key(header::CONTENT_LENGTH)) {
        _ if version == Version::HTTP_10 => "a Transfer-Encoding in HTTP/1.0",
        (_, _, true) => "both Content-Length and Transfer-Encoding",
        (false, ..) | (_, true, _) => "a Transfer-Encoding other than 'chunked'",
        (true, false, false) => return Ok(()),
    };
    Err(AskError::Invalid(format!("the upstream sent {what}, so nobody can say where its answer ends")))
}

/// One part says which it is, and has as many bytes as it says; several say so themselves.
fn check_part(fields: &HeaderMap) -> Result<(), AskError> {
    let content_type = fields.get(header::CONTENT_TYPE).map_or(&b""[..], |value| value.as_bytes());
    let multipart = b"multipart/byteranges";
    if content_type.get(..multipart.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(multipart)) {
        return Ok(());
    }
    let field = fields.get(header::CONTENT_RANGE).map_or(&b""[..], |value| value.as_bytes());
    let len = fields.get(header::CONTENT_LENGTH).and_then(|len| len.to_str().ok()?.parse::<u64>().ok());
    match parse_content_range(field) {
        Some((span, _)) if len.is_none_or(|len| len == span.len()) => Ok(()),
        _ => {
            Err(AskError::Invalid("the upstream sent a part of a file without saying rightly which part it is".into()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_right(status: u16, version: Version, lines: &[(&'static str, &str)]) -> bool {
        let mut answer = Response::builder().status(status).version(version);
        for (name, value) in lines {
            answer = answer.header(*name, *value);
        }
        check(&answer.body(()).unwrap()).is_ok()
    }

    #[test]
    fn ends_in_one_way() {
        let (v10, v11) = (Version::HTTP_10, Version::HTTP_11);
        let (te, cl) = ("transfer-encoding", "content-length");
        assert!(is_right(200, v11, &[]));
        assert!(!is_right(101, v11, &[("upgrade", "x")]));
        assert!(is_right(200, v11, &[(cl, "3")]));
        assert!(is_right(200, v11, &[(te, "Chunked")]));
        assert!(!is_right(200, v11, &[(te, "chunked"), (cl, "3")]));
        assert!(!is_right(404, v11, &[(te, "chunked"), (cl, "3")]));
        assert!(!is_right(200, v11, &[(te, "gzip, chunked")]));
        assert!(!is_right(200, v11, &[(te, "xchunked")]));
        assert!(!is_right(200, v11, &[(te, "identity")]));
        assert!(!is_right(200, v11, &[(te, "chunked"), (te, "chunked")]));
        assert!(!is_right(200, v10, &[(te, "chunked")]));
    }

    #[test]
    fn says_which_part_it_is() {
        let (v, cr, cl, ct) = (Version::HTTP_11, "content-range", "content-length", "content-type");
        assert!(is_right(206, v, &[(cr, "bytes 0-2/9"), (cl, "3")]));
        assert!(is_right(206, v, &[(cr, "bytes 0-2/*")]));
        assert!(is_right(206, v, &[(ct, "Multipart/byteranges; boundary=x"), (cl, "300")]));
        assert!(!is_right(206, v, &[(cl, "3")]));
        assert!(!is_right(206, v, &[(cr, "bytes 0-2/9"), (cl, "4")]));
        assert!(!is_right(206, v, &[(cr, "bytes 2-0/9")]));
        assert!(!is_right(206, v, &[(cr, "bytes 0-9/9"), (cl, "10")]));
        assert!(!is_right(206, v, &[(cr, "bytes 0-18446744073709551615/*")]));
        assert!(is_right(416, v, &[(cr, "bytes */9")]));
    }
}
