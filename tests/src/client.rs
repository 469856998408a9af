//! The scripted client: asks in exactly these bytes, reads as much as it is told to, leaves when it is told to.

use std::{
    fmt,
    io::{self, BufReader, Write},
    net::{Ipv4Addr, Shutdown, SocketAddr, TcpStream},
    time::{Duration, Instant},
};

use socket2::{Domain, Socket, Type};

use crate::{
    content::{Content, md5_hex},
    wait::PATIENCE,
    wire::{self, Fields, Framing},
};

/// A request.
#[derive(Clone, Debug)]
pub struct Ask {
    method: String,
    target: Vec<u8>,
    fields: Fields,
}

impl Ask {
    /// GET of a target as it is to stand on the request line.
    pub fn get(target: impl AsRef<[u8]>) -> Self {
        Self::method("GET", target)
    }

    /// HEAD.
    pub fn head(target: impl AsRef<[u8]>) -> Self {
        Self::method("HEAD", target)
    }

    /// Any method.
    pub fn method(method: &str, target: impl AsRef<[u8]>) -> Self {
        Self { method: method.into(), target: target.as_ref().to_vec(), fields: Fields::default() }
    }

    /// With a field.
    pub fn field(mut self, name: &str, value: impl Into<String>) -> Self {
        self.fields.push(name, value);
        self
    }

    /// With a `Range`.
    pub fn range(self, range: &str) -> Self {
        self.field("Range", range)
    }

    /// The whole exchange over a connection of its own.
    #[track_caller]
    pub fn fetch(&self, address: SocketAddr) -> Answer {
        self.open(address).rest()
    }

    /// The whole exchange, or why there was no answer: for servers that are being killed.
    pub fn try_fetch(&self, address: SocketAddr) -> io::Result<Answer> {
        let mut connection = Connection::try_open(address)?;
        connection.send_ask(self);
        let transfer = connection.try_answer(&self.method)?.ok_or(io::ErrorKind::ConnectionAborted)?;
        Ok(transfer.rest())
    }

    /// Asks over a connection of its own and reads the head of the answer; the body is the caller's to read or to leave.
    #[track_caller]
    pub fn open(&self, address: SocketAddr) -> Transfer {
        Connection::open(address).ask(self)
    }

    fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = format!("{} ", self.method).into_bytes();
        bytes.extend_from_slice(&self.target);
        bytes.extend_from_slice(b" HTTP/1.1\r\n");
        if self.fields.first("Host").is_none() {
            bytes.extend_from_slice(b"Host: branch.example\r\n");
        }
        for (name, value) in self.fields.iter() {
            bytes.extend_from_slice(format!("{name}: {value}\r\n").as_bytes());
        }
        bytes.extend_from_slice(b"\r\n");
        bytes
    }
}

/// GET over a connection of its own, read to its end.
#[track_caller]
pub fn fetch(address: SocketAddr, target: impl AsRef<[u8]>) -> Answer {
    Ask::get(target).fetch(address)
}

/// A connection on which one thing can be asked after the other, or at once.
pub struct Connection {
    reader: BufReader<TcpStream>,
    opened: Instant,
}

impl Connection {
    /// Connects.
    #[track_caller]
    pub fn open(address: SocketAddr) -> Self {
        Self::try_open(address).unwrap_or_else(|error| panic!("cannot connect to {address}: {error}"))
    }

    /// Connects, or says why not.
    pub fn try_open(address: SocketAddr) -> io::Result<Self> {
        Self::try_open_from(Ipv4Addr::UNSPECIFIED, address)
    }

    /// Connects from an address of this machine: all of 127.0.0.0/8 is.
    pub fn try_open_from(own: Ipv4Addr, address: SocketAddr) -> io::Result<Self> {
        let opened = Instant::now();
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
        socket.bind(&SocketAddr::from((own, 0)).into())?;
        socket.connect_timeout(&address.into(), PATIENCE)?;
        let stream = TcpStream::from(socket);
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        stream.set_nodelay(true)?;
        Ok(Self { reader: BufReader::with_capacity(256 << 10, stream), opened })
    }

