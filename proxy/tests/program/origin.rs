//! A scripted origin: it enrols, delivers, takes reports, and gives files by their digests, exactly as told.

use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use protocol::digest::Md5;
use serde_json::{Value, json};

/// Far beyond what anything here takes.
const PATIENCE: Duration = Duration::from_secs(20);

/// The token that it takes.
pub(crate) const TOKEN: &str = "0123456789abcdef0123";

pub(crate) struct Origin {
    shared: Arc<Shared>,
    pub(crate) address: SocketAddr,
}

struct Shared {
    script: Mutex<Script>,
    is_gone: AtomicBool,
    connections: Mutex<Vec<TcpStream>>,
}

/// What it does, and what it was told.
#[derive(Default)]
pub(crate) struct Script {
    /// It knows nothing of members.
    pub(crate) is_old: bool,
    /// Credentials that it takes; the last one is given to who enrols.
    pub(crate) credentials: Vec<String>,
    pub(crate) configuration: Value,
    /// It wants to be told everything, once.
    pub(crate) wants_all: bool,
    /// It answers reports with 500.
    pub(crate) is_broken: bool,
    pub(crate) files: BTreeMap<String, Vec<u8>>,
    pub(crate) enrolled: Vec<Value>,
    pub(crate) reports: Vec<Value>,
    /// Streams of changes, to be written to.
    pub(crate) streams: Vec<TcpStream>,
    /// What a stream begins with.
    pub(crate) told_at_once: String,
}

impl Origin {
    pub(crate) fn start(script: Script) -> Self {
        Self::listen(TcpListener::bind("127.0.0.1:0").unwrap(), script)
    }

    fn listen(listener: TcpListener, script: Script) -> Self {
        let address = listener.local_addr().unwrap();
        let shared =
            Arc::new(Shared { script: Mutex::new(script), is_gone: false.into(), connections: Mutex::default() });
        let serving = shared.clone();
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if serving.is_gone.load(Ordering::Acquire) {
                    return;
                }
                serving.connections.lock().push(stream.try_clone().unwrap());
                let shared = serving.clone();
                thread::spawn(move || shared.serve(stream));
            }
        });
        Self { shared, address }
    }

    /// Everything is cut off, and nobody listens any more.
    pub(crate) fn kill(&self) {
        self.shared.is_gone.store(true, Ordering::Release);
        drop(TcpStream::connect(self.address));
        for stream in self.shared.connections.lock().drain(..) {
            let _ = stream.shutdown(std::net::Shutdown::Both);
        }
    }

    pub(crate) fn change<T>(&self, change: impl FnOnce(&mut Script) -> T) -> T {
        change(&mut self.shared.script.lock())
    }

    /// Delivers these options from now on.
    pub(crate) fn deliver(&self, generation: u64, options: Value) {
        self.change(|script| script.configuration = configuration(generation, options));
    }

    /// Looks until it has been told something.
    pub(crate) fn when<T>(&self, what: &str, look: impl Fn(&Script) -> Option<T>) -> T {
        let began = Instant::now();
        loop {
            if let Some(found) = look(&self.shared.script.lock()) {
                return found;
            }
            let reports =
                || self.change(|script| format!("{:#?}", script.reports.iter().rev().take(3).collect::<Vec<_>>()));
            assert!(began.elapsed() < PATIENCE, "{what} did not come about: {}", reports());
            thread::yield_now();
        }
    }
}

impl Drop for Origin {
    fn drop(&mut self) {
        self.kill();
    }
}

pub(crate) fn configuration(generation: u64, options: Value) -> Value {
    json!({"generation": generation, "domain": "hq.north", "tier": "constrained", "options": options, "proxies": [],
           "origins": [], "source_expiry": 600})
}

struct Request {
    method: String,
    target: String,
    bearer: Option<String>,
    body: Vec<u8>,
}

impl Shared {
    fn serve(&self, mut stream: TcpStream) {
        let mut reader = BufReader::new(stream.try_clone().unwrap());
        while let Some(request) = read(&mut reader) {
            if request.target.starts_with("/.outpost/v1/changes") && !self.script.lock().is_old {
                return self.follow(stream);
            }
            let (status, fields, body) = self.answer(&request);
            let length = body.len();
            let head = format!("HTTP/1.1 {status} X\r\nContent-Length: {length}\r\n{fields}\r\n");
            let body = if request.method == "HEAD" { &[][..] } else { &body };
            if stream.write_all(&[head.as_bytes(), body].concat()).is_err() {
                return;
            }
        }
    }

