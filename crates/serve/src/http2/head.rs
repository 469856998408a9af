//! Heads between their two spellings: what a client says in fields and pseudo-header fields (RFC 9113 section 8.3) as the request that a handler knows, and the lines of an
//! answer as fields. Pure. A request is checked by the rules of HTTP/1.1 where the rule is the same ([`crate::head`]), for what is accepted here may be asked
//! of others in HTTP/1.1.

use bytes::Bytes;
use http::{
    HeaderMap, HeaderName, HeaderValue, Response, StatusCode,
    header::{COOKIE, HOST},
    request::Parts,
};
use httparse::Header;

use crate::{
    head::{
        framing::{Framing, check_target, same_host},
        parse::method_of,
        refusal::Refusal,
    },
    request::{Announced, Fields, Request},
};

/// What a client may crumble (RFC 9113 section 8.2.3), in one piece again.
pub(super) fn cookies(fields: &HeaderMap) -> Vec<u8> {
    let crumbs: Vec<_> = fields.get_all(COOKIE).iter().map(HeaderValue::as_bytes).collect();
    crumbs.join(&b"; "[..])
}

/// The fields as HTTP/1.1 has them: `:authority` as `host`, and `cookies` instead of their crumbs. What the two versions demand of them alike is checked.
pub(super) fn fields<'a>(parts: &'a Parts, cookies: &'a [u8], fields_max: usize) -> Result<Vec<Header<'a>>, Refusal> {
    let authority = parts.uri.authority().map(|authority| authority.as_str().as_bytes());
    let mut fields = Vec::with_capacity(parts.headers.len() + 1);
    fields.extend(authority.map(|value| Header { name: "host", value }));
    let mut host = None;
    for (name, value) in &parts.headers {
        let value = value.as_bytes();
        if value.trim_ascii().len() < value.len() {
            return Err(Refusal::Value);
        }
        match (name, authority) {
            (&HOST, _) if host.replace(value).is_some() => return Err(Refusal::HostTwice),
            (&HOST, Some(authority)) if same_host(value, authority) => {}
            (&HOST, Some(_)) => return Err(Refusal::HostDiffers),
            (&COOKIE, _) => {}
            _ => fields.push(Header { name: name.as_str(), value }),
        }
    }
    if !cookies.is_empty() {
        fields.push(Header { name: "cookie", value: cookies });
    }
    if fields.len() > fields_max {
        return Err(Refusal::FieldsTooLarge);
    }
    Ok(fields)
}

/// A request, and whether the client waits for `100 Continue`.
pub(super) struct Asked<'a> {
    pub(super) request: Request<'a>,
    pub(super) expects_continue: bool,
}

/// The request that these fields make; `is_over` says that no body follows. Whether a body is as long as announced the library looks itself.
pub(super) fn request<'a>(parts: &'a Parts, fields: &'a [Header<'a>], is_over: bool) -> Result<Asked<'a>, Refusal> {
    let framing = Framing::read(fields, true)?;
    let method = method_of(parts.method.as_str())?;
    let target = parts.uri.path_and_query().map(|path| path.as_str()).unwrap_or_default();
    check_target(target, framing.host)?;
    let body = match framing.body()? {
        _ if is_over => Announced::None,
        Announced::None => Announced::Unknown,
        announced => announced,
    };
    let expects_continue = framing.expects_continue()? && !is_over;
    let request = Request { method, target: target.as_bytes(), http11: true, fields: Fields(fields), body };
    Ok(Asked { request, expects_continue })
}

/// The first line as HTTP/1.1 would have it: what the log says.
pub(super) fn request_line(parts: &Parts) -> Vec<u8> {
    let target = parts.uri.path_and_query().map(|path| path.as_str()).unwrap_or_default();
    [parts.method.as_str(), " ", target, " HTTP/2.0"].concat().into_bytes()
}

/// The head of an answer from its lines in HTTP/1.1, the status line among them. What only means something there is left out (RFC 9113 section 8.2.2).
pub(super) fn answer(status: StatusCode, lines: Vec<u8>) -> Response<()> {
    let lines = Bytes::from(lines);
    let mut response = Response::new(());
    *response.status_mut() = status;
    let fields = response.headers_mut();
    fields.reserve(16);
    let mut at = end_of_line(&lines, 0);
    while at < lines.len() {
        let end = end_of_line(&lines, at);
        if let Some((name, value)) = field(&lines, at, end) {
            fields.append(name, value);
        }
        at = end;
    }
    response
}

fn end_of_line(lines: &[u8], from: usize) -> usize {
    lines[from..].iter().position(|byte| *byte == b'\n').map_or(lines.len(), |end| from + end + 1)
}

