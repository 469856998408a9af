//! What there is, told in pages: files, packages, shares.

use config::origin::ShareOptions;
use protocol::{
    catalog::{PackageFiles, Packages, Page},
    digest::Md5,
};

use crate::harness::{Answer, Fixture};

fn json<T: serde::de::DeserializeOwned>(answer: &Answer) -> T {
    assert_eq!(answer.status, 200, "{answer:?}");
    serde_json::from_slice(&answer.body).expect("what is documented")
}

fn page(fixture: &Fixture, query: &str) -> Page {
    json(&fixture.get(&format!("/.outpost/v1/catalog{query}")))
}

fn share(name: &str, path: &str, packages: &[&str]) -> ShareOptions {
    let packages = packages.iter().map(ToString::to_string).collect();
    ShareOptions { name: name.into(), path: path.into(), packages }
}

#[test]
fn what_changed_is_told_and_nothing_else() {
    let mut fixture = Fixture::new();
    fixture.write("a b", "one");
    fixture.write("d/x", "two");
    fixture.start();
    fixture.wait_until_known(2);
    let first = page(&fixture, "");
    assert_eq!((first.files.len(), first.gone.len(), first.more, first.reset), (2, 0, false, false));
    let file = first.files.iter().find(|file| file.path == "/a%20b").expect("told");
    assert_eq!((file.md5, file.size), (Md5::of(b"one"), 3));

    let since = format!("?since={}&epoch={}", first.generation, first.epoch);
    assert_eq!(
        page(&fixture, &since),
        Page { epoch: first.epoch.clone(), generation: first.generation, ..Page::default() }
    );

    fixture.write("a b", "other");
    std::fs::remove_dir_all(fixture.path("d")).expect("removed");
    fixture.write("new", "three");
    fixture.rescan();
    crate::harness::until("it is all told", || page(&fixture, &since).files.len() == 2);
    let later = page(&fixture, &since);
    let gone: Vec<_> = later.gone.iter().map(|gone| gone.path.as_str()).collect();
    assert_eq!(gone, ["/d"]);

    // A restart knows it all; another numbering begins anew.
    fixture.start();
    let again = page(&fixture, &since);
    assert_eq!((again.files, again.gone, again.reset), (later.files, later.gone, false));
    let other = page(&fixture, &format!("?since={}&epoch=other", first.generation));
    assert_eq!((other.files.len(), other.gone.len(), other.reset), (2, 0, true));
    let beyond = page(&fixture, &format!("?since={}", u64::from(u32::MAX)));
    assert!(beyond.reset);

    for (query, status) in [("?since=x", 400), ("?since=-1", 400), ("?share=none", 404), ("?limit=1", 200)] {
        assert_eq!(fixture.get(&format!("/.outpost/v1/catalog{query}")).status, status, "{query}");
    }
    assert_eq!(fixture.ask("POST", "/.outpost/v1/catalog", &[]).status, 405);
}

#[test]
fn a_database_of_the_first_release_is_carried_over() {
    let mut fixture = Fixture::new();
    for n in 0..3 {
        fixture.write(format!("d/{n}"), n.to_string());
    }
    fixture.start();
    fixture.wait_until_known(3);
    fixture.stop();
    let database = rusqlite::Connection::open(&fixture.options.database).expect("opens");
    let as_it_was = "
        CREATE TABLE old AS SELECT d.path AS parent, name, inode, size, modified, changed, md5, sha256
            FROM files f JOIN directories d ON d.id = f.directory;
        DROP TABLE files; DROP TABLE directories; DROP TABLE gone; DROP TABLE state; DROP TABLE pieces;
        CREATE TABLE files (
            parent BLOB NOT NULL, name BLOB NOT NULL,
            inode INTEGER NOT NULL, size INTEGER NOT NULL, modified INTEGER NOT NULL, changed INTEGER NOT NULL,
            md5 BLOB NOT NULL CHECK (length(md5) = 16), sha256 BLOB NOT NULL CHECK (length(sha256) = 32),
            PRIMARY KEY (parent, name)
        ) WITHOUT ROWID;
        CREATE INDEX files_by_md5 ON files (md5);
        INSERT INTO files SELECT * FROM old; DROP TABLE old;
        PRAGMA user_version = 1;";
    database.execute_batch(as_it_was).expect("made old");
    drop(database);
    fixture.start();
    fixture.rescan();
    assert_eq!((fixture.origin().known(), fixture.hashed()), (3, 0), "no file is read again");
    assert_eq!(page(&fixture, "").files.len(), 3);
}

