//! A server as a child: started on its processor, its output in a file, measured with all its processes, and always stopped.

use std::{
    collections::BTreeSet,
    fs::{self, File},
    net::{SocketAddr, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};
use rustix::process::{Pid, Signal, kill_process};

use crate::pause::pause;

/// How long a server may take to listen.
const START_MAX: Duration = Duration::from_secs(20);

/// How long it may take to end when it is asked to; then it is killed.
const STOP_MAX: Duration = Duration::from_secs(5);

/// How often is looked.
const LOOK: Duration = Duration::from_millis(10);

/// Lines of its output that are shown when it does not start.
const LINES_SHOWN: usize = 5;

/// The ids of the children that run, for whoever must end them all.
#[derive(Clone, Debug, Default)]
pub(crate) struct Running(Arc<Mutex<BTreeSet<u32>>>);

/// A running server.
pub(crate) struct Process {
    name: String,
    child: Child,
    log: PathBuf,
    running: Running,
}

impl Running {
    fn change<T>(&self, change: impl FnOnce(&mut BTreeSet<u32>) -> T) -> T {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Asks all to end and waits for it; who does not is killed. The children stay to be reaped.
    pub(crate) fn stop_all(&self) {
        let all = self.change(|pids| pids.clone());
        all.iter().for_each(|pid| signal(*pid, Signal::TERM));
        let asked = Instant::now();
        while all.iter().any(|pid| is_alive(*pid)) && asked.elapsed() < STOP_MAX {
            pause(LOOK);
        }
        all.iter().filter(|pid| is_alive(**pid)).for_each(|pid| signal(*pid, Signal::KILL));
    }
}

impl Process {
    /// Starts `command` from this thread, pinned to processor `cpu`, and waits until it listens everywhere. This thread is pinned to `back` afterwards,
    /// and must live as long as the server.
    pub(crate) fn start(
        name: &str,
        mut command: Command,
        log: PathBuf,
        (cpu, back): (usize, &[usize]),
        listens: &[SocketAddr],
        running: &Running,
    ) -> anyhow::Result<Self> {
        let output = File::create(&log).with_context(|| format!("cannot write {}", log.display()))?;
        command.stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output);
        os::process::end_with_thread(&mut command);
        os::process::pin_thread(cpu).with_context(|| format!("cannot pin to processor {cpu}"))?;
        let spawned = command.spawn();
        os::process::pin_thread_to(back).with_context(|| format!("cannot pin to processors {back:?}"))?;
        let child = spawned.with_context(|| format!("cannot start {name} ({command:?})"))?;
        running.change(|pids| pids.insert(child.id()));
        let mut process = Self { name: name.to_owned(), child, log, running: running.clone() };
        listens.iter().try_for_each(|address| process.wait_until_it_listens(*address))?;
        Ok(process)
    }

    fn wait_until_it_listens(&mut self, address: SocketAddr) -> anyhow::Result<()> {
        let began = Instant::now();
        while TcpStream::connect(address).is_err() {
            if let Some(status) = self.child.try_wait()? {
                bail!("{} ended ({status}) before it listened on {address}{}", self.name, last_lines(&self.log));
            }
            if began.elapsed() > START_MAX {
                bail!("{} does not listen on {address} after {START_MAX:?}{}", self.name, last_lines(&self.log));
            }
            pause(LOOK);
        }
        Ok(())
    }

    /// It and all its descendants that serve.
    pub(crate) fn pids(&self) -> Vec<u32> {
        let parents: Vec<_> = all_processes().filter_map(|pid| Some((pid, parent(pid)?))).collect();
        let mut found = vec![self.child.id()];
        let mut next = 0;
        while let Some(&of) = found.get(next) {
            found.extend(parents.iter().filter(|(_, parent)| *parent == of).map(|(pid, _)| *pid));
            next += 1;
        }
        // nginx has one that only looks through the cache after the start and ends then.
        found.retain(|pid| !command_line(*pid).contains("cache loader"));
        found
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        signal(self.child.id(), Signal::TERM);
        let asked = Instant::now();
        while matches!(self.child.try_wait(), Ok(None)) && asked.elapsed() < STOP_MAX {
            pause(LOOK);
        }
        // Where it has ended already, both say so.
        let _ = self.child.kill();
        let _ = self.child.wait();
        self.running.change(|pids| pids.remove(&self.child.id()));
    }
}

/// Who has ended already needs no signal.
fn signal(pid: u32, signal: Signal) {
    if let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) {
        let _ = kill_process(pid, signal);
    }
}

/// Whether it has not ended; one that waits to be reaped has.
fn is_alive(pid: u32) -> bool {
    stat(pid).is_some_and(|stat| !stat.starts_with('Z'))
}

fn all_processes() -> impl Iterator<Item = u32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

fn parent(pid: u32) -> Option<u32> {
    stat(pid)?.split_ascii_whitespace().nth(1)?.parse().ok()
}

/// What stands in `/proc/PID/stat` behind the name: the state, the parent's id, ...
fn stat(pid: u32) -> Option<String> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    Some(text.rsplit_once(')')?.1.trim_start().to_owned())
}

fn command_line(pid: u32) -> String {
    fs::read(format!("/proc/{pid}/cmdline")).map_or(String::new(), |bytes| String::from_utf8_lossy(&bytes).into_owned())
}

/// What it said last, for a message.
fn last_lines(log: &Path) -> String {
    let text = fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<_> = text.lines().collect();
    lines[lines.len().saturating_sub(LINES_SHOWN)..].iter().map(|line| format!("\n  {line}")).collect()
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;
    use crate::compare::ports::{free_ports, loopback};

    fn sleeper(running: &Running) -> (Process, TcpListener) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let cpus = os::process::allowed_cpus().unwrap();
        let mut command = Command::new("sh");
        // It takes its child along: nothing of a test outlives it.
        command.args(["-c", "trap 'kill $!; exit' TERM; sleep 600 & wait"]);
        let log = tempfile::NamedTempFile::new().unwrap().into_temp_path().to_path_buf();
        let process =
            Process::start("sleeper", command, log, (cpus[0], &cpus), &[listener.local_addr().unwrap()], running)
                .unwrap();
        (process, listener)
    }

    #[test]
    fn a_server_is_all_its_processes_and_ends_when_dropped() {
        let running = Running::default();
        let (process, _listener) = sleeper(&running);
        while process.pids().len() < 2 {
            std::thread::yield_now();
        }
        let id = process.child.id();
        drop(process);
        assert!(!is_alive(id) && running.change(|pids| pids.is_empty()));
    }

    #[test]
    fn all_can_be_stopped_at_once() {
        let running = Running::default();
        let (process, _listener) = sleeper(&running);
        running.stop_all();
        assert!(!is_alive(process.child.id()));
    }

    #[test]
    fn what_does_not_start_says_why() {
        let mut command = Command::new("sh");
        command.args(["-c", "echo the reason; exit 3"]);
        let [port] = free_ports().unwrap();
        let cpus = os::process::allowed_cpus().unwrap();
        let log = tempfile::NamedTempFile::new().unwrap().into_temp_path().to_path_buf();
        let started = Process::start("it", command, log, (cpus[0], &cpus), &[loopback(port)], &Running::default());
        let error = started.err().unwrap().to_string();
        assert!(error.contains("before it listened") && error.contains("the reason"), "{error}");
    }
}
