//! What comes out of the layers of an agent.

use std::{
    net::{IpAddr, SocketAddr},
    path::PathBuf,
    time::Duration,
};

use protocol::{patience::Backoff, rate::Rates, schedule::Zone};
use serve::clients::ranges::Ranges;
use store::Limit;

use crate::times::Times;

/// Objects' files that an agent keeps open: few ask it.
const OPEN_FILES_MAX: usize = 16;

/// Everything that can be set, checked.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where programs of this machine ask the service.
    pub local: Option<SocketAddr>,
    /// Who knows what there is.
    pub origins: Origins,
    /// Who has it.
    pub servers: Servers,
    /// The service's own cache.
    pub store: store::Options,
    /// Contents that are brought at once.
    pub downloads_max: usize,
    /// By whose clocks all times of day are meant.
    pub zone: Zone,
    /// How what comes from servers may use the line.
    pub line: Line,
    /// What others may have.
    pub peers: Peers,
    /// Packages that are kept for the origin.
    pub jobs: Jobs,
    /// When they may not.
    pub sharing: Sharing,
}

/// See [`Settings::line`].
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Line {
    /// Bytes per second, of all downloads together.
    pub rates: Rates,
    /// When nothing is brought over it.
    pub blackout: Times,
}

/// See [`Settings::origins`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origins {
    /// In the order in which they are asked.
    pub urls: Vec<String>,
    /// Unlike all others; empty: the host's name.
    pub name: String,
    /// With what it enrols.
    pub token_file: Option<PathBuf>,
    /// Where its credential and the last configuration that was delivered are kept.
    pub state_dir: PathBuf,
    /// Between two reports; zero: as the origin says.
    pub report_every: Duration,
    /// Whether it is listened to what the origin tells as it happens.
    pub changes: bool,
}

/// See [`Settings::servers`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Servers {
    /// In the order in which they are asked.
    pub urls: Vec<String>,
    /// Authorities to believe, in place of the system's.
    pub authorities: Option<PathBuf>,
    /// From which of this machine's addresses they are asked; `None`: the system chooses.
    pub local_address: Option<IpAddr>,
    /// For a connection.
    pub connect_timeout: Duration,
    /// For each next piece of an answer.
    pub silence_max: Duration,
    /// After failures.
    pub backoff: Backoff,
}

/// See [`Settings::peers`].
#[derive(Clone, Debug, PartialEq)]
pub struct Peers {
    /// Where they are served.
    pub listen: Option<SocketAddr>,
    /// Transfers at once; 0: nothing is shared.
    pub uploads: usize,
    /// Of which files, by the ends of their names.
    pub extensions: Vec<String>,
    /// Bytes of the smallest that is shared.
    pub min_size: u64,
    /// Who is served; none: the networks that this machine is in.
    pub allow: Ranges,
    /// Under which URL others reach it; empty: found out.
    pub advertise: String,
    /// How fast bytes leave for them all together.
    pub rates: Rates,
    /// Whether those in the same networks are found by multicast, and find this one.
    pub find: bool,
    /// Others that are known beforehand.
    pub known: Vec<String>,
}

/// See [`Settings::sharing`].
#[derive(Clone, Debug, PartialEq)]
pub struct Sharing {
    /// Also while no mains are there.
    pub on_battery: bool,
    /// Whether the line costs by the byte.
    pub metered: Metered,
    /// Interfaces whose lines do, by the beginnings of their names.
    pub metered_interfaces: Vec<String>,
    /// Percent of the processors that may be busy.
    pub cpu_max: u64,
    /// Percent of the time that somebody may be waiting for a disk.
    pub disk_max: u64,
    /// Least that is free on the cache's disk.
    pub free_min: Limit,
    /// Times without.
    pub not_during: Times,
}

/// Whether the line costs by the byte.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Metered {
    /// It is seen from where most of the traffic leaves.
    #[default]
    Auto,
    /// It does.
    Yes,
    /// It does not.
    No,
}

