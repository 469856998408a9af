//! The admin interface: what the operator sees and does.

use std::fs;

use harness::{
    MIB,
    client::{Answer, Ask, Connection},
    content::Content,
    proxy::Proxy,
    share::Share,
    wait,
};

use crate::proxy;

fn warm_proxy(setup: impl Fn(harness::proxy::ProxySetup) -> harness::proxy::ProxySetup) -> (Share, Content, Proxy) {
    let content = Content::random(1, MIB);
    let share = Share::new();
    share.write("dir/file", &content);
    let proxy = setup(proxy().upstream("/", &share.url())).start();
    proxy.get("/dir/file").expect(&content);
    proxy.wait_until_idle();
    proxy.get("/dir/file").expect(&content);
    (share, content, proxy)
}

fn post(proxy: &Proxy, path: &str, body: &str) -> Answer {
    let mut connection = Connection::open(proxy.admin());
    let head = format!(
        "POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    connection.send(format!("{head}{body}").as_bytes());
    connection.answer("POST").rest()
}

#[test]
fn it_tells_how_it_is() {
    let (_share, content, proxy) = warm_proxy(|setup| setup);
    let get = |path: &str| Ask::get(path).fetch(proxy.admin());
    get("/healthz").expect_status(200);
    get("/readyz").expect_status(200);
    let metrics = proxy.metrics();
    assert!(metrics.lines().any(|line| line.starts_with("# TYPE outpost_")), "{metrics}");
    let status = proxy.status();
    assert_eq!(proxy.number("/cache/objects"), 1, "{status:#}");
    assert_eq!(proxy.upstream_bytes(), content.len(), "{status:#}");
    get("/no-such-page").expect_status(404);
    // Nothing of it is to be had where files are served.
    proxy.get("/v1/status").expect_status(404);
}

#[test]
fn objects_are_listed_shown_and_removed() {
    let (_share, content, proxy) = warm_proxy(|setup| setup);
    let path = format!("/v1/objects/{}", content.md5_hex());
    let get = |path: &str| Ask::get(path).fetch(proxy.admin());
    let page = get("/v1/objects").expect_status(200).json();
    assert_eq!(page["objects"][0]["md5"], content.md5_hex(), "{page:#}");
    let object = get(&path).expect_status(200).json();
    assert_eq!(object["size"], content.len(), "{object:#}");
    let removed = Ask::method("DELETE", &path).fetch(proxy.admin());
    assert!([200, 204].contains(&removed.status), "{removed:?}");
    get(&path).expect_status(404);
    wait::until_true("its file is gone", || proxy.objects_on_disk().is_empty());
    proxy.get("/dir/file").expect(&content);
}

#[test]
fn a_path_is_purged() {
    let (_share, content, proxy) = warm_proxy(|setup| setup);
    let purged = post(&proxy, "/v1/purge", "{\"path\": \"/dir/file\"}");
    assert!([200, 204].contains(&purged.status), "{purged:?}");
    wait::until_true("its file is gone", || proxy.objects_on_disk().is_empty());
    proxy.get("/dir/file").expect(&content);
    assert_eq!(proxy.upstream_bytes(), 2 * content.len());
}

#[test]
fn a_scrub_removes_what_has_rotted() {
    let (_share, content, proxy) = warm_proxy(|setup| setup);
    let object = proxy.objects_on_disk().pop().expect("the object");
    let mut bytes = fs::read(&object).expect("the object");
    bytes[1000] ^= 1;
    let mut permissions = fs::metadata(&object).expect("the object").permissions();
    #[expect(clippy::permissions_set_readonly_false, reason = "a file of this test's own")]
    permissions.set_readonly(false);
    fs::set_permissions(&object, permissions).expect("our own file");
    fs::write(&object, bytes).expect("rot");
    let scrubbed = post(&proxy, "/v1/scrub", "");
    assert!([200, 202].contains(&scrubbed.status), "{scrubbed:?}");
    wait::until_true("it is gone from the index", || proxy.number("/cache/objects") == 0);
    proxy.get("/dir/file").expect(&content);
}

#[test]
fn a_drain_by_request_ends_the_program() {
    let (_share, _content, mut proxy) = warm_proxy(|setup| setup);
    let drained = post(&proxy, "/v1/drain", "");
    assert!([200, 202].contains(&drained.status), "{drained:?}");
    assert!(proxy.program().wait().success());
}

#[test]
fn the_access_log_has_a_line_per_request() {
    let (_share, _content, proxy) = warm_proxy(|setup| setup.access_log("path = \"access.log\""));
    let log = proxy.setup().directory().join("access.log");
    let read = || fs::read_to_string(&log).unwrap_or_default();
    wait::until_true("both requests are in it", || read().lines().count() == 2);
    let text = read();
    // Two threads served them: which line comes first is theirs to say.
    let count = |word: &str| text.lines().filter(|line| line.contains(word)).count();
    assert_eq!(count("\"GET /dir/file HTTP/1.1\" 200 1048576"), 2, "{text}");
    assert_eq!((count(" MISS "), count(" HIT ")), (1, 1), "{text}");
}
