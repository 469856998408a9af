//! What a load run shows.

use std::{fmt::Write as _, time::Duration};

use os::process::CpuTime;
use serde_json::{Value, json};

use super::worker::Tally;

/// Bytes of a GB.
pub(crate) const GB: f64 = 1e9;

/// Everything measured in one run.
#[derive(Debug)]
pub(crate) struct Report {
    pub(crate) clients: u32,
    pub(crate) threads: u32,
    pub(crate) elapsed: Duration,
    pub(crate) tally: Tally,
    /// The server's processor time, if it was asked for.
    pub(crate) server: Option<CpuTime>,
    /// This client's processor time.
    pub(crate) own: CpuTime,
}

/// The shown parts of the latency distribution.
const QUANTILES: [(&str, f64); 4] = [("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("p99.9", 0.999)];

impl Report {
    /// For people.
    pub(super) fn table(&self) -> String {
        let mut text = String::new();
        let latency = &self.tally.latency;
        let (requests, seconds) = (latency.count(), self.elapsed.as_secs_f64());
        let mut line = |name: &str, value: String| {
            // Writing to a string cannot fail.
            let _ = writeln!(text, "{name:<16}{value}");
        };
        line("clients", format!("{} on {} threads, {seconds:.2} s", self.clients, self.threads));
        line("requests", format!("{requests}, {:.0}/s", requests as f64 / seconds));
        line("bodies", format!("{} bytes, {:.3} GB/s", self.tally.bytes, self.tally.bytes as f64 / GB / seconds));
        let mut shown = format!("min {}", millis(latency.min()));
        for (name, part) in QUANTILES {
            let _ = write!(shown, "  {name} {}", millis(latency.quantile(part)));
        }
        line("latency ms", format!("{shown}  max {}  mean {}", millis(latency.max()), millis(latency.mean())));
        let statuses: Vec<_> = self.tally.statuses.iter().map(|(status, count)| format!("{status}: {count}")).collect();
        line("statuses", statuses.join(", "));
        for (failure, count) in &self.tally.failures {
            line("failures", format!("{count}: {failure}"));
        }
        if self.tally.reconnects > 0 {
            line("reconnects", self.tally.reconnects.to_string());
        }
        if let Some(server) = &self.server {
            line("server cpu", self.cpu(server));
        }
        line("client cpu", self.cpu(&self.own));
        text
    }

    /// For programs.
    pub(super) fn json(&self) -> Value {
        let latency = &self.tally.latency;
        let seconds = self.elapsed.as_secs_f64();
        let mut quantiles = json!({
            "min": latency.min().as_secs_f64(), "mean": latency.mean().as_secs_f64(), "max": latency.max().as_secs_f64(),
        });
        for (name, part) in QUANTILES {
            quantiles[name] = latency.quantile(part).as_secs_f64().into();
        }
        let statuses: Value =
            self.tally.statuses.iter().map(|(status, count)| (status.to_string(), Value::from(*count))).collect();
        json!({
            "clients": self.clients,
            "threads": self.threads,
            "seconds": seconds,
            "requests": latency.count(),
            "requests_per_second": latency.count() as f64 / seconds,
            "bytes": self.tally.bytes,
            "bytes_per_second": self.tally.bytes as f64 / seconds,
            "latency_seconds": quantiles,
            "statuses": statuses,
            "failures": self.tally.failures,
            "reconnects": self.tally.reconnects,
            "server_cpu": self.server.as_ref().map(|cpu| self.cpu_json(cpu)),
            "client_cpu": self.cpu_json(&self.own),
        })
    }

    /// What most requests failed of, for the message when none succeeded.
    pub(super) fn first_failure(&self) -> String {
        let most = self.tally.failures.iter().max_by_key(|(_, count)| **count);
        most.map_or(String::new(), |(failure, _)| format!(": {failure}"))
    }

    fn cpu(&self, cpu: &CpuTime) -> String {
        let (per_thousand, per_gb) = self.per_unit(cpu);
        let shown = |figure: Option<f64>, digits| figure.map_or("-".to_owned(), |figure| format!("{figure:.digits$}"));
        format!(
            "{:.2} s user, {:.2} s system: {} ms per 1,000 requests, {} s per GB",
            cpu.user.as_secs_f64(),
            cpu.system.as_secs_f64(),
            shown(per_thousand, 2),
            shown(per_gb, 3),
        )
    }

    fn cpu_json(&self, cpu: &CpuTime) -> Value {
        let (per_thousand, per_gb) = self.per_unit(cpu);
        json!({
            "user_seconds": cpu.user.as_secs_f64(),
            "system_seconds": cpu.system.as_secs_f64(),
            "milliseconds_per_1000_requests": per_thousand,
            "seconds_per_gb": per_gb,
        })
    }

    /// Milliseconds per thousand requests, and seconds per GB; `None` where there was nothing to divide by.
    fn per_unit(&self, cpu: &CpuTime) -> (Option<f64>, Option<f64>) {
        let seconds = cpu.total().as_secs_f64();
        let per = |units: u64, scale: f64| (units > 0).then(|| seconds * scale / units as f64);
        (per(self.tally.latency.count(), 1e6), per(self.tally.bytes, GB))
    }
}

/// In milliseconds, to the microsecond.
fn millis(duration: Duration) -> String {
    format!("{:.3}", duration.as_secs_f64() * 1e3)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report() -> Report {
        let mut tally = Tally::new();
        for _ in 0..1000 {
            tally.latency.record(Duration::from_millis(2));
        }
        tally.bytes = 2_000_000_000;
        tally.statuses.insert(200, 1000);
        tally.failures.insert("gone".to_owned(), 3);
        let cpu = CpuTime { user: Duration::from_millis(5), system: Duration::from_millis(15) };
        Report { clients: 4, threads: 1, elapsed: Duration::from_secs(2), tally, server: Some(cpu), own: cpu }
    }

    #[test]
    fn the_table_has_the_cost_per_unit() {
        let table = report().table();
        assert!(table.contains("20.00 ms per 1,000 requests, 0.010 s per GB"), "{table}");
        assert!(table.contains("1000, 500/s") && table.contains("1.000 GB/s") && table.contains("3: gone"), "{table}");
    }

    #[test]
    fn nothing_done_costs_no_invented_figure() {
        let idle = Report { tally: Tally::new(), ..report() };
        assert!(idle.table().contains("- ms per 1,000 requests, - s per GB"), "{}", idle.table());
        assert!(idle.json()["server_cpu"]["seconds_per_gb"].is_null());
    }

    #[test]
    fn json_says_the_same() {
        let json = report().json();
        assert_eq!(json["requests_per_second"], 500.0);
        assert_eq!(json["statuses"]["200"], 1000);
        assert_eq!(json["server_cpu"]["milliseconds_per_1000_requests"], 20.0);
        assert_eq!(json["latency_seconds"]["p50"], 0.002);
    }
}
