//! What it is measured on, and which processors do what.

use std::fs;

use anyhow::{Context as _, bail};
use serde_json::{Value, json};

/// The machine and the shares of its processors.
#[derive(Clone, Debug)]
pub(crate) struct Machine {
    /// The processor's name.
    pub(crate) cpu: String,
    pub(crate) cores: usize,
    pub(crate) kernel: String,
    /// Where the servers run.
    pub(crate) server: usize,
    /// Where load and origin run.
    pub(crate) load: Vec<usize>,
}

impl Machine {
    /// Of this process: the servers on `server` (default: the first processor), load and origin on `load` (default: all others).
    pub(crate) fn look(server: Option<usize>, load: &[usize]) -> anyhow::Result<Self> {
        let allowed = os::process::allowed_cpus().context("cannot find out which processors there are")?;
        let (server, load) = share(&allowed, server, load)?;
        let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
        Ok(Self { cpu: model(&info), cores: allowed.len(), kernel: kernel.trim().to_owned(), server, load })
    }

    /// In one line.
    pub(crate) fn line(&self) -> String {
        let load: Vec<_> = self.load.iter().map(usize::to_string).collect();
        let Self { cpu, cores, kernel, server, .. } = self;
        let shared = if self.load.contains(server) { " too: throughput and latency mean nothing" } else { "" };
        let load = load.join(", ");
        format!("{cpu}, {cores} cores, Linux {kernel}; servers on core {server}, load and origin on {load}{shared}")
    }

    pub(crate) fn json(&self) -> Value {
        json!({
            "cpu": self.cpu, "cores": self.cores, "kernel": self.kernel, "server_cpu": self.server, "load_cpus": self.load,
        })
    }
}

/// One processor for the servers and others for the load; where there is only one, they share it.
fn share(allowed: &[usize], server: Option<usize>, load: &[usize]) -> anyhow::Result<(usize, Vec<usize>)> {
    if let [only] = *allowed {
        return Ok((only, vec![only]));
    }
    let first_free = || allowed.iter().copied().find(|cpu| !load.contains(cpu));
    let Some(server) = server.or_else(first_free) else { bail!("no processor is left for the servers") };
    let others = || allowed.iter().copied().filter(|cpu| *cpu != server).collect();
    let load: Vec<_> = if load.is_empty() { others() } else { load.to_vec() };
    if load.is_empty() || load.contains(&server) {
        bail!("servers and load need processors of their own: this machine offers {allowed:?}");
    }
    Ok((server, load))
}

/// Of `/proc/cpuinfo`; where it has no name there is at least the architecture.
fn model(info: &str) -> String {
    let field = |name: &str| {
        let line = info.lines().find(|line| line.starts_with(name))?;
        Some(line.split_once(':')?.1.trim().to_owned())
    };
    field("model name").unwrap_or_else(|| std::env::consts::ARCH.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_and_load_have_processors_of_their_own() {
        let ok = |allowed: &[usize], server, load: &[usize]| share(allowed, server, load).unwrap();
        assert_eq!(ok(&[0, 1], None, &[]), (0, vec![1]));
        assert_eq!(ok(&[2, 3, 5], None, &[]), (2, vec![3, 5]));
        assert_eq!(ok(&[0, 1, 2], Some(1), &[]), (1, vec![0, 2]));
        assert_eq!(ok(&[0, 1, 2], None, &[0, 1]), (2, vec![0, 1]));
        assert_eq!(ok(&[3], None, &[]), (3, vec![3]));
        for (allowed, server, load) in [(&[0, 1][..], Some(1), &[1][..]), (&[0, 1], None, &[0, 1])] {
            assert!(share(allowed, server, load).is_err(), "{allowed:?} {server:?} {load:?}");
        }
    }

    #[test]
    fn the_processor_has_a_name() {
        assert_eq!(model("processor\t: 0\nmodel name\t: Some CPU @ 2 GHz\n"), "Some CPU @ 2 GHz");
        assert_eq!(model(""), std::env::consts::ARCH);
    }
}
