//! A peer that says it has the file, and sends wrong bytes: each answer has one bit that is not the file's.

use std::{
    cell::Cell,
    io,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    rc::Rc,
};

use protocol::{
    digest::Digests,
    enrolment::Role,
    info::{OBJECTS, REPORTS},
    report::Report,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::{JoinHandle, JoinSet},
};

use super::{ask, round::File};

/// Its name.
const NAME: &str = "liar";
/// Bytes of a head that it reads.
const HEAD_MAX: usize = 16 << 10;
/// Header fields.
const FIELDS_MAX: usize = 32;

/// One that lies. Dropped, it is gone.
pub(crate) struct Liar {
    address: SocketAddr,
    lies: Rc<Cell<u64>>,
    lying: JoinHandle<()>,
}

/// What somebody asked for.
#[derive(Debug, PartialEq, Eq)]
struct Asked {
    target: String,
    /// First byte, and the one behind the last.
    range: Option<(usize, usize)>,
}

impl Liar {
    /// Listens, and tells the origin behind `line` that it holds the file. Within a `LocalSet`.
    pub(crate) async fn start(address: SocketAddr, line: SocketAddr, file: Rc<File>) -> io::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        let lies = Rc::<Cell<u64>>::default();
        let lying = tokio::task::spawn_local(lie(listener, file.clone(), lies.clone()));
        let liar = Self { address, lies, lying };
        liar.report(line, &file.digests).await?;
        Ok(liar)
    }

    async fn report(&self, origin: SocketAddr, digests: &Digests) -> io::Result<()> {
        let report = Report {
            node: NAME.into(),
            role: Role::Agent,
            version: env!("CARGO_PKG_VERSION").into(),
            url: Some(format!("http://{}/", self.address)),
            sequence: 1,
            full: true,
            holds: vec![digests.md5],
            dropped: Vec::new(),
            fetching: Vec::new(),
            load: 0,
            free: 0,
            configuration: 0,
            orders: Vec::new(),
            refused: Vec::new(),
            needs_restart: Vec::new(),
            jobs: None,
        };
        let own = if let IpAddr::V4(own) = self.address.ip() { own } else { Ipv4Addr::LOCALHOST };
        ask::post((own, NAME), origin, REPORTS, &serde_json::to_value(report)?).await.map(drop)
    }

    /// Answers with wrong bytes so far.
    pub(crate) fn lies(&self) -> u64 {
        self.lies.get()
    }
}

impl Drop for Liar {
    fn drop(&mut self) {
        self.lying.abort();
    }
}

async fn lie(listener: TcpListener, file: Rc<File>, lies: Rc<Cell<u64>>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => if let Ok((stream, _)) = accepted {
                let (file, lies) = (file.clone(), lies.clone());
                // Who leaves has heard enough.
                connections.spawn_local(async move { drop(converse(stream, &file, &lies).await) });
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn converse(mut stream: TcpStream, file: &File, lies: &Cell<u64>) -> io::Result<()> {
    let mut received = Vec::new();
    loop {
        while let Some((asked, len)) = asked(&received)? {
            received.drain(..len);
            if asked.target.starts_with(&format!("{OBJECTS}{}", file.digests.md5)) {
                lies.set(lies.get() + 1);
                let (head, body) = wrong(file, asked.range);
                stream.write_all(head.as_bytes()).await?;
                stream.write_all(&body).await?;
            } else {
                stream.write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n").await?;
            }
        }
        if stream.read_buf(&mut received).await? == 0 {
            return Ok(());
        }
    }
}

/// A whole head, and its length.
fn asked(bytes: &[u8]) -> io::Result<Option<(Asked, usize)>> {
    let mut fields = [httparse::EMPTY_HEADER; FIELDS_MAX];
    let mut request = httparse::Request::new(&mut fields);
    let parsed = request.parse(bytes).map_err(io::Error::other)?;
    let httparse::Status::Complete(len) = parsed else {
        return if bytes.len() < HEAD_MAX { Ok(None) } else { Err(io::ErrorKind::InvalidData.into()) };
    };
    let range = request.headers.iter().find(|field| field.name.eq_ignore_ascii_case("Range"));
    let range = range.and_then(|field| {
        let (first, last) = std::str::from_utf8(field.value).ok()?.strip_prefix("bytes=")?.split_once('-')?;
        let end = last.parse::<usize>().map_or(usize::MAX, |last| last.saturating_add(1));
        Some((first.parse().ok()?, end))
    });
    Ok(Some((Asked { target: request.path.unwrap_or_default().into(), range }, len)))
}

/// An answer that looks right.
fn wrong(file: &File, range: Option<(usize, usize)>) -> (String, Vec<u8>) {
    let size = file.bytes.len();
    let (first, end) = range.map_or((0, size), |(first, end)| (first.min(size), end.min(size)));
    let mut body = file.bytes[first..end.max(first)].to_vec();
    if let Some(byte) = body.last_mut() {
        *byte ^= 1;
    }
    let (status, part) = match range {
        Some(_) => {
            ("206 Partial Content", format!("Content-Range: bytes {first}-{}/{size}\r\n", end.saturating_sub(1)))
        }
        None => ("200 OK", String::new()),
    };
    let md5 = file.digests.md5;
    let head = format!(
        "HTTP/1.1 {status}\r\nETag: \"{md5}\"\r\nRepr-Digest: {}\r\nAccept-Ranges: bytes\r\n{part}Content-Length: {}\r\n\r\n",
        md5.repr_digest(),
        body.len()
    );
    (head, body)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_it_sends_looks_right_and_is_not() {
        let file = File::new(1, 1_000);
        let (head, body) = wrong(&file, None);
        assert!(head.starts_with("HTTP/1.1 200") && head.contains("Content-Length: 1000\r\n"), "{head}");
        assert_eq!((body.len(), &body[..999]), (1_000, &file.bytes[..999]));
        assert_ne!(body, file.bytes);
        let (head, body) = wrong(&file, Some((10, 20)));
        assert!(head.contains("Content-Range: bytes 10-19/1000\r\n"), "{head}");
        assert!(body.len() == 10 && body[..9] == file.bytes[10..19] && body[9] != file.bytes[19]);
    }

    #[test]
    fn questions_are_read_when_they_are_whole() {
        let text = b"GET /x HTTP/1.1\r\nrange: bytes=5-9\r\n\r\n";
        let expected = Asked { target: "/x".into(), range: Some((5, 10)) };
        assert_eq!(asked(text).unwrap(), Some((expected, text.len())));
        assert_eq!(asked(&text[..20]).unwrap(), None);
        assert_eq!(
            asked(b"GET /x HTTP/1.1\r\nRange: bytes=5-\r\n\r\n").unwrap().unwrap().0.range,
            Some((5, usize::MAX))
        );
    }
}
