//! What an origin orders.

use cache::preload::{Errand, Progress};
use protocol::enrolment::{Content, Update};

use super::*;

/// An origin that knows all its digests, and a proxy that has it at `/hq`, as seen from a folder of it.
fn branch(share: &tempfile::TempDir, mode: Mode, below: &str) -> (Proxy, Proxy) {
    let front = Proxy::of(share.path().to_str().unwrap());
    let location = format!("outpost+http://{}/{below}", front.address());
    let mut options = options(&location, mode, PreloadOptions::default());
    options.upstreams[0].mount = "/hq".into();
    let proxy = Proxy::with(options);
    (front, proxy)
}

fn order(proxy: &Proxy, update: &Update) -> Result<Errand, DemandError> {
    let origin = proxy.cache.origin_links()[0].upstream().to_owned();
    // Errands begin tasks of the cache's own runtime, from whatever thread.
    proxy.cache.errand(&origin, update)
}

fn done(proxy: &Proxy, update: &Update) -> Progress {
    let errand = order(proxy, update).unwrap();
    proxy.wait(errand.ended());
    assert!(errand.is_over());
    errand.progress()
}

fn contents(all: &[(&str, &[u8])]) -> Update {
    let content = |(path, bytes): &(&str, &[u8])| Content { md5: Md5::of(bytes), path: (*path).to_owned() };
    Update::Contents(all.iter().map(content).collect())
}

#[test]
fn a_folder_is_brought_and_counted_to_its_end() {
    let share = tempfile::tempdir().unwrap();
    put(share.path(), "office/setup.exe", &content(1, 70_000));
    put(share.path(), "office/data/a.cab", &content(2, 30_000));
    put(share.path(), "other/x", b"x");
    let (_front, proxy) = branch(&share, Mode::Preload, "");
    let expected = Progress { files: 2, fetched: 100_000, total: 100_000, ..Progress::default() };
    let found = done(&proxy, &Update::Path("/office/".into()));
    assert_eq!(Progress { seconds_left: None, ..found }, expected);
    get(proxy.address(), "/hq/office/data/a.cab").expect(&content(2, 30_000));
    get(proxy.address(), "/hq/other/x").expect_problem(503, "not-preloaded");
    // A second time all of it is here.
    let found = done(&proxy, &Update::Path("/office/".into()));
    assert_eq!(Progress { seconds_left: None, ..found }, expected);
    assert_eq!(done(&proxy, &Update::Everything).files, 3);
}

#[test]
fn what_is_not_there_has_failed_and_says_why() {
    let share = tempfile::tempdir().unwrap();
    put(share.path(), "a", b"a");
    let (_front, proxy) = branch(&share, Mode::FetchAndPreload, "");
    let found = done(&proxy, &Update::Path("/none".into()));
    assert_eq!((found.failed, found.reason.as_deref()), (1, Some("/hq/none: the upstream has no such file")));
    assert!(matches!(order(&proxy, &Update::Path("none".into())), Err(DemandError::Path { .. })));
    let (_front, proxy) = branch(&share, Mode::Fetch, "");
    assert!(matches!(order(&proxy, &Update::Everything), Err(DemandError::AllFetch)));
    assert!(matches!(order(&proxy, &Update::Path("/a".into())), Err(DemandError::ModeFetch { .. })));
}

#[test]
fn contents_that_others_wait_for_come_whatever_the_mode_and_by_their_digest() {
    let share = tempfile::tempdir().unwrap();
    let (one, other, lost) = (content(3, 90_000), content(4, 20_000), content(5, 10));
    put(share.path(), "a", &one);
    put(share.path(), "b", &other);
    let (front, proxy) = branch(&share, Mode::Fetch, "");
    // The origin has a content whose file is another one by now: its digest still names it.
    get(front.address(), "/a").expect(&one);
    get(front.address(), "/b").expect(&other);
    let errand = order(&proxy, &contents(&[("/b", &one), ("/b", &other)])).unwrap();
    proxy.wait(errand.ended());
    assert_eq!((errand.missing().count(), errand.progress().failed), (0, 0), "{:?}", errand.progress());
    assert!(proxy.store.peek(&Md5::of(&one)).is_some());
    let errand = order(&proxy, &contents(&[("/a", &one), ("/lost", &lost)])).unwrap();
    proxy.wait(errand.ended());
    let found = errand.progress();
    assert_eq!(errand.missing().map(|content| &*content.path).collect::<Vec<_>>(), ["/lost"]);
    assert_eq!((found.failed, found.reason.as_deref()), (1, Some("/hq/lost: the origin has no such content")));
    // Nothing to do is done.
    assert_eq!(done(&proxy, &contents(&[("/a", &one)])), Progress::default());
}

#[test]
fn paths_are_those_of_the_origin_whatever_of_it_is_mounted_and_where() {
    let share = tempfile::tempdir().unwrap();
    put(share.path(), "sub/x", b"xyz");
    put(share.path(), "above/x", b"abc");
    let (_front, proxy) = branch(&share, Mode::FetchAndPreload, "sub/");
    assert_eq!(done(&proxy, &Update::Path("/sub/x".into())).fetched, 3);
    get(proxy.address(), "/hq/x").expect(b"xyz");
    for path in ["/above/x", "/x"] {
        let refused = order(&proxy, &Update::Path(path.into())).map(drop);
        assert_eq!(refused, Err(DemandError::NowhereMounted { path: path.into() }));
    }
}

#[test]
fn an_upstream_that_is_taken_out_ends_what_was_ordered_of_it() {
    let gate = Gate::default();
    let (held, bytes) = (gate.clone(), content(6, 300_000));
    let origin = Origin::start(move |request, stream| {
        if request.target.contains("big") && request.method == "GET" {
            held.wait();
        }
        serve(request, stream, &bytes, &[], bytes.len());
    });
    let proxy =
        Proxy::with(options(&format!("outpost+{}", origin.url()), Mode::FetchAndPreload, PreloadOptions::default()));
    let errand = order(&proxy, &Update::Path("/big".into())).unwrap();
    eventually("it is asked for", || !origin.asked().is_empty());
    let elsewhere = tempfile::tempdir().unwrap();
    let mut others = options(elsewhere.path().to_str().unwrap(), Mode::Fetch, PreloadOptions::default());
    others.upstreams[0].name = "another".into();
    proxy.cache.reconfigure(others).unwrap();
    gate.open();
    proxy.wait(errand.ended());
    let found = errand.progress();
    assert_eq!(found.failed, 1, "{found:?}");
    assert!(found.reason.unwrap().contains("is not there any more"));
}
