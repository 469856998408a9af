//! Runs the command of a job: without a shell, in the directory of its tree, in a group of its own, with an end to its time. Its group is ended whenever it is not waited
//! for any more.

use std::{
    io,
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    time::Duration,
};

use os::process::{Signal, signal_group};
use protocol::jobs::Job;
use tokio::{io::AsyncReadExt, net::unix::pipe::Receiver, process, time::timeout};

use super::{
    output::{self, Output},
    stray::MARK,
};
use crate::decide::jobs::{plan::End, tree::Tree};

/// Between the request to end and the end by force.
const GRACE: Duration = Duration::from_secs(5);
/// What a command has left in the background may still print for so long.
const LAST_WORDS: Duration = Duration::from_secs(1);
/// Variables of the service that a command does not get: they are options, and may be secrets.
const OWN_PREFIX: &str = "OUTPOST";

/// What is run, and for what.
pub(super) struct Running<'a> {
    pub(super) job: &'a Job,
    pub(super) words: &'a [String],
    pub(super) limit: Duration,
    /// The tree, and where it is.
    pub(super) dir: &'a Path,
    pub(super) tree: &'a Tree,
    pub(super) version: &'a str,
    pub(super) mark: &'a str,
    pub(super) output: &'a Path,
}

/// The group of a command that runs; dropping it ends the group at once.
struct Group(Option<u32>);

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(leader) = self.0 {
            // Nothing else can be done about what cannot be ended.
            drop(signal_group(leader, Signal::Kill));
        }
    }
}

impl Running<'_> {
    /// Runs it to its end; how it ended, and the end of what it printed. Dropping the future ends it.
    pub(super) async fn to_its_end(&self) -> (End, Vec<u8>) {
        let mut output = Output::new(self.output);
        match self.start() {
            Ok((mut child, mut printed)) => {
                let mut group = Group(child.id());
                let end = self.wait(&mut child, &mut group, &mut printed, &mut output).await;
                drop(timeout(LAST_WORDS, read(&mut printed, &mut output)).await);
                // What it has left in the background on purpose, such as a service, goes on; what ended too late is gone already.
                group.0 = None;
                (end, output.finish())
            }
            Err(error) => (End::NotStarted(format!("{}: {error}", self.words[0])), output.finish()),
        }
    }

    fn start(&self) -> io::Result<(process::Child, Receiver)> {
        let (printed, writer) = output::pipe()?;
        let mut command = process::Command::new(program(self.dir, &self.words[0]));
        command
            .args(&self.words[1..])
            .current_dir(self.dir)
            .env_clear()
            .envs(std::env::vars_os().filter(|(name, _)| !name.to_string_lossy().starts_with(OWN_PREFIX)))
            .env("OUTPOST_JOB", &self.job.name)
            .env("OUTPOST_JOB_DIR", self.dir)
            .env("OUTPOST_JOB_PACKAGE", &self.job.package)
            .env("OUTPOST_JOB_VERSION", self.version)
            .env("OUTPOST_JOB_TREE", self.tree.digest().to_string())
            .env(MARK, self.mark)
            .stdin(Stdio::null())
            .stdout(writer.try_clone()?)
            .stderr(writer)
            .process_group(0)
            .kill_on_drop(true);
        let child = command.spawn()?;
        Ok((child, printed))
    }

    async fn wait(
        &self,
        child: &mut process::Child,
        group: &mut Group,
        printed: &mut Receiver,
        output: &mut Output,
    ) -> End {
        let ended = timeout(self.limit, ended(child, printed, output)).await;
        match ended {
            Ok(status) => end_of(status),
            Err(_) => {
                let leader = group.0.unwrap_or_default();
                drop(signal_group(leader, Signal::Terminate));
                drop(timeout(GRACE, self::ended(child, printed, output)).await);
                drop(signal_group(leader, Signal::Kill));
                drop(child.wait().await);
                End::TimedOut(self.limit)
            }
        }
    }
}

/// The end of the command itself, while what it prints is taken.
async fn ended(child: &mut process::Child, printed: &mut Receiver, output: &mut Output) -> io::Result<ExitStatus> {
    tokio::select! {
        status = child.wait() => status,
        // It may have closed its output, and go on.
        () = read(printed, output) => child.wait().await,
    }
}

/// Takes what is printed, to its end. Dropping the future loses nothing.
async fn read(printed: &mut Receiver, output: &mut Output) {
    let mut piece = [0; 8 << 10];
    while let Ok(len @ 1..) = printed.read(&mut piece).await {
        output.take(&piece[..len]);
    }
}

