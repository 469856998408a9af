//! How this machine is: reads a few lines of `/proc` and `/sys`. What follows from it is decided in `decide::sharing`.

use std::{
    fs,
    path::{Path, PathBuf},
};

use config::agent::{Metered, Sharing};
use store::Limit;

use crate::decide::sharing::{Conditions, Room};

/// Supplies of power that are looked at.
const SUPPLIES_MAX: usize = 32;

/// Looks, and remembers what it needs for the next look.
pub(super) struct Sampler {
    proc: PathBuf,
    sys: PathBuf,
    /// Of the cache.
    directory: PathBuf,
    /// Ticks of all processors when it was looked last: busy, and all.
    ticks: Option<(u64, u64)>,
}

impl Sampler {
    /// Of this machine.
    pub(super) fn new(directory: &Path) -> Self {
        Self::at("/proc".as_ref(), "/sys".as_ref(), directory)
    }

    fn at(proc: &Path, sys: &Path, directory: &Path) -> Self {
        Self { proc: proc.into(), sys: sys.into(), directory: directory.into(), ticks: None }
    }

    /// How it is now; the processors since the look before.
    pub(super) fn look(&mut self, options: &Sharing) -> Conditions {
        let read = |path: &str| fs::read_to_string(self.proc.join(path)).unwrap_or_default();
        let ticks = ticks(&read("stat"));
        let before = std::mem::replace(&mut self.ticks, ticks);
        Conditions {
            on_battery: on_battery(&self.sys.join("class/power_supply")),
            is_metered: match options.metered {
                Metered::Yes => true,
                Metered::No => false,
                Metered::Auto => {
                    let way = way_out(&read("net/route"), &read("net/ipv6_route"));
                    way.is_some_and(|name| options.metered_interfaces.iter().any(|begin| name.starts_with(begin)))
                }
            },
            processors: before.zip(ticks).and_then(|(before, now)| busy(before, now)),
            disk: waits(&read("pressure/io")),
            room: room(&self.directory, options.free_min),
        }
    }
}

/// Whether some battery of the machine itself feeds it, and no mains do. That of a mouse is none of it.
fn on_battery(supplies: &Path) -> bool {
    let Ok(entries) = fs::read_dir(supplies) else { return false };
    let (mut is_fed, mut drains) = (false, false);
    for entry in entries.filter_map(Result::ok).take(SUPPLIES_MAX) {
        let read = |name: &str| fs::read_to_string(entry.path().join(name)).unwrap_or_default().trim().to_owned();
        match read("type").as_str() {
            "Mains" | "USB" | "Wireless" => is_fed |= read("online") == "1",
            "Battery" | "UPS" if read("scope") != "Device" => drains |= read("status") == "Discharging",
            _ => {}
        }
    }
    drains && !is_fed
}

/// Ticks in which processors were busy, and all: user, nice, system, idle, waiting for disks, interrupts, theirs, stolen by other machines.
fn ticks(stat: &str) -> Option<(u64, u64)> {
    let line = stat.lines().next()?.strip_prefix("cpu ")?;
    let ticks: Vec<u64> = line.split_whitespace().take(8).filter_map(|word| word.parse().ok()).collect();
    let idle = ticks.get(3)?.saturating_add(*ticks.get(4)?);
    let all = ticks.iter().fold(0, |sum: u64, ticks| sum.saturating_add(*ticks));
    Some((all.saturating_sub(idle), all))
}

fn busy(before: (u64, u64), now: (u64, u64)) -> Option<u8> {
    let (busy, all) = (now.0.saturating_sub(before.0), now.1.saturating_sub(before.1));
    // Nothing has passed, or a counter ran backwards, as those of waiting for disks may.
    (all > 0).then(|| (u128::from(busy.min(all)) * 100 / u128::from(all)) as u8)
}

/// Percent of the last ten seconds in which some program waited.
fn waits(pressure: &str) -> Option<u8> {
    let some = pressure.lines().find_map(|line| line.strip_prefix("some "))?;
    let share: f64 = some.split_whitespace().find_map(|word| word.strip_prefix("avg10="))?.parse().ok()?;
    (0.0..=100.0).contains(&share).then_some(share as u8)
}

/// The interface by which everybody is reached who is not near: of the default routes the one with the least metric; those of IPv4 first.
fn way_out(v4: &str, v6: &str) -> Option<String> {
    let of_v4 = |line: &str| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let is_default = *words.get(1)? == "00000000" && *words.get(7)? == "00000000";
        let metric = words.get(6)?.parse::<u64>().ok()?;
        is_default.then(|| (metric, (*words.first().unwrap_or(&"")).to_owned()))
    };
    let of_v6 = |line: &str| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let is_default = words.first()?.bytes().all(|digit| digit == b'0') && *words.get(1)? == "00";
        let (metric, name) = (u64::from_str_radix(words.get(5)?, 16).ok()?, words.get(9)?);
        (is_default && *name != "lo").then(|| (metric, (*name).to_owned()))
    };
    let least = |routes: Vec<(u64, String)>| routes.into_iter().min_by_key(|(metric, _)| *metric).map(|(_, name)| name);
    least(v4.lines().filter_map(of_v4).collect()).or_else(|| least(v6.lines().filter_map(of_v6).collect()))
}

