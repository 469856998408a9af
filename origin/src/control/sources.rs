//! `POST /.outpost/v1/sources`: where contents are to be had by who asks, or when. What is decided of that is in [`sources`](crate::sources).

use std::{cell::RefCell, time::SystemTime};

use protocol::{
    digest::Md5,
    pieces::has_several,
    problem::Kind,
    sources::{DIGESTS_MAX, Question},
    target::Target,
};
use serve::{
    handler::{Answer, Client},
    request::Request,
    response::Response,
};

use super::{Asker, Control, body::with_json, question};
use crate::{
    answer,
    sources::{Answered, Desk, File, Who},
};

/// Bytes of a question: as many digests as there may be, and the network cards.
const BODY_MAX: usize = 64 << 10;

/// Answers when the question has come.
pub(super) fn answer(control: &Control, asker: Asker, request: &Request<'_>, client: &Client) -> Answer {
    let reached = reached(request, client);
    let control = control.clone();
    with_json(request, BODY_MAX, move |question: Question| async move {
        if question.digests.len() > DIGESTS_MAX {
            let detail = format!(
                "a question about sources has at most {DIGESTS_MAX} digests; ask for the others in another one"
            );
            return answer::problem(Kind::ContentTooLarge, detail);
        }
        control.later(asker.tier, move |control| made(&control, &asker, reached, &question)).await
    })
}

/// This origin as who asks has reached it, for where the configuration names none.
fn reached(request: &Request<'_>, client: &Client) -> Option<String> {
    let host = std::str::from_utf8(request.fields.first("Host")?).ok()?;
    let scheme = if client.secure { "https" } else { "http" };
    Some(format!("{scheme}://{host}/"))
}

fn made(control: &Control, asker: &Asker, reached: Option<String>, question: &Question) -> Response {
    let (site, now) = (control.site.load(), SystemTime::now());
    let reached: Vec<String> = reached.into_iter().collect();
    let failure = RefCell::new(None);
    let file_of = |md5: &Md5| match control.catalogue.file_of(md5) {
        Ok(found) => found.map(|found| {
            if found.root.is_none() && has_several(found.size) {
                // It was read before digests of pieces were made.
                control.queue.want(&found.path);
            }
            let path = Target::from_file_path(&found.path).path().into();
            File { path, size: found.size, pieces: found.root }
        }),
        Err(error) => {
            *failure.borrow_mut() = Some(error);
            None
        }
    };
    let desk = Desk {
        topology: &site.topology,
        terms: &site.terms,
        origins: if site.origins.is_empty() { &reached } else { &site.origins },
        registry: &*control.registry,
        pending: &control.pending,
        file_of: &file_of,
    };
    let who = Who { node: asker.node.as_deref(), address: asker.address };
    let Answered { answer: told, tell } = desk.answer(&who, question, now, control.pending.seed());
    if let Some(error) = failure.borrow().as_ref() {
        return *question::failed(error);
    }
    tell.iter().for_each(|(node, contents)| control.orders.fetch(node, contents, now));
    answer::json(&told)
}
