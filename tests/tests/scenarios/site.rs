//! A whole site: two origins, three domains with four proxies, a dozen agents. Each of them in turn is killed in the middle of it and comes back, and
//! every download ends right.

use std::{fs, net::Ipv4Addr, path::PathBuf};

use harness::{
    KIB,
    client::{Ask, fetch},
    content::{Content, md5_hex},
    machine::Machine,
    program::Program,
    share::Share,
    wait,
};

/// Of a domain: its name, what is in it, and how many proxies.
const DOMAINS: [(&str, &str, usize); 3] =
    [("hq", "unconstrained", 1), ("hq.north", "constrained", 2), ("hq.south", "constrained", 1)];
const AGENTS: usize = 12;
/// Long enough that a machine can be killed in the middle.
const FILE_LEN: u64 = 768 * KIB;

/// An address of a machine: the loopback network of this scenario, its domain, its number there.
fn address(domain: usize, number: usize) -> Ipv4Addr {
    Ipv4Addr::new(127, 77, domain as u8, number as u8)
}

struct Site {
    share: Share,
    origins: Vec<Machine>,
    proxies: Vec<Machine>,
    agents: Vec<Machine>,
}

impl Site {
    fn new() -> Self {
        let share = Share::new();
        let origin = |number: usize| {
            let executable = env!("CARGO_BIN_EXE_outpost-origin-under-test");
            Machine::new(&format!("origin-{number}"), executable, address(200, number))
        };
        let proxy = |domain: usize, number: usize| {
            let name = format!("{}-{number}", DOMAINS[domain].0.replace('.', "-"));
            Machine::new(&name, env!("CARGO_BIN_EXE_outpost-proxy-under-test"), address(domain, number))
        };
        let agent = |number: usize| {
            let own = address(number % DOMAINS.len(), 100 + number);
            Machine::new(&format!("agent-{number}"), env!("CARGO_BIN_EXE_outpost-agent-under-test"), own)
        };
        let numbers = |domain: usize| (1..=DOMAINS[domain].2).map(move |number| (domain, number));
        let mut site = Self {
            share,
            origins: (1..=2).map(origin).collect(),
            proxies: (0..DOMAINS.len()).flat_map(numbers).map(|(domain, number)| proxy(domain, number)).collect(),
            agents: (0..AGENTS).map(agent).collect(),
        };
        site.configure();
        site
    }

    fn configure(&mut self) {
        let urls: Vec<_> = self.origins.iter().map(|origin| format!("\"{}\"", origin.url())).collect();
        let domains: String = DOMAINS.iter().enumerate().map(|(domain, _)| self.domain(domain)).collect();
        let share = self.share.path().display().to_string();
        for origin in &mut self.origins {
            origin.configure(&format!(
                "listen = [\"{}\"]\norigins = [{}]\n[catalogue]\ndirectory = \"{share}\"\nsettle = \"100ms\"\n\
                 [changes]\nheartbeat = \"1s\"\n[sources]\nretry_min = \"1s\"\nretry_max = \"2s\"\n\
                 [registry]\nreport_every = \"1s\"\nexpiry = \"4s\"\n{domains}",
                origin.socket(),
                urls.join(", "),
            ));
        }
        self.configure_proxies();
        self.configure_agents(&urls.join(", "));
    }

    fn configure_proxies(&mut self) {
        let upstream: Vec<_> = self.origins.iter().map(|origin| format!("outpost+{}", origin.url())).collect();
        for proxy in &mut self.proxies {
            proxy.configure(&format!(
                "listen = [\"{}\"]\nadmin = \"{}:0\"\n[cache]\ndir = \"cache\"\nmax_size = \"1GiB\"\nmin_free = \"0%\"\n\
                 [serve]\nretry_delay = \"1s\"\n[origin]\nname = \"{}\"\nadvertise = \"{}\"\n\
                 [[upstream]]\nname = \"hq\"\nmount = \"/\"\nurl = \"{}\"\norigins = [\"{}\"]\n\
                 retry_backoff = \"10ms\"\nretry_backoff_max = \"50ms\"\nrate = \"1MB/s\"\n",
                proxy.socket(),
                proxy.socket().ip(),
                proxy.name(),
                proxy.url(),
                upstream[0],
                upstream[1],
            ));
        }
    }

    fn configure_agents(&mut self, origins: &str) {
        for (number, agent) in self.agents.iter_mut().enumerate() {
            let own = agent.socket().ip();
            let run = format!(
                "local = \"{}\"\n[origin]\nname = \"{}\"\nurls = [{origins}]\n\
                 [servers]\nlocal_address = \"{own}\"\nbackoff_first = \"200ms\"\nbackoff_max = \"1s\"\n\
                 connect_timeout = \"2s\"\nsilence_max = \"5s\"\n[cache]\nmax_size = \"1GiB\"\nmin_free = \"0%\"\n\
                 [peers]\nlisten = \"{own}:0\"\nextensions = [\"bin\"]\nmin_size = \"64KiB\"\nallow = [\"{}/24\"]\n\
                 [sharing]\ncpu_max = 100\ndisk_max = 100\nfree_min = \"0%\"\n",
                agent.socket(),
                agent.name(),
                address(number % DOMAINS.len(), 0),
            );
            agent.run(&["run"], &run);
        }
    }

