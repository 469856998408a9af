//! The table, as Markdown and as JSON. Pure.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::{
    contestant::{Contestant, Program},
    machine::Machine,
    rows::{Against, Aim, Figure, Row, Work},
    samples::Samples,
};

/// Everything that came out.
pub(crate) struct Report {
    pub(crate) machine: Machine,
    /// Programs with their versions, or why they are missing.
    pub(crate) programs: Vec<(Program, Result<String, String>)>,
    /// The command line.
    pub(crate) command: String,
    pub(crate) runs: u32,
    pub(crate) seconds: f64,
    pub(crate) rows: Vec<(&'static Row, Samples)>,
    /// What went otherwise than it should.
    pub(crate) notes: Vec<String>,
}

const HEADER: &str = "| work | figure | Outpost | nginx | Varnish | limit | to nginx | to the limit | aim | met |\n\
    | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |\n";

const LEGEND: &str = "Medians of all runs, taken in turn. *Limit*: for hits the minimal loop of `outpost-bench limit`, \
    for cold files one client at the origin itself. \
    Ratios and aims are to the better of nginx's settings; the other one stands in parentheses.\n";

impl Report {
    /// For people and for the documentation.
    pub(crate) fn markdown(&self) -> String {
        let mut text = format!("{}\n\n", self.machine.line());
        for (program, version) in &self.programs {
            let version = match version {
                Ok(version) => version.clone(),
                Err(why) => format!("not measured: {why}"),
            };
            // Writing to a string cannot fail, here and below.
            let _ = writeln!(text, "- {}: {version}", program.title());
        }
        let (runs, seconds) = (self.runs, self.seconds);
        let _ = writeln!(
            text,
            "- runs of each, in turn: {runs}; {seconds} s each where a run is bound by time: `{}`\n",
            self.command
        );
        text += HEADER;
        for (row, samples) in &self.rows {
            for (place, figure) in row.figures.iter().enumerate() {
                let title = if place == 0 { row.title } else { "" };
                let _ = writeln!(text, "{}", line(title, figure, samples, matches!(row.work, Work::Hits { .. })));
            }
        }
        let _ = write!(text, "\n{LEGEND}");
        for note in &self.notes {
            let _ = writeln!(text, "- {note}");
        }
        text
    }

    /// For programs: every single value too.
    pub(crate) fn json(&self) -> Value {
        let programs: serde_json::Map<_, _> = self
            .programs
            .iter()
            .map(|(program, version)| {
                let value = match version {
                    Ok(version) => json!({ "version": version }),
                    Err(why) => json!({ "missing": why }),
                };
                (program.name().to_owned(), value)
            })
            .collect();
        json!({
            "machine": self.machine.json(),
            "programs": programs,
            "command": self.command,
            "runs": self.runs,
            "seconds": self.seconds,
            "rows": self.rows.iter().map(|(row, samples)| row_json(row, samples)).collect::<Vec<_>>(),
            "notes": self.notes,
        })
    }
}

/// One line of the table. Beyond the aims a ratio to the limit says something only where the limit does the same work.
fn line(title: &str, figure: &Figure, samples: &Samples, same_work: bool) -> String {
    let number = |value: Option<f64>| value.map_or("-".to_owned(), |value| shown(value, figure.digits));
    let ratio = |against: Against| {
        let aim = figure.aims.iter().copied().find(|aim| aim.against() == against);
        if aim.is_none() && against == Against::Limit && !same_work {
            return "-".to_owned();
        }
        let other = if figure.rises() { Aim::AtLeast(against, 1.0) } else { Aim::AtMost(against, 1.0) };
        let ratio = samples.ratio(figure.key, aim.unwrap_or(other));
        ratio.map_or("-".to_owned(), |ratio| format!("{ratio:.2}"))
    };
    let aims: Vec<_> = figure.aims.iter().map(|aim| aim.text()).collect();
    let met: Vec<_> = figure
        .aims
        .iter()
        .map(|aim| match samples.is_met(figure.key, *aim) {
            Some(true) => "yes",
            Some(false) => "**no**",
            None => "-",
        })
        .collect();
    format!(
        "| {title} | {} | {} | {} | {} | {} | {} | {} | {} | {} |",
        figure.title,
        number(samples.median(figure.key, Contestant::Outpost)),
        settings(figure, samples, Program::Nginx),
        settings(figure, samples, Program::Varnish),
        number(samples.median(figure.key, Contestant::Limit)),
        ratio(Against::Nginx),
        ratio(Against::Limit),
        aims.join(", "),
        met.join(", "),
    )
}

/// A program's better setting, and the others in parentheses.
fn settings(figure: &Figure, samples: &Samples, program: Program) -> String {
    let mut medians = samples.settings(figure.key, program);
    if figure.rises() {
        medians.sort_by(|a, b| b.1.total_cmp(&a.1));
    } else {
        medians.sort_by(|a, b| a.1.total_cmp(&b.1));
    }
    let one = |(contestant, median): &(Contestant, f64), with_setting: bool| match contestant.setting() {
        Some(setting) if with_setting => format!("{}, {setting}", shown(*median, figure.digits)),
        _ => shown(*median, figure.digits),
    };
    match &medians[..] {
        [] => "-".into(),
        [only] => one(only, only.0 == Contestant::NginxAio),
        [best, others @ ..] => {
            let others: Vec<_> = others.iter().map(|other| one(other, true)).collect();
            format!("{} ({})", one(best, true), others.join("; "))
        }
    }
}

fn row_json(row: &Row, samples: &Samples) -> Value {
    let figure = |figure: &Figure| {
        let results: serde_json::Map<_, _> = row
            .contestants
            .iter()
            .map(|contestant| {
                let runs = samples.of(figure.key, *contestant);
                let result = json!({ "median": samples.median(figure.key, *contestant), "runs": runs });
                (contestant.key().to_owned(), result)
            })
            .collect();
        let aims: Vec<_> = figure.aims.iter().map(|aim| json!({
            "aim": aim.text(), "ratio": samples.ratio(figure.key, *aim), "met": samples.is_met(figure.key, *aim),
        })).collect();
        json!({ "key": figure.key, "title": figure.title, "results": results, "aims": aims })
    };
    json!({
        "name": row.name,
        "title": row.title,
        "figures": row.figures.iter().map(figure).collect::<Vec<_>>(),
    })
}

impl Figure {
    /// Whether more is better.
    fn rises(&self) -> bool {
        self.key == "rate"
    }
}

impl Aim {
    fn against(self) -> Against {
        match self {
            Self::AtMost(against, _) | Self::AtLeast(against, _) => against,
        }
    }