impl Default for Settings {
    fn default() -> Self {
        let mut store = store::Options::new("outpost-agent-cache");
        store.max_size = Limit::Percent(10.0);
        // A machine that somebody works at: little memory, few open files.
        (store.open_files_max, store.hot_bytes_max) = (OPEN_FILES_MAX, 0);
        (store.quarantine_max, store.history_max) = (0, 0);
        (store.names_max, store.fill_buffer_max) = (100_000, 1 << 20);
        Self {
            local: Some(SocketAddr::from(([127, 0, 0, 1], 7777))),
            origins: Origins::default(),
            servers: Servers::default(),
            store,
            downloads_max: 4,
            zone: Zone::named("local").unwrap_or_default(),
            line: Line::default(),
            peers: Peers::default(),
            jobs: Jobs::default(),
            sharing: Sharing::default(),
        }
    }
}

/// See [`Settings::jobs`].
#[derive(Clone, Debug, PartialEq)]
pub struct Jobs {
    /// Where they are kept.
    pub dir: PathBuf,
    /// What stays free there.
    pub min_free: Limit,
    /// Between two looks at each.
    pub every: Duration,
    /// Within which one acts on what everybody hears at the same moment.
    pub spread: Duration,
    /// What is run for each, in place of what the origin says.
    pub on_ready: Vec<String>,
    /// Whether what the origin says is run.
    pub commands: bool,
    /// The longest time of a command.
    pub time_limit: Duration,
    /// Whether files go with a job that is none of this machine's any more.
    pub remove_unassigned: bool,
}

impl Default for Jobs {
    fn default() -> Self {
        Self {
            dir: "outpost-agent-jobs".into(),
            min_free: Limit::Percent(5.0),
            every: Duration::from_secs(3_600),
            spread: Duration::from_secs(60),
            on_ready: Vec::new(),
            commands: false,
            time_limit: Duration::from_secs(3_600),
            remove_unassigned: false,
        }
    }
}

impl Default for Origins {
    fn default() -> Self {
        Self {
            urls: Vec::new(),
            name: String::new(),
            token_file: None,
            state_dir: "outpost-agent-origin".into(),
            report_every: Duration::ZERO,
            changes: true,
        }
    }
}

impl Default for Servers {
    fn default() -> Self {
        Self {
            urls: Vec::new(),
            authorities: None,
            local_address: None,
            connect_timeout: Duration::from_secs(5),
            silence_max: Duration::from_secs(30),
            backoff: Backoff::default(),
        }
    }
}

impl Default for Peers {
    fn default() -> Self {
        Self {
            listen: Some(SocketAddr::from(([0, 0, 0, 0], 7778))),
            uploads: 2,
            extensions: ["kit", "iso", "msi", "zip", "exe", "cab"].map(String::from).into(),
            min_size: 1 << 20,
            allow: Ranges::default(),
            advertise: String::new(),
            rates: Rates::default(),
            find: true,
            known: Vec::new(),
        }
    }
}

impl Default for Sharing {
    fn default() -> Self {
        Self {
            on_battery: false,
            metered: Metered::Auto,
            metered_interfaces: ["bnep", "ppp", "rmnet", "usb", "ww"].map(String::from).into(),
            cpu_max: 80,
            disk_max: 50,
            free_min: Limit::Percent(2.0),
            not_during: Times::default(),
        }
    }
}

impl Settings {
    /// All times of day by its clocks. A rate or window that was read in one zone is one in any other.
    pub(super) fn by_its_clocks(&mut self) {
        let zone = &self.zone;
        for rates in [&mut self.line.rates, &mut self.peers.rates] {
            *rates = rates.in_zone(zone).unwrap_or_else(|_| rates.clone());
        }
        for times in [&mut self.line.blackout, &mut self.sharing.not_during] {
            *times = times.in_zone(zone);
        }
    }
}

impl Origins {
    /// Where the credential is kept.
    pub fn credential_file(&self) -> PathBuf {
        self.state_dir.join("credential")
    }

    /// Where the last configuration that was delivered is kept.
    pub fn configuration_file(&self) -> PathBuf {
        self.state_dir.join("configuration.json")
    }
}
