//! Packages that an origin assigns to agents: each is brought, kept in a directory of the agent's, and followed by a command.
//!
//! `GET configuration` brings the [`Job`]s of an agent; each of its reports that has something new tells the [`JobState`]s of all of them. `GET /.outpost/v1/jobs` tells
//! [how they stand](Jobs), `GET /.outpost/v1/jobs/NAME?cursor=NODE&limit=NUMBER` [one of them](JobNodes), agent by agent.
//!
//! | state | what it means |
//! | --- | --- |
//! | `waiting` | not all of it is here |
//! | `installing` | it is here, and is put into its place, or its command runs |
//! | `installed` | it is in its place, and its command, if there is one, has ended well |
//! | `cancelled` | a server in preload mode has not got it yet; the next run tries again |
//! | `failed` | the detail says why; the next run tries again |

use serde::{Deserialize, Serialize};

use crate::{digest::Sha256, target::Target, topology::DomainName};

/// Jobs of one agent.
pub const JOBS_MAX: usize = 64;
/// Words of a command, and bytes of all of them.
pub const WORDS_MAX: usize = 64;
/// Likewise.
pub const COMMAND_BYTES_MAX: usize = 8 << 10;
/// Bytes of a command's output that a state tells: its end.
pub const OUTPUT_MAX: usize = 1 << 10;
/// Agents of one page of [`JobNodes`].
pub const NODES_MAX: usize = 1_000;

/// Letters of a name.
const NAME_LEN_MAX: usize = 64;
/// Folders within each other of a job's directory.
const LEVELS_MAX: usize = 16;
/// Bytes of each of their names, and of all of it.
const SEGMENT_BYTES_MAX: usize = 255;
const DIR_BYTES_MAX: usize = 1_024;
/// What begins so is the agent's own.
const RESERVED: &str = ".outpost";

/// A package that is to be kept by an agent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Job {
    /// Unlike all others of the origin: see [`is_name`].
    pub name: String,
    /// The package's folder as it is asked for, encoded, with `/` at both ends: see [`check_package`].
    pub package: String,
    /// Where it is kept, below the agent's own directory for jobs: see [`check_dir`].
    pub dir: String,
    /// A program and its arguments, to be run when all of it is there. Empty: nothing is.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub on_ready: Vec<String>,
    /// Seconds that the command may take.
    pub time_limit: u64,
}

/// Where a job stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Not all of it is here.
    Waiting,
    /// It is put into its place, or its command runs.
    Installing,
    /// It is there.
    Installed,
    /// A server in preload mode has not got it yet.
    Cancelled,
    /// Something must be mended first.
    Failed,
}

/// How a job stands with one agent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobState {
    /// The job's.
    pub name: String,
    /// Where it stands.
    pub state: State,
    /// Why, for a person.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub detail: String,
    /// RFC 3339, UTC: since when it is in this state.
    pub since: String,
    /// The version of the package that is in place, where its folder's name tells one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Of the package's last change, in the numbering of the origin that was asked; 0: nothing is in place.
    #[serde(default)]
    pub generation: u64,
    /// Of what is in place: the names and contents of all its files. The same everywhere where they are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tree: Option<Sha256>,
    /// How the command ended, if it has: its exit code, and none after a signal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit: Option<i32>,
    /// The end of what the command has printed.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub output: String,
}

/// `GET /.outpost/v1/jobs`: all jobs that are configured.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Jobs {
    /// In the order of the configuration.
    pub jobs: Vec<Standing>,
}

/// A job, and how many agents are where with it. Those that are away count as they were.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Standing {
    /// What it is.
    pub job: Job,
    /// Agents that have told a state of it.
    pub counts: Counts,
    /// Agents to which it is assigned, and which have told nothing of it yet.
    pub untold: u64,
}

/// Agents by the state of a job.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// As [`State`] has them.
    pub waiting: u64,
    /// Likewise.
    pub installing: u64,
    /// Likewise.
    pub installed: u64,
    /// Likewise.
    pub cancelled: u64,
    /// Likewise.
    pub failed: u64,
}

/// `GET /.outpost/v1/jobs/NAME`: who is where with a job, by name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobNodes {
    /// What it is; absent: it is not configured any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job: Option<Job>,
    /// One page of agents.
    pub nodes: Vec<JobNode>,
    /// Where the next page begins; absent behind the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
}

/// An agent with a job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobNode {
    /// Its name.
    pub node: String,
    /// Where it is; absent: in no domain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub domain: Option<DomainName>,
    /// It has not reported in time.
    pub away: bool,
    /// What it has told last.
    pub state: JobState,
}

/// Text that names no directory of a job.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "'{0}' is no place below an agent's directory for jobs: write names with / between them, such as office or apps/office, without .. and not beginning with .outpost"
)]
pub struct BadDir(String);

/// Text that names no package.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "'{0}' is not the folder of a package: write it as it is asked for, with / at both ends, such as /prod/Redist/office-16/"
)]
pub struct BadPackage(String);

impl State {
    /// As it is written.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Installing => "installing",
            Self::Installed => "installed",
            Self::Cancelled => "cancelled",
            Self::Failed => "failed",
        }
    }
}

impl Counts {
    /// One more.
    pub fn add(&mut self, state: State) {
        let count = match state {
            State::Waiting => &mut self.waiting,
            State::Installing => &mut self.installing,
            State::Installed => &mut self.installed,
            State::Cancelled => &mut self.cancelled,
            State::Failed => &mut self.failed,
        };
        *count += 1;
    }
}

