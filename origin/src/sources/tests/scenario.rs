//! Managers at the root, at the subdomain of Agent 1 and at that of Agent 3, which go and come back; each step in the words of who asked for it.

use super::World;

const ROOT: &str = "corp";
const ONE: &str = "corp.one";
const THREE: &str = "corp.three";

/// Whom a machine asks first.
fn first(world: &World, domain: &str) -> String {
    world.client(domain).split(' ').next().unwrap_or_default().to_owned()
}

/// Agents 1 and 2 are in one subdomain, agents 3 and 4 in another; the managers are told apart from the agents beside them.
fn site(managers: &[&str]) -> World {
    World::of(managers).all_live().at_once()
}

const WHOLE: [&str; 3] = ["corp: root", "corp.one: agent1", "corp.three: agent3"];
const WITHDRAWN: [&str; 3] = ["corp:", "corp.one: agent1", "corp.three: agent3"];

#[test]
fn agents_1_and_2_ask_agent_1_and_agents_3_and_4_ask_agent_3() {
    let site = site(&WHOLE);
    assert_eq!(first(&site, ONE), "agent1");
    assert_eq!(first(&site, THREE), "agent3");
    assert_eq!(first(&site, ROOT), "root");
    assert_eq!(site.client(ONE), "agent1 agent3 root origin");
    assert_eq!(site.client(THREE), "agent3 agent1 root origin");
}

#[test]
fn agent_3_down_agent_4_asks_agent_1() {
    let site = site(&WHOLE).away("agent3");
    assert_eq!(first(&site, THREE), "agent1");
    assert_eq!(site.client(THREE), "agent1 root origin agent3");
    assert_eq!(first(&site, ONE), "agent1", "nothing changes for 1 and 2");
}

#[test]
fn agent_1_down_too_2_3_and_4_ask_the_root() {
    let site = site(&WHOLE).away("agent1 agent3");
    assert_eq!(first(&site, ONE), "root");
    assert_eq!(first(&site, THREE), "root");
}

#[test]
fn the_manager_withdrawn_from_the_root_2_3_and_4_ask_agent_3_once_it_is_up() {
    let broken = site(&WITHDRAWN).away("agent1 agent3");
    assert_eq!(broken.client(ONE), "origin agent1 agent3", "until then there is the origin");
    let up = site(&WITHDRAWN).away("agent1");
    assert_eq!(first(&up, ONE), "agent3");
    assert_eq!(first(&up, THREE), "agent3");
    assert_eq!(first(&up, ROOT), "agent3");
}

#[test]
fn a_new_subdomain_with_a_manager_is_preferred_by_its_parents_agents_if_no_other_is_available() {
    let grown = ["corp:", "corp.one: agent1", "corp.one.new: new", "corp.three: agent3"];
    assert_eq!(first(&site(&grown), ONE), "agent1", "another is available");
    assert_eq!(first(&site(&grown).away("agent1"), ONE), "agent3", "still another");
    assert_eq!(first(&site(&grown).away("agent1 agent3"), ONE), "new");
    assert_eq!(first(&site(&grown).away("agent1 agent3"), "corp.one.new"), "new");
    // In the domain of a parent that has no manager itself, nor anybody above it.
    let only = ["corp:", "corp.one:", "corp.one.new: new"];
    assert_eq!(first(&site(&only), ONE), "new");
}

/// The same steps, where one waits until a manager near has the content, or fetches it.
#[test]
fn with_staging_the_nearest_manager_that_is_alive_is_asked_when_it_fetches_it() {
    let site = |holding: &str| World::of(&WHOLE).all_live().holding(holding);
    assert_eq!(site("agent1 agent3").client(THREE), "agent3 agent1 root origin");
    assert_eq!(site("root").client(THREE), "not ready (OnItsWay), told: agent3");
    assert_eq!(site("root").told("agent3").client(THREE), "agent3 agent1 root origin");
    assert_eq!(site("").client(THREE), "not ready (OnItsWay), told: agent3 root");
    // Nobody waits for who is away.
    assert_eq!(site("").away("agent3").client(THREE), "agent1 root origin agent3");
}
