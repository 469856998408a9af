//! A proxy belongs to an origin, both as programs of their own: it enrols, is configured without a restart, does what it is told to the end, and is
//! where its clients are sent. Either side is killed and comes back.

use std::{
    fs,
    io::Write,
    net::{Ipv4Addr, SocketAddr, SocketAddrV4},
    os::unix::fs::OpenOptionsExt,
    path::Path,
};

use harness::{
    KIB,
    client::{Ask, Connection, fetch},
    content::Content,
    machine::Machine,
    program::run_to_end,
    share::Share,
    wait,
};
use rustix::process::Signal;
use serde_json::{Value, json};

const NAME: &str = "b7-1";
const TOKEN: &str = "a-token-of-this-branch-0123456789";
const OTHER_TOKEN: &str = "a-token-of-nobody-0123456789abcdef";

/// An origin and the proxy of a branch. Each listens at an address of its own, its admin listener at the next one.
struct Branch {
    share: Share,
    origin: Machine,
    proxy: Machine,
}

impl Branch {
    /// Configured, and not running. `net` is another one for each test.
    fn new(net: u8) -> Self {
        let address = |number| Ipv4Addr::new(127, 78, net, number);
        let branch = Self {
            share: Share::new(),
            origin: Machine::new("origin", env!("CARGO_BIN_EXE_outpost-origin-under-test"), address(1)),
            proxy: Machine::new(NAME, env!("CARGO_BIN_EXE_outpost-proxy-under-test"), address(11)),
        };
        let bound = format!("{TOKEN} domain=hq name=b7-*\n");
        secret(&branch.origin.directory().join("tokens"), &bound);
        branch.give_token(TOKEN);
        let mut branch = branch.delivering("serve.max_requesters = 5");
        branch.configure_proxy();
        branch
    }

    /// Likewise, and the proxy is a member.
    fn started(net: u8) -> Self {
        let mut branch = Self::new(net);
        branch.origin.start();
        branch.proxy.start();
        branch.wait_for_member();
        branch
    }

    fn give_token(&self, token: &str) {
        secret(&self.proxy.directory().join("token"), token);
    }

    /// From the next start or SIGHUP on the origin delivers these options.
    fn delivering(mut self, options: &str) -> Self {
        self.deliver(options);
        self
    }

    fn deliver(&mut self, options: &str) {
        let [listen, admin] = [self.origin.socket(), next(self.origin.socket())];
        self.origin.configure(&format!(
            "listen = [\"{listen}\"]\nadmin = \"{admin}\"\norigins = [\"{}\"]\n\
             [catalogue]\ndirectory = \"{}\"\nsettle = \"100ms\"\n[changes]\nheartbeat = \"1s\"\n\
             [enrolment]\ntokens_file = \"tokens\"\nrequired = true\n\
             [registry]\nreport_every = \"1s\"\nexpiry = \"20s\"\n[sources]\nretry_min = \"1s\"\nretry_max = \"2s\"\n\
             [[domain]]\nname = \"hq\"\ntier = \"constrained\"\nranges = [\"127.78.0.0/16\"]\n\
             proxies = [{{ name = \"{NAME}\", url = \"{}\" }}]\n[domain.proxy]\n{options}\n",
            self.origin.url(),
            self.share.path().display(),
            self.proxy.url(),
        ));
    }

    fn configure_proxy(&mut self) {
        let [listen, admin] = [self.proxy.socket(), next(self.proxy.socket())];
        self.proxy.configure(&format!(
            "listen = [\"{listen}\"]\nadmin = \"{admin}\"\n[cache]\ndir = \"cache\"\nmax_size = \"1GiB\"\nmin_free = \"0%\"\n\
             [origin]\nname = \"{NAME}\"\ntoken_file = \"token\"\nstate_dir = \"state\"\n\
             [[upstream]]\nname = \"hq\"\nmount = \"/\"\nurl = \"outpost+{}\"\n\
             retry_backoff = \"10ms\"\nretry_backoff_max = \"50ms\"\n",
            self.origin.url(),
        ));
    }

    /// Publishes a file, and waits until the origin knows its digest.
    fn publish(&self, path: &str, content: &Content) {
        self.share.write(&path[1..], content);
        wait::until_true("the origin knows the digest", || {
            Ask::head(path).fetch(self.origin.socket()).field("Repr-Digest").is_some()
        });
    }

    /// What the proxy tells people, if it answers.
    fn status(&self) -> Option<Value> {
        let answer = Ask::get("/v1/status").try_fetch(next(self.proxy.socket())).ok()?;
        Some(answer.json())
    }

    fn wait_for_status(&self, what: &str, is_so: impl Fn(&Value) -> bool) {
        wait::until_true(what, || self.status().is_some_and(|status| is_so(&status)));
    }

    fn wait_for_member(&self) {
        self.wait_for_status("the proxy is a member that hears its origin and has told it something", |status| {
            let origin = &status["origin"];
            origin["state"] == "member" && origin["live"] == true && origin["reports"]["sent"].as_u64() > Some(0)
        });
    }

