//! The read-only WebDAV view, with the questions that the clients of people ask.

use std::{io::Write, sync::atomic::Ordering, time::Duration};

use cache::options::{Options, UpstreamOptions};

use crate::{
    client::{Answer, ask, get, get_with},
    origin::{Origin, reply, serve},
    proxy::{Proxy, content, put, upstream},
};

const METHODS: &str = "GET, HEAD, OPTIONS, PROPFIND";

fn propfind(proxy: &Proxy, target: &str, depth: &str, body: &str) -> Answer {
    let len = body.len().to_string();
    let mut asked = ask(proxy.address(), "PROPFIND", target, &[("Depth", depth), ("Content-Length", &len)]);
    asked.stream.write_all(body.as_bytes()).unwrap();
    asked.answer()
}

/// The hrefs of a 207, in order.
#[track_caller]
fn hrefs(answer: &Answer) -> Vec<String> {
    let text = answer.text();
    assert_eq!((answer.status, answer.is_whole), (207, true), "{text}");
    assert_eq!(answer.field("Content-Type"), Some("application/xml; charset=\"utf-8\""));
    assert!(text.ends_with("</D:multistatus>\n"), "{text}");
    text.split("<D:href>").skip(1).map(|rest| rest.split('<').next().unwrap().to_owned()).collect()
}

fn share() -> tempfile::TempDir {
    let share = tempfile::tempdir().unwrap();
    put(share.path(), "dir/a file.txt", b"x");
    put(share.path(), "setup.exe", &content(1, 300_000));
    share
}

fn patient(share: &tempfile::TempDir, mount: &str) -> UpstreamOptions {
    UpstreamOptions { recheck: Duration::from_secs(600), ..upstream(mount, share.path().to_str().unwrap()) }
}

#[test]
fn directories_and_files_are_told_without_their_bytes() {
    let share = share();
    let proxy = Proxy::with(Options::new(vec![upstream("/prod", share.path().to_str().unwrap())]));
    assert_eq!(hrefs(&propfind(&proxy, "/prod/", "1", "")), ["/prod/", "/prod/dir/", "/prod/setup.exe"]);
    // With the slash or without.
    for target in ["/prod/dir", "/prod/dir/"] {
        assert_eq!(hrefs(&propfind(&proxy, target, "1", "")), ["/prod/dir/", "/prod/dir/a%20file.txt"]);
        assert_eq!(hrefs(&propfind(&proxy, target, "0", "")), ["/prod/dir/"]);
    }
    assert_eq!(hrefs(&propfind(&proxy, "/prod", "0", "")), ["/prod/"]);
    let file = propfind(&proxy, "/prod/setup.exe", "1", "");
    assert_eq!(hrefs(&file), ["/prod/setup.exe"]);
    let head = crate::client::head(proxy.address(), "/prod/setup.exe");
    let text = file.text();
    for part in [
        "<D:getcontentlength>300000</D:getcontentlength>".to_owned(),
        format!("<D:getetag>{}</D:getetag>", head.field("ETag").unwrap().replace('"', "&quot;")),
        format!("<D:getlastmodified>{}</D:getlastmodified>", head.field("Last-Modified").unwrap()),
        format!("<D:getcontenttype>{}</D:getcontenttype>", head.field("Content-Type").unwrap()),
        "<D:resourcetype/>".into(),
    ] {
        assert!(text.contains(&part), "{part} is missing in {text}");
    }
    assert_eq!(proxy.cache.counters().upstream_bytes.load(Ordering::Relaxed), 0, "bytes of a file were fetched");
    propfind(&proxy, "/prod/none", "0", "").expect_problem(404, "not-found");
    propfind(&proxy, "/prod/none/", "1", "").expect_problem(404, "not-found");
    propfind(&proxy, "/prod/setup.exe/", "0", "").expect_problem(404, "not-found");
}

