//! The origin of a storm: a process of its own, with a share, a configuration and databases of its own, all of which are gone with it.

use std::{
    fs::{self, File},
    io,
    net::{Ipv4Addr, SocketAddr, TcpListener},
    path::{Path, PathBuf},
    process::{self, Child, Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};
use os::process::{CpuTime, cpu_time_of};
use tempfile::TempDir;

use crate::http::{Request, connect};

/// How long it may take to start.
const START_MAX: Duration = Duration::from_secs(20);
/// How often is looked.
const LOOK: Duration = Duration::from_millis(20);
/// Where packages are published, at `/`.
const SHARE: &str = "storm";

/// A running origin.
pub(crate) struct Server {
    child: Child,
    place: TempDir,
    pub(crate) address: SocketAddr,
    admin: SocketAddr,
}

/// What it has used, and what it tells of itself.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct State {
    pub(crate) cpu: CpuTime,
    /// Bytes.
    pub(crate) resident: u64,
    /// Bytes, the most so far.
    pub(crate) resident_peak: u64,
    pub(crate) connections: u64,
    /// Questions that wait to be admitted.
    pub(crate) waiting: u64,
}

impl Server {
    /// Starts the program with some lines of configuration of its own, and waits until it has seen its share.
    pub(crate) async fn start(program: &Path, configuration: &str) -> anyhow::Result<Self> {
        let place = tempfile::tempdir().context("cannot make a directory for the origin")?;
        let path = |name: &str| place.path().join(name);
        fs::create_dir(path(SHARE))?;
        fs::write(path(SHARE).join("readme.txt"), "nothing is published yet\n")?;
        let [address, admin] = free_addresses()?;
        let text = format!(
            "listen = [\"{address}\"]\nadmin = \"{admin}\"\norigins = [\"http://{address}/\"]\n{configuration}"
        );
        fs::write(path("origin.toml"), text)?;
        let log = File::create(path("log"))?;
        let mut command = Command::new(program);
        command.arg("--config").arg(path("origin.toml")).arg("--share").arg(path(SHARE)).current_dir(place.path());
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        os::process::end_with_thread(&mut command);
        let child = command.spawn().with_context(|| format!("cannot start {}", program.display()))?;
        let mut server = Self { child, place, address, admin };
        server.wait_until_ready().await?;
        Ok(server)
    }

    async fn wait_until_ready(&mut self) -> anyhow::Result<()> {
        let begun = Instant::now();
        while self.get("/readyz").await.map_or(true, |(status, _)| status != 200) {
            if let Some(status) = self.child.try_wait()? {
                bail!("the origin ended ({status}): {}", self.log());
            }
            if begun.elapsed() > START_MAX {
                bail!("the origin is not ready after {START_MAX:?}: {}", self.log());
            }
            tokio::time::sleep(LOOK).await;
        }
        Ok(())
    }

    /// What it has said.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.place.path().join("log")).unwrap_or_default()
    }

    /// Where a package is put together before it is published by a rename.
    pub(crate) fn workshop(&self) -> PathBuf {
        self.place.path().join("workshop")
    }

    /// Where packages are published.
    pub(crate) fn share(&self) -> PathBuf {
        self.place.path().join(SHARE)
    }

    /// How it is now.
    pub(crate) async fn state(&self) -> io::Result<State> {
        let pid = self.child.id();
        let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
        let (_, metrics) = self.get("/metrics").await?;
        Ok(State {
            cpu: cpu_time_of(pid)?,
            resident: kibibytes(&status, "VmRSS:") << 10,
            resident_peak: kibibytes(&status, "VmHWM:") << 10,
            connections: metric(&metrics, "outpost_origin_http_connections"),
            waiting: metric(&metrics, "outpost_origin_admission_waiting"),
        })
    }

    async fn get(&self, target: &str) -> io::Result<(u16, String)> {
        let request = Request { method: "GET", target, node: "storm", body: None, closes: true };
        let (reply, _) = request.send(connect(Ipv4Addr::LOCALHOST, self.admin).await?).await?.whole().await?;
        Ok((reply.status, String::from_utf8_lossy(&reply.body).into_owned()))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Nothing of it is kept, so it need not end in order.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A line of `/proc/PID/status`.
fn kibibytes(status: &str, name: &str) -> u64 {
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}

/// The sum of a metric over its labels.
fn metric(text: &str, name: &str) -> u64 {
    let value = |line: &str| {
        let (label, value) = line.rsplit_once(' ')?;
        let is_it = label == name || label.strip_prefix(name)?.starts_with('{');
        if is_it { value.parse::<u64>().ok() } else { None }
    };
    text.lines().filter_map(value).sum()
}

/// Free a moment ago, and nobody takes them meanwhile: they are of a loopback address that only this process uses.
fn free_addresses<const N: usize>() -> io::Result<[SocketAddr; N]> {
    let own = own_address(process::id());
    let listeners = std::iter::repeat_with(|| TcpListener::bind((own, 0))).take(N).collect::<io::Result<Vec<_>>>()?;
    let addresses = listeners.iter().map(TcpListener::local_addr).collect::<io::Result<Vec<_>>>()?;
    addresses.try_into().map_err(|_| io::Error::other("some addresses are missing"))
}

/// Beyond those of all machines of a storm.
fn own_address(process: u32) -> Ipv4Addr {
    let [_, high, middle, low] = process.to_be_bytes();
    // The last address of the network is none.
    Ipv4Addr::new(127, 240 | (high & 7), middle, low)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processes_have_addresses_of_their_own() {
        assert_eq!(own_address(0x0001_0203), Ipv4Addr::new(127, 241, 2, 3));
        assert_eq!(own_address(u32::MAX), Ipv4Addr::new(127, 247, 255, 255));
    }

    #[test]
    fn figures_are_found_in_what_it_tells() {
        let text = "# TYPE a gauge\na 7\na_b 9\na{tier=\"x\"} 2\na{tier=\"y\"} 3\n";
        assert_eq!((metric(text, "a"), metric(text, "a_b"), metric(text, "c")), (12, 9, 0));
        assert_eq!(kibibytes("Name:\tx\nVmRSS:\t   812 kB\nVmHWM: 900 kB\n", "VmRSS:"), 812);
    }
}
