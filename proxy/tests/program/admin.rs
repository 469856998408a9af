//! The admin interface over a real socket.

use crate::harness::{Place, ask};

/// MD5 of `hello.txt`.
const HELLO: &str = "b1946ac92492d2347c6235b4d2611184";

#[test]
fn health_readiness_status_and_metrics() {
    let place = Place::new();
    let proxy = place.start();
    assert_eq!(proxy.admin("GET", "/healthz").status, 200);
    let ready = proxy.admin("GET", "/readyz");
    assert_eq!((ready.status, &ready.json()["ready"]), (200, &true.into()));

    assert_eq!(proxy.get("/hello.txt").body, "hello\n");
    proxy.status_when("the object is here", |status| status["cache"]["names"] == 1);
    assert_eq!(proxy.get("/hello.txt").body, "hello\n");
    let status = proxy.status_when("a hit is counted", |status| status["requests"]["hits"] == 1);
    assert_eq!(status["state"], "serving");
    assert_eq!(status["requests"]["misses"], 1);
    assert_eq!(status["bytes"]["from_upstream"], 6);
    assert_eq!(status["cache"]["max_size_bytes"], 1 << 30);
    assert_eq!(status["upstreams"][0]["name"], "share");
    assert!(status["process"]["resident_bytes"].as_u64().is_some_and(|bytes| bytes > 0));

    let metrics = proxy.admin("GET", "/metrics");
    assert_eq!(metrics.status, 200);
    assert!(metrics.head.contains("application/openmetrics-text"), "{}", metrics.head);
    for line in ["outpost_cache_hits_total 1", "outpost_wan_bytes_total 6", "outpost_upstream_up{upstream=\"share\"} 1"]
    {
        assert!(metrics.body.lines().any(|found| found == line), "{line} is missing in\n{}", metrics.body);
    }
    assert!(metrics.body.ends_with("# EOF\n"));
}

#[test]
fn objects_are_listed_told_and_removed() {
    let place = Place::new();
    std::fs::write(place.path("share/other.txt"), "other\n").unwrap();
    let proxy = place.start();
    proxy.get("/hello.txt");
    proxy.get("/other.txt");
    proxy.status_when("both objects are here", |status| status["cache"]["names"] == 2);

    let first = proxy.admin("GET", "/v1/objects?limit=1").json();
    let next = first["next"].as_str().expect("there is a second page");
    let second = proxy.admin("GET", &format!("/v1/objects?limit=1&cursor={next}")).json();
    let md5 = |page: &serde_json::Value| page["objects"][0]["md5"].as_str().map(str::to_owned);
    let mut found = [md5(&first).unwrap(), md5(&second).unwrap()];
    found.sort();
    assert!(found.contains(&HELLO.to_owned()) && found[0] != found[1], "{found:?}");
    assert!(second["next"].is_null());

    let hello = proxy.admin("GET", &format!("/v1/objects/{HELLO}")).json();
    assert_eq!(hello["size"], 6);
    assert_eq!(proxy.admin("DELETE", &format!("/v1/objects/{HELLO}")).status, 204);
    let gone = proxy.admin("GET", &format!("/v1/objects/{HELLO}"));
    assert_eq!((gone.status, gone.problem().as_str()), (404, "not-found"));
    assert_eq!(proxy.get("/hello.txt").body, "hello\n");
}

#[test]
fn purging_by_path_and_by_digest() {
    let place = Place::new();
    let proxy = place.start();
    proxy.get("/hello.txt");
    proxy.status_when("the object is here", |status| status["cache"]["names"] == 1);
    assert_eq!(proxy.post("/v1/purge", "{\"path\": \"/hello.txt\"}").json()["purged"], true);
    proxy.status_when("the object is gone", |status| status["cache"]["objects"] == 0);
    assert_eq!(proxy.post("/v1/purge", "{\"path\": \"/hello.txt\"}").json()["purged"], false);
    assert_eq!(proxy.post("/v1/purge", &format!("{{\"md5\": \"{HELLO}\"}}")).json()["purged"], false);
    for wrong in [
        "",
        "{}",
        "{\"path\": \"hello.txt\"}",
        "{\"path\": \"/a b\"}",
        "{\"md5\": \"xyz\"}",
        "{\"path\": \"/a\", \"md5\": \"b\"}",
        "[]",
    ] {
        let answer = proxy.post("/v1/purge", wrong);
        assert_eq!((answer.status, answer.problem().as_str()), (400, "bad-request"), "{wrong}");
    }
}

#[test]
fn a_scrub_runs_once_and_tells_what_it_found() {
    let place = Place::new();
    let proxy = place.start();
    proxy.get("/hello.txt");
    proxy.status_when("the object is here", |status| status["cache"]["names"] == 1);
    assert_eq!(proxy.post("/v1/scrub", "").status, 202);
    let status = proxy.status_when("the scrub is done", |status| !status["scrub"]["last"].is_null());
    assert_eq!((&status["scrub"]["last"]["good"], &status["scrub"]["last"]["bad"]), (&1.into(), &0.into()));
}

#[test]
fn errors_are_problem_details() {
    let place = Place::new();
    let proxy = place.start();
    for (method, target, status, kind) in [
        ("GET", "/nothing", 404, "not-found"),
        ("POST", "/v1/status", 405, "method-not-allowed"),
        ("GET", "/v1/purge", 405, "method-not-allowed"),
        ("GET", "/v1/objects/xyz", 400, "bad-request"),
        ("GET", "/v1/objects?limit=0", 400, "bad-request"),
        ("GET", "/v1/objects?limit=many", 400, "bad-request"),
        ("GET", "/v1/objects?cursor=xyz", 400, "bad-request"),
        ("DELETE", "/v1/preload", 405, "method-not-allowed"),
    ] {
        let answer = proxy.admin(method, target);
        assert_eq!((answer.status, answer.problem().as_str()), (status, kind), "{method} {target}");
    }
}

#[test]
fn a_web_page_cannot_change_anything() {
    let place = Place::new();
    let proxy = place.start();
    let answer = ask(proxy.admin, "POST", "/v1/drain", "Origin: https://elsewhere.example\r\n", "");
    assert_eq!((answer.status, answer.problem().as_str()), (403, "not-allowed"));
    assert_eq!(proxy.admin("GET", "/readyz").status, 200);
}