fn field(lines: &Bytes, at: usize, end: usize) -> Option<(HeaderName, HeaderValue)> {
    let line = &lines[at..end];
    let colon = line.iter().position(|byte| *byte == b':')?;
    let name = HeaderName::from_bytes(&line[..colon]).ok()?;
    if matches!(name.as_str(), "connection" | "keep-alive" | "proxy-connection" | "transfer-encoding" | "upgrade") {
        return None;
    }
    let value = line[colon + 1..].trim_ascii();
    HeaderValue::from_maybe_shared(lines.slice_ref(value)).ok().map(|value| (name, value))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(uri: &str, fields: &[(&str, &[u8])]) -> Parts {
        let mut request = http::Request::builder().uri(uri);
        for (name, value) in fields {
            request = request.header(*name, HeaderValue::from_bytes(value).unwrap());
        }
        request.body(()).unwrap().into_parts().0
    }

    type Named = Vec<(String, Vec<u8>)>;

    fn read(parts: &Parts) -> Result<(Named, String), Refusal> {
        let cookies = cookies(&parts.headers);
        let fields = fields(parts, &cookies, 5)?;
        let Asked { request, .. } = request(parts, &fields, true)?;
        let named = request.fields.iter().map(|(name, value)| (name.to_owned(), value.to_vec())).collect();
        Ok((named, String::from_utf8(request.target.to_vec()).unwrap()))
    }

    #[test]
    fn the_authority_is_the_host() {
        let (fields, target) = read(&parts("http://a:81/x?y", &[("accept", b"*/*"), ("host", b"A:81")])).unwrap();
        assert_eq!(fields, [("host".to_owned(), b"a:81".to_vec()), ("accept".to_owned(), b"*/*".to_vec())]);
        assert_eq!(target, "/x?y");
        let (fields, _) = read(&parts("/x", &[("host", b"a")])).unwrap();
        assert_eq!(fields, [("host".to_owned(), b"a".to_vec())]);
    }

    #[test]
    fn crumbs_of_cookies_come_together() {
        let crumbs: [(&str, &[u8]); 3] = [("cookie", b"a=b"), ("accept", b"x"), ("cookie", b"c=d; e=f")];
        let (fields, _) = read(&parts("http://a/", &crumbs)).unwrap();
        assert_eq!(fields[2], ("cookie".to_owned(), b"a=b; c=d; e=f".to_vec()));
        assert_eq!(fields.len(), 3);
    }

    #[test]
    fn what_two_readers_could_understand_differently_is_refused() {
        let none: &[(&str, &[u8])] = &[];
        for (uri, fields, refusal) in [
            ("/x", none, Refusal::HostMissing),
            ("http://a/", &[("host", b"b")], Refusal::HostDiffers),
            ("http://a/", &[("host", b"a"), ("host", b"a")], Refusal::HostTwice),
            ("/", &[("host", b"a"), ("host", b"b")], Refusal::HostTwice),
            ("/", &[("host", b"a/b")], Refusal::HostMalformed),
            ("http://u@a/", none, Refusal::HostMalformed),
            ("http://a/", &[("x", b" a")], Refusal::Value),
            ("http://a/", &[("x", b"a\t")], Refusal::Value),
            ("http://a/", &[("content-length", b"+5")], Refusal::Length),
            ("http://a/", &[("content-length", b"5"), ("content-length", b"5")], Refusal::Length),
            ("http://a/\u{e9}", none, Refusal::TargetBytes),
            ("http://a/", &[("a", b""), ("b", b""), ("c", b""), ("d", b""), ("e", b"")], Refusal::FieldsTooLarge),
        ] {
            assert_eq!(read(&parts(uri, fields)).err(), Some(refusal), "{uri} {fields:?}");
        }
    }

    #[test]
    fn the_log_has_a_request_line() {
        assert_eq!(request_line(&parts("http://a/x?y=z", &[])), b"GET /x?y=z HTTP/2.0");
    }

    #[test]
    fn an_answers_lines_become_fields() {
        let lines = b"HTTP/1.1 200 OK\r\nServer: s\r\nConnection: x\r\nKeep-Alive: 5\r\nETag: \"x:y\"\r\nX:\r\nSet-Cookie: a\r\nSet-Cookie: \xff\r\n\r\n";
        let response = answer(StatusCode::OK, lines.to_vec());
        let fields: Vec<_> = response.headers().iter().map(|(name, value)| (name.as_str(), value.as_bytes())).collect();
        let expected: [(&str, &[u8]); 5] =
            [("server", b"s"), ("etag", b"\"x:y\""), ("x", b""), ("set-cookie", b"a"), ("set-cookie", b"\xff")];
        assert_eq!(fields, expected);
    }
}
