//! One question after the other on one connection, waiting for each answer.

use std::{
    io::{self, Read, Write},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use anyhow::{Context as _, bail};
use protocol::info::{NODE_FIELD, REPORTS};

/// Fields of a head.
const FIELDS_MAX: usize = 32;
/// How long an answer may take.
const WAIT_MAX: Duration = Duration::from_secs(30);

/// A connection.
pub(crate) struct Client {
    socket: TcpStream,
    received: Vec<u8>,
}

/// An answer.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

impl Client {
    pub(crate) fn connect(address: SocketAddr) -> anyhow::Result<Self> {
        let socket = TcpStream::connect(address).with_context(|| format!("cannot connect to {address}"))?;
        socket.set_nodelay(true)?;
        socket.set_read_timeout(Some(WAIT_MAX))?;
        Ok(Self { socket, received: Vec::new() })
    }

    pub(crate) fn get(&mut self, target: &str) -> anyhow::Result<Answer> {
        self.ask(&format!("GET {target} HTTP/1.1\r\nHost: origin\r\n\r\n"))
    }

    /// A report.
    pub(crate) fn post(&mut self, node: &str, body: &str) -> anyhow::Result<Answer> {
        let len = body.len();
        self.ask(&format!(
            "POST {REPORTS} HTTP/1.1\r\nHost: origin\r\n{NODE_FIELD}: {node}\r\nContent-Type: application/json\r\nContent-Length: {len}\r\n\r\n{body}"
        ))
    }

    fn ask(&mut self, request: &str) -> anyhow::Result<Answer> {
        self.socket.write_all(request.as_bytes())?;
        self.received.clear();
        loop {
            if let Some(answer) = self.answer()? {
                return Ok(answer);
            }
            let mut piece = [0; 16 << 10];
            match self.socket.read(&mut piece) {
                Ok(0) => bail!("the origin ended the connection"),
                Ok(count) => self.received.extend_from_slice(&piece[..count]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error).context("no answer"),
            }
        }
    }

    /// If it is whole.
    fn answer(&self) -> anyhow::Result<Option<Answer>> {
        let mut fields = [httparse::EMPTY_HEADER; FIELDS_MAX];
        let mut head = httparse::Response::new(&mut fields);
        let httparse::Status::Complete(begin) = head.parse(&self.received)? else { return Ok(None) };
        let length = head.headers.iter().find(|field| field.name.eq_ignore_ascii_case("Content-Length"));
        let length = length.and_then(|field| std::str::from_utf8(field.value).ok()?.parse().ok());
        let end = begin + length.unwrap_or(0_usize);
        let body = self.received.get(begin..end).map(<[u8]>::to_vec);
        Ok(body.map(|body| Answer { status: head.code.unwrap_or(0), body }))
    }
}
