//! The commands as an administrator meets them: what they print, and how they end.

use std::{
    net::TcpListener,
    process::{Output, Stdio},
};

use crate::harness::{Place, Proxy};

/// MD5 of `hello.txt`.
const HELLO: &str = "b1946ac92492d2347c6235b4d2611184";

/// Exit code, standard output, standard error.
fn command(place: &Place, proxy: &Proxy, arguments: &[&str]) -> (i32, String, String) {
    let admin = proxy.admin.to_string();
    ended(place.command().args(arguments).args(["--admin", &admin]).output().unwrap())
}

fn ended(output: Output) -> (i32, String, String) {
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code().expect("it ended by itself"), text(output.stdout), text(output.stderr))
}

#[test]
fn status_is_a_screen_for_people_and_json_for_scripts() {
    let place = Place::new();
    let proxy = place.start();
    assert_eq!(proxy.get("/hello.txt").body, "hello\n");
    proxy.status_when("the object is here", |status| status["cache"]["names"] == 1);
    let (code, shown, complaints) = command(&place, &proxy, &["status"]);
    assert_eq!((code, complaints.as_str()), (0, ""));
    let start = format!("Outpost {}, serving for ", env!("CARGO_PKG_VERSION"));
    assert!(shown.starts_with(&start), "{shown}");
    for part in [" of 1.07 GB (0%) in 1 object under 1 name\n", "UPSTREAM  MOUNT  STATE  RATE  WHERE\n"] {
        assert!(shown.contains(part), "'{part}' is missing in:\n{shown}");
    }
    assert!(!shown.contains('\x1b'), "colours where there is no terminal");
    let (code, json, _) = command(&place, &proxy, &["status", "--json"]);
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!((code, &json["cache"]["objects"]), (0, &1.into()));
}

#[test]
fn json_has_the_members_that_scripts_rely_on() {
    let place = Place::new();
    let proxy = place.start();
    proxy.get("/hello.txt");
    proxy.status_when("the object is here", |status| status["cache"]["names"] == 1);
    let status = ["bytes", "cache", "connections", "fills", "listen", "mode", "process", "requests", "scrub", "state"];
    let found = ["bad", "bytes", "good", "missing", "seconds"];
    let cases: &[(&[&str], &[&str])] = &[
        (&["status"], &status),
        (&["status"], &["tls_listen", "transfers", "upstreams", "uptime_seconds", "version"]),
        (&["health"], &["ready", "state"]),
        (&["objects"], &["md5", "paths", "sha256", "size", "uses"]),
        (&["scrub"], &["scrub"]),
        (&["scrub", "--follow"], &found),
        (&["purge", "/hello.txt"], &["path", "purged"]),
        (&["drain"], &["drain"]),
    ];
    for (arguments, members) in cases {
        let (code, json, complaints) = command(&place, &proxy, &[arguments, &["--json"][..]].concat());
        assert_eq!((code, complaints.as_str()), (0, ""), "{arguments:?}");
        let json: serde_json::Value = serde_json::from_str(&json).unwrap_or_else(|error| panic!("{error}: {json}"));
        let one = json.get(0).unwrap_or(&json);
        for member in *members {
            assert!(one.get(member).is_some(), "{arguments:?}: '{member}' is missing in {json:#}");
        }
    }
}

#[test]
fn a_proxy_is_found_as_it_finds_its_own_address() {
    let place = Place::new();
    let proxy = place.start();
    let admin = proxy.admin.to_string();
    // What is wrong in other places of the file is not what the command is about.
    let config = format!("admin = \"{admin}\"\nmodes = 5\n[cach]\nx = 1\n[[upstream]]\n");
    std::fs::write(place.path("branch.toml"), config).unwrap();
    let (code, _, complaints) = ended(place.command().args(["health", "--config", "branch.toml"]).output().unwrap());
    assert_eq!((code, complaints.as_str()), (0, ""));
    let by_environment = place.command().arg("health").env("OUTPOST__ADMIN", &admin).output().unwrap();
    assert_eq!(ended(by_environment).0, 0);
    // The line at the start can be copied as it is.
    let url = format!("http://{admin}/");
    assert_eq!(ended(place.command().args(["health", "--admin", &url]).output().unwrap()).0, 0);
}