#[test]
fn what_is_asked_for_by_name_is_found_or_not() {
    let share = share();
    let proxy = Proxy::of(share.path().to_str().unwrap());
    let body = "<?xml version=\"1.0\"?><propfind xmlns=\"DAV:\"><prop><getcontentlength/><quota-available-bytes/>\
                <executable xmlns=\"http://apache.org/dav/props/\"/></prop></propfind>";
    let text = propfind(&proxy, "/setup.exe", "0", body).text();
    assert!(
        text.contains("<D:getcontentlength>300000</D:getcontentlength></D:prop><D:status>HTTP/1.1 200 OK<")
            && text.contains("<D:quota-available-bytes/><executable xmlns=\"http://apache.org/dav/props/\"/></D:prop><D:status>HTTP/1.1 404 "),
        "{text}"
    );
    let bomb =
        "<!DOCTYPE a [<!ENTITY b \"bbbb\"><!ENTITY c \"&b;&b;\">]><propfind xmlns=\"DAV:\"><prop>&c;</prop></propfind>";
    propfind(&proxy, "/", "0", bomb).expect_problem(400, "bad-request");
    propfind(&proxy, "/", "1", &" ".repeat(20_000)).expect_problem(413, "content-too-large");
    for depth in ["infinity", "Infinity"] {
        let answer = propfind(&proxy, "/", depth, "");
        assert!(answer.status == 403 && answer.text().contains("<D:propfind-finite-depth/>"), "{}", answer.text());
    }
    assert_eq!(ask(proxy.address(), "PROPFIND", "/", &[]).answer().status, 403, "no depth is every depth");
}

#[test]
fn nothing_can_be_written() {
    let share = share();
    let proxy = Proxy::of(share.path().to_str().unwrap());
    let fields = [("Content-Length", "0"), ("Destination", "http://test/b"), ("Depth", "0")];
    for method in ["PUT", "DELETE", "MKCOL", "COPY", "MOVE", "LOCK", "UNLOCK", "PROPPATCH", "POST", "PATCH"] {
        for target in ["/setup.exe", "/dir/", "/new"] {
            let answer = ask(proxy.address(), method, target, &fields).answer();
            assert_eq!(answer.field("Allow"), Some(METHODS), "{method}");
            answer.expect_problem(405, "method-not-allowed");
        }
    }
    assert!(share.path().join("setup.exe").exists() && !share.path().join("new").exists());
}

/// Clients that send a whole file before they look for an answer.
#[test]
fn who_sends_all_of_a_file_before_it_looks_still_reads_the_refusal() {
    let share = share();
    let proxy = Proxy::of(share.path().to_str().unwrap());
    let large = content(2, 8 << 20);
    let mut asked = ask(proxy.address(), "PUT", "/new", &[("Content-Length", &large.len().to_string())]);
    asked.stream.write_all(&large).unwrap();
    asked.answer().expect_problem(405, "method-not-allowed");
}

/// What Windows asks when a share is opened in its file manager, and for what it looks there.
#[test]
fn as_windows_asks() {
    let share = share();
    let proxy = Proxy::with(Options::new(vec![patient(&share, "/")]));
    let windows = |method: &str, target: &str, depth: &str| {
        let agent = ("User-Agent", "Microsoft-WebDAV-MiniRedir/10.0.22631");
        let fields = [("Depth", depth), ("translate", "f"), agent, ("Content-Length", "0")];
        let asked = if depth.is_empty() { &fields[1..] } else { &fields };
        ask(proxy.address(), method, target, asked).answer()
    };
    let options = windows("OPTIONS", "/", "");
    assert_eq!((options.status, options.field("DAV"), options.field("Allow")), (200, Some("1"), Some(METHODS)));
    assert_eq!(options.field("MS-Author-Via"), Some("DAV"));
    assert_eq!(hrefs(&windows("PROPFIND", "/", "0")), ["/"]);
    assert_eq!(hrefs(&windows("PROPFIND", "/", "1")), ["/", "/dir/", "/setup.exe"]);
    for absent in ["/desktop.ini", "/Thumbs.db", "/AutoRun.inf", "/dir.exe"] {
        windows("PROPFIND", absent, "0").expect_problem(404, "not-found");
    }
    assert_eq!(hrefs(&windows("PROPFIND", "/dir", "0")), ["/dir/"]);
    assert_eq!(hrefs(&windows("PROPFIND", "/setup.exe", "0")), ["/setup.exe"]);
    let bytes = content(1, 300_000);
    get_with(proxy.address(), "/setup.exe", &[("translate", "f")]).expect(&bytes);
    windows("LOCK", "/setup.exe", "0").expect_problem(405, "method-not-allowed");
    assert_eq!(get(proxy.address(), "/").status, 200, "a browser gets the page");
}

