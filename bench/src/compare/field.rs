//! The servers of a comparison, running, and the origin they fetch from.

use std::{
    collections::BTreeMap,
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::Context as _;

use super::{
    contestant::{Contestant, Program},
    machine::Machine,
    ports::{free_ports, loopback},
    process::{Process, Running},
    programs::Found,
    texts::{self, NginxPorts},
};
use crate::{limit::Way, origin::Origin, server_cpu::ServerPids};

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
    /// Starts of servers so far: each has a directory of its own.
    starts: u32,
}

/// A running server.
struct Server {
    process: Process,
    addresses: Vec<(Contestant, SocketAddr)>,
}

/// Where a contestant is reached, and its processes.
pub(crate) struct Place {
    pub(crate) address: SocketAddr,
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
        Ok(Self { machine, origin, directory, programs, servers, limit: None, running, starts: 0 })
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
        let (_, address) = server.addresses.iter().find(|(of, _)| *of == contestant).context("no such setting")?;
        Ok(Place { address: *address, pids: server.process.pids() })
    }

    fn server(&mut self, program: Program) -> anyhow::Result<&Server> {
        if !self.servers.contains_key(&program) {
            self.starts += 1;
            let directory = self.directory.join(format!("{}-{}", program.name(), self.starts));
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
            let server = self.start("limit", command, &self.directory, addresses)?;
            self.limit = Some((size, server));
        }
        self.limit.as_ref().map(|(_, server)| server).context("it was started just now")
    }

    fn start_outpost(&self, directory: &Path) -> anyhow::Result<Server> {
        let [port, admin] = free_ports()?;
        let file = directory.join("outpost.toml");
        write(&file, &texts::outpost(directory, port, admin, self.origin.address()))?;
        let mut command = self.command(Program::Outpost)?;
        command.arg("--config").arg(&file).args(["--max-requesters", "0"]);
        self.start("Outpost", command, directory, vec![(Contestant::Outpost, loopback(port))])
    }

    fn start_nginx(&self, directory: &Path) -> anyhow::Result<Server> {
        let [plain, no_push] = free_ports()?;
        let file = directory.join("nginx.conf");
        let user = rustix::process::geteuid().is_root().then_some("root");
        write(&file, &texts::nginx(directory, NginxPorts { plain, no_push }, self.origin.address(), user))?;
        let mut command = self.command(Program::Nginx)?;
        command.arg("-p").arg(directory).arg("-c").arg(&file);
        let addresses = vec![(Contestant::Nginx, loopback(plain)), (Contestant::NginxNoPush, loopback(no_push))];
        self.start("nginx", command, directory, addresses)
    }

    fn start_varnish(&self, directory: &Path) -> anyhow::Result<Server> {
        let [port] = free_ports()?;
        let file = directory.join("default.vcl");
        write(&file, &texts::varnish(self.origin.address()))?;
        let mut command = self.command(Program::Varnish)?;
        let memory = memory_available().map_or(VARNISH_MEMORY, |available| VARNISH_MEMORY.min(available / 2));
        command.args(texts::varnish_arguments(directory, &file, port, memory));
        self.start("Varnish", command, directory, vec![(Contestant::Varnish, loopback(port))])
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
    ) -> anyhow::Result<Server> {
        let listens = addresses.first().context("a server listens")?.1;
        let log = directory.join(format!("{}.log", name.to_lowercase()));
        let cpus = (self.machine.server, &self.machine.load[..]);
        Ok(Server { process: Process::start(name, command, log, cpus, listens, &self.running)?, addresses })
    }
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
