//! A scripted upstream: a closure writes each answer to the socket, and every request is kept.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Condvar, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

use crate::client::DEADLINE;

/// One request to the upstream.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) method: String,
    pub(crate) target: String,
    fields: Vec<(String, String)>,
    pub(crate) body: Body,
}

/// A request's body.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) enum Body {
    #[default]
    Arriving,
    /// As its framing announces it.
    Whole(Vec<u8>),
    Cut,
}

impl Request {
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// The bytes of its body, which came wholly.
    pub(crate) fn sent(&self) -> Vec<u8> {
        match &self.body {
            Body::Whole(bytes) => bytes.clone(),
            Body::Arriving | Body::Cut => Vec::new(),
        }
    }

    /// The first byte that `Range` asks for.
    pub(crate) fn range_start(&self) -> Option<usize> {
        self.field("Range")?.strip_prefix("bytes=")?.strip_suffix('-')?.parse().ok()
    }
}

/// A listener; dropping it closes the port.
pub(crate) struct Origin {
    pub(crate) address: SocketAddr,
    requests: Arc<Mutex<Vec<Request>>>,
    stopped: Arc<AtomicBool>,
}

impl Origin {
    pub(crate) fn start(script: impl Fn(&Request, &mut TcpStream) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (requests, stopped) = (Arc::<Mutex<Vec<Request>>>::default(), Arc::new(AtomicBool::new(false)));
        let (kept, script, is_stopped) = (requests.clone(), Arc::new(script), stopped.clone());
        thread::spawn(move || {
            for stream in listener.incoming() {
                if is_stopped.load(Ordering::Acquire) {
                    return;
                }
                let (kept, script) = (kept.clone(), script.clone());
                thread::spawn(move || {
                    let mut stream = stream.unwrap();
                    let mut reader = BufReader::new(&stream);
                    let Some(mut request) = read_head(&mut reader) else { return };
                    let number = {
                        let mut kept = kept.lock().unwrap();
                        kept.push(request.clone());
                        kept.len() - 1
                    };
                    request.body = read_body(&request, &mut reader).map_or(Body::Cut, Body::Whole);
                    kept.lock().unwrap()[number].body = request.body.clone();
                    script(&request, &mut stream);
                });
            }
        });
        Self { address, requests, stopped }
    }

    /// One that keeps its connections open: `answer` says what is written for each request, of which the number on its connection is told.
    pub(crate) fn persistent(answer: impl Fn(usize, &Request) -> String + Send + Sync + 'static) -> Self {
        Self::start(move |request, stream| {
            let _ = stream.write_all(answer(0, request).as_bytes());
            let again = stream.try_clone().unwrap();
            let mut reader = BufReader::new(&again);
            for number in 1.. {
                let Some(request) = read_head(&mut reader) else { return };
                let _ = stream.write_all(answer(number, &request).as_bytes());
            }
        })
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/", self.address)
    }

    pub(crate) fn requests(&self) -> Vec<Request> {
        self.requests.lock().unwrap().clone()
    }

    /// `METHOD TARGET` of each request.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.requests().iter().map(|request| format!("{} {}", request.method, request.target)).collect()
    }
}

impl Drop for Origin {
    fn drop(&mut self) {
        self.stopped.store(true, Ordering::Release);
        // Wakes the listener, so that it sees it.
        let _ = TcpStream::connect(self.address);
    }
}

fn read_head(reader: &mut impl BufRead) -> Option<Request> {
    let first = read_line(reader)?;
    let mut words = first.split(' ');
    let (method, target) = (words.next()?.to_owned(), words.next()?.to_owned());
    let mut fields = Vec::new();
    loop {
        let line = read_line(reader)?;
        if line.is_empty() {
            return Some(Request { method, target, fields, body: Body::Arriving });
        }
        let (name, value) = line.split_once(": ")?;
        fields.push((name.to_owned(), value.to_owned()));
    }
}

fn read_body(request: &Request, reader: &mut impl BufRead) -> Option<Vec<u8>> {
    match (request.field("Content-Length"), request.field("Transfer-Encoding")) {
        (Some(len), _) => read_bytes(reader, len.parse().ok()?),
        (None, Some(_)) => read_chunks(reader),
        (None, None) => Some(Vec::new()),
    }
}

fn read_line(reader: &mut impl BufRead) -> Option<String> {
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    Some(line.strip_suffix("\r\n")?.to_owned())
}

fn read_bytes(reader: &mut impl Read, len: usize) -> Option<Vec<u8>> {
    let mut bytes = vec![0; len];
    reader.read_exact(&mut bytes).ok()?;
    Some(bytes)
}

fn read_chunks(reader: &mut impl BufRead) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let len = usize::from_str_radix(&read_line(reader)?, 16).ok()?;
        body.extend(read_bytes(reader, len)?);
        if !read_line(reader)?.is_empty() {
            return None;
        }
        if len == 0 {
            return Some(body);
        }
    }
}

/// Writes a head with `Connection: close` and then, unless it is a HEAD, a body.
pub(crate) fn reply(request: &Request, stream: &mut TcpStream, status: &str, fields: &[(&str, &str)], body: &[u8]) {
    let mut head = format!("HTTP/1.1 {status}\r\nConnection: close\r\n");
    for (name, value) in fields {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str("\r\n");
    // The other side may have gone: that is its business.
    let _ = stream.write_all(head.as_bytes());
    if request.method != "HEAD" {
        let _ = stream.write_all(body);
    }
}

/// 200, or 206 for a range, with `Content-Length`; only bytes up to `cut` are sent.
pub(crate) fn serve(request: &Request, stream: &mut TcpStream, content: &[u8], fields: &[(&str, &str)], cut: usize) {
    let start = request.range_start().unwrap_or(0);
    let len = (content.len() - start).to_string();
    let range = format!("bytes {start}-{}/{}", content.len().saturating_sub(1), content.len());
    let mut all = fields.to_vec();
    all.push(("Content-Length", &len));
    let status = if start > 0 { "206 Partial Content" } else { "200 OK" };
    if start > 0 {
        all.push(("Content-Range", &range));
    }
    reply(request, stream, status, &all, &content[start..cut.max(start)]);
}

/// Closed until it is opened.
#[derive(Clone, Default)]
pub(crate) struct Gate(Arc<(Mutex<bool>, Condvar)>);

impl Gate {
    pub(crate) fn open(&self) {
        *self.0.0.lock().unwrap() = true;
        self.0.1.notify_all();
    }

    pub(crate) fn wait(&self) {
        let is_open = self.0.0.lock().unwrap();
        let (_open, waited) = self.0.1.wait_timeout_while(is_open, DEADLINE, |is_open| !*is_open).unwrap();
        assert!(!waited.timed_out(), "the gate was not opened");
    }
}
