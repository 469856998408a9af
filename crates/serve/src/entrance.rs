//! What is decided of every request before and behind the program's handler, whatever it asks for and over whichever protocol: whether the client
//! may ask at all, whether it is to ask over TLS instead, and what an answer over TLS says of that.

use std::{
    net::SocketAddr,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use http::StatusCode;
use protocol::problem::{Kind, Problem};

use crate::{
    clients::{access::Verdict, porter::Porter},
    counters::Counters,
    handler::{Answer, Client, Handler},
    request::Request,
    response::Response,
};

/// What stands before a handler.
pub(crate) struct Entrance<H> {
    handler: Arc<H>,
    porter: Arc<Porter>,
    counters: Arc<Counters>,
    /// The port of `https://` to which everything is sent on, where nothing is served.
    elsewhere: Option<u16>,
    /// `Strict-Transport-Security`, where it is said.
    strict: Option<Arc<str>>,
}

impl<H> Entrance<H> {
    /// Serves those whom the porter lets in, and tells those who came over TLS for how long they are to do so; zero says nothing.
    pub(crate) fn new(handler: Arc<H>, porter: Arc<Porter>, counters: Arc<Counters>, strict: Duration) -> Self {
        let strict = (!strict.is_zero()).then(|| format!("max-age={}", strict.as_secs()).into());
        Self { handler, porter, counters, elsewhere: None, strict }
    }

    /// Serves nothing, and sends everybody on to TLS on that port.
    pub(crate) fn redirecting(&self, port: u16) -> Self {
        Self {
            handler: self.handler.clone(),
            porter: self.porter.clone(),
            counters: self.counters.clone(),
            elsewhere: Some(port),
            strict: self.strict.clone(),
        }
    }
}

impl<H: Handler> Handler for Entrance<H> {
    fn answer(&self, request: &Request<'_>, client: &Client) -> Answer {
        let verdict = self.porter.judge(client.address.ip());
        if verdict != Verdict::Served {
            self.counters.refused_access.fetch_add(1, Ordering::Relaxed);
            return Answer::Now(not_allowed(client.address, verdict));
        }
        if let Some(port) = self.elsewhere {
            return Answer::Now(send_on(request, port));
        }
        let answer = self.handler.answer(request, client);
        match &self.strict {
            Some(strict) if client.secure => saying(answer, strict.clone()),
            _ => answer,
        }
    }
}

fn not_allowed(client: SocketAddr, verdict: Verdict) -> Response {
    let address = client.ip().to_canonical();
    let detail = match verdict {
        Verdict::Denied => {
            format!("the client {address} is not served here; whoever runs this server has it in access.deny")
        }
        Verdict::NotNamed | Verdict::Served => {
            format!("the client {address} is not served here; whoever runs this server can add it to access.allow")
        }
    };
    Response::problem(&Problem::new(Kind::NotAllowed, detail), Kind::NotAllowed)
}

/// 308, so that a method with a body stays what it is (RFC 9110 section 15.4.9).
fn send_on(request: &Request<'_>, port: u16) -> Response {
    let Some(location) = secure_location(request.fields.first("host"), request.target, port) else {
        let detail = "this address only sends on to https://, and the request does not say for which host; name it in the field Host";
        return Response::problem(&Problem::new(Kind::BadRequest, detail), Kind::BadRequest);
    };
    let mut response = Response::new(StatusCode::PERMANENT_REDIRECT);
    response.fields.push("Location", location);
    response
}

/// The same over TLS: the host as the client named it, path and query as they are.
fn secure_location(host: Option<&[u8]>, target: &[u8], port: u16) -> Option<Vec<u8>> {
    let host = without_port(host.filter(|host| !host.is_empty())?);
    let path = if target.starts_with(b"/") { target } else { path_of(target) };
    let port = if port == 443 { String::new() } else { format!(":{port}") };
    let slash: &[u8] = if path.starts_with(b"/") { b"" } else { b"/" };
    Some([b"https://", host, port.as_bytes(), slash, path].concat())
}

fn without_port(host: &[u8]) -> &[u8] {
    match host.iter().rposition(|byte| matches!(byte, b':' | b']')) {
        Some(at) if host[at] == b':' => &host[..at],
        _ => host,
    }
}

/// Of a target that is a whole URL, or `*`.
fn path_of(target: &[u8]) -> &[u8] {
    let Some(scheme) = target.windows(3).position(|window| window == b"://") else { return b"" };
    let behind = &target[scheme + 3..];
    behind.iter().position(|byte| matches!(byte, b'/' | b'?')).map_or(b"", |begin| &behind[begin..])
}

/// The answer with `Strict-Transport-Security` (RFC 6797 section 7.1).
fn saying(answer: Answer, strict: Arc<str>) -> Answer {
    let say = |mut response: Response, strict: &str| {
        response.fields.push("Strict-Transport-Security", strict);
        response
    };
    match answer {
        Answer::Now(response) => Answer::Now(say(response, &strict)),
        Answer::Later(later) => Answer::later(async move { say(later.await, &strict) }),
        Answer::Preceded(interims, later) => {
            Answer::Preceded(interims, Box::pin(async move { say(later.await, &strict) }))
        }
        Answer::Reads(begin) => Answer::Reads(Box::new(move |upload| {
            let later = begin(upload);
            Box::pin(async move { say(later.await, &strict) })
        })),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_sent_on_asks_for_the_same_over_tls() {
        for (host, target, port, expected) in [
            ("files.example", "/a/b?c=d", 443, "https://files.example/a/b?c=d"),
            ("files.example:80", "/%20?", 443, "https://files.example/%20?"),
            ("files.example:8080", "/", 8443, "https://files.example:8443/"),
            ("[2001:db8::1]", "/x", 443, "https://[2001:db8::1]/x"),
            ("[2001:db8::1]:80", "/x", 8443, "https://[2001:db8::1]:8443/x"),
            ("a", "http://a/x?y", 443, "https://a/x?y"),
            ("a", "http://a", 443, "https://a/"),
            ("a", "http://a?y", 443, "https://a/?y"),
            ("a", "*", 443, "https://a/"),
            ("a", "//evil.example/", 443, "https://a//evil.example/"),
        ] {
            let found = secure_location(Some(host.as_bytes()), target.as_bytes(), port).unwrap();
            assert_eq!(String::from_utf8(found).unwrap(), expected, "{host} {target}");
        }
        assert_eq!(secure_location(None, b"/", 443), None);
        assert_eq!(secure_location(Some(b""), b"/", 443), None);
    }
}
