//! Starts that are refused: a clear message, the right exit code, and nothing touched.

use std::{fs, net::TcpListener};

use crate::harness::Place;

const CONFIGURATION: Option<i32> = Some(78);
const RUN_TIME: Option<i32> = Some(1);

fn refuse(place: &Place, arguments: &[&str], code: Option<i32>, parts: &[&str]) {
    let (found, printed) = place.run(arguments);
    assert_eq!(found, code, "{printed}");
    for part in parts {
        assert!(printed.contains(part), "'{part}' is missing in:\n{printed}");
    }
    assert!(!place.path("outpost-cache").exists(), "a cache directory was made");
}

#[test]
fn an_unknown_key_is_shown_with_its_line() {
    let place = Place::new();
    fs::write(place.path("bad.toml"), "[cache]\nmax_sise = \"1GB\"\n").unwrap();
    let parts = ["bad.toml:2:1", "max_sise = \"1GB\"", "did you mean cache.max_size?"];
    refuse(&place, &["--config", "bad.toml", "--upstream", "share"], CONFIGURATION, &parts);
    refuse(&place, &["--config", "bad.toml", "--check-config"], CONFIGURATION, &parts);
}

#[test]
fn configurations_that_cannot_work() {
    let place = Place::new();
    let cases: &[(&[&str], &[&str])] = &[
        (&[], &["there is no upstream", "--upstream DIR_OR_URL"]),
        (&["--upstream", "missing"], &["missing does not exist"]),
        (&["--upstream", "share/hello.txt"], &["is not a directory"]),
        (&["--upstream", "ftp://x/"], &["ftp", "is not an upstream"]),
        (&["--upstream", "."], &["lie one in the other"]),
        (
            &["--upstream", "share", "--max-size", "90%", "--min-free", "20%"],
            &["more than the whole disk", "--max-size"],
        ),
        (&["--upstream", "share", "--listen", "8080"], &["--listen", "0.0.0.0:8080"]),
        (&["--upstream", "share", "--log", "=="], &["--log", "is not a filter"]),
        (&["--config", "none.toml"], &["cannot read the configuration file none.toml"]),
    ];
    for (arguments, parts) in cases {
        refuse(&place, arguments, CONFIGURATION, parts);
    }
}

#[test]
fn a_wrong_command_line_is_another_exit_code() {
    refuse(&Place::new(), &["--upstraem", "share"], Some(2), &["--upstream"]);
}

#[test]
fn an_address_in_use() {
    let place = Place::new();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    for (flag, other) in [("--listen", "--admin"), ("--admin", "--listen")] {
        let arguments = ["--upstream", "share", flag, &address, other, "127.0.0.1:0"];
        refuse(&place, &arguments, RUN_TIME, &["cannot listen on", &address, flag]);
    }
}

#[test]
fn a_directory_that_is_not_ours_is_left_alone() {
    let place = Place::new();
    fs::create_dir(place.path("photos")).unwrap();
    fs::write(place.path("photos/holiday.jpg"), "precious").unwrap();
    let arguments =
        ["--upstream", "share", "--cache-dir", "photos", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"];
    refuse(&place, &arguments, RUN_TIME, &["photos", "not an Outpost cache"]);
    let names: Vec<_> = fs::read_dir(place.path("photos")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names, ["holiday.jpg"]);
}

#[test]
fn a_cache_directory_has_one_instance() {
    let place = Place::new();
    let config = place.write_config("", "");
    let first = place.start_with(&config);
    refuse(&place, &["--config", "proxy.toml"], RUN_TIME, &["in use by another running instance"]);
    assert_eq!(first.get("/hello.txt").body, "hello\n");
}

#[test]
fn a_cache_directory_that_cannot_be_made() {
    let place = Place::new();
    // A file in the way stops root too, which a directory without write permission does not.
    fs::write(place.path("file"), "").unwrap();
    let arguments =
        ["--upstream", "share", "--cache-dir", "file/x", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"];
    refuse(&place, &arguments, RUN_TIME, &["file/x"]);
}

#[test]
fn an_access_log_that_cannot_be_written() {
    let arguments = [
        "--upstream",
        "share",
        "--access-log",
        "share/hello.txt/log",
        "--listen",
        "127.0.0.1:0",
        "--admin",
        "127.0.0.1:0",
    ];
    refuse(&Place::new(), &arguments, RUN_TIME, &["cannot write the access log", "share/hello.txt/log"]);
}

#[test]
fn a_good_configuration_is_checked_and_printed_without_starting() {
    let place = Place::new();
    let (code, printed) = place.run(&["--upstream", "share", "--check-config"]);
    assert_eq!((code, printed.trim()), (Some(0), "the configuration is good"));
    let (code, printed) = place.run(&["--upstream", "share", "--max-size", "10GiB", "--print-config"]);
    assert_eq!(code, Some(0));
    assert!(printed.contains("max_size = \"10GiB\"  # --max-size"), "{printed}");
    fs::write(place.path("printed.toml"), printed).unwrap();
    assert_eq!(place.run(&["--config", "printed.toml", "--check-config"]).0, Some(0));
    assert!(!place.path("outpost-cache").exists());
}
