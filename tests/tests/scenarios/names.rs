//! Odd names end to end, and names that try to get out of the share.

use std::{ffi::OsStr, fs, net::SocketAddr, os::unix::ffi::OsStrExt, path::Path};

use harness::{
    client::{Answer, Ask},
    content::Content,
    share::Share,
};

use crate::{origin_over, proxy};

const SECRET: &str = "this lies outside the share";

fn odd_names() -> Vec<Vec<u8>> {
    let long = "n".repeat(255);
    let mut names: Vec<Vec<u8>> = [
        "plain",
        "with space",
        " leading",
        "trailing ",
        "100%",
        "%41",
        "%2e%2e",
        "a#b",
        "a?b=c&d",
        "q?",
        "semi;colon",
        "plus+plus",
        "quote\"s'",
        "<b>&amp;",
        "back\\slash",
        "tab\there",
        "new\nline",
        "umlaut-äöü",
        "日本語",
        "emoji-🦀",
        "...",
        ".hidden",
        "~tilde",
        "a=b",
        "[x]",
        "{y}",
        "|",
        "^",
        "`",
        "CON",
        long.as_str(),
    ]
    .iter()
    .map(|name| name.as_bytes().to_vec())
    .collect();
    names.push(b"not-utf8-\xff\xfe".to_vec());
    names.push(b"\x01control".to_vec());
    names
}

/// Every byte escaped that is not plainly safe.
fn encode(name: &[u8]) -> String {
    let safe = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~".contains(byte);
    name.iter().map(|byte| if safe(byte) { char::from(*byte).to_string() } else { format!("%{byte:02X}") }).collect()
}

fn write_all(share: &Share) -> Vec<(Vec<u8>, Content)> {
    let contents = odd_names()
        .into_iter()
        .enumerate()
        .map(|(number, name)| (name, Content::random(number as u64, 500 + number as u64)));
    contents
        .inspect(|(name, content)| drop(share.write(Path::new("odd dir").join(OsStr::from_bytes(name)), content)))
        .collect()
}

fn expect_all(server: SocketAddr, files: &[(Vec<u8>, Content)]) {
    for (name, content) in files {
        let answer = Ask::get(format!("/odd%20dir/{}", encode(name))).fetch(server);
        assert!(answer.is(content), "{:?}: {answer:?}", String::from_utf8_lossy(name));
    }
}

/// Every entry of an index leads to its file.
fn expect_index(server: SocketAddr, files: &[(Vec<u8>, Content)]) {
    let index = Ask::get("/odd%20dir/").field("Accept", "application/json").fetch(server).expect_status(200).json();
    let entries = index["entries"].as_array().expect("entries").clone();
    assert_eq!(entries.len(), files.len(), "{index:#}");
    for entry in &entries {
        let href = entry["href"].as_str().expect("a link");
        let answer = Ask::get(format!("/odd%20dir/{href}")).fetch(server).expect_status(200);
        let (name, _) = files
            .iter()
            .find(|(_, content)| answer.is(content))
            .unwrap_or_else(|| panic!("{entry} leads to {answer:?}"));
        assert_eq!(entry["name"], String::from_utf8_lossy(name).as_ref());
        assert_eq!(entry["size"], answer.body.len());
        assert_eq!(entry["directory"], false);
    }
    let page = Ask::get("/odd%20dir/").field("Accept", "text/html").fetch(server).expect_status(200);
    let html = String::from_utf8(page.body).expect("a page is UTF-8");
    assert!(!html.contains("<b>&amp;") && html.contains("&lt;b&gt;"), "names are not escaped: {html}");
}

#[test]
fn odd_names_work_end_to_end() {
    let share = Share::new();
    let files = write_all(&share);
    let origin = origin_over(&share).start();
    let setup = proxy().upstream("/", &origin.url());
    let proxy_of_origin = setup.start();
    let proxy_of_directory = proxy().upstream("/", &share.url()).start();
    for server in [origin.files(), proxy_of_directory.files(), proxy_of_origin.files()] {
        expect_all(server, &files);
        expect_all(server, &files);
        expect_index(server, &files);
    }
}

#[test]
fn very_long_paths_work_or_are_refused_as_too_long() {
    let content = Content::from("deep");
    let share = Share::new();
    let deep = vec!["d".repeat(200); 15].join("/");
    share.write(format!("{deep}/file"), &content);
    let proxy = proxy().upstream("/", &share.url()).start();
    proxy.get(format!("/{deep}/file")).expect(&content);
    proxy.get(format!("/{}", "x".repeat(300))).expect_status(404);
    let too_long = proxy.get(format!("/{}", "x".repeat(200_000)));
    assert!(too_long.status == 414 || too_long.status == 431, "{too_long:?}");
    proxy.get(format!("/{deep}/file")).expect(&content);
}

