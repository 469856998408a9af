//! Parts of files (RFC 9110 section 14) and conditions (section 13), cold, warm, and while the file is still arriving.

use std::thread;

use harness::{
    MIB,
    client::{Answer, Ask, Connection, Ending},
    content::Content,
    proxy::Proxy,
    script::{Page, Reply},
    share::Share,
    upstream::ScriptedUpstream,
    wait::Gate,
};

use crate::proxy;

const DATE: &str = "Fri, 20 Nov 2026 08:00:00 GMT";

/// A proxy in front of one file, and the upstream that has it.
fn one_file(content: &Content, reply: Reply) -> (ScriptedUpstream, Proxy) {
    let upstream = ScriptedUpstream::start();
    upstream.publish("/file", Page::tagged(content).etag("\"one\"").last_modified(DATE).next(reply));
    let proxy = proxy().upstream("/", &upstream.url()).serve("max_requesters = 0").start();
    (upstream, proxy)
}

fn range(proxy: &Proxy, range: &str) -> Answer {
    proxy.ask(&Ask::get("/file").range(range))
}

#[test]
fn a_range_that_is_here_is_sent_while_the_upstream_holds() {
    let content = Content::random(1, 4 * MIB);
    let gate = Gate::new();
    let (upstream, proxy) = one_file(&content, Reply::right().hold(2 * MIB, &gate));
    let mut whole = proxy.open("/file");
    whole.take(2 * MIB);
    range(&proxy, "bytes=1000-1999").expect_part(&content, 1000, 2000);
    range(&proxy, "bytes=0-2097151").expect_part(&content, 0, 2 * MIB);
    thread::scope(|scope| {
        let beyond = scope.spawn(|| range(&proxy, "bytes=-1000"));
        let across = scope.spawn(|| range(&proxy, "bytes=2000000-3000000"));
        gate.open();
        beyond.join().expect("the client").expect_part(&content, content.len() - 1000, content.len());
        across.join().expect("the client").expect_part(&content, 2_000_000, 3_000_001);
    });
    assert_eq!(whole.compare(&content, 2 * MIB).ending, Ending::Whole);
    assert_eq!(upstream.gets("/file"), 1);
    assert_eq!(upstream.body_bytes("/file"), content.len());
}

#[test]
fn a_range_of_a_cold_file_is_right_and_fetches_once() {
    let content = Content::random(2, 4 * MIB);
    let (upstream, proxy) = one_file(&content, Reply::right());
    range(&proxy, "bytes=4000000-4000099").expect_part(&content, 4_000_000, 4_000_100);
    range(&proxy, "bytes=100-").expect_part(&content, 100, content.len());
    proxy.get("/file").expect(&content);
    assert_eq!(upstream.body_bytes("/file"), content.len());
}

#[test]
fn ranges_are_cut_as_the_rfc_says() {
    let content = Content::random(3, 1000);
    let (_upstream, proxy) = one_file(&content, Reply::right());
    for _ in ["cold", "warm"] {
        range(&proxy, "bytes=0-0").expect_part(&content, 0, 1);
        range(&proxy, "bytes=999-").expect_part(&content, 999, 1000);
        range(&proxy, "bytes=990-5000").expect_part(&content, 990, 1000);
        range(&proxy, "bytes=-10").expect_part(&content, 990, 1000);
        range(&proxy, "bytes=-5000").expect_part(&content, 0, 1000);
        range(&proxy, "bytes=500-18446744073709551615").expect_part(&content, 500, 1000);
        for unsatisfiable in ["bytes=1000-", "bytes=-0", "bytes=18446744073709551615-"] {
            let answer = range(&proxy, unsatisfiable).expect_status(416);
            assert_eq!(answer.field("Content-Range"), Some("bytes */1000"), "{unsatisfiable}");
        }
        for ignored in
            ["bytes=5-4", "bytes=a-b", "lines=1-2", "bytes=", "bytes=-9223372036854775608,-9223372036854775609"]
        {
            let answer = range(&proxy, ignored);
            assert!(answer.is(&content) || answer.status == 416 || answer.status == 206, "{ignored}: {answer:?}");
        }
        let many = format!("bytes={}", vec!["0-"; 1300].join(","));
        let answer = range(&proxy, &many);
        assert!(answer.body.len() <= 2000, "{} bytes for a file of 1000", answer.body.len());
    }
}

