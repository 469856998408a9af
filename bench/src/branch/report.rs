//! What comes out: a row for each round, as a table and as JSON, and whether the goals are met.

use std::{fmt::Write as _, time::Duration};

use serde_json::{Value, json};

use super::{site::Scale, variant::Variant};

/// The last agent is done within so many times of what the line needs.
const LAST_MAX: f64 = 1.3;
/// "Once": beside the file there is what is said about it.
const ONCE_MAX: f64 = 1.02;
/// "At most a few" copies from the proxy.
const COPIES_MAX: f64 = 5.0;

/// What came of one file.
#[derive(Clone, Debug)]
pub(crate) struct Outcome {
    pub(crate) size: u64,
    /// From the first to the last agent.
    pub(crate) took: Vec<Duration>,
    /// Bytes over the line until the last agent had it, down and up.
    pub(crate) down: u64,
    pub(crate) up: u64,
    /// What the line had carried in all by then.
    pub(crate) ended_at: u64,
    /// Bytes that came down behind that, until no proxy fetched anything any more; 0 where that was not waited for.
    pub(crate) after: u64,
    /// Of those that came down before the last agent had it, what agents asked for themselves.
    pub(crate) to_agents: u64,
    /// Bytes that each proxy sent to agents.
    pub(crate) served: Vec<u64>,
    /// Bytes that proxies fetched over the line.
    pub(crate) fetched: u64,
    /// Of all agents.
    pub(crate) cpu: Duration,
    /// Of that agent that has the most.
    pub(crate) resident: u64,
    pub(crate) anonymous: u64,
    /// Agents that have something else.
    pub(crate) wrong: usize,
}

/// What came of a variant.
pub(crate) struct Run {
    pub(crate) variant: Variant,
    pub(crate) scale: Scale,
    /// With what is to be said of it, for people.
    pub(crate) rounds: Vec<(Outcome, Vec<String>)>,
}

impl Outcome {
    fn per_size(&self, bytes: u64) -> f64 {
        bytes as f64 / self.size.max(1) as f64
    }

    /// The line, in files.
    pub(crate) fn line(&self) -> f64 {
        self.per_size(self.down)
    }

    /// What the line carried behind the end of the last agent, in files.
    pub(crate) fn line_after(&self) -> f64 {
        self.per_size(self.after)
    }

    /// What each proxy sent, in files.
    pub(crate) fn copies(&self) -> Vec<f64> {
        self.served.iter().map(|bytes| self.per_size(*bytes)).collect()
    }

    fn took(&self, part: f64) -> Duration {
        let place = (self.took.len().saturating_sub(1) as f64 * part).round() as usize;
        self.took.get(place).copied().unwrap_or_default()
    }

    /// In times of what the line needs for the file; without a line in seconds.
    fn times(&self, part: f64, scale: Scale) -> f64 {
        let line = scale.line.map_or(1.0, |rate| self.size as f64 / rate as f64);
        self.took(part).as_secs_f64() / line
    }
}

impl Run {
    /// As JSON, for scripts.
    pub(crate) fn json(&self) -> Value {
        let round = |(outcome, notes): &(Outcome, Vec<String>)| {
            json!({
                "size": outcome.size,
                "line": outcome.line(),
                "line_down_bytes": outcome.down,
                "line_up_bytes": outcome.up,
                "line_after": outcome.line_after(),
                "line_after_bytes": outcome.after,
                "line_of_agents": outcome.per_size(outcome.to_agents),
                "fetched_by_proxies": outcome.per_size(outcome.fetched),
                "copies": outcome.copies(),
                "median": outcome.times(0.5, self.scale),
                "last": outcome.times(1.0, self.scale),
                "median_seconds": outcome.took(0.5).as_secs_f64(),
                "last_seconds": outcome.took(1.0).as_secs_f64(),
                "cpu_seconds": outcome.cpu.as_secs_f64(),
                "resident_bytes": outcome.resident,
                "anonymous_bytes": outcome.anonymous,
                "have_it": outcome.took.len(),
                "wrong": outcome.wrong,
                "notes": notes,
            })
        };
        json!({
            "variant": self.variant.name(),
            "agents": self.scale.agents,
            "line_rate": self.scale.line,
            "rounds": self.rounds.iter().map(round).collect::<Vec<_>>(),
        })
    }

    /// How many agents have something else than the file, in all rounds.
    pub(crate) fn wrong(&self) -> usize {
        self.rounds.iter().map(|(outcome, _)| outcome.wrong).sum()
    }

