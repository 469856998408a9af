//! Sends one request, and gives the head of its answer. Connections are kept for a moment and used again.

use std::{net::IpAddr, path::PathBuf, sync::OnceLock, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, Response, Uri, header};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{self, connect::HttpConnector},
    rt::{TokioExecutor, TokioTimer},
};
use protocol::info::REQUESTER_FIELD;

use super::{error::NetError, trust};

/// Fields of an answer's head; more is no answer.
const FIELDS_MAX: usize = 128;
/// Bytes of an answer's head, which is also how much of a body is read at once.
const HEAD_BYTES_MAX: usize = 256 << 10;
/// Idle connections that are kept to one server, and for how long.
const IDLE_MAX: usize = 2;
const IDLE_FOR: Duration = Duration::from_secs(15);

/// How long a server is waited for, and who we are.
#[derive(Clone, Debug)]
pub(crate) struct Manners {
    /// For a connection.
    pub(crate) connect_timeout: Duration,
    /// For the head of an answer, and for each next piece of a body.
    pub(crate) silence_max: Duration,
    /// This machine's name, by which it counts as one requester over all its connections.
    pub(crate) requester: String,
    /// Authorities for TLS, in place of the system's.
    pub(crate) authorities: Option<PathBuf>,
    /// From which of our addresses servers are asked; `None`: the system chooses.
    pub(crate) local_address: Option<IpAddr>,
}

impl Manners {
    /// For the service of this machine: it is there at once, or not.
    pub(crate) fn of_this_machine(silence_max: Duration) -> Self {
        let connect_timeout = Duration::from_secs(1);
        Self { connect_timeout, silence_max, requester: String::new(), authorities: None, local_address: None }
    }
}

/// Who asks.
pub(crate) struct Client {
    manners: Manners,
    requester: HeaderValue,
    plain: legacy::Client<HttpConnector, Full<Bytes>>,
    /// Made when it is needed: to read a system's authorities takes time and memory.
    tls: OnceLock<Result<Secure, String>>,
}

type Secure = legacy::Client<HttpsConnector<HttpConnector>, Full<Bytes>>;

/// A request.
pub(crate) struct Ask<'a> {
    pub(crate) method: Method,
    /// `http://10.7.0.2:8080/`
    pub(crate) server: &'a str,
    /// Path and query below it, encoded, with the leading `/`.
    pub(crate) target: &'a str,
    pub(crate) fields: HeaderMap,
    pub(crate) body: Bytes,
}

impl<'a> Ask<'a> {
    /// GET.
    pub(crate) fn get(server: &'a str, target: &'a str) -> Self {
        Self { method: Method::GET, server, target, fields: HeaderMap::new(), body: Bytes::new() }
    }

    /// POST with a JSON body.
    pub(crate) fn post(server: &'a str, target: &'a str, body: &impl serde::Serialize) -> Self {
        let mut fields = HeaderMap::new();
        fields.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let body = serde_json::to_vec(body).unwrap_or_default().into();
        Self { method: Method::POST, server, target, fields, body }
    }

    /// With a field; one that cannot be sent is left out.
    pub(crate) fn with(mut self, name: &'static str, value: &str) -> Self {
        if let Ok(value) = HeaderValue::from_str(value) {
            self.fields.insert(name, value);
        }
        self
    }
}

impl Client {
    pub(crate) fn new(manners: Manners) -> Self {
        let requester = HeaderValue::from_str(&manners.requester).unwrap_or(HeaderValue::from_static("agent"));
        let plain = pool().build(connector(&manners));
        Self { manners, requester, plain, tls: OnceLock::new() }
    }

    /// For each next piece of a body.
    pub(crate) fn silence_max(&self) -> Duration {
        self.manners.silence_max
    }

    /// One request up to the head of its answer.
    pub(crate) async fn send(&self, ask: Ask<'_>) -> Result<Response<Incoming>, NetError> {
        let text = url(ask.server, ask.target);
        let uri: Uri = text.parse().map_err(|_| NetError::Url(text.clone()))?;
        let is_tls = uri.scheme_str() == Some("https");
        if uri.authority().is_none() || !(is_tls || uri.scheme_str() == Some("http")) {
            return Err(NetError::Url(text));
        }
        let mut request = Request::new(Full::new(ask.body));
        (*request.method_mut(), *request.uri_mut(), *request.headers_mut()) = (ask.method, uri, ask.fields);
        let fields = request.headers_mut();
        fields.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        let agent = concat!("outpost-agent/", env!("CARGO_PKG_VERSION"));
        fields.insert(header::USER_AGENT, HeaderValue::from_static(agent));
        fields.insert(REQUESTER_FIELD, self.requester.clone());
        let asking = if is_tls { self.secure()?.request(request) } else { self.plain.request(request) };
        let limit = self.manners.connect_timeout + self.manners.silence_max;
        match tokio::time::timeout(limit, asking).await {
            Ok(answer) => answer.map_err(|error| NetError::broken(&error)),
            Err(_) => Err(NetError::Silent(limit)),
        }
    }

    fn secure(&self) -> Result<&Secure, NetError> {
        let made = self.tls.get_or_init(|| {
            let config = trust::config(self.manners.authorities.as_deref()).map_err(|error| error.to_string())?;
            let builder = HttpsConnectorBuilder::new().with_tls_config(config).https_only().enable_http1();
            Ok(pool().build(builder.wrap_connector(connector(&self.manners))))
        });
        made.as_ref().map_err(|why| NetError::Broken(why.clone()))
    }
}

fn pool() -> legacy::Builder {
    let mut builder = legacy::Client::builder(TokioExecutor::new());
    builder
        .timer(TokioTimer::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(IDLE_FOR)
        .pool_max_idle_per_host(IDLE_MAX)
        .http1_max_headers(FIELDS_MAX)
        .http1_max_buf_size(HEAD_BYTES_MAX);
    builder
}

fn connector(manners: &Manners) -> HttpConnector {
    let mut connector = HttpConnector::new();
    connector.enforce_http(false);
    connector.set_nodelay(true);
    connector.set_connect_timeout(Some(manners.connect_timeout));
    connector.set_local_address(manners.local_address);
    connector
}

/// A server's URL and what is below it. Also as an upstream of a proxy is written.
pub(crate) fn url(server: &str, target: &str) -> String {
    let server = server.strip_prefix("outpost+").unwrap_or(server);
    format!("{}{target}", server.trim_end_matches('/'))
}

/// A value as it stands in a query.
pub(crate) fn escaped(value: &str) -> String {
    let letter = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' => char::from(byte).to_string(),
        _ => format!("%{byte:02X}"),
    };
    value.bytes().map(letter).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_stands_below_its_server() {
        for (server, target, expected) in [
            ("http://a:1/", "/x?y", "http://a:1/x?y"),
            ("http://a:1", "/x", "http://a:1/x"),
            ("outpost+https://a/below/", "/x", "https://a/below/x"),
        ] {
            assert_eq!(url(server, target), expected);
        }
    }
}
