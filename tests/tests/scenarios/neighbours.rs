//! Agents that nobody brings together but themselves. That they find each other by multicast needs a network; here they are told of each other.

use std::fs;

use harness::{
    MIB,
    agent::{AgentService, AgentSetup},
    content::Content,
    script::Page,
    upstream::ScriptedUpstream,
    wait,
};
use rustix::process::Signal;

use crate::agent;

/// A service that has a content, and its upstream.
fn one_that_has(content: &Content) -> (AgentService, ScriptedUpstream) {
    let (setup, upstream) = (agent(), ScriptedUpstream::start());
    upstream.publish("/file.zip", Page::new(content).repr_digest());
    let service = setup.serve(&["--server", &upstream.url()]);
    setup.clone().by(&service).get("/file.zip", "file").expect(content);
    (service, upstream)
}

/// Another one with this configuration.
fn another(config: &str, arguments: &[&str]) -> (AgentSetup, AgentService) {
    let setup = agent();
    fs::write(setup.directory().join("agent.toml"), config).expect("a temporary directory");
    let service = setup.serve(&[&["--config", "agent.toml"], arguments].concat());
    (setup, service)
}

fn knowing(services: &[&AgentService]) -> String {
    let urls: Vec<_> = services.iter().map(|service| format!("\"http://{}/\"", service.peers)).collect();
    format!("[peers]\nknown = [{}]\n", urls.join(", "))
}

#[test]
fn what_is_known_by_its_digest_is_found_at_a_neighbour_alone() {
    let content = Content::random(81, 3 * MIB);
    let (has, upstream) = one_that_has(&content);
    upstream.stop();
    let (gone, _) = one_that_has(&Content::random(82, 2 * MIB));
    let config = knowing(&[&gone, &has]);
    gone.terminate();
    let (setup, service) = another(&config, &[]);
    let got = setup.clone().by(&service).get(&content.md5_hex(), "file").expect(&content);
    assert_eq!(got.said["verified"], true, "{got:?}");
    assert!(service.ask(&["status"]).contains("neighbours 2 known"));
}

#[test]
fn a_neighbour_may_come_later() {
    let content = Content::random(83, 2 * MIB);
    let (has, _upstream) = one_that_has(&content);
    let (setup, service) = another("", &[]);
    // Nobody is there who could be asked; one may come.
    let on = setup.clone().by(&service).start(&content.md5_hex(), "file");
    wait::until_true("it waits", || service.ask(&["status"]).contains("waiting"));
    fs::write(setup.directory().join("agent.toml"), knowing(&[&has])).expect("a temporary directory");
    service.program.signal(Signal::HUP);
    wait::until_true("it knows one", || service.ask(&["status"]).contains("neighbours 1 known"));
    service.ask(&["retry-now"]);
    on.wait().expect(&content);
}

#[test]
fn neighbours_are_asked_in_a_blackout_for_they_are_not_behind_the_line() {
    let content = Content::random(84, 2 * MIB);
    let (has, _first) = one_that_has(&content);
    let upstream = ScriptedUpstream::start();
    upstream.publish("/file.zip", Page::new(&content).repr_digest());
    let config = format!("{}[line]\nblackout = [\"00:00-24:00\"]\n", knowing(&[&has]));
    let (setup, service) = another(&config, &["--server", &upstream.url()]);
    setup.clone().by(&service).get(&content.md5_hex(), "file").expect(&content);
    assert_eq!(upstream.gets("/file.zip"), 0);
}
