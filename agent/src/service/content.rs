//! Answers with the bytes of a content that is here, whole. The one place of the agent that chooses a status for them.

use std::time::SystemTime;

use http::{Method, StatusCode};
use protocol::{
    condition::{Conditions, Validators, Verdict, decide},
    digest::Md5,
    etag::ETag,
    problem::{Kind, Problem},
    range::{Selection, content_range, unsatisfied_range},
};
use serve::{
    request::Request,
    response::{Body, Part, Response},
    source::Source,
};
use store::Reader;

/// 200, 206, 304, 412 or 416.
pub(super) fn answer(request: &Request<'_>, md5: &Md5, reader: Reader) -> Response {
    let (len, etag) = (reader.len().unwrap_or_default(), ETag::of(md5));
    match verdict(request, &etag, len) {
        Verdict::NotModified => with_fields(StatusCode::NOT_MODIFIED, &etag, &reader),
        Verdict::PreconditionFailed => problem(
            Kind::PreconditionFailed,
            "the file is not the version that If-Match or If-Unmodified-Since names; ask again without them",
        ),
        Verdict::Send(Selection::Unsatisfiable) => {
            let detail = format!(
                "the file has {len} bytes, and the range begins behind its end; ask for less, or for the whole"
            );
            let mut response = problem(Kind::RangeNotSatisfiable, detail);
            response.fields.push("Content-Range", unsatisfied_range(len));
            response
        }
        Verdict::Send(Selection::Part(span)) => {
            let mut response = with_fields(StatusCode::PARTIAL_CONTENT, &etag, &reader);
            response.fields.push("Content-Range", content_range(span, len));
            response.body = Body::File { source: Source::Object(reader), part: Part::Span(span) };
            response
        }
        // Nobody of ours asks for several parts at once, and who does may have the whole.
        Verdict::Send(Selection::Whole | Selection::Parts(_)) => {
            let mut response = with_fields(StatusCode::OK, &etag, &reader);
            response.body = Body::File { source: Source::Object(reader), part: Part::Whole };
            response
        }
    }
}

/// What of it is asked for, if its bytes are.
pub(super) fn selection(request: &Request<'_>, md5: &Md5, len: u64) -> Option<Selection> {
    if let Verdict::Send(selection) = verdict(request, &ETag::of(md5), len) { Some(selection) } else { None }
}

fn verdict(request: &Request<'_>, etag: &ETag, len: u64) -> Verdict {
    let validators =
        Validators { etag: Some(etag), etag_before: None, last_modified: None, len: Some(len), now: SystemTime::now() };
    decide(&conditions(request), &validators)
}

fn conditions<'a>(request: &Request<'a>) -> Conditions<'a> {
    let fields = &request.fields;
    let is_once = fields.all("Range").count() == 1;
    Conditions {
        if_match: fields.first("If-Match"),
        if_none_match: fields.first("If-None-Match"),
        if_modified_since: fields.first("If-Modified-Since"),
        if_unmodified_since: fields.first("If-Unmodified-Since"),
        if_range: fields.first("If-Range"),
        range: fields.first("Range").filter(|_| request.method == Method::GET && is_once),
    }
}

fn with_fields(status: StatusCode, etag: &ETag, reader: &Reader) -> Response {
    let mut response = Response::new(status);
    response.fields.push("ETag", etag.as_str()).push("Accept-Ranges", "bytes");
    if let Some(digests) = reader.digests() {
        response.fields.push("Repr-Digest", digests.repr_digest());
    }
    if status != StatusCode::NOT_MODIFIED {
        response.fields.push("Content-Type", "application/octet-stream");
    }
    response
}

/// A problem with its sentence.
pub(super) fn problem(kind: Kind, detail: impl Into<String>) -> Response {
    Response::problem(&Problem::new(kind, detail), kind)
}

/// 404.
pub(super) fn not_here(md5: &Md5) -> Response {
    problem(Kind::NotFound, format!("no object {md5} is here to be had; ask another server"))
}