#[test]
fn packages_are_told_with_their_files() {
    let mut fixture = Fixture::new();
    fixture.options.shares = vec![share("prod", "/mp/prod%20x", &[]), share("dev", "/mp/dev", &["/*/"])];
    for (path, text) in [
        ("mp/prod x/ComputerJobs/office-16.0.1/setup.exe", "setup"),
        ("mp/prod x/ComputerJobs/office-16.0.1/data/de/text", "de"),
        ("mp/prod x/Redist/vc/vc.exe", "vc"),
        ("mp/prod x/other/file", "x"),
        ("mp/dev/tool-2/t", "t"),
        ("elsewhere/ComputerJobs/a/b", "b"),
    ] {
        fixture.write(path, text);
    }
    fixture.start();
    fixture.wait_until_known(6);
    let told = |query: &str| {
        let packages: Packages = json(&fixture.get(&format!("/.outpost/v1/packages{query}")));
        let shown = packages.packages.into_iter().map(|one| {
            let version = one.version.unwrap_or_else(|| "-".into());
            format!("{} {} {version} {} {} {}", one.share, one.name, one.path, one.files, one.size)
        });
        (shown.collect::<Vec<_>>(), packages.more)
    };
    let office = "prod office 16.0.1 /mp/prod%20x/ComputerJobs/office-16.0.1/ 2 7";
    let vc = "prod vc - /mp/prod%20x/Redist/vc/ 1 2";
    let tool = "dev tool 2 /mp/dev/tool-2/ 1 1";
    let list = |texts: &[&str], more| (texts.iter().map(ToString::to_string).collect::<Vec<_>>(), more);
    assert_eq!(told(""), list(&[tool, office, vc], false));
    assert_eq!(told("?share=prod"), list(&[office, vc], false));
    assert_eq!(told("?share=prod&limit=1"), list(&[office], true));
    assert_eq!(told("?share=prod&limit=1&after=/mp/prod%20x/ComputerJobs/office-16.0.1/"), list(&[vc], false));

    let path = "/.outpost/v1/packages/mp/prod%20x/ComputerJobs/office-16.0.1/";
    let one: PackageFiles = json(&fixture.get(path));
    let files: Vec<_> = one.files.iter().map(|file| file.path.rsplit('/').next().expect("a name")).collect();
    assert_eq!((files, one.package.files, one.more), (vec!["setup.exe", "text"], 2, false));
    let part: PackageFiles = json(&fixture.get(&format!("{path}?limit=1")));
    assert!(part.more && part.files == one.files[..1]);
    let rest: PackageFiles = json(&fixture.get(&format!("{path}?after={}", part.files[0].path)));
    assert_eq!(rest.files, one.files[1..]);
    for path in ["/mp/prod%20x/ComputerJobs/", "/mp/prod%20x/ComputerJobs/none/", "/elsewhere/ComputerJobs/a/"] {
        assert_eq!(fixture.get(&format!("/.outpost/v1/packages{path}")).status, 404, "{path}");
    }

    // What goes from a package is a change of it.
    let before = one.package.generation;
    std::fs::remove_dir_all(fixture.path("mp/prod x/ComputerJobs/office-16.0.1/data")).expect("removed");
    fixture.rescan();
    let one: PackageFiles = json(&fixture.get(path));
    assert_eq!(one.package.files, 1);
    assert!(one.package.generation > before);
    let page = page(&fixture, "?share=dev");
    assert_eq!(page.files.len(), 1);
}
