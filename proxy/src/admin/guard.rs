//! Who may ask the admin interface, before it is looked at what for.
//!
//! | where it listens | without a token | with one |
//! | --- | --- | --- |
//! | loopback | programs of this machine, and no web page that a browser shows there | who has it |
//! | another address | is refused at the start | who has it |
//! | a Unix socket | who may open it | likewise |
//!
//! [`OPEN`] asks for no token. A web page changes nothing in any case.

use std::{
    net::IpAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use axum::{
    extract::Request,
    http::{HeaderMap, HeaderValue, Method, header},
    middleware::Next,
    response::Response,
};
use protocol::problem::Kind;

use super::problem;
use crate::{app::App, token::Refusal};

/// Need no token: probes of containers and balancers have none.
const OPEN: [&str; 2] = ["/healthz", "/readyz"];

/// What every answer has, so that who asks the wrong listener is told so.
pub(crate) const INTERFACE: &str = "outpost-interface";

/// For a request to be answered, its body's arrival included.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);

/// Lets nobody in who may not ask. Who asks over TCP may have to show a token.
pub(super) async fn admit(app: Arc<App>, over_tcp: bool, request: Request, next: Next) -> Response {
    let token = app.token.lock().filter(|_| over_tcp);
    let is_open = OPEN.contains(&request.uri().path());
    let judged = match &token {
        Some(token) if !is_open => token.judge(request.headers().get(header::AUTHORIZATION)),
        _ => Ok(()),
    };
    if let Err(refusal) = judged {
        if app.refusals.note(Instant::now()) {
            let count = app.refusals.count();
            tracing::warn!(
                "the admin interface was asked without its token, or with a wrong one ({count} times since the start)"
            );
        }
        return unauthorized(refusal);
    }
    if over_tcp && token.is_none() && !is_open && is_led_here(request.headers()) {
        return problem(
            Kind::NotAllowed,
            "without a token a browser may ask by an address or the name localhost only: a web page could have brought another name here",
        );
    }
    guarded(request, next).await
}

fn unauthorized(refusal: Refusal) -> Response {
    let (detail, challenge) = match refusal {
        Refusal::Missing => (
            "this admin interface asks for a token: send Authorization: Bearer TOKEN, with the token in the file that access.admin_token_file names",
            "Bearer realm=\"outpost\"",
        ),
        Refusal::Wrong => (
            "this is not the token of this admin interface; it stands in the file that access.admin_token_file names",
            "Bearer realm=\"outpost\", error=\"invalid_token\"",
        ),
    };
    let mut response = problem(Kind::Unauthorized, detail);
    response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
    response
}

/// Bounds the time of every request, and refuses changes that a web page asks for in a browser on this machine: browsers say so
/// with `Origin`, programs do not send it.
async fn guarded(request: Request, next: Next) -> Response {
    let changes = !matches!(*request.method(), Method::GET | Method::HEAD);
    if changes && request.headers().contains_key(header::ORIGIN) {
        return problem(
            Kind::NotAllowed,
            "a web page may not change anything here; use curl or a script, which send no Origin field",
        );
    }
    match tokio::time::timeout(ANSWER_TIMEOUT, next.run(request)).await {
        Ok(response) => response,
        Err(_) => problem(
            Kind::RequestTimeout,
            format!("the request was not here and answered within {} s; try again", ANSWER_TIMEOUT.as_secs()),
        ),
    }
}

/// Whether a web page may have led a browser here: somebody on the internet has pointed a name of theirs at this machine (DNS rebinding), and the browser takes
/// this interface for a part of their site. Browsers say which languages they want, and pages cannot keep them from it; programs do not.
fn is_led_here(fields: &HeaderMap) -> bool {
    let host = fields.get(header::HOST).map(HeaderValue::as_bytes);
    fields.contains_key(header::ACCEPT_LANGUAGE) && !host.is_none_or(is_of_this_machine)
}

/// Whether a name cannot be theirs: an address, `localhost`, or a name without a dot.
fn is_of_this_machine(host: &[u8]) -> bool {
    let Ok(host) = std::str::from_utf8(host) else { return false };
    let name = match host.rsplit_once(':') {
        Some((name, port)) if !port.ends_with(']') && !port.contains(':') => name,
        _ => host,
    };
    let bare = name.trim_start_matches('[').trim_end_matches(']');
    bare.parse::<IpAddr>().is_ok() || !name.contains('.') || name.to_ascii_lowercase().ends_with(".localhost")
}

/// Says who answers, and that it is not for caches.
pub(super) async fn sign(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    response.headers_mut().insert(INTERFACE, HeaderValue::from_static("admin"));
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_a_web_site_can_have_are_not_of_this_machine() {
        for host in [
            "127.0.0.1",
            "127.0.0.1:8081",
            "[::1]:8081",
            "[::1]",
            "localhost",
            "LOCALHOST:8081",
            "branch7:8081",
            "a.localhost:1",
        ] {
            assert!(is_of_this_machine(host.as_bytes()), "{host}");
        }
        for host in [
            "evil.example",
            "evil.example:8081",
            "127.0.0.1.evil.example:8081",
            "localhost.evil.example",
            "\u{fc}.example",
            "evil.example.",
        ] {
            assert!(!is_of_this_machine(host.as_bytes()), "{host}");
        }
        assert!(!is_of_this_machine(b"\xff"));
    }
}
