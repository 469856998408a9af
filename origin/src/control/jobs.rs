//! `GET /.outpost/v1/jobs` and `/jobs/NAME`: which packages agents are to keep, and how that stands, as they have told it.

use std::{collections::HashMap, time::SystemTime};

use protocol::{
    enrolment::Role,
    jobs::{Counts, JobNode, JobNodes, Jobs, NODES_MAX, Standing},
    problem::Kind,
    target::Target,
};
use serve::response::Response;

use super::Control;
use crate::{answer, registry::NodeState, site::Site};

/// Of the registry, so many are looked at at a time.
const PAGE: usize = 1_000;

/// All that are configured. Looks at every agent that is known: a few milliseconds for thousands.
pub(super) fn all(control: &Control) -> Response {
    let site = control.site.load();
    let mut counts: HashMap<String, (Counts, u64)> = HashMap::new();
    each_agent(control, |node| count(&site, node, &mut counts));
    let standing = |job: protocol::jobs::Job| {
        let (counts, untold) = counts.get(&job.name).copied().unwrap_or_default();
        Standing { job, counts, untold }
    };
    answer::json(&Jobs { jobs: site.jobs.iter().map(|job| standing(job.job())).collect() })
}

fn count(site: &Site, node: &NodeState, counts: &mut HashMap<String, (Counts, u64)>) {
    for told in &node.jobs {
        // An agent may tell of a job that is none any more, and of any name: no entry is made for that.
        match counts.get_mut(&told.name) {
            Some((counts, _)) => counts.add(told.state),
            None if site.jobs.iter().any(|job| job.name == told.name) => {
                let mut first = Counts::default();
                first.add(told.state);
                counts.insert(told.name.clone(), (first, 0));
            }
            None => {}
        }
    }
    for job in site.jobs.iter().filter(|job| job.is_for(Some(&node.name), node.domain.as_ref())) {
        if !node.jobs.iter().any(|told| told.name == job.name) {
            counts.entry(job.name.clone()).or_default().1 += 1;
        }
    }
}

/// One of them, a page of agents at a time.
pub(super) fn one(control: &Control, target: &Target) -> Response {
    let name = target.path().rsplit('/').next().unwrap_or_default();
    let site = control.site.load();
    let job = site.jobs.iter().find(|job| job.name == name).map(|job| job.job());
    let value = |name: &str| target.query_value(name).map(|value| String::from_utf8_lossy(&value).into_owned());
    let limit = match value("limit").map(|limit| limit.parse::<usize>()) {
        None => NODES_MAX,
        Some(Ok(limit)) if (1..=NODES_MAX).contains(&limit) => limit,
        Some(_) => return answer::problem(Kind::BadRequest, format!("limit is a number from 1 to {NODES_MAX}")),
    };
    let (nodes, cursor) = page(control, name, value("cursor").unwrap_or_default(), limit);
    if job.is_none() && nodes.is_empty() {
        let detail = format!(
            "there is no job {name}, and nobody tells of one; outpost-origin jobs lists those that are configured"
        );
        return answer::problem(Kind::NotFound, detail);
    }
    answer::json(&JobNodes { job, nodes, cursor })
}

/// Agents that tell of a job, whose names come behind one, and where the next page begins.
fn page(control: &Control, name: &str, mut behind: String, limit: usize) -> (Vec<JobNode>, Option<String>) {
    let now = SystemTime::now();
    let mut found = Vec::new();
    loop {
        let page = control.registry.nodes(&behind, PAGE);
        for node in &page {
            behind.clone_from(&node.name);
            let told = node.jobs.iter().find(|told| told.name == name);
            let Some(told) = told else { continue };
            let (domain, away) = (node.domain.clone(), node.is_away(now));
            found.push(JobNode { node: node.name.clone(), domain, away, state: told.clone() });
            if found.len() == limit {
                return (found, Some(behind));
            }
        }
        if page.len() < PAGE {
            return (found, None);
        }
    }
}

fn each_agent(control: &Control, mut look: impl FnMut(&NodeState)) {
    let mut behind = String::new();
    loop {
        let page = control.registry.nodes(&behind, PAGE);
        page.iter().filter(|node| node.role == Role::Agent).for_each(|node| look(node));
        match page.last() {
            Some(last) if page.len() == PAGE => behind.clone_from(&last.name),
            _ => return,
        }
    }
}
