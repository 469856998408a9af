//! A branch behind a thin line, whose machines all want one file at the same moment: by the program that measures large ones, with real proxies and agents.
//! What crosses the line, what proxies send and what comes out is looked at, never how long it takes.

use std::fs;

use harness::program::run_to_end;
use serde_json::Value;

/// Fewer than in the field, and each with a processor to share with all others.
const AGENTS: u64 = 6;

/// Runs a variant, and answers its rounds.
#[track_caller]
fn branch(variant: &str) -> Vec<Value> {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("out.json").display().to_string();
    let agents = AGENTS.to_string();
    let arguments = [
        ["--origin", env!("CARGO_BIN_EXE_outpost-origin-under-test")],
        ["--proxy", env!("CARGO_BIN_EXE_outpost-proxy-under-test")],
        ["--agent", env!("CARGO_BIN_EXE_outpost-agent-under-test")],
        ["--variant", variant],
        ["--agents", &agents],
        ["--size", "6MiB"],
        // Slow enough that something can happen in the middle.
        ["--line", "40Mbit/s"],
        ["--backoff", "500ms"],
        ["--json", &file],
    ];
    let program = env!("CARGO_BIN_EXE_outpost-bench-under-test").as_ref();
    let arguments = ["branch"].into_iter().chain(arguments.into_iter().flatten());
    let (status, printed) = run_to_end(program, arguments, directory.path());
    assert_eq!(status, Some(0), "{printed}");
    let report: Value = serde_json::from_slice(&fs::read(&file).expect("it wrote the file")).expect("JSON");
    let rounds = report["runs"][0]["rounds"].as_array().expect("rounds").clone();
    for round in &rounds {
        assert_eq!((&round["have_it"], &round["wrong"]), (&AGENTS.into(), &0.into()), "{round:#}");
    }
    rounds
}

#[track_caller]
fn number(round: &Value, pointer: &str) -> f64 {
    round.pointer(pointer).and_then(Value::as_f64).unwrap_or_else(|| panic!("no number at {pointer} in {round:#}"))
}

/// Beside the file there is what is said about it.
#[track_caller]
fn expect_once_over_the_line(round: &Value) {
    let line = number(round, "/line");
    assert!((1.0..1.1).contains(&line), "{line} files over the line: {round:#}");
}

#[test]
fn where_nobody_shares_everybody_asks_the_proxy_and_the_line_carries_it_once() {
    let round = &branch("nobody")[0];
    expect_once_over_the_line(round);
    let copies = number(round, "/copies/0");
    assert!((AGENTS as f64..AGENTS as f64 + 0.2).contains(&copies), "{round:#}");
}

#[test]
fn a_file_that_all_want_crosses_the_line_once() {
    for variant in ["plain", "shipped"] {
        expect_once_over_the_line(&branch(variant)[0]);
    }
}

#[test]
fn a_proxy_that_is_killed_in_the_middle_costs_nobody_his_file() {
    let round = &branch("killed")[0];
    // Whatever had come to the proxy and to nobody else is lost, and the rest is asked of the origin: a half, and by a few twice, but not by everybody.
    assert!((1.0..2.5).contains(&number(round, "/line")), "{round:#}");
}

#[test]
fn a_peer_that_sends_wrong_bytes_is_asked_and_nobody_keeps_them() {
    let round = &branch("liar")[0];
    expect_once_over_the_line(round);
    let note = round["notes"][0].as_str().expect("a note");
    assert_ne!(note, "0 lies", "nobody has asked it: {round:#}");
}

#[test]
fn a_proxy_that_only_preloads_is_waited_for() {
    let round = &branch("preload")[0];
    expect_once_over_the_line(round);
}

#[test]
fn a_first_proxy_that_is_back_is_used_again() {
    let rounds = branch("returns");
    // The second proxy fetches what the first had, a quarter; that the first went on with its own would be half of the file more.
    let line = number(&rounds[0], "/line") + number(&rounds[0], "/line_after");
    assert!((1.0..1.7).contains(&line), "{:#}", rounds[0]);
    let (first, second) = (number(&rounds[1], "/copies/0"), number(&rounds[1], "/copies/1"));
    assert!(first > 0.9 && second < 0.1, "nobody has shut down the second: {:#}", rounds[1]);
    expect_once_over_the_line(&rounds[1]);
}
