//! The feed as those who listen see it, by a clock that stands still.

use std::{future::poll_fn, pin::Pin, task::Poll};

use futures_core::Stream;
use protocol::{
    catalog::{File, Gone},
    changes::Generation,
    digest::{Md5, Sha256},
    event_stream::{RawEvent, Reader},
};

use super::*;

fn feed() -> Arc<Feed> {
    let feed = Arc::new(Feed::new(Duration::from_secs(5)));
    feed.settle_all(feed.mark());
    feed
}

fn opening(generation: u64) -> Opening {
    Opening { epoch: "e".into(), generation, reset: false, replay: vec![], replayed: generation, own: vec![] }
}

fn subscribe(feed: &Arc<Feed>, node: Option<&str>, tops: &[&str]) -> Subscription {
    let tops = tops.iter().map(|top| top.as_bytes().into()).collect();
    feed.subscribe(node, tops).expect("room").open(opening(0))
}

fn committed(path: &str, generation: u64, seen: Mark) -> Committed {
    let file = File {
        path: format!("/{path}"),
        size: 1,
        md5: Md5([0; 16]),
        sha256: Sha256([0; 32]),
        modified: String::new(),
        generation,
    };
    Committed { path: path.as_bytes().into(), change: Some(Change::File(file)), generation, seen }
}

fn gone(path: &str, generation: u64, seen: Mark) -> Committed {
    let change = Some(Change::Gone(Gone { path: format!("/{path}"), generation }));
    Committed { path: path.as_bytes().into(), change, generation, seen }
}

/// What there is to be had now: events as `name data-path`, signs of life as `:`; `None` at the end.
async fn now(stream: &mut Subscription) -> Option<Vec<String>> {
    let mut told = Vec::new();
    loop {
        let piece = poll_fn(|context| Poll::Ready(Pin::new(&mut *stream).poll_next(context))).await;
        match piece {
            Poll::Pending => return Some(told),
            Poll::Ready(None) => return None,
            Poll::Ready(Some(piece)) => {
                let piece = piece.expect("a piece");
                if piece == ":\n\n" {
                    told.push(":".into());
                }
                Reader::default().take(&piece, |event| told.push(shown(&event))).expect("events");
            }
        }
    }
}

fn shown(event: &RawEvent) -> String {
    match Change::read(event).expect("valid").expect("known") {
        Change::Hello(hello) => format!("hello {}", hello.generation),
        Change::File(file) => format!("file {}", file.path),
        Change::Gone(gone) => format!("gone {}", gone.path),
        Change::Stale(stale) => format!("stale {}", stale.path),
        Change::Topology(topology) => format!("topology {}", topology.generation),
        other => format!("{other:?}"),
    }
}

fn told(texts: &[&str]) -> Option<Vec<String>> {
    Some(texts.iter().map(ToString::to_string).collect())
}

#[tokio::test]
async fn a_stream_is_told_what_comes_after_its_beginning_and_only_what_is_its_own() {
    let feed = feed();
    feed.committed(vec![committed("before", 1, feed.mark())]);
    let (mut all, mut prod) = (subscribe(&feed, None, &[]), subscribe(&feed, None, &["mp/prod", "x"]));
    let mark = feed.mark();
    feed.committed(vec![
        committed("mp/prod/a", 2, mark),
        committed("mp/production/b", 3, mark),
        gone("mp", 4, mark),
        committed("x/y", 5, mark),
    ]);
    feed.stale(b"mp/prod/c");
    feed.publish(&Change::Topology(Generation { generation: 9 }));
    let everything = [
        "hello 0",
        "file /mp/prod/a",
        "file /mp/production/b",
        "gone /mp",
        "file /x/y",
        "stale /mp/prod/c",
        "topology 9",
    ];
    assert_eq!(now(&mut all).await, told(&everything));
    let own = ["hello 0", "file /mp/prod/a", "gone /mp", "file /x/y", "stale /mp/prod/c", "topology 9"];
    assert_eq!(now(&mut prod).await, told(&own));
    assert_eq!(now(&mut prod).await, told(&[]));
}

#[tokio::test]
async fn what_was_replayed_is_not_told_twice() {
    let feed = feed();
    let stream = feed.subscribe(None, vec![]).expect("room");
    let mark = feed.mark();
    feed.committed(vec![committed("a", 6, mark), committed("b", 7, mark)]);
    let replay = committed("a", 6, mark).change.into_iter().collect();
    let mut stream = stream.open(Opening { replay, replayed: 6, ..opening(5) });
    assert_eq!(now(&mut stream).await, told(&["hello 5", "file /a", "file /b"]));
}

