//! Asks the admin interface of a running proxy, over TCP or a Unix socket: one request, one connection, one answer that is read to its end. What is no
//! success comes back as the failure with its exit code, and says what to do.
//!
//! This is the one place besides `cache::upstream` that connects to anyone; the server never does it through here.

use std::{io, time::Duration};

use anyhow::{Context, anyhow};
use clap::{Arg, ArgAction, ArgMatches, Command};
use config::value::{parse_duration, show_duration};
use http_body_util::{BodyExt, Full, Limited};
use hyper::{
    Method, Request,
    body::Bytes,
    client::conn::http1,
    header::{AUTHORIZATION, CONTENT_TYPE, HOST},
};
use hyper_util::rt::TokioIo;
use protocol::problem::Problem;
use serde::{Serialize, de::DeserializeOwned};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpStream, UnixStream},
    runtime::{Builder, Runtime},
    time::timeout,
};

use super::{
    place::{self, Address, Key, Place},
    table::plain,
};
use crate::{admin::guard::INTERFACE, failure::Failure};

/// For a connection to come about.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// For an answer, unless said otherwise: more than the proxy takes to say that it takes too long.
const ANSWER_TIMEOUT: &str = "35s";

/// Bytes of an answer; a page of objects has some hundred thousand.
const ANSWER_BYTES_MAX: usize = 64 << 20;

/// A proxy that can be asked.
pub(crate) struct Client {
    place: Place,
    answer_timeout: Duration,
    runtime: Runtime,
}

/// What a proxy said.
pub(crate) struct Answer {
    status: u16,
    /// Whether the admin interface said it: its neighbour is the listener for files, and easily taken for it.
    is_admins: bool,
    text: String,
    from: String,
}

/// Adds what every command has that asks a proxy.
pub(crate) fn arguments(command: Command) -> Command {
    let command = command
        .arg(
            Arg::new("json")
                .long("json")
                .action(ArgAction::SetTrue)
                .help("Prints JSON, for scripts, in place of a table"),
        )
        .arg(
            Arg::new("timeout")
                .long("timeout")
                .value_name("DURATION")
                .default_value(ANSWER_TIMEOUT)
                .value_parser(parse_duration)
                .help("How long to wait for an answer"),
        );
    place::arguments(command)
}

/// Whether scripts are to read the output.
pub(crate) fn wants_json(matches: &ArgMatches) -> bool {
    matches.get_flag("json")
}

/// A path with a query, whose values may be any text.
pub(crate) fn target(path: &str, query: &[(&str, &str)]) -> String {
    let pairs: Vec<_> = query.iter().map(|(name, value)| format!("{name}={}", escaped(value))).collect();
    if pairs.is_empty() { path.to_owned() } else { format!("{path}?{}", pairs.join("&")) }
}

fn escaped(value: &str) -> String {
    let letter = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' => char::from(byte).to_string(),
        _ => format!("%{byte:02X}"),
    };
    value.bytes().map(letter).collect()
}

impl Client {
    /// As the command line says.
    pub(crate) fn of(matches: &ArgMatches) -> Result<Self, Failure> {
        let runtime = Builder::new_current_thread().enable_all().build().context("cannot ask the proxy")?;
        let answer_timeout = matches.get_one::<Duration>("timeout").copied().unwrap_or(CONNECT_TIMEOUT);
        Ok(Self { place: Place::of(matches)?, answer_timeout, runtime })
    }

    pub(crate) fn get(&self, target: &str) -> Result<Answer, Failure> {
        self.judge(self.ask(Method::GET, target, String::new())?)
    }

    /// Where a refusal is an answer too.
    pub(crate) fn get_whatever_it_says(&self, target: &str) -> Result<Answer, Failure> {
        self.ask(Method::GET, target, String::new())
    }

    /// With a JSON body.
    pub(crate) fn post(&self, target: &str, body: &impl Serialize) -> Result<Answer, Failure> {
        let body = serde_json::to_string(body).context("the request cannot be written")?;
        self.judge(self.ask(Method::POST, target, body)?)
    }

    pub(crate) fn delete(&self, target: &str) -> Result<Answer, Failure> {
        self.judge(self.ask(Method::DELETE, target, String::new())?)
    }

    /// Waits, for who looks again and again.
    pub(crate) fn pause(&self, time: Duration) {
        self.runtime.block_on(async { tokio::time::sleep(time).await });
    }

    fn ask(&self, method: Method, target: &str, body: String) -> Result<Answer, Failure> {
        let Place { address, .. } = &self.place;
        self.runtime.block_on(async {
            match address {
                Address::Tcp(host) => {
                    let stream = self.connected(TcpStream::connect(host)).await?;
                    self.exchange(stream, host, method, target, body).await
                }
                Address::Unix(path) => {
                    let stream = self.connected(UnixStream::connect(path)).await?;
                    self.exchange(stream, "localhost", method, target, body).await
                }
            }
        })
    }

