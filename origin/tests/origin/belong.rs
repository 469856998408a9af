//! Who belongs: enrolment, the configuration that is delivered, and orders that are followed to their end.

use std::{
    fs,
    net::SocketAddr,
    os::unix::fs::PermissionsExt,
    path::Path,
    process::{Child, Command, Stdio},
};

use protocol::{
    enrolment::{Configuration, Enrol, Enrolled, Order, OrderState, Role, Stage, Update},
    info::{CHANGES, CONFIGURATION, ENROL, NODE_FIELD, REPORTS},
};
use tempfile::TempDir;

use crate::{
    harness::{Answer, Transfer},
    program::{Program, address},
    registry::{read, report},
};

const TOKEN: &str = "a-token-of-the-site-0123456789";
const BOUND: &str = "a-token-of-b7-alone-0123456789";

/// An origin as a program, with a file for its configuration.
struct Site {
    directory: TempDir,
    program: Program,
    files: SocketAddr,
    admin: SocketAddr,
}

impl Site {
    fn start(site: &str) -> Self {
        let directory = tempfile::tempdir().expect("a place");
        fs::create_dir(directory.path().join("share")).expect("a share");
        let tokens = directory.path().join("tokens");
        fs::write(&tokens, format!("{TOKEN}\n{BOUND} domain=hq.b7 name=b7-*\n")).expect("written");
        fs::set_permissions(&tokens, fs::Permissions::from_mode(0o600)).expect("set");
        write(directory.path(), site);
        let (program, files, admin) = run(directory.path());
        Self { directory, program, files, admin }
    }

    /// The program anew, over what it has written down.
    fn restart(&mut self) {
        self.program.child.kill().expect("killed");
        self.program.child.wait().expect("ended");
        (self.program, self.files, self.admin) = run(self.directory.path());
    }

    fn enrol(&self, token: &str, name: &str, credential: Option<&str>) -> Answer {
        let asks = Enrol {
            name: name.into(),
            role: Role::Proxy,
            version: "0.1.0".into(),
            url: None,
            machines: vec![],
            credential: credential.map(str::to_owned),
        };
        let bearer = format!("Bearer {token}");
        Answer::to_post(self.files, ENROL, &[("Authorization", &bearer)], &serde_json::to_vec(&asks).expect("JSON"))
    }

    fn configuration(&self, name: &str, credential: &str) -> Answer {
        let bearer = format!("Bearer {credential}");
        Answer::with(self.files, CONFIGURATION, &[(NODE_FIELD, name), ("Authorization", &bearer)])
    }

    fn listen(&self, name: &str) -> Transfer {
        Transfer::start(self.files, "GET", CHANGES, &[(NODE_FIELD, name)])
    }

    fn command(&self, arguments: &[&str]) -> Child {
        let admin = self.admin.to_string();
        Command::new(env!("CARGO_BIN_EXE_outpost-origin"))
            .args(arguments)
            .args(["--admin", &admin])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("runs")
    }

    fn report(&self, name: &str, orders: Vec<OrderState>) {
        let mut told = report(name, &[1]);
        (told.role, told.orders) = (Role::Proxy, orders);
        let answer =
            Answer::to_post(self.files, REPORTS, &[(NODE_FIELD, name)], &serde_json::to_vec(&told).expect("JSON"));
        assert_eq!(answer.status, 200, "{answer:?}");
    }
}

fn run(directory: &Path) -> (Program, SocketAddr, SocketAddr) {
    let path = |name: &str| directory.join(name).display().to_string();
    let mut program = Program::run(directory, &["--config", &path("origin.toml")]);
    let files = address(&program.line("serves"));
    let admin = address(&program.line("admin"));
    (program, files, admin)
}

fn write(directory: &Path, site: &str) {
    let path = |name: &str| directory.join(name).display().to_string();
    let text = format!(
        "listen = [\"127.0.0.1:0\"]\nadmin = \"127.0.0.1:0\"\n[catalogue]\ndirectory = \"{}\"\ndatabase = \"{}\"\n[registry]\ndatabase = \"{}\"\n\
         [enrolment]\ndatabase = \"{}\"\ntokens_file = \"{}\"\n{site}",
        path("share"),
        path("origin.db"),
        path("registry.db"),
        path("members.db"),
        path("tokens"),
    );
    fs::write(directory.join("origin.toml"), text).expect("written");
}

const TREE: &str = "[[domain]]\nname = \"hq\"\nranges = [\"127.0.0.0/8\"]\n[domain.proxy]\nserve.max_requesters = 3\n\
    [[domain]]\nname = \"hq.b7\"\nproxies = [{ name = \"b7-1\", url = \"http://127.0.0.1:9/\" }]\n";

fn order(line: &str) -> Order {
    serde_json::from_str(line.trim_start_matches("data:").trim()).expect("an order")
}

fn state(id: u64, state: Stage) -> OrderState {
    OrderState { id, state, fetched: 7, total: 7, detail: String::new() }
}

