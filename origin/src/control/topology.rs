//! `GET /.outpost/v1/topology?domain=DOMAIN`: who stands where, and who is there; for people.

use std::time::SystemTime;

use protocol::{
    problem::Kind,
    target::Target,
    topology::{BadDomain, DomainName},
};
use serve::response::Response;

use super::{Control, question::Refused};
use crate::{answer, sources};

/// The tree, or a part of it.
pub(super) fn answer(control: &Control, target: &Target) -> Result<Response, Refused> {
    let domain = target.query_value("domain").map(|name| String::from_utf8_lossy(&name).parse::<DomainName>());
    let bad = |error: BadDomain| Refused::from(answer::problem(Kind::BadRequest, error.to_string()));
    let domain = domain.transpose().map_err(bad)?;
    let site = control.site.load();
    let view = sources::view(&site.topology, domain.as_ref(), |name| control.registry.node(name), SystemTime::now());
    let nowhere = || {
        let name = domain.as_ref().map(ToString::to_string).unwrap_or_default();
        Refused::from(answer::problem(
            Kind::NotFound,
            format!("there is no domain {name} in the configuration of this origin"),
        ))
    };
    view.map(|view| answer::json(&view)).ok_or_else(nowhere)
}
