//! What an agent spares: neighbours are served when the owner and the origin allow it, and it is told why not. All without a restart.

use std::{fs, net::Ipv4Addr};

use harness::{
    MIB,
    agent::{AgentService, AgentSetup},
    client::{Answer, Ask, fetch},
    content::Content,
    machine::Machine,
    script::{Page, Reply},
    share::Share,
    upstream::ScriptedUpstream,
    wait::{self, Gate},
};
use rustix::process::Signal;

use crate::agent;

/// A service with a file of its own, and a content that neighbours ask for.
struct Scene {
    setup: AgentSetup,
    service: AgentService,
    content: Content,
    _upstream: ScriptedUpstream,
}

impl Scene {
    fn new(number: u64, config: &str) -> Self {
        let (setup, content, upstream) = (agent(), Content::random(number, 2 * MIB), ScriptedUpstream::start());
        upstream.publish("/file.zip", Page::new(&content).repr_digest());
        fs::write(setup.directory().join("agent.toml"), config).expect("a temporary directory");
        let service = setup.serve(&["--config", "agent.toml", "--server", &upstream.url()]);
        setup.clone().by(&service).get("/file.zip", "file").expect(&content);
        Self { setup, service, content, _upstream: upstream }
    }

    fn renew(&self, config: &str) {
        fs::write(self.setup.directory().join("agent.toml"), config).expect("a temporary directory");
        self.service.program.signal(Signal::HUP);
    }

    fn neighbour(&self) -> Answer {
        Ask::get(format!("/.outpost/v1/objects/{}", self.content.md5_hex())).fetch(self.service.peers)
    }

    fn wait_for(&self, status: u16) -> Answer {
        wait::until_true(&format!("neighbours are answered {status}"), || self.neighbour().status == status);
        self.neighbour()
    }
}

const ALWAYS: &str = "[sharing]\nnot_during = [\"00:00-24:00\"]\n";

#[test]
fn sharing_stops_and_goes_on_as_the_owner_says() {
    let scene = Scene::new(71, ALWAYS);
    let refused = scene.wait_for(503);
    assert_eq!((refused.problem().as_str(), refused.field("Retry-After")), ("overloaded", Some("3600")));
    let status = scene.service.ask(&["status"]);
    assert!(status.contains("not served now: it is a time of day without sharing"), "{status}");
    // What is no configuration changes nothing, and is told.
    scene.renew("[sharing]\nnot_during = [\"noon\"]\n");
    scene
        .service
        .program
        .find_line("that the old one holds", |line| line.contains("the old one stays in use").then_some(()));
    assert_eq!(scene.neighbour().status, 503);
    scene.renew("");
    scene.wait_for(200).expect(&scene.content);
    scene.renew("[sharing]\nmetered = \"yes\"\n");
    assert_eq!(scene.wait_for(503).field("Retry-After"), Some("600"));
    let status = scene.service.ask(&["status", "--json"]);
    assert!(status.contains("\"why\":\"metered\""), "{status}");
    scene.service.terminate();
}

#[test]
fn what_is_shared_is_another_behind_a_reload() {
    let scene = Scene::new(72, "");
    scene.wait_for(200);
    scene.renew("[peers]\nextensions = [\"iso\"]\n");
    scene.wait_for(404);
    scene.renew("[peers]\nallow = [\"192.0.2.0/24\"]\n");
    scene.wait_for(403);
    scene.renew("[peers]\nuploads = 3\n");
    scene.wait_for(200);
    // A transfer that is on when sharing stops comes to its end.
    let big = Content::random(73, 24 * MIB);
    scene._upstream.publish("/big.zip", Page::new(&big).repr_digest());
    scene.setup.clone().by(&scene.service).get("/big.zip", "big").expect(&big);
    let on = Ask::get(format!("/.outpost/v1/objects/{}", big.md5_hex())).open(scene.service.peers);
    scene.renew(ALWAYS);
    scene.wait_for(503);
    on.rest().expect(&big);
    scene.service.terminate();
}

