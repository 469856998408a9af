//! The form of a cache host: `/path?cacheHostOrigin=HOST`, for servers that are allowed.

use cache::options::{DeliveryOptions, Options};

use crate::{
    client::{Answer, ask, get, get_with},
    origin::{Origin, reply, serve},
    proxy::{Proxy, content, put, upstream},
};

const FRESH: (&str, &str) = ("Cache-Control", "max-age=3600");

fn share() -> tempfile::TempDir {
    let share = tempfile::tempdir().unwrap();
    put(share.path(), "f", b"of the share");
    share
}

fn proxy_for(share: &tempfile::TempDir, hosts: &[&str], tokens: &[&str]) -> Proxy {
    let hosts = hosts.iter().map(|host| host.parse().unwrap()).collect();
    let tokens = tokens.iter().map(|token| (*token).to_owned()).collect();
    let delivery = DeliveryOptions { hosts, tokens, ..DeliveryOptions::default() };
    Proxy::with(Options { delivery, ..Options::new(vec![upstream("/", share.path().to_str().unwrap())]) })
}

fn update() -> Vec<u8> {
    content(1, 300_000)
}

fn server() -> Origin {
    Origin::start(|request, stream| match request.target.as_str() {
        "/moved" => reply(request, stream, "302 Found", &[("Location", "/elsewhere"), ("Content-Length", "0")], b""),
        "/away" => {
            let fields = [("Location", "http://169.254.169.254/latest"), ("Content-Length", "0")];
            reply(request, stream, "302 Found", &fields, b"");
        }
        _ => serve(request, stream, &update(), &[FRESH, ("ETag", "\"u\"")], 300_000),
    })
}

fn head(proxy: &Proxy, target: &str) -> Answer {
    ask(proxy.address(), "HEAD", target, &[]).answer()
}

#[test]
fn a_file_of_an_allowed_server_is_fetched_once_whatever_its_signature() {
    let (share, server) = (share(), server());
    let host = server.address.to_string();
    let proxy = proxy_for(&share, &[&host], &["P1", "P4"]);
    let target = |p1: u32| format!("/filestreamingservice/files/guid?P1={p1}&P2=2&P4=s{p1}%2f&cacheHostOrigin={host}");
    // As the client of Windows does: the length, then ranges.
    assert_eq!(head(&proxy, &target(1)).field("Content-Length"), Some("300000"));
    let part = get_with(proxy.address(), &target(1), &[("Range", "bytes=100000-199999")]);
    assert_eq!(part.status, 206);
    assert!(part.body == update()[100_000..200_000]);
    proxy.expect_objects(1);
    proxy.expect_no_fills();
    proxy.expect_no_fills();
    let again = get_with(proxy.address(), &target(2), &[("Range", "bytes=200000-")]);
    assert_eq!((again.status, again.cache_status()), (206, "outpost; hit"));
    let asked = server.asked();
    assert!(
        asked.iter().all(|asked| asked.ends_with(" /filestreamingservice/files/guid?P1=1&P2=2&P4=s1%2F")),
        "{asked:?}"
    );
    // It can be forgotten by the same name.
    assert!(proxy.cache.purge_path(&target(3)));
    assert_eq!(get(proxy.address(), &target(4)).cache_status(), "outpost; fwd=uri-miss; stored");
    assert_eq!(get(proxy.address(), "/f").text(), "of the share", "what has no such parameter is the share's");
}

#[test]
fn without_tokens_every_signature_is_fetched_and_kept_once() {
    let (share, server) = (share(), server());
    let host = server.address.to_string();
    let proxy = proxy_for(&share, &[&host], &[]);
    for number in 0..3 {
        get(proxy.address(), &format!("/guid?P1={number}&cacheHostOrigin={host}")).expect(&update());
    }
    proxy.expect_objects(1);
    proxy.expect_no_fills();
    assert_eq!(server.asked().len(), 3);
}

#[test]
fn nobody_else_is_asked() {
    let (share, server) = (share(), server());
    let port = server.address.port();
    let proxy = proxy_for(&share, &["dl.example.com", "*.do.example.com"], &[]);
    for host in [
        format!("127.0.0.1:{port}"),
        format!("localhost:{port}"),
        "127.0.0.1".into(),
        "dl.example.com:81".into(),
        "x.dl.example.com".into(),
        "do.example.com".into(),
        "evil-do.example.com".into(),
        "[::1]".into(),
        "169.254.169.254".into(),
    ] {
        get(proxy.address(), &format!("/f?cacheHostOrigin={host}")).expect_problem(403, "not-allowed");
    }
    for host in [
        "",
        "2130706433",
        "0x7f.1",
        "dl.example.com%2F..",
        "dl.example.com%3F",
        "a%40dl.example.com",
        "dl.example.com.",
    ] {
        get(proxy.address(), &format!("/f?cacheHostOrigin={host}")).expect_problem(400, "bad-request");
    }
    let twice = "/f?cacheHostOrigin=evil.example&cacheHostOrigin=dl.example.com";
    get(proxy.address(), twice).expect_problem(400, "bad-request");
    assert!(server.asked().is_empty());
}

#[test]
fn a_redirection_is_the_clients_to_follow() {
    let (share, server) = (share(), server());
    let host = server.address.to_string();
    let proxy = proxy_for(&share, &[&host], &[]);
    let location = |path: &str| {
        let answer = get(proxy.address(), &format!("{path}?cacheHostOrigin={host}"));
        assert_eq!(answer.status, 302);
        answer.field("Location").unwrap().to_owned()
    };
    assert_eq!(location("/moved"), format!("http://{host}/elsewhere"));
    assert_eq!(location("/away"), "http://169.254.169.254/latest");
    assert_eq!(server.asked().len(), 2);
    let target = format!("/f?cacheHostOrigin={host}");
    let written = ask(proxy.address(), "PUT", &target, &[("Content-Length", "0")]).answer();
    assert_eq!(written.field("Allow"), Some("GET, HEAD"));
    written.expect_problem(405, "method-not-allowed");
}

#[test]
fn unless_a_server_is_allowed_the_parameter_means_nothing() {
    let (share, server) = (share(), server());
    let proxy = proxy_for(&share, &[], &[]);
    assert_eq!(get(proxy.address(), &format!("/f?cacheHostOrigin={}", server.address)).text(), "of the share");
    assert!(server.asked().is_empty());
}
