//! An import that is killed at any instant and begun again: every file is in the cache or where it was, and none of them crosses the line afterwards.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use harness::{
    KIB,
    content::{Content, Numbers},
    proxy::{Proxy, ProxySetup},
    share::Share,
    wait,
};
use serde_json::Value;

use crate::proxy;

const FILES: u64 = 60;

struct Branch {
    share: Share,
    old: PathBuf,
    files: Vec<(String, Content)>,
}

impl Branch {
    /// A share at headquarters, and a copy of it here.
    fn new(setup: &ProxySetup, numbers: &mut Numbers) -> Self {
        // Beside the cache, so that files can be moved.
        let old = setup.directory().join("old");
        let share = Share::new();
        let name = |number| format!("{}/{}.bin", number % 7, number);
        let file = |number| (name(number), Content::random(numbers.below(u64::MAX), numbers.below(300 * KIB)));
        let files: Vec<_> = (0..FILES).map(file).collect();
        for (name, content) in &files {
            let at_headquarters = share.write(name, content);
            let here = old.join(name);
            fs::create_dir_all(here.parent().expect("a directory above")).expect("made");
            fs::write(&here, content.bytes()).expect("written");
            let time = fs::metadata(at_headquarters).and_then(|found| found.modified()).expect("a time");
            fs::File::options().write(true).open(here).and_then(|file| file.set_modified(time)).expect("set");
        }
        Self { share, old, files }
    }
}

fn import(proxy: &Proxy, old: &Path, arguments: &[&str]) -> (i32, String) {
    let admin = proxy.admin().to_string();
    let mut command = Command::new(proxy.setup().executable());
    let output = command.arg("import").arg(old).args(arguments).args(["--json", "--admin", &admin]).output();
    let output = output.expect("it can be run");
    let text = [output.stdout, output.stderr].concat();
    (output.status.code().unwrap_or(-1), String::from_utf8_lossy(&text).into_owned())
}

fn killed_again_and_again(way: &str, seed: u64) {
    println!("{way}, seed {seed}");
    let mut numbers = Numbers::new(seed);
    let mut setup = proxy();
    let branch = Branch::new(&setup, &mut numbers);
    setup = setup.upstream("/", &branch.share.url());
    for life in 0..6 {
        let proxy = setup.start();
        let (code, begun) = import(&proxy, &branch.old, &[way, "--detach"]);
        assert_eq!(code, 0, "{begun}");
        let kill_at = life * 8 + numbers.below(10);
        let done = |now: &Value| now["import"]["files_done"].as_u64().is_some_and(|done| done >= kill_at);
        wait::until_true("so many files are done, or all", || {
            let now = proxy.status();
            done(&now) || now["import"]["state"] == "done"
        });
        setup = proxy.kill();
    }
    let proxy = setup.start();
    let (code, ended) = import(&proxy, &branch.old, &[way]);
    assert_eq!(code, 0, "{ended}");
    for (name, content) in &branch.files {
        proxy.get(format!("/{name}")).expect(content);
        assert_eq!(branch.old.join(name).exists(), way != "--move", "{name}");
    }
    assert_eq!(proxy.upstream_bytes(), 0, "none of it crossed the line");
    let ended: Value = serde_json::from_str(&ended).expect("JSON");
    if way == "--copy" {
        assert!(
            ended["known"].as_u64().is_some_and(|known| known > FILES / 3),
            "it did not go on where it was: {ended}"
        );
    }
}

#[test]
fn killed_in_the_middle_of_an_import_it_goes_on_and_nothing_is_lost() {
    for seed in 0..2 {
        killed_again_and_again("--move", seed);
        killed_again_and_again("--copy", seed);
    }
}
