//! From serving to the end: signals, reload, drain.
//!
//! | when | SIGTERM, SIGINT | SIGHUP |
//! | --- | --- | --- |
//! | serving | drain | reload |
//! | draining | cut what is left | nothing |

use std::{io, sync::Arc};

use config::{
    origin::{Loaded, needs_restart},
    value::show_duration,
};
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::mpsc,
};

use crate::{
    arguments::Arguments,
    origin::{Change, Origin},
};

/// Configurations that were read and wait to be taken.
const RELOADS_MAX: usize = 1;

/// The signals that mean something to us.
pub(crate) struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

enum Told {
    End,
    Reload,
}

impl Signals {
    /// From now on none of them ends the process by itself.
    pub(crate) fn listen() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    /// Dropping it loses no signal.
    async fn next(&mut self) -> Told {
        tokio::select! {
            _ = self.terminate.recv() => Told::End,
            _ = self.interrupt.recv() => Told::End,
            _ = self.hangup.recv() => Told::Reload,
        }
    }

    async fn end(&mut self) {
        while !matches!(self.next().await, Told::End) {}
    }
}

/// Until it has ended. `at_start` is the configuration that it was started with.
pub(crate) async fn run(origin: &Origin, arguments: &Arc<Arguments>, at_start: &Loaded, signals: &mut Signals) {
    let (read, mut to_take) = mpsc::channel(RELOADS_MAX);
    loop {
        tokio::select! {
            told = signals.next() => match told {
                Told::End => break,
                Told::Reload => {
                    let (read, arguments) = (read.clone(), arguments.clone());
                    // It reads files: a mount that hangs must not keep the program from ending. Nobody takes it any more when that is so.
                    tokio::task::spawn_blocking(move || drop(read.blocking_send(prepare(&arguments))));
                }
            },
            Some(prepared) = to_take.recv() => take(origin, at_start, prepared),
        }
    }
    drain(origin, at_start, signals).await;
}

/// A configuration that was read and found good.
type Prepared = Result<(Loaded, Change), String>;

fn prepare(arguments: &Arguments) -> Prepared {
    let loaded = arguments.load().map_err(|refused| refused.to_string())?;
    let change = Change::prepare(&loaded.settings).map_err(|error| error.to_string())?;
    Ok((loaded, change))
}

/// Takes a new configuration as a whole or not at all.
fn take(origin: &Origin, at_start: &Loaded, prepared: Prepared) {
    let taken = prepared.and_then(|(loaded, change)| {
        origin.take(change).map_err(|error| error.to_string())?;
        Ok(loaded)
    });
    match taken {
        Ok(new) => {
            tracing::info!("the configuration was read again and is in use");
            let restart = needs_restart(at_start, &new);
            if !restart.is_empty() {
                tracing::warn!(
                    "these options were changed, but are only taken with the next start: {}",
                    restart.join(", ")
                );
            }
        }
        Err(reason) => {
            tracing::error!("the new configuration is not used, and the old one stays in use: {reason}");
        }
    }
}

async fn drain(origin: &Origin, at_start: &Loaded, signals: &mut Signals) {
    let bound = show_duration(at_start.settings.serve.drain_timeout);
    tracing::info!(
        "told to end: what is being sent may go on for up to {bound} (--drain-timeout); a second signal ends at once"
    );
    let drained = async {
        match origin.drain().await {
            0 => tracing::info!("ended"),
            cut => tracing::warn!(transfers = cut, "what was not sent by the end of --drain-timeout was cut off"),
        }
    };
    tokio::select! {
        () = drained => {}
        () = signals.end() => origin.stop(),
    }
}
