//! Too little room: the limits hold at every moment, readers keep what they read, and clients get their bytes all the same.

use std::{
    path::Path,
    sync::atomic::{AtomicBool, Ordering::SeqCst},
    thread,
    time::Duration,
};

use harness::{
    KIB, MIB,
    client::{Ask, Ending},
    content::{Content, Numbers},
    crowd::all_at_once,
    proxy::Proxy,
    script::{Page, Reply},
    share::Share,
    upstream::ScriptedUpstream,
    wait,
};

use crate::proxy;

#[test]
fn a_file_that_can_never_fit_is_passed_through() {
    let content = Content::random(1, 24 * MIB);
    let upstream = ScriptedUpstream::start();
    upstream.publish("/huge", Page::tagged(&content));
    let proxy = proxy().upstream("/", &upstream.url()).cache("max_size = \"16MiB\"").start();
    for _ in 0..2 {
        let result = proxy.open("/huge").compare(&content, 0);
        assert_eq!((result.status, result.ending), (200, Ending::Whole));
    }
    let part = proxy.ask(&Ask::get("/huge").range("bytes=5-9"));
    assert!(part.status == 206 || part.is(&content), "{part:?}");
    proxy.wait_until_idle();
    assert!(proxy.objects_on_disk().is_empty());
    assert!(proxy.bytes_on_disk() <= 16 * MIB);
}

#[test]
fn a_file_that_turns_out_not_to_fit_is_passed_through_from_then_on() {
    let content = Content::random(8, 24 * MIB);
    let upstream = ScriptedUpstream::start();
    upstream.publish("/huge", Page::tagged(&content).then(Reply::right().chunked()));
    let proxy = proxy().upstream("/", &upstream.url()).cache("max_size = \"16MiB\"").start();
    // Nobody said how long it would be: whoever followed when the room ran out is cut short, and sees that.
    proxy.get("/huge").expect_none_but(&[&content]);
    // Who comes before that fill is over follows it as well.
    proxy.wait_until_idle();
    let result = proxy.open("/huge").compare(&content, 0);
    assert_eq!((result.status, result.ending), (200, Ending::Whole));
    proxy.wait_until_idle();
    assert!(proxy.bytes_on_disk() <= 16 * MIB);
}

#[test]
fn a_file_that_can_never_fit_is_a_507_where_so_configured() {
    let content = Content::random(2, 24 * MIB);
    let share = Share::new();
    share.write("huge", &content);
    let setup = proxy().upstream("/", &share.url()).cache("max_size = \"16MiB\"").cache("no_room = \"refuse\"");
    let proxy = setup.start();
    let answer = proxy.get("/huge").expect_status(507);
    assert_eq!(answer.problem(), "no-room");
}

#[test]
fn a_disk_that_is_too_full_for_anything_passes_everything_through() {
    let small = Content::random(3, 100 * KIB);
    let large = Content::random(4, 8 * MIB);
    let share = Share::new();
    share.write("small", &small);
    share.write("large", &large);
    let disk = rustix::fs::statvfs(share.path()).expect("the disk of the test");
    // Ever so little more than there is: to the cache this disk is full.
    let more_than_free = disk.f_frsize * disk.f_bavail + (disk.f_frsize * disk.f_blocks) / 50;
    let setup = proxy().upstream("/", &share.url()).cache(&format!("min_free = {more_than_free}"));
    let proxy = setup.start();
    for _ in 0..2 {
        proxy.get("/small").expect(&small);
        proxy.get("/large").expect(&large);
    }
    assert!(proxy.objects_on_disk().is_empty());
}

/// Samples what the cache takes until told to stop: the most it ever was.
fn most_on_disk_while<T>(proxy: &Proxy, act: impl FnOnce() -> T) -> (u64, T) {
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let sampler = scope.spawn(|| {
            let mut most = 0;
            while !done.load(SeqCst) {
                most = most.max(proxy.bytes_on_disk());
                wait::pause(Duration::from_millis(3));
            }
            most
        });
        let result = act();
        done.store(true, SeqCst);
        (sampler.join().expect("the sampler"), result)
    })
}

#[test]
fn limits_hold_at_every_sample_while_objects_are_evicted_and_read() {
    const LIMIT: u64 = 32 * MIB;
    const SEED: u64 = 5;
    println!("seed {SEED}");
    let contents: Vec<_> = (0..40).map(|file| Content::random(file, MIB + file * 40 * KIB)).collect();
    let share = Share::new();
    for (file, content) in contents.iter().enumerate() {
        share.write(file.to_string(), content);
    }
    let setup = proxy().upstream("/", &share.url()).serve("max_requesters = 0");
    let proxy = setup.cache(&format!("max_size = {LIMIT}")).start();

    // These read a little and then wait while what they read is evicted under them.
    let mut slow: Vec<_> = (0..3).map(|file| proxy.open(format!("/{file}"))).collect();
    slow.iter_mut().for_each(|transfer| drop(transfer.take(KIB)));
    let (most, ()) = most_on_disk_while(&proxy, || {
        all_at_once(4, |client| {
            let mut numbers = Numbers::new(SEED + client as u64);
            for _ in 0..60 {
                let file = numbers.below(contents.len() as u64) as usize;
                let result = proxy.open(format!("/{file}")).compare(&contents[file], 0);
                assert_eq!(result.ending, Ending::Whole, "client {client}, file {file}: {result:?}");
                let used = proxy.number("/cache/used_bytes");
                assert!(used <= LIMIT, "{used} of {LIMIT} bytes are said to be used");
            }
        });
    });
    assert!(most <= LIMIT, "the directory took {most} bytes, {LIMIT} are allowed");
    assert!(most > LIMIT / 3, "hardly anything was cached ({most} bytes): the limit was not put to the test");
    assert!(proxy.number("/cache/evictions") > 0);
    for (file, transfer) in slow.into_iter().enumerate() {
        let result = transfer.compare(&contents[file], KIB);
        assert_eq!(result.ending, Ending::Whole, "slow reader of {file}: {result:?}");
    }
}