    /// How many clients may have a file from the proxy at once.
    fn wait_for_requesters(&self, expected: u64) {
        self.wait_for_status("what is delivered is in use", |status| {
            status["requesters"]["max_per_object"] == expected
        });
    }

    fn hang_up(machine: &Machine) {
        machine.program().expect("it runs").signal(Signal::HUP);
    }

    /// `outpost-origin COMMAND ...`: its exit code, and what it printed.
    fn command(&self, arguments: &[&str]) -> (Option<i32>, String) {
        let admin = format!("--admin={}", next(self.origin.socket()));
        let arguments = arguments.iter().copied().chain([admin.as_str()]);
        run_to_end(env!("CARGO_BIN_EXE_outpost-origin-under-test").as_ref(), arguments, self.share.path())
    }

    /// `outpost-origin update --json ...`: its exit code, and the only order.
    #[track_caller]
    fn update(&self, path: &str) -> (Option<i32>, Value) {
        let (code, printed) = self.command(&["update", "--json", "--proxy", NAME, path]);
        let first = printed.lines().find(|line| line.starts_with('{')).unwrap_or_else(|| panic!("no JSON: {printed}"));
        let told: Value = serde_json::from_str(first).expect("JSON");
        assert_eq!(told["orders"][0]["node"], NAME, "{told}");
        (code, told["orders"][0]["order"].clone())
    }

    /// The names of those that the origin knows to hold a content.
    fn holders(&self, content: &Content) -> Vec<String> {
        let answer = fetch(self.origin.socket(), format!("/.outpost/v1/objects/{}/holders", content.md5_hex()));
        let holders = answer.json()["holders"].as_array().cloned().unwrap_or_default();
        holders.iter().filter_map(|holder| holder["name"].as_str().map(str::to_owned)).collect()
    }

    /// What a client of the branch, which has no name, is told of where a content is.
    fn sources(&self, content: &Content) -> Value {
        let question = json!({ "digests": [content.md5_hex()] }).to_string();
        let text = format!(
            "POST /.outpost/v1/sources HTTP/1.1\r\nHost: o\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{question}",
            question.len()
        );
        let own = beyond(self.proxy.socket(), 100);
        let mut connection = Connection::try_open_from(*own.ip(), self.origin.socket()).expect("the origin listens");
        connection.send(text.as_bytes());
        connection.answer("POST").rest().json()["contents"][0].clone()
    }
}

/// Only its owner may read it.
fn secret(path: &Path, text: &str) {
    let file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path);
    file.and_then(|mut file| file.write_all(text.as_bytes())).expect("a file in a temporary directory");
}

/// The same port at the next address.
fn next(socket: SocketAddr) -> SocketAddr {
    beyond(socket, 1).into()
}

/// The same port, so many addresses further on.
fn beyond(socket: SocketAddr, count: u8) -> SocketAddrV4 {
    let SocketAddr::V4(socket) = socket else { panic!("{socket} is none of this scenario") };
    let [a, b, c, d] = socket.ip().octets();
    SocketAddrV4::new(Ipv4Addr::new(a, b, c, d + count), socket.port())
}

#[test]
fn what_the_origin_says_is_in_use_without_a_restart_and_without_the_origin() {
    let mut branch = Branch::started(1);
    branch.wait_for_requesters(5);
    let (code, printed) = branch.command(&["nodes"]);
    assert!(code == Some(0) && printed.contains(NAME) && printed.contains("here"), "{code:?} {printed}");
    // One of a single upstream, and one that is not here, which hinders nothing.
    branch.deliver("serve.max_requesters = 7\nupstream.hq.rate = \"90MB/s\"\nupstream.other.rate = \"1MB/s\"");
    Branch::hang_up(&branch.origin);
    branch.wait_for_requesters(7);
    branch.wait_for_status("it is told what was taken", |status| {
        let configuration = &status["origin"]["configuration"];
        configuration["options"] == json!(["serve.max_requesters", "upstream[0].rate"])
            && configuration["refused"][0]["option"] == "upstream.other.rate"
    });
    wait::until_true("the origin knows what was not taken", || {
        let nodes = fetch(branch.origin.socket(), "/.outpost/v1/nodes").json();
        nodes["nodes"][0]["refused"][0]["option"] == "upstream.other.rate"
    });
    // What cannot be delivered changes nothing, here or there.
    branch.deliver("serve.max_requesters = 9\nserve.workers = 3");
    Branch::hang_up(&branch.origin);
    let program = branch.origin.program().expect("it runs");
    program.find_line("that it keeps the old one", |line| line.contains("serve.workers").then_some(()));
    assert_eq!(branch.status().expect("it answers")["requesters"]["max_per_object"], 7);
    branch.origin.kill();
    branch.proxy.kill();
    branch.proxy.start();
    branch.wait_for_requesters(7);
    branch.deliver("serve.max_requesters = 11");
    branch.origin.start();
    branch.wait_for_requesters(11);
}

