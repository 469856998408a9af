//! Who may ask: for files who is allowed and not denied, the admin interface this machine, its socket's users, and who has the token.

use std::{
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt,
    path::Path,
    process::Output,
};

use rustix::process::Signal;

use crate::harness::{Answer, Place, Proxy, ask};

const TOKEN: &str = "correct-horse-battery-staple";

fn write_token(place: &Place, token: &str, mode: u32) {
    fs::write(place.path("token"), token).unwrap();
    fs::set_permissions(place.path("token"), Permissions::from_mode(mode)).unwrap();
}

/// Lines of `[access]`.
fn with_access(config: &Path, lines: &str) {
    let text = fs::read_to_string(config).unwrap();
    fs::write(config, format!("{text}[access]\n{lines}\n")).unwrap();
}

fn with_token(place: &Place, config: &Path) {
    with_access(config, &format!("admin_token_file = \"{}\"", place.path("token").display()));
}

fn status_of(proxy: &Proxy, authorization: &str) -> Answer {
    ask(proxy.admin, "GET", "/v1/status", authorization, "")
}

fn ended(output: Output) -> (i32, String) {
    (output.status.code().unwrap(), String::from_utf8(output.stderr).unwrap())
}

#[test]
fn an_admin_interface_for_everybody_is_refused_without_a_token() {
    let place = Place::new();
    let (code, printed) = place.run(&["--upstream", "share", "--admin", "0.0.0.0:0"]);
    assert_eq!(code, Some(78));
    for part in ["0.0.0.0:0 would obey whoever reaches it", "access.admin_token_file", "head -c 32 /dev/urandom"] {
        assert!(printed.contains(part), "'{part}' is missing in:\n{printed}");
    }
    assert!(!place.path("outpost-cache").exists());
}

#[test]
fn a_token_that_everybody_can_read_is_refused() {
    let place = Place::new();
    let config = place.write_config_with_admin("0.0.0.0:0", "", "");
    with_token(&place, &config);
    for (token, mode, part) in [
        (TOKEN, 0o644, "is open to more than its owner"),
        ("too-short", 0o600, "at least 16 letters"),
        ("", 0o600, "has no token"),
    ] {
        write_token(&place, token, mode);
        let (code, printed) = place.run(&["--config", "proxy.toml"]);
        assert!(code == Some(78) && printed.contains(part), "{printed}");
        assert_eq!(place.run(&["check-config", "proxy.toml"]).0, Some(78));
    }
    assert!(!place.path("cache").exists());
}

#[test]
fn with_a_token_only_probes_may_ask_without_it() {
    let place = Place::new();
    write_token(&place, TOKEN, 0o600);
    let config = place.write_config_with_admin("0.0.0.0:0", "", "");
    with_token(&place, &config);
    let proxy = place.start_with(&config);
    assert_eq!((proxy.admin("GET", "/healthz").status, proxy.admin("GET", "/readyz").status), (200, 200));
    let missing = status_of(&proxy, "");
    assert_eq!((missing.status, missing.problem().as_str()), (401, "unauthorized"));
    assert!(missing.head.contains("www-authenticate: bearer realm=\"outpost\"\r\n"), "{}", missing.head);
    let wrong = status_of(&proxy, "Authorization: Bearer correct-horse-battery-stapler\r\n");
    assert!(wrong.status == 401 && wrong.head.contains("error=\"invalid_token\""), "{}", wrong.head);
    assert_eq!(status_of(&proxy, &format!("Authorization: Bearer {TOKEN}\r\n")).status, 200);
    for target in ["/metrics", "/v1/objects", "/v1/nothing", "/"] {
        assert_eq!(proxy.admin("GET", target).status, 401, "{target}");
    }
    assert_eq!(proxy.post("/v1/drain", "{}").status, 401);
    let metrics = ask(proxy.admin, "GET", "/metrics", &format!("Authorization: Bearer {TOKEN}\r\n"), "").body;
    assert!(metrics.contains("\noutpost_admin_refused_total 7\n"), "{metrics}");

    let admin = proxy.admin.to_string();
    // The proxy chose its port; the file says zero.
    let run =
        |arguments: &[&str]| ended(place.command().args(arguments).env("OUTPOST__ADMIN", &admin).output().unwrap());
    assert_eq!(run(&["status", "--config", "proxy.toml"]).0, 0);
    assert_eq!(run(&["status", "--admin", &admin, "--token-file", "token"]).0, 0);
    assert_eq!(run(&["health", "--admin", &admin]).0, 0);
    let (code, complaint) = run(&["status", "--admin", &admin, "--config", "proxy.toml"]);
    assert!(code == 77 && complaint.contains("asks for a token"), "a token goes only where it belongs: {complaint}");
    write_token(&place, "another-token-than-the-right-one", 0o600);
    let (code, complaint) = run(&["status", "--config", "proxy.toml"]);
    assert!(code == 77 && complaint.contains("has another token"), "{complaint}");
    let (code, complaint) = run(&["status", "--admin", &admin, "--token-file", "none"]);
    assert!(code == 77 && complaint.contains("none cannot be read"), "{complaint}");
}

