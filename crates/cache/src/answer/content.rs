//! The one place that chooses the status and the fields of an answer whose content is known.

use std::{
    sync::Arc,
    time::{Instant, SystemTime},
};

use http::StatusCode;
use protocol::{
    cache_status::CacheStatus,
    condition::{Validators, Verdict, decide},
    problem::{Kind, Problem},
    range::{Selection, content_range, unsatisfied_range},
    span::Span,
};
use serve::{
    multipart::{byteranges, framed_max},
    response::{Body, FieldBlock, Hold, Part, Response},
    source::Source,
};

use super::pieces::NoPieces;
use crate::{
    asked::Asked,
    names::representation::{self, Representation},
    options::Options,
    requesters::{Places, Refused, Requester},
    status::{Counters, add},
};

/// A body of at most so many bytes is gone in one send: it takes no requester place.
pub(crate) const SMALL_BODY_MAX: u64 = 64 << 10;

/// What is sent of a content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Plan {
    NotModified,
    PreconditionFailed,
    Unsatisfiable(u64),
    Whole,
    Part(Span, u64),
    Parts(Vec<Span>, u64),
}

/// Decides from the conditions and the range. Conditions are for answers that tell of success, ranges for the content itself (RFC 9110 sections
/// 13.2.1 and 14.2).
pub(crate) fn plan(representation: &Representation, asked: &Asked<'_>, now: SystemTime) -> Plan {
    if !representation.status.is_success() {
        return Plan::Whole;
    }
    let mut conditions = asked.conditions;
    conditions.range = conditions.range.filter(|_| representation.status == StatusCode::OK);
    let validators = Validators {
        etag: representation.etag.as_ref(),
        etag_before: representation.etag_before.as_ref(),
        last_modified: representation.last_modified,
        len: representation.len,
        now,
    };
    match (decide(&conditions, &validators), representation.len) {
        (Verdict::NotModified, _) => Plan::NotModified,
        (Verdict::PreconditionFailed, _) => Plan::PreconditionFailed,
        (Verdict::Send(Selection::Part(span)), Some(len)) => Plan::Part(span, len),
        (Verdict::Send(Selection::Parts(spans)), Some(len)) if framed_max(&spans) <= len => Plan::Parts(spans, len),
        (Verdict::Send(Selection::Unsatisfiable), Some(len)) => Plan::Unsatisfiable(len),
        (Verdict::Send(_), _) => Plan::Whole,
    }
}

impl Plan {
    /// Whether bytes of the content are needed.
    pub(crate) fn needs_bytes(&self, asked: &Asked<'_>) -> bool {
        !asked.is_head && matches!(self, Self::Whole | Self::Part(..) | Self::Parts(..))
    }

    /// Bytes of the content that will be sent; the most there can be if the length is not known.
    fn body_bytes(&self, len: Option<u64>) -> u64 {
        match self {
            Self::Whole => len.unwrap_or(u64::MAX),
            Self::Part(span, _) => span.len(),
            Self::Parts(spans, _) => spans.iter().map(|span| span.len()).sum(),
            Self::NotModified | Self::PreconditionFailed | Self::Unsatisfiable(_) => 0,
        }
    }
}

/// Who asks for bytes, and of what object.
pub(crate) struct PlaceCheck<'a> {
    pub(crate) places: &'a dyn Fn() -> Arc<Places>,
    /// Who else is getting it, for whom there is no place.
    pub(crate) peers: &'a dyn Fn(&Places) -> Vec<String>,
    pub(crate) options: &'a Options,
    pub(crate) counters: &'a Counters,
}

/// A content that somebody asks for.
pub(crate) struct Reply<'a> {
    pub(crate) representation: &'a Representation,
    pub(crate) asked: &'a Asked<'a>,
    pub(crate) now: SystemTime,
    pub(crate) status: CacheStatus,
}

