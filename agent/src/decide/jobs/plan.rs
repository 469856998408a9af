//! What is done for a job, and what state follows from what came of it.
//!
//! | what is in place | the package, as the origin tells it | what is done |
//! | --- | --- | --- |
//! | nothing | some tree | it is brought, and put there as a whole |
//! | another tree of ours | some tree | likewise, in the other's place |
//! | that very tree | the same head, or the same tree | files that are gone or other are brought again |
//! | ours | no origin answers | likewise, by what was told before |
//! | ours | there is no such package any more | it stays; the state says so |
//! | not ours | any | nothing: `failed` |

use std::time::Duration;

use protocol::{
    digest::{DigestsHasher, Sha256},
    jobs::{Job, JobState, OUTPUT_MAX, State, overlap},
};
use serde::{Deserialize, Serialize};

/// What an origin tells of a package before its files: while that is the same, so are they.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// Of the last change, in the numbering of the origin that was asked.
    pub generation: u64,
    /// How many files.
    pub files: u64,
    /// Bytes of all.
    pub size: u64,
    /// As the folder's name tells it.
    pub version: Option<String>,
}

/// What is remembered of a job over ends of the program.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    /// As it was assigned last.
    pub job: Job,
    /// What was told of the package when the tree in place was listed, and which tree that is.
    #[serde(default)]
    pub listed: Option<(Head, Sha256)>,
    /// The command that began last.
    #[serde(default)]
    pub ran: Option<Ran>,
    /// As it was told last.
    pub state: JobState,
}

/// A command that began.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ran {
    /// For which tree, and with which words.
    pub key: Sha256,
    /// By this its processes are known, should the agent have been killed.
    pub mark: String,
    /// How it ended; none: it was interrupted, or goes on.
    #[serde(default)]
    pub ended: Option<End>,
}

/// How a command ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum End {
    /// With an exit code.
    Code(i32),
    /// By a signal.
    Signal(i32),
    /// It took longer than it may, and was killed.
    TimedOut(Duration),
    /// It could not be started.
    NotStarted(String),
}

/// What this machine says of commands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Own {
    /// In place of what the origin says.
    pub on_ready: Vec<String>,
    /// Whether what the origin says is run.
    pub commands: bool,
    /// The longest time of a command.
    pub time_limit: Duration,
}

/// What is run for a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command<'a> {
    /// Nothing.
    None,
    /// These words, for at most so long.
    Run(&'a [String], Duration),
    /// The origin wants something run, and this machine does not allow it.
    NotAllowed,
}

/// How a run ended that did not put everything into its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stopped {
    /// Not all can be had now.
    Waiting(String),
    /// A server in preload mode has not got it; when to come again, as far as it was said.
    Preload(String, Option<Duration>),
    /// Something must be mended first.
    Failed(String),
}

/// What is run: one's own command goes before that of the origin.
pub fn command<'a>(job: &'a Job, own: &'a Own) -> Command<'a> {
    match (own.on_ready.is_empty(), job.on_ready.is_empty(), own.commands) {
        (false, _, _) => Command::Run(&own.on_ready, own.time_limit),
        (true, true, _) => Command::None,
        (true, false, true) => Command::Run(&job.on_ready, own.time_limit.min(Duration::from_secs(job.time_limit))),
        (true, false, false) => Command::NotAllowed,
    }
}

/// What tells one run of a command from another: the tree, and the words.
pub fn key(tree: &Sha256, words: &[String]) -> Sha256 {
    let mut hasher = DigestsHasher::default();
    hasher.update(&tree.0);
    for word in words {
        hasher.update(&(word.len() as u64).to_be_bytes());
        hasher.update(word.as_bytes());
    }
    hasher.finish().sha256
}

/// Whether a command is to run: not if it has ended well for this tree.
pub fn has_to_run(ran: Option<&Ran>, key: &Sha256) -> bool {
    ran.is_none_or(|ran| ran.key != *key || ran.ended != Some(End::Code(0)))
}

/// The job before this one in whose directory this one would lie, or the other way round: of those the first is kept.
pub fn in_the_way<'a>(jobs: &'a [Job], name: &str) -> Option<&'a Job> {
    let at = jobs.iter().position(|job| job.name == name)?;
    jobs[..at].iter().find(|before| overlap(&before.dir, &jobs[at].dir))
}

impl End {
    /// The state that follows, and why.
    pub fn state(&self) -> (State, String) {
        match self {
            Self::Code(0) => (State::Installed, String::new()),
            Self::Code(code) => (State::Failed, format!("the command ended with {code}")),
            Self::Signal(number) => (State::Failed, format!("the command was ended by signal {number}")),
            Self::TimedOut(limit) => (
                State::Failed,
                format!(
                    "the command took longer than {} s and was killed, with all that it had started",
                    limit.as_secs()
                ),
            ),
            Self::NotStarted(why) => (State::Failed, format!("the command cannot be started: {why}")),
        }
    }