/// What the Finder of macOS asks.
#[test]
fn as_macos_asks() {
    let share = share();
    let proxy = Proxy::of(share.path().to_str().unwrap());
    let body = "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<D:propfind xmlns:D=\"DAV:\">\n<D:prop>\n<D:getlastmodified/>\n<D:getcontentlength/>\n\
                <D:creationdate/>\n<D:resourcetype/>\n</D:prop>\n</D:propfind>\n";
    let quota = "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<D:propfind xmlns:D=\"DAV:\">\n<D:prop>\n<D:quota-available-bytes/>\n\
                 <D:quota-used-bytes/>\n<D:quota/>\n<D:quotaused/>\n</D:prop>\n</D:propfind>\n";
    assert_eq!(hrefs(&propfind(&proxy, "/", "0", body)), ["/"]);
    let answer = propfind(&proxy, "/", "0", quota).text();
    assert!(
        answer.contains("<D:quotaused/></D:prop><D:status>HTTP/1.1 404 ") && !answer.contains("200 OK"),
        "{answer}"
    );
    let listed = propfind(&proxy, "/", "1", body);
    assert_eq!(hrefs(&listed), ["/", "/dir/", "/setup.exe"]);
    assert!(listed.text().contains("<D:collection/>"));
    for absent in ["/._.", "/.DS_Store", "/._setup.exe", "/.hidden", "/.metadata_never_index", "/Backups.backupdb"] {
        propfind(&proxy, absent, "0", body).expect_problem(404, "not-found");
    }
}

#[test]
fn an_outpost_is_listed_once_and_asked_for_no_bytes() {
    let listing = r#"{"path":"/d/","entries":[{"name":"a","href":"a","directory":false,"size":5,"modified":"2026-11-22T01:41:00Z"},
        {"name":"x","href":"../../evil","directory":false,"size":5}]}"#;
    let origin = Origin::start(move |request, stream| match request.target.as_str() {
        "/d/" => {
            reply(request, stream, "200 OK", &[("Content-Length", &listing.len().to_string())], listing.as_bytes())
        }
        "/d" => reply(request, stream, "301 Moved Permanently", &[("Location", "/d/"), ("Content-Length", "0")], b""),
        "/refused" => reply(request, stream, "403 Forbidden", &[("Content-Length", "0")], b""),
        "/none" => reply(request, stream, "404 Not Found", &[("Content-Length", "0")], b""),
        _ => serve(request, stream, b"hello", &[("Last-Modified", "Sun, 22 Nov 2026 01:41:00 GMT")], 5),
    });
    let options =
        UpstreamOptions { recheck: Duration::from_secs(600), ..upstream("/hq", &format!("outpost+{}", origin.url())) };
    let proxy = Proxy::with(Options::new(vec![options]));
    assert_eq!(hrefs(&propfind(&proxy, "/hq/d", "1", "")), ["/hq/d/", "/hq/d/a", "/hq/d/x"]);
    assert_eq!(origin.asked(), ["HEAD /d", "GET /d/"]);
    // What was listed a moment ago is known, and so is what was not.
    assert!(propfind(&proxy, "/hq/d/a", "0", "").text().contains("<D:getcontentlength>5<"));
    assert_eq!(hrefs(&propfind(&proxy, "/hq/d/", "1", "")).len(), 3);
    propfind(&proxy, "/hq/d/._a", "0", "").expect_problem(404, "not-found");
    assert_eq!(get(proxy.address(), "/hq/d/").status, 200, "the page is made from the same listing");
    assert_eq!(origin.asked().len(), 2);
    let alone = propfind(&proxy, "/hq/file", "0", "").text();
    assert!(alone.contains("Sun, 22 Nov 2026 01:41:00 GMT") && alone.contains(">5<"), "{alone}");
    assert_eq!(origin.asked()[2..], ["HEAD /file"]);
    propfind(&proxy, "/hq/refused", "0", "").expect_problem(502, "upstream-invalid");
    propfind(&proxy, "/hq/none", "0", "").expect_problem(404, "not-found");
}

