//! Places for the transfers of one object.

use cache::options::{Options, RequestersBy};

use crate::{
    client::{ask, get, get_with, head},
    proxy::{Proxy, content, eventually, put, upstream},
};

/// Larger than what sockets take on the way.
const LARGE: usize = 48 << 20;

fn proxy(share: &tempfile::TempDir, by: RequestersBy) -> Proxy {
    let upstream = upstream("/", share.path().to_str().unwrap());
    Proxy::with(Options { max_requesters: 1, requesters_by: by, ..Options::new(vec![upstream]) })
}

#[test]
fn who_finds_no_place_learns_its_position_and_gets_one_when_it_is_free() {
    let share = tempfile::tempdir().unwrap();
    let bytes = content(1, LARGE);
    put(share.path(), "a.bin", &bytes);
    put(share.path(), "small", &bytes[..1000]);
    let proxy = proxy(&share, RequestersBy::Connection);
    let mut first = ask(proxy.address(), "GET", "/a.bin", &[]);
    first.read_some(1000);
    assert_eq!(proxy.cache.requesters(), 1);
    let refused = get(proxy.address(), "/a.bin");
    assert_eq!(refused.field("Retry-After"), Some("90"));
    let refused = refused.expect_problem(503, "max-requesters");
    for member in [r#""position":1"#, r#""max_requesters":1"#, r#""total":50331648"#, r#""fetched":"#] {
        assert!(refused.text().contains(member), "{member} is missing in {}", refused.text());
    }
    let part = [("Range", "bytes=0-99999")];
    assert!(get_with(proxy.address(), "/a.bin", &part).text().contains(r#""position":2"#));
    // What takes no place is not refused.
    assert_eq!(head(proxy.address(), "/a.bin").status, 200);
    assert_eq!(get_with(proxy.address(), "/a.bin", &[("Range", "bytes=0-65535")]).status, 206);
    get(proxy.address(), "/small").expect(&bytes[..1000]);
    drop(first);
    eventually("the place is free", || proxy.cache.requesters() == 0);
    get(proxy.address(), "/a.bin").expect(&bytes);
}

#[test]
fn connections_of_one_machine_or_one_agent_share_a_place() {
    let share = tempfile::tempdir().unwrap();
    let bytes = content(2, LARGE);
    put(share.path(), "a.bin", &bytes);
    let range = ("Range", "bytes=0-99999");
    let agent = ("Outpost-Requester", "pc7");
    let by_address = proxy(&share, RequestersBy::Address);
    let mut first = ask(by_address.address(), "GET", "/a.bin", &[]);
    first.read_some(1000);
    assert_eq!(get_with(by_address.address(), "/a.bin", &[range]).status, 206);
    let by_connection = proxy(&share, RequestersBy::Connection);
    let mut first = ask(by_connection.address(), "GET", "/a.bin", &[agent]);
    first.read_some(1000);
    assert_eq!(get_with(by_connection.address(), "/a.bin", &[range, agent]).status, 206);
    assert_eq!(get_with(by_connection.address(), "/a.bin", &[range]).status, 503);
}
