//! `outpost-agent get`: the file comes whole and right, or not under its name; whatever fails, and whoever is killed.

use std::fs;

use harness::{
    KIB, MIB,
    agent::Get,
    content::Content,
    crowd::all_at_once,
    script::{Page, Reply},
    share::Share,
    upstream::ScriptedUpstream,
    wait::{self, Gate},
};
use rustix::process::Signal;

use crate::{agent, origin_over, proxy};

/// Bytes that may cross the line twice: what was on its way when the connection ended.
const IN_FLIGHT: u64 = 512 * KIB;

/// What the last request for a path began at.
fn began_at(upstream: &ScriptedUpstream, path: &str) -> u64 {
    let asked = upstream.asked(path);
    let range = asked.last().and_then(|asked| asked.range().map(str::to_owned));
    range.and_then(|range| range.strip_prefix("bytes=")?.split('-').next()?.parse().ok()).unwrap_or_default()
}

/// Waits until so many bytes of a part are on the disk.
fn wait_for_part(get: &Get, bytes: u64) {
    let part = get.part();
    wait::until_true("the part grows", || fs::metadata(&part).is_ok_and(|part| part.len() >= bytes));
}

#[test]
fn with_nobody_around_it_is_one_plain_download() {
    let content = Content::random(1, 3 * MIB + 7);
    let upstream = ScriptedUpstream::start();
    upstream.publish("/a%20b.zip?v=1", Page::tagged(&content).repr_digest());
    let got = agent().get(&format!("{}a b.zip?v=1", upstream.url()), "file").expect(&content);
    assert_eq!(upstream.asked_at_all().len(), 1, "{:#?}", upstream.asked_at_all());
    assert_eq!((got.said["verified"].as_bool(), got.said["size"].as_u64()), (Some(true), Some(content.len())));
    assert_eq!(got.said["sources"][0]["bytes"].as_u64(), Some(content.len()));
    // A server that tells no digest is taken at its word, which is said.
    upstream.publish("/plain", Page::new(&content).next(Reply::right().chunked()));
    let got = agent().get(&format!("{}plain", upstream.url()), "file").expect(&content);
    assert_eq!(got.said["verified"].as_bool(), Some(false));
    upstream.publish("/empty", Page::new(&Content::from("")));
    agent().get(&format!("{}empty", upstream.url()), "file").expect(&Content::from(""));
}

#[test]
fn a_server_that_fails_in_mid_file_is_left_for_the_next_at_the_byte() {
    let failing: [fn(u64) -> Reply; 3] =
        [|at| Reply::right().cut(at), |at| Reply::right().reset(at), |at| Reply::right().stall(at)];
    all_at_once(failing.len(), |place| {
        let content = Content::random(place as u64, 4 * MIB);
        let (first, second) = (ScriptedUpstream::start(), ScriptedUpstream::start());
        let at = content.at_percent(60);
        first.publish("/file", Page::new(&content).repr_digest().next(failing[place](at)));
        // Another tag of its own: the digest is the identity.
        second.publish("/file", Page::tagged(&content).repr_digest());
        let servers = ["--server", &first.url(), "--server", &second.url()];
        let got = agent().arguments(&servers).get("/file", "file").expect(&content);
        let from = began_at(&second, "/file");
        assert!(from > 0 && from <= at, "case {place}: it began at {from}: {got:?}");
        let crossed = first.body_bytes("/file") + second.body_bytes("/file");
        assert!(crossed <= content.len() + IN_FLIGHT, "case {place}: {crossed} bytes");
    });
}

#[test]
fn a_single_server_that_breaks_off_is_asked_again_at_the_byte() {
    let content = Content::random(2, 6 * MIB);
    let upstream = ScriptedUpstream::start();
    let breaking = [2, 4].map(|mib| Reply::right().cut(mib * MIB));
    let page = breaking.into_iter().fold(Page::tagged(&content), Page::next);
    upstream.publish("/file", page);
    agent().get(&format!("{}file", upstream.url()), "file").expect(&content);
    let asked = upstream.asked("/file");
    assert_eq!(asked.len(), 3, "{asked:#?}");
    // Where no digest is told, the tag is the identity.
    assert!(asked[2].fields.first("If-Range").is_some() && began_at(&upstream, "/file") > 3 * MIB, "{asked:#?}");
}

