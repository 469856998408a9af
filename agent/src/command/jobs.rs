//! How jobs are shown to people: a line for each in `status`, all of it with `jobs`.

use protocol::plain::plain;
use serde_json::Value;

/// A line for each.
pub(super) fn lines(list: &Value) -> String {
    let line = |job: &Value| {
        let detail = job["detail"].as_str().map(|detail| format!(": {detail}")).unwrap_or_default();
        format!("  {}  {}{detail}\n", word(&job["name"]), word(&job["state"]))
    };
    let lines: String = list.as_array().into_iter().flatten().map(line).collect();
    if lines.is_empty() { String::new() } else { format!("jobs\n{lines}") }
}

/// Everything.
pub(super) fn table(list: &Value) -> String {
    let all: String = list.as_array().into_iter().flatten().map(one).collect();
    if all.is_empty() { "no jobs\n".into() } else { all }
}

fn one(job: &Value) -> String {
    let mut text = format!("{}  {} since {}\n", word(&job["name"]), word(&job["state"]), word(&job["since"]));
    let mut row = |title: &str, value: Option<String>| {
        if let Some(value) = value.filter(|value| !value.is_empty()) {
            text.push_str(&format!("  {title:8} {value}\n"));
        }
    };
    let said = |key: &str| job[key].as_str().map(str::to_owned);
    row("detail", said("detail"));
    row("package", said("package"));
    row("version", said("version"));
    row("dir", said("dir"));
    row("exit", job["exit"].as_i64().map(|code| format!("{code}, output in {}", word(&job["output_file"]))));
    row("said", said("output").and_then(|output| output.lines().rev().find(|line| !line.trim().is_empty()).map(plain)));
    let pinned = job["pinned"].as_object().map(|pinned| {
        let (files, of) = (pinned["files"].as_u64().unwrap_or_default(), pinned["of"].as_u64().unwrap_or_default());
        let why = if files < of { "; the rest is not in the cache, or does not fit among what is pinned" } else { "" };
        format!("{files} of {of} files in the cache{why}")
    });
    row("pinned", pinned);
    row("next", job["again_in"].as_u64().map(|seconds| format!("in {seconds} s")));
    text
}

fn word(value: &Value) -> String {
    plain(value.as_str().unwrap_or("-"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_a_person_sees() {
        let jobs = json!([{
            "name": "office", "state": "failed", "detail": "the command ended with 3", "since": "2026-11-22T00:00:00Z",
            "version": "16.0", "package": "/prod/Redist/office-16.0/", "dir": "/var/j/office", "exit": 3,
            "output": "one\nno \u{1b}[2Jroom\n\n", "output_file": "/var/j/.outpost/office.output", "again_in": 7,
            "pinned": { "files": 1, "of": 2 },
        }]);
        let expected = "office  failed since 2026-11-22T00:00:00Z
  detail   the command ended with 3
  package  /prod/Redist/office-16.0/
  version  16.0
  dir      /var/j/office
  exit     3, output in /var/j/.outpost/office.output
  said     no  [2Jroom
  pinned   1 of 2 files in the cache; the rest is not in the cache, or does not fit among what is pinned
  next     in 7 s
";
        assert_eq!(table(&jobs), expected);
        assert_eq!(lines(&jobs), "jobs\n  office  failed: the command ended with 3\n");
        assert_eq!((table(&json!([])).as_str(), lines(&json!([])).as_str()), ("no jobs\n", ""));
    }
}
