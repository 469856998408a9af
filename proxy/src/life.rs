//! From serving to the end: signals, reload, drain.
//!
//! | when | SIGTERM, SIGINT, `POST /v1/drain` | SIGHUP | SIGUSR1 |
//! | --- | --- | --- | --- |
//! | serving | drain | reload | reopen the access log |
//! | draining | cut what is left | nothing | nothing |
//! | closing the store | end at once | nothing | nothing |

use std::{
    future::Future,
    io,
    sync::{Arc, atomic::Ordering},
    time::{Duration, SystemTime},
};

use config::{Delivered, Loaded, Sources, value::show_duration};
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    time::Instant,
};

use crate::{
    app::{App, Parts},
    arguments::Arguments,
    banner::counted,
    preflight, self_signed,
};

/// How often it is looked whether a certificate expires soon.
const DAY: Duration = Duration::from_secs(86_400);

/// The signals that mean something to us.
pub(crate) struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
    user1: Signal,
}

enum Told {
    End(&'static str),
    Reload,
    Reopen,
}

impl Signals {
    /// From now on none of them ends the process by itself.
    pub(crate) fn listen() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
            user1: signal(SignalKind::user_defined1())?,
        })
    }

    async fn next(&mut self, app: &App) -> Told {
        tokio::select! {
            _ = self.terminate.recv() => Told::End("SIGTERM"),
            _ = self.interrupt.recv() => Told::End("SIGINT"),
            () = app.drain_wanted.notified() => Told::End("the admin interface"),
            _ = self.hangup.recv() => Told::Reload,
            _ = self.user1.recv() => Told::Reopen,
        }
    }

    async fn end(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

/// Until the end is asked for. A reload has a thread of its own: it looks into directories, and a network share that hangs must not
/// keep the program from ending.
pub(crate) async fn run(app: &Arc<App>, arguments: &Arc<Arguments>, signals: &mut Signals) {
    let mut daily = tokio::time::interval_at(Instant::now() + DAY, DAY);
    loop {
        let told = tokio::select! {
            told = signals.next(app) => told,
            _ = daily.tick() => {
                tell_what_expires(app);
                continue;
            }
        };
        match told {
            Told::End(by) => {
                tracing::info!("told to end by {by}");
                return;
            }
            Told::Reload => {
                let (app, arguments) = (app.clone(), arguments.clone());
                tokio::task::spawn_blocking(move || reload(&app, &arguments));
            }
            Told::Reopen => reopen(app),
        }
    }
}

/// Finishes what is being sent, keeps what is being fetched for the next start, and writes the tables.
pub(crate) async fn end(app: &App, signals: &mut Signals) {
    app.draining();
    app.import.stop();
    app.export.stop();
    let Some(parts) = app.parts() else { return };
    drain(app, parts, signals).await;
    unless_told(signals, async {
        app.import.ended().await;
        app.export.ended().await;
        parts.cache.close().await;
        parts.store.close().await;
    })
    .await;
    tracing::info!("ended");
}

async fn drain(app: &App, parts: &Parts, signals: &mut Signals) {
    let transfers = parts.server.counters().transfers.load(Ordering::Relaxed);
    if transfers > 0 {
        let bound = show_duration(app.at_start.settings.serve.drain_timeout);
        let transfers = counted(transfers, "transfer");
        tracing::info!(
            "{transfers} may go on for up to {bound} (serve.drain_timeout); a second SIGTERM or SIGINT ends at once"
        );
    }
    let drained = tokio::select! {
        cut = parts.server.drain() => cut,
        () = signals.end() => {
            parts.server.stop();
            tracing::warn!("told to end a second time: what is being sent is cut off, and clients can resume it after the restart");
            return;
        }
    };
    if drained > 0 {
        let cut = counted(drained as u64, "transfer");
        tracing::warn!("{cut} cut off at the end of serve.drain_timeout; clients can resume after the restart");
    }
}

/// Another signal does not wait for a disk that hangs: the tables are right on disk at every moment, only use counts would be lost.
async fn unless_told(signals: &mut Signals, closing: impl Future<Output = ()>) {
    tokio::select! {
        () = closing => {}
        () = signals.end() => tracing::warn!("told to end once more: the cache is not closed in good order; only counts of use are lost"),
    }
}

/// Takes a new configuration as a whole or not at all.
fn reload(app: &App, arguments: &Arguments) {
    let Some(parts) = app.parts() else { return };
    let _one_at_a_time = app.reloading.lock();
    let taken = arguments.sources().map_err(|refused| refused.to_string()).and_then(|sources| {
        // What the origin has delivered stays above what the file says.
        let delivered = app.sources.lock().delivered.clone();
        renew(app, parts, Sources { delivered, ..sources })
    });
    match taken {
        Ok(restart) => {
            app.reloads.fetch_add(1, Ordering::Relaxed);
            app.last_reload_refused.store(false, Ordering::Relaxed);
            tracing::info!("the configuration was read again and is in use");
            app.reconfigured.notify_one();
            if !restart.is_empty() {
                tracing::warn!(
                    "these options were changed, but are only taken with the next start: {}",
                    restart.join(", ")
                );
            }
        }
        Err(reason) => {
            app.reloads_refused.fetch_add(1, Ordering::Relaxed);
            app.last_reload_refused.store(true, Ordering::Relaxed);
            tracing::error!("the new configuration is not used, and the old one stays in use: {reason}");
        }
    }
}

/// Takes what the origin delivers, over file, environment and flags as they were last read: whoever is writing at the file has not sent SIGHUP yet. As a whole or
/// not at all, as a reload does. Blocks.
pub(crate) fn deliver(app: &App, delivered: Delivered) -> Result<(), String> {
    let parts = app.parts().ok_or("the program is still starting")?;
    let _one_at_a_time = app.reloading.lock();
    let (generation, sources) = (delivered.generation, app.sources.lock().clone());
    let restart = renew(app, parts, Sources { delivered: Some(delivered), ..sources })?;
    let (options, left_out) = {
        let loaded = app.config.lock();
        (loaded.delivered().collect::<Vec<_>>().join(", "), loaded.left_out().to_vec())
    };
    tracing::info!(generation, options, "the configuration that the origin delivers is in use");
    for left in left_out {
        tracing::warn!(
            generation,
            option = left.option,
            "the origin delivers an option that is left out: {}",
            left.reason
        );
    }
    if !restart.is_empty() {
        tracing::warn!("these options were changed, but are only taken with the next start: {}", restart.join(", "));
    }
    Ok(())
}

/// Takes another configuration. Answers the options whose values are taken only with the next start.
fn renew(app: &App, parts: &Parts, sources: Sources) -> Result<Vec<&'static str>, String> {
    let new = config::load(&sources).map_err(|refused| refused.to_string())?;
    take(app, parts, &new)?;
    let restart = config::print::needs_restart(&app.at_start, &new);
    *app.sources.lock() = sources;
    *app.config.lock() = new;
    Ok(restart)
}