impl Reply<'_> {
    /// Answers without bytes at hand: HEAD, 304, 412, 416. `None` if bytes are needed.
    pub(crate) fn without_bytes(&self) -> Option<Response> {
        let plan = self.plan();
        if plan.needs_bytes(self.asked) { None } else { Some(self.respond(plan, None)) }
    }

    /// Answers with bytes, if the requester finds a place.
    pub(crate) fn with_bytes(&self, source: Source, check: &PlaceCheck<'_>) -> Response {
        let plan = self.plan();
        let mut hold = None;
        if plan.needs_bytes(self.asked) && plan.body_bytes(self.representation.len) > SMALL_BODY_MAX {
            let options = check.options;
            let who = Requester::of(&self.asked.client, self.asked.agent, options.requesters_by);
            let places = (check.places)();
            match places.take(who, options.max_requesters, Instant::now(), options.retry_delay) {
                Ok(place) => hold = Some(Hold::new(place)),
                Err(refused) => {
                    add(&check.counters.refused_requesters, 1);
                    return refusal(refused, options, &source, (check.peers)(&places));
                }
            }
        }
        let source = self.as_expected(&plan, source);
        let mut response = self.respond(plan, Some(source));
        response.hold = hold;
        response
    }

    /// Who knows what a part must be need not wait until the whole is verified.
    fn as_expected(&self, plan: &Plan, source: Source) -> Source {
        match (plan, self.asked.expects, source) {
            (Plan::Part(span, _), Some(sha256), Source::Object(reader)) => {
                Source::Object(reader.expecting(*span, sha256))
            }
            (_, _, source) => source,
        }
    }

    /// Answers with bytes that are no object's, and so take no place.
    pub(crate) fn unlimited(&self, source: Source) -> Response {
        self.respond(self.plan(), Some(source))
    }

    fn plan(&self) -> Plan {
        plan(self.representation, self.asked, self.now)
    }

    fn respond(&self, plan: Plan, source: Option<Source>) -> Response {
        let (representation, is_head) = (self.representation, self.asked.is_head);
        let mut response = match plan {
            Plan::NotModified => with_block(StatusCode::NOT_MODIFIED, representation.not_modified_block(), Body::Empty),
            Plan::PreconditionFailed => {
                let detail =
                    "the file is not the version that If-Match or If-Unmodified-Since names; ask again without them";
                Response::problem(&Problem::new(Kind::PreconditionFailed, detail), Kind::PreconditionFailed)
            }
            Plan::Unsatisfiable(len) => unsatisfiable(len),
            Plan::Whole => {
                let body = body(source, Part::Whole, representation.len, is_head);
                with_block(representation.status, representation.whole_block(), body)
            }
            Plan::Part(span, len) => {
                let body = body(source, Part::Span(span), Some(span.len()), is_head);
                let mut response = with_block(StatusCode::PARTIAL_CONTENT, representation.part_block(), body);
                response.fields.push("Content-Range", content_range(span, len));
                response
            }
            Plan::Parts(spans, len) => {
                let (part, content_type) = byteranges(&spans, len, representation.part_type());
                let body = body(source, part, None, is_head);
                let mut response = with_block(StatusCode::PARTIAL_CONTENT, representation.untyped_block(), body);
                response.fields.push("Content-Type", content_type);
                response
            }
        };
        if let Some(age) = representation.age(self.now) {
            response.fields.push("Age", representation::number(age));
        }
        response.fields.dated = representation.is_dated && response.fields.shared.is_some();
        response.cache_status = Some(self.status);
        response
    }
}

fn unsatisfiable(len: u64) -> Response {
    let detail =
        format!("the file has {len} bytes, and the range begins behind its end; ask for less, or for the whole");
    let problem = Problem::new(Kind::RangeNotSatisfiable, detail);
    let mut response = Response::problem(&problem, Kind::RangeNotSatisfiable);
    response.fields.push("Content-Range", unsatisfied_range(len));
    response
}

/// 503: the object has no place left. Says how far the fill is, which position the client has, and who else is getting it.
fn refusal(refused: Refused, options: &Options, source: &Source, peers: Vec<String>) -> Response {
    let detail = format!(
        "all places for this file are taken (serve.max_requesters = {}); this request is number {} of those waiting. Ask again \
         in {} s, or follow /.outpost/v1/progress/MD5",
        options.max_requesters,
        refused.position,
        options.retry_delay.as_secs()
    );
    let mut problem = Problem::new(Kind::MaxRequesters, detail).retry_after(options.retry_delay.as_secs());
    problem.position = Some(refused.position);
    problem.max_requesters = Some(options.max_requesters as u64);
    problem.peers = peers;
    if let Source::Object(reader) = source {
        problem.fetched = Some(reader.fetched());
        problem.total = reader.len();
    }
    Response::problem(&problem, Kind::MaxRequesters)
}

fn with_block(status: StatusCode, block: bytes::Bytes, body: Body) -> Response {
    let fields = FieldBlock { shared: Some(block), own: Vec::new(), dated: false };
    Response { fields, body, ..Response::new(status) }
}

