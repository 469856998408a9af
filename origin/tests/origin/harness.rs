//! An origin over a temporary share, and a client that reads what comes byte by byte.

use std::{
    ffi::OsStr,
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpStream},
    os::unix::ffi::OsStrExt,
    path::PathBuf,
    time::{Duration, Instant},
};

use outpost_origin::{Options, Origin};
use protocol::target::Target;
use tempfile::TempDir;
use tokio::runtime::Runtime;

/// For what happens in other threads. A test that reaches it has failed.
const PATIENCE: Duration = Duration::from_secs(30);

/// A share, a place for the database, and the origin over them.
pub(crate) struct Fixture {
    origin: Option<Origin>,
    runtime: Runtime,
    pub(crate) options: Options,
    pub(crate) share: TempDir,
    _state: TempDir,
}

/// An answer, read to the end of the connection.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    head: String,
    pub(crate) body: Vec<u8>,
}

impl Fixture {
    /// Nothing is announced, nothing is waited for, and only a call looks through the share a second time.
    pub(crate) fn new() -> Self {
        let (share, state) = (tempfile::tempdir().expect("a share"), tempfile::tempdir().expect("a place"));
        let options = Options {
            watch: false,
            settle: Duration::ZERO,
            rescan: Duration::from_secs(3_600),
            ..Options::for_share(share.path(), state.path().join("origin.db"))
        };
        let runtime = Runtime::new().expect("threads");
        Self { origin: None, runtime, options, share, _state: state }
    }

    pub(crate) fn write(&self, name: impl AsRef<[u8]>, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(path.parent().expect("below the share")).expect("a directory");
        fs::write(&path, bytes).expect("written");
        path
    }

    pub(crate) fn path(&self, name: impl AsRef<[u8]>) -> PathBuf {
        self.share.path().join(OsStr::from_bytes(name.as_ref()))
    }

    /// Starts (again) and waits for the first scan.
    pub(crate) fn start(&mut self) {
        self.stop();
        let origin = Origin::start(&self.options, self.runtime.handle()).expect("starts");
        self.runtime.block_on(origin.first_scan());
        self.origin = Some(origin);
    }

    pub(crate) fn stop(&mut self) {
        self.origin = None;
    }

    pub(crate) fn origin(&self) -> &Origin {
        self.origin.as_ref().expect("started")
    }

    pub(crate) fn rescan(&self) {
        self.runtime.block_on(self.origin().rescan());
    }

    pub(crate) fn hashed(&self) -> u64 {
        self.origin().counters().hashed.load(std::sync::atomic::Ordering::Relaxed)
    }

    /// Files are counted as hashed just behind the moment when their digests are known: waits for that, and wants no more of them.
    #[track_caller]
    pub(crate) fn expect_hashed(&self, files: u64) {
        until(&format!("{files} files are counted as hashed"), || self.hashed() >= files);
        assert_eq!(self.hashed(), files);
    }

    #[track_caller]
    pub(crate) fn wait_until_known(&self, files: u64) {
        until(&format!("{files} files are known"), || self.origin().known() == files);
    }

    #[track_caller]
    pub(crate) fn get(&self, target: &str) -> Answer {
        self.ask("GET", target, &[])
    }

    #[track_caller]
    pub(crate) fn get_with(&self, target: &str, fields: &[(&str, &str)]) -> Answer {
        self.ask("GET", target, fields)
    }

    /// Sends a body, which is JSON as far as the origin cares.
    #[track_caller]
    pub(crate) fn post(&self, target: &str, fields: &[(&str, &str)], body: &[u8]) -> Answer {
        Answer::to_post(self.origin().addresses()[0], target, fields, body)
    }

    #[track_caller]
    pub(crate) fn ask(&self, method: &str, target: &str, fields: &[(&str, &str)]) -> Answer {
        let mut transfer = Transfer::start(self.origin().addresses()[0], method, target, fields);
        let body = transfer.rest();
        Answer { status: transfer.status(), head: transfer.head, body }
    }
}

/// The file's target, as a client writes it.
pub(crate) fn target(name: impl AsRef<[u8]>) -> String {
    Target::from_file_path(name.as_ref()).to_string()
}

