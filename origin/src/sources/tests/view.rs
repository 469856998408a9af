//! The tree as people see it.

use super::{
    super::view::{View, view},
    NOW, World, tree,
};

fn json(views: Option<Vec<View>>) -> serde_json::Value {
    serde_json::to_value(views).unwrap()
}

#[test]
fn who_stands_where_and_who_is_there() {
    let world = World::of(&["+hq: u1", "hq.b1: p1 q1", "hq.b1.lab:", "other.deep:"]).live("u1").away("p1");
    let of = |top: Option<&str>| {
        let top = top.map(|name| name.parse().unwrap());
        json(view(&world.topology, top.as_ref(), |name| world.nodes.get(name).cloned(), NOW))
    };
    let said = |name: &str, state: &str| {
        serde_json::json!({
            "name": name, "url": format!("http://{name}/"), "state": state, "version": "",
            "last_seen": "1970-01-01T00:00:00Z", "load": 0, "free": 0, "holds": 0, "fetching": 0,
        })
    };
    let branch = serde_json::json!({
        "domain": "hq.b1",
        "tier": "constrained",
        "proxies": [said("p1", "away"), {"name": "q1", "url": "http://q1/", "state": "silent"}],
        "domains": [{"domain": "hq.b1.lab", "tier": "constrained"}],
    });
    assert_eq!(of(Some("hq.b1")), serde_json::json!([branch]));
    let all = serde_json::json!([
        {"domain": "hq", "tier": "unconstrained", "proxies": [said("u1", "alive")], "domains": [branch]},
        {"domain": "other", "domains": [{"domain": "other.deep", "tier": "constrained"}]},
    ]);
    assert_eq!(of(None), all);
    assert!(of(Some("nowhere")).is_null());
}

#[test]
fn a_large_tree_is_shown_as_far_as_there_is_room() {
    let written: Vec<_> = (0..5_000).map(|number| format!("hq.b{number}.lab:")).collect();
    let tree = tree(&written.iter().map(String::as_str).collect::<Vec<_>>());
    let shown = json(view(&tree, None, |_| None, NOW));
    let hq = &shown[0];
    assert_eq!(hq["domains"].as_array().unwrap().len(), 1_999);
    assert_eq!(hq["left_out"], 3_001);
    assert_eq!(hq["domains"][0], serde_json::json!({"domain": "hq.b0", "left_out": 1}));
}
