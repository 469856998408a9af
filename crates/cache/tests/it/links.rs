//! What the program says to an upstream's origin, beside files.

use std::time::Duration;

use cache::{
    link::{LinkError, OriginLink},
    options::{Options, UpstreamOptions},
};
use http::{Method, StatusCode};

use crate::{
    origin::{Body, Origin, reply},
    proxy::{Proxy, upstream},
};

const REPORTS: &str = "/.outpost/v1/reports";

fn outpost(origin: &Origin) -> UpstreamOptions {
    upstream("/", &format!("outpost+{}sub/", origin.url()))
}

fn link(proxy: &Proxy) -> OriginLink {
    let links = proxy.cache.origin_links();
    assert_eq!(links.len(), 1);
    links.into_iter().next().unwrap()
}

fn echo() -> Origin {
    Origin::start(|request, stream| {
        let body = match &request.body {
            Body::Whole(bytes) => bytes.clone(),
            Body::Arriving | Body::Cut => Vec::new(),
        };
        reply(request, stream, "201 Created", &[("Content-Length", &body.len().to_string())], &body);
    })
}

#[test]
fn a_word_goes_to_the_root_of_the_server_with_who_we_are() {
    let origin = echo();
    let proxy = Proxy::with(Options::new(vec![outpost(&origin)]));
    let link = link(&proxy);
    assert!(!link.is_live() && link.upstream() == "at /");
    let (status, body) = proxy.wait(link.call(Method::POST, REPORTS, "{}".into())).unwrap();
    assert_eq!((status, &*body), (StatusCode::CREATED, &b"{}"[..]));
    assert!(link.set_node("branch7") && link.set_credential(Some("secret")));
    proxy.wait(link.call(Method::GET, "/.outpost/v1/configuration", "".into())).unwrap();
    let requests = origin.requests();
    assert_eq!(origin.asked(), [format!("POST {REPORTS}"), "GET /.outpost/v1/configuration".to_owned()]);
    let who = |number: usize| (requests[number].field("outpost-node"), requests[number].field("authorization"));
    assert_eq!((who(0), who(1)), ((None, None), (Some("branch7"), Some("Bearer secret"))));
    assert_eq!(requests[0].field("content-type"), Some("application/json"));
}

#[test]
fn a_link_goes_on_when_the_upstream_gets_other_options_and_ends_when_it_is_gone() {
    let (first, second) = (echo(), echo());
    let proxy = Proxy::with(Options::new(vec![outpost(&first)]));
    let link = link(&proxy);
    assert!(link.set_node("branch7"));
    proxy.cache.reconfigure(Options::new(vec![outpost(&second)])).unwrap();
    proxy.wait(link.call(Method::GET, REPORTS, "".into())).unwrap();
    assert_eq!((first.asked().len(), second.requests()[0].field("outpost-node")), (0, Some("branch7")));
    proxy.cache.reconfigure(Options::new(vec![upstream("/", &second.url())])).unwrap();
    let error = proxy.wait(link.call(Method::GET, REPORTS, "".into())).unwrap_err();
    assert!(matches!(error, LinkError::NoUpstream { .. }), "{error}");
    assert!(proxy.cache.origin_links().is_empty(), "a plain web server has no such conversation");
}

#[test]
fn whatever_an_origin_does_there_is_an_answer() {
    let origin = Origin::start(|request, stream| match request.target.as_str() {
        "/busy" => reply(request, stream, "503 Busy", &[("Retry-After", "17"), ("Content-Length", "0")], b""),
        "/cut" => reply(request, stream, "200 OK", &[("Content-Length", "9")], b"half"),
        "/endless" => {
            let fields = [("Content-Length", "99999999999")];
            reply(request, stream, "200 OK", &fields, &vec![b'x'; 17 << 20]);
        }
        _ => {}
    });
    let proxy = Proxy::with(Options::new(vec![outpost(&origin)]));
    let link = link(&proxy);
    let call = |path: &str| proxy.wait(link.call(Method::GET, path, "".into())).unwrap_err();
    assert_eq!(call("/busy").retry_after(), Some(Duration::from_secs(17)));
    for (path, said) in [("/cut", "ended before"), ("/endless", "more than"), ("/closed", "broke")] {
        let error = call(path);
        assert!(error.to_string().contains(said) && error.retry_after().is_none(), "{path}: {error}");
    }
}