#[test]
fn wrong_bytes_never_get_the_name_and_come_from_elsewhere() {
    let content = Content::random(3, 2 * MIB);
    let (liar, honest) = (ScriptedUpstream::start(), ScriptedUpstream::start());
    let wrong = content.with_flipped_bit(MIB);
    liar.publish("/file", Page::new(&content).repr_digest().then(Reply::right().bytes_of(&wrong)));
    honest.publish("/file", Page::new(&content).repr_digest());
    let both = ["--server", &liar.url(), "--server", &honest.url()];
    let got = agent().arguments(&both).get("/file", "file").expect(&content);
    assert_eq!(honest.body_bytes("/file"), content.len(), "begun anew: {got:?}");
    assert_eq!(liar.gets("/file"), 1, "it is asked no more");
    // By digest, where nothing is told by anybody.
    liar.publish(&format!("/.outpost/v1/objects/{}", content.md5_hex()), Page::new(&wrong));
    let got = agent().arguments(&["--server", &liar.url()]).get(&content.md5_hex(), "file").expect_code(4);
    assert!(got.printed.contains("another digest"), "{got:?}");
}

#[test]
fn a_mixture_of_two_versions_is_noticed_and_begun_anew() {
    let content = Content::random(4, 4 * MIB);
    let (first, second) = (ScriptedUpstream::start(), ScriptedUpstream::start());
    let old = content.with_flipped_bit(10);
    // It announces what it does not send, and breaks off before anybody can notice.
    first.publish(
        "/file",
        Page::new(&content).repr_digest().then(Reply::right().bytes_of(&old).cut(content.at_percent(60))),
    );
    second.publish("/file", Page::new(&content).repr_digest());
    let servers = ["--server", &first.url(), "--server", &second.url()];
    agent().arguments(&servers).get("/file", "file").expect(&content);
}

#[test]
fn after_kill_9_the_same_command_goes_on_where_it_was() {
    let content = Content::random(5, 4 * MIB);
    let (upstream, gate) = (ScriptedUpstream::start(), Gate::new());
    let at = content.at_percent(50);
    upstream.publish("/file", Page::tagged(&content).next(Reply::right().hold(at, &gate)));
    let agent = agent();
    let url = format!("{}file", upstream.url());
    let mut get = agent.start(&url, "file");
    gate.wait_for_arrival();
    wait_for_part(&get, at - IN_FLIGHT);
    get.program.kill();
    gate.open();
    let got = agent.get(&url, "file").expect(&content);
    assert!(began_at(&upstream, "/file") >= at - IN_FLIGHT, "{got:?}");
    assert_eq!(got.said["resumed"].as_u64(), Some(began_at(&upstream, "/file")));
}

#[test]
fn a_part_that_is_whole_already_is_given_its_name_and_nobody_is_asked_for_what_follows() {
    let content = Content::random(25, 4 * MIB);
    let (upstream, gate) = (ScriptedUpstream::start(), Gate::new());
    let at = content.at_percent(50);
    upstream.publish("/file", Page::tagged(&content).repr_digest().next(Reply::right().hold(at, &gate)));
    let agent = agent();
    let url = format!("{}file", upstream.url());
    let mut get = agent.start(&url, "file");
    gate.wait_for_arrival();
    wait_for_part(&get, at - IN_FLIGHT);
    get.program.kill();
    gate.open();
    // As if the end had come just behind the last byte.
    fs::write(get.part(), content.bytes()).expect("the part is there");
    let asked = upstream.asked("/file").len();
    let got = agent.get(&url, "file").expect(&content);
    assert_eq!((got.said["resumed"].as_u64(), upstream.asked("/file").len()), (Some(content.len()), asked));
}

#[test]
fn ctrl_c_leaves_what_can_be_continued_also_elsewhere() {
    let content = Content::random(6, 4 * MIB);
    let (first, second, gate) = (ScriptedUpstream::start(), ScriptedUpstream::start(), Gate::new());
    let at = content.at_percent(50);
    first.publish("/file", Page::new(&content).repr_digest().next(Reply::right().hold(at, &gate)));
    second.publish("/file", Page::new(&content).repr_digest());
    let agent = agent();
    let get = agent.clone().arguments(&["--server", &first.url()]).start("/file", "file");
    gate.wait_for_arrival();
    wait_for_part(&get, at - IN_FLIGHT);
    get.program.signal(Signal::INT);
    let got = get.wait().expect_code(130);
    assert!(got.said["error"].as_str().is_some_and(|text| text.contains("continues it")), "{got:?}");
    gate.open();
    agent.arguments(&["--server", &second.url()]).get("/file", "file").expect(&content);
    assert!(began_at(&second, "/file") >= at - IN_FLIGHT);
}

