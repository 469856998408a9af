//! Something long that runs in the proxy, an import or an export, as it is begun, followed, looked at and stopped from here.

use anyhow::anyhow;
use clap::{Arg, ArgAction, ArgGroup, ArgMatches, Command};
use serde::{Deserialize, Serialize};

use super::{
    client::{self, Client},
    live::{LOOK_EVERY, Live},
    output,
    table::{bar, count, counted, plain, rate, size, span},
};
use crate::failure::Failure;

/// Troubles that are shown to a person; with `--json` are all that the proxy tells.
const SHOWN_MAX: usize = 20;

/// Of `/v1/import` and `/v1/export`.
#[derive(Debug, Deserialize)]
pub(super) struct Job {
    subject: String,
    state: State,
    detail: Option<String>,
    files_total: u64,
    bytes_total: u64,
    files_done: u64,
    bytes_done: u64,
    known: u64,
    moved: u64,
    linked: u64,
    copied: u64,
    names: u64,
    skipped: u64,
    no_room: u64,
    failed: u64,
    rate: Option<u64>,
    seconds_left: Option<u64>,
    seconds: f64,
    #[serde(default)]
    problems: Vec<Trouble>,
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
enum State {
    Counting,
    Running,
    Done,
    Stopped,
    Failed,
}

#[derive(Debug, Deserialize)]
struct Trouble {
    path: String,
    reason: String,
}

/// How one kind of them is spoken of.
pub(super) struct Kind {
    /// `import`
    pub(super) name: &'static str,
    /// Where it is asked for.
    pub(super) target: &'static str,
    /// What came of it, before its counts: `taken in`.
    pub(super) done: &'static str,
}

/// Adds what both have besides what is to be done.
pub(super) fn arguments(command: Command, subject: &'static str) -> Command {
    let switch = |name: &'static str| Arg::new(name).long(name).action(ArgAction::SetTrue);
    let command = command
        .arg(switch("detach").help("Does not wait until it is done; --status says how far it is"))
        .arg(
            switch("status")
                .conflicts_with(subject)
                .help("Shows how far the one that runs is, or how the last one ended"),
        )
        .arg(switch("stop").conflicts_with(subject).help("Stops the one that runs; begun again, it goes on there"))
        .group(ArgGroup::new("what").args([subject, "status", "stop"]).required(true));
    client::arguments(command)
}

/// Does what the command line says; `order` is what is to be begun.
pub(super) fn run(matches: &ArgMatches, kind: &Kind, order: Option<impl Serialize>) -> Result<(), Failure> {
    let client = Client::of(matches)?;
    let wants_json = client::wants_json(matches);
    let answer = match order {
        Some(order) => client.post(kind.target, &order)?,
        None if matches.get_flag("stop") => client.delete(kind.target)?,
        None => client.get(kind.target)?,
    };
    let begun = !matches.get_flag("stop") && !matches.get_flag("status");
    if begun && !matches.get_flag("detach") {
        return follow(&client, kind, wants_json);
    }
    if wants_json {
        return output::print(answer.text());
    }
    output::print(&answer.json::<Job>()?.text(kind))
}

/// As seen from anywhere: the proxy has another working directory.
pub(super) fn absolute(path: &str) -> String {
    // Of the empty path alone there is none: the proxy says what is wrong with that.
    std::path::absolute(path).map_or_else(|_| path.to_owned(), |path| path.to_string_lossy().into_owned())
}

/// Until it has ended.
fn follow(client: &Client, kind: &Kind, wants_json: bool) -> Result<(), Failure> {
    let line = Live::start();
    loop {
        let answer = client.get(kind.target).map_err(|failure| interrupted(failure, kind))?;
        let job: Job = answer.json()?;
        if job.is_running() {
            line.show(&job.progress());
            client.pause(LOOK_EVERY);
            continue;
        }
        drop(line);
        output::print(&if wants_json { answer.text().to_owned() } else { job.text(kind) })?;
        return job.result(kind);
    }
}

/// The proxy has gone, or is another one now.
fn interrupted(failure: Failure, kind: &Kind) -> Failure {
    let again =
        format!("the proxy was started anew before the {} was done; begin it again, and it goes on there", kind.name);
    match failure {
        Failure::NotHere(_) => Failure::Run(anyhow!(again)),
        Failure::Unavailable(why) => Failure::Unavailable(format!(
            "{why}. The {} goes on there when the proxy runs and it is begun again",
            kind.name
        )),
        failure => failure,
    }
}

impl Job {
    fn is_running(&self) -> bool {
        matches!(self.state, State::Counting | State::Running)
    }

    fn progress(&self) -> String {
        if self.state == State::Counting {
            return format!("counting: {}, {}", counted(self.files_total, "file"), size(self.bytes_total));
        }
        // What matters most first: a terminal may be narrow.
        let left = self.seconds_left.map_or_else(String::new, |left| format!("{} left ", seconds(left as f64)));
        let at = self.rate.map_or_else(String::new, |bytes| format!("at {}, ", per_second(bytes)));
        let faults = match self.failed + self.no_room {
            0 => String::new(),
            faults => format!("{} not taken, ", count(faults)),
        };
        let files = format!("{} of {}", count(self.files_done), counted(self.files_total, "file"));
        let sizes = format!("{} of {}", size(self.bytes_done), size(self.bytes_total));
        format!("{} {left}{at}{faults}{files}, {sizes}", bar(self.bytes_done, self.bytes_total))
    }

