//! The distribution server of a branch office: wires configuration, store, cache and listeners, and ends them in good order.
//!
//! In reading order: this page is the program's life from its first to its last line; `arguments` is the server's command line, `command` that of who runs one, `preflight` what is looked
//! at before anything is touched, `self_signed` a certificate for whoever has none, `app` what the parts of the program share, `banner` and `console` what a person sees, `log` where events go,
//! `life` signals, reload and drain, `belonging` what it and its origin say to each other, `snapshot` all figures of one moment, `admin` the admin interface, `token` what it asks for.
//!
//! It holds no policy of its own: what is fetched, kept, sent or refused is decided in the libraries.
#![forbid(unsafe_code)]

mod admin;
mod app;
mod arguments;
mod banner;
mod belonging;
mod command;
mod console;
mod failure;
mod life;
mod log;
mod preflight;
mod self_signed;
mod snapshot;
mod token;

use std::{
    io::{ErrorKind, Write},
    process::ExitCode,
    sync::Arc,
    time::{Duration, SystemTime},
};

use anyhow::{Context, anyhow};
use cache::Cache;
use config::Settings;
use serve::{access_log::AccessLog, server::Server};
use store::{OpenError, Store};
use tokio::runtime::{Builder, Handle};

use crate::{
    admin::listener::Listener,
    app::{App, Parts},
    arguments::Arguments,
    belonging::begin::{self, Begun},
    command::Asked,
    console::Console,
    failure::Failure,
    life::Signals,
    self_signed::SelfSigned,
};

pub use admin::metrics::reference as metrics_reference;
pub use command::reference::text as command_line_reference;

/// How long tasks may take to notice that the program ends; one that hangs in a system call does not keep it.
const TASKS_END_TIMEOUT: Duration = Duration::from_secs(2);

/// The program: reads the command line, runs until it is told to end, and answers the exit code.
pub fn main() -> ExitCode {
    let ended = match Asked::parse() {
        Asked::Serve(arguments) => run(&Arc::from(arguments)),
        Asked::Command(command, matches) => command.run(&matches),
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.tell(),
    }
}

fn run(arguments: &Arc<Arguments>) -> Result<(), Failure> {
    let begun = begin::load(arguments)?;
    let loaded = &begun.loaded;
    if arguments.print_config {
        print(&config::print::effective(loaded));
        return Ok(());
    }
    preflight::all(&loaded.settings)?;
    if arguments.check_config {
        print("the configuration is good\n");
        begun.complaint.iter().for_each(|complaint| print(&format!("{}\n", without_delivered(complaint))));
        return Ok(());
    }
    let console = Console::start(arguments.line && !logs_to_terminal(&loaded.settings));
    log::start(&arguments.log, &console)?;
    let open_files_max = os::process::raise_open_files();
    preflight::listen("listen", &loaded.settings.serve.listen)?;
    preflight::listen("tls-listen", &loaded.settings.serve.tls.listen)?;
    preflight::listen("tls-redirect", &loaded.settings.serve.tls.redirect)?;
    let admin = Listener::bind(&loaded.settings.admin)?;

    // Fetches have threads of their own, so that what they do never delays a hit, nor the admin interface.
    let fetches = Builder::new_multi_thread()
        .thread_name("fetch")
        .enable_all()
        .build()
        .context("cannot start the threads that fetch")?;
    let control = Builder::new_current_thread().enable_all().build().context("cannot start the control thread")?;
    let ended = control.block_on(serve(arguments, begun, open_files_max, admin, console, fetches.handle()));
    fetches.shutdown_timeout(TASKS_END_TIMEOUT);
    control.shutdown_timeout(TASKS_END_TIMEOUT);
    ended
}

