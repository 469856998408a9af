//! A program of the branch as a child: started where it belongs, killed and started again at the same place, measured, and gone with this one.

use std::{
    fs::{self, File},
    io,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};
use os::process::cpu_time_of;
use tokio::net::TcpStream;

/// How long one may take to listen, with all the others that start at the same time.
const START_MAX: Duration = Duration::from_secs(30);
/// How often is looked.
const LOOK: Duration = Duration::from_millis(10);
/// Lines of its log that are shown when it does not start.
const LINES_SHOWN: usize = 5;
/// Options of the person who measures are none of those that are measured.
const OPTIONS: [&str; 2] = ["OUTPOST__", "OUTPOST_AGENT_"];

/// A program, running or not.
pub(crate) struct Program {
    pub(crate) name: String,
    executable: PathBuf,
    arguments: Vec<String>,
    /// What it keeps, also when it is killed.
    directory: PathBuf,
    listens: SocketAddr,
    child: Option<Child>,
    /// Of those that were killed.
    used: Used,
}

/// What a program has used.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Used {
    /// Processor time.
    pub(crate) cpu: Duration,
    /// The most bytes that were its own or those of its files in memory.
    pub(crate) resident: u64,
    /// Bytes of its own now.
    pub(crate) anonymous: u64,
}

impl Program {
    /// One that is not running yet, with `text` as its configuration in a directory of its own below `place`.
    pub(crate) fn new(
        name: String,
        executable: &Path,
        command: &[&str],
        text: &str,
        place: &Path,
        listens: SocketAddr,
    ) -> io::Result<Self> {
        let directory = place.join(&name);
        fs::create_dir(&directory)?;
        let file = directory.join("configuration.toml");
        fs::write(&file, text)?;
        let arguments = command.iter().map(ToString::to_string).chain(["--config".into(), file.display().to_string()]);
        let (executable, arguments) = (executable.to_owned(), arguments.collect());
        Ok(Self { name, executable, arguments, directory, listens, child: None, used: Used::default() })
    }

    /// Starts it; [`Program::wait_until_it_listens`] is next.
    pub(crate) fn start(&mut self) -> anyhow::Result<()> {
        let log = File::options().append(true).create(true).open(self.log())?;
        let mut command = Command::new(&self.executable);
        command.args(&self.arguments).current_dir(&self.directory);
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        for (name, _) in std::env::vars_os().filter(|(name, _)| is_option(&name.to_string_lossy())) {
            command.env_remove(name);
        }
        os::process::end_with_thread(&mut command);
        self.child = Some(command.spawn().with_context(|| format!("cannot start {}", self.executable.display()))?);
        Ok(())
    }

    pub(crate) async fn wait_until_it_listens(&mut self) -> anyhow::Result<()> {
        let begun = Instant::now();
        while TcpStream::connect(self.listens).await.is_err() {
            if let Some(status) = self.child.as_mut().and_then(|child| child.try_wait().transpose()).transpose()? {
                bail!("{} ended ({status}) before it listened:{}", self.name, self.last_lines());
            }
            if begun.elapsed() > START_MAX {
                bail!("{} does not listen after {START_MAX:?}:{}", self.name, self.last_lines());
            }
            tokio::time::sleep(LOOK).await;
        }
        Ok(())
    }

    /// kill -9. What it had open is cut.
    pub(crate) fn kill(&mut self) {
        self.used = self.used();
        self.used.anonymous = 0;
        if let Some(mut child) = self.child.take() {
            // Where it has ended already, both say so.
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// What it has used so far, all its starts together.
    pub(crate) fn used(&self) -> Used {
        let Some(pid) = self.child.as_ref().map(Child::id) else { return self.used };
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        Used {
            cpu: self.used.cpu + cpu_time_of(pid).unwrap_or_default().total(),
            resident: self.used.resident.max(bytes(&status, "VmHWM:")),
            anonymous: bytes(&status, "RssAnon:"),
        }
    }

    fn log(&self) -> PathBuf {
        self.directory.join("log")
    }

    /// What it said last, for a message.
    pub(crate) fn last_lines(&self) -> String {
        let text = fs::read_to_string(self.log()).unwrap_or_default();
        let lines: Vec<_> = text.lines().collect();
        lines[lines.len().saturating_sub(LINES_SHOWN)..].iter().map(|line| format!("\n  {line}")).collect()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // Nothing of it is kept, so it need not end in order.
        self.kill();
    }
}

fn is_option(name: &str) -> bool {
    OPTIONS.iter().any(|begin| name.starts_with(begin))
}

/// A line of `/proc/PID/status`.
fn bytes(status: &str, name: &str) -> u64 {
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok()).unwrap_or(0) << 10
}

#[cfg(test)]
mod tests {
    use super::*;

    fn program(place: &Path, executable: &str, command: &[&str]) -> Program {
        let nobody = SocketAddr::from(([127, 0, 0, 1], 1));
        Program::new("it".into(), executable.as_ref(), command, "text", place, nobody).unwrap()
    }

    #[test]
    fn it_is_gone_when_it_is_killed_and_what_it_used_is_remembered() {
        let place = tempfile::tempdir().unwrap();
        let mut program = program(place.path(), "/bin/sh", &["-c", "sleep 600"]);
        program.start().unwrap();
        while program.used().resident == 0 {
            std::thread::yield_now();
        }
        let pid = program.child.as_ref().unwrap().id();
        program.kill();
        assert!(fs::metadata(format!("/proc/{pid}")).is_err());
        assert!(program.used().resident > 0 && program.used().anonymous == 0);
    }

    #[tokio::test]
    async fn one_that_ends_before_it_listens_says_why() {
        let place = tempfile::tempdir().unwrap();
        let mut program = program(place.path(), "/bin/sh", &["-c", "echo the reason; exit 3"]);
        program.start().unwrap();
        let error = program.wait_until_it_listens().await.unwrap_err().to_string();
        assert!(error.contains("before it listened") && error.contains("the reason"), "{error}");
    }
}