fn take(app: &App, parts: &Parts, new: &Loaded) -> Result<(), String> {
    preflight::upstreams(&new.settings).map_err(|refused| refused.to_string())?;
    preflight::limits(&new.settings).map_err(|refused| refused.to_string())?;
    let (tls, _) = self_signed::tls_options(&new.settings).map_err(|error| format!("{error:#}"))?;
    let credentials = preflight::credentials(&tls).map_err(|refused| refused.to_string())?;
    preflight::network_cards(&new.settings).map_err(|refused| refused.to_string())?;
    let token = preflight::token(&new.settings).map_err(|refused| refused.to_string())?;
    let old = app.config.lock().settings.store.clone();
    let store = &new.settings.store;
    parts.store.set_limits(store.max_size, store.min_free).map_err(|error| error.to_string())?;
    parts.cache.reconfigure(new.settings.cache.clone()).map_err(|error| {
        // The limits were in force a moment ago: they cannot be refused now.
        drop(parts.store.set_limits(old.max_size, old.min_free));
        error.to_string()
    })?;
    if let Some(credentials) = credentials {
        let expiring = preflight::expiring(&credentials.identities, SystemTime::now());
        // What can be wrong with them was found when they were read.
        parts.server.replace_credentials(credentials).map_err(|error| error.to_string())?;
        expiring.iter().for_each(|warning| tracing::warn!("{warning}"));
    }
    parts.server.replace_access(new.settings.serve.clients.access.clone());
    parts.server.replace_shares(new.settings.serve.shares.clone());
    // The address is taken with the next start only: until then what is open to others keeps its token.
    if token.is_some() || app.at_start.settings.admin.is_local() {
        *app.token.lock() = token;
    }
    Ok(())
}

/// What has no line at the start may have one some months later.
fn tell_what_expires(app: &App) {
    let Some(identities) = app.parts().and_then(|parts| parts.server.identities()) else { return };
    preflight::expiring(&identities, SystemTime::now()).iter().for_each(|warning| tracing::warn!("{warning}"));
}

fn reopen(app: &App) {
    let Some(log) = app.parts().and_then(|parts| parts.access_log.as_ref()) else { return };
    match log.reopen() {
        Ok(()) => tracing::info!("the access log was opened anew"),
        Err(error) => {
            tracing::error!("the access log is not opened anew, and its lines go on to the old file: {error}")
        }
    }
}
