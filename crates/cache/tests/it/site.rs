//! A scripted origin that tells what changes, when the test says so.

use std::{
    collections::BTreeMap,
    io::Write,
    net::{Shutdown, TcpStream},
    sync::{Arc, Mutex},
};

use cache::Cache;
use protocol::{
    catalog::{File, Gone},
    changes::{Change, Hello, Stale},
    digest::Digests,
    info::{CHANGES, OBJECTS},
};

use crate::{
    origin::{Gate, Origin, Request, reply, serve},
    proxy::eventually,
};

/// Files under their paths, and the streams that are open.
pub(crate) struct Site {
    pub(crate) origin: Origin,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    files: BTreeMap<String, Vec<u8>>,
    streams: Vec<TcpStream>,
    /// What a stream begins with.
    opening: String,
    /// Instead of a stream.
    no_stream: Option<(&'static str, &'static str)>,
    is_broken: bool,
    hold_heads: Option<Gate>,
    held: usize,
}

pub(crate) const EPOCH: &str = "one";

/// How a stream begins.
pub(crate) fn hello(generation: u64) -> Hello {
    Hello { epoch: EPOCH.into(), generation, reset: false, heartbeat: 60, delay: 0 }
}

pub(crate) fn stale(path: &str) -> Change {
    Change::Stale(Stale { path: path.into() })
}

pub(crate) fn gone(path: &str, generation: u64) -> Change {
    Change::Gone(Gone { path: path.into(), generation })
}

pub(crate) fn file(path: &str, bytes: &[u8], generation: u64) -> Change {
    let Digests { md5, sha256 } = Digests::of(bytes);
    let (size, modified) = (bytes.len() as u64, "2026-11-22T01:41:00Z".into());
    Change::File(File { path: path.into(), size, md5, sha256, modified, generation })
}

impl Site {
    pub(crate) fn start(opening: &Hello) -> Self {
        let opening = Change::Hello(opening.clone()).to_text();
        let state = Arc::new(Mutex::new(State { opening, ..State::default() }));
        let shared = state.clone();
        let origin = Origin::start(move |request, stream| answer(&shared, request, stream));
        Self { origin, state }
    }

    pub(crate) fn url(&self) -> String {
        format!("outpost+{}", self.origin.url())
    }

    pub(crate) fn put(&self, path: &str, bytes: &[u8]) {
        self.state.lock().unwrap().files.insert(path.into(), bytes.into());
    }

    pub(crate) fn remove(&self, path: &str) {
        self.state.lock().unwrap().files.remove(path);
    }

    /// From the next stream on.
    pub(crate) fn open_with(&self, opening: &Hello) {
        self.state.lock().unwrap().opening = Change::Hello(opening.clone()).to_text();
    }

    pub(crate) fn open_with_text(&self, opening: &str) {
        self.state.lock().unwrap().opening = opening.into();
    }

    pub(crate) fn refuse_streams(&self, status: &'static str, field: &'static str) {
        self.state.lock().unwrap().no_stream = Some((status, field));
    }

    /// Streams go on, and everything else is answered with 500.
    pub(crate) fn break_files(&self) {
        self.state.lock().unwrap().is_broken = true;
    }

    pub(crate) fn hold_heads(&self, gate: &Gate) {
        self.state.lock().unwrap().hold_heads = Some(gate.clone());
    }

    pub(crate) fn held(&self) -> usize {
        self.state.lock().unwrap().held
    }

    /// Says something on all streams.
    pub(crate) fn say(&self, text: &str) {
        for stream in &mut self.state.lock().unwrap().streams {
            // The other side may have ended it.
            let _ = stream.write_all(text.as_bytes());
        }
    }

    /// Tells changes, and waits until the cache has taken them.
    pub(crate) fn tell(&self, cache: &Cache, changes: &[Change]) {
        let taken = || cache.counters().changes.load(std::sync::atomic::Ordering::Relaxed);
        let expected = taken() + changes.len() as u64;
        self.say(&changes.iter().map(Change::to_text).collect::<String>());
        eventually("the changes are taken", || taken() == expected);
    }

    /// Ends all streams.
    pub(crate) fn cut(&self) {
        for stream in self.state.lock().unwrap().streams.drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    /// What was asked besides streams.
    pub(crate) fn questions(&self) -> Vec<String> {
        self.origin.asked().into_iter().filter(|asked| !asked.contains(CHANGES)).collect()
    }

    /// How the streams were asked for.
    pub(crate) fn streams_asked(&self) -> Vec<Request> {
        self.origin.requests().into_iter().filter(|request| request.target.starts_with(CHANGES)).collect()
    }
}

fn answer(state: &Mutex<State>, request: &Request, stream: &mut TcpStream) {
    if request.target.starts_with(CHANGES) {
        return begin_stream(&mut state.lock().unwrap(), request, stream);
    }
    let (gate, found) = {
        let mut state = state.lock().unwrap();
        if state.is_broken {
            return reply(request, stream, "500 Broken", &[("Content-Length", "0")], b"");
        }
        if request.target == "/" {
            let body = br#"{"path":"/","entries":[]}"#;
            return reply(request, stream, "200 OK", &[("Content-Length", &body.len().to_string())], body);
        }
        let gate = state.hold_heads.clone().filter(|_| request.method == "HEAD");
        // What was there when it was asked.
        let found = find(&state, &request.target);
        state.held += usize::from(gate.is_some());
        (gate, found)
    };
    if let Some(gate) = gate {
        gate.wait();
    }
    match found {
        None => reply(request, stream, "404 Not Found", &[("Content-Length", "0")], b""),
        Some(bytes) => {
            let digests = Digests::of(&bytes);
            let (digest, etag) = (digests.md5.repr_digest(), format!("\"{}\"", digests.md5));
            let fields =
                [("Repr-Digest", &*digest), ("ETag", &*etag), ("Last-Modified", "Sun, 22 Nov 2026 01:41:00 GMT")];
            serve(request, stream, &bytes, &fields, bytes.len());
        }
    }
}

fn find(state: &State, target: &str) -> Option<Vec<u8>> {
    let Some(object) = target.strip_prefix(OBJECTS) else { return state.files.get(target).cloned() };
    let md5 = object.split('?').next().unwrap_or(object);
    state.files.values().find(|bytes| Digests::of(bytes).md5.to_string() == md5).cloned()
}

fn begin_stream(state: &mut State, request: &Request, stream: &mut TcpStream) {
    if let Some((status, field)) = state.no_stream {
        return reply(request, stream, status, &[("Content-Length", "0"), ("Retry-After", field)], b"");
    }
    let opening = state.opening.clone();
    reply(request, stream, "200 OK", &[("Content-Type", "text/event-stream")], opening.as_bytes());
    state.streams.push(stream.try_clone().unwrap());
}
