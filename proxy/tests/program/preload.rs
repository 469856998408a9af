//! Preloading as an administrator meets it: the admin interface, the command, the metrics, and what a kill leaves.

use std::fs;

use crate::harness::{Place, Proxy};

/// Exit code, standard output, standard error.
fn command(place: &Place, proxy: &Proxy, arguments: &[&str]) -> (Option<i32>, String, String) {
    let admin = proxy.admin.to_string();
    let output = place.command().args(arguments).args(["--admin", &admin]).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

fn place() -> Place {
    let place = Place::new();
    for name in ["packages/office-1.2/setup.exe", "packages/office-1.2/data/a.cab", "packages/tools/x", "single file"] {
        let path = place.path("share").join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, name).unwrap();
    }
    place
}

#[test]
fn on_demand_over_the_admin_interface() {
    let place = place();
    place.write_config("mode = \"preload\"", "");
    let proxy = place.start_with(&place.path("proxy.toml"));
    assert_eq!(proxy.get("/single%20file").status, 503);
    let begun = proxy.post("/v1/preload", "{\"path\": \"/single%20file\", \"priority\": 3}");
    assert_eq!((begun.status, &begun.json()["upstreams"][0]), (202, &"share".into()));
    proxy.status_when("the file is here", |status| status["cache"]["names"] == 1);
    assert_eq!(proxy.get("/single%20file").body, "single file");
    for (body, status, kind) in [
        ("{\"path\": \"x\"}", 400, "bad-request"),
        ("{\"pathes\": []}", 400, "bad-request"),
        ("{\"path\": \"/a\", \"package\": \"/b/\"}", 400, "bad-request"),
        ("{\"upstream\": \"none\"}", 404, "not-found"),
        ("[", 400, "bad-request"),
    ] {
        let answer = proxy.post("/v1/preload", body);
        assert_eq!((answer.status, answer.problem().as_str()), (status, kind), "{body}: {}", answer.body);
    }
    // Everything, with no body at all.
    assert_eq!(proxy.admin("POST", "/v1/preload").status, 202);
    proxy.status_when("all is here", |status| status["cache"]["names"] == 5);
    proxy.status_when("nothing is left", |status| status["preload"][0]["left_files"] == 0);
    let round = proxy.admin("GET", "/v1/preload").json()["upstreams"][0]["on_demand"].clone();
    assert_eq!((&round["total"]["files"], &round["percent"]), (&5.into(), &100.0.into()), "{round:#}");
    let metrics = proxy.admin("GET", "/metrics").body;
    for line in
        ["outpost_preload_files_total{result=\"fetched\"} 5", "outpost_preload_left_files{upstream=\"share\"} 0"]
    {
        assert!(metrics.lines().any(|found| found == line), "{line} is missing in\n{metrics}");
    }
}

#[test]
fn the_command_follows_until_it_is_done() {
    let place = place();
    let proxy = place.start();
    let (code, shown, complaints) = command(&place, &proxy, &["preload", "/packages/", "--follow"]);
    assert_eq!((code, complaints.as_str()), (Some(0), ""), "{shown}");
    assert!(shown.contains("100%") && shown.contains("3 (") && shown.contains("on demand"), "{shown}");
    let (code, shown, _) =
        command(&place, &proxy, &["preload", "--package", "/packages/office-*/", "--follow", "--json"]);
    let json: serde_json::Value = serde_json::from_str(&shown).unwrap();
    assert_eq!((code, &json["upstreams"][0]["on_demand"]["here"]["files"]), (Some(0), &2.into()), "{shown}");
    let (code, shown, _) = command(&place, &proxy, &["preload", "/single file"]);
    assert_eq!(code, Some(0));
    assert!(shown.contains("preload of share has begun"), "{shown}");
    fs::write(place.path("list"), "# both\n/hello.txt\n/none.txt\n").unwrap();
    let (code, shown, complaints) = command(&place, &proxy, &["preload", "--list", "list", "--follow"]);
    assert_eq!(code, Some(1), "{shown}{complaints}");
    assert!(shown.contains("/none.txt: the upstream has no such file"), "{shown}");
    let (code, _, complaints) = command(&place, &proxy, &["preload", "--upstream", "none"]);
    assert_eq!(code, Some(3), "{complaints}");
    let (code, shown, _) = command(&place, &proxy, &["preload", "--status"]);
    assert!(code == Some(0) && shown.contains("share  on-demand"), "{shown}");
    assert_eq!(command(&place, &proxy, &["preload", "--status", "/a"]).0, Some(2));
}

#[test]
fn a_schedule_comes_with_a_reload() {
    let place = place();
    let mut proxy = place.start();
    place.write_config(
        "mode = \"preload\"\ntime_zone = \"UTC\"\n[preload]\nschedule = [\"00:00-24:00\"]\nexclude = [\"/packages/\"]",
        "",
    );
    proxy.signal(rustix::process::Signal::HUP);
    proxy.wait_for_line("was read again");
    proxy.wait_for_line("a round of preload is done");
    assert_eq!(proxy.get("/hello.txt").body, "hello\n");
    assert_eq!(proxy.get("/packages/tools/x").status, 503);
    assert_eq!(proxy.status()["preload"][0]["state"], "waiting");
}

#[test]
fn times_that_contradict_each_other_are_refused() {
    let place = Place::new();
    place.write_config("[preload]\nschedule = [\"02:00-04:00\"]\nready_by = \"Mon 08:00\"", "");
    let (code, printed) = place.run(&["--config", "proxy.toml", "--check-config"]);
    assert_eq!(code, Some(78), "{printed}");
    assert!(printed.contains("schedule and ready_by are both given"), "{printed}");
}