#[test]
fn in_a_blackout_a_download_waits_at_its_byte_and_goes_on_behind_it() {
    const BLACKOUT: &str = "[line]\nblackout = [\"00:00-24:00\"]\n";
    let (setup, content, upstream, gate) =
        (agent(), Content::random(75, 4 * MIB), ScriptedUpstream::start(), Gate::new());
    let at = content.at_percent(50);
    upstream.publish("/file.zip", Page::new(&content).repr_digest().next(Reply::right().hold(at, &gate)));
    upstream.publish("/late.zip", Page::new(&content).repr_digest());
    let config = setup.directory().join("agent.toml");
    fs::write(&config, "").expect("a temporary directory");
    let service = setup.serve(&["--config", "agent.toml", "--server", &upstream.url()]);
    let get = setup.clone().by(&service);
    let on = get.start("/file.zip", "file");
    gate.wait_for_arrival();
    let renew = |text: &str| {
        fs::write(&config, text).expect("a temporary directory");
        service.program.signal(Signal::HUP);
    };
    // What comes now is left: the line is closed.
    renew(BLACKOUT);
    service.program.find_line("that it is in use", |line| line.contains("was read again").then_some(()));
    gate.open();
    wait::until_true("it waits", || service.ask(&["status"]).contains("(blackout)"));
    let late = get.start("/late.zip", "late");
    wait::until_true("what is begun then waits too", || service.ask(&["status"]).matches("(blackout)").count() == 2);
    assert_eq!(upstream.gets("/late.zip"), 0);
    renew("");
    on.wait().expect(&content);
    late.wait().expect(&content);
    assert!(upstream.body_bytes("/file.zip") < content.len() * 3 / 2, "it went on at its byte");
    service.terminate();
}

#[test]
fn what_the_origin_delivers_is_in_use_at_once_and_after_a_restart() {
    let (share, content) = (Share::new(), Content::random(74, 2 * MIB));
    share.write("file.zip", &content);
    let address = |number| Ipv4Addr::new(127, 79, 1, number);
    let mut origin = Machine::new("origin", env!("CARGO_BIN_EXE_outpost-origin-under-test"), address(1));
    let mut pc = Machine::new("pc1", env!("CARGO_BIN_EXE_outpost-agent-under-test"), address(11));
    let text = |options: &str, origin: &Machine| {
        format!(
            "listen = [\"{}\"]\n[catalogue]\ndirectory = \"{}\"\nsettle = \"100ms\"\n[registry]\nreport_every = \"1s\"\n\
             [sources]\nretry_min = \"1s\"\nretry_max = \"2s\"\nexpiry = \"10s\"\n\
             [[domain]]\nname = \"hq\"\ntier = \"client\"\nranges = [\"127.79.0.0/16\"]\n[domain.agent]\n{options}\n",
            origin.socket(),
            share.path().display(),
        )
    };
    let options = "peers.extensions = [\"zip\"]\npeers.listen = \"127.79.1.11:9\"\ncache.dir = \"/x\"";
    let first = text(options, &origin);
    origin.configure(&first);
    origin.start();
    let own = pc.socket();
    pc.run(
        &["run"],
        &format!(
            "local = \"{own}\"\n[origin]\nurls = [\"{}\"]\nname = \"pc1\"\nstate_dir = \"state\"\n\
             [servers]\nlocal_address = \"{}\"\nbackoff_first = \"200ms\"\nbackoff_max = \"1s\"\n\
             [cache]\nmax_size = \"1GiB\"\nmin_free = \"0%\"\n[peers]\nlisten = \"{}:0\"\nextensions = [\"iso\"]\nallow = [\"127.0.0.0/8\"]\n\
             [sharing]\ncpu_max = 100\ndisk_max = 100\nfree_min = \"0%\"\n",
            origin.url(),
            own.ip(),
            own.ip(),
        ),
    );
    pc.start();
    let status = || fetch(own, "/v1/status").json();
    let at = origin.socket();
    let node = || fetch(at, "/.outpost/v1/nodes").json()["nodes"][0].clone();
    let fetched = fetch(own, "/v1/fetch?what=/file.zip");
    let said = String::from_utf8_lossy(&fetched.body);
    assert!(said.contains("event: ready"), "{said}");
    wait::until_true("what is delivered is in use, and the origin is told the rest", || {
        let node = node();
        node["holds"] == 1 && node["refused"][0]["option"] == "cache.dir" && node["needs_restart"][0] == "peers.listen"
    });
    let membership = status()["membership"].clone();
    assert_eq!((&membership["member"], &membership["domain"]), (&true.into(), &"hq".into()), "{membership}");
    assert_eq!(membership["generation"], node()["configuration"], "{membership}");
    // Nothing is shared any more: the origin sends nobody here.
    let none = text("sharing.not_during = [\"00:00-24:00\"]\npeers.extensions = [\"zip\"]", &origin);
    origin.configure(&none);
    origin.program().expect("it runs").signal(Signal::HUP);
    wait::until_true("the origin hears that nothing is shared", || {
        let node = node();
        node["holds"] == 0 && node["url"].is_null() && node["refused"].is_null()
    });
    assert_eq!(status()["sharing"]["why"], "times");
    // It holds from the start, without anybody to ask.
    origin.kill();
    pc.kill();
    pc.start();
    wait::until_true("it holds after a restart", || status()["sharing"]["why"] == "times");
}
