//! What the server used while it was measured: the figure that does not depend on the load generator.

use anyhow::Context as _;
use clap::Args;
use os::process::{CpuTime, cpu_time_of};

/// Which processes are the server.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct ServerPids {
    /// Process id of the server, to report its processor time per unit of work; repeat it for servers of several processes.
    #[arg(long = "server-pid", value_name = "PID")]
    pids: Vec<u32>,
}

impl ServerPids {
    /// These.
    pub(crate) fn of(pids: Vec<u32>) -> Self {
        Self { pids }
    }

    /// Their processor time so far, or `None` if none was named.
    pub(crate) fn sample(&self) -> anyhow::Result<Option<CpuTime>> {
        if self.pids.is_empty() {
            return Ok(None);
        }
        let mut sum = CpuTime::default();
        for pid in &self.pids {
            let time = cpu_time_of(*pid).with_context(|| format!("cannot read the processor time of process {pid}"))?;
            sum = CpuTime { user: sum.user + time.user, system: sum.system + time.system };
        }
        Ok(Some(sum))
    }
}

/// What lies between two samples.
pub(crate) fn between(before: Option<CpuTime>, after: Option<CpuTime>) -> Option<CpuTime> {
    Some(after?.since(before?))
}