/// Waits for what another thread does.
#[track_caller]
#[expect(clippy::disallowed_methods, reason = "the origin's threads and the file system give no event to wait for")]
pub(crate) fn until(what: &str, mut done: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !done() {
        assert!(Instant::now() < deadline, "it did not come to pass that {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

impl Answer {
    #[track_caller]
    pub(crate) fn of(address: SocketAddr, target: &str) -> Self {
        Self::with(address, target, &[])
    }

    #[track_caller]
    pub(crate) fn with(address: SocketAddr, target: &str, fields: &[(&str, &str)]) -> Self {
        let mut transfer = Transfer::start(address, "GET", target, fields);
        let body = transfer.rest();
        Self { status: transfer.status(), head: transfer.head, body }
    }

    #[track_caller]
    pub(crate) fn to_post(address: SocketAddr, target: &str, fields: &[(&str, &str)], body: &[u8]) -> Self {
        let mut transfer = Transfer::start_with(address, "POST", target, fields, Some(body));
        let body = transfer.rest();
        Self { status: transfer.status(), head: transfer.head, body }
    }

    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        field(&self.head, name)
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    pub(crate) fn json_as<T: serde::de::DeserializeOwned>(&self) -> T {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("text")
    }
}

fn field<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    let fields = head.lines().skip(1).filter_map(|line| line.split_once(':'));
    fields.filter(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim()).next()
}

/// An answer of which the head has been read.
pub(crate) struct Transfer {
    stream: BufReader<TcpStream>,
    head: String,
}

impl Transfer {
    #[track_caller]
    pub(crate) fn start(address: SocketAddr, method: &str, target: &str, fields: &[(&str, &str)]) -> Self {
        Self::start_with(address, method, target, fields, None)
    }

    #[track_caller]
    fn start_with(
        address: SocketAddr,
        method: &str,
        target: &str,
        fields: &[(&str, &str)],
        body: Option<&[u8]>,
    ) -> Self {
        let mut stream = TcpStream::connect(address).expect("connects");
        stream.set_read_timeout(Some(PATIENCE)).expect("set");
        let fields: String = fields.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        let length = body.map(|body| format!("Content-Length: {}\r\n", body.len())).unwrap_or_default();
        let request = format!("{method} {target} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n{fields}{length}\r\n");
        stream.write_all(request.as_bytes()).expect("sent");
        // Who refuses a body may do so before its end.
        let _ = stream.write_all(body.unwrap_or_default());
        let mut stream = BufReader::new(stream);
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            let count = stream.read_line(&mut head).expect("a head");
            assert_ne!(count, 0, "the connection ended in the head: {head:?}");
        }
        Self { stream, head }
    }

    pub(crate) fn status(&self) -> u16 {
        self.head.get(9..12).and_then(|status| status.parse().ok()).expect("a status")
    }

    pub(crate) fn content_length(&self) -> usize {
        field(&self.head, "Content-Length").and_then(|len| len.parse().ok()).expect("a length")
    }

    /// The next line, without its end.
    pub(crate) fn line(&mut self) -> Option<Vec<u8>> {
        let mut line = Vec::new();
        let count = self.stream.read_until(b'\n', &mut line).unwrap_or(0);
        (count > 0).then_some(line)
    }

    pub(crate) fn read(&mut self, count: usize) -> Vec<u8> {
        let mut bytes = vec![0; count];
        self.stream.read_exact(&mut bytes).expect("bytes");
        bytes
    }

    /// The next line with this in it.
    #[track_caller]
    pub(crate) fn line_with(&mut self, part: &str) -> String {
        loop {
            let mut line = String::new();
            let count = self.stream.read_line(&mut line).expect("a line");
            assert_ne!(count, 0, "the connection ended without a line of {part:?}");
            if line.contains(part) {
                return line;
            }
        }
    }

    /// Up to the end of the connection, however it ends.
    pub(crate) fn rest(&mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut piece = vec![0; 1 << 16];
        loop {
            match self.stream.read(&mut piece) {
                Ok(0) => return bytes,
                Ok(count) => bytes.extend_from_slice(&piece[..count]),
                Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => return bytes,
                // Leases end with a signal to this process.
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) => panic!("the connection hangs: {error}"),
            }
        }
    }
}