fn room(directory: &Path, least: Limit) -> Option<Room> {
    let space = os::disk_space::disk_space(directory).ok()?;
    Some(Room { free: space.available, least: least.of(space.total) })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Files with their texts below a directory.
    fn files(root: &Path, files: &[(&str, &str)]) {
        for (path, text) in files {
            let path = root.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
    }

    const MAINS: [(&str, &str); 2] = [("AC/type", "Mains\n"), ("AC/online", "1\n")];
    const UNPLUGGED: [(&str, &str); 2] = [("AC/type", "Mains\n"), ("AC/online", "0\n")];
    const DRAINS: [(&str, &str); 2] = [("BAT0/type", "Battery\n"), ("BAT0/status", "Discharging\n")];
    const CHARGES: [(&str, &str); 2] = [("BAT0/type", "Battery\n"), ("BAT0/status", "Charging\n")];
    const MOUSE: [(&str, &str); 3] =
        [("hid/type", "Battery\n"), ("hid/status", "Discharging\n"), ("hid/scope", "Device\n")];

    #[test]
    fn power_is_that_of_the_machine() {
        for (supplies, expected) in [
            (vec![], false),
            (MAINS.to_vec(), false),
            ([&MAINS[..], &CHARGES].concat(), false),
            ([&UNPLUGGED[..], &DRAINS].concat(), true),
            (DRAINS.to_vec(), true),
            // Mains that are too weak for what it does: it is at its cable all the same.
            ([&MAINS[..], &DRAINS].concat(), false),
            (MOUSE.to_vec(), false),
            ([&UNPLUGGED[..], &CHARGES, &MOUSE].concat(), false),
        ] {
            let root = tempfile::tempdir().unwrap();
            files(root.path(), &supplies);
            assert_eq!(on_battery(root.path()), expected, "{supplies:?}");
        }
        assert!(!on_battery("/nowhere".as_ref()));
    }

    #[test]
    fn what_the_kernel_says_of_load() {
        let stat = "cpu  100 0 50 800 50 0 0 0 0 0\ncpu0 1 1 1 1 1\n";
        assert_eq!(ticks(stat), Some((150, 1000)));
        assert_eq!((ticks(""), ticks("cpu 1 2\n"), ticks("intr 1\n")), (None, None, None));
        for (before, now, expected) in [
            ((150, 1000), (250, 1200), Some(50)),
            ((150, 1000), (150, 1200), Some(0)),
            ((150, 1000), (150, 1000), None),
            ((150, 1000), (450, 1200), Some(100)),
            ((150, 1000), (100, 900), None),
        ] {
            assert_eq!(busy(before, now), expected, "{before:?} {now:?}");
        }
        let pressure = "some avg10=12.90 avg60=1.00 avg300=0.00 total=1\nfull avg10=99.00 avg60=0 avg300=0 total=0\n";
        assert_eq!(waits(pressure), Some(12));
        assert_eq!((waits(""), waits("some avg10=x"), waits("some avg10=1e9")), (None, None, None));
    }

    #[test]
    fn the_way_out_is_the_cheapest_default_route() {
        let head = "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\tMTU\tWindow\tIRTT\n";
        let route = |name: &str, to: &str, metric: u32| {
            format!("{name}\t{to}\t0100070A\t0003\t0\t0\t{metric}\t{to}\t0\t0\t0\n")
        };
        let zero = "00000000000000000000000000000000";
        let v6 = format!(
            "{zero} 00 {zero} 00 fe800000000000000000000000000001 00000400 00000001 00000000 00000003 wlan0\n\
             {zero} 00 {zero} 00 {zero} ffffffff 00000001 00000000 00200200 lo\n"
        );
        for (v4, v6, expected) in [
            (route("eth0", "00000000", 100) + &route("wwan0", "00000000", 700), "", Some("eth0")),
            (route("eth0", "0000FFFF", 0) + &route("wwan0", "00000000", 700), "", Some("wwan0")),
            (String::new(), v6.as_str(), Some("wlan0")),
            (String::new(), "", None),
            ("odd\n".into(), "odd", None),
        ] {
            assert_eq!(way_out(&format!("{head}{v4}"), v6).as_deref(), expected, "{v4} {v6}");
        }
    }

    #[test]
    fn all_of_it_from_one_machine() {
        let root = tempfile::tempdir().unwrap();
        let (proc, sys) = (root.path().join("proc"), root.path().join("sys"));
        files(&sys.join("class/power_supply"), &[&UNPLUGGED[..], &DRAINS].concat());
        let route = "a\tb\nppp0\t00000000\t00000000\t0001\t0\t0\t0\t00000000\t0\t0\t0\n";
        files(&proc, &[("stat", "cpu 0 0 0 0 0 0 0 0\n"), ("net/route", route), ("pressure/io", "some avg10=7.00\n")]);
        let mut sampler = Sampler::at(&proc, &sys, root.path());
        let mut options = Sharing { free_min: Limit::Percent(100.0), ..Sharing::default() };
        assert_eq!(sampler.look(&options).processors, None, "there was no look before");
        files(&proc, &[("stat", "cpu 90 0 0 10 0 0 0 0\n")]);
        let found = sampler.look(&options);
        assert_eq!((found.on_battery, found.is_metered), (true, true));
        assert_eq!((found.processors, found.disk), (Some(90), Some(7)));
        assert!(found.room.is_some_and(|room| room.free < room.least), "{found:?}");
        options.metered = Metered::No;
        assert!(!sampler.look(&options).is_metered);
        let nothing = Sampler::at("/nowhere".as_ref(), "/nowhere".as_ref(), "/nowhere".as_ref()).look(&options);
        assert_eq!(nothing, Conditions::default());
    }

    #[test]
    fn this_machine_tells_how_its_processors_are() {
        let mut sampler = Sampler::new("/".as_ref());
        let found = sampler.look(&Sharing { metered: Metered::Yes, ..Sharing::default() });
        assert!(found.is_metered && found.room.is_some() && sampler.ticks.is_some(), "{found:?}");
    }
}
