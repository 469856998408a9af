//! Who is told what: who asks, who is there and who holds it, line by line.

use std::time::Duration;

use protocol::{
    schedule::{Windows, Zone},
    topology::Tier,
};

use super::{
    super::{
        near_to_far,
        rule::{NotReady, Reason, Verdict},
        scene::Forecast,
        terms::Terms,
    },
    MD5, NOW, World, tree,
};

const SITE: [&str; 5] = ["+hq: u1 u2 u3", "hq.north: n1", "hq.b1: p1 q1", "hq.b2: p2", "hq.b2.lab:"];

fn site() -> World {
    World::of(&SITE).all_live()
}

#[test]
fn an_upper_proxy_has_its_sources_at_the_first_question() {
    for (proxy, expected) in [("u1", "origin"), ("u2", "u1 origin"), ("u3", "u1 u2 origin")] {
        assert_eq!(site().proxy(proxy), expected, "{proxy}");
    }
    assert_eq!(site().holding("u2").proxy("u3"), "u2 u1 origin", "who holds it before who would have to fetch it");
}

#[test]
fn a_constrained_proxy_waits_for_those_above() {
    let waits = "not ready (OnItsWay), told: u1 u2 u3";
    for (world, proxy, expected) in [
        (site(), "p1", waits),
        (site().holding("u2"), "p1", "u2 u1 u3 origin"),
        (site().holding("u1 u2"), "p1", "u1 u2 u3 origin"),
        // One beside it gives what it holds, and comes after those above.
        (site().holding("u1 p1"), "p2", "u1 u2 u3 p1 origin"),
        (site().holding("u1 p2"), "p1", "u1 u2 u3 origin"),
        (site().holding("p1"), "p2", waits),
        // One before it in its own domain.
        (site().holding("p1"), "q1", "p1 u1 u2 u3 origin"),
        (site().holding("q1"), "p1", waits),
        // Nobody above is alive.
        (site().away("u1 u2 u3"), "p1", "origin u1 u2 u3"),
        (site().away("u1 u2 u3"), "q1", "p1 origin u1 u2 u3"),
        (site().away("u1"), "p1", "not ready (OnItsWay), told: u2 u3"),
        // One of them is being fetched to: nobody is told once more.
        (site().fetching("u2", Some(30)), "p1", "not ready (OnItsWay), told:"),
        (site().fetching("u2", None), "p1", "not ready (OnItsWay), told:"),
        // Somebody above has never reported: it may hold anything.
        (World::of(&SITE).live("u1 u2"), "p1", "u1 u2 u3 origin"),
        (site().at_once(), "p1", "u1 u2 u3 origin"),
        (site().unknown(), "p1", "not ready (Unknown), told:"),
        (site().unknown().holding("u3"), "p1", "u3"),
    ] {
        assert_eq!(world.proxy(proxy), expected, "{proxy}: {:?}", world.holds);
    }
}

#[test]
fn a_client_waits_for_its_branch() {
    let waits = "not ready (OnItsWay), told: p1 u1 u2 u3";
    for (world, domain, expected) in [
        (site(), "hq.b1", waits),
        (site().holding("u1"), "hq.b1", "not ready (OnItsWay), told: p1"),
        // Its proxy was told to fetch it, and may: each byte is had as it comes.
        (site().holding("u1").told("p1"), "hq.b1", "p1 q1 p2 n1 u1 u2 u3 origin"),
        (site().told("p1"), "hq.b1", waits),
        (site().holding("u1").told("u1"), "hq.b1", "not ready (OnItsWay), told: p1"),
        (site().holding("p1"), "hq.b1", "p1 q1 p2 n1 u1 u2 u3 origin"),
        (site().holding("q1"), "hq.b1", "q1 p1 p2 n1 u1 u2 u3 origin"),
        (site().peers(2), "hq.b1", "peer0 peer1 p1 q1 p2 n1 u1 u2 u3 origin"),
        (site().away("p1"), "hq.b1", "not ready (OnItsWay), told: q1 u1 u2 u3"),
        (site().away("p1 q1"), "hq.b1", "p2 n1 u1 u2 u3 origin p1 q1"),
        (site().away("u1 u2 u3"), "hq.b1", "not ready (OnItsWay), told: p1"),
        (site().away("u1 u2 u3").told("p1"), "hq.b1", "p1 q1 p2 n1 origin u1 u2 u3"),
        // It does so already.
        (site().fetching("p1", Some(5)), "hq.b1", "p1 q1 p2 n1 u1 u2 u3 origin"),
        (site().fetching("q1", None), "hq.b1", "p1 q1 p2 n1 u1 u2 u3 origin"),
        (World::of(&["hq.b3: p3"]).all_live(), "hq.b3", "not ready (OnItsWay), told: p3"),
        (World::of(&["hq.b3: p3"]).all_live().told("p3"), "hq.b3", "p3 origin"),
        (site().fetching("u1", Some(5)), "hq.b1", "not ready (OnItsWay), told: p1"),
        (World::of(&SITE), "hq.b1", "p1 q1 p2 n1 u1 u2 u3 origin"),
        (site().at_once(), "hq.b1", "p1 q1 p2 n1 u1 u2 u3 origin"),
        // Without a proxy of its own it is served by the nearest above.
        (site(), "hq.b2.lab", "not ready (OnItsWay), told: p2 u1 u2 u3"),
        (site().holding("p2"), "hq.b2.lab", "p2 n1 p1 q1 u1 u2 u3 origin"),
        // Of the unconstrained all fetch it; nobody is above them.
        (site(), "hq", "not ready (OnItsWay), told: u1 u2 u3"),
        (site().told("u1 u2 u3"), "hq", "u1 u2 u3 n1 p1 q1 p2 origin"),
        (site().unknown(), "hq.b1", "not ready (Unknown), told:"),
        (site().unknown().holding("p1 u2").peers(1), "hq.b1", "peer0 p1 u2"),
        (site().unknown().holding("p1").away("p1"), "hq.b1", "not ready (Unknown), told:"),
    ] {
        assert_eq!(world.client(domain), expected, "{domain}: {:?}", world.holds);
    }
    assert_eq!(site().client("?"), "u1 u2 u3 n1 p1 q1 origin", "in no domain");
}

