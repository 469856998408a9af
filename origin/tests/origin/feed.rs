//! The stream of changes, as who listens has it; and that nothing is missed, however often the program is killed.

use std::{
    collections::BTreeMap,
    fs,
    net::SocketAddr,
    path::Path,
    time::{Duration, Instant},
};

use protocol::{
    catalog::Page,
    changes::{Change, Hello},
    digest::Md5,
    event_stream::Reader,
};

use crate::{
    harness::{Answer, Fixture, Transfer},
    program::{Program, address},
};

/// A stream of changes.
struct Stream {
    transfer: Transfer,
    reader: Reader,
}

impl Stream {
    fn start(address: SocketAddr, query: &str) -> Self {
        let transfer = Transfer::start(address, "GET", &format!("/.outpost/v1/changes{query}"), &[]);
        assert_eq!(transfer.status(), 200);
        Self { transfer, reader: Reader::default() }
    }

    /// The next event; `None` when it has ended. Signs of life and what frames the chunks are no fields of an event, and passed over by its reader.
    fn next(&mut self) -> Option<Change> {
        let mut change = None;
        while change.is_none() {
            let line = self.transfer.line()?;
            let read = |event| change = Change::read(&event).expect("valid");
            self.reader.take(&line, read).expect("an event");
        }
        change
    }

    fn hello(&mut self) -> Hello {
        match self.next() {
            Some(Change::Hello(hello)) => hello,
            other => panic!("{other:?} is no beginning"),
        }
    }

    /// What comes up to a file at a path, or that it is gone.
    fn until(&mut self, path: &str) -> Vec<String> {
        let mut told = Vec::new();
        loop {
            let (text, is_it) = match self.next().expect("more") {
                Change::File(file) => (format!("file {} {}", file.path, file.md5), file.path == path),
                Change::Gone(gone) => (format!("gone {}", gone.path), gone.path == path),
                Change::Stale(stale) => (format!("stale {}", stale.path), false),
                other => panic!("{other:?} was not expected"),
            };
            told.push(text);
            if is_it {
                return told;
            }
        }
    }
}

fn watched() -> Fixture {
    let mut fixture = Fixture::new();
    fixture.options.watch = true;
    fixture.options.settle = Duration::from_millis(10);
    fixture
}

#[test]
fn a_change_is_told_when_it_is_noticed_and_again_when_it_is_known() {
    let mut fixture = watched();
    fixture.write("d/f", "one");
    fixture.write("keep", "keep");
    fixture.start();
    fixture.wait_until_known(2);
    let mut stream = Stream::start(fixture.origin().addresses()[0], "");
    let hello = stream.hello();
    assert_eq!((hello.reset, hello.delay, hello.heartbeat), (false, 0, 5));

    let start = Instant::now();
    fixture.write("d/f", "two");
    let told = stream.until("/d/f");
    assert_eq!(told[0], "stale /d/f");
    assert_eq!(told[told.len() - 1], format!("file /d/f {}", Md5::of(b"two")));
    println!("from the change to its digest: {:?}", start.elapsed());
    fs::remove_file(fixture.path("d/f")).expect("removed");
    assert_eq!(stream.until("/d/f").last().map(String::as_str), Some("gone /d/f"));

    // Who comes again with what it knows is told the rest.
    let query = format!("?since={}&epoch={}", hello.generation, hello.epoch);
    let mut again = Stream::start(fixture.origin().addresses()[0], &query);
    assert_eq!(again.hello().generation, hello.generation);
    assert_eq!(again.until("/d/f"), ["gone /d/f"]);
    let mut foreign = Stream::start(fixture.origin().addresses()[0], "?since=1&epoch=other");
    assert!(foreign.hello().reset);
    fixture.stop();
    assert!(again.next().is_none(), "a stream ends with the server");
}

#[test]
fn a_change_that_was_not_announced_is_told_when_it_is_found() {
    let mut fixture = Fixture::new();
    fixture.write("f", "one");
    fixture.write("g", "one");
    fixture.start();
    fixture.wait_until_known(2);
    let mut stream = Stream::start(fixture.origin().addresses()[0], "?share=main");
    assert_eq!(stream.hello().delay, 3_600);
    fixture.write("f", "two");
    fs::remove_file(fixture.path("g")).expect("removed");
    fixture.rescan();
    let mut told = stream.until("/f");
    if !told.contains(&"gone /g".to_owned()) {
        told.extend(stream.until("/g"));
    }
    assert!(
        told.contains(&"stale /f".to_owned()) && told.contains(&format!("file /f {}", Md5::of(b"two"))),
        "{told:?}"
    );
    assert!(told.contains(&"gone /g".to_owned()), "{told:?}");
}

