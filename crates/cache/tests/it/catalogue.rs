//! What a proxy knows of an upstream's names, carried to another.

use cache::{Cache, CataloguedFile};
use protocol::{digest::Digests, target::Target};

use crate::{
    client::get,
    proxy::{Proxy, content},
    site::{Site, hello},
};

const UPSTREAM: &str = "at /";

fn known(proxy: &Proxy) -> Vec<CataloguedFile> {
    let part = |part| proxy.cache.catalogue(UPSTREAM, part).unwrap();
    (0..Cache::CATALOGUE_PARTS).flat_map(part).collect()
}

#[test]
fn what_one_knows_another_learns_and_no_byte_of_what_is_here_crosses_the_line() {
    let (site, bytes) = (Site::start(&hello(1)), content(1, 100_000));
    ["/a%20b", "/c"].iter().for_each(|path| site.put(path, &bytes));
    let first = Proxy::of(&site.url());
    ["/a%20b", "/c"].iter().for_each(|path| _ = get(first.address(), path).expect(&bytes));
    first.expect_objects(1);
    first.expect_no_fills();
    let mut files = known(&first);
    files.sort_by(|one, other| one.path.cmp(&other.path));
    let digests = Digests::of(&bytes);
    let paths: Vec<_> = files.iter().map(|file| file.path.path()).collect();
    assert_eq!(paths, ["/a%20b", "/c"]);
    assert!(files.iter().all(|file| (file.md5, file.sha256) == (digests.md5, Some(digests.sha256))));

    let second = Proxy::of(&site.url());
    let before = site.questions().len();
    for file in &files {
        assert_eq!(second.cache.learn(UPSTREAM, file), Ok(true));
    }
    assert_eq!((known(&second).len(), site.questions().len()), (2, before), "nobody is asked");
    get(second.address(), "/c").expect(&bytes);
    second.expect_objects(1);
    second.expect_no_fills();
    // It is the upstream's own word from then on.
    let other = CataloguedFile { md5: Digests::of(b"other").md5, ..files[1].clone() };
    assert_eq!(second.cache.learn(UPSTREAM, &other), Ok(false));
    // The content is here by another name: a question, and no byte.
    let before = site.questions().len();
    get(second.address(), "/a%20b").expect(&bytes);
    assert_eq!(site.questions()[before..], ["HEAD /a%20b"]);
}

#[test]
fn what_was_learnt_wrongly_is_not_given_out() {
    let (site, bytes) = (Site::start(&hello(1)), content(2, 1000));
    site.put("/a", &bytes);
    let proxy = Proxy::of(&site.url());
    let file = CataloguedFile {
        path: Target::parse(b"/a").unwrap(),
        len: 5,
        md5: Digests::of(b"wrong").md5,
        sha256: None,
        modified: None,
    };
    assert_eq!(proxy.cache.learn(UPSTREAM, &file), Ok(true));
    get(proxy.address(), "/a").expect(&bytes);
    assert!(proxy.cache.learn("none", &file).unwrap_err().to_string().contains("the upstreams are at /"));
}
