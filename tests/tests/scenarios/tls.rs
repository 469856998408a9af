//! TLS towards clients: the same files, beside plain HTTP, and certificates that are exchanged while it runs.

use std::fs;

use harness::{
    MIB,
    content::Content,
    program::run_to_end,
    proxy::ProxySetup,
    script::{Page, Reply},
    secure::Certificate,
    upstream::ScriptedUpstream,
    wait::{self, Gate},
};
use rustix::process::Signal;

use crate::proxy;

/// A proxy that speaks TLS as whoever the certificate says.
fn secure(upstream: &ScriptedUpstream) -> (ProxySetup, Certificate) {
    let setup = proxy().upstream("/", &upstream.url());
    let certificate = Certificate::make(setup.directory());
    let setup = setup
        .tls("listen = [\"127.0.0.1:0\"]")
        .tls(&format!("certificate = \"{}\"", certificate.file.display()))
        .tls(&format!("key = \"{}\"", certificate.key.display()));
    (setup, certificate)
}

#[test]
fn misses_hits_and_ranges_are_the_same_over_tls() {
    let content = Content::random(1, 3 * MIB + 5);
    let upstream = ScriptedUpstream::start();
    upstream.publish("/file", Page::tagged(&content));
    let (setup, certificate) = secure(&upstream);
    let proxy = setup.start();
    let (address, client) = (proxy.secure_files(), certificate.believer());
    let (head, body) = client.get(address, "/file", "").unwrap();
    assert!(head.starts_with("HTTP/1.1 200 ") && body == *content.bytes(), "{head}");
    proxy.wait_until_idle();
    let (head, body) = client.get(address, "/file", "").unwrap();
    assert!(head.contains("Cache-Status: outpost; hit") && body == *content.bytes(), "{head}");
    let (head, body) = client.get(address, "/file", "Range: bytes=1000000-2999999\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 206 ") && body == content.bytes()[1_000_000..3_000_000], "{head}");
    proxy.get("/file").expect(&content);
    assert_eq!(upstream.gets("/file"), 1);
    let metrics = proxy.metrics();
    for line in ["outpost_tls_handshakes_total{kind=\"full\"} 1", "outpost_tls_handshakes_total{kind=\"resumed\"} 2"] {
        assert!(metrics.contains(line), "{line} is not in\n{metrics}");
    }
    proxy.terminate();
}

#[test]
fn a_fill_is_followed_over_tls_and_plainly_at_once() {
    let content = Content::random(2, 8 * MIB);
    let gate = Gate::new();
    let upstream = ScriptedUpstream::start();
    upstream.publish("/file", Page::tagged(&content).next(Reply::right().hold(4 * MIB, &gate)));
    let (setup, certificate) = secure(&upstream);
    let proxy = setup.start();
    let plain = proxy.open("/file");
    std::thread::scope(|scope| {
        let (address, client) = (proxy.secure_files(), certificate.believer());
        let over_tls = scope.spawn(move || client.get(address, "/file", "").unwrap());
        wait::until_true("both wait", || proxy.number("/transfers") == 2);
        gate.open();
        plain.compare(&content, 0);
        assert!(over_tls.join().expect("the client").1 == *content.bytes());
    });
    assert_eq!(upstream.gets("/file"), 1);
}

#[test]
fn certificates_are_exchanged_while_it_runs() {
    let content = Content::random(3, 1000);
    let upstream = ScriptedUpstream::start();
    upstream.publish("/file", Page::tagged(&content));
    let (setup, old) = secure(&upstream);
    let mut proxy = setup.start();
    let address = proxy.secure_files();
    assert!(old.believer().get(address, "/file", "").unwrap().1 == *content.bytes());

    let new = Certificate::make(setup.directory());
    let key = fs::read(&new.key).unwrap();
    fs::write(&new.key, "no key").unwrap();
    proxy.program().signal(Signal::HUP);
    proxy.program().find_line("the refusal", |line| line.contains("holds no usable private key").then_some(()));
    assert!(new.believer().get(address, "/file", "").is_err(), "the old certificate stays");

    fs::write(&new.key, key).unwrap();
    proxy.program().signal(Signal::HUP);
    wait::until_true("the new certificate is shown", || new.believer().get(address, "/file", "").is_ok());
}

