//! Jobs: an origin assigns a package to an agent, which brings it, keeps it, runs its command and tells how that went; and what else the origin tells its agents. All as
//! programs of their own, either of which is killed and comes back.

use std::{
    fs,
    io::Write,
    net::{Ipv4Addr, SocketAddr, SocketAddrV4},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use harness::{
    KIB, MIB,
    client::{Ask, fetch},
    content::Content,
    machine::Machine,
    program::run_to_end,
    share::Share,
    wait,
};
use rustix::process::Signal;
use serde_json::{Value, json};

const NAME: &str = "pc-1";
const TOKEN: &str = "a-token-of-these-agents-0123456789";
const PACKAGE: &str = "/Redist/office-16.0/";

/// An origin, an agent, and a proxy that is started where it is wanted.
struct Site {
    share: Share,
    origin: Machine,
    agent: Machine,
    proxy: Machine,
    /// More of the origin's configuration than the job.
    origin_options: String,
    /// How long the origin finds a file unchanged before it reads it.
    settle: &'static str,
}

impl Site {
    /// Configured, with nothing running. `net` is another one for each test.
    fn new(net: u8) -> Self {
        let address = |number| Ipv4Addr::new(127, 79, net, number);
        let site = Self {
            share: Share::new(),
            origin: Machine::new("origin", env!("CARGO_BIN_EXE_outpost-origin-under-test"), address(1)),
            agent: Machine::new(NAME, env!("CARGO_BIN_EXE_outpost-agent-under-test"), address(21)),
            proxy: Machine::new("b7-1", env!("CARGO_BIN_EXE_outpost-proxy-under-test"), address(11)),
            origin_options: String::new(),
            settle: "100ms",
        };
        let mut site = site;
        site.configure_agent("commands = true");
        site
    }

    fn configure_agent(&mut self, jobs: &str) {
        self.configure_agent_with("", jobs);
    }

    fn configure_agent_with(&mut self, origin: &str, jobs: &str) {
        let socket = self.agent.socket();
        let text = format!(
            "local = \"{socket}\"\n[origin]\nurls = [\"{}\"]\nname = \"{NAME}\"\nstate_dir = \"state\"\n{origin}\n\
             [servers]\nlocal_address = \"{}\"\nsilence_max = \"2s\"\nbackoff_first = \"200ms\"\nbackoff_max = \"1s\"\n\
             [cache]\ndir = \"cache\"\nmax_size = \"1GiB\"\nmin_free = \"0%\"\n[peers]\nlisten = \"\"\nfind = false\n\
             [jobs]\ndir = \"jobs\"\nspread = \"0s\"\nevery = \"1s\"\n{jobs}\n",
            self.origin.url(),
            socket.ip(),
        );
        let free = if jobs.contains("min_free") { "" } else { "min_free = \"0%\"\n" };
        self.agent.run(&["run"], &(text + free));
    }

    /// The origin's configuration from its next start or SIGHUP on.
    fn assign(&mut self, job: &str) {
        let [listen, admin] = [self.origin.socket(), next(self.origin.socket())];
        self.origin.configure(&format!(
            "listen = [\"{listen}\"]\nadmin = \"{admin}\"\norigins = [\"{}\"]\n\
             [catalogue]\ndirectory = \"{}\"\nsettle = \"{}\"\n[changes]\nheartbeat = \"1s\"\n\
             [registry]\nreport_every = \"1s\"\nexpiry = \"20s\"\n{}\n\
             [[domain]]\nname = \"hq.b7\"\nranges = [\"127.79.0.0/16\"]\n{job}\n",
            self.origin.url(),
            self.share.path().display(),
            self.settle,
            self.origin_options,
        ));
    }

    fn assign_office(&mut self, more: &str) {
        self.assign(&format!(
            "[[job]]\nname = \"office\"\npackage = \"{PACKAGE}\"\ndir = \"apps/office\"\ndomains = [\"hq\"]\n{more}\n"
        ));
    }

    fn reload_origin(&self) {
        self.origin.program().expect("it runs").signal(Signal::HUP);
    }

    /// Puts a file into the package, as a careful publisher does.
    fn publish(&self, name: &str, content: &Content) {
        let path = format!("{}{name}", &PACKAGE[1..]);
        if self.share.path().join(&path).exists() {
            self.share.replace(&path, content);
        } else {
            self.share.write(&path, content);
        }
    }

    /// Waits until the origin knows all files of the package.
    fn wait_until_known(&self, files: usize) {
        wait::until_true("the origin knows the package", || {
            let answer = fetch(self.origin.socket(), format!("/.outpost/v1/packages{PACKAGE}"));
            answer.status == 200 && answer.json()["package"]["files"] == files
        });
    }

    /// What the origin knows of the job at this agent.
    fn told(&self) -> Option<Value> {
        let answer = Ask::get("/.outpost/v1/jobs/office").try_fetch(self.origin.socket()).ok()?;
        (answer.status == 200).then(|| answer.json()["nodes"][0]["state"].clone())
    }

    #[track_caller]
    fn wait_for(&self, what: &str, is_so: impl Fn(&Value) -> bool) -> Value {
        wait::until(what, || self.told().filter(&is_so))
    }

    #[track_caller]
    fn wait_for_state(&self, state: &str) -> Value {
        self.wait_for(&format!("the job is {state}"), |told| told["state"] == state)
    }

    /// Where the package is kept.
    fn dir(&self) -> PathBuf {
        self.agent.directory().join("jobs/apps/office")
    }

    #[track_caller]
    fn expect_file(&self, name: &str, content: &Content) {
        let bytes = fs::read(self.dir().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert!(bytes == content.bytes()[..], "{name} is another file");
    }

    /// Lines that commands have written beside the tree.
    fn ran(&self) -> Vec<String> {
        let text = fs::read_to_string(self.agent.directory().join("jobs/apps/ran")).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    fn agent_says(&self, arguments: &[&str]) -> String {
        let local = format!("--local={}", self.agent.socket());
        let arguments = arguments.iter().copied().chain([local.as_str()]);
        let (code, printed) =
            run_to_end(env!("CARGO_BIN_EXE_outpost-agent-under-test").as_ref(), arguments, self.share.path());
        assert_eq!(code, Some(0), "{printed}");
        printed
    }

    fn origin_says(&self, arguments: &[&str]) -> (Option<i32>, String) {
        let admin = format!("--admin={}", next(self.origin.socket()));
        let arguments = arguments.iter().copied().chain([admin.as_str()]);
        run_to_end(env!("CARGO_BIN_EXE_outpost-origin-under-test").as_ref(), arguments, self.share.path())
    }

    /// What the agent says of itself and its origin.
    fn status(&self) -> Option<Value> {
        Ask::get("/v1/status").try_fetch(self.agent.socket()).ok().map(|answer| answer.json())
    }
}

/// The same port at the next address.
fn next(socket: SocketAddr) -> SocketAddr {
    let SocketAddr::V4(socket) = socket else { panic!("{socket} is none of this scenario") };
    let [a, b, c, d] = socket.ip().octets();
    SocketAddrV4::new(Ipv4Addr::new(a, b, c, d + 1), socket.port()).into()
}

/// Only its owner may read it.
fn secret(path: &Path, text: &str) {
    let file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path);
    file.and_then(|mut file| file.write_all(text.as_bytes())).expect("a file in a temporary directory");
}

/// Writes a line beside the tree, and says something.
const SETUP: &str = "#!/bin/sh\necho \"$1 $OUTPOST_JOB $OUTPOST_JOB_VERSION\" >> ../ran\necho done in $(pwd)\n";

#[test]
fn a_package_is_brought_and_kept_and_its_command_runs_once_for_each_state_of_it() {
    let mut site = Site::new(1);
    let (big, odd) = (Content::random(1, 3 * MIB), Content::random(2, 10 * KIB));
    let odd_name = "a b/\u{fc} &+#%41;'\"$(x)?.bin";
    site.publish("setup", &Content::from(SETUP));
    site.publish("data/big.bin", &big);
    site.publish(odd_name, &odd);
    site.publish("empty", &Content::from(""));
    site.assign_office("on_ready = [\"./setup\", \"a b; exit 7\"]");
    site.origin.start();
    site.wait_until_known(4);
    site.agent.start();
    let told = site.wait_for_state("installed");
    assert_eq!((&told["exit"], &told["version"]), (&json!(0), &json!("16.0")), "{told}");
    assert!(
        told["output"]
            .as_str()
            .is_some_and(|output| output.starts_with("done in /") && output.ends_with("apps/office\n")),
        "{told}"
    );
    site.expect_file("data/big.bin", &big);
    site.expect_file(odd_name, &odd);
    site.expect_file("empty", &Content::from(""));
    assert_eq!(site.ran(), ["a b; exit 7 office 16.0"]);
    let (code, printed) = site.origin_says(&["jobs"]);
    assert!(code == Some(0) && printed.contains("office") && printed.contains(PACKAGE), "{printed}");
    let (code, printed) = site.origin_says(&["jobs", "office"]);
    assert!(code == Some(0) && printed.contains(NAME) && printed.contains("installed"), "{printed}");
    assert_eq!(site.origin_says(&["jobs", "none"]).0, Some(3));
    // What is pinned is counted every few seconds.
    wait::until_true("it is pinned", || site.agent_says(&["jobs"]).contains("pinned   4 of 4"));
    assert!(site.agent_says(&["jobs"]).contains("office  installed"));
    assert!(site.agent_says(&["status"]).contains("jobs\n  office  installed"));

    // What is gone or was changed is brought again; what others put there stays.
    fs::remove_file(site.dir().join("data/big.bin")).expect("it is there");
    fs::write(site.dir().join(odd_name), "changed").expect("it is there");
    fs::write(site.dir().join("data/theirs"), "theirs").expect("a directory");
    wait::until_true("both are brought again", || {
        let len = |name: &str| fs::metadata(site.dir().join(name)).map_or(0, |found| found.len());
        len("data/big.bin") == big.len() && len(odd_name) == odd.len()
    });
    site.expect_file("data/big.bin", &big);
    site.expect_file(odd_name, &odd);

    // Another state of the package.
    let other = Content::random(3, 2 * MIB);
    site.publish("data/big.bin", &other);
    wait::until_true("the command has run again", || site.ran().len() == 2);
    site.expect_file("data/big.bin", &other);
    site.expect_file("data/theirs", &Content::from("theirs"));
    let before = told["tree"].clone();
    site.wait_for("the origin knows of it", |told| told["state"] == "installed" && told["tree"] != before);

    // Neither a restart nor kill -9 has it run again; without an origin it is kept all the same.
    site.agent.kill();
    site.origin.kill();
    fs::remove_file(site.dir().join("empty")).expect("it is there");
    site.agent.start();
    wait::until_true("it is brought again", || site.dir().join("empty").exists());
    site.origin.start();
    site.wait_for_state("installed");
    assert_eq!(site.ran().len(), 2);

    // It is this machine's no more: its files stay.
    site.assign("");
    site.reload_origin();
    wait::until_true("there is no job any more", || site.status().is_some_and(|status| status["jobs"] == json!([])));
    site.expect_file("data/big.bin", &other);
    wait::until_true("the origin knows", || site.told().is_none());
}

#[test]
fn a_command_that_fails_or_takes_too_long_is_told_and_tried_again() {
    let mut site = Site::new(2);
    site.publish("x", &Content::from("x"));
    site.assign_office("on_ready = [\"sh\", \"-c\", \"echo x >> ../ran; echo no room; test -e ../room || exit 3\"]");
    site.origin.start();
    site.wait_until_known(1);
    site.agent.start();
    let told = site.wait_for_state("failed");
    assert_eq!(
        (&told["exit"], &told["output"], &told["detail"]),
        (&json!(3), &json!("no room\n"), &json!("the command ended with 3"))
    );
    wait::until_true("it is tried again", || site.ran().len() >= 2);
    fs::write(site.agent.directory().join("jobs/apps/room"), "").expect("a directory");
    site.wait_for_state("installed");
    site.assign_office("time_limit = \"1s\"\non_ready = [\"sh\", \"-c\", \"echo $$ > ../pid; sleep 1000 & wait\"]");
    site.reload_origin();
    let told = site.wait_for_state("failed");
    assert!(told["detail"].as_str().is_some_and(|detail| detail.contains("longer than 1 s")), "{told}");
    site.assign_office("on_ready = [\"./none\"]");
    site.reload_origin();
    let told = site.wait_for("it cannot be started", |told| {
        told["detail"].as_str().is_some_and(|detail| detail.contains("./none"))
    });
    assert_eq!(told["state"], "failed");
}

#[test]
fn what_the_origin_wants_run_is_not_run_without_leave_and_ones_own_command_is() {
    let mut site = Site::new(3);
    site.publish("x", &Content::from("x"));
    site.assign_office("on_ready = [\"sh\", \"-c\", \"echo theirs >> ../ran\"]");
    site.configure_agent("");
    site.origin.start();
    site.wait_until_known(1);
    site.agent.start();
    let told = site.wait_for_state("failed");
    assert!(told["detail"].as_str().is_some_and(|detail| detail.contains("jobs.commands = true")), "{told}");
    site.expect_file("x", &Content::from("x"));
    site.agent.kill();
    site.configure_agent("on_ready = [\"sh\", \"-c\", \"echo own >> ../ran\"]");
    site.agent.start();
    site.wait_for_state("installed");
    assert_eq!(site.ran(), ["own"]);
}

#[test]
fn a_package_into_which_files_are_still_copied_is_waited_for() {
    let mut site = Site::new(9);
    let last = Content::random(1, MIB);
    site.publish("setup", &Content::from(SETUP));
    site.assign_office("on_ready = [\"./setup\", \"whole\"]");
    site.origin.start();
    site.wait_until_known(1);
    site.origin.kill();
    // From now on everything new is still being copied.
    site.settle = "1h";
    site.assign_office("on_ready = [\"./setup\", \"whole\"]");
    site.publish("data.bin", &last);
    site.origin.start();
    site.agent.start();
    let told = site.wait_for("the origin is asked for the package", |told| {
        told["detail"].as_str().is_some_and(|detail| detail.contains("is being changed"))
    });
    assert_eq!(told["state"], "waiting", "{told}");
    assert!(site.ran().is_empty() && !site.dir().join("setup").exists());
    site.origin.kill();
    site.settle = "100ms";
    site.assign_office("on_ready = [\"./setup\", \"whole\"]");
    site.origin.start();
    site.wait_for_state("installed");
    site.expect_file("data.bin", &last);
    assert_eq!(site.ran(), ["whole office 16.0"]);
}

#[test]
fn a_command_that_was_interrupted_is_ended_and_runs_again() {
    let mut site = Site::new(4);
    site.publish("x", &Content::from("x"));
    let script = "echo begin >> ../ran; while [ ! -e ../go ]; do sleep 0.02; done; echo end >> ../ran";
    site.assign_office(&format!("on_ready = [\"sh\", \"-c\", \"{script}\"]"));
    site.origin.start();
    site.wait_until_known(1);
    site.agent.start();
    wait::until_true("the command runs", || site.ran() == ["begin"]);
    site.wait_for_state("installing");
    site.agent.kill();
    site.agent.start();
    wait::until_true("it runs again", || site.ran() == ["begin", "begin"]);
    fs::write(site.agent.directory().join("jobs/apps/go"), "").expect("a directory");
    site.wait_for_state("installed");
    assert_eq!(site.ran(), ["begin", "begin", "end"], "the first one was ended");
    site.agent.kill();
    site.agent.start();
    // A run later than the restart: it looks after what is changed.
    fs::remove_file(site.dir().join("x")).expect("it is there");
    wait::until_true("it was looked after again", || site.dir().join("x").exists());
    site.wait_for_state("installed");
    assert_eq!(site.ran().len(), 3);
}

#[test]
fn what_is_not_ours_is_left_alone_and_a_disk_without_room_is_told() {
    let mut site = Site::new(5);
    site.publish("x", &Content::random(5, 300 * KIB));
    site.assign_office("");
    fs::create_dir_all(site.dir()).expect("a directory");
    fs::write(site.dir().join("x"), "precious").expect("a file");
    site.origin.start();
    site.wait_until_known(1);
    site.agent.start();
    let told = site.wait_for_state("failed");
    assert!(told["detail"].as_str().is_some_and(|detail| detail.contains("no job has put there")), "{told}");
    assert_eq!(fs::read_to_string(site.dir().join("x")).expect("it is there"), "precious");
    site.agent.kill();
    site.configure_agent("min_free = \"100%\"");
    fs::remove_dir_all(site.dir()).expect("it is there");
    site.agent.start();
    let told = site.wait_for("there is no room", |told| {
        told["detail"].as_str().is_some_and(|detail| detail.contains("jobs.min_free"))
    });
    assert_eq!(told["state"], "failed");
    assert!(!site.dir().exists());
    site.agent.kill();
    site.configure_agent("");
    site.agent.start();
    site.wait_for_state("installed");
    // A job that leads out is refused where it is written, with its line.
    site.assign(&format!(
        "[[job]]\nname = \"office\"\npackage = \"{PACKAGE}\"\ndir = \"../../etc\"\ndomains = [\"hq\"]\n"
    ));
    site.reload_origin();
    let program = site.origin.program().expect("it runs");
    program.find_line("why it is refused", |line| line.contains("is no place below").then_some(()));
    assert_eq!(site.told().expect("the old one is in use")["state"], "installed");
}

#[test]
fn a_server_that_fetches_only_beforehand_cancels_the_run_and_the_next_one_has_it() {
    let mut site = Site::new(6);
    let content = Content::random(6, 500 * KIB);
    site.publish("x", &content);
    site.origin_options =
        "[sources]\nstaging = false\nretry_min = \"1s\"\nretry_max = \"1s\"\nexpiry = \"1s\"\n".into();
    let office =
        format!("[[job]]\nname = \"office\"\npackage = \"{PACKAGE}\"\ndir = \"apps/office\"\ndomains = [\"hq\"]\n");
    let proxies = format!("proxies = [{{ name = \"b7-1\", url = \"{}\" }}]\n", site.proxy.url());
    site.assign(&(proxies + &office));
    let [listen, admin] = [site.proxy.socket(), next(site.proxy.socket())];
    site.proxy.configure(&format!(
        "listen = [\"{listen}\"]\nadmin = \"{admin}\"\nmode = \"preload\"\n[cache]\ndir = \"cache\"\nmax_size = \"1GiB\"\nmin_free = \"0%\"\n\
         [preload]\nschedule = [\"0 4 29 2 * for 1m\"]\n[origin]\nname = \"b7-1\"\nstate_dir = \"state\"\n\
         [serve]\nretry_delay = \"1s\"\n[[upstream]]\nname = \"hq\"\nmount = \"/\"\nurl = \"outpost+{}\"\n",
        site.origin.url(),
    ));
    site.origin.start();
    site.wait_until_known(1);
    site.proxy.start();
    site.agent.start();
    let told = site.wait_for_state("cancelled");
    assert!(told["detail"].as_str().is_some_and(|detail| detail.contains("has not been preloaded yet")), "{told}");
    assert!(!site.dir().exists());
    let preload = "POST /v1/preload HTTP/1.1\r\nHost: p\r\nContent-Length: 0\r\n\r\n";
    let mut connection = harness::client::Connection::open(admin);
    connection.send(preload.as_bytes());
    connection.answer("POST").rest();
    site.wait_for_state("installed");
    site.expect_file("x", &content);
}

#[test]
fn what_is_ordered_of_an_agent_is_followed_to_its_end() {
    let mut site = Site::new(7);
    let content = Content::random(7, 200 * KIB);
    site.publish("x", &content);
    site.assign_office("");
    site.origin.start();
    site.wait_until_known(1);
    site.agent.start();
    site.wait_for_state("installed");
    let update = |path: &[&str]| {
        let arguments = [&["update", "--json", "--proxy", NAME], path].concat();
        let (code, printed) = site.origin_says(&arguments);
        let line = printed.lines().find(|line| line.starts_with('{')).unwrap_or_else(|| panic!("no JSON: {printed}"));
        (code, serde_json::from_str::<Value>(line).expect("JSON")["orders"][0]["order"].clone())
    };
    let (code, order) = update(&[]);
    assert_eq!((code, &order["state"]), (Some(0), &json!("done")), "{order}");
    let other = Content::random(8, 100 * KIB);
    site.share.write("Redist/other/y", &other);
    wait::until_true("the origin knows it", || {
        fetch(site.origin.socket(), "/.outpost/v1/packages/Redist/other/").status == 200
    });
    let (code, order) = update(&["/Redist/other/"]);
    assert_eq!((code, &order["state"], &order["fetched"]), (Some(0), &json!("done"), &json!(other.len())), "{order}");
    assert!(site.agent_says(&["why", "/Redist/other/y"]).contains("here, "));
    let (code, order) = update(&["/Redist/none/"]);
    assert!(
        code == Some(1) && order["detail"].as_str().is_some_and(|detail| detail.contains("/Redist/none/")),
        "{order}"
    );
}

#[test]
fn an_agent_enrols_with_its_token_and_one_that_has_lost_its_credential_comes_back_when_it_may() {
    let mut site = Site::new(8);
    secret(&site.origin.directory().join("tokens"), &format!("{TOKEN} domain=hq name=pc-*\n"));
    secret(&site.agent.directory().join("token"), TOKEN);
    site.origin_options = "[enrolment]\ntokens_file = \"tokens\"\nrequired = true\n".into();
    site.publish("x", &Content::from("x"));
    site.assign_office("");
    site.configure_agent_with("token_file = \"token\"", "");
    site.origin.start();
    site.wait_until_known(1);
    site.agent.start();
    site.wait_for_state("installed");
    let credential = site.agent.directory().join("state/credential");
    let first = fs::read_to_string(&credential).expect("it keeps what it was given");
    // A restart needs no token.
    site.agent.kill();
    fs::remove_file(site.agent.directory().join("token")).expect("it is there");
    site.agent.start();
    wait::until_true("it is a member", || site.status().is_some_and(|status| status["membership"]["member"] == true));
    assert_eq!(fs::read_to_string(&credential).expect("it is there"), first);
    // Without its credential its name is another's.
    site.agent.kill();
    secret(&site.agent.directory().join("token"), TOKEN);
    fs::remove_dir_all(site.agent.directory().join("state")).expect("it is there");
    site.agent.start();
    let program = site.agent.program().expect("it runs");
    program.find_line("that it may not enrol", |line| line.contains("does not let this machine enrol").then_some(()));
    assert!(!credential.exists());
    assert_eq!(site.origin_says(&["forget", NAME]).0, Some(0));
    wait::until_true("it enrols again by itself", || credential.exists());
    assert_ne!(fs::read_to_string(&credential).expect("it is there"), first);
    // Forgotten while it runs it enrols anew too, with the credential that it has.
    assert_eq!(site.origin_says(&["forget", NAME]).0, Some(0));
    wait::until_true("it enrols once more", || program.printed().matches("has enrolled at its origin").count() == 2);
    site.wait_for_state("installed");
}
