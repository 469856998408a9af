//! Machines before a scripted origin: it refuses the first question of each agent, and says "not ready" until those above have reported.

use std::{
    cell::RefCell,
    collections::BTreeSet,
    io,
    rc::Rc,
    time::{Duration, Instant},
};

use protocol::{
    catalog::File,
    changes::{Change, Hello},
    digest::{Md5, Sha256},
    info::{CHANGES, NODE_FIELD, REPORTS},
    patience::Backoff,
    report::{Report, Reported},
    sources::{Answer, Kind, Question, Source, Sources},
    topology::Tier,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::{Semaphore, broadcast, watch},
    task::LocalSet,
};

use super::{
    findings::Findings,
    live::{Net, live},
    machine::{Habits, Machine},
    tally::{self, Tally},
    world::{Environment, members},
};

/// A test that hangs says how far it came.
const ENDS_WITHIN: Duration = Duration::from_secs(30);
const CONTENTS: u8 = 3;
const SMALL: Environment = Environment { upper: 1, constrained: 1, agents: 3 };

/// What the scripted origin knows.
struct Script {
    changes: broadcast::Sender<String>,
    held: RefCell<BTreeSet<(String, Md5)>>,
    refused: RefCell<BTreeSet<String>>,
}

/// A request whose body is JSON, or none.
struct Asked {
    target: String,
    node: String,
    body: Vec<u8>,
}

async fn read(stream: &mut TcpStream) -> io::Result<Asked> {
    let mut bytes = Vec::new();
    loop {
        if stream.read_buf(&mut bytes).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let mut fields = [httparse::EMPTY_HEADER; 16];
        let mut request = httparse::Request::new(&mut fields);
        let Ok(httparse::Status::Complete(len)) = request.parse(&bytes) else { continue };
        let field = |name: &str| {
            let found = request.headers.iter().find(|field| field.name.eq_ignore_ascii_case(name));
            found.map(|field| String::from_utf8_lossy(field.value).into_owned()).unwrap_or_default()
        };
        let length: usize = field("Content-Length").parse().unwrap_or(0);
        let (target, node) = (request.path.unwrap_or_default().to_owned(), field(NODE_FIELD));
        while bytes.len() < len + length {
            stream.read_buf(&mut bytes).await?;
        }
        return Ok(Asked { target, node, body: bytes.split_off(len) });
    }
}

async fn answer(mut stream: TcpStream, script: Rc<Script>) -> io::Result<()> {
    let asked = read(&mut stream).await?;
    if asked.target == CHANGES {
        return tell_changes(stream, &script).await;
    }
    let (status, body) = if asked.target == REPORTS {
        let report: Report = serde_json::from_slice(&asked.body)?;
        let mut held = script.held.borrow_mut();
        held.extend(report.holds.iter().map(|md5| (report.node.clone(), *md5)));
        (200, serde_json::to_string(&Reported { full: false, next_in: 3_600, expires_in: 7_200, url_refused: false })?)
    } else if asked.node.starts_with("agent") && script.refused.borrow_mut().insert(asked.node.clone()) {
        (503, "{}".into())
    } else {
        let question: Question = serde_json::from_slice(&asked.body)?;
        (200, serde_json::to_string(&sources(&script, &asked.node, &question))?)
    };
    let head = format!("HTTP/1.1 {status} x\r\nRetry-After: 1\r\nContent-Length: {}\r\n\r\n", body.len());
    stream.write_all(format!("{head}{body}").as_bytes()).await
}

fn sources(script: &Script, node: &str, question: &Question) -> Answer {
    let above = if node.starts_with("agent") { "proxy-0000" } else { "upper-0" };
    let content = |md5: &Md5| {
        let ready = node == "upper-0" || script.held.borrow().contains(&(above.to_owned(), *md5));
        let source = Source {
            kind: Kind::Parent,
            name: above.into(),
            url: "http://127.1.0.1/".into(),
            holds: true,
            partial: false,
        };
        let sources = if ready { vec![source] } else { Vec::new() };
        let retry_after = (!ready).then_some(1);
        Sources { md5: *md5, ready, path: None, size: Some(1_000), pieces: None, sources, retry_after, unknown: false }
    };
    Answer { domain: None, expires_in: 600, contents: question.digests.iter().map(content).collect() }
}