    /// Its line in a status, while it runs.
    pub(super) fn line(&self) -> Option<String> {
        self.is_running().then(|| format!("{}: {}", plain(&self.subject), self.progress()))
    }

    /// How it stands, or what came of it.
    fn text(&self, kind: &Kind) -> String {
        let (name, subject) = (kind.name, plain(&self.subject));
        let mut text = match self.state {
            State::Counting | State::Running => format!("{name} of {subject}: {}\n", self.progress()),
            State::Done => format!("{name} of {subject}: done in {}\n", seconds(self.seconds)),
            State::Stopped => {
                format!("{name} of {subject}: stopped after {}; begun again, it goes on there\n", seconds(self.seconds))
            }
            State::Failed => format!("{name} of {subject}: failed after {}\n", seconds(self.seconds)),
        };
        if !self.is_running() {
            text.push_str(&self.counts(kind));
        }
        if let Some(detail) = &self.detail {
            text.push_str(&format!("  {}\n", plain(detail)));
        }
        for Trouble { path, reason } in self.problems.iter().take(SHOWN_MAX) {
            text.push_str(&format!("  {}: {}\n", plain(path), plain(reason)));
        }
        let hidden =
            (self.skipped + self.no_room + self.failed).saturating_sub(self.problems.len().min(SHOWN_MAX) as u64);
        if hidden > 0 && !self.problems.is_empty() {
            text.push_str(&format!("  and {} more; --status --json names up to a hundred\n", count(hidden)));
        }
        text
    }

    fn counts(&self, kind: &Kind) -> String {
        let came = self.moved + self.linked + self.copied;
        let how = [(self.moved, "moved"), (self.linked, "with shared blocks"), (self.copied, "copied")];
        let how: Vec<_> = how
            .iter()
            .filter(|(number, _)| *number > 0)
            .map(|(number, how)| format!("{} {how}", count(*number)))
            .collect();
        let how = if how.len() > 1 { format!(" ({})", how.join(", ")) } else { String::new() };
        let mut parts = vec![format!("{} {}{how}", counted(came, "file"), kind.done)];
        for (number, what) in [
            (self.known, "here before"),
            (self.skipped, "skipped"),
            (self.no_room, "without room"),
            (self.failed, "failed"),
        ] {
            if number > 0 {
                parts.push(format!("{} {what}", count(number)));
            }
        }
        let moved = format!("{} of {}", size(self.bytes_done), size(self.bytes_total));
        format!("  {}; {}; {moved}\n", parts.join(", "), counted(self.names, "name"))
    }

    /// Whether everything is as it should be.
    fn result(&self, kind: &Kind) -> Result<(), Failure> {
        let name = kind.name;
        match self.state {
            State::Done if self.failed + self.no_room == 0 => Ok(()),
            State::Done if self.failed == 0 => Err(Failure::Run(anyhow!(
                "there was no room for some files; raise cache.max_size and begin the {name} again"
            ))),
            State::Done => {
                Err(Failure::Run(anyhow!("some files could not be taken; see above, and begin the {name} again")))
            }
            State::Stopped => Err(Failure::Run(anyhow!("the {name} was stopped; begun again, it goes on there"))),
            _ => Err(Failure::Run(anyhow!("the {name} failed"))),
        }
    }
}

fn seconds(seconds: f64) -> String {
    span(std::time::Duration::try_from_secs_f64(seconds).unwrap_or_default())
}

fn per_second(bytes: u64) -> String {
    rate(bytes, std::time::Duration::from_secs(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    const IMPORT: Kind = Kind { name: "import", target: "/v1/import", done: "taken in" };

    fn job(state: &str) -> Job {
        serde_json::from_value(serde_json::json!({
            "subject": "/srv/share", "state": state, "detail": null, "files_total": 20_000, "bytes_total": 5_000_000_000_u64,
            "files_done": 9_000, "bytes_done": 2_500_000_000_u64, "known": 1, "moved": 0, "linked": 0, "copied": 8_998, "names": 8_998,
            "skipped": 2, "no_room": 0, "failed": 1, "rate": 250_000_000, "seconds_left": 75, "seconds": 10.0, "began": "",
            "problems": [{ "path": "a\nb", "reason": "it changed while it was read" }],
        }))
        .unwrap()
    }

    #[test]
    fn progress_says_how_far_how_quick_and_how_long() {
        let line = "[===============>              ]  50% 1 min 15 s left at 250 MB/s, 1 not taken, 9,000 of 20,000 files, 2.50 GB of 5.00 GB";
        assert_eq!(job("running").progress(), line);
        assert_eq!(job("running").line(), Some(format!("/srv/share: {line}")));
        assert_eq!(job("done").line(), None);
        assert_eq!(job("counting").progress(), "counting: 20,000 files, 5.00 GB");
    }

    #[test]
    fn the_end_says_what_came_of_it() {
        let text = "import of /srv/share: done in 10 s
  8,998 files taken in, 1 here before, 2 skipped, 1 failed; 8,998 names; 2.50 GB of 5.00 GB
  a\u{fffd}b: it changed while it was read
  and 2 more; --status --json names up to a hundred
";
        assert_eq!(job("done").text(&IMPORT), text);
        assert!(job("done").result(&IMPORT).is_err(), "a file failed");
        assert!(Job { failed: 0, ..job("done") }.result(&IMPORT).is_ok());
        assert!(job("stopped").result(&IMPORT).is_err() && job("failed").result(&IMPORT).is_err());
    }
}
