//! A proxy under test, with its configuration and its cache directory.

use std::{
    collections::HashMap,
    fs,
    net::SocketAddr,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::Arc,
};

use rustix::process::Signal;
use serde_json::Value;
use tempfile::TempDir;

use crate::{
    client::{Answer, Ask, Transfer},
    program::{Program, address_in},
    secure::Certificate,
    wait,
};

/// What a proxy is to be started with. A clone has the same cache directory.
#[derive(Clone)]
pub struct ProxySetup {
    executable: PathBuf,
    directory: Arc<TempDir>,
    top: Vec<String>,
    cache: Vec<String>,
    serve: Vec<String>,
    access: Vec<String>,
    access_log: Vec<String>,
    tls: Vec<String>,
    certificates: Vec<String>,
    upstreams: Vec<String>,
}

impl ProxySetup {
    /// The executable with a new cache directory, and limits that suit a test on any disk.
    pub fn new(executable: impl Into<PathBuf>) -> Self {
        Self {
            executable: executable.into(),
            directory: Arc::new(tempfile::tempdir().expect("a temporary directory")),
            top: Vec::new(),
            cache: vec!["max_size = \"1GiB\"".into(), "min_free = \"0%\"".into()],
            serve: Vec::new(),
            access: Vec::new(),
            access_log: Vec::new(),
            tls: Vec::new(),
            certificates: Vec::new(),
            upstreams: Vec::new(),
        }
    }

    /// With an upstream at a mount, quick to try again.
    pub fn upstream(self, mount: &str, url: &str) -> Self {
        self.upstream_with(mount, url, "")
    }

    /// With an upstream and further lines of its table.
    pub fn upstream_with(mut self, mount: &str, url: &str, lines: &str) -> Self {
        let name = format!("up{}", self.upstreams.len());
        let mut table = vec![format!("name = \"{name}\""), format!("mount = \"{mount}\""), format!("url = \"{url}\"")];
        table.push("retry_backoff = \"10ms\"".into());
        table.push("retry_backoff_max = \"50ms\"".into());
        lines.lines().for_each(|line| set_line(&mut table, line));
        self.upstreams.push(table.join("\n"));
        self
    }

    /// With a line at the top level.
    pub fn top(mut self, line: &str) -> Self {
        set_line(&mut self.top, line);
        self
    }

    /// With a line of `[cache]`, in place of one with that key.
    pub fn cache(mut self, line: &str) -> Self {
        set_line(&mut self.cache, line);
        self
    }

    /// With a line of `[serve]`.
    pub fn serve(mut self, line: &str) -> Self {
        set_line(&mut self.serve, line);
        self
    }

    /// With a line of `[access]`.
    pub fn access(mut self, line: &str) -> Self {
        set_line(&mut self.access, line);
        self
    }

    /// With a line of `[access_log]`.
    pub fn access_log(mut self, line: &str) -> Self {
        set_line(&mut self.access_log, line);
        self
    }

    /// With a line of `[tls]`.
    pub fn tls(mut self, line: &str) -> Self {
        set_line(&mut self.tls, line);
        self
    }

    /// With a further certificate.
    pub fn certificate(mut self, certificate: &Certificate) -> Self {
        let (file, key) = (certificate.file.display(), certificate.key.display());
        self.certificates.push(format!("file = \"{file}\"\nkey = \"{key}\""));
        self
    }

    /// The program.
    pub fn executable(&self) -> &Path {
        &self.executable
    }

    /// Where the objects are.
    pub fn cache_dir(&self) -> PathBuf {
        self.directory.path().join("cache")
    }

    /// The directory that holds configuration and cache.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// The configuration, written to its file; answers the file.
    pub fn write_config(&self) -> PathBuf {
        let path = self.directory.path().join("outpost.toml");
        let blocks =
            |name: &str, all: &[String]| all.iter().map(|one| format!("[[{name}]]\n{one}\n")).collect::<String>();
        let tables = blocks("certificate", &self.certificates) + &blocks("upstream", &self.upstreams);
        let text = format!(
            "listen = [\"127.0.0.1:0\"]\nadmin = \"127.0.0.1:0\"\n{}\n[cache]\ndir = \"{}\"\n{}\n[serve]\n{}\n[access]\n{}\n[access_log]\n{}\n[tls]\n{}\n{tables}",
            self.top.join("\n"),
            self.cache_dir().display(),
            self.cache.join("\n"),
            self.serve.join("\n"),
            self.access.join("\n"),
            self.access_log.join("\n"),
            self.tls.join("\n"),
        );
        fs::write(&path, text).expect("the configuration file");
        path
    }

