//! The measuring program measures: it starts what there is, makes real requests, says what is missing, and leaves nothing behind.
//! What comes out is looked at for being there, never for how fast it is.

use std::fs;

use harness::program::run_to_end;
use serde_json::{Value, json};
use tempfile::TempDir;

/// Runs a short comparison with the proxy under test, without the other servers: they are not installed everywhere.
fn compare(directory: &TempDir, more: &[&str]) -> Value {
    let file = directory.path().join("out.json");
    let mut arguments = vec!["compare", "--outpost", env!("CARGO_BIN_EXE_outpost-proxy-under-test")];
    let name = file.display().to_string();
    arguments.extend(["--json", &name, "--without", "nginx,varnish"]);
    arguments.extend(more);
    let program = env!("CARGO_BIN_EXE_outpost-bench-under-test").as_ref();
    let (status, printed) = run_to_end(program, &arguments, directory.path());
    assert_eq!(status, Some(0), "{printed}");
    assert!(printed.contains("| work | figure | Outpost |"), "{printed}");
    serde_json::from_slice(&fs::read(file).expect("it wrote the file")).expect("JSON")
}

fn result<'a>(report: &'a Value, row: usize, key: &str, who: &str) -> &'a Value {
    let figures = report["rows"][row]["figures"].as_array().expect("a list of figures");
    let figure = figures.iter().find(|figure| figure["key"] == key).expect("a figure of that key");
    &figure["results"][who]
}

#[test]
fn hits_are_measured_beside_the_limit() {
    let directory = tempfile::tempdir().expect("a directory");
    let report = compare(&directory, &["--rows", "1k-64,100k-1", "--runs", "2", "--duration", "100ms"]);
    assert_eq!(report["notes"], json!([]));
    assert_eq!(report["programs"]["nginx"]["missing"], "left out");
    for row in [0, 1] {
        for who in ["outpost", "limit"] {
            let rate = result(&report, row, "rate", who);
            assert_eq!(rate["runs"].as_array().map(Vec::len), Some(2), "{who}: {rate}");
            assert!(rate["median"].as_f64().is_some_and(|rate| rate > 0.0), "{who}: {rate}");
        }
    }
}

#[test]
fn hits_over_tls_are_measured() {
    let directory = tempfile::tempdir().expect("a directory");
    // Long enough for all handshakes on a machine that has much else to do.
    let report = compare(&directory, &["--rows", "tls-16k", "--runs", "1", "--duration", "500ms"]);
    assert_eq!(report["notes"], json!([]));
    assert!(result(&report, 0, "rate", "outpost")["median"].as_f64().is_some_and(|rate| rate > 0.0), "{report}");
}

#[test]
fn a_cold_file_is_fetched_once_and_comes_right() {
    let directory = tempfile::tempdir().expect("a directory");
    let report = compare(&directory, &["--rows", "cold-single", "--runs", "1", "--duration", "100ms"]);
    assert_eq!(report["notes"], json!([]));
    for (key, expected) in [("complete", 1.0), ("asked", 1.0), ("fetched", 1.0)] {
        assert_eq!(result(&report, 0, key, "outpost")["median"], expected, "{key}");
    }
}
