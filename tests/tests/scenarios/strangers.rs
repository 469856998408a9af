//! Whole programs among clients and servers that nobody here wrote: what one client sends must not become what others get, encodings are nobody's business, a
//! loop ends, and bodies pass through a chain.

use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};

use harness::{
    MIB,
    client::{Ask, Connection},
    content::Content,
    script::{Page, Reply},
    upstream::ScriptedUpstream,
};

use crate::proxy;

/// FAULTS C4: an answer that one client has provoked is an error, and nobody else's.
#[test]
fn an_error_that_one_client_provokes_is_not_kept_for_others() {
    let content = Content::random(1, MIB);
    for (name, field) in [
        ("a head that the upstream finds too large", ("X-Large", "x".repeat(9000))),
        ("a method in disguise", ("X-HTTP-Method-Override", "DELETE".to_owned())),
        ("an odd character", ("X-Odd", "a\tb".to_owned())),
    ] {
        for status in [400, 403, 405, 413, 431, 500, 501] {
            let upstream = ScriptedUpstream::start();
            upstream.publish("/file", Page::tagged(&content).next(Reply::status(status)));
            let proxy = proxy().upstream_with("/", &upstream.url(), "retries_max = 1").start();
            let attack = proxy.ask(&Ask::get("/file").field(field.0, field.1.clone()));
            assert!(attack.status >= 400, "{name}: {attack:?}");
            proxy.get("/file").expect(&content);
        }
    }
}

/// FAULTS D7: what is encoded is the file; it is kept and handed on as it is, and costs what it weighs.
#[test]
fn nothing_is_ever_decompressed() {
    let upstream = ScriptedUpstream::start();
    for (path, coding) in [("/bomb", "gzip"), ("/odd", "no-such-coding"), ("/twice", "gzip, br")] {
        // Whatever would come of it: no byte of it is looked at.
        let content = Content::random(path.len() as u64, 42 << 10);
        upstream.publish(
            path,
            Page::tagged(&content).field("Content-Encoding", coding).field("Cache-Control", "max-age=60"),
        );
        let proxy = proxy().upstream("/", &upstream.url()).start();
        for _ in ["cold", "warm"] {
            let answer = proxy.ask(&Ask::get(path).field("Accept-Encoding", "gzip, br")).expect(&content);
            assert_eq!(answer.field("Content-Encoding"), Some(coding));
            assert!(
                answer.field("Repr-Digest").is_none_or(|digest| digest.contains(&content.repr_digest())),
                "{answer:?}"
            );
            proxy.wait_until_idle();
        }
        assert_eq!(upstream.gets(path), 1);
        assert!(upstream.asked(path).iter().all(|asked| asked.fields.first("Accept-Encoding") == Some("identity")));
    }
}

/// Connects whoever comes to a listener with `there`, until the listener's owner has gone.
fn relay(listener: &TcpListener, there: SocketAddr) {
    for here in listener.incoming() {
        let (Ok(here), Ok(there)) = (here, TcpStream::connect(there)) else { return };
        for (mut from, mut to) in [(here.try_clone().unwrap(), there.try_clone().unwrap()), (there, here)] {
            std::thread::spawn(move || {
                // Either side may end it when it likes.
                let _ = std::io::copy(&mut from, &mut to);
                let _ = to.shutdown(Shutdown::Both);
            });
        }
    }
}

/// A proxy whose upstream leads back to it: the request ends where it comes by again, and nobody waits for a timeout.
#[test]
fn a_loop_ends_at_once() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let proxy = proxy().upstream("/", &format!("http://{}/", listener.local_addr().unwrap())).start();
    let address = proxy.files();
    std::thread::spawn(move || relay(&listener, address));
    for method in ["GET", "HEAD", "POST", "GET"] {
        let answer = Ask::method(method, "/file").fetch(address);
        assert_eq!(answer.status, 508, "{method}: {answer:?}");
    }
    proxy.wait_until_idle();
}

/// Likewise for what is asked for by its digest, through two proxies each of which takes the other for its parent.
#[test]
fn a_loop_of_parents_ends_at_once() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let parent = proxy().upstream("/", &format!("outpost+http://{}/", listener.local_addr().unwrap())).start();
    let child = proxy().upstream("/", &format!("outpost+http://{}/", parent.files())).start();
    let address = child.files();
    std::thread::spawn(move || relay(&listener, address));
    let object = format!("/.outpost/v1/objects/{}", Content::from("nowhere").md5_hex());
    for target in [object.clone(), format!("{object}?path=/file"), "/file".into()] {
        let answer = Ask::get(target.as_str()).fetch(child.files());
        assert!(matches!(answer.status, 404 | 502 | 508), "{target}: {answer:?}");
    }
    child.wait_until_idle();
    parent.wait_until_idle();
}

/// A name that two proxies of a chain were both given is not taken for a loop unless the operator gave it.
#[test]
fn a_chain_of_proxies_without_names_is_no_loop() {
    let content = Content::random(5, MIB);
    let upstream = ScriptedUpstream::start();
    upstream.publish("/file", Page::tagged(&content).field("Cache-Control", "max-age=60"));
    let parent = proxy().upstream("/", &upstream.url()).start();
    let child = proxy().upstream("/", &format!("http://{}/", parent.files())).start();
    child.get("/file").expect(&content);
    let named = |url: &str| proxy().upstream("/", url).serve("name = \"ds\"").start();
    let parent = named(&upstream.url());
    let child = named(&format!("http://{}/", parent.files()));
    let answer = child.get("/file");
    assert_eq!(answer.status, 508, "{answer:?}");
    assert!(String::from_utf8_lossy(&answer.body).contains("serve.name"), "{answer:?}");
}

/// A body on its way through two proxies, and a request behind it on the same connection.
#[test]
fn a_body_passes_through_a_chain_and_the_connection_goes_on() {
    let content = Content::random(6, MIB);
    let upstream = ScriptedUpstream::start();
    upstream.publish("/file", Page::tagged(&content).field("Cache-Control", "max-age=60"));
    let parent = proxy().upstream("/", &upstream.url()).start();
    let child = proxy().upstream("/", &format!("http://{}/", parent.files())).start();
    let mut connection = Connection::open(child.files());
    connection.send(b"POST /file HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n");
    let (answer, connection) = connection.answer("POST").rest_and_keep();
    assert!(answer.status < 500, "{answer:?}");
    connection.ask(&Ask::get("/file")).rest().expect(&content);
    assert!(upstream.asked("/file").iter().any(|asked| asked.method == "POST"));
}