#[test]
fn a_part_of_a_file_that_has_changed_since_is_thrown_away() {
    for digest in [false, true] {
        let (old, new) = (Content::random(7, 4 * MIB), Content::random(8, 4 * MIB));
        let (upstream, gate) = (ScriptedUpstream::start(), Gate::new());
        let page = |content: &Content| if digest { Page::new(content).repr_digest() } else { Page::tagged(content) };
        upstream.publish("/file", page(&old).next(Reply::right().hold(old.at_percent(50), &gate)));
        let agent = agent();
        let url = format!("{}file", upstream.url());
        let mut get = agent.start(&url, "file");
        gate.wait_for_arrival();
        wait_for_part(&get, MIB);
        get.program.kill();
        gate.open();
        upstream.publish("/file", page(&new));
        agent.get(&url, "file").expect(&new);
    }
}

#[test]
fn a_damaged_part_costs_a_second_try_and_blames_nobody() {
    let content = Content::random(9, 4 * MIB);
    let (upstream, gate) = (ScriptedUpstream::start(), Gate::new());
    upstream.publish("/file", Page::new(&content).repr_digest().next(Reply::right().hold(2 * MIB, &gate)));
    let agent = agent();
    let url = format!("{}file", upstream.url());
    let mut get = agent.start(&url, "file");
    gate.wait_for_arrival();
    wait_for_part(&get, MIB);
    get.program.kill();
    gate.open();
    let mut bytes = fs::read(get.part()).expect("the part");
    bytes[1000] ^= 1;
    fs::write(get.part(), bytes).expect("the part");
    agent.get(&url, "file").expect(&content);
}

#[test]
fn what_is_not_there_and_what_is_not_ours_have_codes_of_their_own() {
    let upstream = ScriptedUpstream::start();
    let content = Content::from("x");
    upstream.publish("/forbidden", Page::new(&content).then(Reply::status(403)));
    upstream.publish("/busy", Page::new(&content).then(Reply::status(503)));
    upstream.publish("/broken", Page::new(&content).then(Reply::status(500)));
    let agent = agent().arguments(&["--give-up-after=0s"]);
    for (path, code) in [("none", 3), ("forbidden", 77), ("busy", 69), ("broken", 69)] {
        agent.get(&format!("{}{path}", upstream.url()), path).expect_code(code);
    }
    let gone = upstream.stop();
    agent.get(&format!("http://{gone}/x"), "x").expect_code(69);
    agent.get("x", "x").expect_code(2);
    agent.get("/x", "x").expect_code(2);
}

#[test]
fn two_for_one_file_are_told_and_a_full_directory_is_no_hang() {
    let content = Content::random(10, 4 * MIB);
    let (upstream, gate) = (ScriptedUpstream::start(), Gate::new());
    upstream.publish("/file", Page::tagged(&content).next(Reply::right().hold(MIB, &gate)));
    let agent = agent();
    let url = format!("{}file", upstream.url());
    let first = agent.start(&url, "file");
    gate.wait_for_arrival();
    let second = agent.get(&url, "file");
    assert_eq!(second.code, Some(1), "{second:?}");
    assert!(second.printed.contains("another outpost-agent"), "{second:?}");
    gate.open();
    first.wait().expect(&content);
    let nowhere = agent.get(&url, "no/such/directory/file");
    assert_eq!(nowhere.code, Some(1), "{nowhere:?}");
}

#[test]
fn in_a_queue_it_waits_for_its_place_and_takes_the_file_from_the_proxy_alone() {
    let content = Content::random(11, 2 * MIB);
    let upstream = ScriptedUpstream::start();
    upstream.publish("/file", Page::tagged(&content).next(Reply::right().bytes_per_second(MIB)));
    let proxy =
        proxy().upstream("/", &upstream.url()).serve("max_requesters = 2").serve("retry_delay = \"1s\"").start();
    let url = format!("http://{}/", proxy.files());
    let agents: Vec<_> =
        (0..6).map(|number| agent().arguments(&["--name", &format!("pc{number}"), "--server", &url])).collect();
    let got = all_at_once(agents.len(), |number| agents[number].get("/file", "file").expect(&content));
    assert_eq!(upstream.gets("/file"), 1, "it crosses the line once: {got:#?}");
}

