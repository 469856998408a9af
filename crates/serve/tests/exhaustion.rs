//! A process without descriptors to spare. Alone in its file, for the limit is the whole process's.

#[path = "it/common.rs"]
mod common;

use std::fs::File;

use common::*;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

#[test]
fn without_descriptors_open_connections_go_on_and_new_ones_wait() {
    let server = echo(options());
    let mut open = Peer::connect(&server);
    assert_eq!(open.get("/before").status, 200);

    let limit = Rlimit { current: Some(100), maximum: getrlimit(Resource::Nofile).maximum };
    setrlimit(Resource::Nofile, limit).unwrap();
    let mut taken: Vec<File> = std::iter::from_fn(|| File::open("/dev/null").ok()).collect();
    // One is left, and the client takes it: the server cannot accept.
    taken.pop().unwrap();
    let mut waiting = Peer::connect(&server);
    waiting.send("GET /waited HTTP/1.1\r\nHost: a\r\n\r\n");
    for _ in 0..100 {
        assert_eq!(open.get("/meanwhile").body, b"/meanwhile");
    }
    assert_eq!(server.counters().accepted.load(std::sync::atomic::Ordering::Relaxed), 1);
    drop(taken);
    assert_eq!(waiting.answer().body, b"/waited");
}
