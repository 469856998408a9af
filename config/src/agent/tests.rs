//! The table is sound, and the annotated example is complete and true.

use std::{collections::HashSet, path::Path};

use super::{table::SETTINGS, *};
use crate::{ConfigFile, Sources, layers::Said};

fn sources(text: &str) -> Sources {
    let file = ConfigFile { path: "agent.toml".into(), text: text.into() };
    Sources { file: Some(file), working_directory: "/etc/outpost".into(), ..Sources::default() }
}

#[test]
fn every_key_and_flag_is_defined_once() {
    let keys: Vec<_> = SETTINGS.iter().map(|row| row.key).collect();
    let flags: Vec<_> = SETTINGS.iter().filter_map(|row| row.flag).collect();
    for names in [keys, flags] {
        assert_eq!(names.iter().collect::<HashSet<_>>().len(), names.len(), "{names:?}");
    }
}

#[test]
fn the_example_names_every_option_with_its_default() {
    let text = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("agent.toml")).unwrap();
    // With its comments taken away each line says what holds without it.
    let uncommented: String =
        text.lines().map(|line| line.strip_prefix("#= ").unwrap_or(line).to_owned() + "\n").collect();
    let loaded = load(&sources(&uncommented)).unwrap_or_else(|refused| panic!("{}", refused.render(false)));
    let bare = load(&Sources { working_directory: "/etc/outpost".into(), ..Sources::default() }).unwrap();
    for row in SETTINGS {
        assert!(loaded.origin(row.key) != crate::Origin::Default, "config/agent.toml does not name {}", row.key);
        assert_eq!(row.show(&loaded.settings), row.show(&bare.settings), "{}", row.key);
    }
}

#[test]
fn what_is_printed_reads_back_as_the_same() {
    let loaded = load(&sources("[origin]\nurls = [\"http://hq:8090\"]\n[peers]\nextensions = [\"ZIP\"]\n")).unwrap();
    assert_eq!(loaded.settings.origins.urls, ["http://hq:8090/"]);
    assert_eq!(loaded.settings.peers.extensions, ["zip"]);
    let printed = reference::effective(&loaded);
    let again = load(&sources(&printed)).unwrap_or_else(|refused| panic!("{}", refused.render(false)));
    assert!(needs_restart(&loaded, &again).is_empty());
}

#[test]
fn what_makes_no_sense_is_refused() {
    for (text, word) in [
        ("local = \"0.0.0.0:7777\"", "other machines"),
        ("[servers]\nbackoff_max = \"1s\"", "shorter than the first"),
        ("[origin]\nstate_dir = \"/c/x\"\n[cache]\ndir = \"/c\"", "did not put there"),
        ("[cache]\ndir = \"/c\"\n[jobs]\ndir = \"/c/jobs\"", "packages would be kept"),
        ("[jobs]\ndir = \"/j\"\n[origin]\nstate_dir = \"/j/x\"", "credential would lie"),
        ("[jobs]\non_ready = 3", "a program and its arguments"),
        ("[jobs]\nunassigned = \"burn\"", "burn"),
        ("[peers]\nextensions = [\".zip\"]", "without its dot"),
        ("[origin]\nurls = [\"hq\"]", "hq"),
        ("[peer]\nuploads = 1", "unknown section"),
        ("[line]\nrate = 50", "too slow to be meant"),
        ("[line]\nblackout = [\"0 8 * * *\"]", "not when it ends"),
        ("[sharing]\nmetered_interfaces = [\"wwan*\"]", "such as wwan"),
        ("[sharing]\nmetered = \"maybe\"", "maybe"),
        ("time_zone = \"Mars\"", "Mars"),
    ] {
        let refused = load(&sources(text)).err().unwrap_or_else(|| panic!("was accepted: {text}"));
        assert!(refused.render(false).contains(word), "{text}: {}", refused.render(false));
    }
}

#[test]
fn times_of_day_are_those_of_the_zone() {
    let text = "time_zone = \"Asia/Tokyo\"\n[line]\nblackout = [\"09:00-10:00\"]\nrate_rules = [{ during = \"09:00-10:00\", rate = \"1MB/s\" }]\n\
                [sharing]\nnot_during = [\"09:00-10:00\"]";
    let settings = load(&sources(text)).unwrap().settings;
    // Nine there is midnight in UTC.
    let midnight = std::time::UNIX_EPOCH + std::time::Duration::from_secs(86_400 * 365);
    assert!(settings.line.blackout.windows().state(midnight).is_open());
    assert!(settings.sharing.not_during.windows().state(midnight).is_open());
    assert_eq!(settings.line.rates.at(midnight).0.map(u64::from), Some(1_000_000));
}

#[test]
fn flags_are_read() {
    let command = flags::arguments(clap::Command::new("x"));
    command.clone().debug_assert();
    let said: Vec<Said> =
        flags::said(&command.get_matches_from(["x", "--server", "http://a", "--server", "http://b", "--local", ""]));
    let loaded =
        load(&Sources { flags: said, working_directory: "/etc/outpost".into(), ..Sources::default() }).unwrap();
    assert_eq!((loaded.settings.servers.urls.len(), loaded.settings.local), (2, None));
}

#[test]
fn the_page_in_docs_is_the_generated_one() {
    let page =
        std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/agent-config.md")).unwrap_or_default();
    assert!(
        page == reference::markdown(),
        "docs/agent-config.md is not what the table says; run: cargo run -p outpost-config --example reference -- agent > docs/agent-config.md"
    );
}

#[test]
fn what_is_run_here_is_never_delivered() {
    for (option, value) in [
        ("jobs.commands", serde_json::json!(true)),
        ("jobs.on_ready", serde_json::json!(["/bin/sh"])),
        ("jobs.dir", serde_json::json!("/etc")),
        ("jobs.time_limit", serde_json::json!("1d")),
        ("jobs.unassigned", serde_json::json!("remove")),
    ] {
        let options = [(option.to_owned(), value)].into();
        let delivered = crate::Delivered { generation: 1, options };
        let sources = Sources { delivered: Some(delivered), working_directory: "/w".into(), ..Sources::default() };
        let loaded = load(&sources).unwrap();
        assert_eq!(loaded.left_out().len(), 1, "{option}");
        let bare = load(&Sources { working_directory: "/w".into(), ..Sources::default() }).unwrap();
        assert_eq!(loaded.settings.jobs, bare.settings.jobs);
    }
}
