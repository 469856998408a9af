//! The branch: headquarters with an origin, the line, proxies and agents, each a process at an address of its own.

use std::{
    fs, io,
    net::SocketAddr,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};
use serde_json::Value;

use super::{
    Programs, ask,
    net::Net,
    program::{Program, Used},
    variant::Terms,
};
use crate::line::Line;

/// How long it may take until the origin has read the file, and until every agent knows its proxies.
const READY_MAX: Duration = Duration::from_secs(60);
/// And until no proxy fetches anything any more.
const IDLE_MAX: Duration = Duration::from_secs(120);
/// How often is looked.
const LOOK: Duration = Duration::from_millis(50);

/// How large it all is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scale {
    pub(crate) agents: usize,
    /// Bytes a second; `None`: no thin line.
    pub(crate) line: Option<u64>,
    /// Of agents after a first failure.
    pub(crate) backoff: Duration,
}

/// A branch that runs.
pub(crate) struct Site {
    pub(crate) net: Net,
    pub(crate) line: Line,
    origin: Program,
    pub(crate) proxies: Vec<Program>,
    agents: Vec<Program>,
    share: PathBuf,
    /// Bytes that proxies sent before they were killed, and that came to them.
    lost: Vec<Proxied>,
}

/// What crossed a proxy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Proxied {
    pub(crate) to_clients: u64,
    pub(crate) from_upstream: u64,
    pub(crate) requests: u64,
}

impl Site {
    /// Starts everybody below `place`, and waits until each agent knows its proxies.
    pub(crate) async fn start(place: &Path, programs: &Programs, terms: Terms, scale: Scale) -> anyhow::Result<Self> {
        let net = Net::claim().context("no addresses for the branch")?;
        let share = place.join("share");
        fs::create_dir(&share)?;
        let line = Line::start(net.line(), net.origin(), scale.line).await.context("cannot listen for the line")?;
        let text = origin(&net, &share, terms, scale);
        let mut origin = Program::new("origin".into(), &programs.origin, &[], &text, place, net.origin())?;
        origin.start()?;
        origin.wait_until_it_listens().await?;
        let proxies = (0..terms.proxies).map(|number| {
            let text = proxy(&net, number, terms);
            Program::new(name_of_proxy(number), &programs.proxy, &[], &text, place, net.proxy(number).0)
        });
        let agents = (0..scale.agents).map(|number| {
            let text = agent(&net, number, terms, scale);
            Program::new(format!("agent-{number}"), &programs.agent, &["run"], &text, place, net.agent(number).0)
        });
        let (proxies, agents) = (proxies.collect::<io::Result<Vec<_>>>()?, agents.collect::<io::Result<Vec<_>>>()?);
        let lost = vec![Proxied::default(); proxies.len()];
        let mut site = Self { net, line, origin, proxies, agents, share, lost };
        site.start_the_branch().await?;
        Ok(site)
    }

    async fn start_the_branch(&mut self) -> anyhow::Result<()> {
        for programs in [&mut self.proxies, &mut self.agents] {
            programs.iter_mut().try_for_each(Program::start)?;
            for program in programs {
                program.wait_until_it_listens().await?;
            }
        }
        self.wait_until_all("knows its proxies", |status| {
            status["servers"].as_array().is_some_and(|servers| !servers.is_empty())
        })
        .await
    }

    /// Until it is so at every agent.
    pub(crate) async fn wait_until_all(&self, what: &str, is_so: impl Fn(&Value) -> bool) -> anyhow::Result<()> {
        let begun = Instant::now();
        for (number, agent) in self.agents.iter().enumerate() {
            while !ask::get(self.net.agent(number).0, "/v1/status").await.is_ok_and(|status| is_so(&status)) {
                if begun.elapsed() > READY_MAX {
                    bail!("not every agent {what} after {READY_MAX:?}; {} says:{}", agent.name, agent.last_lines());
                }
                tokio::time::sleep(LOOK).await;
            }
        }
        Ok(())
    }

    /// Publishes a file, and waits until the origin knows its digest.
    pub(crate) async fn publish(&self, name: &str, bytes: &[u8]) -> anyhow::Result<()> {
        let aside = self.share.with_file_name(name);
        fs::write(&aside, bytes)?;
        fs::rename(aside, self.share.join(name))?;
        let (begun, target) = (Instant::now(), format!("/.outpost/v1/info/{name}"));
        while ask::get(self.net.origin(), &target).await.is_err() {
            if begun.elapsed() > READY_MAX {
                bail!("the origin has not read {name} after {READY_MAX:?}; it says:{}", self.origin.last_lines());
            }
            tokio::time::sleep(LOOK).await;
        }
        Ok(())
    }

    /// How many agents there are.
    pub(crate) fn agents(&self) -> usize {
        self.agents.len()
    }

    /// What each proxy has sent and fetched so far, before it was killed too.
    pub(crate) async fn proxied(&self) -> Vec<Proxied> {
        let mut all = Vec::new();
        for (place, lost) in self.lost.iter().enumerate() {
            all.push(add(*lost, seen(self.net.proxy(place).1).await.unwrap_or_default()));
        }
        all
    }

    /// Bytes that have come down the line to agents so far: all others were asked for by proxies.
    pub(crate) fn down_to_agents(&self) -> u64 {
        (0..self.agents.len()).map(|place| self.line.down_to(self.net.agent(place).0.ip())).sum()
    }

