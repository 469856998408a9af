//! `GET /.outpost/v1/configuration`: what is wanted of who asks, by its name and its domain.

use protocol::enrolment::{Configuration, Role};
use serve::response::Response;

use super::{Asker, Control};
use crate::{answer, site::Site};

/// Of who asks.
pub(super) fn answer(control: &Control, asker: &Asker) -> Response {
    answer::json(&of(control, &control.site.load(), asker))
}

fn of(control: &Control, site: &Site, asker: &Asker) -> Configuration {
    let node = asker.node.as_deref();
    let reported = || Some(control.registry.node(node?)?.role);
    let role = asker.role.or_else(reported).unwrap_or(Role::Agent);
    site.configuration(node, role, asker.domain.as_ref())
}
