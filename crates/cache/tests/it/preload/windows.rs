//! Modes and windows: what comes when, and what a window leaves.

use super::*;

#[test]
fn in_mode_preload_files_come_in_the_window_and_only_there() {
    let share = tempfile::tempdir().unwrap();
    put(share.path(), "a", &content(1, 200_000));
    put(share.path(), "deep/er/b", &content(2, 100));
    let (told, clock) = clock("2026-11-22T23:00:00Z");
    let proxy = Proxy::by_clock(
        options(share.path().to_str().unwrap(), Mode::Preload, schedule(&["02:00-04:00"], "UTC")),
        clock,
    );
    let refused = get(proxy.address(), "/a").expect_problem(503, "not-preloaded");
    assert_eq!(refused.field("Retry-After"), Some("10800"), "three hours to the window");
    assert_eq!(status(&proxy).state, PreloadState::Waiting);
    assert_eq!(status(&proxy).next, Some(at("2026-11-23T02:00:00Z")));
    assert_eq!(proxy.store.report().objects, 0);

    tell(&told, "2026-11-23T02:00:00Z");
    let round = done(&proxy);
    assert_eq!((round.fetched.files, round.fetched.bytes, round.left.files), (2, 200_100, 0));
    get(proxy.address(), "/a").expect(&content(1, 200_000));
    get(proxy.address(), "/deep/er/b").expect(&content(2, 100));

    // Changed after the window: it is not known yet, and what is here is given out.
    tell(&told, "2026-11-23T04:00:00Z");
    put(share.path(), "a", &content(3, 150_000));
    put(share.path(), "new", &content(4, 10));
    get(proxy.address(), "/a").expect(&content(1, 200_000));
    let refused = get(proxy.address(), "/new").expect_problem(503, "not-preloaded");
    assert_eq!(refused.field("Retry-After"), Some("79200"));
    tell(&told, "2026-11-24T02:00:00Z");
    eventually("the next round", || {
        status(&proxy).scheduled.is_some_and(|round| round.began == at("2026-11-24T02:00:00Z"))
    });
    let round = done(&proxy);
    assert_eq!((round.fetched.files, round.here.files), (2, 1), "{round:?}");
    get(proxy.address(), "/a").expect(&content(3, 150_000));
    get(proxy.address(), "/new").expect(&content(4, 10));
}

#[test]
fn in_mode_fetch_and_preload_clients_wait_for_no_window_and_in_mode_fetch_there_is_none() {
    let share = tempfile::tempdir().unwrap();
    put(share.path(), "a", &content(1, 1000));
    put(share.path(), "b", &content(2, 1000));
    let location = share.path().to_str().unwrap();
    let (told, clock) = clock("2026-11-22T23:00:00Z");
    let of = |mode| options(location, mode, schedule(&["02:00-04:00"], "UTC"));
    let proxy = Proxy::by_clock(of(Mode::Fetch), clock);
    tell(&told, "2026-11-23T02:00:00Z");
    get(proxy.address(), "/a").expect(&content(1, 1000));
    assert_eq!(status(&proxy).state, PreloadState::Off);
    assert!(matches!(proxy.cache.preload_on_demand(&demand(Wanted::Everything)), Err(DemandError::AllFetch)));
    assert!(matches!(proxy.cache.preload_on_demand(&paths(&["/b"])), Err(DemandError::ModeFetch { .. })));
    proxy.expect_no_fills();
    proxy.cache.reconfigure(of(Mode::FetchAndPreload)).unwrap();
    let round = done(&proxy);
    assert_eq!((round.fetched.files, round.here.files), (1, 1));
    put(share.path(), "c", &content(3, 1000));
    get(proxy.address(), "/c").expect(&content(3, 1000));
}

#[test]
fn a_window_follows_the_clock_on_the_wall_when_it_is_changed() {
    let share = tempfile::tempdir().unwrap();
    put(share.path(), "a", b"x");
    let location = share.path().to_str().unwrap();
    // The night in which 02:00 is followed by 03:00: the window is from 03:30 to 05:00, which is 01:30 to 03:00 UTC.
    let (told, spring) = clock("2026-03-29T00:30:00Z");
    let proxy = Proxy::by_clock(options(location, Mode::Preload, schedule(&["02:30-05:00"], "Europe/Berlin")), spring);
    let refused = get(proxy.address(), "/a").expect_problem(503, "not-preloaded");
    assert_eq!(refused.field("Retry-After"), Some("3600"));
    tell(&told, "2026-03-29T01:29:59Z");
    assert_eq!(status(&proxy).state, PreloadState::Waiting);
    tell(&told, "2026-03-29T01:30:00Z");
    assert_eq!(done(&proxy).fetched.files, 1);
    assert_eq!(status(&proxy).closes, Some(at("2026-03-29T03:00:00Z")));
    // The night in which 03:00 is followed by 02:00: one window, and an hour longer.
    let (told, autumn) = clock("2026-10-25T00:00:00Z");
    let proxy = Proxy::by_clock(options(location, Mode::Preload, schedule(&["02:30-05:00"], "Europe/Berlin")), autumn);
    let refused = get(proxy.address(), "/a").expect_problem(503, "not-preloaded");
    assert_eq!(refused.field("Retry-After"), Some("1800"));
    tell(&told, "2026-10-25T00:30:00Z");
    assert_eq!(done(&proxy).fetched.files, 1);
    tell(&told, "2026-10-25T01:20:00Z");
    assert_eq!(status(&proxy).closes, Some(at("2026-10-25T04:00:00Z")), "the second 02:30 opens no other");
}