#[test]
fn while_the_upstream_is_away_what_is_here_is_still_told() {
    let origin = Origin::start(|request, stream| {
        serve(request, stream, b"hello", &[("Last-Modified", "Sun, 22 Nov 2026 01:41:00 GMT"), ("ETag", "\"t\"")], 5);
    });
    let proxy = Proxy::of(&format!("outpost+{}", origin.url()));
    get(proxy.address(), "/a").expect(b"hello");
    proxy.expect_objects(1);
    drop(origin);
    for _ in 0..4 {
        assert!(propfind(&proxy, "/a", "0", "").text().contains("<D:getcontentlength>5<"));
        propfind(&proxy, "/b", "0", "").expect_problem(502, "upstream-unreachable");
        propfind(&proxy, "/d/", "1", "").expect_problem(502, "upstream-unreachable");
    }
    assert_eq!(hrefs(&propfind(&proxy, "/", "0", "")), ["/"], "a mount is there whether its upstream is or not");
}

#[test]
fn mounts_are_directories() {
    let share = share();
    let proxy =
        Proxy::with(Options::new(vec![patient(&share, "/prod/a"), patient(&share, "/prod/b"), patient(&share, "/t")]));
    assert_eq!(hrefs(&propfind(&proxy, "/", "1", "")), ["/", "/prod/", "/t/"]);
    assert_eq!(hrefs(&propfind(&proxy, "/", "0", "")), ["/"]);
    for target in ["/prod", "/prod/"] {
        assert_eq!(hrefs(&propfind(&proxy, target, "1", "")), ["/prod/", "/prod/a/", "/prod/b/"]);
    }
    propfind(&proxy, "/none", "0", "").expect_problem(404, "not-found");
    let options = ask(proxy.address(), "OPTIONS", "/", &[]).answer();
    assert_eq!((options.status, options.field("DAV")), (200, Some("1")));
    // The interface of the server itself is no share.
    let options = ask(proxy.address(), "OPTIONS", "/.outpost/v1/info/a", &[]).answer();
    assert_eq!((options.field("DAV"), options.field("Allow")), (None, Some("GET, HEAD, OPTIONS")));
    propfind(&proxy, "/.outpost/v1/info/a", "0", "").expect_problem(405, "method-not-allowed");
}

#[test]
fn a_large_directory_is_told_in_pieces() {
    let share = tempfile::tempdir().unwrap();
    for number in 0..2_000 {
        put(share.path(), &format!("file number {number:05}.bin"), b"");
    }
    let proxy = Proxy::of(share.path().to_str().unwrap());
    let answer = propfind(&proxy, "/", "1", "");
    assert_eq!(answer.field("Transfer-Encoding"), Some("chunked"));
    let hrefs = hrefs(&answer);
    assert_eq!((hrefs.len(), hrefs[2_000].as_str()), (2_001, "/file%20number%2001999.bin"));
}

#[test]
fn to_a_web_server_it_passes_and_forgets_nothing() {
    let origin = Origin::start(|request, stream| {
        let fields = [("Cache-Control", "max-age=3600"), ("Content-Length", "1")];
        reply(request, stream, if request.method == "PROPFIND" { "207 Multi-Status" } else { "200 OK" }, &fields, b"x");
    });
    let proxy = Proxy::of(&origin.url());
    get(proxy.address(), "/a").expect(b"x");
    proxy.expect_no_fills();
    let answer = propfind(&proxy, "/a", "0", "<propfind/>");
    assert_eq!((answer.status, answer.text().as_str()), (207, "x"));
    assert_eq!(get(proxy.address(), "/a").cache_status(), "outpost; hit");
    assert_eq!(origin.asked(), ["GET /a", "PROPFIND /a"]);
}