fn end_of(status: io::Result<ExitStatus>) -> End {
    use std::os::unix::process::ExitStatusExt;
    match status {
        Ok(status) => match (status.code(), status.signal()) {
            (Some(code), _) => End::Code(code),
            (None, signal) => End::Signal(signal.unwrap_or_default()),
        },
        Err(error) => End::NotStarted(error.to_string()),
    }
}

/// A name with a `/` is one below the directory, unless it begins with one; any other is looked for in `PATH`.
fn program(dir: &Path, word: &str) -> PathBuf {
    if word.contains('/') { dir.join(word) } else { word.into() }
}

/// The path below the directory of a tree of the program that a command names, if it is of the tree.
pub(super) fn program_of_tree(word: &str) -> Option<PathBuf> {
    let is_below = word.contains('/') && !word.starts_with('/');
    // `./install` is the file `install`.
    is_below.then(|| Path::new(word).components().filter(|part| *part != std::path::Component::CurDir).collect())
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt};

    use super::*;

    async fn run(words: &[&str], limit: Duration) -> (End, String, tempfile::TempDir) {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("tool"), "#!/bin/sh\necho \"$OUTPOST_JOB|$OUTPOST_JOB_VERSION|$(pwd)|$1\"\n")
            .unwrap();
        fs::set_permissions(directory.path().join("tool"), fs::Permissions::from_mode(0o755)).unwrap();
        let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        let job =
            Job { name: "office".into(), package: "/p/".into(), dir: "d".into(), on_ready: Vec::new(), time_limit: 1 };
        let tree = Tree::of("/p/", []).unwrap();
        let output = directory.path().join("output");
        let running = Running {
            job: &job,
            words: &words,
            limit,
            dir: directory.path(),
            tree: &tree,
            version: "16.0",
            mark: "m",
            output: &output,
        };
        let (end, told) = running.to_its_end().await;
        (end, String::from_utf8(told).unwrap(), directory)
    }

    const LONG: Duration = Duration::from_secs(60);

    #[tokio::test]
    async fn a_program_of_the_tree_is_run_there_and_knows_for_what() {
        let (end, told, directory) = run(&["./tool", "a b; $(c)"], LONG).await;
        let dir = directory.path().canonicalize().unwrap();
        assert_eq!((end, told), (End::Code(0), format!("office|16.0|{}|a b; $(c)\n", dir.display())));
        assert_eq!(fs::read(directory.path().join("output")).unwrap().len(), told_len(&dir));
    }

    fn told_len(dir: &Path) -> usize {
        format!("office|16.0|{}|a b; $(c)\n", dir.display()).len()
    }

    #[tokio::test]
    async fn how_it_ended_is_told_with_what_it_said() {
        for (words, expected, said) in [
            (&["sh", "-c", "echo out; echo err >&2; exit 3"][..], End::Code(3), "out\nerr\n"),
            (&["sh", "-c", "kill -9 $$"], End::Signal(9), ""),
            (&["sh", "-c", "exec >&- 2>&-; sleep 0.1; exit 4"], End::Code(4), ""),
            (&["sh", "-c", "env | grep -c ^CARGO; cat"], End::Code(0), ""),
        ] {
            let (end, told, _) = run(words, LONG).await;
            assert!(end == expected && told.starts_with(said), "{words:?}: {end:?} {told}");
        }
        let (end, ..) = run(&["./none"], LONG).await;
        assert!(matches!(&end, End::NotStarted(why) if why.starts_with("./none: ")), "{end:?}");
    }

    #[tokio::test]
    async fn what_takes_too_long_is_gone_with_its_children() {
        let limit = Duration::from_millis(300);
        let (end, told, _) = run(&["sh", "-c", "sleep 1000 & echo $!; wait"], limit).await;
        assert_eq!(end, End::TimedOut(limit));
        let stat = || fs::read_to_string(format!("/proc/{}/stat", told.trim())).unwrap_or_default();
        while !stat().is_empty() && !stat().contains(") Z ") {
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn what_stays_in_the_background_holds_nobody_up() {
        let (end, told, _) = run(&["sh", "-c", "sleep 3 & echo here"], LONG).await;
        assert_eq!((end, told.as_str()), (End::Code(0), "here\n"));
    }

    #[test]
    fn programs_of_the_tree_are_known() {
        for (word, expected) in
            [("./install", Some("install")), ("bin/x", Some("bin/x")), ("sh", None), ("/bin/sh", None)]
        {
            assert_eq!(program_of_tree(word).as_deref(), expected.map(Path::new), "{word}");
        }
    }
}
