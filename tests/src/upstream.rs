//! The scripted upstream: a web server that does exactly what [`crate::script`] says, and remembers what it was asked.

use std::{
    collections::HashMap,
    io::{self, BufReader, Read, Write},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU16, AtomicU64, Ordering::SeqCst},
    },
    thread,
    time::{Duration, Instant},
};

use bytes::Bytes;
use socket2::SockRef;

use crate::{
    script::{Framing, Page, Reply, Stop},
    wait,
    wire::{self, Fields},
};

/// Bytes handed to the kernel at once.
const PIECE: u64 = 64 << 10;
/// What the kernel may hold of what was sent: small, so that the bytes counted here are nearly those that crossed the line.
const SEND_BUFFER: usize = 64 << 10;

/// A scripted web server on a port of its own. Dropping it closes every connection.
pub struct ScriptedUpstream {
    shared: Arc<Shared>,
    listener: TcpListener,
    address: SocketAddr,
}

struct Shared {
    pages: Mutex<HashMap<String, Page>>,
    asked: Mutex<Vec<Arc<Asked>>>,
    connections: Mutex<HashMap<u64, Arc<TcpStream>>>,
    accepted: AtomicU64,
    closed: AtomicBool,
    silent: AtomicBool,
}

/// A request as it came, and how much was sent in return.
#[derive(Debug)]
pub struct Asked {
    /// `GET`, `HEAD`...
    pub method: String,
    /// As on the request line.
    pub target: String,
    /// The field lines.
    pub fields: Fields,
    status: AtomicU16,
    sent: AtomicU64,
}

impl Asked {
    /// The `Range` it asked for.
    pub fn range(&self) -> Option<&str> {
        self.fields.first("Range")
    }

    /// Status of the answer.
    pub fn status(&self) -> u16 {
        self.status.load(SeqCst)
    }

    /// Body bytes of the answer that were handed to the kernel.
    pub fn sent(&self) -> u64 {
        self.sent.load(SeqCst)
    }
}

impl ScriptedUpstream {
    /// On a free port, with nothing to serve.
    pub fn start() -> Self {
        Self::listen(TcpListener::bind("127.0.0.1:0").expect("a free port on loopback"))
    }

    /// Once more at the address of one that was stopped, with nothing to serve.
    pub fn start_at(address: SocketAddr) -> Self {
        Self::listen(TcpListener::bind(address).expect("the port that was just left"))
    }

