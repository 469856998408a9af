//! A small storm, by the program that measures large ones: who must not be refused is not, everybody gets everything, and nobody asks more than it may.

use harness::program::run_to_end;

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