/// Whether it is a name of a job: 1 to 64 letters, digits, `-`, `_`, `.`, and it does not begin with a dot, for files are called so.
pub fn is_name(name: &str) -> bool {
    let is_letter = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    (1..=NAME_LEN_MAX).contains(&name.len()) && name.bytes().all(is_letter) && !name.starts_with('.')
}

/// Whether a job may be kept there: nothing that leads out of the directory above it, by no system's rules.
pub fn check_dir(dir: &str) -> Result<(), BadDir> {
    let is_plain = |letter: char| !letter.is_control() && !matches!(letter, '\\' | ':');
    let is_name = |name: &str| {
        (1..=SEGMENT_BYTES_MAX).contains(&name.len())
            && name.chars().all(is_plain)
            && !matches!(name, "." | "..")
            && !name.starts_with(RESERVED)
    };
    let is_good = dir.len() <= DIR_BYTES_MAX && dir.split('/').count() <= LEVELS_MAX && dir.split('/').all(is_name);
    if is_good { Ok(()) } else { Err(BadDir(dir.chars().take(SEGMENT_BYTES_MAX).collect())) }
}

/// Whether one of two directories of jobs is the other, or lies in it.
pub fn overlap(one: &str, other: &str) -> bool {
    let is_within = |inner: &str, outer: &str| {
        inner.strip_prefix(outer).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    is_within(one, other) || is_within(other, one)
}

/// Whether it can be the folder of a package.
pub fn check_package(path: &str) -> Result<(), BadPackage> {
    let bad = || BadPackage(path.chars().take(SEGMENT_BYTES_MAX).collect());
    let target = Target::parse(path.as_bytes()).map_err(|_| bad())?;
    let is_folder = path.len() > 1 && target.is_directory() && target.query().is_none() && !path.contains("//");
    if is_folder && target.path() == path && target.decode().is_ok() { Ok(()) } else { Err(bad()) }
}

/// Whether it is a command that can be told: few words, none of them empty at its beginning, and nothing that no program can be given.
pub fn check_command(words: &[String]) -> Result<(), String> {
    let bytes: usize = words.iter().map(String::len).sum();
    if words.len() > WORDS_MAX || bytes > COMMAND_BYTES_MAX {
        return Err(format!(
            "a command has at most {WORDS_MAX} words and {COMMAND_BYTES_MAX} bytes; put more into a script of the package"
        ));
    }
    if words.first().is_some_and(String::is_empty) || words.iter().any(|word| word.contains('\0')) {
        return Err("a command begins with the name of a program, and no word of it has a NUL".into());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directories_stay_below_the_one_above() {
        for dir in ["office", "apps/office 16", "a.b/c", "\u{fc}/x", "..a", "a..", &["a"; 16].join("/")] {
            assert_eq!(check_dir(dir), Ok(()), "{dir}");
        }
        for dir in [
            "",
            "/",
            "/etc",
            "a/",
            "a//b",
            ".",
            "..",
            "../x",
            "a/../b",
            "a/..",
            "a\\b",
            "c:x",
            "a\0b",
            "a\nb",
            ".outpost",
            "a/.outpost-job",
            ".outpost/x",
            &["a"; 17].join("/"),
            &"a".repeat(256),
        ] {
            assert!(check_dir(dir).is_err(), "{dir:?}");
        }
        for (one, other, expected) in
            [("a", "a", true), ("a", "a/b", true), ("a/b", "a", true), ("a", "ab", false), ("a/b", "a/c", false)]
        {
            assert_eq!(overlap(one, other), expected, "{one} {other}");
        }
    }

    #[test]
    fn packages_are_folders_as_they_are_asked_for() {
        for path in ["/a/", "/prod/Redist/a%20b/", "/a/b-1.2/"] {
            assert_eq!(check_package(path), Ok(()), "{path}");
        }
        for path in [
            "",
            "/",
            "a/",
            "/a",
            "/a/../b/",
            "/a/./b/",
            "/a/%2e%2e/",
            "/a//b/",
            "/a/?x/",
            "/a%2Fb/",
            "/a b/",
            "/a/%00/",
            "//a/",
        ] {
            assert!(check_package(path).is_err(), "{path:?}");
        }
    }

    #[test]
    fn names_are_those_of_files() {
        assert!(is_name("office-16.0_x") && !is_name("..") && !is_name(".a") && !is_name("a/b") && !is_name(""));
    }

    #[test]
    fn commands_are_bounded() {
        let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
        assert_eq!(check_command(&words(&["./install", "", "a b"])), Ok(()));
        assert_eq!(check_command(&[]), Ok(()));
        for bad in
            [words(&[""]), words(&["a", "b\0"]), words(&["a"; WORDS_MAX + 1]), vec!["a".repeat(COMMAND_BYTES_MAX + 1)]]
        {
            assert!(check_command(&bad).is_err());
        }
    }

    #[test]
    fn what_is_not_said_is_left_out() {
        let text = r#"{"name":"a","state":"waiting","since":"2026-11-22T00:00:00Z"}"#;
        let state: JobState = serde_json::from_str(text).unwrap();
        assert_eq!((state.state, state.generation, state.tree), (State::Waiting, 0, None));
        assert_eq!(serde_json::to_value(State::Cancelled).unwrap(), State::Cancelled.name());
        let mut counts = Counts::default();
        counts.add(State::Failed);
        assert_eq!(counts, Counts { failed: 1, ..Counts::default() });
    }
}