#[test]
fn several_ranges_come_in_several_parts() {
    let content = Content::random(4, 2 * MIB);
    let (_upstream, proxy) = one_file(&content, Reply::right());
    for _ in ["cold", "warm"] {
        let answer = range(&proxy, "bytes=0-99,1000000-1000999,-5").expect_status(206);
        let parts = parts_of(&answer);
        let expected = [(0, 100), (1_000_000, 1_001_000), (content.len() - 5, content.len())];
        assert_eq!(parts.len(), expected.len(), "{answer:?}");
        for ((content_range, bytes), (start, end)) in parts.iter().zip(expected) {
            assert_eq!(*content_range, format!("bytes {start}-{}/{}", end - 1, content.len()));
            assert_eq!(*bytes, content.bytes()[start as usize..end as usize]);
        }
    }
}

/// What has amplified elsewhere: overlapping sets, sets of thousands, numbers at the edges of 63 and 64 bits, and nonsense. `None`: the whole file
/// may come; else 206 with that span, or 416 where it is empty.
const ABUSIVE: [(&str, Option<(u64, u64)>); 21] = [
    ("bytes=0-,0-,0-", None),
    ("bytes=0-99,50-149", None),
    ("bytes=0-0,0-0", None),
    ("bytes=5-,-5", None),
    ("bytes=-9223372036854775608,-9223372036854775609", None),
    ("bytes=-9223372036854775608", Some((0, 100_000))),
    ("bytes=-18446744073709551615", Some((0, 100_000))),
    ("bytes=-18446744073709551616", Some((0, 100_000))),
    ("bytes=0-18446744073709551615", Some((0, 100_000))),
    ("bytes=0-18446744073709551616", Some((0, 100_000))),
    ("bytes=99999-9223372036854775807", Some((99_999, 100_000))),
    ("bytes=99999-9223372036854775808", Some((99_999, 100_000))),
    ("bytes=100000-", Some((0, 0))),
    ("bytes=-0", Some((0, 0))),
    ("bytes=9223372036854775807-", Some((0, 0))),
    ("bytes=9223372036854775808-", Some((0, 0))),
    ("bytes=18446744073709551615-", Some((0, 0))),
    ("bytes=18446744073709551616-", Some((0, 0))),
    ("bytes=18446744073709551615-18446744073709551615", Some((0, 0))),
    ("bytes=18446744073709551615-0", None),
    ("bytes=--9223372036854775808", None),
];

#[test]
fn abusive_ranges_never_cost_more_than_the_file_and_fetch_it_once() {
    let content = Content::random(9, 100_000);
    let (upstream, proxy) = one_file(&content, Reply::right());
    let many = |spec: &dyn Fn(usize) -> String, count: usize| {
        format!("bytes={}", (0..count).map(spec).collect::<Vec<_>>().join(","))
    };
    let sets = [
        // The first fits the head of a request, as the tool for that attack sends it.
        many(&|n| format!("5-{n}"), 1300),
        many(&|_| "0-".into(), 1300),
        many(&|n| format!("{0}-{0}", 2 * n), 17),
        many(&|n| format!("-{}", n + 1), 16),
    ];
    for _ in ["cold", "warm"] {
        for (asked, expected) in ABUSIVE {
            let answer = range(&proxy, asked);
            match expected {
                None => drop(answer.expect(&content)),
                Some((0, 0)) => {
                    let answer = answer.expect_status(416);
                    assert_eq!(answer.field("Content-Range"), Some("bytes */100000"), "{asked}");
                }
                Some((start, end)) => drop(answer.expect_part(&content, start, end)),
            }
        }
        for set in &sets {
            range(&proxy, set).expect(&content);
        }
        let two_fields = Ask::get("/file").range("bytes=0-9").range("bytes=20-29");
        proxy.ask(&two_fields).expect(&content);
    }
    assert_eq!(upstream.body_bytes("/file"), content.len());
}

