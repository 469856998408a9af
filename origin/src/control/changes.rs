//! `GET /.outpost/v1/changes`: a stream of what changes.

use std::time::SystemTime;

use protocol::{
    catalog::Page, changes::Change, digest::Md5, enrolment::Order, problem::Kind, target::Target, topology::Tier,
};
use serve::response::Response;

use super::{
    Asker, Control,
    question::{self, Refused},
};
use crate::{
    answer,
    catalogue::{Asked, CatalogueError},
    feed::{Full, Opening, SUBSCRIBERS_MAX},
};

/// Changes since a generation that are told at the beginning; where there are more, the catalogue has them.
const REPLAY_MAX: usize = 100;
/// Seconds after which who found no place for its stream may try again.
const RETRY_AFTER: u64 = 60;

pub(super) fn answer(control: &Control, asker: &Asker, target: &Target) -> Result<Response, Refused> {
    let tops = question::folders(&control.shares, target)?;
    let since = question::number(target, "since")?;
    let of_another_epoch = question::epoch(target).is_some_and(|epoch| epoch != control.catalogue.epoch());
    // It begins before the catalogue is looked at, so that nothing falls between.
    let subscription = control.feed.subscribe(asker.node.as_deref(), tops.clone()).map_err(full)?;
    let asked = since.map(|since| Asked { since, begun: 0, of_another_epoch, max: REPLAY_MAX });
    let mut opening = opening(control, &tops, asked).map_err(|error| question::failed(&error))?;
    opening.own.extend(pending(control, asker).into_iter().map(Change::Order));
    Ok(answer::events(Box::pin(subscription.open(opening))))
}

/// Who is told an order a second time knows its number. Behind a thin line one fetches what others wait for: who comes back is not told to, where another one has
/// taken its place.
fn pending(control: &Control, asker: &Asker) -> Vec<Order> {
    let (Some(node), now) = (&asker.node, SystemTime::now()) else { return Vec::new() };
    let domain = asker.domain.as_ref().filter(|_| asker.tier == Tier::Constrained);
    let is_elsewhere = |md5: &Md5| {
        let Some(domain) = domain else { return false };
        // Two, for one of them may be this node itself.
        let fetching = control.registry.fetching(md5, domain, 2, now);
        let holders = control.registry.holders(md5, Some(domain), 2, now);
        fetching.iter().chain(&holders).any(|other| other.name != *node)
    };
    control.orders.pending(node, is_elsewhere, now)
}

fn full(_: Full) -> Refused {
    let detail = format!(
        "{SUBSCRIBERS_MAX} streams of changes are open, which is the limit; ask again in {RETRY_AFTER} s, and ask for files as before"
    );
    answer::problem_for_now(Kind::Overloaded, detail, RETRY_AFTER).into()
}

fn opening(control: &Control, tops: &[Box<[u8]>], asked: Option<Asked>) -> Result<Opening, CatalogueError> {
    let newest = control.catalogue.generation();
    let page = asked.as_ref().map(|asked| control.catalogue.page(tops, asked)).transpose()?;
    let epoch = control.catalogue.epoch().to_owned();
    let without = |reset| Opening { epoch, generation: newest, reset, replay: vec![], replayed: newest, own: vec![] };
    Ok(match (asked, page) {
        (Some(asked), Some(page)) if !page.reset && !page.more => {
            Opening { generation: asked.since, replayed: page.generation, replay: in_order(page), ..without(false) }
        }
        (_, Some(page)) => without(page.reset),
        _ => without(false),
    })
}

/// The changes of a page, by their generations.
fn in_order(page: Page) -> Vec<Change> {
    let files = page.files.into_iter().map(|file| (file.generation, Change::File(file)));
    let mut changes: Vec<_> =
        page.gone.into_iter().map(|gone| (gone.generation, Change::Gone(gone))).chain(files).collect();
    changes.sort_by_key(|(generation, _)| *generation);
    changes.into_iter().map(|(_, change)| change).collect()
}

#[cfg(test)]
mod tests {
    use protocol::{
        catalog::{File, Gone},
        digest::{Md5, Sha256},
    };

    use super::*;

    #[test]
    fn what_is_told_again_comes_in_its_order() {
        let file = |generation| File {
            path: "/f".into(),
            size: 0,
            md5: Md5([0; 16]),
            sha256: Sha256([0; 32]),
            modified: String::new(),
            generation,
        };
        let gone = |generation| Gone { path: "/g".into(), generation };
        let page = Page { files: vec![file(2), file(5)], gone: vec![gone(1), gone(4), gone(6)], ..Page::default() };
        let expected = [
            Change::Gone(gone(1)),
            Change::File(file(2)),
            Change::Gone(gone(4)),
            Change::File(file(5)),
            Change::Gone(gone(6)),
        ];
        assert_eq!(in_order(page), expected);
    }
}
