//! One request in one screen: what is asked, what is known of it, and what follows from that.

use std::{future::Future, sync::Arc, time::Instant};

use http::Method;
use protocol::{cache_status::CacheStatus, listing::Listing, problem::Kind, target::Target};
use serve::{
    handler::{Answer, Client},
    interim::{self, Interims},
    request::{Fields, Request},
    response::Response,
    source::Source,
};
use store::Reader;

use crate::{
    answer::pages::{self, Pages},
    asked::Asked,
    context::RequestContext,
    delivery::Delivered,
    endpoints,
    failure::Failure,
    fetch::{
        join::{Joined, join, join_for},
        refused,
    },
    follow,
    forwarded::{has_been_here, of_fill},
    methods,
    names::{
        book::{Entry, Known},
        freshness::{self, Facts, Verdict},
        memo::{Memo, WRONG_MAX},
        representation::Naming,
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
    if let Some(delivered) = context.settings.delivery.as_ref().and_then(|delivery| delivery.find(&target)) {
        return match delivered {
            Ok(_) if !reads => now(Response::method_not_allowed("GET, HEAD")),
            Ok(delivered) => deliver(&mut context, &delivered, target, request.fields),
            Err(failure) => now(failure.to_response()),
        };
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
    let name = upstream.key(&below);
    let (key, known) = find(&context, &name, request.fields);
    let key = key.as_deref().unwrap_or(&name);
    context.asked.range_unless(|| shared.memos.is_tainted(key, Instant::now()));
    let place = Place { upstream, full: &target, below: &below, name: &name, key };
    read(&context, &place, known, request.fields)
}

/// One name of one upstream, and under which key its record is kept.
struct Place<'a> {
    upstream: &'a Arc<Upstream>,
    full: &'a Target,
    below: &'a Target,
    name: &'a [u8],
    key: &'a [u8],
}

/// GET and HEAD of a name.
fn read(context: &RequestContext<'_>, place: &Place<'_>, known: Option<Arc<Known>>, fields: Fields<'_>) -> Answer {
    let Place { upstream, full, below, name, key } = *place;
    let question = || {
        let (sent, control) = (of_fill(fields), context.asked.control);
        let question = Question::of_name(upstream.clone(), full.clone(), below.clone(), name, sent);
        question.controlled(control).at(key)
    };
    match look(context, upstream, key, known) {
        Look::Serve(known, reader, status) => now(serve(context, upstream, &known, reader, full, status)),
        Look::ServeAndAsk(known, reader) => {
            // The answer of that is for who comes next.
            let _ = join(context.shared, &Arc::new(question()), true);
            now(serve(context, upstream, &known, reader, full, CacheStatus::Hit))
        }
        Look::Pages(pages) => now(context.pages(&pages, CacheStatus::Hit)),
        Look::Ask => ask(context, question()),
        Look::Pass => pass(context, question()),
        Look::Down => down(context, Arc::new(question())),
        Look::NoRoom => now(refused::no_room(full.path()).to_response()),
        Look::Wrong => now(refused::wrong(&question()).to_response()),
    }
}

/// What is known of a name as this request asks for it, and its key where that is another than the name's own: of a variant.
fn find(context: &RequestContext<'_>, name: &[u8], fields: Fields<'_>) -> (Option<Vec<u8>>, Option<Arc<Known>>) {
    let book = &context.shared.book;
    match book.entry(name) {
        None => (None, None),
        Some(Entry::Content(known)) => (None, Some(known)),
        Some(Entry::Variants(variants)) => {
            let place = variants.place(name, &of_fill(fields));
            let known = book.known(&place);
            (Some(place), known)
        }
    }
}

/// Of a server that the client named itself.
fn deliver(context: &mut RequestContext<'_>, delivered: &Delivered, full: Target, fields: Fields<'_>) -> Answer {
    let Delivered { upstream, target, key: name } = delivered;
    let shared = context.shared;
    let (key, known) = find(context, name, fields);
    let key = key.as_deref().unwrap_or(name);
    context.asked.range_unless(|| shared.memos.is_tainted(key, Instant::now()));
    read(context, &Place { upstream, full: &full, below: target, name, key }, known, fields)
}

/// What is known without asking anybody.
enum Look {
    /// The content, with the word for how it came.
    Serve(Arc<Known>, Reader, CacheStatus),
    /// The content, and the upstream is asked behind it.
    ServeAndAsk(Arc<Known>, Reader),
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

fn look(context: &RequestContext<'_>, upstream: &Upstream, key: &[u8], known: Option<Arc<Known>>) -> Look {
    let shared = context.shared;
    if !upstream.options.mode.asks_for_clients() {
        // What is not here is being preloaded, or refused where a flight would begin.
        let here = known.filter(|known| !known.record.is_error());
        let here = here.and_then(|known| Some((shared.store.hit(&known.md5)?, known)));
        return here.map_or(Look::Ask, |(reader, known)| Look::Serve(known, reader, CacheStatus::Hit));
    }
    let is_down = upstream.health.is_down();
    let Some(known) = known else {
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
    let is_recent = || shared.book.is_recent(&known, upstream.options.recheck, &upstream.vouched);
    let suits = freshness::suits(&known.record, &context.asked.control, context.now, is_recent);
    let verdict = freshness::decide(suits, || {
        let (checked, at_most) = (shared.book.checked(&known, context.now), context.settings.options.stale_if_error);
        Facts {
            is_unreachable: is_down || shared.book.is_held(&known),
            may_stand_in: freshness::may_stand_in(&known.record, checked, context.now, at_most),
        }
    });
    let reader = || shared.store.hit(&known.md5);
    let served = match verdict {
        Verdict::Fresh => reader().map(|reader| Look::Serve(known.clone(), reader, CacheStatus::Hit)),
        Verdict::Behind => reader().map(|reader| Look::ServeAndAsk(known.clone(), reader)),
        Verdict::Stale => reader().map(|reader| Look::Serve(known.clone(), reader, CacheStatus::Stale)),
        Verdict::Recheck | Verdict::Gone => None,
    };
    served.unwrap_or(if is_down { Look::Down } else { Look::Ask })
}

/// A hit: no wait, nothing to look up but the places.
fn serve(
    context: &RequestContext<'_>,
    upstream: &Upstream,
    known: &Known,
    reader: Reader,
    target: &Target,
    status: CacheStatus,
) -> Response {
    let naming = Naming { path: target.path(), via: context.via(), relocate: &|location| upstream.relocate(location) };
    let described = known.representation(&reader, &naming);
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
        None if question.upstream.takes_methods() && !question.upstream.options.mode.asks_for_clients() => {
            now(methods::read_only(&request.method))
        }
        None if question.upstream.takes_methods() => methods::answer(context, question, request),
        None => webdav::answer(context, question, request),
    }
}

/// A request that this server has sent itself is refused.
fn been_here(context: &RequestContext<'_>, question: &Question) -> Option<Response> {
    let name = &context.settings.pseudonym;
    let looped = !question.upstream.is_directory() && has_been_here(&question.sent, name);
    looped.then(|| Failure::came_back(question.full.path(), name, &question.upstream.options.name).to_response())
}

/// The upstream must be asked: joins the flight that is on, or begins one.
fn ask(context: &RequestContext<'_>, question: Question) -> Answer {
    if let Some(refused) = been_here(context, &question) {
        return now(refused);
    }
    if context.asked.control.only_if_cached && question.upstream.options.mode.asks_for_clients() {
        let detail = "no fresh copy is here, and the request forbids to fetch one (Cache-Control: only-if-cached); ask again without that";
        return now(refusal(Kind::UpstreamTimeout, detail));
    }
    let (question, interims) = with_interims(question);
    let client = context.asked.client.address.ip();
    let joined = join_for(context.shared, &question, !context.asked.may_need_no_body(), Some(client));
    board(context, question, joined, interims)
}

/// A web server may say something before its answer, to the one whose question it is.
fn with_interims(question: Question) -> (Arc<Question>, Option<Interims>) {
    if !question.upstream.takes_methods() {
        return (Arc::new(question), None);
    }
    let (sender, interims) = interim::channel();
    (Arc::new(question.preceded(sender)), Some(interims))
}

fn later(interims: Option<Interims>, answer: impl Future<Output = Response> + Send + 'static) -> Answer {
    match interims {
        Some(interims) => Answer::Preceded(interims, Box::pin(answer)),
        None => Answer::later(answer),
    }
}

/// The upstream cannot be asked. A fill that is on goes on, and can be followed.
fn down(context: &RequestContext<'_>, question: Arc<Question>) -> Answer {
    match context.shared.flights.find(&question.key) {
        Some(flight) => {
            flight.waiters.note(context.asked.client.address.ip(), context.settings.options.history_clients);
            let joined = Joined::follow(flight, &question, !context.asked.may_need_no_body());
            board(context, question, joined, None)
        }
        None => now(question.unreachable().to_response()),
    }
}

fn board(context: &RequestContext<'_>, question: Arc<Question>, joined: Joined, interims: Option<Interims>) -> Answer {
    // What came before an answer that is there already is handed on first.
    if interims.is_none()
        && let Some((outcome, role)) = joined.outcome()
        && let Ok(response) = follow::from_outcome(context, &question, outcome, role)
    {
        return now(response);
    }
    later(interims, follow::wait(context.shared.clone(), question, context.asked.into_owned(), joined))
}

fn pass(context: &RequestContext<'_>, question: Question) -> Answer {
    if let Some(refused) = been_here(context, &question) {
        return now(refused);
    }
    let (question, interims) = with_interims(question);
    later(interims, pass::pass(context.shared.clone(), question, Arc::new(context.asked.into_owned())))
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