#[test]
fn objects_are_listed_and_purged_and_what_is_not_here_is_3() {
    let place = Place::new();
    std::fs::write(place.path("share/other file.txt"), "other one\n").unwrap();
    let proxy = place.start();
    let nothing = command(&place, &proxy, &["objects"]);
    assert_eq!((nothing.0, nothing.1.as_str()), (3, ""));
    proxy.get("/hello.txt");
    proxy.get("/other%20file.txt");
    proxy.status_when("both objects are here", |status| status["cache"]["names"] == 2);

    let (code, list, _) = command(&place, &proxy, &["objects", "--limit", "1"]);
    assert_eq!(code, 0);
    let next = list.lines().last().unwrap().strip_prefix("there are more: --cursor ").unwrap();
    let next = next.strip_suffix(", or --all").unwrap();
    let (_, rest, _) = command(&place, &proxy, &["objects", "--json", "--cursor", next]);
    let rest: serde_json::Value = serde_json::from_str(rest.trim()).expect("one object on one line");
    let members: Vec<_> = rest.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(members, ["md5", "paths", "sha256", "size", "uses"]);
    let (_, all, _) = command(&place, &proxy, &["objects", "--all"]);
    assert_eq!(all.lines().count(), 3, "{all}");
    assert!(all.contains(&format!("{HELLO}       6 B  ")) && all.contains("  /other%20file.txt\n"), "{all}");

    let both = command(&place, &proxy, &["purge", "/other file.txt", "/none"]);
    assert_eq!((both.0, both.1.as_str()), (0, "purged /other%20file.txt\n/none was not here\n"));
    assert_eq!(command(&place, &proxy, &["purge", HELLO]).0, 0);
    let again = command(&place, &proxy, &["purge", "--json", HELLO]);
    assert_eq!((again.0, again.2.as_str()), (3, "outpost-proxy: nothing was purged\n"));
    let told: serde_json::Value = serde_json::from_str(&again.1).unwrap();
    assert_eq!(told, serde_json::json!([{ "md5": HELLO, "purged": false }]));
}

#[test]
fn why_tells_a_life_from_its_fetch_to_its_end_and_after_a_restart() {
    let place = Place::new();
    let proxy = place.start();
    let unknown = command(&place, &proxy, &["why", "/hello.txt"]);
    assert_eq!((unknown.0, unknown.2.as_str()), (3, "outpost-proxy: nothing is known of /hello.txt\n"));
    assert!(unknown.1.starts_with("/hello.txt is unknown\n  nothing is known of it: "), "{}", unknown.1);
    proxy.get("/hello.txt");
    proxy.status_when("the object is here", |status| status["cache"]["names"] == 1);
    (0..3).for_each(|_| drop(proxy.get("/hello.txt")));

    let (code, shown, complaints) = command(&place, &proxy, &["why", "/hello.txt"]);
    assert_eq!((code, complaints.as_str()), (0, ""));
    for part in
        ["/hello.txt is here\n  kept: ", "fetched from the upstream ", "one request waited for it, of 127.0.0.1\n"]
    {
        assert!(shown.contains(part), "'{part}' is missing in:\n{shown}");
    }
    let (_, json, _) = command(&place, &proxy, &["why", "--json", HELLO]);
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    let life = &json["objects"][0];
    assert_eq!((&json["state"], &life["size"], &life["asked_for"]["times"]), (&"here".into(), &6.into(), &3.into()));
    assert_eq!(life["paths"], serde_json::json!(["/hello.txt"]));

    assert_eq!(command(&place, &proxy, &["purge", "/hello.txt"]).0, 0);
    let (code, shown, _) = command(&place, &proxy, &["why", "/hello.txt"]);
    assert_eq!(code, 0);
    assert!(shown.starts_with("/hello.txt is not here\n  removed by a purge of /hello.txt\n"), "{shown}");
    drop(proxy);
    let proxy = place.start();
    let (_, again, _) = command(&place, &proxy, &["why", "/hello.txt"]);
    assert_eq!(again, shown, "another story after a restart");
    assert_eq!(command(&place, &proxy, &["why", "hello.txt"]).0, 2);
}

