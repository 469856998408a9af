//! How the proxy behaves towards clients that misbehave, towards signals, and towards its operator's mistakes.

use std::{fs, thread};

use harness::{
    MIB,
    client::{Ask, Connection, Ending},
    content::Content,
    program::run_to_end,
    proxy::{Proxy, ProxySetup},
    script::{Page, Reply},
    share::Share,
    upstream::ScriptedUpstream,
    wait::{self, Gate},
};
use rustix::process::Signal;

use crate::proxy;

fn small_proxy() -> (Share, Proxy) {
    let share = Share::new();
    share.write("file", &Content::from("contents"));
    let proxy = proxy().upstream("/", &share.url()).start();
    (share, proxy)
}

#[test]
fn a_malformed_request_gets_one_400_and_a_close() {
    let (_share, proxy) = small_proxy();
    proxy.get("/file").expect_status(200);
    let evil = "GET /file HTTP/1.1\r\nHost: x\r\n\r\n";
    for request in [
        "nonsense\r\n\r\n",
        "GET /file\r\n\r\n",
        "GET /file HTTP/1.1\r\n\r\n",
        "GET /file HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        "GET /file HTTP/1.1\r\nHost: a b\r\n\r\n",
        "GET /file HTTP/1.1\r\nHost : x\r\n\r\n",
        "GET /file HTTP/1.1\r\nHost: x\r\n folded\r\n\r\n",
        "GET /file HTTP/1.1\r\nHost: x\r\nX: a\0b\r\n\r\n",
        "GET /file HTTP/1.1\r\nHost: x\r\n: empty\r\n\r\n",
        "GET /file HTTP/1.1\r\nHost: x\r\nContent-Length: +5\r\n\r\n",
        "GET /file HTTP/1.1\r\nHost: x\r\nContent-Length: 5, 6\r\n\r\n",
        "GET /file HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n",
        "GET /file HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999999999\r\n\r\n",
        "GET /file HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n",
        "GET /file HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: xchunked\r\n\r\n",
        "GET /file HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked, identity\r\n\r\n",
        "GET /fi le HTTP/1.1\r\nHost: x\r\n\r\n",
        "GET file HTTP/1.1\r\nHost: x\r\n\r\n",
        "GET /file HTTP/1.1\nHost: x\rY: z\n\n",
        "G\u{e4}T /file HTTP/1.1\r\nHost: x\r\n\r\n",
    ] {
        let mut connection = Connection::open(proxy.files());
        connection.send(format!("{request}{evil}").as_bytes());
        let bytes = connection.read_until_closed();
        let text = String::from_utf8_lossy(&bytes);
        // The detail of a problem may name the protocol; a status line goes on with its number.
        let answers = text
            .match_indices("HTTP/1.1 ")
            .filter(|(at, mark)| text[at + mark.len()..].starts_with(|c: char| c.is_ascii_digit()))
            .count();
        assert_eq!(answers, 1, "{request:?} was answered with {text:?}");
        let is_refusal = ["400", "501", "505"].iter().any(|status| text.starts_with(&format!("HTTP/1.1 {status} ")));
        assert!(is_refusal, "{request:?} was answered with {text:?}");
    }
    proxy.get("/file").expect_status(200);
}

