//! The tables of a storm, beside what the field tells of its own.

use std::{fmt::Write as _, time::Duration};

use protocol::topology::Tier;

use super::{
    findings::Findings,
    server::State,
    tally::{Kind, Tally},
    world::Environment,
};
use crate::histogram::Histogram;

/// What the field tells of the same: requests within two hours, and how many of its upper proxies had what they asked for.
struct Field {
    environment: Environment,
    requests: &'static str,
    upper: &'static str,
}

const FIELD: [Field; 2] = [
    Field { environment: Environment::SMALL, requests: "not told", upper: "not told" },
    Field { environment: Environment::LARGE, requests: "434,000 within 120 minutes", upper: "1 of 5" },
];

/// One storm.
pub(crate) struct Storm {
    pub(crate) environment: Environment,
    pub(crate) packages: usize,
    pub(crate) contents: usize,
    pub(crate) findings: Findings,
    pub(crate) tally: Tally,
    /// Before the first machine; when all streams are open; at the end.
    pub(crate) states: [State; 3],
    pub(crate) connections_peak: u64,
    pub(crate) waiting_peak: u64,
    pub(crate) broken: usize,
    /// From the publication to the end of the measurement.
    pub(crate) measured: Duration,
}

impl Storm {
    pub(crate) fn per_machine_and_package(&self) -> f64 {
        self.tally.requests() as f64 / (self.environment.machines() * self.packages) as f64
    }

    /// Whether every goal is met.
    pub(crate) fn is_calm(&self) -> bool {
        self.findings.goals(self.environment, self.per_machine_and_package()).iter().all(|goal| goal.is_met)
    }

    /// As Markdown.
    pub(crate) fn to_text(&self) -> String {
        let mut text = self.title();
        self.beside_the_field(&mut text);
        self.by_kind(&mut text);
        self.by_tier(&mut text);
        self.cost(&mut text);
        for goal in self.findings.goals(self.environment, self.per_machine_and_package()) {
            // Writing to a string cannot fail.
            let _ = writeln!(text, "- {}: {}", if goal.is_met { "met" } else { "**missed**" }, goal.text);
        }
        text
    }

    fn title(&self) -> String {
        let Environment { upper, constrained, agents } = self.environment;
        format!(
            "### {upper} upper proxies, {} constrained proxies, {} agents; {} packages of {} files\n\n",
            thousands(constrained as u64),
            thousands(agents as u64),
            self.packages,
            self.contents / self.packages.max(1)
        )
    }

    fn beside_the_field(&self, text: &mut String) {
        let field = FIELD.iter().find(|field| field.environment == self.environment);
        let (requests, upper) = field.map_or(("not told", "not told"), |field| (field.requests, field.upper));
        let of_upper = self.findings.of_tier(Tier::Unconstrained);
        let told: usize = Tier::ALL.iter().map(|tier| self.findings.of_tier(*tier).told).sum();
        let took = self.findings.took.map_or("not all had it".into(), |took| format!("{:.0} s", took.as_secs_f64()));
        let rows = [
            ("requests", requests.to_owned(), thousands(self.tally.requests())),
            ("for each machine and package", "not told".into(), format!("{:.2}", self.per_machine_and_package())),
            (
                "upper proxies with their sources",
                upper.into(),
                format!("{} of {}, at the first question", of_upper.at_once, self.environment.upper),
            ),
            (
                "machines with all their sources",
                "not told".into(),
                format!("{} of {}", thousands(told as u64), thousands(self.environment.machines() as u64)),
            ),
            ("until everybody had everything", "not told".into(), took),
        ];
        let _ = writeln!(text, "| | the field | here |\n| --- | --- | --- |");
        for (what, field, here) in rows {
            let _ = writeln!(text, "| {what} | {field} | {here} |");
        }
        text.push('\n');
    }

