//! HTTP/1.1 messages as both scripted sides read them: a head, then a body by its framing (RFC 9112).

use std::io::{self, BufRead, Read};

/// Largest head that is read, in bytes.
const HEAD_BYTES_MAX: usize = 256 << 10;

/// The start line and the field lines of a message. Bytes beyond ASCII are replaced.
#[derive(Clone, Debug)]
pub(crate) struct Head {
    pub(crate) start: String,
    pub(crate) fields: Fields,
}

/// Field lines in their order.
#[derive(Clone, Debug, Default)]
pub struct Fields(Vec<(String, String)>);

impl Fields {
    /// The first field of that name.
    pub fn first(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// Every field of that name.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    pub(crate) fn push(&mut self, name: impl Into<String>, value: impl Into<String>) {
        self.0.push((name.into(), value.into()));
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }
}

/// Reads a head; `None` if the other side closed before its first byte.
pub(crate) fn read_head(reader: &mut impl BufRead) -> io::Result<Option<Head>> {
    let Some(start) = read_line(reader)? else { return Ok(None) };
    let mut fields = Fields::default();
    let mut size = start.len();
    loop {
        let line = read_line(reader)?.ok_or(io::ErrorKind::UnexpectedEof)?;
        if line.is_empty() {
            return Ok(Some(Head { start, fields }));
        }
        size += line.len();
        if size > HEAD_BYTES_MAX {
            return Err(io::Error::other("the head is too large"));
        }
        let (name, value) = line.split_once(':').ok_or_else(|| io::Error::other(format!("not a field: {line}")))?;
        fields.push(name, value.trim());
    }
}

fn read_line(reader: &mut impl BufRead) -> io::Result<Option<String>> {
    let mut line = Vec::new();
    if reader.take(HEAD_BYTES_MAX as u64).read_until(b'\n', &mut line)? == 0 {
        return Ok(None);
    }
    if line.pop() != Some(b'\n') {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    if line.last() == Some(&b'\r') {
        line.pop();
    }
    Ok(Some(String::from_utf8_lossy(&line).into_owned()))
}

/// How a body's end is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Framing {
    /// So many bytes are still to come.
    Length(u64),
    /// So many bytes of the present chunk are still to come; 0: a chunk's head is next.
    Chunked(u64),
    /// All until the connection closes.
    UntilClose,
}

impl Framing {
    /// Of an answer (RFC 9112 section 6.3).
    pub(crate) fn of_answer(to_head: bool, status: u16, fields: &Fields) -> io::Result<Self> {
        if to_head || status == 204 || status == 304 {
            return Ok(Self::Length(0));
        }
        if fields.first("Transfer-Encoding").is_some_and(|coding| coding.eq_ignore_ascii_case("chunked")) {
            return Ok(Self::Chunked(0));
        }
        match fields.first("Content-Length") {
            Some(text) => text.parse().map(Self::Length).map_err(|_| io::Error::other("bad Content-Length")),
            None => Ok(Self::UntilClose),
        }
    }

    /// Of a request: without either field it has no body (RFC 9112 section 6.3).
    pub(crate) fn of_request(fields: &Fields) -> io::Result<Self> {
        match Self::of_answer(false, 200, fields)? {
            Self::UntilClose => Ok(Self::Length(0)),
            framing => Ok(framing),
        }
    }

    /// Reads the body and throws it away.
    pub(crate) fn drain(mut self, reader: &mut impl BufRead) -> io::Result<()> {
        let mut buffer = [0; 16 << 10];
        while self.read(reader, &mut buffer)? > 0 {}
        Ok(())
    }

    /// Reads the next bytes of the body. `Ok(0)` at its end; an error of kind `UnexpectedEof` when the connection closed before.
    pub(crate) fn read(&mut self, reader: &mut impl BufRead, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::UntilClose => reader.read(buffer),
            Self::Length(left) => read_some(reader, buffer, left),
            Self::Chunked(left) => {
                if *left == 0 {
                    *left = chunk_size(reader)?;
                    if *left == 0 {
                        read_trailers(reader)?;
                        *self = Self::Length(0);
                        return Ok(0);
                    }
                }
                let count = read_some(reader, buffer, left)?;
                if *left == 0 {
                    read_line(reader)?.ok_or(io::ErrorKind::UnexpectedEof)?;
                }
                Ok(count)
            }
        }
    }
}

fn read_some(reader: &mut impl BufRead, buffer: &mut [u8], left: &mut u64) -> io::Result<usize> {
    if *left == 0 || buffer.is_empty() {
        return Ok(0);
    }
    let most = buffer.len().min(usize::try_from(*left).unwrap_or(usize::MAX));
    match reader.read(&mut buffer[..most])? {
        0 => Err(io::ErrorKind::UnexpectedEof.into()),
        count => {
            *left -= count as u64;
            Ok(count)
        }
    }
}

fn chunk_size(reader: &mut impl BufRead) -> io::Result<u64> {
    let line = read_line(reader)?.ok_or(io::ErrorKind::UnexpectedEof)?;
    let digits = line.split(';').next().unwrap_or_default().trim();
    u64::from_str_radix(digits, 16).map_err(|_| io::Error::other(format!("not a chunk size: {line}")))
}

fn read_trailers(reader: &mut impl BufRead) -> io::Result<()> {
    while !read_line(reader)?.ok_or(io::ErrorKind::UnexpectedEof)?.is_empty() {}
    Ok(())
}
