//! The servers of a comparison, running, and the origin they fetch from.

use std::{
    collections::BTreeMap,
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::Context as _;
use rustls::pki_types::CertificateDer;

use super::{
    contestant::{Contestant, Program},
    machine::Machine,
    ports::{free_ports, loopback},
    process::{Process, Running},
    programs::Found,
    texts::{self, NginxPorts, Tls},
};
use crate::{limit::Way, origin::Origin, server_cpu::ServerPids};

/// The name in the certificate of all servers.
pub(super) const SERVER_NAME: &str = "localhost";

/// Bodies up to this size leave the minimal loop in one send with their head.
const ONE_SEND_MAX: u64 = 64 << 10;

/// Bytes of memory for Varnish's objects; half of what is there if that is less.
const VARNISH_MEMORY: u64 = 8 << 30;

/// All of them. Dropping it stops them.
pub(crate) struct Field {
    pub(crate) machine: Machine,
    pub(crate) origin: Origin,
    directory: PathBuf,
    programs: BTreeMap<Program, Found>,
    servers: BTreeMap<Program, Server>,
    limit: Option<(u64, Server)>,
    running: Running,
    /// Numbers given so far: each server has a directory of its own, and each cold file another name.
    numbers: u32,
    certificate: CertificateDer<'static>,
}

/// A running server.
struct Server {
    process: Process,
    directory: PathBuf,
    addresses: Vec<(Contestant, SocketAddr)>,
    tls: Option<SocketAddr>,
}

/// Where a contestant is reached, and its processes.
pub(crate) struct Place {
    /// Of this start of it: what it was asked for earlier it does not have any more.
    pub(crate) name: String,
    /// What it keeps on the disk.
    pub(crate) directory: PathBuf,
    pub(crate) address: SocketAddr,
    /// For TLS, where it has that.
    pub(crate) tls: Option<SocketAddr>,
    pub(crate) pids: Vec<u32>,
}

impl Place {
    pub(crate) fn url(&self, target: &str) -> String {
        format!("http://{}{target}", self.address)
    }

    pub(crate) fn server(&self) -> ServerPids {
        ServerPids::of(self.pids.clone())
    }
}

impl Field {
    /// Over these programs, in this directory. This thread is pinned to the processors of the load, and so is the origin.
    pub(crate) fn new(
        machine: Machine,
        directory: &Path,
        programs: BTreeMap<Program, Found>,
        running: Running,
    ) -> anyhow::Result<Self> {
        os::process::pin_thread_to(&machine.load)
            .with_context(|| format!("cannot pin to processors {:?}", machine.load))?;
        let origin = Origin::start(loopback(0), None)?;
        let (directory, servers) = (directory.to_path_buf(), BTreeMap::new());
        let made = rcgen::generate_simple_self_signed([SERVER_NAME.to_owned()]).context("cannot make a certificate")?;
        write(&certificate_in(&directory), &made.cert.pem())?;
        write(&key_in(&directory), &made.signing_key.serialize_pem())?;
        let certificate = made.cert.der().clone();
        Ok(Self { machine, origin, directory, programs, servers, limit: None, running, numbers: 0, certificate })
    }

    /// Of all servers.
    pub(crate) fn certificate(&self) -> &CertificateDer<'static> {
        &self.certificate
    }

    /// Another one each time.
    pub(crate) fn number(&mut self) -> u32 {
        self.numbers += 1;
        self.numbers
    }

    /// Whether it can take part.
    pub(crate) fn has(&self, contestant: Contestant) -> bool {
        contestant.program().is_none_or(|program| self.programs.contains_key(&program))
    }

    /// Stops all: the next that is asked for begins with an empty cache.
    pub(crate) fn clear(&mut self) {
        self.limit = None;
        self.servers.clear();
    }

    /// A contestant that runs; it is started if it does not. The minimal loop answers `size` bytes to everything.
    pub(crate) fn place(&mut self, contestant: Contestant, size: u64) -> anyhow::Result<Place> {
        let server = match contestant.program() {
            None => self.limit(size)?,
            Some(program) => self.server(program)?,
        };
        let (_, address) =
            server.addresses.iter().find(|(of, _)| *of == contestant).context("it was built without this")?;
        let name = server.directory.file_name().map_or("limit".into(), |name| name.to_string_lossy().into_owned());
        let (directory, tls) = (server.directory.clone(), server.tls);
        Ok(Place { name, directory, address: *address, tls, pids: server.process.pids() })
    }

    fn server(&mut self, program: Program) -> anyhow::Result<&Server> {
        if !self.servers.contains_key(&program) {
            let number = self.number();
            let directory = self.directory.join(format!("{}-{number}", program.name()));
            fs::create_dir_all(&directory).with_context(|| format!("cannot make {}", directory.display()))?;
            let server = match program {
                Program::Outpost => self.start_outpost(&directory),
                Program::Nginx => self.start_nginx(&directory),
                Program::Varnish => self.start_varnish(&directory),
            }?;
            self.servers.insert(program, server);
        }
        self.servers.get(&program).context("it was started just now")
    }

    fn limit(&mut self, size: u64) -> anyhow::Result<&Server> {
        if self.limit.as_ref().is_none_or(|(of, _)| *of != size) {
            self.limit = None;
            let [port] = free_ports()?;
            let mut command = Command::new(std::env::current_exe()?);
            let way = if size <= ONE_SEND_MAX { Way::Send } else { Way::Sendfile };
            command.args(["limit", "--listen", &loopback(port).to_string(), "--size", &size.to_string()]);
            command.args(["--way", way.name()]);
            let addresses = vec![(Contestant::Limit, loopback(port))];
            let server = self.start("limit", command, &self.directory, addresses, None)?;
            self.limit = Some((size, server));
        }
        self.limit.as_ref().map(|(_, server)| server).context("it was started just now")
    }

    fn start_outpost(&self, directory: &Path) -> anyhow::Result<Server> {
        let [port, admin, secure] = free_ports()?;
        let file = directory.join("outpost.toml");
        let text = |tls| texts::outpost(directory, (port, admin), tls, self.origin.address());
        let (certificate, key) = (certificate_in(&self.directory), key_in(&self.directory));
        write(&file, &text(Some(Tls { port: secure, certificate: &certificate, key: &key })))?;
        // A version without TLS refuses the file.
        let checked = self.command(Program::Outpost)?.arg("--config").arg(&file).arg("--check-config").output()?;
        if !checked.status.success() {
            write(&file, &text(None))?;
        }
        let mut command = self.command(Program::Outpost)?;
        command.arg("--config").arg(&file).args(["--max-requesters", "0"]);
        let tls = checked.status.success().then(|| loopback(secure));
        self.start("Outpost", command, directory, vec![(Contestant::Outpost, loopback(port))], tls)
    }

    fn start_nginx(&self, directory: &Path) -> anyhow::Result<Server> {
        let [plain, no_push, aio, secure] = free_ports()?;
        let details = &self.programs.get(&Program::Nginx).context("it is not there")?.details;
        let (has_threads, has_tls) = (details.contains("--with-threads"), details.contains("http_ssl_module"));
        let ports = NginxPorts { plain, no_push, aio: has_threads.then_some(aio) };
        let (certificate, key) = (certificate_in(&self.directory), key_in(&self.directory));
        let tls = has_tls.then_some(Tls { port: secure, certificate: &certificate, key: &key });
        let file = directory.join("nginx.conf");
        let user = rustix::process::geteuid().is_root().then_some("root");
        write(&file, &texts::nginx(directory, ports, tls, self.origin.address(), user))?;
        let mut command = self.command(Program::Nginx)?;
        command.arg("-p").arg(directory).arg("-c").arg(&file);
        let mut addresses = vec![(Contestant::Nginx, loopback(plain)), (Contestant::NginxNoPush, loopback(no_push))];
        addresses.extend(ports.aio.map(|port| (Contestant::NginxAio, loopback(port))));
        self.start("nginx", command, directory, addresses, tls.map(|tls| loopback(tls.port)))
    }

    fn start_varnish(&self, directory: &Path) -> anyhow::Result<Server> {
        let [port] = free_ports()?;
        let file = directory.join("default.vcl");
        write(&file, &texts::varnish(self.origin.address()))?;
        let mut command = self.command(Program::Varnish)?;
        let memory = memory_available().map_or(VARNISH_MEMORY, |available| VARNISH_MEMORY.min(available / 2));
        command.args(texts::varnish_arguments(directory, &file, port, memory));
        self.start("Varnish", command, directory, vec![(Contestant::Varnish, loopback(port))], None)
    }

    fn command(&self, program: Program) -> anyhow::Result<Command> {
        Ok(Command::new(&self.programs.get(&program).context("it is not there")?.executable))
    }

    fn start(
        &self,
        name: &str,
        command: Command,
        directory: &Path,
        addresses: Vec<(Contestant, SocketAddr)>,
        tls: Option<SocketAddr>,
    ) -> anyhow::Result<Server> {
        let listens: Vec<_> = addresses.iter().map(|(_, address)| *address).chain(tls).collect();
        let log = directory.join(format!("{}.log", name.to_lowercase()));
        let cpus = (self.machine.server, &self.machine.load[..]);
        let process = Process::start(name, command, log, cpus, &listens, &self.running)?;
        Ok(Server { process, directory: directory.to_path_buf(), addresses, tls })
    }
}

fn certificate_in(directory: &Path) -> PathBuf {
    directory.join("tls.crt")
}

fn key_in(directory: &Path) -> PathBuf {
    directory.join("tls.key")
}

fn write(path: &Path, text: &str) -> anyhow::Result<()> {
    fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}

/// Bytes that could be used now.
fn memory_available() -> Option<u64> {
    let text = fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find(|line| line.starts_with("MemAvailable:"))?;
    Some(line.split_ascii_whitespace().nth(1)?.parse::<u64>().ok()? << 10)
}