    fn text(self) -> String {
        let (word, bound) = match self {
            Self::AtMost(_, bound) => ("≤", bound),
            Self::AtLeast(_, bound) => ("≥", bound),
        };
        match self.against() {
            Against::Nginx => format!("{word} {bound:.2} x nginx"),
            Against::Varnish => format!("{word} {bound:.2} x Varnish"),
            Against::Limit => format!("{word} {bound:.2} x limit"),
            Against::Nothing => format!("{word} {bound}"),
        }
    }
}

/// With thousands apart where it is large.
fn shown(value: f64, digits: usize) -> String {
    let text = format!("{value:.digits$}");
    let end = text.find('.').unwrap_or(text.len());
    let mut apart = String::new();
    for (place, letter) in text.char_indices() {
        if place > 0 && place < end && (end - place) % 3 == 0 && !apart.ends_with('-') {
            apart.push(',');
        }
        apart.push(letter);
    }
    apart
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compare::rows;

    fn report() -> Report {
        let row = rows::choose(&["100k-1".into()]).unwrap()[0];
        let mut samples = Samples::default();
        for run in [1.0, 1.5, 2.0] {
            samples.add(Contestant::Outpost, vec![("cpu", 10.0 * run), ("rate", 12_345.0), ("p99", 0.5)]);
            samples.add(Contestant::Nginx, vec![("cpu", 30.0 * run), ("rate", 25.0), ("p99", 40.0)]);
            samples.add(Contestant::NginxNoPush, vec![("cpu", 20.0 * run), ("rate", 9000.0), ("p99", 0.4)]);
        }
        Report {
            machine: Machine { cpu: "Some CPU".into(), cores: 2, kernel: "6.1".into(), server: 0, load: vec![1] },
            programs: vec![
                (Program::Outpost, Ok("outpost-proxy 0.1.0".into())),
                (Program::Varnish, Err("varnishd is not installed".into())),
            ],
            command: "outpost-bench compare".into(),
            runs: 3,
            seconds: 1.0,
            rows: vec![(row, samples)],
            notes: vec!["something".into()],
        }
    }

    #[test]
    fn the_table_says_ratios_aims_and_what_is_missing() {
        let text = report().markdown();
        for part in [
            "- Varnish: not measured: varnishd is not installed",
            "| hits of 100 KiB, 1 client | server CPU, ms per 1,000 | 15.00 | 30.00, tcp_nopush off (45.00, tcp_nopush on) | - | - | 0.50 | - | ≤ 0.75 x nginx | yes |",
            "|  | requests a second | 12,345 | 9,000, tcp_nopush off (25, tcp_nopush on) |",
            "| latency p99, ms | 0.500 |",
            "- something",
        ] {
            assert!(text.contains(part), "{part}\n{text}");
        }
    }

    #[test]
    fn json_has_every_run() {
        let json = report().json();
        let figure = &json["rows"][0]["figures"][0];
        assert_eq!(figure["results"]["outpost"]["runs"], json!([10.0, 15.0, 20.0]));
        assert_eq!(figure["results"]["nginx-tcp_nopush-off"]["median"], 30.0);
        assert!(figure["results"]["limit"]["median"].is_null());
        assert_eq!(figure["aims"][0], json!({ "aim": "≤ 0.75 x nginx", "ratio": 0.5, "met": true }));
        assert_eq!(json["programs"]["varnish"]["missing"], "varnishd is not installed");
    }

    #[test]
    fn thousands_stand_apart() {
        for (value, digits, text) in
            [(0.5, 2, "0.50"), (999.0, 0, "999"), (1000.0, 1, "1,000.0"), (1234567.0, 0, "1,234,567")]
        {
            assert_eq!(shown(value, digits), text);
        }
    }
}