#[test]
fn a_new_token_is_taken_with_a_reload_and_an_open_one_is_not() {
    let place = Place::new();
    write_token(&place, TOKEN, 0o600);
    let config = place.write_config("", "");
    with_token(&place, &config);
    let mut proxy = place.start_with(&config);
    let (old, new) =
        (format!("Authorization: Bearer {TOKEN}\r\n"), "Authorization: Bearer the-token-of-next-month\r\n");
    assert_eq!(status_of(&proxy, "").status, 401, "a token is asked for on loopback too, if there is one");
    write_token(&place, "the-token-of-next-month", 0o644);
    proxy.signal(Signal::HUP);
    proxy.wait_for_line("the new configuration is not used");
    assert_eq!(status_of(&proxy, &old).status, 200);
    write_token(&place, "the-token-of-next-month", 0o600);
    proxy.signal(Signal::HUP);
    proxy.wait_for_line("the configuration was read again");
    assert_eq!((status_of(&proxy, &old).status, status_of(&proxy, new).status), (401, 200));
    place.write_config("", "");
    proxy.signal(Signal::HUP);
    proxy.wait_for_line("the configuration was read again");
    assert_eq!(status_of(&proxy, "").status, 200);
}

#[test]
fn a_token_stays_while_its_address_is_open_to_others() {
    let place = Place::new();
    write_token(&place, TOKEN, 0o600);
    let config = place.write_config_with_admin("0.0.0.0:0", "", "");
    with_token(&place, &config);
    let mut proxy = place.start_with(&config);
    // Good for the next start, when the address is another one.
    place.write_config("", "");
    proxy.signal(Signal::HUP);
    proxy.wait_for_line("only taken with the next start");
    assert_eq!(status_of(&proxy, "").status, 401);
}

#[test]
fn a_unix_socket_needs_no_token_and_goes_with_its_proxy() {
    let place = Place::new();
    write_token(&place, TOKEN, 0o600);
    let config = place.write_config_with_admin("unix:admin.sock", "", "");
    with_token(&place, &config);
    let proxy = place.start_with(&config);
    let mode = fs::metadata(place.path("admin.sock")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o660);
    let run = |arguments: &[&str]| ended(place.command().args(arguments).output().unwrap());
    assert_eq!(run(&["status", "--config", "proxy.toml"]), (0, String::new()));
    assert_eq!(run(&["objects", "--admin", "unix:admin.sock"]).0, 3);
    let (code, complaint) = run(&["--config", "proxy.toml"]);
    assert!(code == 1 && complaint.contains("end the program that listens there"), "{complaint}");
    assert_eq!(run(&["drain", "--admin", "unix:admin.sock"]).0, 0);
    assert_eq!(proxy.wait().code(), Some(0));
    assert!(!place.path("admin.sock").exists());
    assert_eq!(run(&["health", "--admin", "unix:admin.sock"]).0, 69);
    fs::write(place.path("admin.sock"), "precious").unwrap();
    let (code, complaint) = run(&["--config", "proxy.toml"]);
    assert!(code == 1 && complaint.contains("something stands there that is no socket"), "{complaint}");
    assert_eq!(fs::read(place.path("admin.sock")).unwrap(), b"precious");
}

#[test]
fn who_may_ask_for_files_is_taken_with_a_reload() {
    let place = Place::new();
    let mut proxy = place.start();
    assert_eq!(proxy.get("/hello.txt").status, 200);
    for (lines, status) in [
        ("deny = [\"127.0.0.1-127.0.0.9\"]", 403),
        ("allow = [\"10.0.0.0/8\"]", 403),
        ("allow = [\"::ffff:127.0.0.0/104\"]", 200),
        ("allow = [\"127.0.0.1\"]\ndeny = [\"52:54:00:12:34:56\"]", 200),
        // This machine has no network card in its own table.
        ("allow = [\"52:54:00:00:00:00/24\"]", 403),
        ("", 200),
    ] {
        let config = place.write_config("", "");
        with_access(&config, lines);
        proxy.signal(Signal::HUP);
        proxy.wait_for_line("the configuration was read again");
        let answer = proxy.get("/hello.txt");
        assert_eq!(answer.status, status, "{lines}");
        if status == 403 {
            assert_eq!(answer.problem(), "not-allowed");
        }
        assert_eq!(proxy.admin("GET", "/readyz").status, 200, "the admin interface has rules of its own");
    }
    assert_eq!(proxy.status()["requests"]["refused_access"], 3);
    let config = place.write_config("", "");
    for (lines, part) in [
        ("allow = [\"10.0.0.9-10.0.0.1\"]", "no way up from 10.0.0.9 to 10.0.0.1"),
        ("deny = [\"52:54:00:12:34\"]", "names no clients"),
        ("deny = [\"10.0.0.1/8\"]", "has bits behind the first 8"),
    ] {
        with_access(&config, lines);
        let (code, complaint) = ended(place.command().args(["check-config", "proxy.toml"]).output().unwrap());
        assert!(code == 78 && complaint.contains(part), "{complaint}");
        place.write_config("", "");
    }
}

#[test]
fn without_a_token_no_web_site_reaches_the_admin_interface_under_its_name() {
    let place = Place::new();
    let proxy = place.start();
    let browser = "Accept-Language: de\r\n";
    for (host, fields, status) in [
        ("127.0.0.1:8081", browser, 200),
        ("localhost", browser, 200),
        ("evil.example:8081", browser, 403),
        ("a.evil.example", browser, 403),
        // A program that came over a tunnel, or through a proxy.
        ("branch.example", "", 200),
    ] {
        let mut stream = std::net::TcpStream::connect(proxy.admin).unwrap();
        let request = format!("GET /v1/status HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n{fields}\r\n");
        std::io::Write::write_all(&mut stream, request.as_bytes()).unwrap();
        let answer = std::io::read_to_string(stream).unwrap();
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{host}: {answer}");
    }
}