    /// Starts it and waits until it listens.
    #[track_caller]
    pub fn start(&self) -> Proxy {
        self.start_by(&self.executable, &[])
    }

    /// Starts it by a wrapper that ends in executing its last arguments.
    #[track_caller]
    pub fn start_by(&self, wrapper: &Path, first: &[&str]) -> Proxy {
        let config = self.write_config();
        let mut arguments: Vec<PathBuf> = first.iter().map(PathBuf::from).collect();
        if wrapper != self.executable {
            arguments.push(self.executable.clone());
        }
        arguments.extend(["--config".into(), config]);
        self.listening(Program::start(wrapper, arguments, self.directory.path()))
    }

    /// Starts it without a configuration, with these arguments alone.
    #[track_caller]
    pub fn start_with(&self, arguments: &[&str]) -> Proxy {
        self.listening(Program::start(&self.executable, arguments, self.directory.path()))
    }

    fn listening(&self, program: Program) -> Proxy {
        let address_of = |label: &str| {
            let find = |line: &str| line.trim_start().starts_with(label).then(|| address_in(line)).flatten();
            program.find_line(&format!("the address that it {label}"), find)
        };
        let (files, admin) = (address_of("serves "), address_of("admin "));
        Proxy { setup: self.clone(), program, files, admin }
    }
}

fn set_line(lines: &mut Vec<String>, line: &str) {
    let key = line.split('=').next().unwrap_or_default();
    lines.retain(|known| known.split('=').next() != Some(key));
    lines.push(line.into());
}

/// A running proxy.
pub struct Proxy {
    setup: ProxySetup,
    program: Program,
    files: SocketAddr,
    admin: SocketAddr,
}

impl Proxy {
    /// Where it serves files.
    pub fn files(&self) -> SocketAddr {
        self.files
    }

    /// Where it serves files over TLS.
    pub fn secure_files(&self) -> SocketAddr {
        let secure = |line: &str| line.contains(" https://").then(|| address_in(line)).flatten();
        self.program.find_line("the address where it speaks TLS", secure)
    }

    /// Where its admin interface is.
    pub fn admin(&self) -> SocketAddr {
        self.admin
    }

    /// The process.
    pub fn program(&mut self) -> &mut Program {
        &mut self.program
    }

    /// What it was started with.
    pub fn setup(&self) -> &ProxySetup {
        &self.setup
    }

    /// GET over a connection of its own.
    #[track_caller]
    pub fn get(&self, target: impl AsRef<[u8]>) -> Answer {
        Ask::get(target).fetch(self.files)
    }

    /// GET, of which the head is read.
    #[track_caller]
    pub fn open(&self, target: impl AsRef<[u8]>) -> Transfer {
        Ask::get(target).open(self.files)
    }

    /// Asks for `start..end` of a target and reads the head of the answer.
    #[track_caller]
    pub fn open_range(&self, target: &str, start: u64, end: u64) -> Transfer {
        Ask::get(target).range(&format!("bytes={start}-{}", end - 1)).open(self.files)
    }

    /// Any request over a connection of its own.
    #[track_caller]
    pub fn ask(&self, ask: &Ask) -> Answer {
        ask.fetch(self.files)
    }

    /// `/v1/status`.
    #[track_caller]
    pub fn status(&self) -> Value {
        Ask::get("/v1/status").fetch(self.admin).expect_status(200).json()
    }

    /// A number of `/v1/status`, by its JSON pointer.
    #[track_caller]
    pub fn number(&self, pointer: &str) -> u64 {
        let status = self.status();
        let value = status.pointer(pointer).and_then(Value::as_u64);
        value.unwrap_or_else(|| panic!("no number at {pointer} in {status:#}"))
    }

    /// `/metrics`.
    #[track_caller]
    pub fn metrics(&self) -> String {
        let answer = Ask::get("/metrics").fetch(self.admin).expect_status(200);
        String::from_utf8(answer.body).expect("metrics are text")
    }

    /// SIGKILL; what is left is its setup, with the cache directory as it was at that instant.
    pub fn kill(mut self) -> ProxySetup {
        self.program.kill();
        self.setup.clone()
    }

    /// SIGTERM, and a clean end.
    #[track_caller]
    pub fn terminate(mut self) -> ProxySetup {
        self.program.signal(Signal::TERM);
        let status = self.program.wait();
        assert!(status.success(), "after SIGTERM the proxy ended with {status}");
        self.setup.clone()
    }

