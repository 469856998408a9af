//! `outpost-origin jobs`: how the packages stand that agents are to keep; with a name, agent by agent.

use clap::{Arg, ArgMatches, Command};
use protocol::{
    jobs::{JobNode, JobNodes, Jobs, Standing},
    plain::plain,
};

use super::{
    Failure,
    client::{self, Client},
    columns::table,
    print,
};

pub(super) fn define() -> Command {
    let command = Command::new("jobs")
        .about("Shows how the jobs of agents stand: all, or one of them agent by agent")
        .arg(Arg::new("name").value_name("NAME").help("Of a job [default: all]"));
    client::arguments(command)
}

pub(super) fn run(matches: &ArgMatches) -> Result<(), Failure> {
    let client = Client::of(matches)?;
    let is_json = matches.get_flag("json");
    let Some(name) = matches.get_one::<String>("name") else {
        let (jobs, text): (Jobs, String) = client.get("/v1/jobs")?;
        return print(&if is_json { format!("{text}\n") } else { all(&jobs) });
    };
    if !protocol::jobs::is_name(name) {
        return Err(Failure::NotFound(format!("'{}' is not the name of a job", plain(name))));
    }
    let (mut nodes, mut target) = (Vec::new(), format!("/v1/jobs/{name}"));
    let job = loop {
        let (page, _): (JobNodes, String) = client.get(&target)?;
        nodes.extend(page.nodes);
        match page.cursor {
            // A name has no letter that would have to be escaped.
            Some(cursor) => target = format!("/v1/jobs/{name}?cursor={cursor}"),
            None => break page.job,
        }
    };
    let whole = JobNodes { job, nodes, cursor: None };
    print(&if is_json { format!("{}\n", serde_json::json!(whole)) } else { one(&whole) })
}

fn all(jobs: &Jobs) -> String {
    if jobs.jobs.is_empty() {
        return "no [[job]] is configured\n".into();
    }
    let head =
        ["JOB", "PACKAGE", "INSTALLED", "INSTALLING", "WAITING", "CANCELLED", "FAILED", "UNTOLD"].map(str::to_owned);
    let rows: Vec<[String; 8]> = [head].into_iter().chain(jobs.jobs.iter().map(standing)).collect();
    table(&rows)
}

fn standing(of: &Standing) -> [String; 8] {
    let counts = of.counts;
    let [installed, installing, waiting, cancelled, failed, untold] =
        [counts.installed, counts.installing, counts.waiting, counts.cancelled, counts.failed, of.untold]
            .map(|count| count.to_string());
    [of.job.name.clone(), of.job.package.clone(), installed, installing, waiting, cancelled, failed, untold]
}

fn one(whole: &JobNodes) -> String {
    let head = ["NODE", "DOMAIN", "STATE", "SINCE", "VERSION", "EXIT", "DETAIL"].map(str::to_owned);
    let rows: Vec<[String; 7]> = [head].into_iter().chain(whole.nodes.iter().map(node)).collect();
    table(&rows)
}

fn node(of: &JobNode) -> [String; 7] {
    let state = &of.state;
    let away = if of.away { " (away)" } else { "" };
    // The last line that a command has printed says most where no detail does.
    let said = state.output.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or_default();
    let detail = if state.exit.is_some_and(|code| code != 0) && !said.is_empty() {
        format!("{}: {said}", state.detail)
    } else {
        state.detail.clone()
    };
    [
        of.node.clone(),
        of.domain.as_ref().map_or("-".to_owned(), ToString::to_string),
        format!("{}{away}", state.state.name()),
        plain(&state.since),
        plain(state.version.as_deref().unwrap_or("-")),
        state.exit.map_or("-".to_owned(), |code| code.to_string()),
        plain(&detail),
    ]
}

#[cfg(test)]
mod tests {
    use protocol::jobs::{JobState, State};

    use super::*;

    #[test]
    fn what_a_person_sees_of_one() {
        let state = JobState {
            name: "office".into(),
            state: State::Failed,
            detail: "the command ended with 3".into(),
            since: "2026-11-22T00:00:00Z".into(),
            version: Some("16.0".into()),
            generation: 1,
            tree: None,
            exit: Some(3),
            output: "one\nno room\u{1b}[2J\n\n".into(),
        };
        let node = JobNode { node: "pc-1".into(), domain: None, away: true, state };
        let shown = one(&JobNodes { job: None, nodes: vec![node], cursor: None });
        let line = shown.lines().nth(1).unwrap();
        assert!(line.starts_with("pc-1  -       failed (away)"), "{shown}");
        assert!(line.ends_with("the command ended with 3: no room [2J"), "{shown}");
    }
}