    async fn connected<S>(&self, connecting: impl Future<Output = io::Result<S>>) -> Result<S, Failure> {
        match timeout(CONNECT_TIMEOUT, connecting).await {
            Ok(Ok(stream)) => Ok(stream),
            Ok(Err(error)) => Err(self.not_connected(&error)),
            Err(_) => Err(self.unavailable(&format!("no connection within {} s", CONNECT_TIMEOUT.as_secs()))),
        }
    }

    fn not_connected(&self, error: &io::Error) -> Failure {
        let Place { address, said_by, .. } = &self.place;
        if error.kind() == io::ErrorKind::PermissionDenied {
            return Failure::NotAllowed(format!(
                "{address} ({said_by}) may not be opened by this user: {error}; run this as a user of the socket's group, or as root"
            ));
        }
        self.unavailable(&error.to_string())
    }

    fn unavailable(&self, why: &str) -> Failure {
        let Place { address, said_by, .. } = &self.place;
        Failure::Unavailable(format!(
            "no proxy answers at {address} ({said_by}): {why}; start it, or say where it is with --admin HOST:PORT, --admin unix:PATH or --config FILE"
        ))
    }

    async fn exchange(
        &self,
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        host: &str,
        method: Method,
        target: &str,
        body: String,
    ) -> Result<Answer, Failure> {
        let mut request = Request::builder().method(method).uri(target).header(HOST, host);
        if let (Address::Tcp(_), Key::Token(token)) = (&self.place.address, &self.place.key) {
            request = request.header(AUTHORIZATION, format!("Bearer {token}"));
        }
        if !body.is_empty() {
            request = request.header(CONTENT_TYPE, "application/json");
        }
        let request = request.body(Full::new(Bytes::from(body))).context("the request cannot be written")?;
        match timeout(self.answer_timeout, talk(stream, request)).await {
            Ok(Ok(answer)) => Ok(Answer { from: self.place.address.to_string(), ..answer }),
            Ok(Err(why)) => Err(self.unavailable(&why)),
            Err(_) => {
                Err(self.unavailable(&format!("no answer within {} (--timeout)", show_duration(self.answer_timeout))))
            }
        }
    }

    /// What to do about a token that is missing or wrong.
    fn without_token(&self, detail: &str) -> String {
        let Place { address, key, .. } = &self.place;
        match key {
            Key::None => format!(
                "{address} asks for a token: name its file with --token-file FILE, or say with --config FILE which proxy it is"
            ),
            Key::Unreadable(why) => format!("{address} asks for a token, and {why}"),
            Key::Token(_) => format!("{address} has another token: {detail}"),
        }
    }

    /// Tells successes from failures.
    fn judge(&self, answer: Answer) -> Result<Answer, Failure> {
        if !answer.is_admins {
            return Err(foreign(&answer.from));
        }
        if (200..300).contains(&answer.status) {
            return Ok(answer);
        }
        let detail = plain(&answer.json::<Problem>()?.detail);
        Err(match answer.status {
            401 => Failure::NotAllowed(self.without_token(&detail)),
            403 => Failure::NotAllowed(detail),
            404 => Failure::NotHere(detail),
            _ => Failure::Run(anyhow!(detail)),
        })
    }
}

impl Answer {
    /// As it came.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// Read as what it should be.
    pub(crate) fn json<T: DeserializeOwned>(&self) -> Result<T, Failure> {
        serde_json::from_str(&self.text).map_err(|_| foreign(&self.from))
    }
}

fn foreign(address: &str) -> Failure {
    Failure::Unavailable(format!(
        "what answers at {address} is not the admin interface of an Outpost proxy of this version; its address is in the proxy's start lines"
    ))
}

/// The answer, with its whole body.
async fn talk(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    request: Request<Full<Bytes>>,
) -> Result<Answer, String> {
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(|error| causes(&error))?;
    // Ends with the connection, which ends with the sender.
    let driver = tokio::spawn(connection);
    let answer = sender.send_request(request).await.map_err(|error| causes(&error))?;
    let status = answer.status().as_u16();
    let is_admins = answer.headers().contains_key(INTERFACE);
    let body = Limited::new(answer.into_body(), ANSWER_BYTES_MAX).collect().await.map_err(|error| causes(&*error))?;
    driver.abort();
    let text = String::from_utf8(body.to_bytes().to_vec()).map_err(|error| error.to_string())?;
    Ok(Answer { status, is_admins, text, from: String::new() })
}

/// An error with what lies behind it: hyper's own text says only where it came up.
fn causes(error: &dyn std::error::Error) -> String {
    let all = std::iter::successors(Some(error), |error| error.source());
    all.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_takes_any_text() {
        assert_eq!(target("/v1/objects", &[]), "/v1/objects");
        assert_eq!(
            target("/v1/why", &[("path", "/a b?c=ä&d"), ("x", "1")]),
            "/v1/why?path=/a%20b%3Fc%3D%C3%A4%26d&x=1"
        );
    }
}
