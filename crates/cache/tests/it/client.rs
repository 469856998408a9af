//! A client that sees every byte.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

/// What a test waits at most for something that should happen soon.
pub(crate) const DEADLINE: Duration = Duration::from_secs(20);

/// One answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) fields: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
    /// Whether the body has the end that its framing announces.
    pub(crate) is_whole: bool,
}

impl Answer {
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    pub(crate) fn cache_status(&self) -> &str {
        self.field("Cache-Status").unwrap_or("none")
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// A whole 200 with these bytes.
    #[track_caller]
    pub(crate) fn expect(self, body: &[u8]) -> Self {
        assert_eq!(self.status, 200, "{}", self.text());
        assert!(self.is_whole, "cut at {} bytes", self.body.len());
        assert!(self.body == body, "{} bytes that are not the {} expected", self.body.len(), body.len());
        self
    }

    /// A problem of that name.
    #[track_caller]
    pub(crate) fn expect_problem(self, status: u16, name: &str) -> Self {
        let text = self.text();
        assert_eq!(self.status, status, "{text}");
        assert!(text.contains(&format!("urn:outpost:problem:{name}\"")), "{text}");
        self
    }
}

/// A connection with its request sent.
pub(crate) struct Asked {
    pub(crate) stream: TcpStream,
    is_head: bool,
}

/// Sends a request with `Connection: close`.
pub(crate) fn ask(address: SocketAddr, method: &str, target: &str, fields: &[(&str, &str)]) -> Asked {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    let mut head = format!("{method} {target} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n");
    for (name, value) in fields {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str("\r\n");
    stream.write_all(head.as_bytes()).unwrap();
    Asked { stream, is_head: method == "HEAD" }
}

pub(crate) fn get(address: SocketAddr, target: &str) -> Answer {
    ask(address, "GET", target, &[]).answer()
}

pub(crate) fn get_with(address: SocketAddr, target: &str, fields: &[(&str, &str)]) -> Answer {
    ask(address, "GET", target, fields).answer()
}

pub(crate) fn head(address: SocketAddr, target: &str) -> Answer {
    ask(address, "HEAD", target, &[]).answer()
}

impl Asked {
    /// All that comes, as it comes.
    pub(crate) fn everything(mut self) -> String {
        let mut bytes = Vec::new();
        let _ = self.stream.read_to_end(&mut bytes);
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Reads to the end.
    pub(crate) fn answer(mut self) -> Answer {
        let mut bytes = Vec::new();
        // A reset is an end like another: what came is judged by its framing.
        let _ = self.stream.read_to_end(&mut bytes);
        parse(&bytes, self.is_head)
    }

    /// Waits until it begins to answer, and reads nothing.
    pub(crate) fn wait_for_answer(&self) {
        assert_ne!(self.stream.peek(&mut [0]).unwrap(), 0, "it closed the connection");
    }

    /// Reads the head and so many bytes of the body.
    pub(crate) fn read_some(&mut self, count: usize) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut byte = [0];
        while !bytes.ends_with(b"\r\n\r\n") {
            self.stream.read_exact(&mut byte).unwrap();
            bytes.push(byte[0]);
        }
        let mut body = vec![0; count];
        self.stream.read_exact(&mut body).unwrap();
        body
    }
}

/// The answer behind any interim ones.
fn parse(bytes: &[u8], is_head: bool) -> Answer {
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n").expect("an answer's head");
    if bytes.starts_with(b"HTTP/1.1 1") {
        return parse(&bytes[end + 4..], is_head);
    }
    let head = std::str::from_utf8(&bytes[..end]).unwrap();
    let mut lines = head.split("\r\n");
    let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
    let fields: Vec<(String, String)> =
        lines.map(|line| line.split_once(": ").map(|(name, value)| (name.into(), value.into())).unwrap()).collect();
    let mut answer = Answer { status, fields, body: bytes[end + 4..].to_vec(), is_whole: true };
    if answer.field("Transfer-Encoding") == Some("chunked") {
        (answer.body, answer.is_whole) = unchunk(&answer.body);
    } else if let Some(len) = answer.field("Content-Length").filter(|_| !is_head && status != 304) {
        answer.is_whole = len.parse() == Ok(answer.body.len());
    }
    answer
}

fn unchunk(mut rest: &[u8]) -> (Vec<u8>, bool) {
    let mut body = Vec::new();
    while let Some(line) = rest.windows(2).position(|window| window == b"\r\n") {
        let len = usize::from_str_radix(std::str::from_utf8(&rest[..line]).unwrap(), 16).unwrap();
        if len == 0 {
            return (body, true);
        }
        let Some(chunk) = rest.get(line + 2..line + 2 + len) else { break };
        body.extend_from_slice(chunk);
        rest = rest.get(line + 4 + len..).unwrap_or_default();
    }
    (body, false)
}
