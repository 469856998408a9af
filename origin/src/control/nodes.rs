//! `GET /.outpost/v1/objects/MD5/holders`, `GET /.outpost/v1/nodes` and `/nodes/NAME`: who has reported, and who holds a content, for people and programs that look.

use std::time::SystemTime;

use protocol::{
    digest::Md5,
    info::NODES,
    problem::Kind,
    report::{Holders, NODES_MAX, Node, Nodes},
    target::Target,
    timestamp::rfc3339,
    topology::{BadDomain, DomainName},
};
use serve::response::Response;

use super::Control;
use crate::{answer, registry::NodeState};

/// Holders of one answer unless more or fewer are asked for.
const HOLDERS_DEFAULT: usize = 100;

/// Who holds a content.
pub(super) fn holders(control: &Control, md5: &Md5, target: &Target) -> Response {
    let now = SystemTime::now();
    let (limit, domain) = match (limit(target, HOLDERS_DEFAULT), domain(target)) {
        (Ok(limit), Ok(domain)) => (limit, domain),
        (Err(why), _) | (_, Err(why)) => return answer::problem(Kind::BadRequest, why),
    };
    let holders = control.registry.holders(md5, domain.as_ref(), limit, now);
    answer::json(&Holders { holders: holders.iter().map(|state| node(state, now)).collect() })
}

/// A page of everybody.
pub(super) fn page(control: &Control, target: &Target) -> Response {
    let now = SystemTime::now();
    let limit = match limit(target, NODES_MAX) {
        Ok(limit) => limit,
        Err(why) => return answer::problem(Kind::BadRequest, why),
    };
    let behind = text(target, "cursor").unwrap_or_default();
    let page = control.registry.nodes(&behind, limit);
    let cursor = page.last().filter(|_| page.len() == limit).map(|last| last.name.clone());
    answer::json(&Nodes { nodes: page.iter().map(|state| node(state, now)).collect(), cursor })
}

/// One of them.
pub(super) fn one(control: &Control, target: &Target) -> Response {
    let name = target.path().strip_prefix(NODES).unwrap_or_default().trim_start_matches('/');
    match control.registry.node(name) {
        Some(state) => answer::json(&node(&state, SystemTime::now())),
        None => {
            let detail = format!("nobody named {name} has reported here; {NODES} lists those who have");
            answer::problem(Kind::NotFound, detail)
        }
    }
}

fn node(state: &NodeState, now: SystemTime) -> Node {
    Node {
        name: state.name.clone(),
        role: state.role,
        domain: state.domain.clone(),
        url: state.url.clone(),
        version: state.version.clone(),
        load: state.load,
        free: state.free,
        holds: state.holds,
        fetching: state.fetching.len() as u64,
        configuration: state.configuration,
        refused: state.refused.clone(),
        needs_restart: state.needs_restart.clone(),
        jobs: state.jobs.clone(),
        last_seen: rfc3339(state.last_seen),
        expires: rfc3339(state.expires),
        away: state.is_away(now),
    }
}

fn text(target: &Target, name: &str) -> Option<String> {
    target.query_value(name).map(|value| String::from_utf8_lossy(&value).into_owned()).filter(|value| !value.is_empty())
}

fn limit(target: &Target, default: usize) -> Result<usize, String> {
    let Some(text) = text(target, "limit") else { return Ok(default) };
    let limit = text.parse().ok().filter(|limit| (1..=NODES_MAX).contains(limit));
    limit.ok_or_else(|| format!("limit is a number from 1 to {NODES_MAX}"))
}

fn domain(target: &Target) -> Result<Option<DomainName>, String> {
    text(target, "domain").map(|name| name.parse()).transpose().map_err(|error: BadDomain| error.to_string())
}