/// The body, or for a HEAD without bytes at hand a body that has a length only.
fn body(source: Option<Source>, part: Part, len: Option<u64>, is_head: bool) -> Body {
    match source {
        Some(source) => Body::File { source, part },
        None => {
            debug_assert!(is_head, "bytes are needed for a GET");
            Body::Stream { stream: Box::pin(NoPieces), len }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use protocol::{condition::Conditions, digest::Digests};
    use serve::handler::Client;

    use super::*;
    use crate::names::{
        control::Control,
        record::tests::of_directory,
        representation::{Naming, Proof},
    };

    fn naming<'a>(path: &'a str, via: &'a str) -> Naming<'a> {
        Naming { path, via, relocate: &|_| None }
    }

    fn known() -> Proof {
        let md5 = protocol::digest::Md5([0xab; 16]);
        Proof::Both(Digests { md5, sha256: protocol::digest::Sha256([0xcd; 32]) })
    }

    fn asked<'a>(is_head: bool, conditions: Conditions<'a>) -> Asked<'a> {
        let client = Client { address: "127.0.0.1:1".parse().unwrap(), connection: 1, secure: false };
        Asked {
            is_head,
            conditions,
            wants_json: false,
            control: Control::default(),
            agent: None,
            expects: None,
            client,
        }
    }

    fn text(response: &Response) -> String {
        let mut text = response.fields.shared.as_deref().unwrap_or_default().to_vec();
        text.extend(&response.fields.own);
        String::from_utf8(text).unwrap()
    }

    fn now() -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(1_795_000_100)
    }

    fn reply<'a>(representation: &'a Representation, asked: &'a Asked<'a>) -> Reply<'a> {
        Reply { representation, asked, now: now(), status: CacheStatus::Hit }
    }

    #[test]
    fn plans_follow_conditions_and_ranges() {
        let sealed = Representation::of_name(&of_directory(1000), known(), &naming("/a", "x"));
        let filling = Representation::of_name(&of_directory(1000), Proof::Nothing, &naming("/a", "x"));
        let md5_tag = format!("\"{}\"", "ab".repeat(16));
        let none = Conditions::default();
        let range = Some(&b"bytes=0-9"[..]);
        let provisional = Some(&b"\"f-0123456789abcdef\""[..]);
        let two = Plan::Parts(vec![Span::new(0, 10), Span::new(20, 30)], 1000);
        let most = Plan::Parts(vec![Span::new(0, 600), Span::new(700, 716)], 1000);
        for (conditions, of_sealed, of_filling) in [
            (none, Plan::Whole, Plan::Whole),
            (Conditions { range, ..none }, Plan::Part(Span::new(0, 10), 1000), Plan::Part(Span::new(0, 10), 1000)),
            (
                Conditions { range, if_range: provisional, ..none },
                Plan::Part(Span::new(0, 10), 1000),
                Plan::Part(Span::new(0, 10), 1000),
            ),
            (
                Conditions { range, if_range: Some(md5_tag.as_bytes()), ..none },
                Plan::Part(Span::new(0, 10), 1000),
                Plan::Whole,
            ),
            (Conditions { if_none_match: provisional, ..none }, Plan::NotModified, Plan::NotModified),
            (Conditions { if_none_match: Some(md5_tag.as_bytes()), ..none }, Plan::NotModified, Plan::Whole),
            (Conditions { if_match: Some(b"\"other\""), ..none }, Plan::PreconditionFailed, Plan::PreconditionFailed),
            (Conditions { range: Some(b"bytes=1000-"), ..none }, Plan::Unsatisfiable(1000), Plan::Unsatisfiable(1000)),
            (Conditions { range: Some(b"bytes=0-9,20-29"), ..none }, two.clone(), two.clone()),
            // 384 bytes of framing.
            (Conditions { range: Some(b"bytes=0-599,700-715"), ..none }, most.clone(), most),
            (Conditions { range: Some(b"bytes=0-599,700-716"), ..none }, Plan::Whole, Plan::Whole),
            (Conditions { range: Some(b"bytes=0-0,2-2,4-4,6-6,8-8,10-10"), ..none }, Plan::Whole, Plan::Whole),
        ] {
            let asked = asked(false, conditions);
            assert_eq!(plan(&sealed, &asked, now()), of_sealed, "{conditions:?}");
            assert_eq!(plan(&filling, &asked, now()), of_filling, "{conditions:?}");
        }
    }

    #[test]
    fn fields_say_what_is_known_and_no_more() {
        let head = asked(true, Conditions::default());
        let fields = |known| {
            let representation = Representation::of_name(&of_directory(1000), known, &naming("/a.txt", "branch-7"));
            text(&reply(&representation, &head).without_bytes().unwrap())
        };
        let sealed = fields(known());
        for line in [
            "ETag: \"abababababababababababababababab\"\r\n",
            "Last-Modified: ",
            "Accept-Ranges: bytes\r\n",
            "Repr-Digest: md5=:",
            "sha-256=:",
            "Content-Type: text/plain\r\n",
            "Via: 1.1 branch-7\r\n",
        ] {
            assert!(sealed.contains(line), "{line} is missing in {sealed}");
        }
        let filling = fields(Proof::Nothing);
        assert!(filling.contains("ETag: \"f-0123456789abcdef\"\r\n") && !filling.contains("Repr-Digest"), "{filling}");
        assert!(!sealed.contains("Age:"), "a directory knows no age");
    }

    #[test]
    fn a_304_has_no_fields_of_the_body() {
        let representation = Representation::of_name(&of_directory(1000), known(), &naming("/a.txt", "x"));
        let conditions = Conditions { if_none_match: Some(b"*"), ..Conditions::default() };
        let response = reply(&representation, &asked(false, conditions)).without_bytes().unwrap();
        let text = text(&response);
        assert_eq!(response.status, StatusCode::NOT_MODIFIED);
        assert!(text.contains("ETag") && !text.contains("Content-Type") && !text.contains("Repr-Digest"), "{text}");
    }

    #[test]
    fn a_get_that_needs_bytes_is_not_answered_without() {
        let representation = Representation::of_name(&of_directory(1000), known(), &naming("/a.txt", "x"));
        let get = asked(false, Conditions::default());
        assert!(reply(&representation, &get).without_bytes().is_none());
    }
}
