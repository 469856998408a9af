//! `GET /metrics`: each metric is defined once in the [`table`] with its unit and help, from which the answer and `docs/metrics.md` are made.
//! Labels have few values: no path, digest or client ever stands in one.

mod table;

use std::{fmt, sync::Arc};

use axum::{
    extract::State,
    http::header,
    response::{IntoResponse, Response},
};
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric, MetricEncoder, text::encode},
    metrics::{MetricType, counter::ConstCounter, gauge::ConstGauge, info::Info},
    registry::{Registry, Unit},
};

use self::table::{METRICS, Metric, Read};
use crate::{app::App, snapshot::Snapshot};

/// What Prometheus and its relatives ask for.
const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// `GET /metrics`
pub(super) async fn answer(State(app): State<Arc<App>>) -> Response {
    match text(super::aside(&app, Snapshot::take).await) {
        Ok(text) => ([(header::CONTENT_TYPE, CONTENT_TYPE)], text).into_response(),
        Err(_) => super::problem(
            protocol::problem::Kind::Internal,
            "the metrics cannot be written; this is a fault of the program",
        ),
    }
}

fn text(now: Snapshot) -> Result<String, fmt::Error> {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(Moment(now)));
    let mut text = String::new();
    encode(&mut text, &registry)?;
    Ok(text)
}

/// The metrics of one moment.
#[derive(Debug)]
struct Moment(Snapshot);

impl Collector for Moment {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        METRICS.iter().try_for_each(|metric| metric.write(&self.0, &mut encoder))
    }
}

impl Metric {
    fn write(&self, now: &Snapshot, encoder: &mut DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let unit = self.unit();
        let encoder = encoder.encode_descriptor(self.base_name(), self.help, unit.as_ref(), self.kind())?;
        match &self.read {
            Read::Counter(read) => ConstCounter::new(read(now)).encode(encoder),
            Read::CounterOfSeconds(read) => ConstCounter::new(read(now)).encode(encoder),
            Read::Gauge(read) => ConstGauge::new(read(now)).encode(encoder),
            Read::GaugeOfSeconds(read) => ConstGauge::new(read(now)).encode(encoder),
            Read::Counters(label, read) => labelled(encoder, label, read(now), ConstCounter::new),
            Read::Gauges(label, read) => labelled(encoder, label, read(now), ConstGauge::new),
            Read::Info(_, read) => Info::new(read(now)).encode(encoder),
        }
    }

    fn kind(&self) -> MetricType {
        match self.read {
            Read::Counter(_) | Read::CounterOfSeconds(_) | Read::Counters(..) => MetricType::Counter,
            Read::Gauge(_) | Read::GaugeOfSeconds(_) | Read::Gauges(..) => MetricType::Gauge,
            Read::Info(..) => MetricType::Info,
        }
    }

    fn label_names(&self) -> Vec<&'static str> {
        match self.read {
            Read::Counters(label, _) | Read::Gauges(label, _) => vec![label],
            Read::Info(labels, _) => labels.to_vec(),
            _ => Vec::new(),
        }
    }

    /// The unit is part of the name, as OpenMetrics wants it.
    fn unit(&self) -> Option<Unit> {
        let name = self.name.trim_end_matches("_total");
        if name.ends_with("_bytes") {
            Some(Unit::Bytes)
        } else if name.ends_with("_seconds") {
            Some(Unit::Seconds)
        } else {
            None
        }
    }

    /// The encoder adds unit and suffix itself.
    fn base_name(&self) -> &'static str {
        let name = self.name.trim_end_matches("_total").trim_end_matches("_info");
        name.trim_end_matches("_bytes").trim_end_matches("_seconds")
    }
}

fn labelled<M: EncodeMetric>(
    mut encoder: MetricEncoder<'_>,
    label: &'static str,
    values: Vec<(String, u64)>,
    make: fn(u64) -> M,
) -> Result<(), fmt::Error> {
    for (of, value) in values {
        make(value).encode(encoder.encode_family(&[(label, of)])?)?;
    }
    Ok(())
}

const OPENING: &str = "# Metrics reference

Made from the table in `proxy/src/admin/metrics/table.rs`; do not edit. Make it anew with

```
cargo run -p outpost-proxy --example metrics > docs/metrics.md
```

`GET /metrics` on the admin address answers these in the OpenMetrics text format, which Prometheus reads. Counters begin at 0 with the process. The saving on
the line is `1 - outpost_wan_bytes_total / outpost_served_bytes_total`.

| name | kind | unit | labels | meaning |
| --- | --- | --- | --- | --- |
";

/// `docs/metrics.md`.
pub fn reference() -> String {
    let mut page = OPENING.to_owned();
    for metric in METRICS {
        let kind = match metric.kind() {
            MetricType::Counter => "counter",
            MetricType::Info => "info",
            _ => "gauge",
        };
        let unit = metric.unit().map(|unit| unit.as_str().to_owned()).unwrap_or_default();
        let labels: Vec<_> = metric.label_names().iter().map(|label| format!("`{label}`")).collect();
        page.push_str(&format!("| `{}` | {kind} | {unit} | {} | {} |\n", metric.name, labels.join(", "), metric.help));
    }
    page
}

#[cfg(test)]
mod tests;