/// From the open store to the closed one.
async fn serve(
    arguments: &Arc<Arguments>,
    begun: Begun,
    open_files_max: u64,
    admin: Listener,
    console: Console,
    fetches: &Handle,
) -> Result<(), Failure> {
    // Before anything is opened, so that a signal that comes early ends in good order too.
    let mut signals = Signals::listen().context("cannot listen for signals")?;
    let Begun { loaded, sources, complaint } = begun;
    if let Some(complaint) = complaint {
        tracing::error!("{}", without_delivered(&complaint));
    }
    let mut settings = loaded.settings.clone();
    if let Some(complaint) = preflight::fit_open_files(&loaded, &mut settings, open_files_max) {
        tracing::warn!("{complaint}");
    }
    settings.store.pinning = settings.cache.pinning();
    let own = speak_tls(&mut settings)?;
    let token = preflight::token(&settings)?;
    let app = Arc::new(App::new(loaded, sources, open_files_max, token));
    let admin_address = admin::start(admin, app.clone()).context("cannot start the admin interface")?;

    let access_log = open_access_log(&settings)?;
    let store = open_store(settings.store.clone()).await?;
    let parts = match start(&settings, &store, access_log, fetches) {
        Ok(parts) => parts,
        Err(failure) => {
            store.close().await;
            return Err(failure);
        }
    };
    console.say(&banner::text(&settings, &parts.describe(&settings, admin_address, own)));
    app.serving(parts);
    let line = console.follow(app.clone());
    let belonging = tokio::spawn(belonging::run(app.clone()));

    life::run(&app, arguments, &mut signals).await;
    belonging.abort();
    life::end(&app, &mut signals).await;
    line.abort();
    console.finish();
    Ok(())
}

/// Makes a certificate where there is none to speak TLS with, and says of all how long they hold.
fn speak_tls(settings: &mut Settings) -> Result<Option<SelfSigned>, Failure> {
    let (tls, own) = self_signed::tls_options(settings)?;
    if let Some(credentials) = preflight::credentials(&tls)? {
        preflight::expiring(&credentials.identities, SystemTime::now())
            .iter()
            .for_each(|warning| tracing::warn!("{warning}"));
    }
    settings.serve.tls = tls;
    Ok(own)
}

/// Opening reads files, so it has a thread of its own: the admin interface answers meanwhile that the start is under way.
async fn open_store(options: store::Options) -> Result<Store, Failure> {
    let opened = tokio::task::spawn_blocking(|| Store::open(options)).await.context("cannot open the cache")?;
    opened.map_err(|error| match &error {
        OpenError::Limits { .. } => Failure::configuration(error),
        // The messages have their causes in them already.
        OpenError::Io { source, .. } => Failure::Run(anyhow!("{error}; {}", advice(source.kind()))),
        _ => Failure::Run(anyhow!("{error} with --cache-dir DIR")),
    })
}

/// What to do about a cache directory that the file system refuses.
fn advice(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::PermissionDenied => {
            "allow the user that runs this program to write there, or choose another directory with --cache-dir DIR"
        }
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => {
            "make room on that disk, or choose a directory on another one with --cache-dir DIR"
        }
        ErrorKind::AlreadyExists | ErrorKind::NotADirectory => {
            "a file stands in the way: choose another directory with --cache-dir DIR"
        }
        ErrorKind::Unsupported => "set cache.disk_engine = \"threads\"",
        _ => "choose another directory with --cache-dir DIR",
    }
}

fn start(
    settings: &Settings,
    store: &Store,
    access_log: Option<AccessLog>,
    fetches: &Handle,
) -> Result<Parts, Failure> {
    let cache = Cache::new(settings.cache.clone(), store.clone(), fetches.clone()).map_err(anyhow::Error::from)?;
    let handler = Arc::new(cache.clone());
    let server = Server::start(settings.serve.clone(), handler, access_log.clone()).map_err(anyhow::Error::from)?;
    Ok(Parts { store: store.clone(), cache, server: Arc::new(server), access_log })
}

/// Before the cache directory is touched, for it may be refused.
fn open_access_log(settings: &Settings) -> Result<Option<AccessLog>, Failure> {
    let Some(path) = &settings.access_log else { return Ok(None) };
    let log = AccessLog::open(path, settings.access_log_format);
    Ok(Some(log.map_err(|error| anyhow!("{error}; choose another file with --access-log PATH"))?))
}

fn without_delivered(complaint: &str) -> String {
    format!("what the origin delivered last is not used, and this proxy starts with its own configuration: {complaint}")
}

/// Whoever asked for it and closed the pipe has read enough.
fn print(text: &str) {
    drop(std::io::stdout().write_all(text.as_bytes()));
}

/// An access log on the terminal would be torn by the live line.
fn logs_to_terminal(settings: &Settings) -> bool {
    settings.access_log.as_deref() == Some("-".as_ref()) && std::io::IsTerminal::is_terminal(&std::io::stdout())
}
