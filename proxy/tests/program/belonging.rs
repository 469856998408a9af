//! Belonging to an origin, as an administrator meets it: enrolment, a configuration that is delivered, reports, and what goes wrong with each.

use std::{fs, os::unix::fs::PermissionsExt, path::PathBuf};

use protocol::digest::Md5;
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::{
    harness::{Place, Proxy, ask},
    origin::{Origin, Script, TOKEN, configuration},
};

fn origin(options: Value) -> Origin {
    let files = [("/a", "first"), ("/b", "second"), ("/pkg/c", "third")];
    let files = files.into_iter().map(|(path, bytes)| (path.to_owned(), bytes.as_bytes().to_vec())).collect();
    Origin::start(Script { configuration: configuration(1, options), files, ..Script::default() })
}

/// A proxy's configuration, with these lines in `[serve]`.
fn write_config(place: &Place, origin: &Origin, serve: &str) -> PathBuf {
    let token = place.path("token");
    fs::write(&token, TOKEN).unwrap();
    fs::set_permissions(&token, fs::Permissions::from_mode(0o600)).unwrap();
    let path = place.path("proxy.toml");
    let text = format!(
        "listen = [\"127.0.0.1:0\"]\nadmin = \"127.0.0.1:0\"\n[cache]\ndir = \"{}\"\nmax_size = \"1GiB\"\nmin_free = \"0%\"\n[serve]\n{serve}\n\
         [origin]\nname = \"branch7\"\ntoken_file = \"{}\"\nstate_dir = \"{}\"\n\
         [[upstream]]\nname = \"hq\"\nurl = \"outpost+http://{}/\"\nrecheck = \"1h\"\n",
        place.path("cache").display(),
        token.display(),
        place.path("state").display(),
        origin.address,
    );
    fs::write(&path, text).unwrap();
    path
}

fn start(place: &Place, origin: &Origin) -> Proxy {
    place.start_with(&write_config(place, origin, "max_requesters = 9"))
}

fn member(proxy: &Proxy, generation: u64) -> Value {
    proxy.status_when("it belongs", |status| status["origin"]["configuration"]["generation"] == generation)
}

fn md5(text: &str) -> String {
    Md5::of(text.as_bytes()).to_string()
}

