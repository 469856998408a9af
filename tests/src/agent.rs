//! An agent under test, in a directory of its own.

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
};

use rustix::process::Signal;
use serde_json::Value;
use tempfile::TempDir;

use crate::{
    content::{Content, md5_hex},
    program::{Program, address_in, run_to_end},
};

/// What an agent is to be started with. A clone has the same directory.
#[derive(Clone)]
pub struct AgentSetup {
    executable: PathBuf,
    directory: Arc<TempDir>,
    arguments: Vec<String>,
}

/// A service that runs.
pub struct AgentService {
    setup: AgentSetup,
    /// The program.
    pub program: Program,
    /// Where programs of its machine ask it.
    pub local: SocketAddr,
    /// Where neighbours do.
    pub peers: SocketAddr,
}

/// A `get` that is on, or has ended.
pub struct Get {
    /// The program.
    pub program: Program,
    file: PathBuf,
}

/// What came of a `get`.
#[derive(Debug)]
pub struct Got {
    /// The exit code; `None` after a signal that nobody caught.
    pub code: Option<i32>,
    /// What it said on standard output.
    pub said: Value,
    /// Everything that it printed.
    pub printed: String,
    file: PathBuf,
}

impl AgentSetup {
    /// The executable in a new directory, with patience that suits a test.
    pub fn new(executable: impl Into<PathBuf>) -> Self {
        let directory = Arc::new(tempfile::tempdir().expect("a temporary directory"));
        let arguments =
            ["--alone", "--json", "--silence-max=1s", "--backoff-first=200ms", "--backoff-max=1s"].map(String::from);
        Self { executable: executable.into(), directory, arguments: arguments.into() }
    }

    /// With further arguments of `get`.
    pub fn arguments(mut self, arguments: &[&str]) -> Self {
        self.arguments.extend(arguments.iter().map(|argument| argument.to_string()));
        self
    }

    /// Who fails is left alone for long.
    pub fn backoff(mut self, first: &str) -> Self {
        self.arguments.retain(|argument| !argument.starts_with("--backoff-"));
        self.arguments(&["--backoff-first", first, "--backoff-max", first])
    }

    /// With the service of that machine, which brings things to its cache first.
    pub fn by(self, service: &AgentService) -> Self {
        self.by_service_at(service.local)
    }

    /// With whoever is at that address as the service of that machine.
    pub fn by_service_at(mut self, local: SocketAddr) -> Self {
        self.arguments.retain(|argument| argument != "--alone");
        self.arguments(&["--local", &local.to_string()])
    }

    /// Starts the service in its directory, with further arguments of `run`.
    #[track_caller]
    pub fn serve(&self, arguments: &[&str]) -> AgentService {
        let fixed = ["--peer-listen", "127.0.0.1:0", "--min-free", "0%", "--max-size", "1GiB"];
        let patience = [
            ("OUTPOST__LOCAL", "127.0.0.1:0"),
            ("OUTPOST__SERVERS__SILENCE_MAX", "1s"),
            ("OUTPOST__SERVERS__BACKOFF_FIRST", "200ms"),
            ("OUTPOST__SERVERS__BACKOFF_MAX", "1s"),
            // Other tests keep this machine busy.
            ("OUTPOST__SHARING__CPU_MAX", "100"),
            ("OUTPOST__SHARING__DISK_MAX", "100"),
            ("OUTPOST__SHARING__FREE_MIN", "0%"),
        ];
        let mut command = Command::new(&self.executable);
        command.arg("run").args(fixed).args(arguments).current_dir(self.directory());
        let program = Program::spawn_with(command, &patience);
        let at = |what: &str| program.find_line(what, |line| address_in(line.trim_start().strip_prefix(what)?));
        let (local, peers) = (at("local"), at("peers"));
        AgentService { setup: self.clone(), program, local, peers }
    }

    /// Runs another command to its end: its exit code, and what it printed.
    #[track_caller]
    pub fn command(&self, arguments: &[&str]) -> (Option<i32>, String) {
        run_to_end(&self.executable, arguments, self.directory())
    }

    /// Its directory.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// Starts to bring something to a file of that name in its directory.
    pub fn start(&self, what: &str, name: &str) -> Get {
        let file = self.directory().join(name);
        let mut command = Command::new(&self.executable);
        command.arg("get").arg(what).arg("-o").arg(&file).args(&self.arguments).current_dir(self.directory());
        Get { program: Program::spawn(command), file }
    }

    /// Brings something, and waits for what comes of it.
    #[track_caller]
    pub fn get(&self, what: &str, name: &str) -> Got {
        self.start(what, name).wait()
    }
}

impl AgentService {
    /// Asks it with a command such as `status`; what it printed.
    #[track_caller]
    pub fn ask(&self, arguments: &[&str]) -> String {
        let local = self.local.to_string();
        let all: Vec<&str> = arguments.iter().copied().chain(["--local", &local]).collect();
        let (code, printed) = self.setup.command(&all);
        assert_eq!(code, Some(0), "{arguments:?}: {printed}");
        printed
    }

    /// SIGTERM, and a clean end.
    #[track_caller]
    pub fn terminate(mut self) {
        self.program.signal(Signal::TERM);
        let status = self.program.wait();
        assert!(status.success(), "after SIGTERM the agent ended with {status}");
    }
}

impl Get {
    /// The bytes that are here while it is not done.
    pub fn part(&self) -> PathBuf {
        let mut name = self.file.clone().into_os_string();
        name.push(".outpost-part");
        name.into()
    }

    /// Waits for its end.
    #[track_caller]
    pub fn wait(mut self) -> Got {
        let code = self.program.wait().code();
        let printed = self.program.printed();
        let line = printed.lines().rev().find(|line| line.starts_with('{'));
        let said = line.and_then(|line| serde_json::from_str(line).ok()).unwrap_or_default();
        Got { code, said, printed, file: self.file.clone() }
    }
}

impl Got {
    /// Fails unless the file is here, whole and right, and nothing else of it.
    #[track_caller]
    pub fn expect(self, content: &Content) -> Self {
        assert_eq!(self.code, Some(0), "{self:?}");
        let bytes = fs::read(&self.file).unwrap_or_else(|error| panic!("{error}: {self:?}"));
        assert_eq!(md5_hex(&bytes), content.md5_hex(), "{self:?}");
        assert_eq!(self.said["md5"], content.md5_hex(), "{self:?}");
        assert_eq!(self.beside(), 0, "{self:?}");
        self
    }

    /// Fails unless it ended with this code, and no file is there under its name.
    #[track_caller]
    pub fn expect_code(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{self:?}");
        assert!(!self.file.exists(), "{self:?}");
        assert!(code == 69 || code >= 130 || self.beside() == 0, "{self:?}");
        self
    }

    /// Files that are left beside it.
    fn beside(&self) -> usize {
        let name = self.file.file_name().expect("a file has a name").to_string_lossy().into_owned() + ".outpost";
        let directory = self.file.parent().expect("it lies in a directory");
        let entries = fs::read_dir(directory).expect("a directory of ours");
        entries
            .filter(|entry| entry.as_ref().is_ok_and(|entry| entry.file_name().to_string_lossy().starts_with(&name)))
            .count()
    }
}