#[test]
fn a_name_is_believed_with_its_credential_and_given_once() {
    let mut site = Site::start(&format!("required = true\n{TREE}"));
    assert_eq!(Answer::of(site.files, CONFIGURATION).status, 401);
    assert_eq!(site.enrol("not-a-token-of-this-site", "b7-1", None).status, 401);
    assert_eq!(site.enrol(BOUND, "b8-1", None).status, 401, "it is for others");
    assert_eq!(site.enrol(TOKEN, "b 7", None).status, 400);
    let enrolled: Enrolled = read(&site.enrol(BOUND, "b7-1", None));
    let credential = enrolled.credential;
    let taken = site.enrol(TOKEN, "b7-1", None);
    assert_eq!(taken.status, 409, "{taken:?}");
    assert!(taken.text().contains("outpost-origin forget b7-1"));
    assert_eq!(read::<Enrolled>(&site.enrol(TOKEN, "b7-1", Some(&credential))).credential, credential);
    assert_eq!(site.configuration("b7-1", "wrong").status, 401);
    assert_eq!(site.configuration("b7-2", &credential).status, 401);
    let configuration: Configuration = read(&site.configuration("b7-1", &credential));
    assert_eq!(configuration.domain.map(|name| name.to_string()).as_deref(), Some("hq.b7"));
    assert_eq!(configuration.options["serve.max_requesters"], 3);
    site.restart();
    let again: Configuration = read(&site.configuration("b7-1", &credential));
    assert_eq!(again.generation, configuration.generation);
    let forgotten = site.command(&["forget", "b7-1"]).wait_with_output().expect("ends");
    assert_eq!(forgotten.status.code(), Some(0), "{forgotten:?}");
    assert_eq!(site.configuration("b7-1", &credential).status, 401);
    assert_eq!(site.command(&["forget", "b7-1"]).wait_with_output().expect("ends").status.code(), Some(3));
    assert_eq!(site.enrol(TOKEN, "b7-1", None).status, 200);
}

#[test]
fn who_tries_too_often_is_not_listened_to() {
    let site = Site::start(TREE);
    let statuses: Vec<_> =
        (0..11).map(|number| site.enrol("guess-number-0123456789", &format!("p{number}"), None).status).collect();
    assert_eq!(statuses[..10], [401; 10]);
    assert_eq!(statuses[10], 503);
    let right = site.enrol(TOKEN, "b7-1", None);
    assert_eq!((right.status, right.field("Retry-After").is_some()), (503, true));
    assert_eq!(Answer::of(site.files, "/").status, 200, "files are for everybody");
}

#[test]
fn an_update_is_told_at_once_and_followed_to_its_end() {
    let mut site = Site::start(TREE);
    let mut stream = site.listen("b7-1");
    stream.line_with("event: hello");
    let command = site.command(&["update", "--proxy", "b7-1", "/prod/office/", "--json"]);
    stream.line_with("event: order");
    let told = order(&stream.line_with("data:"));
    assert_eq!(told.update, Update::Path("/prod/office/".into()));
    site.report("b7-1", vec![state(told.id, Stage::Running)]);
    site.report("b7-1", vec![state(told.id, Stage::Done)]);
    let ended = command.wait_with_output().expect("ends");
    let text = String::from_utf8_lossy(&ended.stdout);
    assert_eq!(ended.status.code(), Some(0), "{ended:?}");
    assert!(text.contains("\"failed\":0") && text.contains("\"node\":\"b7-1\""), "{text}");

    // One that was given while nobody listened is told when the stream begins, also after a restart.
    drop(stream);
    let given = site.command(&["update", "--domain", "hq", "--no-wait"]).wait_with_output().expect("ends");
    let id: u64 = String::from_utf8_lossy(&given.stdout).trim().parse().expect("a number");
    site.restart();
    let mut stream = site.listen("b7-1");
    stream.line_with("event: order");
    assert_eq!(order(&stream.line_with("data:")), Order { id, update: Update::Everything });
    let failed = OrderState { detail: "no room".into(), ..state(id, Stage::Failed) };
    site.report("b7-1", vec![failed]);
    crate::harness::until("its end is known", || {
        Answer::of(site.admin, &format!("/v1/orders/{id}")).text().contains("\"state\":\"failed\"")
    });
    assert_eq!(site.command(&["update", "--proxy", "nobody"]).wait_with_output().expect("ends").status.code(), Some(3));
    let nodes = site.command(&["nodes"]).wait_with_output().expect("ends");
    assert!(String::from_utf8_lossy(&nodes.stdout).contains("b7-1"), "{nodes:?}");
}

#[test]
fn a_configuration_that_is_read_again_is_told_to_those_whom_it_concerns() {
    let site = Site::start(TREE);
    site.report("b7-1", vec![]);
    let before: Configuration = read(&site.configuration("b7-1", ""));
    let mut stream = site.listen("b7-1");
    stream.line_with("event: hello");
    write(site.directory.path(), "nonsense = 1\n");
    site.program.signal("-HUP");
    write(site.directory.path(), &TREE.replace("max_requesters = 3", "max_requesters = 4"));
    site.program.signal("-HUP");
    stream.line_with("event: configuration");
    let after: Configuration = read(&site.configuration("b7-1", ""));
    assert_ne!(after.generation, before.generation);
    assert_eq!(after.options["serve.max_requesters"], 4);
    assert!(stream.line_with("data:").contains(&after.generation.to_string()));
    write(site.directory.path(), &TREE.replace("127.0.0.1:9", "127.0.0.1:10"));
    site.program.signal("-HUP");
    stream.line_with("event: topology");
}

#[test]
fn a_web_page_changes_nothing() {
    let site = Site::start(TREE);
    let page = [("Origin", "http://evil.example")];
    assert_eq!(Answer::to_post(site.admin, "/v1/update", &page, b"{}").status, 403);
    let unknown = Answer::to_post(site.admin, "/v1/update", &[], br#"{"proxies": "all"}"#);
    assert_eq!(unknown.status, 400, "{unknown:?}");
}
