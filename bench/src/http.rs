//! As much of an HTTP/1.1 client as a machine of a storm or of a branch needs: a question on a connection of its own, or a stream that goes on. From an
//! address of one's own.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    ops::Range,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
};

/// Header fields read at most.
const FIELDS_MAX: usize = 32;
/// Bytes of a head, or of the framing between two chunks.
const HEAD_MAX: usize = 16 << 10;
/// Bytes of the body of an answer to a question.
const BODY_MAX: usize = 16 << 20;

/// What is sent.
pub(crate) struct Request<'a> {
    pub(crate) method: &'static str,
    pub(crate) target: &'a str,
    pub(crate) node: &'a str,
    /// JSON.
    pub(crate) body: Option<&'a [u8]>,
    pub(crate) closes: bool,
}

/// An answer whose body is still to come.
pub(crate) struct Incoming {
    pub(crate) status: u16,
    /// Seconds.
    pub(crate) retry_after: Option<u64>,
    stream: TcpStream,
    buffer: Vec<u8>,
    framing: Framing,
}

/// A whole answer.
pub(crate) struct Reply {
    pub(crate) status: u16,
    /// Seconds.
    pub(crate) retry_after: Option<u64>,
    pub(crate) body: Vec<u8>,
}

/// Where the body ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Framing {
    /// So many bytes are still to come.
    Length(u64),
    /// The size of a chunk is next.
    Size,
    /// So many bytes of a chunk, and its line end.
    Chunk(u64),
    End,
}

/// What matters of a head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Head {
    status: u16,
    /// Seconds.
    retry_after: Option<u64>,
    framing: Framing,
    /// Bytes of the head itself.
    len: usize,
}

/// What is at the beginning of some bytes of a body.
#[derive(Debug, PartialEq, Eq)]
enum Step {
    Data(Range<usize>),
    /// Framing of so many bytes.
    Skip(usize),
    More,
    End,
}

/// A connection from one's own address.
pub(crate) async fn connect(from: Ipv4Addr, server: SocketAddr) -> io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.set_nodelay(true)?;
    socket.bind(SocketAddr::from((from, 0)))?;
    socket.connect(server).await
}

impl Request<'_> {
    fn to_bytes(&self) -> Vec<u8> {
        let Self { method, target, node, .. } = self;
        let mut text = format!("{method} {target} HTTP/1.1\r\nHost: origin\r\nOutpost-Node: {node}\r\n");
        if self.closes {
            text.push_str("Connection: close\r\n");
        }
        if let Some(body) = self.body {
            text.push_str(&format!("Content-Type: application/json\r\nContent-Length: {}\r\n", body.len()));
        }
        text.push_str("\r\n");
        let mut bytes = text.into_bytes();
        bytes.extend_from_slice(self.body.unwrap_or_default());
        bytes
    }

    /// Sends it and reads the head of the answer.
    pub(crate) async fn send(&self, mut stream: TcpStream) -> io::Result<Incoming> {
        stream.write_all(&self.to_bytes()).await?;
        let mut buffer = Vec::new();
        loop {
            if let Some(Head { status, retry_after, framing, len }) = head(&buffer)? {
                buffer.drain(..len);
                return Ok(Incoming { status, retry_after, stream, buffer, framing });
            }
            if buffer.len() > HEAD_MAX {
                return Err(wrong("the head of an answer has no end"));
            }
            receive(&mut stream, &mut buffer).await?;
        }
    }
}

impl Incoming {
    /// Some more of the body; `None` behind its end. Dropping the future loses nothing.
    pub(crate) async fn next(&mut self) -> io::Result<Option<Vec<u8>>> {
        loop {
            match self.framing.step(&self.buffer)? {
                Step::End => return Ok(None),
                Step::Skip(len) => drop(self.buffer.drain(..len)),
                Step::More => receive(&mut self.stream, &mut self.buffer).await?,
                Step::Data(place) => {
                    let data = self.buffer[place.clone()].to_vec();
                    self.buffer.drain(..place.end);
                    // What a burst needed is not kept by thousands of streams.
                    self.buffer.shrink_to(HEAD_MAX);
                    return Ok(Some(data));
                }
            }
        }
    }

    /// The whole answer, and its connection for the next question.
    pub(crate) async fn whole(mut self) -> io::Result<(Reply, TcpStream)> {
        let mut body = Vec::new();
        while let Some(piece) = self.next().await? {
            if body.len() + piece.len() > BODY_MAX {
                return Err(wrong("an answer is too large"));
            }
            body.extend_from_slice(&piece);
        }
        Ok((Reply { status: self.status, retry_after: self.retry_after, body }, self.stream))
    }
}

