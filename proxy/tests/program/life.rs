//! Signals: drain, reload, reopen.

use rustix::process::Signal;

use crate::harness::Place;

#[test]
fn sigterm_and_sigint_end_in_good_order_and_the_cache_is_kept() {
    let place = Place::new();
    for signal in [Signal::TERM, Signal::INT] {
        let proxy = place.start();
        assert_eq!(proxy.get("/hello.txt").body, "hello\n");
        proxy.status_when("the object is here", |status| status["cache"]["names"] == 1);
        proxy.signal(signal);
        assert_eq!(proxy.wait().code(), Some(0));
    }
    let proxy = place.start();
    proxy.status_when("the object is still here", |status| status["cache"]["names"] == 1);
    assert_eq!(proxy.get("/hello.txt").body, "hello\n");
    assert_eq!(proxy.status()["bytes"]["from_upstream"], 0);
}

#[test]
fn the_admin_interface_can_ask_for_the_end() {
    let place = Place::new();
    let proxy = place.start();
    assert_eq!(proxy.post("/v1/drain", "").status, 202);
    assert_eq!(proxy.wait().code(), Some(0));
}

#[test]
fn sighup_takes_limits_and_says_what_needs_a_restart() {
    let place = Place::new();
    let mut proxy = place.start();
    place.write_config("mode = \"preload\"", "max_requesters = 77\nworkers = 3\n");
    proxy.signal(Signal::HUP);
    proxy.wait_for_line("was read again");
    let line = proxy.wait_for_line("only taken with the next start");
    assert!(line.ends_with(": serve.workers"), "{line}");
    assert_eq!(proxy.status()["requesters"]["max_per_object"], 77);
    assert_eq!(proxy.get("/hello.txt").status, 503, "nothing was preloaded");
}

#[test]
fn sighup_keeps_the_old_configuration_when_the_new_one_is_wrong() {
    let place = Place::new();
    let mut proxy = place.start();
    place.write_config("", "max_requesters = 77\nmax_requestors = 3\n");
    proxy.signal(Signal::HUP);
    let line = proxy.wait_for_line("the old one stays");
    assert!(line.contains("line 10") && line.contains("did you mean serve.max_requesters?"), "{line}");
    assert_eq!(proxy.status()["requesters"]["max_per_object"], 5);
    let metrics = proxy.admin("GET", "/metrics").body;
    assert!(metrics.contains("outpost_config_last_reload_successful 0"), "{metrics}");
}

#[test]
fn sigusr1_opens_the_access_log_anew() {
    let place = Place::new();
    let log = place.path("access.log");
    let config = place.write_config("", "");
    let text = std::fs::read_to_string(&config).unwrap();
    std::fs::write(&config, format!("{text}[access_log]\npath = \"{}\"\n", log.display())).unwrap();
    let mut proxy = place.start_with(&config);
    std::fs::rename(&log, place.path("access.log.1")).unwrap();
    proxy.signal(Signal::USR1);
    proxy.wait_for_line("opened anew");
    assert_eq!(proxy.get("/hello.txt").body, "hello\n");
    proxy.signal(Signal::TERM);
    proxy.wait();
    let lines = std::fs::read_to_string(&log).unwrap();
    assert!(lines.contains("GET /hello.txt"), "{lines}");
}