#[test]
fn what_is_asked_for_often_outlives_what_is_asked_for_once() {
    let contents: Vec<_> = (0..40).map(|file| Content::random(100 + file, MIB)).collect();
    let upstream = ScriptedUpstream::start();
    for (file, content) in contents.iter().enumerate() {
        upstream.publish(&format!("/{file}"), Page::tagged(content));
    }
    let proxy = proxy().upstream("/", &upstream.url()).cache("max_size = \"16MiB\"").start();
    for (file, content) in contents.iter().enumerate() {
        proxy.get(format!("/{file}")).expect(content);
        proxy.get("/0").expect(&contents[0]);
    }
    assert_eq!(upstream.gets("/0"), 1, "the popular file was evicted");
    assert!(proxy.number("/cache/evictions") > 0);
}

#[test]
fn what_was_asked_for_often_is_remembered_over_a_restart() {
    let contents: Vec<_> = (0..30).map(|file| Content::random(200 + file, MIB)).collect();
    let upstream = ScriptedUpstream::start();
    for (file, content) in contents.iter().enumerate() {
        upstream.publish(&format!("/{file}"), Page::tagged(content));
    }
    let proxy = proxy().upstream("/", &upstream.url()).cache("max_size = \"16MiB\"").start();
    drop(proxy.get("/0").expect(&contents[0]));
    // Until it is durable who asks follows the fetch, and only hits count as use.
    proxy.wait_until_idle();
    (0..40).for_each(|_| drop(proxy.get("/0").expect(&contents[0])));
    let proxy = proxy.terminate().start();
    for (file, content) in contents.iter().enumerate().skip(1) {
        proxy.get(format!("/{file}")).expect(content);
    }
    proxy.get("/0").expect(&contents[0]);
    assert!(proxy.number("/cache/evictions") > 0);
    assert_eq!(upstream.gets("/0"), 1, "the popular file was evicted");
}

#[test]
fn with_few_file_descriptors_it_refuses_and_recovers() {
    let (small, large) = (Content::random(9, 1000), Content::random(10, MIB));
    let share = Share::new();
    share.write("small", &small);
    share.write("large", &large);
    let script = "ulimit -n 80; exec \"$0\" \"$@\"";
    let setup = proxy().upstream("/", &share.url()).serve("max_requesters = 0");
    let proxy = setup.start_by(Path::new("/bin/sh"), &["-c", script]);
    let answers = all_at_once(200, |client| {
        let (path, content) = if client % 2 == 0 { ("/small", &small) } else { ("/large", &large) };
        // A refused connection is an answer too.
        let answer = Ask::get(path).try_fetch(proxy.files());
        answer.is_ok_and(|answer| answer.expect_none_but(&[content]).is(content))
    });
    assert!(answers.iter().any(|served| *served), "nobody was served");
    wait::until_true("both are served again", || {
        [("/small", &small), ("/large", &large)]
            .iter()
            .all(|(path, content)| Ask::get(path).try_fetch(proxy.files()).is_ok_and(|answer| answer.is(content)))
    });
}

#[test]
fn a_disk_that_refuses_to_write_harms_only_what_does_not_fit() {
    let small = Content::random(6, 100 * KIB);
    let large = Content::random(7, 8 * MIB);
    let share = Share::new();
    share.write("small", &small);
    share.write("large", &large);
    // From 4 MiB on (8192 blocks of 512 bytes) every write to a file fails, as on a full disk.
    let script = "trap '' XFSZ; ulimit -f 8192; exec \"$0\" \"$@\"";
    let proxy = proxy().upstream("/", &share.url()).start_by(Path::new("/bin/sh"), &["-c", script]);
    let broken = proxy.get("/large").expect_none_but(&[&large]);
    assert!(broken.status == 200 || broken.status >= 500, "{broken:?}");
    for _ in 0..2 {
        proxy.get("/small").expect(&small);
        proxy.get("/large").expect_none_but(&[&large]);
    }
    proxy.wait_until_idle();
    let names: Vec<_> = proxy.objects_on_disk();
    assert!(names.iter().all(|path| path.ends_with(small.md5_hex())), "{names:?}");
}
