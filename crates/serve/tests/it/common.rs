//! A handler made of a closure, and a client that sees every byte. It speaks TLS with a server that speaks nothing else.
#![allow(dead_code, reason = "`exhaustion` uses a part of it")]

use std::{
    io::{Read, Write},
    net::{Shutdown, SocketAddr, TcpStream},
    sync::{Arc, mpsc},
    time::Duration,
};

#[path = "common/frames.rs"]
pub(crate) mod frames;
#[path = "common/tls.rs"]
pub(crate) mod tls;

use http::StatusCode;
use rustls::ClientConfig;
use serve::{
    access_log::AccessLog,
    handler::{Answer, Client, Handler},
    options::Options,
    request::Request,
    response::{Body, Response},
    server::Server,
};

/// What a test waits at most for something that should happen at once.
pub(crate) const DEADLINE: Duration = Duration::from_secs(20);

/// What a test's server answers.
pub(crate) type Answering = dyn Fn(&Request<'_>, &Client) -> Answer + Send + Sync;

/// A handler made of a closure. In a box, so that the server is compiled once and not for every closure again.
pub(crate) struct Answers(pub(crate) Box<Answering>);

impl Handler for Answers {
    fn answer(&self, request: &Request<'_>, client: &Client) -> Answer {
        (self.0)(request, client)
    }
}

/// Options for tests: any port of the loopback, one worker.
pub(crate) fn options() -> Options {
    Options { listen: vec![([127, 0, 0, 1], 0).into()], workers: 1, server_name: "test".into(), ..Options::default() }
}

/// Likewise, where nothing but TLS is spoken.
pub(crate) fn tls_options() -> Options {
    Options { listen: Vec::new(), tls: tls::options(), ..options() }
}

/// A server whose every answer is made by `answer`.
pub(crate) fn start<F>(options: Options, answer: F) -> Server
where
    F: Fn(&Request<'_>, &Client) -> Answer + Send + Sync + 'static,
{
    start_logged(options, None, answer)
}

/// Likewise, with an access log.
pub(crate) fn start_logged<F>(options: Options, log: Option<AccessLog>, answer: F) -> Server
where
    F: Fn(&Request<'_>, &Client) -> Answer + Send + Sync + 'static,
{
    Server::start(options, Arc::new(Answers(Box::new(answer))), log).unwrap()
}

/// A server that answers every request with its target.
pub(crate) fn echo(options: Options) -> Server {
    start(options, |request, _| Answer::Now(text(request.target)))
}

/// A server that never answers; it tells when it is asked, and when an answer is given up.
pub(crate) fn never(options: Options) -> (Server, mpsc::Receiver<&'static str>) {
    struct Told(mpsc::Sender<&'static str>);
    impl Drop for Told {
        fn drop(&mut self) {
            let _ = self.0.send("dropped");
        }
    }
    let (tell, told) = mpsc::channel();
    let server = start(options, move |_, _| {
        tell.send("asked").unwrap();
        let held = Told(tell.clone());
        Answer::later(async move {
            let _held = held;
            std::future::pending().await
        })
    });
    (server, told)
}

/// 200 with a body in memory.
pub(crate) fn text(body: &[u8]) -> Response {
    let mut response = Response::new(StatusCode::OK);
    response.fields.push("Content-Type", "text/plain");
    response.body = Body::Memory(body.to_vec().into());
    response
}

/// Waits for a future on a runtime of its own.
pub(crate) fn wait<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

/// Bytes that differ from place to place.
pub(crate) fn pattern(len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    for (number, place) in bytes.chunks_mut(8).enumerate() {
        let mixed = (number as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        place.copy_from_slice(&(mixed ^ (mixed >> 29)).to_le_bytes()[..place.len()]);
    }
    bytes
}

/// A connection to a server.
pub(crate) struct Peer {
    pub(crate) socket: TcpStream,
    session: Option<Box<tls::Client>>,
    received: Vec<u8>,
}

/// An answer as it came.
#[derive(Debug)]
pub(crate) struct Received {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Received {
    /// A field's value.
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        self.head.lines().skip(1).find_map(|line| {
            let (found, value) = line.split_once(':')?;
            found.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }
}

impl Peer {
    pub(crate) fn connect(server: &Server) -> Self {
        let (address, config) = Self::way(server);
        Self::over(TcpStream::connect(address).unwrap(), config)
    }

    /// Plainly, to an address.
    pub(crate) fn connect_to(address: SocketAddr) -> Self {
        Self::over(TcpStream::connect(address).unwrap(), None)
    }

    /// Over TLS as this client, whatever the others do.
    pub(crate) fn connect_tls(server: &Server, config: &Arc<ClientConfig>) -> Self {
        Self::over(TcpStream::connect(server.tls_addresses()[0]).unwrap(), Some(config.clone()))
    }

    /// Likewise, to the server of that name.
    pub(crate) fn connect_tls_to(name: &str, server: &Server, config: &Arc<ClientConfig>) -> Self {
        let mut peer = Self::over(TcpStream::connect(server.tls_addresses()[0]).unwrap(), None);
        peer.session = Some(Box::new(tls::Client::asking_for(name, config)));
        peer
    }

    /// With a small receive buffer, so that the server soon has to wait for this client.
    pub(crate) fn connect_narrow(server: &Server) -> Self {
        let (address, config) = Self::way(server);
        let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
        socket.set_recv_buffer_size(4096).unwrap();
        socket.connect(&address.into()).unwrap();
        Self::over(socket.into(), config)
    }

    /// Where this client connects.
    pub(crate) fn address(server: &Server) -> SocketAddr {
        Self::way(server).0
    }

    /// Plain where the server speaks it.
    fn way(server: &Server) -> (SocketAddr, Option<Arc<ClientConfig>>) {
        match server.addresses().first() {
            Some(address) => (*address, None),
            None => (server.tls_addresses()[0], Some(tls::trusting())),
        }
    }

    pub(crate) fn over(socket: TcpStream, config: Option<Arc<ClientConfig>>) -> Self {
        socket.set_read_timeout(Some(DEADLINE)).unwrap();
        let session = config.map(|config| Box::new(tls::Client::new(&config)));
        Self { socket, session, received: Vec::new() }
    }

    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) -> &mut Self {
        match &mut self.session {
            None => self.socket.write_all(bytes.as_ref()).unwrap(),
            Some(session) => session.send(&mut self.socket, bytes.as_ref()).unwrap(),
        }
        self
    }

    pub(crate) fn get(&mut self, target: &str) -> Received {
        self.send(format!("GET {target} HTTP/1.1\r\nHost: test\r\n\r\n")).answer()
    }

    /// Its session, which it must have.
    pub(crate) fn session(&mut self) -> &mut tls::Client {
        self.session.as_mut().unwrap()
    }

    /// Shakes hands, where a session is to come about.
    pub(crate) fn shake_hands(&mut self) -> std::io::Result<()> {
        self.session.as_mut().map_or(Ok(()), |session| session.shake_hands(&mut self.socket))
    }

    /// Reads once; `false` at the end, said or not.
    fn fill(&mut self) -> bool {
        match self.try_fill() {
            Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => false,
            filled => filled.unwrap(),
        }
    }

    /// Reads once; `false` at the end. Over TLS an end that is not said is an error.
    fn try_fill(&mut self) -> std::io::Result<bool> {
        let mut piece = [0; 64 << 10];
        let len = match &mut self.session {
            None => self.socket.read(&mut piece)?,
            Some(session) => session.receive(&mut self.socket, &mut piece)?,
        };
        self.received.extend_from_slice(&piece[..len]);
        Ok(len > 0)
    }

    /// Reads until `wanted` bytes are here, and takes them.
    pub(crate) fn take(&mut self, wanted: usize) -> Vec<u8> {
        while self.received.len() < wanted {
            assert!(self.fill(), "closed after {} of {wanted} bytes", self.received.len());
        }
        let rest = self.received.split_off(wanted);
        std::mem::replace(&mut self.received, rest)
    }

    /// Reads a head.
    pub(crate) fn head(&mut self) -> Received {
        loop {
            if let Some(end) = self.received.windows(4).position(|window| window == b"\r\n\r\n") {
                let head = String::from_utf8(self.take(end + 4)).unwrap();
                let status = head.split(' ').nth(1).unwrap().parse().unwrap();
                return Received { status, head, body: Vec::new() };
            }
            assert!(self.fill(), "closed in a head: {:?}", String::from_utf8_lossy(&self.received));
        }
    }

    /// Reads a head and the body that it announces by `Content-Length`.
    pub(crate) fn answer(&mut self) -> Received {
        let mut answer = self.head();
        let len = answer.field("content-length").map_or(0, |len| len.parse().unwrap());
        answer.body = self.take(len);
        answer
    }

    /// Reads to the end of the connection.
    pub(crate) fn rest(mut self) -> Vec<u8> {
        while self.fill() {}
        self.received
    }

    /// Asserts that the server has closed and has sent nothing more.
    pub(crate) fn assert_closed(self) {
        let rest = self.rest();
        assert!(rest.is_empty(), "{:?}", String::from_utf8_lossy(&rest));
    }

    /// Reads to the end; `Err` if it was a reset, or over TLS a cut.
    pub(crate) fn rest_or_reset(mut self) -> std::io::Result<Vec<u8>> {
        while self.try_fill()? {}
        Ok(self.received)
    }

    pub(crate) fn close_sending(&mut self) -> &mut Self {
        if let Some(session) = &mut self.session {
            session.end(&mut self.socket).unwrap();
        }
        self.socket.shutdown(Shutdown::Write).unwrap();
        self
    }
}

/// Takes chunked coding apart; panics if it is not whole.
pub(crate) fn unchunked(mut bytes: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    loop {
        let end = bytes.windows(2).position(|window| window == b"\r\n").expect("a chunk's size");
        let size = usize::from_str_radix(std::str::from_utf8(&bytes[..end]).unwrap(), 16).unwrap();
        bytes = &bytes[end + 2..];
        body.extend_from_slice(&bytes[..size]);
        assert_eq!(&bytes[size..size + 2], b"\r\n");
        bytes = &bytes[size + 2..];
        if size == 0 {
            assert!(bytes.is_empty());
            return body;
        }
    }
}

/// Polls a condition that another thread is about to make true.
pub(crate) fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let begun = std::time::Instant::now();
    while !condition() {
        assert!(begun.elapsed() < DEADLINE, "{what} did not happen");
        std::thread::yield_now();
    }
}