#[test]
fn by_an_origin_it_learns_the_digest_and_without_one_goes_to_the_proxy() {
    let (share, content) = (Share::new(), Content::random(12, 2 * MIB));
    share.write("dir/file.bin", &content);
    let origin = origin_over(&share).start();
    origin.wait_until_hashed("/dir/file.bin");
    let proxy = proxy().upstream("/", &origin.url()).start();
    let (at_origin, at_proxy) = (origin.url(), format!("http://{}/", proxy.files()));
    let agent = agent().arguments(&["--origin", &at_origin, "--server", &at_proxy]);
    let got = agent.get("/dir/file.bin", "by-path").expect(&content);
    assert_eq!(got.said["verified"].as_bool(), Some(true));
    agent.get(&content.md5_hex(), "by-digest").expect(&content);
    agent.get("/dir/none", "none").expect_code(3);
    // Nobody at headquarters: a proxy that it is told of has it, and is asked for the digest.
    proxy.get("/dir/file.bin").expect(&content);
    origin.terminate();
    agent.get(&content.md5_hex(), "without-origin").expect(&content);
}

/// An origin that knows a domain around all of this machine with that proxy in it, if any.
fn origin_of_a_site(share: &Share, proxies: &str) -> (harness::origin::Origin, tempfile::TempDir) {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let file = directory.path().join("origin.toml");
    let text = format!(
        "[sources]\nretry_min = \"1s\"\nretry_max = \"2s\"\n[registry]\nreport_every = \"1s\"\nexpiry = \"60s\"\n\
         [[domain]]\nname = \"hq\"\ntier = \"constrained\"\nranges = [\"127.0.0.0/8\"]\nproxies = [{proxies}]\n"
    );
    fs::write(&file, text).expect("a file in a temporary directory");
    (origin_over(share).arguments(&["--config", &file.display().to_string()]).start(), directory)
}

#[test]
fn a_service_without_its_origin_goes_on_by_what_was_delivered() {
    let (share, content) = (Share::new(), Content::random(31, 2 * MIB));
    share.write("dir/file.zip", &content);
    // The proxy has its place before the origin tells of it.
    let first = origin_over(&share).start();
    first.wait_until_hashed("/dir/file.zip");
    let proxy = proxy().upstream("/", &first.url()).start();
    harness::client::fetch(proxy.files(), "/dir/file.zip").expect(&content);
    let named = format!("{{ name = \"hq-1\", url = \"http://{}/\" }}", proxy.files());
    let (origin, _directory) = origin_of_a_site(&share, &named);
    let setup = agent();
    let kept = setup.directory().join("outpost-agent-origin/configuration.json");
    let at_origin = format!("http://{}/", origin.files());
    // Nobody but the origin is named: where the proxy is, it is told.
    let service = setup.serve(&["--origin", &at_origin, "--name", "pc1"]);
    wait::until_true("the configuration is kept", || kept.exists());
    service.terminate();
    origin.terminate();
    first.terminate();
    let service = setup.serve(&["--origin", &at_origin, "--name", "pc1"]);
    let get = setup.clone().by(&service);
    get.get(&content.md5_hex(), "by-digest").expect(&content);
    get.get("/dir/file.zip", "by-path").expect(&content);
}

#[test]
fn a_neighbour_is_found_through_the_registry() {
    let (share, content) = (Share::new(), Content::random(32, 2 * MIB));
    share.write("dir/file.zip", &content);
    let (origin, _directory) = origin_of_a_site(&share, "");
    origin.wait_until_hashed("/dir/file.zip");
    let at_origin = format!("http://{}/", origin.files());
    let (one, other) = (agent(), agent());
    let holder = one.serve(&["--origin", &at_origin, "--name", "pc1"]);
    let service = other.serve(&["--origin", &at_origin, "--name", "pc2"]);
    one.clone().by(&holder).get("/dir/file.zip", "file").expect(&content);
    let holders = format!("/.outpost/v1/objects/{}/holders", content.md5_hex());
    let at = format!("http://{}/", holder.peers);
    let held = || String::from_utf8_lossy(&origin.get(&holders).body).contains(&at);
    wait::until_true("the origin knows who has it", held);
    other.clone().by(&service).get("/dir/file.zip", "file").expect(&content);
    wait::until_true("two have it", || {
        let body = origin.get(&holders).body;
        String::from_utf8_lossy(&body).matches("http://").count() == 2
    });
    // A `get` without a service says from whom it came.
    let got =
        agent().arguments(&["--origin", &at_origin, "--name", "pc3"]).get("/dir/file.zip", "file").expect(&content);
    assert_eq!(got.said["sources"][0]["rank"], "peer", "{got:?}");
    // What is here no more is not told any longer.
    holder.ask(&["cache", "clear"]);
    wait::until_true("the origin knows that it is gone", || !held());
}
