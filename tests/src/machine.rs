//! A machine of a site: a program at a loopback address of its own, by which it is known, and to which it comes back when it was killed.

use std::{
    fs,
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    path::{Path, PathBuf},
};

use tempfile::TempDir;

use crate::{program::Program, wait};

/// A machine, running or not.
pub struct Machine {
    name: String,
    socket: SocketAddr,
    executable: PathBuf,
    arguments: Vec<String>,
    directory: TempDir,
    program: Option<Program>,
}

impl Machine {
    /// One that is not running yet, with a directory of its own and a port that is free at its address.
    pub fn new(name: &str, executable: impl Into<PathBuf>, address: Ipv4Addr) -> Self {
        // Nobody else uses the address, so that the port stays free.
        let listener = TcpListener::bind((address, 0)).expect("a port at a loopback address");
        Self {
            name: name.into(),
            socket: listener.local_addr().expect("it is bound"),
            executable: executable.into(),
            arguments: Vec::new(),
            directory: tempfile::tempdir().expect("a temporary directory"),
            program: None,
        }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Where it serves.
    pub fn socket(&self) -> SocketAddr {
        self.socket
    }

    /// Likewise, `http://IP:PORT/`.
    pub fn url(&self) -> String {
        format!("http://{}/", self.socket)
    }

    /// What it keeps, also when it is killed.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// Runs with this configuration from its next start on.
    pub fn configure(&mut self, text: &str) {
        let file = self.directory.path().join("machine.toml");
        fs::write(&file, text).expect("a file in a temporary directory");
        self.arguments = vec!["--config".into(), file.display().to_string()];
    }

    /// Likewise, with a command before the configuration.
    pub fn run(&mut self, command: &[&str], text: &str) {
        self.configure(text);
        self.arguments.splice(0..0, command.iter().map(|word| word.to_string()));
    }

    /// Starts it, and waits until it serves.
    #[track_caller]
    pub fn start(&mut self) {
        let mut program = Program::start(&self.executable, &self.arguments, self.directory.path());
        let (name, socket) = (&self.name, self.socket);
        wait::until_true("the machine serves", || {
            assert!(!program.has_ended(), "{name} ended: {}", program.printed());
            TcpStream::connect(socket).is_ok()
        });
        self.program = Some(program);
    }

    /// kill -9. What it had open is cut.
    pub fn kill(&mut self) {
        drop(self.program.take());
    }

    /// Its program, while it runs.
    pub fn program(&self) -> Option<&Program> {
        self.program.as_ref()
    }
}