#[test]
fn a_directory_is_asked_for_with_its_slash() {
    let share = Share::new();
    share.write("dir/file", &Content::from("x"));
    let origin = origin_over(&share).start();
    let proxy = proxy().upstream("/", &share.url()).start();
    for server in [origin.files(), proxy.files()] {
        let answer = Ask::get("/dir").fetch(server);
        assert!((300..400).contains(&answer.status), "{answer:?}");
        assert_eq!(answer.field("Location"), Some("/dir/"), "{answer:?}");
        let index = Ask::get("/").field("Accept", "application/json").fetch(server).expect_status(200).json();
        assert_eq!(index["path"], "/");
        assert_eq!(index["entries"][0]["href"], "dir/");
        assert_eq!(index["entries"][0]["directory"], true);
    }
}

#[test]
fn nothing_outside_the_share_is_ever_served() {
    let outside = Share::new();
    outside.write("secret", &Content::from(SECRET));
    let share = Share::new();
    share.write("inside/file", &Content::from("inside"));
    share.write("file", &Content::from("inside"));
    let link = |target: &Path, name: &str| std::os::unix::fs::symlink(target, share.path().join(name)).expect("a link");
    link(&outside.path().join("secret"), "link-out");
    link(outside.path(), "dir-out");
    link(Path::new("../"), "up");
    link(Path::new("file"), "link-in");
    link(Path::new("loop"), "loop");
    rustix::fs::mknodat(
        rustix::fs::CWD,
        share.path().join("pipe"),
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::from_raw_mode(0o644),
        0,
    )
    .expect("a pipe");
    let outside_name = outside.path().file_name().and_then(|name| name.to_str()).expect("a temporary name").to_owned();
    let origin = origin_over(&share).start();
    let of_directory = proxy().upstream("/", &share.url()).start();
    let of_origin = proxy().upstream("/", &origin.url()).start();
    for server in [origin.files(), of_directory.files(), of_origin.files()] {
        let ask = |target: &str| Ask::get(target).fetch(server);
        for target in escapes(&outside_name) {
            let answer = ask(&target);
            assert!((400..500).contains(&answer.status) || is_harmless(&answer), "{target}: {answer:?}");
            assert!(!String::from_utf8_lossy(&answer.body).contains(SECRET), "{target}: {answer:?}");
        }
        for target in ["/link-out", "/dir-out/secret", "/up/", "/loop", "/pipe"] {
            let answer = ask(target);
            assert_eq!(answer.status, 404, "{target}: {answer:?}");
        }
        ask("/link-in").expect(&Content::from("inside"));
        ask("/inside//file").expect_none_but(&[&Content::from("inside")]);
        ask("/file").expect(&Content::from("inside"));
    }
}

/// An answer that tells nothing of what is outside: a redirect, or the share's own index or file.
fn is_harmless(answer: &Answer) -> bool {
    (300..400).contains(&answer.status) || answer.status == 200
}

fn escapes(outside: &str) -> Vec<String> {
    let ups = [
        "..",
        "%2e%2e",
        ".%2e",
        "%2E.",
        "..%2f",
        "%2e%2e%2f",
        "..%5c",
        "%2e%2e%5c",
        "..%00",
        "....//",
        "..;",
        "..\\",
        "%252e%252e",
    ];
    let mut targets = Vec::new();
    for up in ups {
        targets.push(format!("/{up}/{outside}/secret"));
        targets.push(format!("/inside/{up}/{up}/{outside}/secret"));
        targets.push(format!("/inside/{up}/{up}/{up}/{up}/{up}/etc/passwd"));
    }
    targets.extend(
        [
            "/file%00",
            "/file%00.txt",
            "/%00",
            "/inside%2ffile",
            "/inside%2Ffile",
            "/%2e",
            "/./file",
            "//etc/passwd",
            "/%2fetc%2fpasswd",
        ]
        .map(String::from),
    );
    targets.extend(["/file%", "/file%4", "/file%zz"].map(String::from));
    targets
}

#[test]
fn a_share_that_is_full_of_links_lists_only_what_it_serves() {
    let outside = Share::new();
    outside.write("secret", &Content::from(SECRET));
    let share = Share::new();
    share.write("file", &Content::from("inside"));
    std::os::unix::fs::symlink(outside.path(), share.path().join("out")).expect("a link");
    fs::create_dir(share.path().join("dir")).expect("a directory");
    let proxy = proxy().upstream("/", &share.url()).start();
    let index = Ask::get("/").field("Accept", "application/json").fetch(proxy.files()).expect_status(200).json();
    let hrefs: Vec<_> = index["entries"]
        .as_array()
        .expect("entries")
        .iter()
        .map(|entry| entry["href"].as_str().expect("a link"))
        .collect();
    assert_eq!(hrefs, ["dir/", "file"]);
}