#[test]
fn a_window_that_closes_stops_a_file_at_its_byte_and_the_next_continues_it() {
    let (bytes, gate) = (content(5, 6 << 20), Gate::default());
    let origin = slow(bytes.clone(), 4 << 20, gate.clone());
    let (told, clock) = clock("2026-11-23T02:00:00Z");
    let preload = PreloadOptions { at_close: AtClose::Stop, ..schedule(&["02:00-04:00"], "UTC") };
    let proxy = Proxy::by_clock(options(&origin.url(), Mode::Preload, preload), clock);
    // The store writes in pieces; what is in between may be lost.
    eventually("most of it came", || status(&proxy).running.first().is_some_and(|file| file.fetched >= 3 << 20));
    let running = status(&proxy);
    assert_eq!((running.state, running.running[0].path.as_str()), (PreloadState::Fetching, "/big.iso"));
    assert_eq!(proxy.cache.waiting(), 0, "who preloads is no client");
    assert_eq!(proxy.cache.fills()[0].followers, 0);
    tell(&told, "2026-11-23T04:00:00Z");
    eventually("it stops", || status(&proxy).running.is_empty() && proxy.cache.fills().is_empty());
    assert_eq!(status(&proxy).state, PreloadState::Waiting);
    gate.open();
    get(proxy.address(), "/big.iso").expect_problem(503, "not-preloaded");
    tell(&told, "2026-11-24T02:00:00Z");
    done(&proxy);
    get(proxy.address(), "/big.iso").expect(&bytes);
    let requests = origin.requests();
    let last = requests.iter().rfind(|request| request.target == "/big.iso").unwrap();
    assert!(last.range_start().is_some_and(|start| start >= 3 << 20), "{last:?}");
}

#[test]
fn a_window_that_closes_lets_a_file_finish_and_begins_no_other() {
    let (bytes, gate) = (content(6, 3 << 20), Gate::default());
    let (sent, wait) = (bytes.clone(), gate.clone());
    let origin = Origin::start(move |request, stream| match request.target.as_str() {
        "/" => nginx(request, stream, &["a.iso", "b.iso", "c.iso"]),
        _ => {
            wait.wait();
            serve(request, stream, &sent, &[("ETag", "\"v1\""), ("Cache-Control", "max-age=9999")], sent.len());
        }
    });
    let (told, clock) = clock("2026-11-23T02:00:00Z");
    let preload = PreloadOptions { concurrency: 1, ..schedule(&["02:00-04:00"], "UTC") };
    let proxy = Proxy::by_clock(options(&origin.url(), Mode::FetchAndPreload, preload), clock);
    eventually("one is on its way", || status(&proxy).running.len() == 1);
    tell(&told, "2026-11-23T04:00:00Z");
    eventually("the window is closed", || status(&proxy).state == PreloadState::Finishing);
    gate.open();
    proxy.expect_objects(1);
    eventually("nothing is on its way", || status(&proxy).state == PreloadState::Waiting);
    let round = status(&proxy).scheduled.unwrap();
    assert_eq!((round.fetched.files, round.left.files, round.ended), (1, 2, None));
    assert_eq!(origin.asked(), ["GET /", "GET /a.iso"]);
}

#[test]
fn a_client_that_waits_for_a_file_keeps_it_going_when_the_window_closes() {
    let (bytes, gate) = (content(7, 6 << 20), Gate::default());
    let origin = slow(bytes.clone(), 4 << 20, gate.clone());
    let (told, clock) = clock("2026-11-23T02:00:00Z");
    let preload = PreloadOptions { at_close: AtClose::Stop, ..schedule(&["02:00-04:00"], "UTC") };
    let proxy = Proxy::by_clock(options(&origin.url(), Mode::FetchAndPreload, preload), clock);
    eventually("some of it came", || status(&proxy).running.first().is_some_and(|file| file.fetched > 1 << 20));
    let address = proxy.address();
    let client = std::thread::spawn(move || get(address, "/big.iso"));
    eventually("a client has joined", || proxy.cache.fills().first().is_some_and(|fill| fill.followers == 1));
    tell(&told, "2026-11-23T04:00:00Z");
    eventually("the window is closed", || status(&proxy).state == PreloadState::Finishing);
    gate.open();
    client.join().unwrap().expect(&bytes);
    assert_eq!(origin.asked(), ["GET /", "GET /big.iso"]);
}

