//! What an agent spares: the line to servers, and the machine that somebody works at.

use protocol::schedule::Zone;

use super::settings::{Metered, Settings};
use crate::{
    option::{Kind, Setting},
    proxies::{is_server, with_slash},
    times::{self, Times},
};

type Agent = Setting<Settings>;

/// Bytes per second: 100 Gbit/s.
const RATE_MAX: u64 = 12_500_000_000;
/// Letters of an interface's name.
const INTERFACE_MAX: usize = 15;

pub(super) const TIME_ZONE: Agent = Agent::reload(
    "time_zone",
    "By whose clocks all times of day in this file are meant.",
    "`local` is what the machine is set to. Windows follow the clock on the wall when it is changed in spring and autumn.",
    Kind::Text {
        range: "`local`, `UTC`, or a name of the IANA database such as `Europe/Berlin`",
        check: |text| Zone::named(text).map(drop).map_err(|bad| bad.to_string()),
        put: |s, v| s.zone = Zone::named(&v).unwrap_or_default(),
        get: |s| s.zone.name().to_owned(),
    },
);

pub(super) const LINE_RATE: Agent = Agent::reload(
    "line.rate",
    "How fast bytes may come from proxies and origins, of all downloads together: `\"10Mbit/s\"`; `\"0\"` = no limit.",
    "Held by reading no faster. What comes from other agents of one's own networks does not count: that is not the line.",
    Kind::Rate { max: RATE_MAX, put: |s, v| s.line.rates.otherwise = v, get: |s| s.line.rates.otherwise },
);

pub(super) const LINE_RATE_RULES: Agent = Agent::reload(
    "line.rate_rules",
    "Other such rates at times of the day or week, by the clocks of `time_zone`. The first whose time it is holds, and `line.rate` when none does.",
    "In the environment they are written `Mon-Fri 08:00-17:00 = 500kbit/s; Sat,Sun 00:00-24:00 = 0`.",
    Kind::RateRules { put: |s, v| s.line.rates.rules = v, get: |s| s.line.rates.rules.clone() },
);

pub(super) const LINE_BLACKOUT: Agent = Agent::reload(
    "line.blackout",
    "When nothing is brought from proxies and origins, by the clocks of `time_zone`.",
    "What is on its way stops at its byte and goes on behind the window; other agents are asked all the same. A `get` that does not use the service knows nothing of it.",
    Kind::Texts {
        range: "such as `08:00-17:00` or `Mon-Fri 22:00-06:00`",
        check: times::check,
        put: |s, v| s.line.blackout = Times::of(v),
        get: |s| s.line.blackout.texts().to_vec(),
    },
);

pub(super) const PEERS_RATE: Agent = Agent::reload(
    "peers.rate",
    "How fast bytes leave for other agents, all together; `\"0\"` = no limit.",
    "Each transfer has an equal share, and the kernel paces it.",
    Kind::Rate { max: RATE_MAX, put: |s, v| s.peers.rates.otherwise = v, get: |s| s.peers.rates.otherwise },
);

pub(super) const PEERS_RATE_RULES: Agent = Agent::reload(
    "peers.rate_rules",
    "Other such rates at times of the day or week, by the clocks of `time_zone`.",
    "Written as those of `line.rate_rules`.",
    Kind::RateRules { put: |s, v| s.peers.rates.rules = v, get: |s| s.peers.rates.rules.clone() },
);

pub(super) const PEERS_FIND: Agent = Agent::reload(
    "peers.find",
    "Whether agents in the same networks find each other without anybody who knows them: by multicast (mDNS, `_outpost._tcp`).",
    "At most 30 are known. Networks of containers and tunnels are left out. Where multicast is not let through nobody is found, and nothing else follows from it.",
    Kind::Switch { put: |s, v| s.peers.find = v, get: |s| s.peers.find },
);

pub(super) const PEERS_KNOWN: Agent = Agent::reload(
    "peers.known",
    "Other agents that are asked like those that were found.",
    "For networks that let no multicast through and have no origin that names them.",
    Kind::Texts {
        range: "`http://HOST:PORT/`",
        check: is_server,
        put: |s, v| s.peers.known = v.into_iter().map(with_slash).collect(),
        get: |s| s.peers.known.clone(),
    },
);

pub(super) const ON_BATTERY: Agent = Agent::reload(
    "sharing.on_battery",
    "Whether others are served while this machine runs on its battery.",
    "`false`: they are asked to come again.",
    Kind::Switch { put: |s, v| s.sharing.on_battery = v, get: |s| s.sharing.on_battery },
);

pub(super) const METERED: Agent = Agent::reload(
    "sharing.metered",
    "Whether this machine's line costs by the byte, and nothing is shared: `yes`, `no`, or `auto` = while the way to everybody else leads through one of `sharing.metered_interfaces`.",
    "A telephone that lends its line over Wi-Fi cannot be told from any other network: say `yes` there.",
    Kind::Word {
        words: &["auto", "yes", "no"],
        put: |s, v| s.sharing.metered = [Metered::Auto, Metered::Yes, Metered::No][v],
        get: |s| s.sharing.metered as usize,
    },
);

pub(super) const METERED_INTERFACES: Agent = Agent::reload(
    "sharing.metered_interfaces",
    "Interfaces of lines that cost by the byte, by the beginnings of their names.",
    "As shipped: radio modems, dialled lines, and telephones at a cable or over Bluetooth.",
    Kind::Texts {
        range: "1 to 15 letters, digits, `-`, `_`, `.`",
        check: is_interface,
        put: |s, v| s.sharing.metered_interfaces = v,
        get: |s| s.sharing.metered_interfaces.clone(),
    },
);

pub(super) const CPU_MAX: Agent = Agent::reload(
    "sharing.cpu_max",
    "Percent of the processors that may be busy, by whomever, while others are served.",
    "Above it for 20 s sharing stops, and goes on after a minute below three quarters of it. `100`: however busy they are.",
    Kind::Count { min: 1, max: 100, put: |s, v| s.sharing.cpu_max = v, get: |s| s.sharing.cpu_max },
);

pub(super) const DISK_MAX: Agent = Agent::reload(
    "sharing.disk_max",
    "Percent of the time in which some program waits for a disk (`/proc/pressure/io`), while others are served.",
    "Likewise. Where the kernel does not tell, it does not count.",
    Kind::Count { min: 1, max: 100, put: |s, v| s.sharing.disk_max = v, get: |s| s.sharing.disk_max },
);

pub(super) const FREE_MIN: Agent = Agent::reload(
    "sharing.free_min",
    "Least that is free on the cache's disk while others are served.",
    "A machine whose disk is full has other worries.",
    Kind::Limit { put: |s, v| s.sharing.free_min = v, get: |s| s.sharing.free_min },
);

pub(super) const NOT_DURING: Agent = Agent::reload(
    "sharing.not_during",
    "When nothing is shared, by the clocks of `time_zone`.",
    "What is being sent may end.",
    Kind::Texts {
        range: "such as `08:00-17:00` or `Mon-Fri 22:00-06:00`",
        check: times::check,
        put: |s, v| s.sharing.not_during = Times::of(v),
        get: |s| s.sharing.not_during.texts().to_vec(),
    },
);

fn is_interface(text: &str) -> Result<(), String> {
    let fits = |letter: u8| letter.is_ascii_alphanumeric() || matches!(letter, b'-' | b'_' | b'.');
    if (1..=INTERFACE_MAX).contains(&text.len()) && text.bytes().all(fits) {
        Ok(())
    } else {
        Err(format!("'{text}' is not the beginning of an interface's name, such as wwan"))
    }
}
