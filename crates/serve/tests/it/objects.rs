//! Objects of the store: sealed and growing, of known and unknown length, whole and failing.

use std::sync::{Arc, atomic::Ordering::Relaxed};

use bytes::Bytes;
use http::StatusCode;
use protocol::{
    digest::{Claims, Md5},
    span::Span,
};
use serve::{
    handler::Answer,
    multipart::byteranges,
    response::{Body, Part, Response},
    server::Server,
    source::Source,
};
use store::{Fill, FillSpec, Limit, Options, Reader, Store};
use tokio::runtime::Runtime;

use crate::common::*;

/// Of every fill, followers get this last.
pub(super) const TAIL: usize = 64 << 10;

/// A store, and a server of whatever reader the test gives it.
pub(super) struct Bench {
    runtime: Runtime,
    store: Store,
    reader: Arc<parking_lot::Mutex<Option<Reader>>>,
    pub(super) server: Server,
    _dir: tempfile::TempDir,
}

impl Bench {
    pub(super) fn new() -> Self {
        let dir = tempfile::tempdir_in("/var/tmp").unwrap();
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let mut options = Options::new(dir.path().join("cache"));
        (options.max_size, options.min_free) = (Limit::Bytes(1 << 30), Limit::Bytes(0));
        let store = runtime.block_on(async { Store::open(options).unwrap() });
        let reader: Arc<parking_lot::Mutex<Option<Reader>>> = Arc::default();
        let served = reader.clone();
        let server = start(super::options(), move |request, _| {
            let target = std::str::from_utf8(request.target).unwrap();
            let source = Source::Object(served.lock().clone().unwrap());
            let mut response = Response::new(StatusCode::OK);
            response.body = Body::File { part: part(target, source.len()), source };
            Answer::Now(response)
        });
        Self { runtime, store, reader, server, _dir: dir }
    }

    pub(super) fn begin(&self, len: Option<usize>, claims: Claims) -> Fill {
        let spec = FillSpec { len: len.map(|len| len as u64), claims, ..FillSpec::default() };
        let fill = self.runtime.block_on(self.store.fill(spec)).unwrap();
        *self.reader.lock() = Some(fill.reader());
        fill
    }

    pub(super) fn push(&self, fill: &mut Fill, bytes: &[u8]) {
        self.runtime.block_on(fill.push(Bytes::copy_from_slice(bytes))).unwrap();
    }

    /// Before its turn.
    pub(super) fn push_at(&self, fill: &Fill, offset: usize, bytes: &[u8]) {
        self.runtime.block_on(fill.push_at(offset as u64, Bytes::copy_from_slice(bytes))).unwrap();
    }

    pub(super) fn seal(&self, fill: Fill) {
        let reader = self.runtime.block_on(async { fill.verify(true).await.unwrap().commit().await.unwrap() });
        *self.reader.lock() = Some(reader);
    }

    pub(super) fn sealed(&self, content: &[u8]) {
        let mut fill = self.begin(Some(content.len()), Claims::default());
        content.chunks(1 << 20).for_each(|piece| self.push(&mut fill, piece));
        self.seal(fill);
    }
}

/// `/` for all, `/START-END` for a span, `/START-END,START-END` for several.
fn part(target: &str, len: Option<u64>) -> Part {
    let span = |text: &str| {
        let (start, end) = text.split_once('-').unwrap();
        Span::new(start.parse().unwrap(), end.parse().unwrap())
    };
    match target[1..].split(',').collect::<Vec<_>>()[..] {
        [""] => Part::Whole,
        [one] => Part::Span(span(one)),
        ref many => byteranges(&many.iter().map(|text| span(text)).collect::<Vec<_>>(), len.unwrap(), "").0,
    }
}

const GET: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";

