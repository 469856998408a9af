//! Imports and exports as an administrator meets them.

use std::{fs, process::Command};

use serde_json::Value;

use crate::harness::{Place, Proxy};

/// MD5 of `hello.txt`.
const HELLO: &str = "b1946ac92492d2347c6235b4d2611184";

/// Exit code, standard output, standard error.
fn command(place: &Place, proxy: &Proxy, arguments: &[&str]) -> (i32, String, String) {
    let admin = proxy.admin.to_string();
    ended(place.command().args(arguments).args(["--admin", &admin]))
}

fn ended(command: &mut Command) -> (i32, String, String) {
    let output = command.output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code().expect("it ended by itself"), text(output.stdout), text(output.stderr))
}

/// What the branch has already: a copy of the share, times and all, and more.
fn old_share(place: &Place) {
    fs::create_dir_all(place.path("old/d")).unwrap();
    let copied = Command::new("cp").args(["-p", "share/hello.txt", "old/"]).current_dir(place.path("")).status();
    assert!(copied.unwrap().success());
    fs::write(place.path("old/d/only here.txt"), "gone upstream\n").unwrap();
}

#[test]
fn what_was_imported_does_not_come_over_the_line() {
    let place = Place::new();
    old_share(&place);
    let proxy = place.start();
    let (code, shown, complaints) = command(&place, &proxy, &["import", "old"]);
    assert_eq!((code, complaints.as_str()), (0, ""), "{shown}");
    let old = place.path("old").display().to_string();
    assert!(shown.starts_with(&format!("import of {old}: done in ")), "{shown}");
    assert!(shown.contains("\n  2 files taken in; 2 names; 20 B of 20 B\n"), "{shown}");
    assert_eq!(proxy.get("/hello.txt").body, "hello\n");
    let status = proxy.status();
    assert_eq!((&status["bytes"]["from_upstream"], &status["import"]["state"]), (&0.into(), &"done".into()));
    let (code, why, _) = command(&place, &proxy, &["why", "/hello.txt"]);
    assert!(code == 0 && why.contains("/old/hello.txt as /hello.txt (copied)"), "{why}");
    assert_eq!(proxy.get("/d/only%20here.txt").status, 404, "the upstream does not have it");
    let metrics = proxy.admin("GET", "/metrics").body;
    for line in [
        "outpost_import_running 0",
        "outpost_import_bytes{part=\"done\"} 20",
        "outpost_import_files{outcome=\"all\"} 2",
    ] {
        assert!(metrics.lines().any(|found| found == line), "{line} is missing in\n{metrics}");
    }
    // Again: nothing is read. And for scripts.
    let (code, json, _) = command(&place, &proxy, &["import", "--json", &old]);
    let json: Value = serde_json::from_str(&json).unwrap();
    assert_eq!((code, &json["known"], &json["files_total"]), (0, &1.into(), &2.into()));
    let (code, shown, _) = command(&place, &proxy, &["import", "--status"]);
    assert!(code == 0 && shown.contains("1 here before"), "{shown}");
}

#[test]
fn moved_files_are_gone_and_what_could_not_be_taken_is_1() {
    let place = Place::new();
    old_share(&place);
    std::os::unix::fs::symlink("/etc/passwd", place.path("old/out")).unwrap();
    let proxy = place.start();
    let writer = fs::File::options().append(true).open(place.path("old/hello.txt")).unwrap();
    let (code, shown, complaint) = command(&place, &proxy, &["import", "old", "--move"]);
    assert_eq!(code, 1, "{shown}");
    assert!(shown.contains("hello.txt: somebody has it open for writing\n") && shown.contains("1 skipped"), "{shown}");
    assert!(complaint.contains("begin the import again"), "{complaint}");
    drop(writer);
    assert_eq!(command(&place, &proxy, &["import", "old", "--move"]).0, 0);
    assert!(!place.path("old/hello.txt").exists() && !place.path("old/d/only here.txt").exists());
    assert_eq!(proxy.get("/hello.txt").body, "hello\n");
    assert_eq!(proxy.status()["bytes"]["from_upstream"], 0);
}

