//! A proxy as a child process over a temporary share, and the least of an HTTP client.

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::mpsc::{Receiver, RecvTimeoutError, channel},
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

/// Far beyond what anything here takes; a test that waits so long has failed.
const PATIENCE: Duration = Duration::from_secs(20);

/// A temporary place with a share in it.
pub(crate) struct Place {
    directory: TempDir,
}

impl Place {
    /// With one file, `hello.txt`, in the share.
    pub(crate) fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        fs::create_dir(directory.path().join("share")).unwrap();
        fs::write(directory.path().join("share/hello.txt"), "hello\n").unwrap();
        Self { directory }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// A configuration with these lines at the top and in `[serve]`; listeners take free ports.
    pub(crate) fn write_config(&self, top: &str, serve: &str) -> PathBuf {
        self.write_config_with_admin("127.0.0.1:0", top, serve)
    }

    /// Likewise, with the admin interface elsewhere.
    pub(crate) fn write_config_with_admin(&self, admin: &str, top: &str, serve: &str) -> PathBuf {
        let path = self.path("proxy.toml");
        let text = format!(
            "listen = [\"127.0.0.1:0\"]\nadmin = \"{admin}\"\n{top}\n[cache]\ndir = \"{}\"\nmax_size = \"1GiB\"\nmin_free = \"0%\"\n\
             [serve]\n{serve}\n[[upstream]]\nname = \"share\"\nurl = \"{}\"\n",
            self.path("cache").display(),
            self.path("share").display(),
        );
        fs::write(&path, text).unwrap();
        path
    }

    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_outpost-proxy"));
        command.current_dir(self.directory.path()).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("OUTPOST_")) {
            command.env_remove(name);
        }
        command
    }

    /// With a configuration file of nothing special.
    pub(crate) fn start(&self) -> Proxy {
        let config = self.write_config("", "");
        self.start_with(&config)
    }

    pub(crate) fn start_with(&self, config: &Path) -> Proxy {
        Proxy::start(self.command().arg("--config").arg(config))
    }

    /// A run that ends by itself: exit code and what it printed.
    pub(crate) fn run(&self, arguments: &[&str]) -> (Option<i32>, String) {
        let output = self.command().args(arguments).output().unwrap();
        let printed = [output.stdout, output.stderr].concat();
        (output.status.code(), String::from_utf8_lossy(&printed).into_owned())
    }
}

/// A running proxy; killed when dropped.
pub(crate) struct Proxy {
    child: Child,
    lines: Receiver<String>,
    printed: Vec<String>,
    /// Where files are served.
    pub(crate) files: SocketAddr,
    /// The admin interface, where it is not on a Unix socket.
    pub(crate) admin: SocketAddr,
}

impl Proxy {
    fn start(command: &mut Command) -> Self {
        let mut child = command.spawn().unwrap();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        let (sender, lines) = channel();
        thread::spawn(move || stderr.lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
        let nowhere = SocketAddr::from(([0, 0, 0, 0], 0));
        let mut proxy = Self { child, lines, printed: Vec::new(), files: nowhere, admin: nowhere };
        proxy.files = address_in(&proxy.wait_for_line("  serves "));
        let admin = proxy.wait_for_line("  admin ");
        if !admin.contains("unix:") {
            proxy.admin = address_in(&admin);
        }
        proxy
    }

    /// The next line that has this text in it.
    pub(crate) fn wait_for_line(&mut self, text: &str) -> String {
        let deadline = Instant::now() + PATIENCE;
        loop {
            match self.lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(line) => {
                    self.printed.push(line.clone());
                    if line.contains(text) {
                        return line;
                    }
                }
                Err(RecvTimeoutError::Timeout) => panic!("no line with '{text}' in:\n{}", self.printed.join("\n")),
                Err(RecvTimeoutError::Disconnected) => panic!("ended without '{text}':\n{}", self.printed.join("\n")),
            }
        }
    }

    pub(crate) fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(i32::try_from(self.child.id()).unwrap()).unwrap();
        kill_process(pid, signal).unwrap();
    }

    /// How it ended; every line until then must come within our patience.
    pub(crate) fn wait(mut self) -> ExitStatus {
        let deadline = Instant::now() + PATIENCE;
        loop {
            match self.lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(line) => self.printed.push(line),
                Err(RecvTimeoutError::Disconnected) => return self.child.wait().unwrap(),
                Err(RecvTimeoutError::Timeout) => panic!("did not end:\n{}", self.printed.join("\n")),
            }
        }
    }

    pub(crate) fn get(&self, target: &str) -> Answer {
        ask(self.files, "GET", target, "", "")
    }

    pub(crate) fn admin(&self, method: &str, target: &str) -> Answer {
        ask(self.admin, method, target, "", "")
    }

    pub(crate) fn post(&self, target: &str, json: &str) -> Answer {
        ask(self.admin, "POST", target, "Content-Type: application/json\r\n", json)
    }

    pub(crate) fn status(&self) -> Value {
        let answer = self.admin("GET", "/v1/status");
        assert_eq!(answer.status, 200, "{}", answer.body);
        answer.json()
    }

    /// Asks for the status until a condition holds: fills are committed in the background.
    pub(crate) fn status_when(&self, what: &str, holds: impl Fn(&Value) -> bool) -> Value {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let status = self.status();
            if holds(&status) {
                return status;
            }
            assert!(Instant::now() < deadline, "{what} did not come about: {status:#}");
            thread::yield_now();
        }
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if thread::panicking() {
            eprintln!("the proxy printed:\n{}", self.printed.join("\n"));
        }
    }
}

/// An answer, read to its end.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }

    /// The name of the problem, checked to be one.
    pub(crate) fn problem(&self) -> String {
        assert!(self.head.contains("application/problem+json"), "{}\n{}", self.head, self.body);
        let problem = self.json();
        assert_eq!(problem["status"], self.status);
        let kind = problem["type"].as_str().unwrap().strip_prefix("urn:outpost:problem:").unwrap().to_owned();
        assert!(!problem["detail"].as_str().unwrap().is_empty());
        kind
    }
}

/// One exchange on a connection of its own, closed by the server.
pub(crate) fn ask(address: SocketAddr, method: &str, target: &str, fields: &str, body: &str) -> Answer {
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let length = body.len();
    let request = format!(
        "{method} {target} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n{fields}Content-Length: {length}\r\n\r\n{body}"
    );
    let request = if body.is_empty() && method == "GET" {
        format!("{method} {target} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n{fields}\r\n")
    } else {
        request
    };
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    let answer = String::from_utf8(answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no answer but '{answer}'"));
    let status = head.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap();
    Answer { status, head: head.to_ascii_lowercase(), body: body.to_owned() }
}

fn address_in(line: &str) -> SocketAddr {
    let (_, rest) = line.split_once("http://").unwrap();
    rest.split('/').next().unwrap().parse().unwrap()
}
