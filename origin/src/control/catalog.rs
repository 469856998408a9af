//! `GET /.outpost/v1/catalog`: what a share has, or what changed in it.

use protocol::{
    catalog::{PAGE_DEFAULT, PAGE_MAX},
    target::Target,
};
use serve::response::Response;

use super::{
    Control,
    question::{self, Refused},
};
use crate::{answer, catalogue::Asked};

pub(super) fn answer(control: &Control, target: &Target) -> Result<Response, Refused> {
    let tops = question::shares(&control.shares, target)?;
    let asked = Asked {
        since: question::number(target, "since")?.unwrap_or(0),
        begun: question::number(target, "begun")?.unwrap_or(0),
        of_another_epoch: question::epoch(target).is_some_and(|epoch| epoch != control.catalogue.epoch()),
        max: question::limit(target, PAGE_DEFAULT, PAGE_MAX)?,
    };
    let page = control.catalogue.page(&tops, &asked).map_err(|error| question::failed(&error))?;
    Ok(answer::json(&page))
}