    fn domain(&self, domain: usize) -> String {
        let (name, tier, _) = DOMAINS[domain];
        let begin = format!("{}-", name.replace('.', "-"));
        let is_of_it = |proxy: &&Machine| {
            proxy.name().strip_prefix(&begin).is_some_and(|rest| rest.bytes().all(|letter| letter.is_ascii_digit()))
        };
        let proxies = self.proxies.iter().filter(is_of_it);
        let proxies: Vec<_> =
            proxies.map(|proxy| format!("{{ name = \"{}\", url = \"{}\" }}", proxy.name(), proxy.url())).collect();
        format!(
            "[[domain]]\nname = \"{name}\"\ntier = \"{tier}\"\nranges = [\"{}/24\"]\nproxies = [{}]\n",
            address(domain, 0),
            proxies.join(", ")
        )
    }

    fn machines(&mut self) -> impl Iterator<Item = &mut Machine> {
        self.origins.iter_mut().chain(&mut self.proxies).chain(&mut self.agents)
    }

    /// A person at the machine of an agent wants a file.
    fn get(&self, agent: usize, path: &str, output: PathBuf) -> Program {
        let local = format!("--local={}", self.agents[agent].socket());
        let output = format!("--output={}", output.display());
        let arguments = ["get", path, &output, &local, "--silence-max=5s", "--json"];
        Program::start(env!("CARGO_BIN_EXE_outpost-agent-under-test").as_ref(), arguments, self.share.path())
    }
}

/// One file on its way to all agents.
struct Round {
    content: Content,
    path: String,
    outputs: tempfile::TempDir,
}

impl Round {
    /// Publishes the file, and waits until both origins know it.
    fn new(site: &Site, number: u64) -> Self {
        let content = Content::random(number, FILE_LEN);
        let path = format!("/Redist/package-{number}/data.bin");
        site.share.write(&path[1..], &content);
        for origin in &site.origins {
            wait::until_true("the origin knows the digest", || {
                let head = Ask::head(&path).try_fetch(origin.socket());
                head.is_ok_and(|answer| answer.field("Repr-Digest").is_some())
            });
        }
        Self { content, path, outputs: tempfile::tempdir().expect("a temporary directory") }
    }

    fn directory(&self, agent: usize) -> PathBuf {
        self.outputs.path().join(agent.to_string())
    }

    fn start_all(&self, site: &Site) -> Vec<Program> {
        let start = |agent: usize| {
            fs::create_dir_all(self.directory(agent)).expect("a directory");
            site.get(agent, &self.path, self.directory(agent).join("data.bin"))
        };
        (0..AGENTS).map(start).collect()
    }

    /// Waits until some of the file is with a person.
    fn wait_for_the_middle(&self) {
        wait::until_true("something has come", || {
            let directories = (0..AGENTS).filter_map(|agent| fs::read_dir(self.directory(agent)).ok());
            directories.flatten().flatten().filter_map(|entry| entry.metadata().ok()).any(|found| found.len() > 0)
        });
    }

    #[track_caller]
    fn expect_all(&self, programs: Vec<Program>, what: &str) {
        for (agent, mut program) in programs.into_iter().enumerate() {
            let status = program.wait();
            assert!(status.success(), "{what}: the get at agent {agent} ended with {status}: {}", program.printed());
            let found = fs::read(self.directory(agent).join("data.bin")).expect("the file that it has brought");
            assert_eq!(md5_hex(&found), self.content.md5_hex(), "{what}: agent {agent}");
        }
    }
}

#[test]
fn whoever_is_killed_every_download_ends_right() {
    let mut site = Site::new();
    site.machines().for_each(Machine::start);
    let round = Round::new(&site, 1);
    round.expect_all(round.start_all(&site), "nobody is killed");
    for victim in 0..site.machines().count() {
        let round = Round::new(&site, 100 + victim as u64);
        let programs = round.start_all(&site);
        round.wait_for_the_middle();
        let machine = site.machines().nth(victim).expect("there are so many");
        machine.kill();
        let what = format!("{} is killed", machine.name());
        // Who asks the agent of its own machine waits for that one, and everybody else for nobody.
        let is_agent = machine.name().starts_with("agent");
        if is_agent {
            machine.start();
        }
        round.expect_all(programs, &what);
        if !is_agent {
            // It comes back to its place, and is of use again.
            let machine = site.machines().nth(victim).expect("there are so many");
            machine.start();
            fetch(machine.socket(), &round.path).expect(&round.content);
        }
    }
}