    fn listen(listener: TcpListener) -> Self {
        let address = listener.local_addr().expect("a bound listener has an address");
        let shared = Arc::new(Shared {
            pages: Mutex::default(),
            asked: Mutex::default(),
            connections: Mutex::default(),
            accepted: AtomicU64::new(0),
            closed: AtomicBool::new(false),
            silent: AtomicBool::new(false),
        });
        let accepting = listener.try_clone().expect("a second handle to the listener");
        let for_thread = shared.clone();
        thread::spawn(move || accept(&accepting, &for_thread));
        Self { shared, listener, address }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// As an upstream is written in a configuration.
    pub fn url(&self) -> String {
        format!("http://{}/", self.address)
    }

    /// Puts a page at a path, in place of what was there; answers in progress go on with what they began with.
    pub fn publish(&self, path: &str, page: Page) {
        self.shared.pages.lock().expect("no holder panics").insert(path.into(), page);
    }

    /// From now on requests are read and never answered, or answered again.
    pub fn be_silent(&self, silent: bool) {
        self.shared.silent.store(silent, SeqCst);
    }

    /// Closes the port and every connection; connecting is refused from then on. Answers where it was.
    pub fn stop(self) -> SocketAddr {
        self.address
    }

    /// Every request so far.
    pub fn asked_at_all(&self) -> Vec<Arc<Asked>> {
        self.shared.asked.lock().expect("no holder panics").clone()
    }

    /// Every request for a path so far.
    pub fn asked(&self, path: &str) -> Vec<Arc<Asked>> {
        self.asked_at_all().into_iter().filter(|asked| asked.target == path).collect()
    }

    /// How many GETs came for a path.
    pub fn gets(&self, path: &str) -> usize {
        self.asked(path).iter().filter(|asked| asked.method == "GET").count()
    }

    /// Body bytes sent for a path in all.
    pub fn body_bytes(&self, path: &str) -> u64 {
        self.asked(path).iter().map(|asked| asked.sent()).sum()
    }
}

impl Drop for ScriptedUpstream {
    fn drop(&mut self) {
        self.shared.closed.store(true, SeqCst);
        // On Linux this wakes the accept that waits; closing alone would not.
        let _ = SockRef::from(&self.listener).shutdown(Shutdown::Both);
        for connection in self.shared.connections.lock().expect("no holder panics").values() {
            let _ = connection.shutdown(Shutdown::Both);
        }
    }
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    for stream in listener.incoming() {
        if shared.closed.load(SeqCst) {
            return;
        }
        let Ok(stream) = stream else { return };
        let shared = shared.clone();
        thread::spawn(move || {
            let number = shared.accepted.fetch_add(1, SeqCst);
            let stream = Arc::new(stream);
            shared.connections.lock().expect("no holder panics").insert(number, stream.clone());
            // However a conversation ends, nobody but the other side is to be told.
            let _ = converse(&stream, &shared);
            shared.connections.lock().expect("no holder panics").remove(&number);
        });
    }
}

fn converse(stream: &TcpStream, shared: &Shared) -> io::Result<()> {
    stream.set_nodelay(true)?;
    SockRef::from(stream).set_send_buffer_size(SEND_BUFFER)?;
    let mut reader = BufReader::new(stream);
    while let Some(head) = wire::read_head(&mut reader)? {
        let mut words = head.start.split(' ');
        let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        let asked = Arc::new(Asked {
            method: method.into(),
            target: target.into(),
            fields: head.fields,
            status: AtomicU16::new(0),
            sent: AtomicU64::new(0),
        });
        shared.asked.lock().expect("no holder panics").push(asked.clone());
        wire::Framing::of_request(&asked.fields)?.drain(&mut reader)?;
        let goes_on = !shared.silent.load(SeqCst) && answer(stream, shared, &asked)?;
        if !goes_on {
            return stay_until_closed(&mut reader);
        }
    }
    Ok(())
}

/// Answers one request. `false`: nothing more is said on this connection, which stays open.
fn answer(stream: &TcpStream, shared: &Shared, asked: &Asked) -> io::Result<bool> {
    let taken = {
        let mut pages = shared.pages.lock().expect("no holder panics");
        pages.get_mut(&asked.target).map(|page| {
            let reply = if asked.method == "GET" { page.take_reply() } else { Reply::right() };
            (page.clone(), reply)
        })
    };
    let Some((page, reply)) = taken else { return say(stream, asked, 404).map(|()| true) };
    if reply.before_head.as_ref().is_some_and(|gate| !gate.pass()) {
        return Ok(false);
    }
    if let Some(status) = reply.status {
        return say(stream, asked, status).map(|()| true);
    }
    let plan = Plan::new(&page, &reply, asked);
    asked.status.store(plan.status, SeqCst);
    (&*stream).write_all(plan.head.as_bytes())?;
    if asked.method == "HEAD" || plan.status == 304 {
        return Ok(true);
    }
    send_body(stream, &plan, &reply, asked)
}

/// A status and a line of text.
fn say(stream: &TcpStream, asked: &Asked, status: u16) -> io::Result<()> {
    asked.status.store(status, SeqCst);
    let text = if asked.method == "HEAD" { String::new() } else { format!("scripted {status}\n") };
    let head = format!(
        "HTTP/1.1 {status} Scripted\r\nContent-Length: {}\r\nContent-Type: text/plain\r\n\r\n",
        format!("scripted {status}\n").len()
    );
    (&*stream).write_all(format!("{head}{text}").as_bytes())
}

/// What is to be sent, decided before the first byte of it.
struct Plan {
    status: u16,
    head: String,
    body: Bytes,
    start: u64,
    end: u64,
}

impl Plan {
    fn new(page: &Page, reply: &Reply, asked: &Asked) -> Self {
        let body = reply.body.clone().unwrap_or_else(|| page.content.bytes().clone());
        let len = body.len() as u64;
        let unchanged = is_unchanged(page, asked);
        let range = if reply.ignores_range || unchanged { None } else { asked_range(page, reply, asked, len) };
        let (start, end) = range.unwrap_or((0, len));
        let status = match (unchanged, range) {
            (true, _) => 304,
            (false, Some(_)) => 206,
            (false, None) => 200,
        };
        let mut head = format!("HTTP/1.1 {status} Scripted\r\nAccept-Ranges: bytes\r\n");
        let mut field = |name: &str, value: &str| head.push_str(&format!("{name}: {value}\r\n"));
        page.fields.iter().for_each(|(name, value)| field(name, value));
        reply.etag.as_ref().or(page.etag.as_ref()).iter().for_each(|tag| field("ETag", tag));
        page.last_modified.iter().for_each(|date| field("Last-Modified", date));
        if status != 304 {
            field("Content-Type", "application/octet-stream");
            match reply.framing {
                Framing::Length => {
                    field("Content-Length", &(end - start).saturating_add_signed(reply.length_off_by).to_string());
                }
                Framing::Chunked => field("Transfer-Encoding", "chunked"),
                Framing::UntilClose => field("Connection", "close"),
            }
        }
        if status == 206 {
            let off = reply.content_range_off_by;
            let (first, last) = (start.saturating_add_signed(off), (end - 1).saturating_add_signed(off));
            field("Content-Range", &format!("bytes {first}-{last}/{len}"));
        }
        head.push_str("\r\n");
        Self { status, head, body, start, end }
    }
}

/// RFC 9110 section 13.2.2, as far as a cache needs it.
fn is_unchanged(page: &Page, asked: &Asked) -> bool {
    match asked.fields.first("If-None-Match") {
        Some(tags) => page.etag.as_deref().is_some_and(|tag| tags.split(',').any(|asked| asked.trim() == tag)),
        None => {
            page.last_modified.is_some() && asked.fields.first("If-Modified-Since") == page.last_modified.as_deref()
        }
    }
}

/// One range from a first byte on, under `If-Range`; what is odd is ignored.
fn asked_range(page: &Page, reply: &Reply, asked: &Asked, len: u64) -> Option<(u64, u64)> {
    let condition = asked.fields.first("If-Range");
    let is_current =
        |validator| Some(validator) == page.etag.as_deref() || Some(validator) == page.last_modified.as_deref();
    if !reply.ignores_if_range && condition.is_some_and(|validator| !is_current(validator)) {
        return None;
    }
    let (first, last) = asked.range()?.strip_prefix("bytes=")?.split_once('-')?;
    let first: u64 = first.parse().ok()?;
    let end = if last.is_empty() { len } else { last.parse::<u64>().ok()?.saturating_add(1).min(len) };
    (first < end).then_some((first, end))
}

/// Sends the planned bytes, stopping where the script says. `false` as for [`answer`].
fn send_body(stream: &TcpStream, plan: &Plan, reply: &Reply, asked: &Asked) -> io::Result<bool> {
    let mut pace = reply.bytes_per_second.map(Pace::new);
    let mut stops = reply.stops.iter().skip_while(|(at, _)| *at < plan.start).peekable();
    let mut position = plan.start;
    loop {
        while let Some((_, stop)) = stops.next_if(|(at, _)| *at == position) {
            match stop {
                Stop::Hold(gate) if gate.pass() => {}
                Stop::Hold(_) | Stop::Close => return Err(closed(stream)),
                Stop::Stall => return Ok(false),
                Stop::Reset => {
                    SockRef::from(stream).set_linger(Some(Duration::ZERO))?;
                    return Err(io::ErrorKind::ConnectionReset.into());
                }
            }
        }
        if position == plan.end {
            break;
        }
        let next_stop = stops.peek().map_or(plan.end, |(at, _)| (*at).min(plan.end));
        let piece = pace.as_ref().map_or(PIECE, Pace::piece);
        let next = next_stop.min(position + piece);
        send_piece(stream, reply.framing, &plan.body[position as usize..next as usize])?;
        asked.sent.fetch_add(next - position, SeqCst);
        if let Some(pace) = &mut pace {
            pace.spend(next - position);
        }
        position = next;
    }
    match reply.framing {
        Framing::Chunked => (&*stream).write_all(b"0\r\n\r\n").map(|()| true),
        Framing::Length if reply.length_off_by == 0 => Ok(true),
        // Where the length was a lie, only the close is left to tell the end.
        Framing::Length | Framing::UntilClose => Err(closed(stream)),
    }
}

fn send_piece(mut stream: &TcpStream, framing: Framing, piece: &[u8]) -> io::Result<()> {
    if framing != Framing::Chunked {
        return stream.write_all(piece);
    }
    stream.write_all(format!("{:x}\r\n", piece.len()).as_bytes())?;
    stream.write_all(piece)?;
    stream.write_all(b"\r\n")
}

/// Ends the conversation with a close that still sends what was written.
fn closed(stream: &TcpStream) -> io::Error {
    let _ = stream.shutdown(Shutdown::Both);
    io::ErrorKind::ConnectionAborted.into()
}

/// Reads what still comes and throws it away, so that the other side sees neither an answer nor a close.
fn stay_until_closed(reader: &mut impl Read) -> io::Result<()> {
    io::copy(reader, &mut io::sink()).map(drop)
}

/// A steady line: never ahead of its rate by more than a piece.
struct Pace {
    rate: u64,
    began: Instant,
    spent: u64,
}

impl Pace {
    fn new(rate: u64) -> Self {
        Self { rate, began: Instant::now(), spent: 0 }
    }

    /// What goes out at once: a fiftieth of a second's worth.
    fn piece(&self) -> u64 {
        (self.rate / 50).clamp(1, PIECE)
    }

    fn spend(&mut self, bytes: u64) {
        self.spent += bytes;
        let due = self.began + Duration::from_secs_f64(self.spent as f64 / self.rate as f64);
        wait::pause(due.saturating_duration_since(Instant::now()));
    }
}
