//! What `status` shows of the origin that a proxy belongs to.

use std::time::{Duration, SystemTime};

use serde::Deserialize;

use super::table::{counted, percent, plain, size, span};

/// Orders that are shown.
const ORDERS_MAX: usize = 5;

/// Of `GET /v1/status`, `origin`.
#[derive(Debug, Deserialize)]
pub(super) struct Belonging {
    state: String,
    upstream: Option<String>,
    node: String,
    enrolled: bool,
    live: bool,
    trouble: Option<String>,
    domain: Option<String>,
    configuration: Configuration,
    reports: Reports,
    orders: Vec<Order>,
}

#[derive(Debug, Deserialize)]
struct Configuration {
    generation: Option<u64>,
    options: Vec<String>,
    needs_restart: Vec<String>,
    refused: Vec<Refusal>,
}

#[derive(Debug, Deserialize)]
struct Refusal {
    option: String,
    reason: String,
}

#[derive(Debug, Deserialize)]
struct Reports {
    holds: u64,
    last: Option<u64>,
}

#[derive(Debug, Deserialize)]
struct Order {
    id: u64,
    state: String,
    fetched: u64,
    total: u64,
    detail: String,
}

impl Belonging {
    /// The lines; none where it belongs to nobody.
    pub(super) fn lines(&self, now: SystemTime) -> Vec<String> {
        let Some(upstream) = self.upstream.as_ref().filter(|_| self.state != "no-interface") else { return Vec::new() };
        let domain = self.domain.as_ref().map(|domain| format!(" in {domain}")).unwrap_or_default();
        let enrolled = if self.enrolled { "" } else { ", not enrolled" };
        let state = match self.state.as_str() {
            "member" => {
                if self.live {
                    ""
                } else {
                    ", its changes are not heard"
                }
            }
            "refused" => ", which does not want it",
            _ => ", which has not answered yet",
        };
        let mut lines = vec![format!("{upstream} knows it as {}{domain}{enrolled}{state}", self.node)];
        lines.extend(self.trouble.as_ref().map(|trouble| format!("trouble: {trouble}")));
        lines.extend(self.configuration.lines());
        lines.extend(self.reports.last.map(|last| self.reports.line(last, now)));
        lines.extend(self.orders.iter().take(ORDERS_MAX).map(Order::line));
        lines.iter().map(|line| plain(line).to_string()).collect()
    }
}

impl Configuration {
    fn lines(&self) -> Vec<String> {
        let Self { generation, options, needs_restart, refused } = self;
        let mut lines = Vec::new();
        if let Some(generation) = generation {
            let options = if options.is_empty() { "no option".to_owned() } else { options.join(", ") };
            lines.push(format!("configuration {generation} says {options}"));
        }
        if !needs_restart.is_empty() {
            lines.push(format!("with the next start only: {}", needs_restart.join(", ")));
        }
        let refused = refused.iter().map(|Refusal { option, reason }| {
            let option = if option.is_empty() { "all of it" } else { option };
            format!("not taken: {option}: {reason}")
        });
        lines.extend(refused);
        lines
    }
}

impl Reports {
    fn line(&self, last: u64, now: SystemTime) -> String {
        let now = now.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let ago = span(Duration::from_secs(now.saturating_sub(last)));
        format!("told of {}, {ago} ago", counted(self.holds, "content"))
    }
}

impl Order {
    fn line(&self) -> String {
        let Self { id, state, fetched, total, detail } = self;
        let part = percent(*fetched, *total).map(|part| format!(" {part}%")).unwrap_or_default();
        let detail = if detail.is_empty() { String::new() } else { format!(": {detail}") };
        format!("order {id} {state}{part}, {} of {}{detail}", size(*fetched), size(*total))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn lines(origin: serde_json::Value) -> Vec<String> {
        let origin: Belonging = serde_json::from_value(origin).unwrap();
        origin.lines(SystemTime::UNIX_EPOCH + Duration::from_secs(1075))
    }

    #[test]
    fn what_is_shown_of_a_member() {
        let found = lines(json!({
            "state": "member", "upstream": "hq", "node": "branch7", "enrolled": true, "live": true, "trouble": null,
            "domain": "hq.north",
            "configuration": {"generation": 5, "options": ["mode"], "needs_restart": ["cache.open_files_max"],
                              "refused": [{"option": "x", "reason": "there is no option 'x'"}, {"option": "", "reason": "why"}]},
            "reports": {"sent": 3, "failed": 0, "holds": 12, "last": 1000},
            "orders": [{"id": 7, "state": "running", "fetched": 500, "total": 1000, "detail": ""},
                       {"id": 6, "state": "failed", "fetched": 0, "total": 0, "detail": "1 of 1 failed: /a"}],
        }));
        let expected = [
            "hq knows it as branch7 in hq.north",
            "configuration 5 says mode",
            "with the next start only: cache.open_files_max",
            "not taken: x: there is no option 'x'",
            "not taken: all of it: why",
            "told of 12 contents, 1 min 15 s ago",
            "order 7 running 50%, 500 B of 1.00 KB",
            "order 6 failed, 0 B of 0 B: 1 of 1 failed: /a",
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn what_is_shown_of_others() {
        let nothing = json!({"generation": null, "options": [], "needs_restart": [], "refused": []});
        let of = |state: &str, upstream: Option<&str>, trouble: Option<&str>| {
            lines(json!({"state": state, "upstream": upstream, "node": "b", "enrolled": false, "live": false,
                "trouble": trouble, "domain": null, "configuration": nothing,
                "reports": {"sent": 0, "failed": 0, "holds": 0, "last": null}, "orders": []}))
        };
        assert!(of("none", None, None).is_empty() && of("no-interface", Some("hq"), None).is_empty());
        let refused = of("refused", Some("hq"), Some("no such token"));
        assert_eq!(refused, ["hq knows it as b, not enrolled, which does not want it", "trouble: no such token"]);
        assert_eq!(of("asking", Some("hq"), None), ["hq knows it as b, not enrolled, which has not answered yet"]);
    }
}
