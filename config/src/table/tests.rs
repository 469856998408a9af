//! The tables are sound, and the annotated example is complete and true: every option stands in it, with its default.

use std::{
    collections::HashSet,
    path::{Path, PathBuf},
};

use cache::options::UpstreamOptions;

use super::*;
use crate::{
    Loaded, Origin, Sources,
    load::{ConfigFile, Said, load},
    print,
    raw::Raw,
};

#[test]
fn every_key_and_flag_is_defined_once() {
    let keys: HashSet<_> = SETTINGS.iter().map(|row| row.key).collect();
    assert_eq!(keys.len(), SETTINGS.len());
    let flags: Vec<_> = SETTINGS.iter().filter_map(|row| row.flag).collect();
    assert_eq!(flags.iter().collect::<HashSet<_>>().len(), flags.len());
    let keys: HashSet<_> = UPSTREAM.iter().map(|row| row.key).collect();
    assert_eq!(keys.len(), UPSTREAM.len());
    let keys: HashSet<_> = CERTIFICATE.iter().map(|row| row.key).collect();
    assert_eq!(keys.len(), CERTIFICATE.len());
}

#[test]
fn words_stand_in_the_order_of_their_values() {
    let base = Path::new("/");
    for row in SETTINGS {
        let Kind::Word { words, get, .. } = &row.kind else { continue };
        for (place, word) in words.iter().enumerate() {
            let mut settings = Settings::default();
            row.put(&mut settings, &Raw::Text((*word).to_owned()), base).unwrap();
            assert_eq!(get(&settings), place, "{} = {word}", row.key);
        }
    }
}

#[test]
fn texts_of_a_list_are_checked_one_by_one() {
    let row = SETTINGS.iter().find(|row| row.key == "delivery.hosts").unwrap();
    let put = |text: &str| {
        let mut settings = Settings::default();
        row.put(&mut settings, &Raw::Text(text.to_owned()), Path::new("/")).map(|()| row.show(&settings))
    };
    assert_eq!(put("*.Example.com, 10.0.0.1:80").as_deref(), Ok(r#"["*.example.com", "10.0.0.1:80"]"#));
    assert_eq!(put("").as_deref(), Ok("[]"));
    assert!(put("a.example, *.com").unwrap_err().contains("'*.com' names no server"));
    let mut settings = Settings::default();
    assert!(row.put(&mut settings, &Raw::Integer(1), Path::new("/")).is_err());
}

#[test]
fn a_switch_is_written_in_two_ways_and_no_third() {
    let row = UPSTREAM.iter().find(|row| row.key == "follow").unwrap();
    let put = |raw: Raw| {
        let mut upstream = UpstreamOptions::new("a", "/", "outpost+http://a/".parse().unwrap());
        row.put(&mut upstream, &raw, Path::new("/")).map(|()| row.show(&upstream))
    };
    assert_eq!(put(Raw::Truth(false)).as_deref(), Ok("false"));
    assert_eq!(put(Raw::Text("true".into())).as_deref(), Ok("true"));
    for raw in [Raw::Text("on".into()), Raw::Integer(1)] {
        assert!(put(raw).unwrap_err().contains("true or false is expected"));
    }
}

fn example() -> Loaded {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("proxy.toml");
    let file = ConfigFile::read(&path).unwrap();
    load(&Sources { file: Some(file), working_directory: "/etc/outpost".into(), ..Sources::default() })
        .unwrap_or_else(|refused| panic!("{}", refused.render(false)))
}

#[test]
fn every_option_stands_in_the_example() {
    let example = example();
    for row in SETTINGS {
        assert!(matches!(example.origin(row.key), Origin::File(_)), "{} is missing", row.key);
    }
    for row in UPSTREAM {
        let key = format!("upstream[0].{}", row.key);
        assert!(matches!(example.origin(&key), Origin::File(_)), "{key} is missing");
    }
    // Its default is that there is none.
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("proxy.toml");
    let text = ConfigFile::read(&path).unwrap().text;
    let block = text.split_once("\n#[[certificate]]\n").expect("a certificate, commented out").1;
    let lines: Vec<_> = block.lines().take(CERTIFICATE.len()).collect();
    for (row, line) in CERTIFICATE.iter().zip(lines) {
        assert!(line.starts_with(&format!("#{} = ", row.key)), "{} is missing: {line}", row.key);
    }
}

#[test]
fn the_values_of_the_example_are_the_defaults() {
    let without_notes = |loaded: &Loaded| {
        let text = print::effective(loaded);
        text.lines().map(|line| line.split("  # ").next().unwrap_or(line).to_owned()).collect::<Vec<_>>()
    };
    let upstream = Said { key: "upstream", flag: "--upstream".into(), value: "/srv/share".into() };
    let defaults =
        load(&Sources { flags: vec![upstream], working_directory: "/etc/outpost".into(), ..Sources::default() })
            .unwrap();
    let expected: Vec<_> = without_notes(&defaults)
        .into_iter()
        .map(|line| line.replace("name = \"default\"", "name = \"prod\""))
        .collect();
    assert_eq!(without_notes(&example()), expected);
}

#[test]
fn what_is_printed_reads_back_as_the_same() {
    let printed = print::effective(&example());
    let file = ConfigFile { path: PathBuf::from("printed.toml"), text: printed.clone() };
    let again = load(&Sources { file: Some(file), ..Sources::default() }).unwrap();
    assert_eq!(print::effective(&again).lines().count(), printed.lines().count());
    assert!(print::needs_restart(&example(), &again).is_empty());
}