#[test]
fn several_names_have_a_certificate_each_and_all_are_read_again() {
    let content = Content::random(4, 1000);
    let upstream = ScriptedUpstream::start();
    upstream.publish("/file", Page::tagged(&content));
    let (setup, first) = secure(&upstream);
    let other = Certificate::make_for("other.example", 4000, setup.directory());
    let setup = setup.certificate(&other);
    let mut proxy = setup.start();
    let address = proxy.secure_files();
    for client in [first.believer(), other.believer()] {
        assert!(client.get(address, "/file", "").unwrap().1 == *content.bytes());
    }
    // One that cannot be read keeps all of the old ones.
    let renewed = Certificate::make(setup.directory());
    fs::write(&other.key, "no key").unwrap();
    proxy.program().signal(Signal::HUP);
    proxy.program().find_line("the refusal", |line| line.contains("holds no usable private key").then_some(()));
    assert!(renewed.believer().get(address, "/file", "").is_err());
    assert!(other.believer().get(address, "/file", "").is_ok());

    let other = Certificate::make_for("other.example", 4000, setup.directory());
    proxy.program().signal(Signal::HUP);
    for certificate in [&renewed, &other] {
        wait::until_true("the new ones are shown", || certificate.believer().get(address, "/file", "").is_ok());
    }
}

#[test]
fn a_certificate_s_end_is_foretold_and_then_told() {
    let upstream = ScriptedUpstream::start();
    let (setup, certificate) = secure(&upstream);
    let mut proxy = setup.start();
    // The end of the year 4000.
    let expiry = |seconds: u64| format!("outpost_tls_certificate_expiry_timestamp_seconds {seconds}");
    assert!(proxy.metrics().contains(&expiry(64_092_124_800)), "{}", proxy.metrics());
    Certificate::make_for("localhost", 2020, setup.directory());
    proxy.program().signal(Signal::HUP);
    let told = |line: &str| (line.contains("WARN") && line.contains("has expired on Thu, 31 Dec 2020")).then_some(());
    proxy.program().find_line("the warning", told);
    wait::until_true("the metric follows", || proxy.metrics().contains(&expiry(1_609_372_800)));
    drop(certificate);
}

#[test]
fn who_has_no_certificate_gets_one_that_stays() {
    let content = Content::random(5, 1000);
    let upstream = ScriptedUpstream::start();
    upstream.publish("/file", Page::tagged(&content));
    let setup = proxy().upstream("/", &upstream.url()).tls("listen = [\"127.0.0.1:0\"]");
    let state = setup.directory().join("state");
    let setup = setup.tls(&format!("state_dir = \"{}\"", state.display()));
    let config = setup.write_config().display().to_string();
    let (code, printed) =
        run_to_end(setup.executable(), ["--config", config.as_str(), "--check-config"], setup.directory());
    assert_eq!(code, Some(0), "{printed}");
    assert!(!state.exists(), "a check makes nothing");

    let proxy = setup.start();
    let certificate = Certificate::at(&state.join("certificate.pem"));
    assert!(certificate.believer().get(proxy.secure_files(), "/file", "").unwrap().1 == *content.bytes());
    let setup = proxy.terminate();
    let proxy = setup.start();
    assert!(certificate.believer().get(proxy.secure_files(), "/file", "").is_ok(), "the same as before");
}

#[test]
fn files_that_cannot_be_used_are_named_before_anything_is_touched() {
    let upstream = ScriptedUpstream::start();
    let (setup, certificate) = secure(&upstream);
    fs::write(&certificate.key, fs::read(&certificate.file).unwrap()).unwrap();
    let config = setup.write_config().display().to_string();
    let (code, printed) =
        run_to_end(setup.executable(), ["--config", config.as_str(), "--check-config"], setup.directory());
    assert_eq!(code, Some(78), "{printed}");
    assert!(printed.contains("key.pem") && printed.contains("holds no usable private key"), "{printed}");
    assert!(!setup.cache_dir().exists());
}