    /// Waits until no proxy fetches anything any more.
    pub(crate) async fn wait_until_idle(&self) -> anyhow::Result<()> {
        let begun = Instant::now();
        for (place, program) in self.proxies.iter().enumerate() {
            while fills(self.net.proxy(place).1).await.is_none_or(|fills| fills > 0) {
                if begun.elapsed() > IDLE_MAX {
                    bail!("{} still fetches something after {IDLE_MAX:?}:{}", program.name, program.last_lines());
                }
                tokio::time::sleep(LOOK).await;
            }
        }
        Ok(())
    }

    /// kill -9 of a proxy.
    pub(crate) async fn kill_proxy(&mut self, place: usize) {
        self.lost[place] = self.proxied().await[place];
        self.proxies[place].kill();
    }

    /// The same proxy again, with what is on its disk.
    pub(crate) async fn start_proxy(&mut self, place: usize) -> anyhow::Result<()> {
        self.proxies[place].start()?;
        self.proxies[place].wait_until_it_listens().await
    }

    /// What the agents have used so far.
    pub(crate) fn used(&self) -> Vec<Used> {
        self.agents.iter().map(Program::used).collect()
    }

    /// What one says of itself, for a message.
    pub(crate) fn said_by_agent(&self, number: usize) -> String {
        self.agents[number].last_lines()
    }
}

fn add(one: Proxied, other: Proxied) -> Proxied {
    Proxied {
        to_clients: one.to_clients + other.to_clients,
        from_upstream: one.from_upstream + other.from_upstream,
        requests: one.requests + other.requests,
    }
}

/// What a proxy tells of itself.
async fn seen(admin: SocketAddr) -> io::Result<Proxied> {
    let status = ask::get(admin, "/v1/status").await?;
    let number = |pointer: &str| status.pointer(pointer).and_then(Value::as_u64).unwrap_or(0);

    Ok(Proxied {
        to_clients: number("/bytes/to_clients"),
        from_upstream: number("/bytes/from_upstream"),
        requests: number("/requests/total"),
    })
}

/// How many contents a proxy fetches now. `None`: it does not answer.
async fn fills(admin: SocketAddr) -> Option<usize> {
    let status = ask::get(admin, "/v1/status").await.ok()?;
    status["fills"].as_array().map(Vec::len)
}

fn name_of_proxy(number: usize) -> String {
    format!("proxy-{}", number + 1)
}

fn quoted(all: &[String]) -> String {
    all.iter().map(|one| format!("\"{one}\"")).collect::<Vec<_>>().join(", ")
}

fn origin(net: &Net, share: &Path, terms: Terms, scale: Scale) -> String {
    let (headquarters, branch) = net.ranges(scale.agents);
    let proxies: Vec<_> = (0..terms.proxies)
        .map(|place| format!("{{ name = \"{}\", url = \"http://{}/\" }}", name_of_proxy(place), net.proxy(place).0))
        .collect();
    format!(
        "listen = [\"{}\"]\norigins = [\"http://{}/\"]\n[catalogue]\ndirectory = \"{}\"\nsettle = \"100ms\"\n\
         [sources]\nretry_min = \"1s\"\n\
         [[domain]]\nname = \"hq\"\ntier = \"unconstrained\"\nranges = [\"{headquarters}\"]\nproxies = []\n\
         [[domain]]\nname = \"hq.branch\"\ntier = \"constrained\"\nranges = [{}]\nproxies = [{}]\n",
        net.origin(),
        net.line(),
        share.display(),
        quoted(&branch),
        proxies.join(", "),
    )
}

fn proxy(net: &Net, place: usize, terms: Terms) -> String {
    let (files, admin) = net.proxy(place);
    format!(
        "listen = [\"{files}\"]\nadmin = \"{admin}\"\nmode = \"{}\"\n[cache]\ndir = \"cache\"\nmax_size = \"16GiB\"\nmin_free = \"0%\"\n\
         [serve]\nmax_requesters = {}\nretry_delay = \"{}s\"\n[origin]\nname = \"{}\"\nadvertise = \"http://{files}/\"\n\
         [[upstream]]\nname = \"hq\"\nmount = \"/\"\nurl = \"outpost+http://{}/\"\n",
        terms.mode,
        terms.max_requesters,
        terms.retry_delay.as_secs(),
        name_of_proxy(place),
        net.line(),
    )
}

fn agent(net: &Net, number: usize, terms: Terms, scale: Scale) -> String {
    let (local, peers) = net.agent(number);
    format!(
        "local = \"{local}\"\n[origin]\nname = \"agent-{number}\"\nurls = [\"http://{}/\"]\n\
         [servers]\nlocal_address = \"{}\"\nbackoff_first = \"{}ms\"\nbackoff_max = \"{}ms\"\n\
         [cache]\nmax_size = \"4GiB\"\nmin_free = \"0%\"\n[peers]\nlisten = \"{peers}\"\nuploads = {}\nallow = [{}]\n\
         [sharing]\ncpu_max = 100\ndisk_max = 100\nfree_min = \"0%\"\n",
        net.line(),
        local.ip(),
        scale.backoff.as_millis(),
        scale.backoff.as_millis().max(1_000) * 40,
        terms.uploads,
        quoted(&net.ranges(scale.agents).1),
    )
}