#[test]
fn an_older_file_is_not_moved_from_under_its_only_name() {
    let place = Place::new();
    let proxy = place.start();
    assert_eq!(proxy.get("/hello.txt").body, "hello\n");
    proxy.status_when("the object is here", |status| status["cache"]["names"] == 1);
    fs::create_dir(place.path("old")).unwrap();
    fs::write(place.path("old/hello.txt"), "an older hello\n").unwrap();
    let long_ago = std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1_000_000_000);
    fs::File::options().write(true).open(place.path("old/hello.txt")).unwrap().set_modified(long_ago).unwrap();
    let (code, shown, _) = command(&place, &proxy, &["import", "old", "--move"]);
    assert!(
        code == 1 && shown.contains("hello.txt: what its path stands for here is from the upstream, and newer"),
        "{shown}"
    );
    assert!(place.path("old/hello.txt").exists());
    assert_eq!(proxy.get("/hello.txt").body, "hello\n");
    // Nobody could tell which of them is right but by the times; copied, it changes nothing either.
    assert_eq!(command(&place, &proxy, &["import", "old"]).0, 0);
    assert_eq!(proxy.get("/hello.txt").body, "hello\n");
}

#[test]
fn a_bundle_goes_from_one_branch_to_another() {
    let (first, second) = (Place::new(), Place::new());
    // Made at headquarters from the same file, whose time went along.
    let copied = Command::new("cp").arg("-p").arg(first.path("share/hello.txt")).arg(second.path("share/")).status();
    assert!(copied.unwrap().success());
    let proxy = first.start();
    assert_eq!(proxy.get("/hello.txt").body, "hello\n");
    proxy.status_when("the object is here", |status| status["cache"]["names"] == 1);
    let bundle = first.path("branch.bundle");
    let (code, shown, complaint) = command(&first, &proxy, &["export", "branch.bundle"]);
    assert_eq!((code, complaint.as_str()), (0, ""), "{shown}");
    assert!(shown.contains("1 file written; 1 name; 6 B of 6 B\n  sha256:"), "{shown}");
    let (code, _, complaint) = command(&first, &proxy, &["export", "branch.bundle"]);
    assert!(code == 1 && complaint.contains("is there already"), "{complaint}");

    let branch = second.start();
    let (code, shown, _) = command(&second, &branch, &["import", bundle.to_str().unwrap()]);
    assert!(code == 0 && shown.contains("1 file taken in; 1 name"), "{shown}");
    assert_eq!(branch.get("/hello.txt").body, "hello\n");
    assert_eq!(branch.status()["bytes"]["from_upstream"], 0);
    assert_eq!(branch.admin("GET", &format!("/v1/objects/{HELLO}")).status, 200);

    let whole = fs::read(&bundle).unwrap();
    fs::write(&bundle, &whole[..whole.len() - 1]).unwrap();
    let (code, shown, _) = command(&second, &branch, &["import", bundle.to_str().unwrap()]);
    assert!(code == 1 && shown.contains("its end is missing"), "{shown}");
    let (code, _, complaint) = command(&first, &proxy, &["export", "x", "/[a"]);
    assert!(code == 1 && complaint.contains("is no pattern"), "{complaint}");
}

#[test]
fn nobody_there_is_69_nothing_there_3_and_a_wrong_line_2() {
    let place = Place::new();
    let proxy = place.start();
    for asked in [["import", "--status"], ["import", "--stop"], ["export", "--status"], ["export", "--stop"]] {
        assert_eq!(command(&place, &proxy, &asked).0, 3, "{asked:?}");
    }
    for wrong in [&["import"][..], &["import", "old", "--status"], &["import", "old", "--move", "--copy"], &["export"]]
    {
        assert_eq!(command(&place, &proxy, wrong).0, 2, "{wrong:?}");
    }
    for (path, said) in
        [("none", "cannot be read"), ("cache", "in the cache directory"), ("share/hello.txt", "no Outpost bundle")]
    {
        let (code, shown, complaint) = command(&place, &proxy, &["import", path]);
        assert!(code == 1 && [shown, complaint].concat().contains(said), "{path}");
    }
    let (code, _, complaint) = command(&place, &proxy, &["import", "share", "--move"]);
    assert!(code == 1 && complaint.contains("where the upstream 'share' has its files"), "{complaint}");
    assert!(place.path("share/hello.txt").exists());
    let (code, _, complaint) = ended(place.command().args(["import", "old", "--admin", "127.0.0.1:1"]));
    assert!(code == 69 && complaint.contains("no proxy answers"), "{complaint}");
    for (target, json) in
        [("/v1/import", "{}"), ("/v1/import", "{\"path\":\"x\",\"way\":\"steal\"}"), ("/v1/export", "[]")]
    {
        let answer = proxy.post(target, json);
        assert_eq!((answer.status, answer.problem().as_str()), (400, "bad-request"), "{target} {json}");
    }
    let relative = proxy.post("/v1/import", "{\"path\":\"old\"}");
    assert!(relative.status == 400 && relative.body.contains("not an absolute path"), "{}", relative.body);
}
