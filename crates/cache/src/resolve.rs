//! One request in one screen: what is asked, what is known of it, and what follows from that.

use std::{sync::Arc, time::Instant};

use http::Method;
use protocol::{cache_status::CacheStatus, listing::Listing, problem::Kind, target::Target};
use serve::{
    handler::{Answer, Client},
    request::{Fields, Request},
    response::Response,
    source::Source,
};
use store::Reader;

use crate::{
    answer::pages::{self, Pages},
    asked::Asked,
    context::RequestContext,
    endpoints,
    failure::Failure,
    fetch::{
        join::{Joined, join},
        refused,
    },
    follow,
    forwarded::{has_been_here, of_fill},
    methods,
    names::{
        book::Known,
        freshness::{self, Facts, Suits, Verdict},
        memo::{Memo, WRONG_MAX},
        record::Provenance,
    },
    pass,
    shared::Shared,
    upstream::{Question, Upstream},
    webdav,
};

pub(crate) fn answer(shared: &Arc<Shared>, request: &Request<'_>, client: &Client) -> Answer {
    let target = match Target::parse(request.target) {
        Ok(target) => target,
        Err(bad) => return now(refusal(Kind::BadRequest, bad.to_string())),
    };
    let mut context = RequestContext::new(shared, Asked::read(request, client));
    let reads = matches!(request.method, Method::GET | Method::HEAD);
    if target.path().starts_with("/.outpost/") && reads {
        return endpoints::answer(&mut context, target, request.fields);
    }
    let found = context.settings.upstream_of(&target).filter(|_| !target.path().starts_with("/.outpost/"));
    let Some((upstream, below)) = found else {
        return if reads { now(mounts(&context, &target)) } else { below_mounts(&context, &target, request) };
    };
    if !reads {
        return by_method(&context, upstream.clone(), &target, &below, request);
    }
    if target.path() == upstream.options.mount.trim_end_matches('/') {
        return now(context.to_slash(&target));
    }
    let key = upstream.key(&below);
    context.asked.range_unless(|| shared.memos.is_tainted(&key, Instant::now()));
    let question =
        |sent| Arc::new(Question::of_name(upstream.clone(), target.clone(), below.clone().into_owned(), &key, sent));
    match look(&context, upstream, &key, request.fields) {
        Look::Serve(known, reader, status) => now(serve(&context, &known, reader, &target, status)),
        Look::Pages(pages) => now(context.pages(&pages, CacheStatus::Hit)),
        Look::Ask => ask(&context, question(of_fill(request.fields))),
        Look::Pass => pass(&context, question(of_fill(request.fields))),
        Look::Down => down(&context, question(of_fill(request.fields))),
        Look::NoRoom => now(refused::no_room(target.path()).to_response()),
        Look::Wrong => now(refused::wrong(&question(of_fill(request.fields))).to_response()),
    }
}

/// What is known without asking anybody.
enum Look {
    /// The content, with the word for how it came.
    Serve(Arc<Known>, Reader, CacheStatus),
    /// A directory's pages.
    Pages(Arc<Pages>),
    /// The upstream must be asked.
    Ask,
    /// It is known not to be for the cache.
    Pass,
    /// Nobody can be asked, and there is no copy that may stand in.
    Down,
    /// There was no room for it a moment ago, and it may not pass.
    NoRoom,
    /// Its bytes were wrong a moment ago, more than once.
    Wrong,
}

fn look(context: &RequestContext<'_>, upstream: &Upstream, key: &[u8], fields: Fields<'_>) -> Look {
    let shared = context.shared;
    let is_down = upstream.health.is_down();
    let Some(known) = shared.book.known(key) else {
        let now = Instant::now();
        return match (shared.pages.of(key, now), shared.memos.of(key, now)) {
            (Some(pages), _) => Look::Pages(pages),
            (None, Some(Memo::Passes)) => Look::Pass,
            (None, Some(Memo::NoRoom)) => Look::NoRoom,
            (None, Some(Memo::Wrong(times))) if times >= WRONG_MAX => Look::Wrong,
            (None, _) if is_down => Look::Down,
            (None, _) => Look::Ask,
        };
    };
    let suits = suits(context, upstream, &known, fields);
    let verdict = freshness::decide(suits == Suits::Fresh, || {
        let (checked, at_most) = (shared.book.checked(&known, context.now), context.settings.options.stale_if_error);
        let may_stand_in = freshness::may_stand_in(&known.record, checked, context.now, at_most);
        Facts {
            is_unreachable: is_down || shared.book.is_held(&known),
            may_stand_in: may_stand_in && suits != Suits::OtherVariant,
        }
    });
    let status = match verdict {
        Verdict::Fresh => Some(CacheStatus::Hit),
        Verdict::Stale => Some(CacheStatus::Stale),
        Verdict::Recheck | Verdict::Gone => None,
    };
    match status.and_then(|status| Some((status, shared.store.hit(&known.md5)?))) {
        Some((status, reader)) => Look::Serve(known, reader, status),
        None if is_down => Look::Down,
        None => Look::Ask,
    }
}