/// All day.
fn blackout(world: World, tiers: &[Tier]) -> World {
    let windows = |tier: &Tier| {
        let texts: &[&str] = if tiers.contains(tier) { &["00:00-24:00"] } else { &[] };
        Windows::parse(texts, &Zone::named("UTC").unwrap()).unwrap()
    };
    let terms = Terms { blackout: [0, 1, 2].map(|at| windows(&Tier::ALL[at])), ..world.terms.clone() };
    World { terms, ..world }
}

#[test]
fn in_a_blackout_only_what_is_near_is_told() {
    let (clients, branches) = ([Tier::Client], [Tier::Constrained]);
    for (world, expected) in [
        (blackout(site().holding("u1"), &clients), "not ready (Blackout), told: p1"),
        (blackout(site().holding("u1").at_once(), &clients), "not ready (Blackout), told: p1"),
        (blackout(site().holding("q1 p2 u1"), &clients), "q1"),
        (blackout(site().peers(1), &clients), "peer0"),
        (blackout(site().holding("p1 p2 u1").peers(2), &clients), "peer0 peer1 p1"),
        // That of the branch's proxy is none of the client's, but then the proxy may not fetch: only those above are told.
        (blackout(site(), &branches), "not ready (OnItsWay), told: u1 u2 u3"),
        (blackout(site().holding("u1").told("p1"), &branches), "not ready (OnItsWay), told:"),
        (blackout(site().holding("p1"), &branches), "p1 q1 p2 n1 u1 u2 u3 origin"),
        (blackout(site(), &[Tier::Constrained, Tier::Unconstrained]), "not ready (OnItsWay), told:"),
    ] {
        assert_eq!(world.client("hq.b1"), expected, "{:?}", world.holds);
    }
    let branch = |world: World| blackout(world, &branches);
    assert_eq!(branch(site().holding("u1")).proxy("p1"), "not ready (Blackout), told:");
    assert_eq!(branch(site().holding("u1 p1")).proxy("q1"), "p1");
    assert_eq!(branch(site()).proxy("u2"), "u1 origin");
    // Above a domain with a proxy that it may not ask: that is behind the line.
    assert_eq!(blackout(site().holding("p2"), &clients).client("hq.b2.lab"), "not ready (Blackout), told:");
}

#[test]
fn what_is_waited_for_is_the_way_that_is_left() {
    let reason = |world: &World| {
        let domain = "hq.b1".parse().unwrap();
        let scene = world.scene(None, Some(&domain));
        match world.verdict(&scene) {
            Verdict::NotReady(NotReady { reason, .. }) => reason,
            Verdict::Ready(_) => panic!("it is ready"),
        }
    };
    let expected = |forecast: Option<u64>, guess| Reason::OnItsWay {
        forecast: forecast.map(Duration::from_secs),
        guess: Duration::from_secs(guess),
        not_before: Duration::ZERO,
    };
    // 10 MiB: 1 s over the good line. For what comes over the thin one nobody waits: it is had as it comes.
    assert_eq!(reason(&site()), expected(None, 1));
    assert_eq!(reason(&site().fetching("u3", Some(40))), expected(Some(40), 0));
    assert_eq!(reason(&site().fetching("u3", None)), expected(None, 1));
    assert_eq!(reason(&site().fetching("u3", Some(40)).fetching("u1", Some(20))), expected(Some(20), 0));
    let Reason::OnItsWay { not_before, .. } = reason(&blackout(site(), &[Tier::Constrained])) else { panic!("{MD5}") };
    assert_eq!(not_before, Duration::from_secs(7 * 86_400));
}

#[test]
fn a_forecast_grows_older() {
    let world = site().fetching("p1", Some(40));
    let scene = world.scene(Some("q1"), None);
    let after = |seconds| scene.around[0].fetching(&MD5, NOW + Duration::from_secs(seconds));
    let left = |seconds| Some(Forecast::In(Duration::from_secs(seconds)));
    assert_eq!([after(0), after(15), after(50)], [left(40), left(25), left(0)]);
}

#[test]
fn the_copy_for_times_without_an_origin() {
    let tree = tree(&SITE);
    let copy = |node: Option<&str>, domain: &str| {
        let proxies = near_to_far(&tree, node, domain.parse().ok().as_ref());
        proxies.into_iter().map(|proxy| proxy.name).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(copy(Some("agent"), "hq.b1"), "p1 q1 p2 n1 u1 u2 u3");
    assert_eq!(copy(None, "?"), "u1 u2 u3 n1 p1 q1");
    assert_eq!(copy(Some("q1"), "hq.b1"), "p1 u1 u2 u3");
    assert_eq!(copy(Some("u1"), "hq"), "");
}