#[test]
fn objects_are_sorted_chosen_and_paged() {
    let place = Place::new();
    for (name, len) in [("a/one.bin", 1000), ("a/two.bin", 30), ("b/one.txt", 2000), ("b/two.txt", 500)] {
        let path = place.path("share").join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, vec![b'x'; len]).unwrap();
    }
    let proxy = place.start();
    for path in ["/a/one.bin", "/a/two.bin", "/b/one.txt", "/b/two.txt"] {
        assert_eq!(proxy.get(path).status, 200);
    }
    proxy.status_when("all objects are here", |status| status["cache"]["names"] == 4);
    let listed = |arguments: &[&str]| {
        let (code, list, complaint) = command(&place, &proxy, &[&["objects"], arguments].concat());
        assert!(code == 0 || code == 3, "{complaint}");
        let lines = list.lines().skip(1).filter(|line| !line.starts_with("there are more"));
        lines.map(|line| line.split_whitespace().last().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let by_size = ["/b/one.txt", "/a/one.bin", "/b/two.txt", "/a/two.bin"];
    assert_eq!(listed(&["--sort", "size"]), by_size);
    let reversed = listed(&["--sort", "size", "--reverse"]);
    assert_eq!(reversed.iter().rev().collect::<Vec<_>>(), by_size.iter().collect::<Vec<_>>());
    assert_eq!(listed(&["--sort", "size", "--path", "/a/**"]), ["/a/one.bin", "/a/two.bin"]);
    assert_eq!(listed(&["--sort", "size", "--path", "*.txt", "--max-size", "500B"]), ["/b/two.txt"]);
    assert_eq!(listed(&["--min-size", "1KB", "--max-size", "1KB"]), ["/a/one.bin"]);
    assert!(listed(&["--min-size", "1MB"]).is_empty());
    assert!(listed(&["--max-uses", "0", "--path", "/none/"]).is_empty());

    let (mut found, mut cursor) = (Vec::new(), None::<String>);
    loop {
        let mut arguments = vec!["objects", "--json", "--sort", "size", "--limit", "1"];
        arguments.extend(cursor.iter().flat_map(|cursor| ["--cursor", cursor]));
        let (code, page, _) = command(&place, &proxy, &arguments);
        assert_eq!(code, 0);
        let lines: Vec<serde_json::Value> = page.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        found.push(lines[0]["paths"][0].as_str().unwrap().to_owned());
        cursor = lines.get(1).map(|next| next["next"].as_str().unwrap().to_owned());
        if cursor.is_none() {
            break;
        }
    }
    assert_eq!(found, by_size);
    let (code, _, complaint) = command(&place, &proxy, &["objects", "--sort", "uses", "--cursor", HELLO]);
    assert!(code == 1 && complaint.contains("take it from"), "{complaint}");
    let (code, _, complaint) = command(&place, &proxy, &["objects", "--path", "/a/["]);
    assert!(code == 1 && complaint.contains("/a/["), "{complaint}");
}

#[test]
fn a_scrub_is_followed_to_its_end_and_what_is_bad_is_a_failure() {
    let place = Place::new();
    let proxy = place.start();
    proxy.get("/hello.txt");
    proxy.status_when("the object is here", |status| status["cache"]["names"] == 1);
    let (code, found, _) = command(&place, &proxy, &["scrub", "--follow"]);
    assert_eq!(code, 0);
    assert!(found.starts_with("1 object good, 0 bad (now in quarantine), 0 missing: 6 B read in "), "{found}");

    let object = place.path("cache/objects").join(&HELLO[..2]).join(&HELLO[2..4]).join(HELLO);
    assert_eq!(std::fs::read(&object).unwrap(), b"hello\n");
    std::fs::write(&object, "hellO\n").unwrap();
    let (code, found, complaint) = command(&place, &proxy, &["scrub", "--follow", "--json"]);
    let found: serde_json::Value = serde_json::from_str(&found).unwrap();
    assert_eq!((code, &found["bad"]), (1, &1.into()));
    assert!(complaint.contains("Look at the disk"), "{complaint}");
}

#[test]
fn drain_ends_the_proxy() {
    let place = Place::new();
    let proxy = place.start();
    let (code, shown, _) = command(&place, &proxy, &["drain"]);
    assert_eq!((code, shown.as_str()), (0, "the proxy finishes what it is sending, and ends\n"));
    assert_eq!(proxy.wait().code(), Some(0));
}

#[test]
fn who_is_no_proxy_is_69_and_a_wrong_line_2() {
    let place = Place::new();
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let run = |arguments: &[&str]| ended(place.command().args(arguments).output().unwrap());
    let (code, _, complaint) = run(&["status", "--admin", &free]);
    assert_eq!(code, 69);
    assert!(complaint.contains(&format!("no proxy answers at {free} (as --admin says)")), "{complaint}");
    assert_eq!(run(&["status", "--admin", "unix:none.sock"]).0, 69);
    // Listens, and never answers.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = silent.local_addr().unwrap().to_string();
    let (code, _, complaint) = run(&["status", "--admin", &address, "--timeout", "50ms"]);
    assert_eq!(code, 69);
    assert!(complaint.contains("no answer within 50ms (--timeout)"), "{complaint}");

    let proxy = place.start();
    let (code, _, complaint) = run(&["purge", "/hello.txt", "--admin", &proxy.files.to_string()]);
    assert_eq!(code, 69, "the listener for files is no admin interface");
    assert!(complaint.contains("is not the admin interface"), "{complaint}");

    for line in [
        &["staus"][..],
        &["purge"],
        &["purge", "hello.txt"],
        &["objects", "--limit", "0"],
        &["status", "--timeout", "x"],
        &["status", "--admin", "8081"],
    ] {
        assert_eq!(run(line).0, 2, "{line:?}");
    }
    assert_eq!(run(&["status", "--config", "none.toml"]).0, 78);
}

#[test]
fn a_configuration_is_checked_without_a_proxy() {
    let place = Place::new();
    let run = |arguments: &[&str]| ended(place.command().args(arguments).output().unwrap());
    place.write_config("", "");
    let good = run(&["check-config", "proxy.toml"]);
    assert_eq!(good, (0, "proxy.toml is good\n".into(), String::new()));
    let (code, effective, _) = run(&["check-config", "proxy.toml", "--effective", "--mode", "fetch"]);
    assert!(code == 0 && effective.contains("mode = \"fetch\"  # --mode\n"), "{effective}");
    std::fs::write(place.path("bad.toml"), "mode = \"fetch\"\n[cach]\nx = 1\n").unwrap();
    let (code, nothing, complaint) = run(&["check-config", "bad.toml"]);
    assert_eq!((code, nothing.as_str()), (78, ""));
    assert!(complaint.contains("bad.toml:2:2"), "{complaint}");
    let (code, json, _) = run(&["check-config", "bad.toml", "--json"]);
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!((code, &json["good"], &json["faults"][0]["line"]), (78, &false.into(), &2.into()));
    assert_eq!(run(&["check-config", "none.toml"]).0, 78);
    // What only a look at the machine tells.
    let missing = run(&["check-config", "--upstream", "missing"]);
    assert!(missing.0 == 78 && missing.2.contains("missing does not exist"), "{}", missing.2);
    assert!(!place.path("outpost-cache").exists());
}

#[test]
fn shells_and_man_are_told_of_every_command() {
    let place = Place::new();
    let run = |arguments: &[&str]| ended(place.command().args(arguments).output().unwrap());
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let (code, script, _) = run(&["completions", shell]);
        assert!(code == 0 && script.contains("objects") && script.contains("purge"), "{shell}: {script:.200}");
    }
    assert_eq!(run(&["completions", "cmd"]).0, 2);
    assert!(run(&["manual"]).1.contains(".TH outpost-proxy 1"));
    let (code, _, complaint) = run(&["manual", "none"]);
    assert!(code == 1 && complaint.contains("none/outpost-proxy.1"), "{complaint}");
    std::fs::create_dir(place.path("man1")).unwrap();
    assert_eq!(run(&["manual", "man1"]).0, 0);
    assert!(place.path("man1/outpost-proxy-status.1").exists());
}

