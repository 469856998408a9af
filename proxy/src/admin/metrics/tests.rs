//! The table is complete, and the answer is what Prometheus reads.

use std::collections::HashSet;

use cache::{
    options::Mode,
    status::{LineStatus, OriginStatus, PreloadState, PreloadStatus, StreamStatus, UpstreamStatus},
};

use super::*;

fn sample() -> Snapshot {
    let mut now = Snapshot { engine: "threads (io_uring failed: Bad address)".into(), ..Snapshot::default() };
    now.serve.by_class = [0, 7, 1, 2, 3];
    now.cache.upstream_bytes = u64::MAX;
    now.usage.user = 1.5;
    now.upstreams.push(UpstreamStatus {
        name: "prod".into(),
        mount: "/".into(),
        location: "/srv".into(),
        reachable: true,
        last_error: None,
        line: LineStatus { rate: Some(1_250_000), bytes: 5, ..LineStatus::default() },
        origins: vec![OriginStatus { url: "http://hq/".into(), in_use: true, failures: 0 }],
        stream: Some(StreamStatus::default()),
    });
    now.preloads.push(PreloadStatus {
        upstream: "prod".into(),
        mount: "/".into(),
        mode: Mode::Preload,
        state: PreloadState::Waiting,
        schedule: Vec::new(),
        ready_by: None,
        next: None,
        closes: None,
        bytes_per_second: None,
        scheduled: None,
        on_demand: None,
        running: Vec::new(),
        failures: Vec::new(),
    });
    now
}

#[test]
fn every_metric_of_the_table_is_in_the_answer_under_its_name() {
    let text = text(sample()).unwrap();
    let samples: HashSet<&str> =
        text.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.split(['{', ' ']).next()).collect();
    let names: HashSet<&str> = METRICS.iter().map(|metric| metric.name).collect();
    assert_eq!(samples, names);
    assert_eq!(names.len(), METRICS.len(), "a name stands twice in the table");
}

#[test]
fn values_and_labels_are_written_as_prometheus_reads_them() {
    let text = text(sample()).unwrap();
    for line in [
        "outpost_http_requests_total{code=\"2xx\"} 7",
        "outpost_upstream_up{upstream=\"prod\"} 1",
        "outpost_line_rate_bytes{upstream=\"prod\"} 1250000",
        "outpost_line_bytes_total{upstream=\"prod\"} 5",
        "outpost_wan_bytes_total 18446744073709551615",
        "process_cpu_seconds_total 1.5",
        "outpost_config_last_reload_successful 1",
        "# UNIT outpost_wan_bytes bytes",
        "# TYPE outpost_wan_bytes counter",
    ] {
        assert!(text.lines().any(|found| found == line), "{line} is missing in:\n{text}");
    }
    assert!(text.contains("disk_engine=\"threads\"") && text.ends_with("# EOF\n"));
}

#[test]
fn the_page_in_docs_is_the_generated_one() {
    let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/metrics.md")).unwrap_or_default();
    assert!(
        page == reference(),
        "docs/metrics.md is not what the table says; run: cargo run -p outpost-proxy --example metrics > docs/metrics.md"
    );
}
