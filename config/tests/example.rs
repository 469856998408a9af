//! The annotated example is complete and true: every option stands in it, with its default.

use std::path::{Path, PathBuf};

use config::{
    Loaded, Origin, Sources,
    load::{ConfigFile, Said},
    print,
    table::{SETTINGS, UPSTREAM},
};

fn example() -> Loaded {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("proxy.toml");
    let file = ConfigFile::read(&path).unwrap();
    config::load(&Sources { file: Some(file), working_directory: "/work".into(), ..Sources::default() })
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
}

#[test]
fn the_values_of_the_example_are_the_defaults() {
    let without_notes = |loaded: &Loaded| {
        let text = print::effective(loaded);
        text.lines().map(|line| line.split("  # ").next().unwrap_or(line).to_owned()).collect::<Vec<_>>()
    };
    let upstream = Said { key: "upstream", flag: "--upstream".into(), value: "/srv/share".into() };
    let defaults =
        config::load(&Sources { flags: vec![upstream], working_directory: "/work".into(), ..Sources::default() })
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
    let again = config::load(&Sources { file: Some(file), ..Sources::default() }).unwrap();
    assert_eq!(print::effective(&again).lines().count(), printed.lines().count());
    assert!(print::needs_restart(&example(), &again).is_empty());
}