async fn tell_changes(mut stream: TcpStream, script: &Script) -> io::Result<()> {
    let mut changes = script.changes.subscribe();
    stream.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n").await?;
    let hello = Hello { epoch: "e".into(), generation: 0, reset: false, heartbeat: 5, delay: 0 };
    let mut text = Change::Hello(hello).to_text();
    loop {
        stream.write_all(format!("{:x}\r\n{text}\r\n", text.len()).as_bytes()).await?;
        let Ok(next) = changes.recv().await else { return Ok(()) };
        text = next;
    }
}

fn file(number: u8) -> String {
    let (md5, sha256) = (Md5([number; 16]), Sha256([number; 32]));
    let path = format!("/storm/package-{number}");
    Change::File(File { path, size: 1_000, md5, sha256, modified: String::new(), generation: 1 }).to_text()
}

fn machines(now: Instant) -> Vec<Machine> {
    let backoff = Backoff { first: Duration::from_millis(100), max: Duration::from_secs(1) };
    let habits = Habits {
        backoff,
        gather: (Duration::from_millis(20), Duration::from_millis(40)),
        rate: 100_000,
        begin: Duration::from_millis(10),
        prefix: "/storm/package-".into(),
    };
    members(SMALL).into_iter().map(|member| Machine::new(member, habits.clone(), now, 9)).collect()
}

async fn run() -> (Findings, Tally) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let script =
        Rc::new(Script { changes: broadcast::channel(64).0, held: RefCell::default(), refused: RefCell::default() });
    let (end, ended) = watch::channel(false);
    let net = Rc::new(Net {
        origin: listener.local_addr().unwrap(),
        tally: RefCell::new(Tally::new()),
        opening: Semaphore::new(2),
        ended,
        progress: RefCell::default(),
    });
    let accepting = tokio::task::spawn_local({
        let script = script.clone();
        async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::task::spawn_local(answer(stream, script.clone()));
            }
        }
    });
    let now = Instant::now();
    let machines = machines(now);
    let count = machines.len();
    let live_one = |machine| tokio::task::spawn_local(live(machine, net.clone(), Backoff::default()));
    let tasks: Vec<_> = machines.into_iter().map(live_one).collect();
    until(&net, |net| net.progress.borrow().streams == count && net.progress.borrow().known == count).await;
    let published = Instant::now();
    net.tally.borrow_mut().publish(published);
    (0..CONTENTS).for_each(|number| _ = script.changes.send(file(number)));
    until(&net, |net| net.progress.borrow().held == count * usize::from(CONTENTS)).await;
    end.send(true).unwrap();
    let mut survivors = Vec::new();
    for task in tasks {
        survivors.push(task.await.unwrap());
    }
    accepting.abort();
    (Findings::of(&survivors, CONTENTS.into(), published), net.tally.replace(Tally::new()))
}

/// Lets the others go on until it is so.
async fn until(net: &Net, is_so: impl Fn(&Net) -> bool) {
    let begun = Instant::now();
    while !is_so(net) {
        assert!(begun.elapsed() < ENDS_WITHIN, "{:?}", net.progress.borrow());
        tokio::task::yield_now().await;
    }
}

#[test]
fn everybody_gets_everything_from_a_scripted_origin() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (findings, tally) = LocalSet::new().block_on(&runtime, run());
    for tier in Tier::ALL {
        let seen = findings.of_tier(tier);
        let machines = SMALL.of(tier);
        assert_eq!((seen.machines, seen.told, seen.hold), (machines, machines, machines), "{seen:?}");
    }
    assert_eq!((findings.of_tier(Tier::Unconstrained).at_once, findings.denied), (1, 0));
    // Each agent was refused once, and all its contents were one question each time.
    let asked = tally.count(tally::Kind::Sources, Tier::Client);
    assert_eq!((asked.refused, asked.failed), (3, 0));
    assert!((6..=12).contains(&asked.requests), "{asked:?}");
    assert_eq!(tally.count(tally::Kind::Sources, Tier::Unconstrained).requests, 1);
    assert!(findings.goals(SMALL, 1.0).iter().all(|goal| goal.is_met));
}
