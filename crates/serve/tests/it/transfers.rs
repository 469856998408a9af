//! How bodies leave: from memory, made on the way, from files of a share; whole, in parts, or visibly short.

use std::{
    fs::File,
    io::Write,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    sync::{Arc, atomic::Ordering::Relaxed, mpsc},
};

use bytes::Bytes;
use http::StatusCode;
use protocol::span::Span;
use serve::{
    handler::Answer,
    multipart::byteranges,
    response::{Body, BodyStream, Hold, Part, Response},
    server::Server,
    source::{SharedFile, Source},
};
use tokio::sync::mpsc as channel;

use super::options;
use crate::common::*;

/// A body stream fed through a channel.
pub(super) struct Fed(pub(super) channel::Receiver<std::io::Result<Bytes>>);

impl futures_core::Stream for Fed {
    type Item = std::io::Result<Bytes>;
    fn poll_next(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Self::Item>> {
        self.0.poll_recv(cx)
    }
}

/// A server whose answers are bodies fed by the test, one channel per request.
pub(super) fn fed(len: Option<u64>) -> (Server, mpsc::Receiver<channel::Sender<std::io::Result<Bytes>>>) {
    let (asked, is_asked) = mpsc::channel();
    let server = start(options(), move |_, _| {
        let (feed, fed) = channel::channel(16);
        asked.send(feed).unwrap();
        let stream: BodyStream = Box::pin(Fed(fed));
        let mut response = Response::new(StatusCode::OK);
        response.body = Body::Stream { stream, len };
        Answer::Now(response)
    });
    (server, is_asked)
}

pub(super) fn lost() -> std::io::Result<Bytes> {
    Err(std::io::Error::other("lost"))
}

const GET: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
const GET10: &str = "GET / HTTP/1.0\r\n\r\n";

#[test]
fn a_stream_leaves_piece_by_piece() {
    let (server, is_asked) = fed(None);
    let mut peer = Peer::connect(&server);
    peer.send(format!("{GET}GET /2 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"));
    let feed = is_asked.recv_timeout(DEADLINE).unwrap();
    let head = peer.head();
    assert_eq!((head.field("transfer-encoding"), head.field("content-length")), (Some("chunked"), None));
    for piece in [&b"one"[..], &[7; 70_000]] {
        feed.blocking_send(Ok(Bytes::copy_from_slice(piece))).unwrap();
        let framed = [format!("{:X}\r\n", piece.len()).as_bytes(), piece].concat();
        assert!(peer.take(framed.len()) == framed);
        if piece.len() < 100 {
            assert_eq!(peer.take(2), b"\r\n");
        }
    }
    drop(feed);
    assert_eq!(peer.take(7), b"\r\n0\r\n\r\n");
    let feed = is_asked.recv_timeout(DEADLINE).unwrap();
    feed.blocking_send(Ok(Bytes::from_static(b"second"))).unwrap();
    drop(feed);
    peer.head();
    assert_eq!(unchunked(&peer.rest()), b"second");
}

#[test]
fn a_stream_of_known_length_is_not_chunked() {
    let (server, is_asked) = fed(Some(6));
    for request in [GET, GET10] {
        let mut peer = Peer::connect(&server);
        peer.send(request);
        let feed = is_asked.recv_timeout(DEADLINE).unwrap();
        feed.blocking_send(Ok(Bytes::from_static(b"abc"))).unwrap();
        feed.blocking_send(Ok(Bytes::from_static(b"def"))).unwrap();
        assert_eq!(peer.answer().body, b"abcdef");
    }
}

#[test]
fn a_stream_that_fails_is_seen_to_be_short() {
    for (len, pieces) in [(None, 1), (Some(6), 1), (Some(6), 0)] {
        let (server, is_asked) = fed(len);
        let mut peer = Peer::connect(&server);
        peer.send(GET);
        let feed = is_asked.recv_timeout(DEADLINE).unwrap();
        (0..pieces).for_each(|_| feed.blocking_send(Ok(Bytes::from_static(b"abc"))).unwrap());
        feed.blocking_send(lost()).unwrap();
        let head = peer.head();
        assert_eq!(head.field("content-length"), len.map(|_| "6"));
        let rest = peer.rest();
        assert!(rest.len() <= 8 && !rest.ends_with(b"0\r\n\r\n"), "{rest:?}");
        eventually("the count of it", || server.counters().aborted.load(Relaxed) == 1);
    }
}

#[test]
fn a_stream_of_a_wrong_length_is_seen_to_be_wrong() {
    for wrong in [&b"abcdefg"[..], b"abcde"] {
        let (server, is_asked) = fed(Some(6));
        let mut peer = Peer::connect(&server);
        peer.send(GET);
        let feed = is_asked.recv_timeout(DEADLINE).unwrap();
        feed.blocking_send(Ok(Bytes::copy_from_slice(wrong))).unwrap();
        drop(feed);
        peer.head();
        assert!(peer.rest().len() < 6);
    }
}

#[test]
fn where_the_close_ends_the_body_a_failure_is_a_reset() {
    let (server, is_asked) = fed(None);
    for fails in [false, true] {
        let mut peer = Peer::connect(&server);
        peer.send(GET10);
        let feed = is_asked.recv_timeout(DEADLINE).unwrap();
        feed.blocking_send(Ok(Bytes::from_static(b"abc"))).unwrap();
        let head = peer.head();
        assert_eq!((head.field("connection"), head.field("transfer-encoding")), (Some("close"), None));
        assert_eq!(peer.take(3), b"abc");
        if fails {
            feed.blocking_send(lost()).unwrap();
        }
        drop(feed);
        let rest = peer.rest_or_reset();
        assert_eq!(rest.is_err(), fails, "{rest:?}");
    }
}

#[test]
fn a_client_that_leaves_ends_its_stream() {
    let (server, is_asked) = fed(None);
    let mut peer = Peer::connect(&server);
    peer.send(GET);
    let feed = is_asked.recv_timeout(DEADLINE).unwrap();
    peer.head();
    drop(peer);
    wait(async { tokio::time::timeout(DEADLINE, feed.closed()).await.unwrap() });
}

#[test]
fn a_large_body_in_memory_arrives_whole() {
    let body = Bytes::from(pattern(5_000_000));
    let served = body.clone();
    let server = start(options(), move |_, _| {
        let mut response = Response::new(StatusCode::OK);
        response.body = Body::Memory(served.clone());
        Answer::Now(response)
    });
    let mut peer = Peer::connect_narrow(&server);
    peer.send(GET.repeat(2));
    for _ in 0..2 {
        assert!(peer.answer().body == body);
    }
}

/// A share of one file, and a server that serves `part` of it.
pub(super) struct Share {
    _dir: tempfile::TempDir,
    pub(super) path: PathBuf,
    pub(super) server: Server,
    /// Held by each answer that is on its way.
    held: Arc<()>,
}

pub(super) fn share(content: &[u8], part: impl Fn(&str) -> (StatusCode, Part) + Send + Sync + 'static) -> Share {
    let dir = tempfile::tempdir_in("/var/tmp").unwrap();
    let path = dir.path().join("file");
    std::fs::write(&path, content).unwrap();
    let engine = os::engine::Engine::start(os::engine::Choice::Auto).unwrap();
    let (served, held) = (path.clone(), Arc::new(()));
    let holding = held.clone();
    let server = start(options(), move |request, _| {
        let (status, part) = part(std::str::from_utf8(request.target).unwrap());
        let mut response = Response::new(status);
        response.body = Body::File { source: Source::Shared(open(&served, &engine)), part };
        response.hold = Some(Hold::new(holding.clone()));
        Answer::Now(response)
    });
    Share { _dir: dir, path, server, held }
}

fn open(path: &Path, engine: &os::engine::Engine) -> SharedFile {
    let file = File::open(path).unwrap();
    let identity = os::share::Identity::of(&file).unwrap();
    SharedFile { file: Arc::new(file), identity, engine: engine.clone() }
}

pub(super) fn whole(_: &str) -> (StatusCode, Part) {
    (StatusCode::OK, Part::Whole)
}

#[test]
fn shared_files_of_every_size_arrive_whole() {
    for len in [0, 1, 65_535, 65_536, 65_537, 1 << 20, 20 << 20] {
        let content = pattern(len);
        let share = share(&content, whole);
        let mut peer = Peer::connect(&share.server);
        for _ in 0..2 {
            let answer = peer.get("/");
            assert_eq!(answer.field("content-length"), Some(&*len.to_string()));
            assert!(answer.body == content, "{len}");
        }
    }
}

/// `/START-END`, half open.
fn spans(target: &str) -> Vec<Span> {
    let numbers = |text: &str| text.split('-').map(|number| number.parse().unwrap()).collect::<Vec<u64>>();
    target[1..].split(',').map(numbers).map(|ends| Span::new(ends[0], ends[1])).collect()
}

#[test]
fn spans_are_cut_where_asked() {
    let len = 18 << 20;
    let content = pattern(len);
    let share = share(&content, |target| (StatusCode::PARTIAL_CONTENT, Part::Span(spans(target)[0])));
    let mut peer = Peer::connect(&share.server);
    for (start, end) in [(0, 1), (5, 5), (0, 100_000), (1_000_000, 18 << 20), (len as u64 - 1, len as u64)] {
        let answer = peer.get(&format!("/{start}-{end}"));
        assert_eq!(answer.status, 206);
        assert!(answer.body == content[start as usize..end as usize], "{start}-{end}");
    }
}

#[test]
fn several_spans_are_framed() {
    let content = pattern(300_000);
    let share = share(&content, |target| {
        let (part, _) = byteranges(&spans(target), 300_000, "text/plain");
        (StatusCode::PARTIAL_CONTENT, part)
    });
    let mut peer = Peer::connect(&share.server);
    let asked = [(0, 10), (100_000, 200_000), (299_999, 300_000)];
    let answer = peer.get("/0-10,100000-200000,299999-300000");
    let mut rest = &answer.body[..];
    let boundary = rest.split(|byte| *byte == b'\r').next().unwrap().to_vec();
    for (start, end) in asked {
        let head_end = rest.windows(4).position(|window| window == b"\r\n\r\n").unwrap() + 4;
        let head = std::str::from_utf8(&rest[..head_end]).unwrap();
        assert!(head.contains(&format!("Content-Range: bytes {start}-{}/300000\r\n", end - 1)), "{head}");
        assert!(head.len() <= 180);
        rest = &rest[head_end..];
        assert!(rest[..end - start] == content[start..end]);
        rest = &rest[end - start..];
    }
    assert_eq!(rest, [b"\r\n", &boundary[..], b"--\r\n"].concat());
    assert_eq!(peer.get("/0-1").status, 206, "the connection goes on");
}

#[test]
fn head_of_a_file_tells_its_length_and_sends_nothing() {
    let share = share(&pattern(100_000), whole);
    let mut peer = Peer::connect(&share.server);
    let head = peer.send("HEAD / HTTP/1.1\r\nHost: a\r\n\r\n").head();
    assert_eq!(head.field("content-length"), Some("100000"));
    assert_eq!(peer.get("/").body.len(), 100_000);
}

#[test]
fn a_shared_file_that_was_changed_before_its_tail_is_never_whole() {
    let engine = os::engine::Engine::start(os::engine::Choice::Auto).unwrap();
    type Change = fn(&Path);
    let overwritten: Change = |path| {
        let file = File::options().write(true).open(path).unwrap();
        file.write_all_at(b"changed", 0).unwrap();
    };
    let shortened: Change = |path| File::options().write(true).open(path).unwrap().set_len(10).unwrap();
    let grown: Change = |path| File::options().append(true).open(path).unwrap().write_all(b"x").unwrap();
    for change in [overwritten, shortened, grown] {
        for len in [100, 1 << 20, 20 << 20] {
            let dir = tempfile::tempdir_in("/var/tmp").unwrap();
            let path = dir.path().join("file");
            std::fs::write(&path, pattern(len)).unwrap();
            let opened = open(&path, &engine);
            change(&path);
            let server = start(options(), move |_, _| {
                let mut response = Response::new(StatusCode::OK);
                response.body = Body::File { source: Source::Shared(opened.clone()), part: Part::Whole };
                Answer::Now(response)
            });
            let mut peer = Peer::connect(&server);
            peer.send(GET);
            assert_eq!(peer.head().field("content-length"), Some(&*len.to_string()));
            let rest = peer.rest();
            assert!(rest.len() <= len.saturating_sub(65_536), "{} of {len}", rest.len());
        }
    }
}

#[test]
fn a_shared_file_that_changes_while_a_slow_client_reads_is_never_whole() {
    let len = 40 << 20;
    let content = pattern(len);
    let share = share(&content, whole);
    let mut peer = Peer::connect_narrow(&share.server);
    peer.send(GET);
    peer.head();
    let mut body = peer.take(1 << 20);
    // The server cannot be done: two socket buffers hold less than what is left.
    File::options().write(true).open(&share.path).unwrap().write_all_at(&vec![0; len], 0).unwrap();
    body.extend(peer.rest());
    assert!(body.len() < len);
    eventually("the count of it", || share.server.counters().aborted.load(Relaxed) == 1);
}

#[test]
fn a_client_that_closes_its_sending_side_still_gets_its_file() {
    let content = pattern(20 << 20);
    let share = share(&content, whole);
    let mut peer = Peer::connect(&share.server);
    peer.send(GET).close_sending();
    assert!(peer.answer().body == content);
    peer.assert_closed();
}

#[test]
fn cold_pages_are_read_before_they_are_sent() {
    let content = pattern(20 << 20);
    let share = share(&content, whole);
    let file = File::open(&share.path).unwrap();
    file.sync_all().unwrap();
    rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::DontNeed).unwrap();
    let mut peer = Peer::connect(&share.server);
    assert!(peer.get("/").body == content);
    assert!(share.server.counters().cold_reads.load(Relaxed) > 0);
}

#[test]
fn many_clients_at_once_each_get_the_whole() {
    let content = Arc::new(pattern(3 << 20));
    let share = share(&content, whole);
    std::thread::scope(|scope| {
        for _ in 0..20 {
            scope.spawn(|| {
                let mut peer = Peer::connect(&share.server);
                for _ in 0..3 {
                    assert!(peer.get("/").body == *content);
                }
            });
        }
    });
    eventually("the end of all transfers", || share.server.counters().transfers.load(Relaxed) == 0);
    eventually("what they held", || Arc::strong_count(&share.held) == 2);
    assert_eq!(share.server.counters().aborted.load(Relaxed), 0);
}