    /// The exit code, if there was one.
    pub fn code(&self) -> Option<i32> {
        if let Self::Code(code) = self { Some(*code) } else { None }
    }
}

impl Stopped {
    /// The state that follows, and why. What is in place already is so still, and that says most.
    pub fn state(&self) -> (State, String) {
        match self {
            Self::Waiting(why) => (State::Waiting, why.clone()),
            Self::Preload(why, _) => (State::Cancelled, why.clone()),
            Self::Failed(why) => (State::Failed, why.clone()),
        }
    }
}

/// The end of an output that is told: whole letters of it.
pub fn end_of(output: &[u8]) -> String {
    let text = String::from_utf8_lossy(output);
    let mut begin = text.len().saturating_sub(OUTPUT_MAX);
    while !text.is_char_boundary(begin) {
        begin += 1;
    }
    text[begin..].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(name: &str, dir: &str, on_ready: &[&str]) -> Job {
        let on_ready = on_ready.iter().map(|word| (*word).to_owned()).collect();
        Job { name: name.into(), package: "/p/".into(), dir: dir.into(), on_ready, time_limit: 60 }
    }

    #[test]
    fn the_machines_own_command_goes_before_the_origins() {
        let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
        let (hour, minute) = (Duration::from_secs(3_600), Duration::from_secs(60));
        let own = |on_ready: &[&str], commands| Own { on_ready: words(on_ready), commands, time_limit: hour };
        let (with, without) = (job("a", "a", &["x"]), job("a", "a", &[]));
        for (job, own, expected) in [
            (&without, own(&[], true), Command::None),
            (&with, own(&[], false), Command::NotAllowed),
            (&with, own(&[], true), Command::Run(&with.on_ready, minute)),
            (&with, own(&["y"], false), Command::Run(&words(&["y"]), hour)),
            (&without, own(&["y"], false), Command::Run(&words(&["y"]), hour)),
        ] {
            assert_eq!(command(job, &own), expected, "{job:?} {own:?}");
        }
        let short = Own { time_limit: Duration::from_secs(1), ..own(&[], true) };
        assert_eq!(command(&with, &short), Command::Run(&with.on_ready, Duration::from_secs(1)));
    }

    #[test]
    fn a_command_that_ended_well_is_not_run_again_and_any_other_is() {
        let tree = Sha256([1; 32]);
        let this = key(&tree, &["a".into(), "b".into()]);
        assert_ne!(this, key(&tree, &["ab".into()]));
        assert_ne!(this, key(&Sha256([2; 32]), &["a".into(), "b".into()]));
        let ran = |key, ended| Some(Ran { key, mark: String::new(), ended });
        for (ran, expected) in [
            (None, true),
            (ran(this, None), true),
            (ran(this, Some(End::Code(0))), false),
            (ran(this, Some(End::Code(1))), true),
            (ran(this, Some(End::Signal(9))), true),
            (ran(this, Some(End::TimedOut(Duration::from_secs(1)))), true),
            (ran(tree, Some(End::Code(0))), true),
        ] {
            assert_eq!(has_to_run(ran.as_ref(), &this), expected, "{ran:?}");
        }
    }

    #[test]
    fn of_two_in_one_directory_the_first_is_kept() {
        let jobs = [job("a", "apps", &[]), job("b", "apps/x", &[]), job("c", "other", &[]), job("d", "apps", &[])];
        let way = |name| in_the_way(&jobs, name).map(|job| job.name.as_str());
        assert_eq!([way("a"), way("b"), way("c"), way("d"), way("none")], [None, Some("a"), None, Some("a"), None]);
    }

    #[test]
    fn what_is_told_has_an_end() {
        assert_eq!(end_of(b"short\n"), "short\n");
        let long = end_of("\u{fc}".repeat(OUTPUT_MAX).as_bytes());
        assert!(
            long.len() <= OUTPUT_MAX && long.len() > OUTPUT_MAX - 4 && long.chars().all(|letter| letter == '\u{fc}')
        );
        assert!(end_of(&[0xff; 4 * OUTPUT_MAX]).len() <= OUTPUT_MAX);
    }

    #[test]
    fn every_end_has_its_state() {
        let cases = [
            (End::Code(0), State::Installed, ""),
            (End::Code(3), State::Failed, "ended with 3"),
            (End::Signal(9), State::Failed, "signal 9"),
            (End::TimedOut(Duration::from_secs(60)), State::Failed, "longer than 60 s"),
            (End::NotStarted("no such file".into()), State::Failed, "no such file"),
        ];
        for (end, state, word) in cases {
            let (found, detail) = end.state();
            assert!(found == state && detail.contains(word), "{end:?}: {detail}");
        }
        assert_eq!(Stopped::Preload(String::new(), None).state().0, State::Cancelled);
        assert_eq!(Stopped::Waiting("x".into()).state(), (State::Waiting, "x".into()));
    }
}
