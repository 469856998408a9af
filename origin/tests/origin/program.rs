//! The program: what it prints, its admin listener, and how it ends.

use std::{
    io::{BufRead, BufReader},
    net::SocketAddr,
    path::Path,
    process::{Child, ChildStdout, Command, Stdio},
};

use protocol::{
    info::{NODES, REPORTS},
    report::Node,
};

use crate::{
    harness::{Answer, Transfer},
    registry,
};

pub(crate) struct Program {
    pub(crate) child: Child,
    stdout: BufReader<ChildStdout>,
}

impl Program {
    /// Beside its database, where its other databases are by default.
    pub(crate) fn start(share: &Path, arguments: &[&str]) -> Self {
        let database = arguments.iter().skip_while(|argument| **argument != "--database").nth(1);
        let place = database.and_then(|database| Path::new(database).parent()).expect("--database FILE");
        let share = share.to_str().expect("text");
        Self::run(place, &[&["--listen", "127.0.0.1:0", "--share", share], arguments].concat())
    }

    /// In a directory, with what its command line says.
    pub(crate) fn run(place: &Path, arguments: &[&str]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_outpost-origin"))
            .args(arguments)
            .current_dir(place)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("starts");
        let stdout = BufReader::new(child.stdout.take().expect("piped"));
        Self { child, stdout }
    }

    /// The next line that begins with a word, without it.
    pub(crate) fn line(&mut self, word: &str) -> String {
        loop {
            let mut line = String::new();
            let count = self.stdout.read_line(&mut line).expect("a line");
            assert_ne!(count, 0, "it ended without a line of {word:?}");
            if let Some(rest) = line.trim().strip_prefix(word) {
                return rest.trim().to_owned();
            }
        }
    }

    pub(crate) fn signal(&self, name: &str) {
        let killed = Command::new("kill").arg(name).arg(self.child.id().to_string()).status();
        assert!(killed.expect("runs").success());
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub(crate) fn address(url: &str) -> SocketAddr {
    url.trim_start_matches("http://").trim_end_matches('/').parse().expect("an address")
}

#[test]
fn it_says_what_it_does_and_ends_in_good_order() {
    let (share, state) = (tempfile::tempdir().expect("a share"), tempfile::tempdir().expect("a place"));
    std::fs::write(share.path().join("f"), "abc").expect("written");
    let database = state.path().join("db");
    let database = database.to_str().expect("text");
    let mut program = Program::start(share.path(), &["--database", database, "--admin", "127.0.0.1:0"]);
    let files = address(&program.line("serves"));
    assert_eq!(program.line("share"), share.path().display().to_string());
    assert_eq!(program.line("digests"), format!("0 files known, in {database}"));
    assert_eq!(program.line("changes"), "as the kernel announces them, and every 10m");
    let admin = address(&program.line("admin"));

    assert_eq!(Transfer::start(files, "GET", "/f", &[]).rest(), b"abc");
    assert_eq!(Transfer::start(admin, "GET", "/healthz", &[]).rest(), b"ok\n");
    crate::harness::until("it is ready", || Transfer::start(admin, "GET", "/readyz", &[]).status() == 200);
    let metrics = String::from_utf8(Transfer::start(admin, "GET", "/metrics", &[]).rest()).expect("text");
    assert!(metrics.contains("outpost_origin_files 1\n"), "{metrics}");

    program.signal("-TERM");
    assert!(program.child.wait().expect("ends").success());
}

#[test]
fn a_share_that_is_not_there_is_an_error_with_its_path() {
    let state = tempfile::tempdir().expect("a place");
    let output = Command::new(env!("CARGO_BIN_EXE_outpost-origin"))
        .args(["--share", "/nowhere/at/all", "--listen", "127.0.0.1:0", "--database"])
        .arg(state.path().join("db"))
        .output()
        .expect("runs");
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(text.contains("/nowhere/at/all") && text.contains("--share"), "{text}");
}

#[test]
fn what_was_reported_outlives_a_kill() {
    let (share, state) = (tempfile::tempdir().expect("a share"), tempfile::tempdir().expect("a place"));
    let database = state.path().join("db");
    let arguments = ["--database", database.to_str().expect("text"), "--admin", "127.0.0.1:0"];
    let mut number = 0;
    for round in 0..5 {
        let mut program = Program::start(share.path(), &arguments);
        let files = address(&program.line("serves"));
        let admin = address(&program.line("admin"));
        for node in 0..number {
            let known: Node = registry::read(&Answer::of(files, &format!("{NODES}/a{node}")));
            assert_eq!(known.holds, u64::from(node) + 1, "in round {round}");
        }
        for _ in 0..10 {
            let said = registry::report(&format!("a{number}"), &(0..=number).collect::<Vec<_>>());
            let body = serde_json::to_vec(&said).expect("JSON");
            assert_eq!(Answer::to_post(files, REPORTS, &[], &body).status, 200);
            number += 1;
        }
        let metric = |name: &str, value: &str| {
            let text = Answer::of(admin, "/metrics");
            text.text().contains(&format!("\noutpost_origin_registry_{name} {value}\n"))
        };
        crate::harness::until("everything is written", || metric("unwritten", "0") && !metric("batches_total", "0"));
        assert!(metric("objects", &number.to_string()));
        program.signal("-KILL");
        program.child.wait().expect("ends");
    }
}
