//! A small storm, by the program that measures large ones: who must not be refused is not, everybody gets everything, and nobody asks more than it may.

use std::fs;

use harness::{client::Ask, origin::Origin, program::run_to_end, share::Share, wait};
use rustix::process::Signal;

#[test]
fn a_small_company_has_its_packages_without_a_storm() {
    let directory = tempfile::tempdir().expect("a directory");
    let origin = env!("CARGO_BIN_EXE_outpost-origin-under-test");
    let program = env!("CARGO_BIN_EXE_outpost-bench-under-test").as_ref();
    let arguments = [
        "storm",
        "--origin",
        origin,
        "--environment",
        "1+2+12",
        "--preload",
        "2s",
        "--report-every",
        "5s",
        "--factor",
        "1",
        "--gather",
        "200ms",
        // For here nobody writes files slowly.
        "--configure",
        "[catalogue]\nsettle = \"100ms\"",
    ];
    // It says so itself when a goal is missed.
    let (status, printed) = run_to_end(program, arguments, directory.path());
    assert_eq!(status, Some(0), "{printed}");
    assert!(
        printed.contains("| upper proxies with their sources | not told | 1 of 1, at the first question |"),
        "{printed}"
    );
    assert!(printed.contains("| machines with all their sources | not told | 15 of 15 |"), "{printed}");
}

fn places(origin: &Origin) -> Option<u64> {
    let metrics = String::from_utf8(Ask::get("/metrics").fetch(origin.admin()).expect_status(200).body).expect("text");
    let line = metrics.lines().find_map(|line| line.strip_prefix("outpost_origin_admission_places "))?;
    line.parse().ok()
}

#[test]
fn sighup_changes_how_many_questions_are_answered_at_once() {
    let (share, directory) = (Share::new(), tempfile::tempdir().expect("a directory"));
    let file = directory.path().join("origin.toml");
    let write = |places: &str| {
        let text = format!("admin = \"127.0.0.1:0\"\n[admission]\nmax_concurrent_info_requests = {places}\n");
        fs::write(&file, text).expect("is written");
    };
    write("5");
    let config = file.to_str().expect("a path of letters");
    let origin = super::origin_over(&share).arguments(&["--config", config]).start();
    assert_eq!(places(&origin), Some(5));

    // Fewer than one for each tier cannot be shared: the old number stays.
    write("2");
    origin.program().signal(Signal::HUP);
    let is_refusal = |line: &str| line.contains("the old one stays in use").then_some(());
    origin.program().find_line("the refusal", is_refusal);
    assert_eq!(places(&origin), Some(5));

    write("7");
    origin.program().signal(Signal::HUP);
    wait::until_true("the new number is in use", || places(&origin) == Some(7));
}
