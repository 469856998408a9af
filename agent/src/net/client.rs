//! Sends one request, and gives the head of its answer. Connections are kept for a moment and used again.

use std::{
    net::IpAddr,
    path::PathBuf,
    sync::{Arc, OnceLock},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, Response, Uri, header};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{self, connect::HttpConnector},
    rt::{TokioExecutor, TokioTimer},
};
use parking_lot::Mutex;
use protocol::info::REQUESTER_FIELD;

use super::{error::NetError, line::SharedLine, pieces::Pieces, trust};
use crate::decide::line::Terms;

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
    wide: Pool,
    line: Arc<SharedLine>,
    /// For the line while it is slow: what a connection may hold unread, and connections of that kind.
    narrow: Mutex<Option<(u64, Arc<Pool>)>>,
}

type Secure = legacy::Client<HttpsConnector<HttpConnector>, Full<Bytes>>;

/// Connections of one kind.
struct Pool {
    plain: legacy::Client<HttpConnector, Full<Bytes>>,
    /// Made when it is needed: to read a system's authorities takes time and memory.
    tls: OnceLock<Result<Secure, String>>,
    unread_max: Option<u64>,
}

/// A request.
pub(crate) struct Ask<'a> {
    pub(crate) method: Method,
    /// `http://10.7.0.2:8080/`
    pub(crate) server: &'a str,
    /// Path and query below it, encoded, with the leading `/`.
    pub(crate) target: &'a str,
    pub(crate) fields: HeaderMap,
    pub(crate) body: Bytes,
    /// Much comes back over the line.
    is_large: bool,
}

impl<'a> Ask<'a> {
    /// GET.
    pub(crate) fn get(server: &'a str, target: &'a str) -> Self {
        Self { method: Method::GET, server, target, fields: HeaderMap::new(), body: Bytes::new(), is_large: false }
    }

    /// POST with a JSON body.
    pub(crate) fn post(server: &'a str, target: &'a str, body: &impl serde::Serialize) -> Self {
        let mut fields = HeaderMap::new();
        fields.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let body = serde_json::to_vec(body).unwrap_or_default().into();
        Self { method: Method::POST, server, target, fields, body, is_large: false }
    }

    /// For a content from a server that is behind the line, or is not.
    pub(crate) fn over_line(self, is_behind: bool) -> Self {
        Self { is_large: is_behind, ..self }
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
        Self::over(manners, Arc::new(SharedLine::new(Terms::default(), 0)))
    }

    /// With a line that may be limited.
    pub(crate) fn over(manners: Manners, line: Arc<SharedLine>) -> Self {
        let requester = HeaderValue::from_str(&manners.requester).unwrap_or(HeaderValue::from_static("agent"));
        let wide = Pool::new(&manners, None);
        Self { manners, requester, wide, line, narrow: Mutex::default() }
    }

    /// The line to servers.
    pub(crate) fn line(&self) -> &Arc<SharedLine> {
        &self.line
    }

    /// For each next piece of a body.
    pub(crate) fn silence_max(&self) -> Duration {
        self.manners.silence_max
    }

    /// A body as it comes; of a server that is behind the line, as that allows.
    pub(crate) fn pieces(&self, body: Incoming, is_behind_line: bool) -> Pieces {
        let pieces = Pieces::new(body, self.manners.silence_max);
        if is_behind_line { pieces.over(self.line.clone()) } else { pieces }
    }

    /// Connections for a line that is slow now.
    fn narrow(&self) -> Option<Arc<Pool>> {
        let unread_max = self.line.unread_max()?;
        let mut narrow = self.narrow.lock();
        let known = narrow.as_ref().filter(|(known, _)| *known == unread_max).map(|(_, pool)| pool.clone());
        Some(known.unwrap_or_else(|| {
            let pool = Arc::new(Pool::new(&self.manners, Some(unread_max)));
            *narrow = Some((unread_max, pool.clone()));
            pool
        }))
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
        let narrow = if ask.is_large { self.narrow() } else { None };
        let pool = narrow.as_deref().unwrap_or(&self.wide);
        let asking = if is_tls { pool.secure(&self.manners)?.request(request) } else { pool.plain.request(request) };
        let limit = self.manners.connect_timeout + self.manners.silence_max;
        match tokio::time::timeout(limit, asking).await {
            Ok(answer) => answer.map_err(|error| NetError::broken(&error)),
            Err(_) => Err(NetError::Silent(limit)),
        }
    }
}

impl Pool {
    fn new(manners: &Manners, unread_max: Option<u64>) -> Self {
        Self { plain: builder().build(connector(manners, unread_max)), tls: OnceLock::new(), unread_max }
    }

    fn secure(&self, manners: &Manners) -> Result<&Secure, NetError> {
        let made = self.tls.get_or_init(|| {
            let config = trust::config(manners.authorities.as_deref()).map_err(|error| error.to_string())?;
            let https = HttpsConnectorBuilder::new().with_tls_config(config).https_only().enable_http1();
            Ok(builder().build(https.wrap_connector(connector(manners, self.unread_max))))
        });
        made.as_ref().map_err(|why| NetError::Broken(why.clone()))
    }
}

fn builder() -> legacy::Builder {
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

fn connector(manners: &Manners, unread_max: Option<u64>) -> HttpConnector {
    let mut connector = HttpConnector::new();
    connector.enforce_http(false);
    connector.set_nodelay(true);
    connector.set_connect_timeout(Some(manners.connect_timeout));
    connector.set_local_address(manners.local_address);
    connector.set_recv_buffer_size(unread_max.map(|bytes| bytes as usize));
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