#[test]
fn an_upstream_that_dies_in_the_middle_is_gone_on_with() {
    let bytes = content(14, 3 << 20);
    let (sent, asked) = (bytes.clone(), AtomicUsize::new(0));
    let origin = Origin::start(move |request, stream| match request.target.as_str() {
        "/" => nginx(request, stream, &["a.iso"]),
        _ => {
            let cut = if asked.fetch_add(1, Ordering::Relaxed) < 2 { 2 << 20 } else { sent.len() };
            serve(request, stream, &sent, &[("ETag", "\"v\"")], cut);
        }
    });
    let (_told, clock) = clock("2026-11-23T02:00:00Z");
    let proxy = Proxy::by_clock(options(&origin.url(), Mode::Preload, schedule(&["02:00-04:00"], "UTC")), clock);
    let round = done(&proxy);
    assert_eq!((round.fetched.files, round.failed), (1, 0));
    get(proxy.address(), "/a.iso").expect(&bytes);
    let ranges: Vec<_> = origin.requests().iter().filter_map(Request::range_start).collect();
    assert!(!ranges.is_empty(), "it begins nothing anew");
}

#[test]
fn a_stop_of_the_program_keeps_what_came_and_the_next_start_continues_it() {
    let (bytes, gate) = (content(15, 6 << 20), Gate::default());
    let origin = slow(bytes.clone(), 4 << 20, gate.clone());
    let always = || options(&origin.url(), Mode::Preload, schedule(&["00:00-24:00"], "UTC"));
    let proxy = Proxy::with(always());
    eventually("most of it came", || status(&proxy).running.first().is_some_and(|file| file.fetched >= 3 << 20));
    let proxy = proxy.restart(always());
    gate.open();
    done(&proxy);
    get(proxy.address(), "/big.iso").expect(&bytes);
    assert!(origin.requests().iter().any(|request| request.range_start().is_some_and(|start| start > 0)));
}

#[test]
fn a_time_to_be_ready_by_needs_no_window() {
    let share = tempfile::tempdir().unwrap();
    put(share.path(), "a", &content(16, 1000));
    let (told, clock) = clock("2026-11-22T12:00:00Z");
    let ready_by = Some(ReadyBy::parse("Mon 08:00", &Zone::default()).unwrap());
    let preload = PreloadOptions { ready_by, ..PreloadOptions::default() };
    let proxy = Proxy::by_clock(options(share.path().to_str().unwrap(), Mode::Preload, preload), clock);
    assert_eq!(done(&proxy).fetched.files, 1);
    let ready_by = status(&proxy).ready_by.unwrap();
    assert_eq!((ready_by.deadline, ready_by.is_late), (at("2026-11-23T08:00:00Z"), false));
    // New files are found within the hour.
    put(share.path(), "b", &content(17, 1000));
    tell(&told, "2026-11-22T13:00:00Z");
    eventually("the new one came", || done(&proxy).fetched.files == 1 && done(&proxy).here.files == 1);
}

#[test]
fn a_reload_takes_new_windows_and_removes_upstreams() {
    let share = tempfile::tempdir().unwrap();
    put(share.path(), "a", b"x");
    let location = share.path().to_str().unwrap();
    let (_told, clock) = clock("2026-11-23T02:00:00Z");
    let proxy = Proxy::by_clock(options(location, Mode::Preload, PreloadOptions::default()), clock);
    assert_eq!(status(&proxy).state, PreloadState::OnDemand);
    proxy.cache.reconfigure(options(location, Mode::Preload, schedule(&["02:00-04:00"], "UTC"))).unwrap();
    assert_eq!(done(&proxy).fetched.files, 1);
    let mut other = options(location, Mode::Preload, schedule(&["02:00-04:00"], "UTC"));
    other.upstreams[0].name = "other".into();
    proxy.cache.reconfigure(other).unwrap();
    let round = done(&proxy);
    assert_eq!(round.fetched.files + round.here.files, 1);
    assert_eq!(status(&proxy).upstream, "other");
}

/// Time passes while nothing happens, and nothing is asked of anybody.
#[test]
fn outside_of_a_window_the_upstream_hears_nothing() {
    let origin = Origin::start(missing);
    let (told, clock) = clock("2026-11-23T12:00:00Z");
    let proxy = Proxy::by_clock(options(&origin.url(), Mode::Preload, schedule(&["02:00-04:00"], "UTC")), clock);
    for minutes in 0..60 * 13 {
        told.send(at("2026-11-23T12:00:00Z") + Duration::from_secs(minutes * 60)).unwrap();
    }
    get(proxy.address(), "/a").expect_problem(503, "not-preloaded");
    assert_eq!(origin.asked().len(), 0);
}
