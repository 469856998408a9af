//! A program as a child process: started with what it prints kept, signalled, and always reaped.

use std::{
    ffi::OsStr,
    io::{BufRead, BufReader, Read},
    net::SocketAddr,
    path::Path,
    process::{Child, Command, ExitStatus, Stdio},
    sync::{Arc, Condvar, Mutex},
    thread,
};

use rustix::process::{Pid, Signal, WaitOptions, kill_process, waitpid};

use crate::wait::{self, PATIENCE};

/// A running program. Dropping it kills it, and shows what it printed if the test is failing.
pub struct Program {
    child: Child,
    output: Arc<Output>,
}

/// What a program has printed so far, on both streams.
#[derive(Default)]
struct Output {
    lines: Mutex<Lines>,
    more: Condvar,
}

#[derive(Default)]
struct Lines {
    text: Vec<String>,
    streams_ended: usize,
}

impl Output {
    /// Waits for lines behind the first `count`.
    fn behind(&self, count: usize) -> Result<Vec<String>, &'static str> {
        let lines = self.lines.lock().expect("no holder panics");
        let nothing = |lines: &mut Lines| lines.text.len() == count && lines.streams_ended < 2;
        let (lines, waited) = self.more.wait_timeout_while(lines, PATIENCE, nothing).expect("no holder panics");
        match &lines.text[count..] {
            [] if waited.timed_out() => Err("did not print"),
            [] => Err("ended without printing"),
            new => Ok(new.to_vec()),
        }
    }
}

impl Program {
    /// Starts an executable in a directory.
    pub fn start(executable: &Path, arguments: impl IntoIterator<Item = impl AsRef<OsStr>>, directory: &Path) -> Self {
        let mut command = Command::new(executable);
        command.args(arguments).current_dir(directory);
        Self::spawn(command)
    }

    /// Starts a prepared command; its standard streams are taken over.
    pub fn spawn(command: Command) -> Self {
        Self::spawn_with(command, &[])
    }

    /// Likewise, with options in its environment.
    pub fn spawn_with(mut command: Command, environment: &[(&str, &str)]) -> Self {
        // What the person who runs the tests has set must not change what is tested.
        for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("OUTPOST__")) {
            command.env_remove(name);
        }
        command.envs(environment.iter().copied());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap_or_else(|error| panic!("cannot start {command:?}: {error}"));
        let output = Arc::new(Output::default());
        collect(child.stdout.take().expect("stdout is piped"), output.clone());
        collect(child.stderr.take().expect("stderr is piped"), output.clone());
        Self { child, output }
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Everything it printed so far.
    pub fn printed(&self) -> String {
        self.output.lines.lock().expect("no holder panics").text.join("\n")
    }

    /// Waits for a line in which `find` finds something. Fails the test when the program ends without it.
    #[track_caller]
    pub fn find_line<T>(&self, what: &str, find: impl Fn(&str) -> Option<T>) -> T {
        let mut looked = 0;
        let trouble = loop {
            // What is looked for is looked for without the lock: that may fail, and what was printed is shown then.
            match self.output.behind(looked) {
                Ok(lines) => {
                    if let Some(found) = lines.iter().find_map(|line| find(line)) {
                        return found;
                    }
                    looked += lines.len();
                }
                Err(trouble) => break trouble,
            }
        };
        panic!("the program {trouble} {what}");
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) {
        kill_process(self.pid(), signal).expect("the child was not reaped yet");
    }

    fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    /// Stops it where it is, and answers when all its threads stand still. [`Program::resume`] lets it go on.
    pub fn freeze(&self) {
        self.signal(Signal::STOP);
        let stopped = waitpid(Some(self.pid()), WaitOptions::UNTRACED).expect("our own child");
        assert!(stopped.is_some_and(|(_, status)| status.stopped()), "the program ended when it was to stop");
    }

    /// Lets it go on after [`Program::freeze`].
    pub fn resume(&self) {
        self.signal(Signal::CONT);
    }

    /// Waits for its end.
    #[track_caller]
    pub fn wait(&mut self) -> ExitStatus {
        let status = wait::until("the program ends", || self.child.try_wait().expect("our own child"));
        // What it printed last may still be on its way through the pipes.
        let lines = self.output.lines.lock().expect("no holder panics");
        let ended = |lines: &mut Lines| lines.streams_ended < 2;
        drop(self.output.more.wait_timeout_while(lines, PATIENCE, ended).expect("no holder panics"));
        status
    }

    /// Whether it has ended.
    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().expect("our own child").is_some()
    }

    /// SIGKILL, and waits for the end.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        self.kill();
        if thread::panicking() {
            eprintln!("---- printed by process {}:\n{}\n----", self.id(), self.printed());
        }
    }
}

fn collect(stream: impl Read + Send + 'static, output: Arc<Output>) {
    thread::spawn(move || {
        for line in BufReader::new(stream).split(b'\n').map_while(Result::ok) {
            output.lines.lock().expect("no holder panics").text.push(String::from_utf8_lossy(&line).into_owned());
            output.more.notify_all();
        }
        output.lines.lock().expect("no holder panics").streams_ended += 1;
        output.more.notify_all();
    });
}

/// Runs a program that is to end by itself: its exit code and everything it printed.
#[track_caller]
pub fn run_to_end(
    executable: &Path,
    arguments: impl IntoIterator<Item = impl AsRef<OsStr>>,
    directory: &Path,
) -> (Option<i32>, String) {
    let mut program = Program::start(executable, arguments, directory);
    let status = program.wait();
    (status.code(), program.printed())
}

/// The address in a line that has one as `http://IP:PORT` or `https://IP:PORT`.
pub fn address_in(line: &str) -> Option<SocketAddr> {
    let (_, rest) = line.split_once("http://").or_else(|| line.split_once("https://"))?;
    let end = rest.find(|letter: char| !letter.is_ascii_digit() && letter != '.' && letter != ':');
    rest[..end.unwrap_or(rest.len())].parse().ok()
}
