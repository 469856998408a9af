//! What somebody asks for now.

use super::*;

#[test]
fn on_demand_a_path_a_folder_and_a_package_come_whatever_the_clock_says() {
    let share = tempfile::tempdir().unwrap();
    for name in ["office-1.2/setup.exe", "office-1.2/data/a.cab", "office-1.3/setup.exe", "other/x", "single"] {
        put(share.path(), &format!("packages/{name}"), name.as_bytes());
    }
    let (_told, clock) = clock("2026-11-23T12:00:00Z");
    let mut options = options(share.path().to_str().unwrap(), Mode::Preload, schedule(&["02:00-04:00"], "UTC"));
    options.upstreams[0].mount = "/prod".into();
    let proxy = Proxy::by_clock(options, clock);
    let ask = |demand: Demand| {
        proxy.cache.preload_on_demand(&demand).unwrap();
        done_on_demand(&proxy)
    };
    assert_eq!(ask(paths(&["/prod/packages/single"])).fetched.files, 1);
    assert_eq!(ask(demand(Wanted::Package("/prod/packages/office-1.2".into()))).fetched.files, 2);
    get(proxy.address(), "/prod/packages/office-1.2/data/a.cab").expect(b"office-1.2/data/a.cab");
    get(proxy.address(), "/prod/packages/office-1.3/setup.exe").expect_problem(503, "not-preloaded");
    // A folder whose slash was left out, and one with it.
    assert_eq!(ask(paths(&["/prod/packages/other"])).fetched.files, 1);
    let round = ask(paths(&["/prod/packages/"]));
    assert_eq!((round.fetched.files, round.here.files), (1, 4));
    let round = ask(paths(&["/prod/packages/none"]));
    assert_eq!((round.failed, round.fetched.files), (1, 0));
    assert_eq!(status(&proxy).failures[0].path, "/prod/packages/none");
    assert!(status(&proxy).scheduled.is_none(), "no window has opened");
}

#[test]
fn one_file_says_what_became_of_it() {
    let share = tempfile::tempdir().unwrap();
    put(share.path(), "dir/a", &content(13, 70_000));
    let proxy = Proxy::of(share.path().to_str().unwrap());
    let preload = |path: &str| proxy.wait(proxy.cache.preload(path));
    assert_eq!(preload("/dir/a"), Ok(Preloaded::Fetched(70_000)));
    assert_eq!(preload("/dir/a"), Ok(Preloaded::Here));
    assert_eq!(preload("/dir/none"), Ok(Preloaded::NotThere));
    assert_eq!(preload("/dir"), Ok(Preloaded::Folder));
    assert!(matches!(preload("dir"), Err(DemandError::Path { .. })));
    get(proxy.address(), "/dir/a").expect(&content(13, 70_000));
}