    /// Bytes as they are; an error is left to the reading that follows.
    pub fn send(&mut self, bytes: &[u8]) {
        let _ = self.reader.get_mut().write_all(bytes);
    }

    /// Asks without reading the answer.
    pub fn send_ask(&mut self, ask: &Ask) {
        self.opened = Instant::now();
        self.send(&ask.to_bytes());
    }

    /// Asks and reads the head of the answer.
    #[track_caller]
    pub fn ask(mut self, ask: &Ask) -> Transfer {
        self.send_ask(ask);
        self.answer(&ask.method)
    }

    /// Reads the head of the next answer, which is one to `method`.
    #[track_caller]
    pub fn answer(self, method: &str) -> Transfer {
        match self.try_answer(method) {
            Ok(Some(transfer)) => transfer,
            Ok(None) => panic!("the connection was closed instead of an answer"),
            Err(error) => panic!("no answer: {error}"),
        }
    }

    /// The next answer, or `None` when the connection was closed or reset in its place.
    fn try_answer(mut self, method: &str) -> io::Result<Option<Transfer>> {
        let head = match wire::read_head(&mut self.reader) {
            Ok(Some(head)) => head,
            Ok(None) => return Ok(None),
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => return Ok(None),
            Err(error) => return Err(error),
        };
        let status = head.start.split(' ').nth(1).and_then(|word| word.parse().ok());
        let status = status.ok_or_else(|| io::Error::other(format!("not a status line: {}", head.start)))?;
        let framing = Framing::of_answer(method == "HEAD", status, &head.fields)?;
        let first_byte = self.opened.elapsed();
        Ok(Some(Transfer { status, fields: head.fields, first_byte, framing, connection: self }))
    }

    /// Everything the other side still sends until it closes.
    pub fn read_until_closed(mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        // A reset ends it as a close does.
        let _ = io::Read::read_to_end(&mut self.reader, &mut bytes);
        bytes
    }
}

/// An answer of which the head was read. Dropping it closes the connection, whatever is still to come.
pub struct Transfer {
    /// Status code.
    pub status: u16,
    /// Field lines.
    pub fields: Fields,
    /// From asking to the head.
    pub first_byte: Duration,
    framing: Framing,
    connection: Connection,
}

impl Transfer {
    /// The next `count` bytes of the body; fails the test if they do not come.
    #[track_caller]
    pub fn take(&mut self, count: u64) -> Vec<u8> {
        let mut bytes = vec![0; count as usize];
        let mut filled = 0;
        while filled < bytes.len() {
            match self.framing.read(&mut self.connection.reader, &mut bytes[filled..]) {
                Ok(0) => panic!("the body ended after {filled} of {count} bytes that were waited for"),
                Ok(some) => filled += some,
                Err(error) => panic!("{filled} of {count} bytes came, then: {error}"),
            }
        }
        bytes
    }

    /// Reads on to the end, however it ends.
    pub fn rest(self) -> Answer {
        self.rest_and_keep().0
    }

    /// Reads to the end and gives the connection back for the next request.
    pub fn rest_and_keep(mut self) -> (Answer, Connection) {
        let mut body = Vec::new();
        let mut buffer = vec![0; 256 << 10];
        let ending = self.drain(&mut buffer, |bytes| body.extend_from_slice(bytes));
        let answer = Answer { status: self.status, fields: self.fields, body, ending, first_byte: self.first_byte };
        (answer, self.connection)
    }

    /// Reads to the end and compares each byte with those of `content` from `start` to its end, keeping none: for large bodies and many readers.
    pub fn compare(mut self, content: &Content, start: u64) -> Compared {
        let mut buffer = vec![0; 256 << 10];
        let mut position = start as usize;
        let expected = content.bytes();
        let mut is_equal = true;
        let ending = self.drain(&mut buffer, |bytes| {
            is_equal &= expected.get(position..position + bytes.len()) == Some(bytes);
            position += bytes.len();
        });
        is_equal &= position == expected.len();
        let ending = if ending == Ending::Whole && !is_equal { Ending::Different } else { ending };
        Compared { status: self.status, received: position as u64 - start, ending }
    }

