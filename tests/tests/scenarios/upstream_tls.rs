//! Upstreams that are asked over TLS: whom the proxy believes, and who it is to them. The upstream is another proxy, which speaks TLS.

use std::fs;

use harness::{
    content::Content,
    program::run_to_end,
    proxy::{Proxy, ProxySetup},
    script::Page,
    secure::Certificate,
    upstream::ScriptedUpstream,
    wait,
};
use rustix::process::Signal;

use crate::proxy;

/// A proxy that speaks TLS before a scripted upstream, with further lines of `[tls]`.
fn headquarters(upstream: &ScriptedUpstream, lines: &[String]) -> (Proxy, Certificate) {
    let setup = proxy().upstream("/", &upstream.url()).serve("name = \"headquarters\"");
    let certificate = Certificate::make(setup.directory());
    let setup = setup
        .tls("listen = [\"127.0.0.1:0\"]")
        .tls(&format!("certificate = \"{}\"", certificate.file.display()))
        .tls(&format!("key = \"{}\"", certificate.key.display()));
    let setup = lines.iter().fold(setup, |setup, line| setup.tls(line));
    (setup.start(), certificate)
}

/// A proxy that asks it, with further lines of its upstream.
fn branch(headquarters: &Proxy, scheme: &str, lines: &str) -> ProxySetup {
    let url = format!("{scheme}://localhost:{}/", headquarters.secure_files().port());
    proxy().upstream_with("/", &url, &format!("{lines}\nretries_max = 0"))
}

fn file_line(key: &str, file: &std::path::Path) -> String {
    format!("{key} = \"{}\"", file.display())
}

#[test]
fn an_upstream_s_certificate_must_be_of_an_authority_that_is_believed() {
    let content = Content::random(1, 300_000);
    let upstream = ScriptedUpstream::start();
    upstream.publish("/file", Page::tagged(&content));
    let (headquarters, certificate) = headquarters(&upstream, &[]);
    // The operating system does not trust it.
    let stranger = branch(&headquarters, "https", "").start();
    let answer = stranger.get("/file").expect_status(502);
    assert_eq!(answer.problem(), "upstream-unreachable");
    assert!(answer.json()["detail"].as_str().unwrap().contains("certificate"), "{answer:?}");
    assert_eq!(upstream.gets("/file"), 0);
    for scheme in ["https", "outpost+https"] {
        let branch = branch(&headquarters, scheme, &file_line("ca", &certificate.file)).start();
        branch.get("/file").expect(&content);
        branch.wait_until_idle();
        branch.get("/file").expect(&content);
    }
    assert_eq!(upstream.gets("/file"), 1);
}

#[test]
fn who_asks_an_upstream_shows_a_certificate_where_that_is_wanted() {
    let content = Content::random(2, 300_000);
    let upstream = ScriptedUpstream::start();
    upstream.publish("/file", Page::tagged(&content));
    let place = proxy();
    let ours = Certificate::make_for("branch", 4000, place.directory());
    let lines = ["client_certificates = \"required\"".into(), file_line("client_ca", &ours.file)];
    let (headquarters, certificate) = headquarters(&upstream, &lines);
    let ca = file_line("ca", &certificate.file);
    let anonymous = branch(&headquarters, "https", &ca).start();
    anonymous.get("/file").expect_status(502);
    let known = [ca, file_line("certificate", &ours.file), file_line("key", &ours.key)].join("\n");
    branch(&headquarters, "https", &known).start().get("/file").expect(&content);
}

#[test]
fn authorities_are_read_again_although_their_file_has_its_name() {
    let content = Content::random(3, 1000);
    let upstream = ScriptedUpstream::start();
    upstream.publish("/file", Page::tagged(&content));
    let (headquarters, certificate) = headquarters(&upstream, &[]);
    let place = proxy();
    let other = Certificate::make_for("other", 4000, place.directory());
    let mut branch = branch(&headquarters, "https", &file_line("ca", &other.file)).start();
    branch.get("/file").expect_status(502);
    fs::copy(&certificate.file, &other.file).unwrap();
    branch.program().signal(Signal::HUP);
    wait::until_true("the new authority is believed", || branch.get("/file").status == 200);
}

#[test]
fn files_that_cannot_be_used_are_named_with_their_upstream() {
    let setup = proxy();
    let empty = setup.directory().join("empty.pem");
    fs::write(&empty, "").unwrap();
    let setup = setup.upstream_with("/", "https://localhost:1/", &file_line("ca", &empty));
    let config = setup.write_config().display().to_string();
    let (code, printed) =
        run_to_end(setup.executable(), ["--config", config.as_str(), "--check-config"], setup.directory());
    assert_eq!(code, Some(78), "{printed}");
    for part in ["upstream 'up0'", "empty.pem", "certificate of an authority", "BEGIN CERTIFICATE"] {
        assert!(printed.contains(part), "{part}: {printed}");
    }
}