#[test]
fn what_is_ordered_is_followed_to_its_end_whoever_is_killed() {
    let mut branch = Branch::started(2);
    let [first, second] = [1, 2].map(|seed| Content::random(seed, 300 * KIB));
    branch.publish("/Redist/one/first.bin", &first);
    let (code, order) = branch.update("/Redist/one/");
    assert_eq!((code, &order["state"], &order["fetched"]), (Some(0), &json!("done"), &json!(first.len())), "{order}");
    wait::until_true("the origin knows who has it", || branch.holders(&first) == [NAME]);
    for path in ["/Redist/none/", "/Redist/one/none.bin"] {
        let (code, order) = branch.update(path);
        let detail = order["detail"].as_str().unwrap_or_default();
        assert!(code == Some(1) && order["state"] == "failed" && detail.contains(path), "{path}: {code:?} {order}");
    }
    assert_eq!(branch.command(&["update", "--proxy", "nobody"]).0, Some(3));

    // The proxy is away, the origin falls, and both come back.
    branch.proxy.kill();
    branch.publish("/Redist/one/second.bin", &second);
    let (code, printed) = branch.command(&["update", "--no-wait", "--proxy", NAME, "/Redist/one/"]);
    assert_eq!(code, Some(0), "{printed}");
    branch.origin.kill();
    branch.proxy.start();
    branch.origin.start();
    let order = Ask::get(format!("/v1/orders/{}", printed.trim()));
    wait::until_true("the order has ended", || {
        // Where it tells of orders it may listen a moment later than where it serves files.
        let Ok(answer) = order.try_fetch(next(branch.origin.socket())) else { return false };
        let shown = answer.json();
        assert_ne!(shown["state"], "failed", "{shown}");
        shown["state"] == "done"
    });
    for content in [&first, &second] {
        wait::until_true("the origin knows who has it", || branch.holders(content) == [NAME]);
    }
    branch.origin.kill();
    fetch(branch.proxy.socket(), "/Redist/one/second.bin").expect(&second);
}

#[test]
fn a_client_waits_until_its_proxy_fetches_what_it_was_told_to() {
    let branch = Branch::started(3);
    let content = Content::random(3, 500 * KIB);
    branch.publish("/Redist/app/data.bin", &content);
    let told = branch.sources(&content);
    assert!(told["ready"] == false && told["retry_after"].as_u64() > Some(0), "{told}");
    assert_eq!(told["sources"], json!([]), "nobody goes past the proxy: {told}");
    let told = wait::until("it is ready", || Some(branch.sources(&content)).filter(|told| told["ready"] == true));
    let source = &told["sources"][0];
    assert_eq!((&source["kind"], &source["name"]), (&json!("proxy"), &json!(NAME)));
    assert_eq!(source["url"], branch.proxy.url());
    let path = told["path"].as_str().expect("it has one");
    let object = format!("/.outpost/v1/objects/{}?path={path}", content.md5_hex());
    fetch(branch.proxy.socket(), object).expect(&content);
    wait::until_true("it has told that it holds it", || branch.sources(&content)["sources"][0]["holds"] == true);
}

#[test]
fn who_has_lost_its_credential_comes_back_when_an_administrator_lets_it() {
    let mut branch = Branch::started(4);
    let trouble = |branch: &Branch, part: &str| {
        branch.wait_for_status("it says why it is not enrolled", |status| {
            let origin = &status["origin"];
            origin["state"] != "member" && origin["trouble"].as_str().is_some_and(|trouble| trouble.contains(part))
        });
    };
    branch.proxy.kill();
    fs::remove_dir_all(branch.proxy.directory().join("state")).expect("it has kept its credential there");
    branch.proxy.start();
    trouble(&branch, "outpost-origin forget b7-1");
    // Files are for everybody.
    let content = Content::random(4, 10 * KIB);
    branch.publish("/Redist/app/data.bin", &content);
    fetch(branch.proxy.socket(), "/Redist/app/data.bin").expect(&content);
    assert_eq!(branch.command(&["forget", NAME]).0, Some(0));
    branch.give_token(OTHER_TOKEN);
    Branch::hang_up(&branch.proxy);
    trouble(&branch, "this token is not known here");
    branch.give_token(TOKEN);
    Branch::hang_up(&branch.proxy);
    branch.wait_for_member();
    // One that is running enrols again by itself.
    let reported = branch.status().expect("it answers")["origin"]["reports"]["sent"].as_u64();
    assert_eq!(branch.command(&["forget", NAME]).0, Some(0));
    branch.wait_for_status("it reports again, as a member", |status| {
        let origin = &status["origin"];
        origin["state"] == "member" && origin["trouble"].is_null() && origin["reports"]["sent"].as_u64() > reported
    });
    let program = branch.proxy.program().expect("it runs");
    program.find_line("that it has enrolled again", |line| line.contains("which enrols again").then_some(()));
    branch.wait_for_member();
}