    /// Bytes that the cache takes on the disk: everything in its directory, and what was unlinked but is still open.
    /// The program is stopped for the look, for a file that is renamed meanwhile would be counted twice or not at all.
    pub fn bytes_on_disk(&self) -> u64 {
        let directory = self.setup.cache_dir();
        self.program.freeze();
        let linked: u64 = files_below(&directory).iter().map(|file| file.allocated).sum();
        let unlinked: u64 = self.unlinked_files(&directory).map(|metadata| metadata.blocks() * 512).sum();
        self.program.resume();
        linked + unlinked
    }

    /// What the program has open below a directory although it has no name any more, each file once.
    fn unlinked_files(&self, directory: &Path) -> impl Iterator<Item = fs::Metadata> {
        let descriptors = fs::read_dir(format!("/proc/{}/fd", self.program.id())).into_iter().flatten().flatten();
        let deleted = |path: &PathBuf| {
            fs::read_link(path)
                .is_ok_and(|file| file.starts_with(directory) && file.to_string_lossy().ends_with(" (deleted)"))
        };
        let files = descriptors.map(|entry| entry.path()).filter(deleted).filter_map(|path| fs::metadata(path).ok());
        files.map(|metadata| (metadata.ino(), metadata)).collect::<HashMap<_, _>>().into_values()
    }

    /// The objects that lie on the disk: files named by 32 hexadecimal digits, outside quarantine.
    pub fn objects_on_disk(&self) -> Vec<PathBuf> {
        objects_in(&self.setup.cache_dir())
    }

    /// Waits until nothing is being filled or committed any more.
    #[track_caller]
    pub fn wait_until_idle(&self) {
        wait::until_true("no fill is in progress", || {
            let status = self.status();
            status["cache"]["fills"] == 0 && status["fills"].as_array().is_some_and(Vec::is_empty)
        });
    }

    /// Waits until there are so many connections of clients and every byte that they sent was read.
    #[track_caller]
    pub fn wait_until_read(&self, connections: usize) {
        wait::until_true("all requests were read", || {
            let waiting = unread_bytes(self.files);
            waiting.len() >= connections && waiting.iter().all(|bytes| *bytes == 0)
        });
    }

    /// Body bytes that came from upstreams.
    #[track_caller]
    pub fn upstream_bytes(&self) -> u64 {
        self.number("/bytes/from_upstream")
    }

    /// Requester places that are taken.
    #[track_caller]
    pub fn requesters(&self) -> u64 {
        self.number("/requesters/active")
    }

    /// Bytes that the fills in progress have so far.
    #[track_caller]
    pub fn fetched_of_fills(&self) -> u64 {
        let status = self.status();
        let fills = status["fills"].as_array().unwrap_or_else(|| panic!("no fills in {status:#}"));
        fills.iter().filter_map(|fill| fill["fetched"].as_u64()).sum()
    }
}

/// Of each connection that came in at an address: the bytes that the kernel holds for its reader (`proc_pid_net(5)`).
fn unread_bytes(address: SocketAddr) -> Vec<u64> {
    const ESTABLISHED: &str = "01";
    let port = format!(":{:04X}", address.port());
    let table = fs::read_to_string("/proc/net/tcp").expect("the kernel's table of connections");
    let row = |line: &str| {
        let words: Vec<_> = line.split_whitespace().collect();
        let (local, state, queues) = (words.get(1)?, words.get(3)?, words.get(4)?);
        let unread = u64::from_str_radix(queues.split_once(':')?.1, 16).ok()?;
        (local.ends_with(&port) && *state == ESTABLISHED).then_some(unread)
    };
    table.lines().filter_map(row).collect()
}

/// The objects in a cache directory, as `find` would see them.
pub fn objects_in(cache_dir: &Path) -> Vec<PathBuf> {
    let is_digest = |name: &str| name.len() == 32 && name.bytes().all(|byte| byte.is_ascii_hexdigit());
    files_below(&cache_dir.join("objects"))
        .into_iter()
        .map(|file| file.path)
        .filter(|path| path.file_name().and_then(|name| name.to_str()).is_some_and(is_digest))
        .collect()
}

struct FileOnDisk {
    path: PathBuf,
    allocated: u64,
}

/// Every file below a directory; what vanishes meanwhile is left out.
fn files_below(directory: &Path) -> Vec<FileOnDisk> {
    let mut found = Vec::new();
    let mut waiting = vec![directory.to_path_buf()];
    while let Some(directory) = waiting.pop() {
        for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
            let Ok(metadata) = entry.metadata() else { continue };
            if metadata.is_dir() {
                waiting.push(entry.path());
            } else {
                found.push(FileOnDisk { path: entry.path(), allocated: metadata.blocks() * 512 });
            }
        }
    }
    found
}