    fn by_kind(&self, text: &mut String) {
        let _ = writeln!(
            text,
            "| requests of | upper | constrained | agents | refused (503) | failed |\n| --- | --: | --: | --: | --: | --: |"
        );
        for kind in Kind::ALL {
            let counts = Tier::ALL.map(|tier| self.tally.count(kind, tier));
            let [upper, constrained, agents] = counts.map(|count| thousands(count.requests));
            let sum = |of: fn(&super::tally::Count) -> u64| thousands(counts.iter().map(of).sum());
            let (refused, failed) = (sum(|count| count.refused), sum(|count| count.failed));
            let _ = writeln!(text, "| {} | {upper} | {constrained} | {agents} | {refused} | {failed} |", kind.name());
        }
        text.push('\n');
    }

    fn by_tier(&self, text: &mut String) {
        let _ = writeln!(
            text,
            "| tier | machines | sources at once | sources in the end | hold all | answers \"not ready\" | questions for one content, at most |\n| --- | --: | --: | --: | --: | --: | --: |"
        );
        for tier in Tier::ALL {
            let seen = self.findings.of_tier(tier);
            let _ = writeln!(
                text,
                "| {} | {} | {} | {} | {} | {} | {} |",
                tier.name(),
                thousands(seen.machines as u64),
                thousands(seen.at_once as u64),
                thousands(seen.told as u64),
                thousands(seen.hold as u64),
                thousands(seen.not_ready),
                seen.questions_max
            );
        }
        text.push('\n');
    }

    fn cost(&self, text: &mut String) {
        let [idle, open, end] = &self.states;
        let cpu = end.cpu.since(open.cpu).total();
        let busy = 100.0 * cpu.as_secs_f64() / self.measured.as_secs_f64().max(0.001);
        let machines = self.environment.machines() as u64;
        let per_stream = open.resident.saturating_sub(idle.resident) / machines.max(1);
        let (late, answers, refusals) = (&self.findings.late, &self.tally.answers, &self.tally.refusals);
        let rows = [
            ("an agent has the sources of a content after its proxy has it: half / 99 % / all within", quantiles(late)),
            ("answers: half / 99 % / all within", quantiles(answers)),
            ("refusals: half / 99 % / all within", quantiles(refusals)),
            ("requests in the busiest second", thousands(self.tally.peak())),
            ("questions that waited at once, at most", thousands(self.waiting_peak)),
            ("connections at once, at most", thousands(self.connections_peak)),
            ("streams of changes that broke", thousands(self.broken as u64)),
            ("processor time of the origin", format!("{:.1} s, {busy:.0} % of one core", cpu.as_secs_f64())),
            ("memory of the origin: before, with all streams, at most", memory(idle, open, end)),
            (
                "of that for each stream and what is known of its machine",
                format!("{:.1} KiB", per_stream as f64 / 1024.0),
            ),
            ("requests before the publication (reports, the first of each)", thousands(self.tally.requests_before())),
        ];
        let _ = writeln!(text, "| | |\n| --- | --- |");
        for (what, value) in rows {
            let _ = writeln!(text, "| {what} | {value} |");
        }
        text.push('\n');
    }
}

fn memory(idle: &State, open: &State, end: &State) -> String {
    let mebibytes = |bytes: u64| bytes >> 20;
    format!("{}, {}, {} MiB", mebibytes(idle.resident), mebibytes(open.resident), mebibytes(end.resident_peak))
}

/// What half of all, 99 percent and all were not longer than.
pub(crate) fn quantiles(histogram: &Histogram) -> String {
    if histogram.count() == 0 {
        return "none".into();
    }
    let shown = |duration: Duration| match duration.as_secs_f64() {
        seconds if seconds >= 1.0 => format!("{seconds:.1} s"),
        seconds => format!("{:.1} ms", seconds * 1e3),
    };
    [histogram.quantile(0.5), histogram.quantile(0.99), histogram.max()].map(shown).join(" / ")
}

/// As `434,000`.
pub(crate) fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let groups: Vec<_> = digits.as_bytes().rchunks(3).rev().map(String::from_utf8_lossy).collect();
    groups.join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_shown_in_groups() {
        for (number, shown) in
            [(0, "0"), (999, "999"), (1_000, "1,000"), (434_000, "434,000"), (1_234_567, "1,234,567")]
        {
            assert_eq!(thousands(number), shown);
        }
    }
}
