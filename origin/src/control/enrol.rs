//! `POST /.outpost/v1/enrol`: somebody wants to belong, and shows a token. Nothing of a token or a credential ever stands in the log.

use std::time::{Instant, SystemTime};

use protocol::{
    enrolment::{Enrol, Enrolled},
    machines::Mac,
    problem::Kind,
};
use serve::{handler::Answer, request::Request, response::Response};

use super::{
    Asker, Control,
    asker::{bearer, place},
    body,
};
use crate::{answer, members::NotEnrolled};

/// Bytes of a question.
const BYTES_MAX: usize = 8 << 10;

/// Answers when the question has come.
pub(super) fn answer(control: &Control, asker: Asker, request: &Request<'_>) -> Answer {
    if let Some(seconds) = control.members.shuts_out(asker.address, Instant::now()) {
        let detail = "too many attempts to enrol have failed from this address; come again later, with the right token";
        return Answer::Now(answer::problem_for_now(Kind::Overloaded, detail, seconds));
    }
    let Some(token) = bearer(request).map(str::to_owned) else {
        return Answer::Now(refuse(control, &asker, "a token is needed to enrol: send Authorization: Bearer TOKEN"));
    };
    let control = control.clone();
    body::with_json(request, BYTES_MAX, move |asked: Enrol| {
        control.aside(move |control| enrol(&control, &asker, &token, &asked))
    })
}

/// Blocks: who has enrolled is written down.
fn enrol(control: &Control, asker: &Asker, token: &str, asked: &Enrol) -> Response {
    let (site, now) = (control.site.load(), SystemTime::now());
    let cards: Vec<Mac> = asked.machines.iter().filter_map(|text| text.parse().ok()).collect();
    let domain = site.topology.home_of(&asked.name).or_else(|| place(&site, asker.address, &cards));
    let is_good = site.tokens.find(token, now).is_some_and(|bound| bound.fits(&asked.name, domain));
    if !is_good {
        // Which of it is wrong is for the administrator to see: a token that somebody found is not explained to them.
        return refuse(
            control,
            asker,
            "this token is not known here, has ended, or is not for this name or this domain",
        );
    }
    match control.members.enrol(asked, now) {
        Ok(credential) => {
            tracing::info!(node = asked.name, address = %asker.address, "a node has enrolled");
            answer::json(&Enrolled { credential })
        }
        Err(error) => {
            let kind = match &error {
                NotEnrolled::Name(_) => Kind::BadRequest,
                NotEnrolled::Taken(_) => Kind::Taken,
                NotEnrolled::Full => Kind::Overloaded,
                NotEnrolled::Database(_) | NotEnrolled::Random(_) => Kind::Internal,
            };
            tracing::warn!(node = asked.name, address = %asker.address, "a node was not enrolled: {error}");
            answer::problem(kind, error.to_string())
        }
    }
}

fn refuse(control: &Control, asker: &Asker, why: &'static str) -> Response {
    if control.members.failed(asker.address, Instant::now()) {
        tracing::warn!(address = %asker.address, "somebody has tried to enrol in vain: {why}");
    }
    answer::problem(Kind::Unauthorized, why)
}
