//! Commands that an agent which was killed has left running: they are known by a mark in their environment, and ended before their command runs again.

use std::{fs, time::Duration};

use os::process::{Signal, signal_group};

/// The variable with the mark.
pub(super) const MARK: &str = "OUTPOST_JOB_RUN";
/// How often it is looked whether they have ended, and how many times.
const LOOK_EVERY: Duration = Duration::from_millis(20);
const LOOKS_MAX: u32 = 500;
/// Bytes of an environment.
const ENVIRONMENT_BYTES_MAX: u64 = 4 << 20;

/// Ends all processes with a mark, each with its group, and waits until they are gone; answers how many there were.
pub(super) async fn end(mark: &str) -> usize {
    let mut ended = 0;
    for _ in 0..LOOKS_MAX {
        let wanted = mark.to_owned();
        let found = tokio::task::spawn_blocking(move || marked(&wanted)).await.unwrap_or_default();
        if found.is_empty() {
            break;
        }
        ended = ended.max(found.len());
        for process in found {
            // Of a process that is no leader the group is its leader's; both are asked.
            let group = group_of(process).unwrap_or(process);
            if let Err(error) = signal_group(group, Signal::Kill) {
                tracing::warn!(process, %error, "what a job has left running cannot be ended");
            }
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
    ended
}

/// Processes of ours with this mark. Those that have ended and were not waited for have no environment.
fn marked(mark: &str) -> Vec<u32> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    let ids = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u32>().ok());
    let wanted = format!("{MARK}={mark}");
    ids.filter(|id| {
        *id != std::process::id() && environment(*id).split(|byte| *byte == 0).any(|line| line == wanted.as_bytes())
    })
    .collect()
}

fn environment(process: u32) -> Vec<u8> {
    use std::io::Read;
    let mut bytes = Vec::new();
    // One that is not ours cannot be read, and is none that we have started.
    let opened = fs::File::open(format!("/proc/{process}/environ"));
    drop(opened.and_then(|file| file.take(ENVIRONMENT_BYTES_MAX).read_to_end(&mut bytes)));
    bytes
}

/// The fifth field of `stat`, counted behind the name, which may have spaces and parentheses.
fn group_of(process: u32) -> Option<u32> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    stat.rsplit_once(')')?.1.split_ascii_whitespace().nth(2)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use std::{os::unix::process::CommandExt, process::Command};

    use super::*;

    #[tokio::test]
    async fn what_was_left_running_is_ended_with_its_children_and_nothing_else() {
        let mark = format!("test-{}", std::process::id());
        let start = |mark: &str| {
            let mut command = Command::new("sh");
            command.args(["-c", "sleep 1000 & wait"]).env(MARK, mark).process_group(0);
            command.spawn().unwrap()
        };
        let (mut left, mut other) = (start(&mark), start("another"));
        while marked(&mark).len() < 2 {
            tokio::task::yield_now().await;
        }
        assert_eq!(end(&mark).await, 2);
        assert!(!left.wait().unwrap().success());
        assert!(other.try_wait().unwrap().is_none(), "it has another mark");
        signal_group(other.id(), Signal::Kill).unwrap();
        other.wait().unwrap();
        assert_eq!(end(&mark).await, 0);
    }
}