#[test]
fn a_proxy_enrols_and_is_configured_and_changed_without_a_restart() {
    let (place, origin) = (Place::new(), origin(json!({"serve.max_requesters": 2})));
    let mut proxy = start(&place, &origin);
    let status = member(&proxy, 1);
    assert_eq!((&status["requesters"]["max_per_object"], &status["origin"]["state"]), (&2.into(), &"member".into()));
    assert_eq!((&status["origin"]["domain"], &status["origin"]["tier"]), (&"hq.north".into(), &"constrained".into()));
    let enrolled = origin.change(|script| script.enrolled.clone());
    assert_eq!((enrolled.len(), &enrolled[0]["name"], &enrolled[0]["role"]), (1, &"branch7".into(), &"proxy".into()));
    assert_eq!(enrolled[0]["url"], format!("http://{}/", proxy.files));
    let credential = place.path("state/credential");
    assert_eq!(fs::metadata(&credential).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(proxy.get("/a").body, "first");
    // Mode, schedule, a rate of the line, who may ask: each at once.
    let options = json!({"mode": "preload", "preload.schedule": ["02:00-04:00"], "upstream.hq.rate": "1MiB/s",
                         "access.deny": ["127.0.0.2"], "serve.retry_delay": "7s"});
    origin.deliver(2, options);
    proxy.signal(Signal::HUP);
    proxy.wait_for_line("the configuration that the origin delivers is in use");
    let status = member(&proxy, 2);
    assert_eq!((&status["mode"], &status["requesters"]["max_per_object"]), (&"preload".into(), &9.into()));
    assert_eq!(status["upstreams"][0]["line"]["rate"], 1 << 20);
    let preload = proxy.admin("GET", "/v1/preload").json();
    assert_eq!(preload["upstreams"][0]["schedule"], json!(["02:00-04:00"]));
    assert_eq!(ask(proxy.files, "GET", "/b", "", "").problem(), "not-preloaded");
    origin.deliver(3, json!({"access.allow": ["10.0.0.0/8"]}));
    proxy.signal(Signal::HUP);
    member(&proxy, 3);
    assert_eq!(proxy.get("/a").status, 403);
    // What the origin says no more is what the file says.
    origin.deliver(4, json!({}));
    proxy.signal(Signal::HUP);
    member(&proxy, 4);
    assert_eq!((proxy.get("/b").body.as_str(), proxy.status()["mode"].as_str()), ("second", Some("fetch-and-preload")));
    assert_eq!(origin.change(|script| script.enrolled.len()), 1, "once is enough");
    let metrics = proxy.admin("GET", "/metrics").body;
    for line in ["outpost_origin_member 1", "outpost_origin_configuration 4", "outpost_origin_trouble 0"] {
        assert!(metrics.lines().any(|found| found == line), "{line} is missing in\n{metrics}");
    }
    let (_, shown) = place.run(&["status", "--admin", &proxy.admin.to_string()]);
    assert!(shown.contains("  origin    hq knows it as branch7 in hq.north"), "{shown}");
}

#[test]
fn what_was_delivered_last_holds_at_a_start_without_the_origin_and_through_a_reload() {
    let (place, origin) = (Place::new(), origin(json!({"mode": "preload", "cache.max_size": "90%"})));
    let proxy = start(&place, &origin);
    member(&proxy, 1);
    origin.kill();
    drop(proxy);
    let config = write_config(&place, &origin, "max_requesters = 4");
    let mut proxy = place.start_with(&config);
    let status = proxy.status();
    assert_eq!((&status["mode"], &status["requesters"]["max_per_object"]), (&"preload".into(), &4.into()));
    let (code, printed) = place.run(&["--config", config.to_str().unwrap(), "--print-config"]);
    assert!(code == Some(0) && printed.contains("mode = \"preload\"  # origin, generation 1\n"), "{printed}");
    write_config(&place, &origin, "max_requesters = 6");
    proxy.signal(Signal::HUP);
    proxy.wait_for_line("the configuration was read again and is in use");
    let status = proxy.status();
    assert_eq!((&status["mode"], &status["requesters"]["max_per_object"]), (&"preload".into(), &6.into()));
    // A file that contradicts what was delivered is refused, and says whose the other half is.
    let text = fs::read_to_string(&config).unwrap().replace("min_free = \"0%\"", "min_free = \"20%\"");
    fs::write(&config, &text).unwrap();
    proxy.signal(Signal::HUP);
    let line = proxy.wait_for_line("the old one stays in use");
    assert!(line.contains("cache.max_size comes from the origin"), "{line}");
    drop(proxy);
    // It does not keep the proxy from starting.
    let proxy = place.start_with(&config);
    proxy.status_when("it serves by its own file", |status| status["mode"] == "fetch-and-preload");
    let (code, printed) = place.run(&["--config", config.to_str().unwrap(), "--check-config"]);
    assert_eq!(code, Some(0), "{printed}");
    assert!(printed.contains("what the origin delivered last is not used") && printed.contains("90%"), "{printed}");
}

#[test]
fn a_configuration_that_is_refused_leaves_the_old_one_and_is_reported() {
    let (place, origin) = (Place::new(), origin(json!({"serve.max_requesters": 2})));
    let mut proxy = start(&place, &origin);
    member(&proxy, 1);
    origin.deliver(2, json!({"serve.max_requesters": "many", "mode": "preload"}));
    proxy.signal(Signal::HUP);
    let line = proxy.wait_for_line("is not used, and the old one stays in use");
    assert!(line.contains("delivered by the origin: serve.max_requesters: 'many' is not a whole number"), "{line}");
    let report = origin.when("it is reported", |script| {
        script.reports.iter().rev().find(|report| report["refused"].is_array()).cloned()
    });
    assert_eq!((&report["configuration"], &report["refused"][0]["option"]), (&1.into(), &"".into()));
    let status = proxy.status();
    assert_eq!((&status["requesters"]["max_per_object"], &status["mode"]), (&2.into(), &"fetch-and-preload".into()));
    // What is unknown or the machine's own is left out, and the rest is taken.
    origin.deliver(3, json!({"serve.max_requesters": 3, "later.option": 1, "access_log.path": "/tmp/x"}));
    proxy.signal(Signal::HUP);
    proxy.wait_for_line("there is no option 'later.option'");
    let status = member(&proxy, 3);
    let refused = status["origin"]["configuration"]["refused"].as_array().unwrap();
    assert_eq!((refused.len(), &status["requesters"]["max_per_object"]), (2, &3.into()));
    let (_, shown) = place.run(&["status", "--admin", &proxy.admin.to_string()]);
    assert!(shown.contains("not taken: access_log.path: "), "{shown}");
}

#[test]
fn an_origin_that_knows_nothing_of_members_is_left_alone() {
    let (place, origin) = (Place::new(), origin(json!({})));
    origin.change(|script| script.is_old = true);
    let mut proxy = start(&place, &origin);
    let status = proxy.status_when("it has asked", |status| status["origin"]["state"] == "no-interface");
    assert_eq!((&status["origin"]["trouble"], &status["origin"]["reports"]["failed"]), (&Value::Null, &0.into()));
    assert_eq!(proxy.get("/a").body, "first");
    assert!(!place.path("state").exists(), "there is nothing to keep");
    proxy.signal(Signal::TERM);
    let printed = proxy.wait_for_line("ended");
    assert!(!printed.contains("WARN"), "{printed}");
}

#[test]
fn a_credential_that_is_lost_or_not_taken_any_more_is_replaced() {
    let (place, origin) = (Place::new(), origin(json!({})));
    let proxy = start(&place, &origin);
    member(&proxy, 1);
    // The origin has lost its database.
    origin.change(|script| script.credentials.clear());
    proxy.signal(Signal::HUP);
    origin.when("it enrols again", |script| (script.enrolled.len() == 2).then_some(()));
    proxy.status_when("it belongs again", |status| status["origin"]["state"] == "member");
    drop(proxy);
    // The proxy has lost its own.
    fs::remove_file(place.path("state/credential")).unwrap();
    let proxy = start(&place, &origin);
    origin.when("it enrols once more", |script| (script.enrolled.len() == 3).then_some(()));
    proxy.status_when("it belongs once more", |status| status["origin"]["state"] == "member");
}

#[test]
fn a_token_that_is_wrong_is_told_and_everything_else_goes_on() {
    let (place, origin) = (Place::new(), origin(json!({})));
    let config = write_config(&place, &origin, "");
    fs::write(place.path("token"), "another-token-of-some-length").unwrap();
    let mut proxy = place.start_with(&config);
    let line = proxy.wait_for_line("do not come together");
    assert!(line.contains("it does not enrol 'branch7': there is no such token"), "{line}");
    assert_eq!(proxy.get("/a").body, "first");
    let (_, shown) = place.run(&["status", "--admin", &proxy.admin.to_string()]);
    assert!(shown.contains("which does not want it") && shown.contains("trouble: it does not enrol"), "{shown}");
    // The right one, and SIGHUP: nobody waits for a back-off.
    fs::write(place.path("token"), TOKEN).unwrap();
    proxy.signal(Signal::HUP);
    proxy.wait_for_line("this proxy has enrolled at its origin");
    proxy.wait_for_line("have come together again");
}

#[test]
fn what_is_here_is_told_in_full_at_first_and_then_as_it_comes() {
    let (place, origin) = (Place::new(), origin(json!({})));
    let proxy = start(&place, &origin);
    let reports = |count: usize| origin.when("a report", |script| script.reports.get(count - 1).cloned());
    let first = reports(1);
    assert_eq!((&first["sequence"], &first["full"], &first["holds"]), (&1.into(), &true.into(), &json!([])));
    assert_eq!((&first["node"], &first["role"]), (&"branch7".into(), &"proxy".into()));
    assert_eq!(first["url"], format!("http://{}/", proxy.files));
    assert!(first["free"].as_u64().unwrap() > 0);
    assert_eq!(proxy.get("/a").body, "first");
    let second = reports(2);
    assert_eq!((&second["sequence"], &second["full"]), (&2.into(), &false.into()));
    assert_eq!(second["holds"], json!([md5("first")]));
    // What could not be told goes along with the next, under the same number.
    origin.change(|script| script.is_broken = true);
    assert_eq!(proxy.get("/b").body, "second");
    proxy.status_when("a report has failed", |status| status["origin"]["reports"]["failed"] == 1);
    let gone = proxy.admin("DELETE", &format!("/v1/objects/{}", md5("first")));
    assert!(gone.status < 300, "{gone:?}");
    origin.change(|script| script.is_broken = false);
    proxy.signal(Signal::HUP);
    let third = reports(3);
    assert_eq!((&third["sequence"], &third["full"]), (&3.into(), &false.into()));
    assert_eq!((&third["holds"], &third["dropped"]), (&json!([md5("second")]), &json!([md5("first")])));
    // Who has forgotten is told everything.
    origin.change(|script| script.wants_all = true);
    assert_eq!(proxy.get("/pkg/c").body, "third");
    let last = origin
        .when("everything", |script| script.reports.iter().skip(4).find(|report| report["full"] == true).cloned());
    let mut expected = [md5("second"), md5("third")];
    expected.sort_unstable();
    assert_eq!((&last["sequence"], &last["holds"]), (&5.into(), &json!(expected)));
    // After kill -9 a new start begins anew.
    let told = origin.change(|script| script.reports.len());
    drop(proxy);
    let proxy = start(&place, &origin);
    let report = reports(told + 1);
    assert_eq!((&report["sequence"], &report["full"], &report["holds"]), (&1.into(), &true.into(), &json!(expected)));
    assert_eq!(origin.change(|script| script.enrolled.len()), 1, "the credential was kept");
    drop(proxy);
}

#[test]
fn an_order_is_done_once_and_told_of_to_its_end() {
    let (place, origin) = (Place::new(), origin(json!({"mode": "fetch-and-preload"})));
    let order = |id: u64, update: Value| format!("event: order\ndata: {}\n\n", json!({"id": id, "update": update}));
    let contents = json!({"contents": [{"md5": md5("second"), "path": "/b"}]});
    let orders = [order(7, json!({"path": "/pkg/c"})), order(8, json!({"path": "/none"})), order(9, contents)].concat();
    // Told again whenever a stream begins, as they have not ended for all that the origin knows.
    origin.change(|script| script.told_at_once = orders.clone() + &orders);
    let proxy = start(&place, &origin);
    let end = |id: u64| {
        origin.when("its end", |script| {
            let mut orders = script.reports.iter().filter_map(|report| report["orders"].as_array()).flatten();
            orders.find(|order| order["id"] == id && (order["state"] == "done" || order["state"] == "failed")).cloned()
        })
    };
    let (path, none, contents) = (end(7), end(8), end(9));
    assert_eq!((&path["state"], &path["fetched"], &path["total"]), (&"done".into(), &5.into(), &5.into()));
    assert_eq!((&none["state"], &contents["state"]), (&"failed".into(), &"done".into()));
    assert!(none["detail"].as_str().unwrap().contains("/none: the upstream has no such file"), "{none}");
    let status = proxy.status_when("two are here", |status| status["cache"]["objects"] == 2);
    assert_eq!(status["origin"]["orders"].as_array().unwrap().len(), 3);
    let (_, shown) = place.run(&["status", "--admin", &proxy.admin.to_string()]);
    assert!(shown.contains("order 7 done 100%"), "{shown}");
}
