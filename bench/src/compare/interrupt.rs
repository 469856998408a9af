//! Ctrl-C and SIGTERM: what was started is stopped, what was written aside is removed, and the program ends.

use std::{fs, io, path::PathBuf, process, thread};

use tokio::signal::unix::{SignalKind, signal};

use super::process::Running;

/// As shells show a program that ended by SIGINT.
const STATUS: i32 = 130;

/// From now on. `remove` is the directory that is not to be kept, if there is one.
pub(crate) fn watch(running: Running, remove: Option<PathBuf>) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    let inside = runtime.enter();
    let (mut interrupted, mut ended) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    drop(inside);
    thread::Builder::new().name("signals".into()).spawn(move || {
        runtime.block_on(async {
            tokio::select! {
                _ = interrupted.recv() => {}
                _ = ended.recv() => {}
            }
        });
        eprintln!("outpost-bench: interrupted; stopping what was started");
        running.stop_all();
        if let Some(directory) = remove {
            // It is in a directory for temporary files in any case.
            let _ = fs::remove_dir_all(directory);
        }
        process::exit(STATUS);
    })?;
    Ok(())
}