#[test]
fn a_body_is_never_taken_for_the_next_request() {
    let (_share, proxy) = small_proxy();
    let body = "GET /evil HTTP/1.1\r\nHost: x\r\n\r\n";
    let mut connection = Connection::open(proxy.files());
    connection
        .send(format!("GET /file HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n{body}", body.len()).as_bytes());
    connection.send(b"GET /file HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    let bytes = connection.read_until_closed();
    let text = String::from_utf8_lossy(&bytes);
    assert!(!text.contains("404"), "the body was taken for a request: {text}");
    assert!(text.starts_with("HTTP/1.1 "), "{text}");
}

#[test]
fn other_methods_are_refused() {
    let (_share, proxy) = small_proxy();
    for method in ["DELETE", "PUT", "POST", "PATCH", "TRACE", "BREW"] {
        let answer = Ask::method(method, "/file").fetch(proxy.files()).expect_status(405);
        let allow = answer.field("Allow").unwrap_or_default();
        assert!(allow.contains("GET") && allow.contains("HEAD"), "{method}: {answer:?}");
    }
    Ask::method("CONNECT", "/file").fetch(proxy.files()).expect_status(400);
}

#[test]
fn a_head_that_is_too_large_is_a_431() {
    let (_share, proxy) = small_proxy();
    let large = Ask::get("/file").field("X-Large", "x".repeat(300_000)).fetch(proxy.files());
    assert_eq!(large.status, 431, "{large:?}");
    let many = (0..2000).fold(Ask::get("/file"), |ask, _| ask.field("X", "y")).fetch(proxy.files());
    assert_eq!(many.status, 431, "{many:?}");
}

#[test]
fn one_connection_too_many_is_told_so() {
    let share = Share::new();
    share.write("file", &Content::from("contents"));
    let proxy = proxy().upstream("/", &share.url()).serve("connections_max = 8").start();
    let held: Vec<_> = (0..8).map(|_| Connection::open(proxy.files())).collect();
    wait::until_true("all eight are counted", || proxy.number("/connections") == 8);
    let refused = proxy.get("/file").expect_status(503);
    assert_eq!(refused.problem(), "overloaded");
    drop(held);
    wait::until_true("there is a place again", || proxy.get("/file").status == 200);
}

#[test]
fn a_client_that_trickles_its_request_is_told_408() {
    let share = Share::new();
    share.write("file", &Content::from("contents"));
    let proxy = proxy().upstream("/", &share.url()).serve("header_timeout = \"1s\"").start();
    let mut connection = Connection::open(proxy.files());
    connection.send(b"GET /file HTTP/1.1\r\nHost: x\r\nX-Slow: ");
    let text = String::from_utf8_lossy(&connection.read_until_closed()).into_owned();
    assert!(text.starts_with("HTTP/1.1 408"), "{text}");
}

#[test]
fn an_old_client_gets_its_file_and_a_close() {
    let (_share, proxy) = small_proxy();
    let mut connection = Connection::open(proxy.files());
    connection.send(b"GET /file HTTP/1.0\r\n\r\n");
    let text = String::from_utf8_lossy(&connection.read_until_closed()).into_owned();
    assert!(text.contains(" 200 ") && text.ends_with("\r\n\r\ncontents"), "{text}");
    assert!(!text.to_ascii_lowercase().contains("transfer-encoding"), "{text}");
}

#[test]
fn after_sigterm_what_runs_is_finished_and_nothing_new_begins() {
    let content = Content::random(1, 4 * MIB);
    let gate = Gate::new();
    let upstream = ScriptedUpstream::start();
    upstream.publish("/file", Page::tagged(&content).next(Reply::right().hold(2 * MIB, &gate)));
    let mut proxy = proxy().upstream("/", &upstream.url()).start();
    let mut transfer = proxy.open("/file");
    transfer.take(MIB);
    proxy.program().signal(Signal::TERM);
    wait::until_true("new connections are refused", || Connection::try_open(proxy.files()).is_err());
    gate.open();
    assert_eq!(transfer.compare(&content, MIB).ending, Ending::Whole);
    let status = proxy.program().wait();
    assert!(status.success(), "it ended with {status}");
}

#[test]
fn a_second_sigterm_stops_at_once() {
    let content = Content::random(2, 4 * MIB);
    let gate = Gate::new();
    let upstream = ScriptedUpstream::start();
    upstream.publish("/file", Page::tagged(&content).next(Reply::right().hold(2 * MIB, &gate)));
    let mut proxy = proxy().upstream("/", &upstream.url()).serve("drain_timeout = \"1h\"").start();
    let mut transfer = proxy.open("/file");
    transfer.take(MIB);
    proxy.program().signal(Signal::TERM);
    wait::until_true("new connections are refused", || Connection::try_open(proxy.files()).is_err());
    assert!(!proxy.program().has_ended());
    proxy.program().signal(Signal::TERM);
    proxy.program().wait();
    assert_eq!(transfer.compare(&content, MIB).ending, Ending::Short);
}

#[test]
fn sighup_takes_a_good_file_and_keeps_serving_under_a_bad_one() {
    let content = Content::random(3, MIB);
    let share = Share::new();
    share.write("file", &content);
    let mut proxy = proxy().upstream("/", &share.url()).start();
    let config = proxy.setup().directory().join("outpost.toml");
    let good = fs::read_to_string(&config).expect("the configuration");
    fs::write(&config, format!("no_such_key = 1\n{good}")).expect("a bad one");
    proxy.program().signal(Signal::HUP);
    proxy.program().find_line("what is wrong with it", |line| line.contains("no_such_key").then_some(()));
    proxy.get("/file").expect(&content);

    let other = Share::new();
    let changed = Content::random(4, MIB);
    other.write("file", &changed);
    fs::write(&config, good.replace(&share.url(), &other.url())).expect("a good one");
    proxy.program().signal(Signal::HUP);
    wait::until_true("the new upstream is served", || {
        proxy.get("/file").expect_none_but(&[&content, &changed]).is(&changed)
    });
}

#[test]
fn one_flag_is_enough_to_start_it() {
    let share = Share::new();
    share.write("file", &Content::from("contents"));
    let setup = proxy();
    // The ports are chosen only because several tests run at once.
    let upstream = format!("--upstream={}", share.url());
    let arguments = [upstream.as_str(), "--listen=127.0.0.1:0", "--admin=127.0.0.1:0"];
    let proxy = setup.start_with(&arguments);
    proxy.get("/file").expect_status(200);
    assert!(setup.directory().join("outpost-cache").is_dir());
    proxy.terminate();
}

#[test]
fn a_configuration_is_checked_without_touching_anything() {
    let share = Share::new();
    let good = proxy().upstream("/", &share.url());
    let bad = proxy().upstream("/", &share.url()).cache("max_sise = \"1GiB\"");
    for (setup, is_good) in [(good, true), (bad, false)] {
        let config = format!("--config={}", setup.write_config().display());
        let arguments = [config.as_str(), "--check-config"];
        let (code, printed) = run_to_end(setup.executable(), arguments, setup.directory());
        assert_eq!(code == Some(0), is_good, "{printed}");
        assert!(!setup.cache_dir().exists());
    }
}

/// Starts it in vain: the exit code and what it said.
fn fails_to_start(setup: &ProxySetup) -> (i32, String) {
    let config = setup.write_config();
    let arguments = ["--config".into(), config];
    let (code, printed) = run_to_end(setup.executable(), arguments, setup.directory());
    let code = code.unwrap_or_else(|| panic!("it was ended by a signal; it printed:\n{printed}"));
    assert_ne!(code, 0, "it ended as if all were well; it printed:\n{printed}");
    assert!(!printed.contains("panicked"), "{printed}");
    (code, printed)
}

#[test]
fn an_unknown_key_is_refused_with_its_line() {
    let share = Share::new();
    let setup = proxy().upstream("/", &share.url()).cache("max_sise = \"1GiB\"");
    let (_, printed) = fails_to_start(&setup);
    assert!(printed.contains("max_sise"), "{printed}");
    let config = fs::read_to_string(setup.write_config()).expect("the configuration");
    let line = config.lines().position(|line| line.starts_with("max_sise")).expect("the line") + 1;
    assert!(printed.contains(&line.to_string()), "line {line} is not named: {printed}");
}

#[test]
fn a_directory_that_is_not_ours_is_left_alone() {
    let share = Share::new();
    let setup = proxy().upstream("/", &share.url());
    fs::create_dir_all(setup.cache_dir().join("objects/ab/cd")).expect("a directory");
    let precious = setup.cache_dir().join("objects/ab/cd/thesis.txt");
    fs::write(&precious, "years of work").expect("a file");
    let (_, printed) = fails_to_start(&setup);
    assert!(printed.contains(&setup.cache_dir().display().to_string()), "{printed}");
    assert_eq!(fs::read_to_string(&precious).expect("it is still there"), "years of work");
    let entries = fs::read_dir(setup.cache_dir()).expect("the directory").count();
    assert_eq!(entries, 1, "something was added to a directory that is not ours");
}

#[test]
fn a_cache_directory_in_use_is_refused() {
    let (_share, running) = small_proxy();
    let (_, printed) = fails_to_start(running.setup());
    assert!(printed.contains("in use"), "{printed}");
    running.get("/file").expect_status(200);
}

#[test]
fn a_port_in_use_is_named() {
    let (share, running) = small_proxy();
    let setup = proxy().upstream("/", &share.url());
    let config = setup.write_config();
    let listen = format!("--listen={}", running.files());
    let (code, printed) =
        run_to_end(setup.executable(), [format!("--config={}", config.display()), listen], setup.directory());
    assert_ne!(code, Some(0));
    assert!(printed.contains(&running.files().to_string()), "{printed}");
}

#[test]
fn mistakes_in_the_configuration_are_refused_before_anything_is_touched() {
    let share = Share::new();
    let setups = [
        proxy().upstream("/", "gopher://hq.example/"),
        proxy().upstream("/", "/no/such/directory"),
        proxy().upstream("/", &share.url()).upstream("/", &share.url()),
        proxy().upstream("/", &share.url()).cache("max_size = \"120%\""),
        proxy().upstream("/", &share.url()).cache("max_size = \"many\""),
        proxy().upstream("/", &share.url()).serve("retry_delay = \"soon\""),
        proxy().upstream("/", &share.url()).top("mode = \"fetsh\""),
        proxy(),
    ];
    for setup in setups {
        let (_, printed) = fails_to_start(&setup);
        assert!(printed.len() > 20, "a message that says nothing: {printed:?}");
        assert!(!setup.cache_dir().exists(), "a cache was made all the same: {printed}");
    }
}

#[test]
fn no_client_can_stop_the_others_by_saying_nothing() {
    let (_share, proxy) = small_proxy();
    let _silent: Vec<_> = (0..200)
        .map(|_| {
            let mut connection = Connection::open(proxy.files());
            connection.send(b"GET /file HTT");
            connection
        })
        .collect();
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| drop(proxy.get("/file").expect_status(200)));
        }
    });
}
