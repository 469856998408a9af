//! Small branches in pieces, with bounds on what they come to. The time is virtual, so nothing here depends on the machine.

use super::*;

/// 64 MiB need 5.4 s of the line, and 0.5 s of a card.
fn story(change: impl FnOnce(&mut Setup)) -> Story {
    let mut setup = Setup::small();
    change(&mut setup);
    run(&setup, Terms::default())
}

fn last(story: &Story) -> f64 {
    story.seconds(1.0).unwrap_or(f64::INFINITY)
}

#[test]
fn the_line_carries_it_once_and_the_last_is_done_soon_after() {
    let story = story(|_| {});
    assert_eq!((story.line, story.done.len()), (story.size, 20));
    assert!(story.proxy_copies() < 6.0, "{}", story.proxy_copies());
    assert!(last(&story) < 5.4 * 1.3, "{}", last(&story));
    let sent = story.proxy + story.peers;
    assert!((20 * story.size..=20 * story.size * 102 / 100).contains(&sent), "few pieces come twice: {sent}");
}

#[test]
fn of_a_larger_file_the_last_is_done_within_a_tenth_of_what_the_line_needs() {
    let story = story(|setup| (setup.agents, setup.size) = (40, 256 << 20));
    assert_eq!((story.line, story.done.len()), (story.size, 40));
    assert!(last(&story) < 21.5 * 1.1, "{}", last(&story));
    assert!(story.proxy_copies() < 6.0, "{}", story.proxy_copies());
}

#[test]
fn one_alone_makes_one_plain_download_and_is_no_slower() {
    let story = story(|setup| (setup.agents, setup.begin) = (1, 0));
    assert_eq!((story.line, story.proxy, story.requests), (story.size, story.size, 1));
    assert!(last(&story) < 5.5, "{}", last(&story));
}

#[test]
fn the_same_seed_gives_the_same_and_another_another() {
    let of = |seed| story(|setup| (setup.seed, setup.size) = (seed, 16 << 20));
    assert_eq!(of(3), of(3));
    assert_ne!(of(3).done, of(4).done);
}

#[test]
fn where_the_proxy_dies_one_or_two_bring_the_rest_over_the_line() {
    let story = story(|setup| (setup.proxy_dies, setup.size) = (Some(0.5), 128 << 20));
    assert_eq!(story.done.len(), 20);
    assert!((1.0..1.5).contains(&story.line_copies()), "{}", story.line_copies());
    assert!(last(&story) < 10.8 + 40.0, "{}", last(&story));
}

#[test]
fn who_sends_wrong_bytes_is_believed_once_by_each() {
    let story = story(|setup| setup.liars = 0.3);
    assert_eq!((story.done.len(), story.line), (20, story.size));
    assert!(story.wrong > 0, "somebody lied");
    assert!(story.wrong <= 20 * 20 * 2 * (1 << 20), "at most what is on its way at once from each: {}", story.wrong);
}

#[test]
fn who_leaves_at_the_end_leaves_nobody_behind() {
    let story = story(|setup| setup.leave = true);
    assert_eq!((story.done.len(), story.line, story.failed), (20, story.size, 0));
}

#[test]
fn places_of_the_proxy_hardly_matter() {
    for places in [0, 1] {
        let story = story(|setup| setup.places = places);
        assert_eq!((story.done.len(), story.line), (20, story.size), "{places}");
        assert!(last(&story) < 5.4 * 1.4, "{places}: {}", last(&story));
    }
}

#[test]
fn a_proxy_that_has_it_needs_no_line() {
    let story = story(|setup| setup.warm = true);
    assert_eq!((story.done.len(), story.line), (20, 0));
    assert!(story.proxy_copies() < 8.0, "{}", story.proxy_copies());
}
