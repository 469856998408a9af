//! The invariants of `ARCHITECTURE.md`, as far as they can be seen in the source. That they hold when the programs run is for the other tests.

use crate::source::{expect_none, places_with, sources};

/// Files whose whole code a hit runs through between the request's head and its answer.
const HIT: &[&str] = &[
    "crates/cache/src/answer/content.rs",
    "crates/cache/src/asked.rs",
    "crates/cache/src/context.rs",
    "crates/cache/src/names/",
    "crates/cache/src/preload/due.rs",
    "crates/cache/src/preload/forecast.rs",
    "crates/cache/src/preload/plan.rs",
    "crates/cache/src/preload/queue.rs",
    "crates/cache/src/preload/walk.rs",
    "crates/cache/src/requesters.rs",
    "crates/cache/src/requesters/",
    "crates/cache/src/resolve.rs",
    "crates/protocol/",
    "crates/serve/src/head/",
    "crates/serve/src/transmit/plan.rs",
    "crates/store/src/space/evict/",
];

/// Files that decide: the clock and the seed are their arguments.
const POLICY: &[&str] = &[
    "agent/src/decide/",
    "crates/cache/src/fetch/retry.rs",
    "crates/cache/src/line/order.rs",
    "crates/cache/src/line/schedule.rs",
    "crates/cache/src/names/freshness.rs",
    "crates/cache/src/names/memo.rs",
    "crates/cache/src/names/representation.rs",
    "crates/cache/src/requesters.rs",
    "crates/cache/src/requesters/",
    "crates/cache/src/swarm/tracker.rs",
    "crates/cache/src/swarm/tracker/",
    "crates/cache/src/upstream/health.rs",
    "crates/cache/src/upstream/heads.rs",
    "crates/protocol/",
    "crates/serve/src/head/",
    "crates/serve/src/transmit/plan.rs",
    "origin/src/admission/limits.rs",
    "origin/src/admission/returns.rs",
    "origin/src/admission/table.rs",
    "origin/src/control/reports/check.rs",
    "origin/src/control/reports/pace.rs",
    "origin/src/registry/book.rs",
    "origin/src/registry/fetching.rs",
    "origin/src/registry/nodes.rs",
    "origin/src/registry/numbering.rs",
    "origin/src/registry/objects.rs",
];

fn is_in(places: &'static [&'static str]) -> impl Fn(&str) -> bool {
    move |path| places.iter().any(|place| path.starts_with(place))
}

/// Lists of places go stale when files move: each must still be there.
#[test]
fn the_places_that_are_named_are_there() {
    let sources = sources();
    let is_gone = |place: &&&str| !sources.iter().any(|source| source.path.starts_with(**place));
    expect_none("a place that is no more", [HIT, POLICY].concat().iter().filter(is_gone).map(ToString::to_string));
}

#[test]
fn a_hit_awaits_nothing() {
    let sources = sources();
    let is_hit = is_in(HIT);
    expect_none("a hit waits", places_with(&sources, |path| !is_hit(path), &[".await", "async "]));
}

#[test]
fn policies_take_the_time_and_the_seed() {
    let sources = sources();
    let is_policy = is_in(POLICY);
    let words = ["Instant::now()", "SystemTime::now()", "RandomState::new().hash", "thread_rng", "elapsed()"];
    expect_none("a policy looks at the clock", places_with(&sources, |path| !is_policy(path), &words));
}

#[test]
fn only_a_flight_fills() {
    let sources = sources();
    let allowed = |path: &str| path.starts_with("crates/cache/src/fetch/") || !path.starts_with("crates/cache/");
    let words = ["Vacancy", "FillSpec", "store.fill(", "store.lookup("];
    expect_none("a fill outside of cache::fetch", places_with(&sources, allowed, &words));
}

#[test]
fn objects_enter_the_index_verified() {
    let sources = sources();
    // By a commit; or found on the disk under their name, read and hashed.
    let allowed = |path: &str| {
        ["/commit.rs", "/search.rs", "/record.rs", "/index_size.rs"].iter().any(|end| path.ends_with(end))
            || !path.starts_with("crates/store/")
    };
    expect_none("an object is made elsewhere", places_with(&sources, allowed, &["Object::new("]));
}

#[test]
fn upstream_kinds_are_told_apart_in_one_room() {
    let sources = sources();
    let allowed = |path: &str| path.starts_with("crates/cache/src/upstream/") || !path.starts_with("crates/cache/");
    let words = ["Kind::Directory", "Kind::Http", "Kind::Outpost"];
    expect_none("a kind of upstream outside of cache::upstream", places_with(&sources, allowed, &words));
}

#[test]
fn status_codes_are_chosen_in_few_places() {
    let sources = sources();
    let allowed = |path: &str| {
        let chosen = [
            // From the conditions, the range and the content.
            "crates/cache/src/answer/",
            // The way to a directory's slash; events and information, which have one status.
            "crates/cache/src/context.rs",
            "crates/cache/src/endpoints/",
            "origin/src/admin.rs",
            "origin/src/answer.rs",
            "origin/src/handler.rs",
            // Problems and malformed requests.
            "crates/protocol/src/problem.rs",
            "crates/serve/src/",
        ];
        // An upstream's own, read, judged or repeated.
        let told_apart = [
            "agent/src/decide/",
            "agent/src/bring/attempt.rs",
            "agent/src/bring/swarm/piece.rs",
            // Its own: of what it has, and of what it is asked.
            "agent/src/service/",
            "crates/cache/src/upstream/",
            "crates/cache/src/pass.rs",
            "crates/cache/src/fetch/",
            "crates/cache/src/names/",
        ];
        let others = ["bench/", "proxy/", "config/", "tests/"];
        [&chosen[..], &told_apart, &others].concat().iter().any(|place| path.starts_with(place))
    };
    let words = ["StatusCode::OK", "StatusCode::PARTIAL", "StatusCode::NOT_MODIFIED", "StatusCode::MOVED"];
    expect_none("a status is chosen elsewhere", places_with(&sources, allowed, &words));
}

#[test]
fn libraries_have_no_globals() {
    let sources = sources();
    // What the kernel can do is the same for the whole process and asked once.
    let allowed = |path: &str| !path.starts_with("crates/") || path.starts_with("crates/os/");
    let words = ["static mut ", "LazyLock<", "lazy_static", "thread_local!"];
    expect_none("a global in a library", places_with(&sources, allowed, &words));
}

#[test]
fn queues_have_limits() {
    let sources = sources();
    let allowed = |path: &str| {
        let bounded_otherwise = [
            // By the places that operations hold.
            "crates/os/src/engine/",
            // By the number of fills: one stands in it once.
            "crates/store/src/part/lane.rs",
            // Nothing is ever sent: its end is the message.
            "origin/src/origin.rs",
        ];
        bounded_otherwise.iter().any(|place| path.starts_with(place)) || path.starts_with("bench/")
    };
    let words = ["unbounded", "mpsc::channel()", "UnboundedSender"];
    expect_none("a queue without a limit", places_with(&sources, allowed, &words));
}
