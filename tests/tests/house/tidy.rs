//! What stands where, and which crate may know which.

use std::{collections::BTreeSet, fs};

use crate::source::{Source, expect_none, places_with, root, sources};

/// A file longer than this holds more than one idea.
const LINES_MAX: usize = 600;

/// Which rooms of this house a room may know (`ARCHITECTURE.md`: dependencies point down only).
const MAY_KNOW: &[(&str, &[&str])] = &[
    ("crates/protocol", &[]),
    ("crates/os", &[]),
    ("crates/store", &["protocol", "os"]),
    ("crates/serve", &["protocol", "os", "store"]),
    ("crates/cache", &["protocol", "os", "store", "serve"]),
    ("crates/intake", &["protocol", "os", "store", "cache"]),
    ("config", &["protocol", "os", "store", "serve", "cache"]),
    ("proxy", &["protocol", "os", "store", "serve", "cache", "intake", "config"]),
    ("origin", &["protocol", "os", "store", "serve", "cache", "config"]),
    ("agent", &["protocol", "os", "store", "serve", "config"]),
    (
        "bench",
        &["protocol", "os", "store", "serve", "cache", "config", "outpost-proxy", "outpost-origin", "outpost-agent"],
    ),
    ("tests", &["outpost-proxy", "outpost-origin", "outpost-agent", "outpost-bench"]),
];

#[test]
fn unsafe_stands_only_in_os() {
    let sources = sources();
    let uses_unsafe =
        |line: &str| ["unsafe {", "unsafe fn", "unsafe impl", "unsafe extern"].iter().any(|word| line.contains(word));
    let others = sources
        .iter()
        .filter(|source| !source.path.starts_with("crates/os/") && !source.path.starts_with("tests/tests/house/"));
    expect_none(
        "`unsafe` outside crates/os",
        others.flat_map(|source| {
            source.code().filter(|(_, line)| uses_unsafe(line)).map(|(number, _)| format!("{}:{number}", source.path))
        }),
    );
}

#[test]
fn every_crate_but_os_forbids_unsafe_code() {
    let is_root =
        |path: &str| path.ends_with("src/lib.rs") || path.ends_with("src/main.rs") || path.contains("/src/bin/");
    let roots: Vec<_> = sources()
        .into_iter()
        .filter(|source| is_root(&source.path) && !source.path.starts_with("crates/os/"))
        .collect();
    assert!(roots.len() >= 9, "only {} crate roots were found", roots.len());
    expect_none(
        "a crate root without #![forbid(unsafe_code)]",
        roots
            .iter()
            .filter(|source| !source.text.contains("#![forbid(unsafe_code)]"))
            .map(|source| source.path.clone()),
    );
}

#[test]
fn dependencies_point_down_only() {
    let rooms: BTreeSet<&str> =
        MAY_KNOW.iter().map(|(room, _)| room.rsplit('/').next().expect("a room has a name")).collect();
    for (room, may_know) in MAY_KNOW {
        let text = fs::read_to_string(root().join(room).join("Cargo.toml")).expect("every room has a manifest");
        let manifest: toml::Table = text.parse().expect("a manifest is TOML");
        let dependencies = manifest.get("dependencies").and_then(|table| table.as_table()).into_iter().flatten();
        expect_none(
            &format!("{room} knows a room that it must not"),
            dependencies
                .map(|(name, _)| name.as_str())
                .filter(|name| rooms.contains(name) || name.starts_with("outpost-"))
                .filter(|name| !may_know.contains(name))
                .map(str::to_owned),
        );
    }
}

#[test]
fn every_member_of_the_workspace_has_its_place_in_the_order() {
    let manifest: toml::Table =
        fs::read_to_string(root().join("Cargo.toml")).expect("the manifest").parse().expect("TOML");
    let members = manifest["workspace"]["members"].as_array().expect("a list of members");
    let known: BTreeSet<&str> = MAY_KNOW.iter().map(|(room, _)| *room).collect();
    let missing = members.iter().filter_map(|member| member.as_str()).filter(|member| !known.contains(member));
    expect_none("a member that MAY_KNOW does not list", missing.map(str::to_owned));
}