    /// Rows of the table.
    pub(crate) fn rows(&self) -> String {
        let mut text = String::new();
        for (number, (outcome, notes)) in self.rounds.iter().enumerate() {
            let what = if number == 0 { self.variant.text() } else { "- the second file" };
            let copies: Vec<_> = outcome.copies().iter().map(|copies| format!("{copies:.2}")).collect();
            // Writing to a string cannot fail.
            let _ = writeln!(
                text,
                "| {what} | {:.3} | {:.3} | {} | {:.2} | {:.2} | {:.2} s | {:.1} MiB | {} | {} |",
                outcome.line(),
                outcome.line_after(),
                copies.join(" + "),
                outcome.times(0.5, self.scale),
                outcome.times(1.0, self.scale),
                outcome.cpu.as_secs_f64() / self.scale.agents.max(1) as f64,
                outcome.resident as f64 / f64::from(1 << 20),
                outcome.wrong,
                notes.join("; "),
            );
        }
        text
    }

    /// The goals of a branch on which nothing happens, and whether they are met; of other runs there are none.
    pub(crate) fn goals(&self) -> Vec<(bool, String)> {
        if !matches!(self.variant, Variant::Plain | Variant::Shipped) {
            return Vec::new();
        }
        let Some((outcome, _)) = self.rounds.first() else { return Vec::new() };
        let (line, last) = (outcome.line(), outcome.times(1.0, self.scale));
        let copies = outcome.copies().iter().sum::<f64>();
        let name = self.variant.text();
        vec![
            (line <= ONCE_MAX, format!("{name}: the line carries the file {line:.3} times, at most {ONCE_MAX}")),
            (
                last <= LAST_MAX,
                format!("{name}: the last agent has it after {last:.2} of the line's time, at most {LAST_MAX}"),
            ),
            (copies <= COPIES_MAX, format!("{name}: the proxy sends {copies:.2} copies, at most {COPIES_MAX}")),
        ]
    }
}

/// The head of the table.
pub(crate) fn head(size: u64, scale: Scale) -> String {
    let rate = scale.line.map_or("without a limit".into(), |rate| format!("of {:.1} Mbit/s", rate as f64 * 8e-6));
    format!(
        "{} agents, a file of {:.1} MB, a line {rate}\n\n\
         | | files over the line | and behind the last agent | copies from each proxy | median agent / line | last agent / line | processor time of an agent | memory of an agent, at most | wrong digests | |\n\
         | --- | --: | --: | --: | --: | --: | --: | --: | --: | --- |\n",
        scale.agents,
        size as f64 * 1e-6,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(variant: Variant, down: u64, last: u64) -> Run {
        let outcome = Outcome {
            size: 1_000,
            took: [1, 2, last].map(Duration::from_secs).to_vec(),
            down,
            up: 7,
            ended_at: down,
            after: 250,
            to_agents: 100,
            served: vec![2_000, 500],
            fetched: 1_000,
            cpu: Duration::from_secs(3),
            resident: 3 << 20,
            anonymous: 1 << 20,
            wrong: 0,
        };
        let scale = Scale { agents: 3, line: Some(500), backoff: Duration::ZERO };
        Run { variant, scale, rounds: vec![(outcome, vec!["a note".into()])] }
    }

    #[test]
    fn figures_are_in_files_and_times_of_the_line() {
        let run = run(Variant::Plain, 1_010, 4);
        assert_eq!(
            run.rows(),
            "| pieces, no limit of requesters | 1.010 | 0.250 | 2.00 + 0.50 | 1.00 | 2.00 | 1.00 s | 3.0 MiB | 0 | a note |\n"
        );
        let json = run.json();
        let round = &json["rounds"][0];
        assert_eq!((&round["line_after"], &round["line_of_agents"]), (&json!(0.25), &json!(0.1)));
        assert_eq!((&round["last"], &round["copies"][1], &round["have_it"]), (&json!(2.0), &json!(0.5), &json!(3)));
    }

    #[test]
    fn goals_are_those_of_a_calm_branch() {
        let met = |run: Run| run.goals().iter().map(|(is_met, _)| *is_met).collect::<Vec<_>>();
        assert_eq!(met(run(Variant::Plain, 1_010, 2)), [true, true, true]);
        assert_eq!(met(run(Variant::Shipped, 1_100, 3)), [false, false, true]);
        assert!(met(run(Variant::Killed, 9_000, 9)).is_empty());
    }
}