fn suits(context: &RequestContext<'_>, upstream: &Upstream, known: &Known, fields: Fields<'_>) -> Suits {
    // Most requests say nothing of caching, and most answers do not vary: then the fields need not be looked at.
    let is_of_web_server = matches!(known.record.provenance, Provenance::Http(_));
    let is_told_apart = is_of_web_server && (context.asked.is_controlled || known.record.variant().is_some());
    let sent = is_told_apart.then(|| of_fill(fields));
    let is_recent = || context.shared.book.is_recent(known, upstream.options.recheck);
    freshness::suits(&known.record, sent.as_ref(), context.now, is_recent)
}

/// A hit: no wait, nothing to look up but the places.
fn serve(
    context: &RequestContext<'_>,
    known: &Known,
    reader: Reader,
    target: &Target,
    status: CacheStatus,
) -> Response {
    let described = known.representation(&reader, target.path(), context.via());
    context.content(described, Source::Object(reader), &|| context.shared.requesters.of(&known.md5), status)
}

/// Another method than GET or HEAD.
fn by_method(
    context: &RequestContext<'_>,
    upstream: Arc<Upstream>,
    target: &Target,
    below: &Target,
    request: &Request<'_>,
) -> Answer {
    let (key, sent) = (upstream.key(below), of_fill(request.fields));
    let question = Question::of_name(upstream, target.clone(), below.clone(), &key, sent);
    match been_here(context, &question) {
        Some(refused) => now(refused),
        None if question.upstream.takes_methods() => methods::answer(context, question, request),
        None => webdav::answer(context, question, request),
    }
}

/// A request that this server has sent itself would wait for its own answer (RFC 9110 section 7.6.3).
fn been_here(context: &RequestContext<'_>, question: &Question) -> Option<Response> {
    let name = &context.settings.pseudonym;
    let looped = !question.upstream.is_directory() && has_been_here(&question.sent, name);
    looped.then(|| {
        let (path, upstream) = (question.full.path(), &question.upstream.options.name);
        refusal(
            Kind::Loop,
            format!(
                "the request for {path} came back to this server, which is '{name}' in its field Via: the upstream '{upstream}' leads here. \
                 Correct its url, or, if another server has the same name, give each its own (serve.name)"
            ),
        )
    })
}

/// The upstream must be asked: joins the flight that is on, or begins one.
fn ask(context: &RequestContext<'_>, question: Arc<Question>) -> Answer {
    if let Some(refused) = been_here(context, &question) {
        return now(refused);
    }
    if freshness::wants_only_cached(&question.sent) {
        let detail = "no fresh copy is here, and the request forbids to fetch one (Cache-Control: only-if-cached); ask again without that";
        return now(refusal(Kind::UpstreamTimeout, detail));
    }
    let joined = join(context.shared, &question, !context.asked.may_need_no_body());
    board(context, question, joined)
}

/// The upstream cannot be asked. A fill that is on goes on, and can be followed.
fn down(context: &RequestContext<'_>, question: Arc<Question>) -> Answer {
    match context.shared.flights.find(&question.key) {
        Some(flight) => {
            let joined = Joined::follow(flight, &question, !context.asked.may_need_no_body());
            board(context, question, joined)
        }
        None => now(question.unreachable().to_response()),
    }
}

fn board(context: &RequestContext<'_>, question: Arc<Question>, joined: Joined) -> Answer {
    if let Some((outcome, role)) = joined.outcome()
        && let Ok(response) = follow::from_outcome(context, &question, outcome, role)
    {
        return now(response);
    }
    Answer::later(follow::wait(context.shared.clone(), question, context.asked.into_owned(), joined))
}

fn pass(context: &RequestContext<'_>, question: Arc<Question>) -> Answer {
    if let Some(refused) = been_here(context, &question) {
        return now(refused);
    }
    Answer::later(pass::pass(context.shared.clone(), question, Arc::new(context.asked.into_owned())))
}

fn mounts(context: &RequestContext<'_>, target: &Target) -> Response {
    match listing_of_mounts(context, target) {
        Some(listing) => context.pages(&Pages::of(listing), CacheStatus::Hit),
        None => refusal(
            Kind::NotFound,
            format!(
                "there is no file {}, for no upstream is mounted there; the page / shows the mounts",
                target.path()
            ),
        ),
    }
}

/// Another method than GET or HEAD where nothing is mounted, or at an endpoint of this server.
fn below_mounts(context: &RequestContext<'_>, target: &Target, request: &Request<'_>) -> Answer {
    if target.path().starts_with("/.outpost/") {
        return now(methods::read_only(&request.method));
    }
    webdav::of_mounts(context, target, listing_of_mounts(context, &target.to_directory()), request)
}

fn listing_of_mounts(context: &RequestContext<'_>, target: &Target) -> Option<Listing> {
    let mounts = context.settings.upstreams.iter().map(|upstream| upstream.options.mount.as_str());
    pages::of_mounts(target, mounts)
}

fn refusal(kind: Kind, detail: impl Into<String>) -> Response {
    Failure::new(kind, detail).to_response()
}

fn now(response: Response) -> Answer {
    Answer::Now(response)
}