#[test]
fn sealed_objects_of_every_size_arrive_whole() {
    let bench = Bench::new();
    for len in [0, 1, 1000, 16 << 10, (16 << 10) + 1, 100_000, 2 << 20, 9 << 20] {
        let content = pattern(len);
        bench.sealed(&content);
        let mut peer = Peer::connect(&bench.server);
        peer.send(GET.repeat(3));
        for _ in 0..3 {
            assert!(peer.answer().body == content, "{len}");
        }
    }
}

#[test]
fn a_follower_of_many_small_steps_gets_every_byte_once() {
    // More steps than a step that doubles can count.
    const STEPS: usize = 100;
    let bench = Bench::new();
    let content = pattern(STEPS * 1000 + TAIL);
    let mut fill = bench.begin(Some(content.len()), Claims::default());
    let mut peer = Peer::connect(&bench.server);
    peer.send(GET);
    let mut got = Vec::new();
    for piece in content[..STEPS * 1000].chunks(1000) {
        bench.push(&mut fill, piece);
        if got.is_empty() {
            peer.head();
        }
        got.extend(peer.take(1000));
    }
    bench.push(&mut fill, &content[STEPS * 1000..]);
    bench.seal(fill);
    got.extend(peer.take(TAIL));
    assert!(got == content);
}

#[test]
fn a_small_object_that_is_not_in_memory_is_read_first() {
    let bench = Bench::new();
    let cold_reads = || bench.server.counters().cold_reads.load(Relaxed);
    for mut len in [1000, 100_000] {
        // A look makes the kernel read ahead, and a quick disk may be done before the look is: then it is another object's turn.
        eventually("a cold read", || {
            len += 1;
            let content = pattern(len);
            bench.sealed(&content);
            let file = bench.reader.lock().clone().unwrap().file().clone();
            rustix::fs::fadvise(&*file, 0, None, rustix::fs::Advice::DontNeed).unwrap();
            let before = cold_reads();
            assert!(Peer::connect(&bench.server).get("/").body == content);
            let reads = cold_reads() - before;
            assert!(reads <= 1, "{reads}");
            reads == 1
        });
    }
}

#[test]
fn a_small_object_that_is_asked_for_again_is_sent_from_memory() {
    let bench = Bench::new();
    let content = pattern(10_000);
    bench.sealed(&content);
    let mut peer = Peer::connect(&bench.server);
    for _ in 0..2 {
        assert!(peer.get("/").body == content);
    }
    // The file is made unreadable behind the store's back: only what is in memory can still be sent.
    let file = bench.reader.lock().as_ref().map(|reader| reader.file().clone()).unwrap();
    let path = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&*file));
    std::fs::OpenOptions::new().write(true).truncate(true).open(path).unwrap();
    assert!(peer.get("/").body == content);
    assert!(peer.get("/500-700").body == content[500..700]);
    assert_eq!(bench.store.report().hot_bytes, 10_000);
}

#[test]
fn a_follower_gets_bytes_as_they_arrive_and_the_tail_when_it_is_right() {
    let bench = Bench::new();
    let content = pattern(3 << 20);
    let md5 = Md5::of(&content);
    let mut fill = bench.begin(Some(content.len()), Claims { md5: Some(md5), sha256: None });
    let mut peer = Peer::connect(&bench.server);
    peer.send(GET);
    assert_eq!(peer.head().field("content-length"), Some(&*content.len().to_string()), "before the first byte");
    let (first, second) = content.split_at(1 << 20);
    bench.push(&mut fill, first);
    assert!(peer.take(first.len() - TAIL) == first[..first.len() - TAIL]);
    bench.push(&mut fill, second);
    let mut received = first[..first.len() - TAIL].to_vec();
    received.extend(peer.take(content.len() - TAIL - received.len()));
    bench.seal(fill);
    received.extend(peer.take(TAIL));
    assert!(received == content);
    assert!(peer.get("/").body == content, "the connection goes on, with the sealed object");
}