impl Framing {
    /// Looks at what has come, and takes note of what it is.
    fn step(&mut self, bytes: &[u8]) -> io::Result<Step> {
        match *self {
            Self::End | Self::Length(0) => Ok(Step::End),
            Self::Length(left) | Self::Chunk(left) if left > 0 => {
                let len = left.min(bytes.len() as u64);
                if len == 0 {
                    return Ok(Step::More);
                }
                *self =
                    if matches!(self, Self::Length(_)) { Self::Length(left - len) } else { Self::Chunk(left - len) };
                Ok(Step::Data(0..len as usize))
            }
            Self::Length(_) | Self::Chunk(_) => match bytes {
                [b'\r', b'\n', ..] => {
                    *self = Self::Size;
                    Ok(Step::Skip(2))
                }
                [] | [b'\r'] => Ok(Step::More),
                _ => Err(wrong("a chunk does not end where it should")),
            },
            Self::Size => match httparse::parse_chunk_size(bytes) {
                Ok(httparse::Status::Complete((_, 0))) => {
                    *self = Self::End;
                    Ok(Step::End)
                }
                Ok(httparse::Status::Complete((len, size))) => {
                    *self = Self::Chunk(size);
                    Ok(Step::Skip(len))
                }
                Ok(httparse::Status::Partial) if bytes.len() < HEAD_MAX => Ok(Step::More),
                _ => Err(wrong("the size of a chunk is none")),
            },
        }
    }
}

/// A head that is whole.
fn head(bytes: &[u8]) -> io::Result<Option<Head>> {
    let mut fields = [httparse::EMPTY_HEADER; FIELDS_MAX];
    let mut response = httparse::Response::new(&mut fields);
    let parsed = response.parse(bytes).map_err(|error| wrong(&error.to_string()))?;
    let httparse::Status::Complete(len) = parsed else { return Ok(None) };
    let status = response.code.unwrap_or_default();
    let field = |name: &str| {
        let found = response.headers.iter().find(|field| field.name.eq_ignore_ascii_case(name));
        found.and_then(|field| std::str::from_utf8(field.value).ok())
    };
    let retry_after = field("Retry-After").and_then(|value| value.parse().ok());
    let framing = match field("Content-Length").and_then(|value| value.parse().ok()) {
        Some(length) => Framing::Length(length),
        None if field("Transfer-Encoding").is_some() => Framing::Size,
        None => return Err(wrong("an answer does not say where it ends")),
    };
    Ok(Some(Head { status, retry_after, framing, len }))
}

async fn receive(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> io::Result<()> {
    buffer.reserve(4 << 10);
    match stream.read_buf(buffer).await? {
        0 => Err(io::ErrorKind::UnexpectedEof.into()),
        _ => Ok(()),
    }
}

fn wrong(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The body that comes out of bytes that come in pieces of `size`.
    fn decoded(mut framing: Framing, bytes: &[u8], size: usize) -> io::Result<(Vec<u8>, bool)> {
        let (mut buffer, mut body) = (Vec::new(), Vec::new());
        let mut pieces = bytes.chunks(size);
        loop {
            match framing.step(&buffer)? {
                Step::End => return Ok((body, true)),
                Step::Skip(len) => drop(buffer.drain(..len)),
                Step::Data(place) => body.extend(buffer.drain(place)),
                Step::More => match pieces.next() {
                    Some(piece) => buffer.extend_from_slice(piece),
                    None => return Ok((body, false)),
                },
            }
        }
    }

    #[test]
    fn bodies_are_put_together_however_they_are_cut() {
        let chunked = b"5\r\nevent\r\n1\r\n:\r\n0\r\n\r\n";
        for size in 1..=chunked.len() {
            assert_eq!(decoded(Framing::Size, chunked, size).unwrap(), (b"event:".to_vec(), true), "{size}");
            assert_eq!(decoded(Framing::Length(9), b"some body", size).unwrap(), (b"some body".to_vec(), true));
        }
        assert_eq!(decoded(Framing::Size, b"5\r\nev", 3).unwrap(), (b"ev".to_vec(), false));
        assert!(decoded(Framing::Size, b"1\r\nab", 3).is_err());
        assert!(decoded(Framing::Size, b"x\r\n", 3).is_err());
    }

    #[test]
    fn heads_are_read_when_they_are_whole() {
        let text = b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 7\r\nContent-Length: 2\r\n\r\n{}";
        let refusal = Head { status: 503, retry_after: Some(7), framing: Framing::Length(2), len: text.len() - 2 };
        assert_eq!(head(text).unwrap(), Some(refusal));
        assert_eq!(head(&text[..40]).unwrap(), None);
        let chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
        let stream = Head { status: 200, retry_after: None, framing: Framing::Size, len: chunked.len() };
        assert_eq!(head(chunked).unwrap(), Some(stream));
        assert!(head(b"SSH-2.0-x\r\n\r\n").is_err());
        assert!(head(b"HTTP/1.1 200 OK\r\n\r\n").is_err());
    }
}