#[tokio::test]
async fn what_is_stale_is_told_to_who_comes_later_until_it_is_known() {
    let feed = feed();
    feed.stale(b"a");
    feed.stale(b"d/b");
    assert_eq!(now(&mut subscribe(&feed, None, &[])).await, told(&["hello 0", "stale /a", "stale /d/b"]));
    assert_eq!(now(&mut subscribe(&feed, None, &["d"])).await, told(&["hello 0", "stale /d/b"]));
    feed.committed(vec![committed("a", 1, feed.mark())]);
    assert_eq!(now(&mut subscribe(&feed, None, &[])).await, told(&["hello 0", "stale /d/b"]));
    let first = Arc::new(Feed::new(Duration::from_secs(5)));
    assert_eq!(now(&mut subscribe(&first, None, &["d"])).await, told(&["hello 0", "stale /"]));
}

#[tokio::test]
async fn a_file_that_changes_while_it_is_hashed_stays_stale() {
    let feed = feed();
    feed.stale(b"a");
    let seen = feed.mark();
    feed.stale(b"a");
    let mut stream = subscribe(&feed, None, &[]);
    feed.committed(vec![committed("a", 1, seen)]);
    assert_eq!(now(&mut stream).await, told(&["hello 0", "stale /a", "file /a", "stale /a"]));
    assert!(feed.is_stale(b"a"));
    // What a scan finds to be so is no news.
    feed.still_stale(b"a");
    feed.still_stale(b"b");
    assert_eq!(now(&mut stream).await, told(&["stale /b"]));
}

#[tokio::test]
async fn a_node_is_told_on_each_of_its_streams_and_nobody_else_is() {
    let feed = feed();
    let order = Change::Topology(Generation { generation: 1 });
    assert!(!feed.tell("n", &order));
    let mut streams = [Some("n"), Some("n"), Some("m"), None].map(|node| subscribe(&feed, node, &["x"]));
    assert!(feed.tell("n", &order));
    for (stream, expected) in streams.iter_mut().zip([true, true, false, false]) {
        let expected = if expected { vec!["hello 0", "topology 1"] } else { vec!["hello 0"] };
        assert_eq!(now(stream).await, told(&expected));
    }
    for _ in 0..=TOLD_MAX {
        feed.tell("m", &order);
    }
    assert_eq!(now(&mut streams[2]).await, None, "who does not read what is for it alone is cut off");
    drop(streams);
    assert!(!feed.tell("n", &order));
    assert_eq!(feed.counters.subscribers.load(Ordering::Relaxed), 0);
}

#[tokio::test]
async fn who_is_too_slow_is_cut_off_and_the_others_are_not() {
    let feed = feed();
    let (mut slow, mut quick) = (subscribe(&feed, None, &[]), subscribe(&feed, None, &[]));
    let mark = feed.mark();
    for generation in 1..=EVENTS_MAX as u64 {
        feed.committed(vec![committed("a", generation, mark)]);
    }
    assert_eq!(now(&mut quick).await.map(|told| told.len()), Some(1 + EVENTS_MAX));
    feed.committed(vec![committed("a", EVENTS_MAX as u64 + 1, mark)]);
    assert_eq!(now(&mut quick).await, told(&["file /a"]));
    assert_eq!(now(&mut slow).await, None);
    assert_eq!(feed.counters.cut.load(Ordering::Relaxed), 1);
    let state = feed.state.lock();
    assert!(state.ring.len() <= EVENTS_MAX && state.ring_bytes <= EVENT_BYTES_MAX);
}

#[tokio::test]
async fn streams_are_bounded_and_end_together() {
    let feed = feed();
    let mut streams: Vec<_> = (0..SUBSCRIBERS_MAX).map(|_| subscribe(&feed, None, &[])).collect();
    assert!(feed.subscribe(None, vec![]).is_err());
    streams.pop();
    let mut last = subscribe(&feed, None, &[]);
    feed.close();
    now(&mut last).await;
    assert_eq!(now(&mut last).await, None);
    streams.clear();
    assert!(feed.subscribe(None, vec![]).is_err());
}

#[tokio::test(start_paused = true)]
async fn streams_are_woken_by_news_and_give_signs_of_life() {
    let feed = feed();
    let runs = tokio::spawn(feed.clone().run());
    let mut stream = subscribe(&feed, None, &[]);
    let mut next = async || {
        let piece = poll_fn(|context| Pin::new(&mut stream).poll_next(context)).await;
        String::from_utf8(piece.expect("open").expect("a piece").to_vec()).expect("text")
    };
    let start = Instant::now();
    assert!(next().await.starts_with("event: hello"));
    for _ in 0..3 {
        assert_eq!(next().await, ":\n\n");
    }
    assert!((10..=15).contains(&start.elapsed().as_secs()), "{:?}", start.elapsed());
    let start = Instant::now();
    feed.stale(b"a");
    assert!(next().await.starts_with("event: stale"));
    feed.stale(b"b");
    feed.stale(b"c");
    let both = next().await;
    assert!(both.contains("/b") && both.contains("/c"), "what comes close together goes out together: {both}");
    assert!(start.elapsed() <= 2 * GATHER, "{:?}", start.elapsed());
    runs.abort();
}