#[test]
fn sixteen_parts_are_framed_as_strict_readers_want_them() {
    let content = Content::random(10, 4 * MIB);
    let (_upstream, proxy) = one_file(&content, Reply::right());
    let spans: Vec<_> = (0..16).map(|n| (n * 100_000, n * 100_000 + 1)).collect();
    let asked: Vec<_> = spans.iter().map(|(start, _)| format!("{start}-{start}")).collect();
    for _ in ["cold", "warm"] {
        let answer = range(&proxy, &format!("bytes={}", asked.join(","))).expect_status(206);
        assert!(answer.body.starts_with(b"--"), "no line end before the first delimiter");
        assert_eq!(answer.field("Content-Length"), Some(answer.body.len().to_string().as_str()));
        let parts = parts_of(&answer);
        let sum: u64 = spans.iter().map(|(start, end)| end - start).sum();
        assert!(answer.body.len() as u64 - sum <= 16 * 180 + 24, "{} bytes for {sum}", answer.body.len());
        for ((content_range, bytes), (start, end)) in parts.iter().zip(&spans) {
            assert_eq!(*content_range, format!("bytes {start}-{}/{}", end - 1, content.len()));
            assert_eq!(*bytes, content.bytes()[*start as usize..*end as usize]);
        }
        assert_eq!(parts.len(), 16);
        // HEAD knows no ranges (RFC 9110 section 14.2), and says the size.
        let head = proxy.ask(&Ask::head("/file").range("bytes=0-9")).expect_status(200);
        assert_eq!(head.field("Content-Length"), Some(content.len().to_string().as_str()));
    }
}

/// The parts of a `multipart/byteranges` body: the `Content-Range` and the bytes of each.
fn parts_of(answer: &Answer) -> Vec<(String, Vec<u8>)> {
    let kind = answer.field("Content-Type").expect("a type");
    let boundary = kind.split_once("boundary=").expect("a boundary").1.trim_matches('"');
    let (delimiter, end) = (format!("--{boundary}\r\n"), format!("--{boundary}--"));
    let mut rest = answer.body.as_slice();
    let mut parts = Vec::new();
    loop {
        rest = rest.strip_prefix(b"\r\n".as_slice()).unwrap_or(rest);
        if rest.starts_with(end.as_bytes()) {
            return parts;
        }
        rest = rest.strip_prefix(delimiter.as_bytes()).expect("a delimiter before each part");
        let head_end = rest.windows(4).position(|four| four == b"\r\n\r\n").expect("the end of a part's head");
        let head = String::from_utf8_lossy(&rest[..head_end]).into_owned();
        let line =
            head.lines().find(|line| line.to_ascii_lowercase().starts_with("content-range:")).expect("a Content-Range");
        let content_range = line.split_once(':').expect("a colon").1.trim().to_owned();
        let (first, last) =
            content_range["bytes ".len()..].split('/').next().and_then(|span| span.split_once('-')).expect("a span");
        let len = last.parse::<usize>().expect("a number") - first.parse::<usize>().expect("a number") + 1;
        parts.push((content_range, rest[head_end + 4..head_end + 4 + len].to_vec()));
        rest = &rest[head_end + 4 + len..];
    }
}

#[test]
fn if_range_sends_the_part_only_of_the_file_that_is_meant() {
    let content = Content::random(5, MIB);
    let (_upstream, proxy) = one_file(&content, Reply::right());
    for _ in ["cold", "warm"] {
        let ask = |validator: &str| proxy.ask(&Ask::get("/file").range("bytes=10-19").field("If-Range", validator));
        ask("\"one\"").expect_part(&content, 10, 20);
        ask("\"two\"").expect(&content);
        ask("W/\"one\"").expect(&content);
        ask("Thu, 19 Nov 2026 08:00:00 GMT").expect(&content);
        ask(DATE).expect_part(&content, 10, 20);
    }
}

