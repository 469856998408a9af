//! The origin as a child, on its own processor.

use std::{
    fs,
    io::{BufRead, BufReader},
    net::SocketAddr,
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};
use os::process::{CpuTime, cpu_time_of};

use super::client::Client;
use crate::pause::pause;

/// How long it may take until everything is written.
const WRITTEN_WITHIN: Duration = Duration::from_secs(30);

/// A running one. Dropping it kills it.
pub(crate) struct Server {
    child: Child,
    address: SocketAddr,
    admin: SocketAddr,
}

impl Server {
    /// With an empty share, and its databases in a directory.
    pub(crate) fn start(program: &Path, directory: &Path, cpu: usize, back: usize) -> anyhow::Result<Self> {
        let share = directory.join("share");
        fs::create_dir_all(&share)?;
        let mut command = Command::new(program);
        command.arg("--share").arg(share).arg("--database").arg(directory.join("origin.db"));
        command.args(["--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"]);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::inherit()).env("RUST_LOG", "warn");
        command.env("OUTPOST__REGISTRY__DATABASE", directory.join("registry.db"));
        os::process::end_with_thread(&mut command);
        os::process::pin_thread(cpu).with_context(|| format!("cannot pin to processor {cpu}"))?;
        let spawned = command.spawn();
        os::process::pin_thread(back)?;
        let mut child = spawned.with_context(|| format!("cannot start {}", program.display()))?;
        let Some(said) = child.stdout.take() else { bail!("its output cannot be read") };
        let mut address = None;
        for line in BufReader::new(said).lines() {
            let line = line?;
            let after = |word| {
                line.trim()
                    .strip_prefix(word)
                    .map(|url: &str| url.trim().trim_start_matches("http://").trim_end_matches('/').to_owned())
            };
            address = address.or(after("serves").and_then(|text| text.parse().ok()));
            let admin = after("admin").and_then(|text| text.parse().ok());
            if let (Some(address), Some(admin)) = (address, admin) {
                return Ok(Self { child, address, admin });
            }
        }
        bail!("{} ended before it served", program.display())
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn cpu(&self) -> anyhow::Result<CpuTime> {
        Ok(cpu_time_of(self.child.id())?)
    }

    /// Bytes of memory that it has now.
    pub(crate) fn memory(&self) -> anyhow::Result<u64> {
        self.status("VmRSS:")
    }

    /// The most that it had.
    pub(crate) fn memory_peak(&self) -> anyhow::Result<u64> {
        self.status("VmHWM:")
    }

    fn status(&self, name: &str) -> anyhow::Result<u64> {
        let text = fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = text.lines().find_map(|line| line.strip_prefix(name));
        let kib: u64 =
            line.and_then(|rest| rest.split_whitespace().next()).context("the kernel does not say")?.parse()?;
        Ok(kib << 10)
    }

    /// Of `outpost_origin_...`.
    pub(crate) fn metric(&self, name: &str) -> anyhow::Result<u64> {
        let text = Client::connect(self.admin)?.get("/metrics")?.text();
        let name = format!("outpost_origin_{name} ");
        let value = text.lines().find_map(|line| line.strip_prefix(&name));
        Ok(value.with_context(|| format!("there is no metric {name}"))?.parse()?)
    }

    pub(crate) fn wait_until_written(&self) -> anyhow::Result<()> {
        let began = Instant::now();
        while self.metric("registry_unwritten")? > 0 {
            if began.elapsed() > WRITTEN_WITHIN {
                bail!("the registry is not written after {WRITTEN_WITHIN:?}");
            }
            pause(Duration::from_millis(20));
        }
        Ok(())
    }

    /// As if the power were cut, for the program.
    pub(crate) fn kill(mut self) -> anyhow::Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Where it has ended already, both say so.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