#[test]
fn outbound_connections_open_only_in_cache_upstream() {
    let sources = sources();
    // The command line asks a proxy that runs; it is another process than the server, which has no way there.
    let command_line = |path: &str| ["proxy", "origin"].iter().any(|of| path == format!("{of}/src/command/client.rs"));
    // Whether anybody still listens on the socket whose place is to be taken.
    let own_socket = |path: &str| path == "crates/os/src/local.rs";
    let allowed = |path: &str| {
        path.starts_with("crates/cache/src/upstream/")
            || path.starts_with("agent/src/net/")
            || path.starts_with("bench/")
            || command_line(path)
            || own_socket(path)
    };
    let words = ["TcpStream::connect", "TcpSocket::", "hyper::client", "hyper_util::client", "UnixStream::connect"];
    expect_none("an outbound connection outside crates/cache/src/upstream", places_with(&sources, allowed, &words));
    let server = |path: &str| path.starts_with("proxy/src/command/") || path == "proxy/src/lib.rs";
    let names = ["command::", "command;"];
    let proxys = |path: &str| !path.starts_with("proxy/src/") || server(path);
    expect_none("the server reaches for the command line's client", places_with(&sources, proxys, &names));
}

#[test]
fn body_bytes_leave_only_through_transmit() {
    let sources = sources();
    // The connection has the call, and only what transmits may use it. The bench has a minimal server of its own to compare with.
    let has_call = |path: &str| {
        path == "crates/serve/src/link/send.rs" || path.starts_with("crates/os/") || path.starts_with("bench/")
    };
    expect_none(
        "sendfile outside the connection",
        places_with(&sources, has_call, &["::sendfile(", " sendfile(", "(sendfile("]),
    );
    let transmits =
        |path: &str| path.starts_with("crates/serve/src/transmit/") || path.starts_with("crates/serve/src/link/");
    let words = ["send_file(", "send_output_then_file("];
    expect_none("a file is sent outside crates/serve/src/transmit", places_with(&sources, transmits, &words));
}

#[test]
fn only_store_and_os_write_files_of_the_cache() {
    let sources = sources();
    let allowed = |path: &str| {
        !(path.starts_with("crates/serve/")
            || path.starts_with("crates/cache/")
            || path.starts_with("crates/protocol/"))
            || path.ends_with("/access_log.rs")
            || path.contains("/access_log/")
    };
    let words = ["fs::write", "File::create", "fs::rename", "fs::remove_file", "OpenOptions::new"];
    expect_none("a file is written outside store", places_with(&sources, allowed, &words));
}

#[test]
fn libraries_read_no_environment() {
    let sources = sources();
    let allowed = |path: &str| !path.starts_with("crates/");
    expect_none(
        "a library reads the environment",
        places_with(&sources, allowed, &["env::var", "env::args", "std::env::"]),
    );
}

#[test]
fn nothing_is_left_to_be_done() {
    let words = ["TO", "FIX", "XX"].map(|start| {
        format!(
            "{start}{}",
            if start == "TO" {
                "DO"
            } else if start == "XX" {
                "X"
            } else {
                "ME"
            }
        )
    });
    let macros = ["todo", "unimplemented"].map(|name| format!("{name}!("));
    expect_none(
        "something is left to be done",
        sources().iter().flat_map(|source| {
            let unfinished = |line: &str| words.iter().chain(&macros).any(|word| line.contains(word.as_str()));
            let lines = source.text.lines().enumerate().filter(|(_, line)| unfinished(line));
            lines.map(|(number, _)| format!("{}:{}", source.path, number + 1)).collect::<Vec<_>>()
        }),
    );
}

#[test]
fn no_test_sleeps() {
    // Where there is nothing to be woken by, it is looked again until it is so: in these files, each with an end to the waiting.
    let allowed = ["tests/src/wait.rs", "crates/store/tests/it/helpers.rs", "origin/tests/origin/harness.rs"];
    let word = ["sleep", "("].concat();
    let is_test = |path: &str| path.starts_with("tests/") || path.contains("/tests/");
    let paused = |line: &str| ["thread", "time"].iter().any(|from| line.contains(&format!("{from}::{word}")));
    expect_none(
        "a test sleeps instead of waiting for what it waits for",
        sources().iter().filter(|source| !allowed.contains(&source.path.as_str())).flat_map(|source| {
            let first = if is_test(&source.path) { 0 } else { source.test_part() };
            let lines = source.text.lines().enumerate().skip(first).filter(|(_, line)| paused(line));
            lines.map(|(number, _)| format!("{}:{}", source.path, number + 1)).collect::<Vec<_>>()
        }),
    );
}

#[test]
fn no_file_holds_two_ideas() {
    expect_none(
        &format!("a source file of more than {LINES_MAX} lines"),
        sources().iter().filter_map(|source| {
            let lines = source.text.lines().count();
            (lines > LINES_MAX).then(|| format!("{}: {lines}", source.path))
        }),
    );
}

#[test]
fn every_file_says_what_it_is() {
    let opens = |source: &Source| source.text.starts_with("//!");
    expect_none(
        "a source file that does not open with //!",
        sources().iter().filter(|source| !opens(source)).map(|source| source.path.clone()),
    );
}