#[test]
fn more_than_a_stream_tells_is_in_the_catalogue() {
    let mut fixture = Fixture::new();
    fixture.write("first", "x");
    fixture.start();
    fixture.wait_until_known(1);
    for n in 0..150 {
        fixture.write(format!("d/{n}"), n.to_string());
    }
    fixture.rescan();
    fixture.wait_until_known(151);
    let mut stream = Stream::start(fixture.origin().addresses()[0], "?since=1");
    let hello = stream.hello();
    assert!(!hello.reset && hello.generation > 1);
    let mut near = Stream::start(fixture.origin().addresses()[0], &format!("?since={}", hello.generation - 2));
    assert_eq!(near.hello().generation, hello.generation - 2);
    assert!(matches!((near.next(), near.next()), (Some(Change::File(_)), Some(Change::File(_)))));
}

/// What a follower holds to be at each path, with the generation by which it knows.
#[derive(Default)]
struct Follower {
    epoch: String,
    generation: u64,
    begun: u64,
    files: BTreeMap<String, (u64, Md5)>,
}

impl Follower {
    /// Reads what changed, a few entries at a time; fewer than all if the program is killed meanwhile.
    fn catch_up(&mut self, address: SocketAddr) {
        loop {
            let query = format!("since={}&epoch={}&begun={}&limit=7", self.generation, self.epoch, self.begun);
            let page: Page = Answer::of(address, &format!("/.outpost/v1/catalog?{query}")).json_as();
            if page.reset || self.epoch != page.epoch {
                self.files.clear();
            }
            for file in page.files {
                self.files.insert(file.path, (file.generation, file.md5));
            }
            for gone in page.gone {
                let is_at = |path: &str| path == gone.path || path.starts_with(&format!("{}/", gone.path));
                self.files.retain(|path, (generation, _)| !is_at(path) || *generation > gone.generation);
            }
            (self.epoch, self.generation, self.begun) = (page.epoch, page.generation, page.begun);
            if !page.more {
                return;
            }
        }
    }

    fn holds(&self, path: &Path) -> bool {
        let on_disk = |name: &str| fs::read(path.join(name.trim_start_matches('/'))).map(|bytes| Md5::of(&bytes)).ok();
        self.files.iter().all(|(name, (_, md5))| on_disk(name) == Some(*md5))
    }
}

#[test]
fn a_follower_misses_nothing_however_often_the_origin_is_killed() {
    let (share, state) = (tempfile::tempdir().expect("a share"), tempfile::tempdir().expect("a place"));
    let database = state.path().join("db");
    let arguments = ["--database", database.to_str().expect("text"), "--settle", "0s"];
    let (mut follower, mut seed) = (Follower::default(), 1_u64);
    let mut below = |count: u64| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) % count
    };
    for round in 0..8 {
        let mut program = Program::start(share.path(), &arguments);
        let files = address(&program.line("serves"));
        let mut stream = Stream::start(files, &format!("?since={}&epoch={}", follower.generation, follower.epoch));
        let hello = stream.hello();
        assert!(follower.epoch.is_empty() || (!hello.reset && hello.epoch == follower.epoch), "in round {round}");
        for change in 0..200 {
            let path = share.path().join(format!("{}/{}", below(4), below(30)));
            fs::create_dir_all(path.parent().expect("below the share")).expect("made");
            match below(20) {
                0 => drop(fs::remove_dir_all(path.parent().expect("below the share"))),
                1..4 => drop(fs::remove_file(&path)),
                _ => fs::write(&path, format!("{round} {change}")).expect("written"),
            }
        }
        // Killed behind so many events, wherever it is then; what it told before is kept.
        for _ in 0..below(150) {
            match stream.next() {
                Some(Change::File(_) | Change::Gone(_) | Change::Stale(_)) => {}
                other => panic!("{other:?} in round {round}"),
            }
        }
        follower.catch_up(files);
        program.signal("-KILL");
        program.child.wait().expect("ends");
    }
    let mut program = Program::start(share.path(), &arguments);
    let files = address(&program.line("serves"));
    crate::harness::until("the follower knows what is on the disk", || {
        follower.catch_up(files);
        let mut fresh = Follower::default();
        fresh.catch_up(files);
        let same = fresh.files.iter().map(|(path, (_, md5))| (path, md5));
        let same = same.eq(follower.files.iter().map(|(path, (_, md5))| (path, md5)));
        let there = walk(share.path());
        same && fresh.files.len() == there && follower.holds(share.path())
    });
}

fn walk(directory: &Path) -> usize {
    let entries = fs::read_dir(directory).expect("lists").map(|entry| entry.expect("an entry").path());
    entries.map(|path| if path.is_dir() { walk(&path) } else { 1 }).sum()
}