    /// Leaves in mid-body.
    pub fn leave(self) {
        let _ = self.connection.reader.get_ref().shutdown(Shutdown::Both);
    }

    fn drain(&mut self, buffer: &mut [u8], mut take: impl FnMut(&[u8])) -> Ending {
        loop {
            match self.framing.read(&mut self.connection.reader, buffer) {
                Ok(0) => return Ending::Whole,
                Ok(count) => take(&buffer[..count]),
                Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
                    return Ending::Stuck;
                }
                Err(_) => return Ending::Short,
            }
        }
    }
}

/// How a body ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// As its framing says.
    Whole,
    /// The connection was closed before.
    Short,
    /// Nothing more came, and no close either.
    Stuck,
    /// As its framing says, but with other bytes than those it was compared with.
    Different,
}

/// What a comparison found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Compared {
    /// Status code.
    pub status: u16,
    /// Body bytes.
    pub received: u64,
    /// How the body ended.
    pub ending: Ending,
}

/// A whole answer.
pub struct Answer {
    /// Status code.
    pub status: u16,
    /// Field lines.
    pub fields: Fields,
    /// What came of the body.
    pub body: Vec<u8>,
    /// How the body ended.
    pub ending: Ending,
    /// From asking to the head.
    pub first_byte: Duration,
}

impl Answer {
    /// The first field of that name.
    pub fn field(&self, name: &str) -> Option<&str> {
        self.fields.first(name)
    }

    /// Whether it is a complete 200.
    pub fn is_whole(&self) -> bool {
        self.status == 200 && self.ending == Ending::Whole
    }

    /// Whether it is a complete 200 with these bytes.
    pub fn is(&self, content: &Content) -> bool {
        self.is_whole() && self.body == *content.bytes()
    }

    /// Fails the test unless it is a complete 200 with these bytes.
    #[track_caller]
    pub fn expect(self, content: &Content) -> Self {
        assert!(self.is(content), "expected 200 with {content:?}, came {self:?}");
        self
    }

    /// Fails the test unless it is a complete 206 with `start..end` of these bytes.
    #[track_caller]
    pub fn expect_part(self, content: &Content, start: u64, end: u64) -> Self {
        let range = format!("bytes {start}-{}/{}", end - 1, content.len());
        let right = self.status == 206
            && self.ending == Ending::Whole
            && self.field("Content-Range") == Some(&range)
            && self.body == content.bytes()[start as usize..end as usize];
        assert!(right, "expected 206 with '{range}' of {content:?}, came {self:?}");
        self
    }

    /// Fails the test unless it is a complete answer with that status.
    #[track_caller]
    pub fn expect_status(self, status: u16) -> Self {
        assert!(self.status == status && self.ending == Ending::Whole, "expected {status}, came {self:?}");
        self
    }

    /// Fails the test if it is a complete 200 with any other bytes than one of these.
    #[track_caller]
    pub fn expect_none_but(self, contents: &[&Content]) -> Self {
        let wrong = self.is_whole() && !contents.iter().any(|content| self.is(content));
        assert!(!wrong, "a complete wrong file: {self:?}, where only {contents:?} would be right");
        assert_ne!(self.ending, Ending::Stuck, "neither more bytes nor a close: {self:?}");
        self
    }

    /// The body as JSON.
    #[track_caller]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("no JSON ({error}): {self:?}"))
    }

    /// The name of the problem in a problem document.
    #[track_caller]
    pub fn problem(&self) -> String {
        let kind = self.json()["type"].as_str().map(str::to_owned).unwrap_or_default();
        kind.strip_prefix("urn:outpost:problem:").unwrap_or_else(|| panic!("no problem document: {self:?}")).to_owned()
    }
}

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} with {} bytes, md5 {}, ", self.status, self.body.len(), md5_hex(&self.body))?;
        write!(f, "{:?}, after {:?}, fields {:?}", self.ending, self.first_byte, self.fields)?;
        if self.body.len() < 1000 {
            write!(f, ", body {:?}", String::from_utf8_lossy(&self.body))?;
        }
        Ok(())
    }
}