#[test]
fn who_reads_only_the_beginning_is_no_failure() {
    let place = Place::new();
    let proxy = place.start();
    for arguments in [&["status"][..], &["status", "--json"], &["--help"], &["status", "--help"]] {
        let mut command = place.command();
        if arguments[0] == "status" && arguments.len() == 1 || arguments.contains(&"--json") {
            command.env("OUTPOST__ADMIN", proxy.admin.to_string());
        }
        let mut child = command.args(arguments).stdout(Stdio::piped()).spawn().unwrap();
        // Nobody reads, from before the first byte on.
        drop(child.stdout.take());
        let (code, _, complaints) = ended(child.wait_with_output().unwrap());
        assert_eq!((code, complaints.as_str()), (0, ""), "{arguments:?}");
    }
}

#[test]
fn a_catalogue_is_carried_from_one_proxy_to_another() {
    let (place, other) = (Place::new(), Place::new());
    let proxy = place.start();
    proxy.get("/hello.txt");
    proxy.status_when("the object is here", |status| status["cache"]["names"] == 1);
    let (code, text, complaints) = command(&place, &proxy, &["catalogue", "export", "-", "--upstream", "share"]);
    assert_eq!((code, complaints.as_str()), (0, ""));
    let lines: Vec<serde_json::Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((lines.len(), &lines[0]["upstream"]), (2, &"share".into()));
    assert_eq!((&lines[1]["path"], &lines[1]["md5"]), (&"/hello.txt".into(), &HELLO.into()));

    let file = std::env::temp_dir().join(format!("outpost-catalogue-{}", std::process::id()));
    std::fs::write(&file, &text).unwrap();
    let path = file.to_str().unwrap();
    let second = other.start();
    let imported = command(&other, &second, &["catalogue", "import", path]);
    assert_eq!(imported, (0, "1 name learnt, 0 known already\n".into(), String::new()));
    second.status_when("the name is known", |status| status["cache"]["names"] == 1);
    assert_eq!(second.get("/hello.txt").body, "hello\n");
    std::fs::write(&file, &text[..text.len() - 5]).unwrap();
    let (code, _, complaints) = command(&other, &second, &["catalogue", "import", path]);
    assert!(code == 1 && complaints.contains("line 2 does not end"), "{complaints}");
    let (code, _, complaints) = command(&place, &proxy, &["catalogue", "export", "-", "--upstream", "none"]);
    assert!(code == 3 && complaints.contains("the upstreams are share"), "{complaints}");
    std::fs::remove_file(&file).unwrap();
}
