//! An origin under test, over a share.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
};

use rustix::process::Signal;
use tempfile::TempDir;

use crate::{
    client::{Answer, Ask},
    program::{Program, address_in},
    wait,
};

/// What an origin is to be started with. A clone has the same state directory.
#[derive(Clone)]
pub struct OriginSetup {
    executable: PathBuf,
    share: PathBuf,
    directory: Arc<TempDir>,
    arguments: Vec<String>,
}

impl OriginSetup {
    /// The executable over a share, with a new state directory.
    pub fn new(executable: impl Into<PathBuf>, share: &Path) -> Self {
        let directory = Arc::new(tempfile::tempdir().expect("a temporary directory"));
        Self { executable: executable.into(), share: share.into(), directory, arguments: Vec::new() }
    }

    /// With further arguments.
    pub fn arguments(mut self, arguments: &[&str]) -> Self {
        self.arguments.extend(arguments.iter().map(|argument| argument.to_string()));
        self
    }

    /// Starts it and waits until it listens.
    #[track_caller]
    pub fn start(&self) -> Origin {
        let fixed = ["--listen", "127.0.0.1:0", "--share"].map(PathBuf::from);
        let database = ["--database".into(), self.directory.path().join("origin.db")];
        let arguments = fixed.into_iter().chain([self.share.clone()]).chain(database);
        let arguments = arguments.chain(self.arguments.iter().map(PathBuf::from));
        let program = Program::start(&self.executable, arguments, self.directory.path());
        let files = program.find_line("where it serves files", address_in);
        Origin { setup: self.clone(), program, files }
    }
}

/// A running origin.
pub struct Origin {
    setup: OriginSetup,
    program: Program,
    files: SocketAddr,
}

impl Origin {
    /// Where it serves files.
    pub fn files(&self) -> SocketAddr {
        self.files
    }

    /// As an upstream is written in a configuration.
    pub fn url(&self) -> String {
        format!("outpost+http://{}/", self.files)
    }

    /// Where its admin listener is, if it was told to have one.
    #[track_caller]
    pub fn admin(&self) -> SocketAddr {
        let find = |line: &str| line.contains("admin ").then(|| address_in(line)).flatten();
        self.program.find_line("where its admin listener is", find)
    }

    /// What runs.
    pub fn program(&self) -> &Program {
        &self.program
    }

    /// GET over a connection of its own.
    #[track_caller]
    pub fn get(&self, target: impl AsRef<[u8]>) -> Answer {
        Ask::get(target).fetch(self.files)
    }

    /// Waits until it knows the digest of a file.
    #[track_caller]
    pub fn wait_until_hashed(&self, target: &str) {
        let known = || Ask::head(target).fetch(self.files).field("Repr-Digest").is_some();
        wait::until_true("the origin knows the digest", known);
    }

    /// SIGTERM, and a clean end.
    #[track_caller]
    pub fn terminate(mut self) -> OriginSetup {
        self.program.signal(Signal::TERM);
        let status = self.program.wait();
        assert!(status.success(), "after SIGTERM the origin ended with {status}");
        self.setup.clone()
    }
}
