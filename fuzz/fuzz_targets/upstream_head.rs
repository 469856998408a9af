//! Heads of upstreams' answers: checked, judged, kept, renewed. Before the first NUL stand fields of the request.
#![no_main]

use http::{HeaderMap, HeaderName, HeaderValue, Response};

fn fields(parsed: &[httparse::Header<'_>]) -> Option<HeaderMap> {
    let mut fields = HeaderMap::new();
    for field in parsed {
        let (name, value) = (HeaderName::from_bytes(field.name.as_bytes()), HeaderValue::from_bytes(field.value));
        fields.append(name.ok()?, value.ok()?);
    }
    Some(fields)
}

fn read(bytes: &[u8]) -> Option<(HeaderMap, Response<()>)> {
    let (request, answer) = bytes.split_at(bytes.iter().position(|byte| *byte == 0)?);
    let mut sent = [httparse::EMPTY_HEADER; 20];
    let sent = match httparse::parse_headers(request, &mut sent).ok()? {
        httparse::Status::Complete((_, sent)) => fields(sent)?,
        httparse::Status::Partial => HeaderMap::new(),
    };
    let mut room = [httparse::EMPTY_HEADER; 40];
    let mut head = httparse::Response::new(&mut room);
    head.parse(&answer[1..]).ok()?.is_complete().then_some(())?;
    let mut response = Response::builder().status(head.code?).body(()).ok()?;
    *response.headers_mut() = fields(head.headers)?;
    Some((sent, response))
}

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    if let Some((sent, answer)) = read(bytes) {
        cache::fuzz::upstream_head(&sent, &answer);
    }
});
