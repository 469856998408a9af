//! An upstream whose bytes are not what it says: never complete at a client, never in the index, and fetched anew.

use harness::{
    KIB, MIB,
    client::Ending,
    content::Content,
    script::{Page, Reply},
    upstream::ScriptedUpstream,
};

use crate::proxy;

/// One lie, then the truth: what a client may see, and what must be left behind.
fn expect_lie_found_out(name: &str, honest: &Content, page: Page) {
    let upstream = ScriptedUpstream::start();
    upstream.publish("/file", page);
    let proxy = proxy().upstream_with("/", &upstream.url(), "read_timeout = \"500ms\"\nretries_max = 1").start();
    let lied_to = proxy.get("/file").expect_none_but(&[honest]);
    assert!(lied_to.status == 200 || lied_to.status == 502, "{name}: {lied_to:?}");
    proxy.wait_until_idle();
    let on_disk = proxy.objects_on_disk();
    let right_name = |path: &std::path::PathBuf| path.ends_with(honest.md5_hex());
    assert!(on_disk.iter().all(right_name), "{name}: in the index: {on_disk:?}");
    upstream.publish("/file", Page::tagged(honest).repr_digest());
    proxy.get("/file").expect(honest);
    proxy.get("/file").expect(honest);
}

#[test]
fn wrong_bytes_under_a_claimed_digest_never_arrive_whole() {
    for len in [1000, 64 * KIB, 2 * MIB] {
        let content = Content::random(len, len);
        for (at, place) in [(0, "first"), (len / 2, "middle"), (len - 1, "last")] {
            let wrong = content.with_flipped_bit(at);
            let name = format!("{place} byte of {len}");
            let page = Page::tagged(&content).then(Reply::right().bytes_of(&wrong));
            expect_lie_found_out(&name, &content, page.clone().repr_digest());
            let older = format!("MD5={}", content.content_md5());
            expect_lie_found_out(&name, &content, page.field("Digest", older));
        }
    }
}

#[test]
fn a_wrong_digest_goes_to_quarantine_and_is_counted() {
    let content = Content::random(1, 2 * MIB);
    let upstream = ScriptedUpstream::start();
    let lying = Reply::right().bytes_of(&content.with_flipped_bit(77));
    upstream.publish("/file", Page::tagged(&content).repr_digest().then(lying));
    let proxy = proxy().upstream("/", &upstream.url()).start();
    let answer = proxy.get("/file");
    assert!(!answer.is_whole(), "{answer:?}");
    proxy.wait_until_idle();
    assert!(proxy.number("/cache/rejections") >= 1);
    assert!(proxy.number("/cache/quarantined") >= 1);
    assert_eq!(proxy.number("/cache/objects"), 0);
    assert!(upstream.gets("/file") <= 3, "a lie is not asked for again and again: {}", upstream.gets("/file"));
}

#[test]
fn a_small_file_with_a_wrong_digest_is_a_502() {
    let content = Content::random(2, 1000);
    let upstream = ScriptedUpstream::start();
    let lying = Reply::right().bytes_of(&content.with_flipped_bit(77));
    upstream.publish("/file", Page::tagged(&content).repr_digest().then(lying));
    let proxy = proxy().upstream("/", &upstream.url()).start();
    let answer = proxy.get("/file").expect_status(502);
    assert_eq!(answer.problem(), "digest-mismatch");
}

#[test]
fn wrong_lengths_never_arrive_whole() {
    let content = Content::random(3, 2 * MIB);
    let longer = Content::from([content.bytes().as_ref(), b"x"].concat());
    let shorter = Content::from(content.bytes()[..content.len() as usize - 1].to_vec());
    let nothing = Content::from("");
    let page = || Page::tagged(&content).repr_digest();
    let lies = [
        ("announces too much", Reply::right().length_off_by(1000)),
        ("announces too little", Reply::right().length_off_by(-1000)),
        ("one byte more than the digest's content", Reply::right().bytes_of(&longer)),
        ("one byte less than the digest's content", Reply::right().bytes_of(&shorter)),
        ("nothing", Reply::right().bytes_of(&nothing)),
        ("one byte less, in chunks", Reply::right().bytes_of(&shorter).chunked()),
        ("one byte less, until close", Reply::right().bytes_of(&shorter).until_close()),
    ];
    for (name, lie) in lies {
        expect_lie_found_out(name, &content, page().then(lie));
    }
}

#[test]
fn a_length_that_is_never_reached_is_a_short_close() {
    let content = Content::random(4, 2 * MIB);
    expect_lie_found_out(
        "too long, no digest",
        &content,
        Page::tagged(&content).then(Reply::right().length_off_by(1000)),
    );
}

#[test]
fn a_body_in_chunks_that_is_cut_has_no_clean_end_for_the_client_either() {
    let content = Content::random(5, 2 * MIB);
    let upstream = ScriptedUpstream::start();
    let page = Page::new(&content).then(Reply::right().chunked().cut(content.at_percent(60)));
    upstream.publish("/file", page);
    let proxy = proxy().upstream_with("/", &upstream.url(), "retries_max = 1").start();
    let answer = proxy.get("/file");
    assert!(answer.status == 502 || answer.ending == Ending::Short, "{answer:?}");
    assert!(proxy.objects_on_disk().is_empty());
}