    fn follow(&self, mut stream: TcpStream) {
        let mut script = self.script.lock();
        let hello = "event: hello\ndata: {\"epoch\":\"e\",\"generation\":1,\"heartbeat\":600}\n\n";
        let text = format!("{hello}{}", script.told_at_once);
        let head = "HTTP/1.1 200 X\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n";
        if stream.write_all(format!("{head}{text}").as_bytes()).is_ok() {
            script.streams.push(stream);
        }
    }

    fn answer(&self, request: &Request) -> (u16, String, Vec<u8>) {
        let mut script = self.script.lock();
        let json =
            |value: Value| (200, "Content-Type: application/json\r\n".to_owned(), value.to_string().into_bytes());
        let problem = |status: u16, detail: &str| {
            let body =
                json!({"type": "urn:outpost:problem:not-allowed", "title": "no", "status": status, "detail": detail});
            (status, "Content-Type: application/problem+json\r\n".to_owned(), body.to_string().into_bytes())
        };
        let is_known = request.bearer.as_ref().is_some_and(|bearer| script.credentials.contains(bearer));
        let target = request.target.split('?').next().unwrap_or_default();
        match target {
            "/.outpost/v1/enrol" | "/.outpost/v1/configuration" | "/.outpost/v1/reports" if script.is_old => {
                problem(404, "there is nothing here")
            }
            "/.outpost/v1/enrol" if request.bearer.as_deref() != Some(TOKEN) => problem(401, "there is no such token"),
            "/.outpost/v1/enrol" => {
                script.enrolled.push(serde_json::from_slice(&request.body).unwrap());
                let credential = format!("credential-{}", script.enrolled.len());
                script.credentials.push(credential.clone());
                json(json!({ "credential": credential }))
            }
            "/.outpost/v1/configuration" if is_known => json(script.configuration.clone()),
            "/.outpost/v1/reports" if is_known && script.is_broken => problem(500, "the registry is away"),
            "/.outpost/v1/reports" if is_known => {
                script.reports.push(serde_json::from_slice(&request.body).unwrap());
                let full = std::mem::take(&mut script.wants_all);
                json(json!({"full": full, "next_in": 600, "expires_in": 1800}))
            }
            "/.outpost/v1/configuration" | "/.outpost/v1/reports" => problem(401, "there is no such node"),
            path => file(&script, path).map_or_else(
                || problem(404, "there is no such file"),
                |(bytes, md5)| {
                    let fields = format!("ETag: \"{md5}\"\r\nRepr-Digest: {}\r\n", md5.repr_digest());
                    (200, fields, bytes)
                },
            ),
        }
    }
}

fn file(script: &Script, path: &str) -> Option<(Vec<u8>, Md5)> {
    let with_digest = |bytes: &Vec<u8>| (bytes.clone(), Md5::of(bytes));
    match path.strip_prefix("/.outpost/v1/objects/") {
        Some(md5) => script.files.values().map(with_digest).find(|(_, found)| found.to_string() == md5),
        None => script.files.get(path).map(with_digest),
    }
}

fn read(reader: &mut BufReader<TcpStream>) -> Option<Request> {
    let mut line = String::new();
    reader.read_line(&mut line).ok().filter(|read| *read > 0)?;
    let mut words = line.split(' ');
    let (method, target) = (words.next()?.to_owned(), words.next()?.to_owned());
    let (mut bearer, mut length) = (None, 0);
    loop {
        let mut field = String::new();
        reader.read_line(&mut field).ok().filter(|read| *read > 0)?;
        let Some((name, value)) = field.trim_end().split_once(':') else { break };
        match name.to_ascii_lowercase().as_str() {
            "authorization" => bearer = value.trim().strip_prefix("Bearer ").map(str::to_owned),
            "content-length" => length = value.trim().parse().ok()?,
            _ => {}
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some(Request { method, target, bearer, body })
}
