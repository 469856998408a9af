//! The table of a fleet.

use super::{
    branches::{Company, Outcome},
    events::SECOND,
    setup::Setup,
    story::Story,
};
use crate::storm::thousands;

/// What is printed.
pub(crate) struct Report<'a> {
    company: &'a Company,
    setup: Setup,
    pub(crate) results: Vec<Outcome>,
}

impl<'a> Report<'a> {
    pub(crate) fn new(company: &'a Company) -> Self {
        Self { company, setup: company.setup(), results: Vec::new() }
    }

    /// What was run, and the head of the table.
    pub(crate) fn head(&self) -> String {
        let (setup, company) = (&self.setup, self.company);
        let mut text = format!(
            "{} agents in {} branches ({} simulated), {:.2} GiB, a line of {} Mbit/s, cards of {} Mbit/s: one copy needs {} of the line\n\n",
            thousands(u64::from(setup.agents) * u64::from(company.branches)),
            company.branches,
            company.simulated,
            setup.size as f64 / f64::from(1 << 30),
            setup.line / 1_000_000,
            setup.card / 1_000_000,
            shown(Some(self.one_copy())),
        );
        text += "| | over a line, copies | from a proxy, copies | median | last | x of one copy | requests at a proxy | of these 503 | questions at a proxy | per agent: requests of peers | of these 503 | questions |\n";
        text += "| --- | --: | --: | --: | --: | --: | --: | --: | --: | --: | --: | --: |";
        text
    }

    /// Seconds that the line needs for a copy; with a warm proxy those of a card.
    pub(crate) fn one_copy(&self) -> f64 {
        self.setup.least() as f64 / SECOND as f64
    }

    pub(crate) fn row(&self, result: &Outcome) -> String {
        let last = result.seconds(1.0);
        let times = last.map_or("never".into(), |last| format!("{:.2}", last / self.one_copy()));
        let at_proxy = |count: fn(&Story) -> u64| thousands(result.per_branch(count).round() as u64);
        let per_agent = |count: fn(&Story) -> u64| result.per_branch(count) / f64::from(self.setup.agents);
        let mut row = format!(
            "| {} | {:.2} | {:.2} | {} | {} | {times} | {} | {} | {} | {:.0} | {:.0} | {:.0} |",
            result.contest.name(),
            result.line_copies(),
            result.proxy_copies(),
            shown(result.seconds(0.5)),
            shown(last),
            at_proxy(|story| story.requests),
            at_proxy(|story| story.refused),
            at_proxy(|story| story.questions),
            per_agent(|story| story.peer_requests),
            per_agent(|story| story.peer_refused),
            per_agent(|story| story.peer_questions),
        );
        if result.not_done() > 0 {
            row += &format!(" {} agents are never done |", thousands(result.not_done()));
        }
        row
    }

    /// Below the table.
    pub(crate) fn end(&self) -> String {
        let wrong = self.results.iter().map(|result| result.per_branch(|story| story.wrong)).fold(0.0, f64::max);
        let thrown_away = if wrong > 0.0 {
            format!("; at most {:.1} MiB were wrong and thrown away", wrong / 1048576.0)
        } else {
            String::new()
        };
        format!("\nof a branch; times from when the first agent begins{thrown_away}")
    }
}

/// `6.2 s`, `12 min`, `95 h`.
pub(crate) fn shown(seconds: Option<f64>) -> String {
    match seconds {
        None => "never".into(),
        Some(seconds) if seconds < 1_000.0 => format!("{seconds:.1} s"),
        Some(seconds) if seconds < 36_000.0 => format!("{:.0} min", seconds / 60.0),
        Some(seconds) => format!("{:.1} h", seconds / 3_600.0),
    }
}

#[cfg(test)]
mod tests {
    use outpost_agent::decide::swarm::terms::Terms;

    use super::*;
    use crate::fleet::setup::Contest;

    #[test]
    fn times_are_shown_as_people_read_them() {
        for (seconds, text) in [(6.23, "6.2 s"), (999.0, "999.0 s"), (3_600.0, "60 min"), (343_597.0, "95.4 h")] {
            assert_eq!(shown(Some(seconds)), text);
        }
        assert_eq!(shown(None), "never");
    }

    #[test]
    fn the_table_has_a_row_for_each_and_says_who_is_never_done() {
        let company = Company {
            setup: Setup::small(),
            terms: Terms::default(),
            branches: 1,
            simulated: 1,
            uplink: 1 << 40,
            threads: None,
        };
        let mut result = company.run(Contest::Proxy);
        let report = Report::new(&company);
        let columns = |row: &str| row.matches('|').count();
        let head = report.head();
        assert_eq!(columns(&report.row(&result)), columns(head.lines().last().unwrap()));
        assert!(head.contains("20 agents in 1 branches") && head.contains("5.4 s"), "{head}");
        result.stories[0].done.pop();
        let row = report.row(&result);
        assert!(row.contains("| never | never |") && row.contains("1 agents are never done"), "{row}");
    }
}
