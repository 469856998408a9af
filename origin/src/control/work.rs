//! What an administrator does about nodes: has them brought up to date, sees how far they are, removes names. The admin listener asks it.

use std::{collections::BTreeSet, time::SystemTime};

use protocol::{
    enrolment::{Role, Update},
    problem::Kind,
    topology::DomainName,
};
use serde::{Deserialize, Serialize};
use serve::response::Response;

use super::Control;
use crate::{
    answer,
    orders::{Failed, Shown},
};

/// Nodes of one update.
const NODES_MAX: usize = 10_000;
/// Of the registry, so many are looked at at a time.
const PAGE: usize = 1_000;
/// Orders of one answer.
const ORDERS_MAX: usize = 1_000;

/// `POST /v1/update`: for one proxy, for those of a domain and below it, or for all.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Wanted {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) proxy: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) domain: Option<DomainName>,
    /// A file, or a folder with all below it; everything that is preloaded, unless it is there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) path: Option<String>,
}

/// The orders that were given.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Given {
    pub(crate) ids: Vec<u64>,
}

/// `GET /v1/orders`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Listed {
    /// The newest first.
    pub(crate) orders: Vec<Shown>,
}

/// Gives the orders. Blocks.
pub(crate) fn update(control: &Control, wanted: &Wanted) -> Response {
    if wanted.path.as_deref().is_some_and(|path| !path.starts_with('/')) {
        return answer::problem(
            Kind::BadRequest,
            "a path begins with '/': /prod/office/ for a folder, with all below it",
        );
    }
    let nodes = match nodes(control, wanted) {
        Ok(nodes) => nodes,
        Err(nobody) => return answer::problem(Kind::NotFound, nobody),
    };
    let work = wanted.path.as_ref().map_or(Update::Everything, |path| Update::Path(path.clone()));
    let now = SystemTime::now();
    let given: Result<Vec<u64>, Failed> =
        nodes.iter().map(|node| control.orders.give(node, work.clone(), now)).collect();
    match given {
        Ok(ids) => {
            tracing::info!(
                nodes = ids.len(),
                path = wanted.path.as_deref().unwrap_or("everything"),
                "an update was ordered"
            );
            let mut response = answer::json(&Given { ids });
            response.status = http::StatusCode::ACCEPTED;
            response
        }
        Err(Failed::NotGiven(limit)) => answer::problem_for_now(Kind::Overloaded, limit.to_string(), 60),
        Err(error) => answer::problem(Kind::Internal, error.to_string()),
    }
}

/// Whom an update concerns; else why nobody.
fn nodes(control: &Control, wanted: &Wanted) -> Result<Vec<String>, String> {
    let site = control.site.load();
    if let Some(name) = &wanted.proxy {
        let is_known = site.topology.home_of(name).is_some() || control.registry.node(name).is_some();
        return if is_known {
            Ok(vec![name.clone()])
        } else {
            Err(format!(
                "no proxy named {name} is in the tree, and none has reported; outpost-origin nodes lists those who have"
            ))
        };
    }
    let is_inside = |name: &DomainName| {
        let mut above = std::iter::successors(Some(name.clone()), DomainName::parent);
        wanted.domain.as_ref().is_none_or(|domain| above.any(|name| name == *domain))
    };
    let in_tree = site.topology.domains().filter(|domain| is_inside(&domain.name)).flat_map(|domain| &domain.proxies);
    let mut found: BTreeSet<String> = in_tree.map(|proxy| proxy.name.clone()).collect();
    let mut behind = String::new();
    loop {
        let page = control.registry.nodes(&behind, PAGE);
        let is_proxy_there = |role, domain: Option<&DomainName>| {
            role == Role::Proxy && domain.map_or(wanted.domain.is_none(), &is_inside)
        };
        found.extend(
            page.iter().filter(|node| is_proxy_there(node.role, node.domain.as_ref())).map(|node| node.name.clone()),
        );
        match page.last() {
            Some(last) if page.len() == PAGE => behind.clone_from(&last.name),
            _ => break,
        }
    }
    match found.len() {
        0 => Err(format!(
            "there is no proxy in {}",
            wanted.domain.as_ref().map_or("the tree".to_owned(), ToString::to_string)
        )),
        1..=NODES_MAX => Ok(found.into_iter().collect()),
        count => Err(format!("{count} proxies are more than the {NODES_MAX} of one update; give a domain")),
    }
}

/// The newest orders, or those of these numbers.
pub(crate) fn orders(control: &Control, ids: Option<&str>) -> Response {
    let orders = match ids {
        Some(ids) => ids.split(',').take(NODES_MAX).filter_map(|id| control.orders.order(id.parse().ok()?)).collect(),
        None => control.orders.newest(ORDERS_MAX),
    };
    answer::json(&Listed { orders })
}

/// One of them.
pub(crate) fn order(control: &Control, id: &str) -> Response {
    match id.parse().ok().and_then(|id| control.orders.order(id)) {
        Some(shown) => answer::json(&shown),
        None => answer::problem(Kind::NotFound, "there is no such order, or it has ended long ago"),
    }
}

/// Removes a name, so that it can enrol anew. Blocks.
pub(crate) fn forget(control: &Control, name: &str) -> Response {
    match control.members.forget(name) {
        Ok(true) => {
            tracing::info!(node = name, "a name was removed; whoever has a token for it can enrol under it");
            Response::new(http::StatusCode::NO_CONTENT)
        }
        Ok(false) => answer::problem(Kind::NotFound, format!("nobody named {name} has enrolled here")),
        Err(error) => answer::problem(Kind::Internal, format!("this server cannot write down who enrols: {error}")),
    }
}
