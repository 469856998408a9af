//! The command line. The only place of the origin that knows flags.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use clap::{Parser, ValueEnum};
use config::value::{parse_address, parse_duration};

use crate::admission::{PLACES_MAX, PLACES_MIN};

const AFTER_HELP: &str = "\
Simplest use: outpost-origin --share /srv/share
Messages and what to do: docs/messages.md. RUST_LOG=debug logs more, RUST_LOG=warn less.
Exit codes: 0 told to end, 1 cannot start, 2 wrong command line.";

/// Publishes a directory and tells the digests of its files.
#[derive(Clone, Debug, Parser)]
#[command(name = "outpost-origin", version, after_help = AFTER_HELP)]
pub struct Options {
    /// The directory to publish: a local disk, or an SMB or NFS mount.
    #[arg(long, value_name = "DIR")]
    pub share: PathBuf,

    /// Where to serve files; may be given several times.
    #[arg(long, value_name = "IP:PORT", default_value = "0.0.0.0:8090", value_parser = parse_address)]
    pub listen: Vec<SocketAddr>,

    /// Where to serve /healthz, /readyz and /metrics.
    #[arg(long, value_name = "IP:PORT", value_parser = parse_address)]
    pub admin: Option<SocketAddr>,

    /// File in which digests are kept, so that a restart reads no file again; must not lie in the share.
    #[arg(long, value_name = "FILE", default_value = "outpost-origin.db")]
    pub database: PathBuf,

    /// File for a line per request, appended to; "-" is standard output.
    #[arg(long, value_name = "PATH|-")]
    pub access_log: Option<PathBuf>,

    /// How the lines of the access log look.
    #[arg(long, value_name = "WORD", value_enum, default_value_t)]
    pub access_log_format: LogFormat,

    /// How often the whole share is looked through for changes that were not announced (network mounts announce none).
    #[arg(long, value_name = "DURATION", default_value = "10m", value_parser = parse_duration)]
    pub rescan: Duration,

    /// A file is read for its digest only when it has been unchanged for so long.
    #[arg(long, value_name = "DURATION", default_value = "2s", value_parser = parse_duration)]
    pub settle: Duration,

    /// Do not ask the kernel for changes (inotify); only the rescan finds them.
    #[arg(long)]
    pub no_watch: bool,

    /// Questions (what there is, where to get it, reports) that are answered at once; files take no part. What is more waits, then is told to come
    /// again: proxies that others depend on are admitted before those behind thin lines, and these before clients.
    #[arg(long, value_name = "N", default_value_t = 16, value_parser = parse_places)]
    pub max_concurrent_info_requests: u32,

    /// How long what is being sent may take to finish after SIGTERM.
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = parse_duration)]
    pub drain_timeout: Duration,
}

/// How the lines of the access log look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// Apache's combined format and two fields more.
    #[default]
    Combined,
    /// One JSON object per line.
    Json,
}

impl Options {
    /// Every default, for a share and a database; listens on any free port of the loopback interface. For tests and other programs.
    pub fn for_share(share: impl Into<PathBuf>, database: impl Into<PathBuf>) -> Self {
        Self {
            share: share.into(),
            database: database.into(),
            listen: vec![SocketAddr::from(([127, 0, 0, 1], 0))],
            ..Self::parse_from(["outpost-origin", "--share", "."])
        }
    }
}

/// Each tier has a share of them.
fn parse_places(text: &str) -> Result<u32, String> {
    let (least, most) = (PLACES_MIN as u32, PLACES_MAX as u32);
    let places = text.parse().ok().filter(|places| (least..=most).contains(places));
    places.ok_or_else(|| format!("give a number from {least} to {most}"))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_definition_is_sound_and_the_defaults_are_those_of_the_design() {
        Options::command().debug_assert();
        let options = Options::parse_from(["outpost-origin", "--share", "/srv/share"]);
        assert_eq!(options.listen, [SocketAddr::from(([0, 0, 0, 0], 8090))]);
        assert_eq!(options.rescan, Duration::from_secs(600));
        assert_eq!(options.admin, None);
    }

    #[test]
    fn each_tier_has_a_place() {
        for (places, is_valid) in [("2", false), ("3", true), ("4096", true), ("4097", false), ("many", false)] {
            let arguments = ["outpost-origin", "--share", ".", "--max-concurrent-info-requests", places];
            assert_eq!(Options::try_parse_from(arguments).is_ok(), is_valid, "{places}");
        }
    }

    #[test]
    fn a_bad_duration_is_refused() {
        let arguments = ["outpost-origin", "--share", ".", "--rescan", "soon"];
        assert!(Options::try_parse_from(arguments).is_err_and(|error| error.to_string().contains("soon")));
    }
}