#[test]
fn what_a_client_has_already_is_not_sent_again() {
    let content = Content::random(6, MIB);
    let (upstream, proxy) = one_file(&content, Reply::right());
    for _ in ["cold", "warm"] {
        for (name, value, status) in [
            ("If-None-Match", "\"one\"", 304),
            ("If-None-Match", "\"zero\", W/\"one\"", 304),
            ("If-None-Match", "*", 304),
            ("If-None-Match", "\"two\"", 200),
            ("If-Modified-Since", DATE, 304),
            ("If-Modified-Since", "Sat, 21 Nov 2026 08:00:00 GMT", 304),
            ("If-Modified-Since", "Thu, 19 Nov 2026 08:00:00 GMT", 200),
            ("If-Modified-Since", "yesterday", 200),
            ("If-Match", "\"one\"", 200),
            ("If-Match", "\"two\"", 412),
            ("If-Unmodified-Since", "Thu, 19 Nov 2026 08:00:00 GMT", 412),
        ] {
            let answer = proxy.ask(&Ask::get("/file").field(name, value)).expect_status(status);
            if status == 304 {
                assert!(answer.body.is_empty());
                assert_eq!(answer.field("ETag"), Some("\"one\""), "{name}: {value}");
            }
        }
    }
    assert_eq!(upstream.body_bytes("/file"), content.len());
}

#[test]
fn head_tells_what_get_would_and_sends_no_body() {
    let content = Content::random(7, MIB);
    let (_upstream, proxy) = one_file(&content, Reply::right());
    let cold = Ask::head("/file").fetch(proxy.files()).expect_status(200);
    proxy.get("/file").expect(&content);
    proxy.wait_until_idle();
    let got = proxy.get("/file").expect(&content);
    // On one connection, so that a body after HEAD would be taken for the next answer.
    let (warm, connection) = Connection::open(proxy.files()).ask(&Ask::head("/file")).rest_and_keep();
    connection.ask(&Ask::get("/file")).rest().expect(&content);
    for name in ["Content-Length", "ETag", "Last-Modified", "Accept-Ranges"] {
        assert_eq!(warm.field(name), got.field(name), "{name}");
        assert_eq!(cold.field(name), got.field(name), "{name}");
        assert!(got.field(name).is_some(), "{name} is missing: {got:?}");
    }
    assert_eq!(got.field("Repr-Digest").map(|digest| digest.contains(&content.content_md5())), Some(true), "{got:?}");
    assert!(got.field("Via").is_some() && got.field("Cache-Status") == Some("outpost; hit"), "{got:?}");
}

#[test]
fn a_range_with_the_provisional_tag_goes_on_after_sealing() {
    let content = Content::random(8, 8 * MIB);
    let share = Share::new();
    share.write("file", &content);
    let proxy = proxy().upstream("/", &share.url()).start();
    let mut first = proxy.open("/file");
    let tag = first.fields.first("ETag").expect("a tag from the first answer on").to_owned();
    let begun = first.take(MIB);
    first.leave();
    proxy.get("/file").expect(&content);
    let ask = Ask::get("/file").range(&format!("bytes={}-", begun.len())).field("If-Range", tag.clone());
    proxy.ask(&ask).expect_part(&content, MIB, content.len());
    proxy.ask(&Ask::get("/file").field("If-None-Match", tag)).expect_status(304);
}

#[test]
fn requests_in_one_packet_are_answered_in_order() {
    let contents: Vec<_> = (0..8).map(|file| Content::random(20 + file, 1 << (8 + 2 * file))).collect();
    let share = Share::new();
    for (file, content) in contents.iter().enumerate() {
        share.write(file.to_string(), content);
    }
    let proxy = proxy().upstream("/", &share.url()).start();
    for _ in ["cold", "warm"] {
        let mut connection = Connection::open(proxy.files());
        let requests: String =
            (0..contents.len()).map(|file| format!("GET /{file} HTTP/1.1\r\nHost: x\r\n\r\n")).collect();
        connection.send(requests.as_bytes());
        for content in &contents {
            let (answer, kept) = connection.answer("GET").rest_and_keep();
            answer.expect(content);
            connection = kept;
        }
    }
}