#[test]
fn a_span_whose_bytes_are_there_does_not_wait_for_the_rest() {
    let bench = Bench::new();
    let content = pattern(4 << 20);
    let mut fill = bench.begin(Some(content.len()), Claims::default());
    bench.push(&mut fill, &content[..2 << 20]);
    let mut peer = Peer::connect(&bench.server);
    assert!(peer.get("/1000-500000").body == content[1000..500_000]);
    let several = peer.get("/0-10,1000000-1000100");
    assert!(several.body.windows(100).any(|window| window == &content[1_000_000..1_000_100]));
    // A span beyond the watermark waits for its bytes, and only for them.
    peer.send("GET /2500000-2500100 HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(peer.head().field("content-length"), Some("100"));
    bench.push(&mut fill, &content[2 << 20..3 << 20]);
    assert!(peer.take(100) == content[2_500_000..2_500_100]);
    bench.push(&mut fill, &content[3 << 20..]);
    bench.seal(fill);
}

#[test]
fn a_growing_object_of_unknown_length_is_chunked() {
    let bench = Bench::new();
    let content = pattern(5 << 20);
    for old in [false, true] {
        let mut fill = bench.begin(None, Claims::default());
        let mut peer = Peer::connect(&bench.server);
        peer.send(if old {
            "GET / HTTP/1.0\r\n\r\n"
        } else {
            "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
        });
        let head = peer.head();
        assert_eq!(head.field("transfer-encoding"), (!old).then_some("chunked"));
        assert_eq!(head.field("content-length"), None);
        content.chunks(1 << 20).for_each(|piece| bench.push(&mut fill, piece));
        let reading = std::thread::spawn(move || peer.rest());
        bench.seal(fill);
        let rest = reading.join().unwrap();
        let body = if old { rest } else { unchunked(&rest) };
        assert!(body == content);
    }
}

#[test]
fn head_of_a_growing_object_waits_for_nothing() {
    let bench = Bench::new();
    for len in [Some(1000), None] {
        let _fill = bench.begin(len, Claims::default());
        let mut peer = Peer::connect(&bench.server);
        let head = peer.send("HEAD / HTTP/1.1\r\nHost: a\r\n\r\n").head();
        assert_eq!(head.field("content-length"), len.map(|_| "1000"));
        assert_eq!(head.field("transfer-encoding"), None);
    }
}

#[test]
fn a_fill_that_fails_is_never_whole() {
    let bench = Bench::new();
    let content = pattern(1 << 20);
    for (claimed, old) in [(true, false), (false, false), (false, true)] {
        let len = claimed.then_some(content.len());
        let mut fill = bench.begin(len, Claims { md5: Some(Md5([1; 16])), sha256: None });
        let mut peer = Peer::connect(&bench.server);
        peer.send(if old { "GET / HTTP/1.0\r\n\r\n" } else { GET });
        peer.head();
        bench.push(&mut fill, &content);
        assert!(bench.runtime.block_on(fill.verify(true)).is_err());
        match peer.rest_or_reset() {
            Ok(rest) => assert!(!old && rest.len() < content.len() && !rest.ends_with(b"0\r\n\r\n"), "{}", rest.len()),
            // Over TLS every end that is not said is seen to be a cut.
            Err(error) => assert!(old || error.kind() == std::io::ErrorKind::UnexpectedEof, "{error}"),
        }
    }
}

#[test]
fn a_client_that_leaves_while_it_waits_for_bytes_is_noticed() {
    let bench = Bench::new();
    let _fill = bench.begin(Some(1 << 20), Claims::default());
    let mut peer = Peer::connect(&bench.server);
    peer.send(GET);
    peer.head();
    eventually("the transfer's count", || bench.server.counters().transfers.load(Relaxed) == 1);
    drop(peer);
    eventually("the client's leaving", || bench.server.counters().transfers.load(Relaxed) == 0);
    eventually("the close", || bench.server.counters().connections.load(Relaxed) == 0);
}
