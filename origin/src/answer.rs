//! Answers: from an open file and the conditions of a request, and the errors. The only place of the origin that chooses a status.

use std::{io, time::SystemTime};

use bytes::Bytes;
use http::{Method, StatusCode};
use os::engine::Engine;
use protocol::{
    condition::{Conditions, Validators, Verdict, decide},
    listing::{Listing, PAGE_POLICY},
    pieces::Pieces,
    problem::{Kind, Problem},
    range::{Selection, content_range, unsatisfied_range},
    target::Target,
};
use serde::Serialize;
use serve::{
    multipart::{byteranges, framed_max},
    request::Request,
    response::{Body, BodyStream, Part, Response},
    source::{SharedFile, Source},
};

use crate::files::OpenFile;

/// Of what a digest names: it never changes.
pub(crate) const IMMUTABLE: &str = "public, max-age=31536000, immutable";

/// The conditions as they stand in a request. `Range` counts for GET only, and not if it is there twice: as one field that would not be valid.
pub(crate) fn conditions<'a>(request: &Request<'a>) -> Conditions<'a> {
    let fields = &request.fields;
    let ranges = || fields.iter().filter(|(name, _)| name.eq_ignore_ascii_case("Range")).count();
    Conditions {
        if_match: fields.first("If-Match"),
        if_none_match: fields.first("If-None-Match"),
        if_modified_since: fields.first("If-Modified-Since"),
        if_unmodified_since: fields.first("If-Unmodified-Since"),
        if_range: fields.first("If-Range"),
        range: fields.first("Range").filter(|_| request.method == Method::GET && ranges() == 1),
    }
}

/// 200, 206, 304, 412 or 416 for a file.
pub(crate) fn file(open: &OpenFile, conditions: &Conditions<'_>, engine: &Engine, now: SystemTime) -> Response {
    let len = open.identity.size;
    let validators = Validators {
        etag: Some(&open.etag),
        etag_before: Some(&open.provisional),
        last_modified: Some(open.identity.modified_time()),
        len: Some(len),
        now,
    };
    match decide(conditions, &validators) {
        Verdict::NotModified => with_fields(open, StatusCode::NOT_MODIFIED),
        Verdict::PreconditionFailed => {
            let detail =
                "the file is not the version that If-Match or If-Unmodified-Since names; ask again without them";
            problem(Kind::PreconditionFailed, detail)
        }
        Verdict::Send(Selection::Unsatisfiable) => {
            let detail = format!(
                "the file has {len} bytes, and the range begins behind its end; ask for less, or for the whole"
            );
            let mut response = problem(Kind::RangeNotSatisfiable, detail);
            response.fields.push("Content-Range", unsatisfied_range(len));
            response
        }
        Verdict::Send(Selection::Part(span)) => {
            let part = Part::Span(span);
            let mut response = send(open, engine, StatusCode::PARTIAL_CONTENT, part, open.content_type);
            response.fields.push("Content-Range", content_range(span, len));
            response
        }
        Verdict::Send(Selection::Parts(spans)) if framed_max(&spans) <= len => {
            let (part, content_type) = byteranges(&spans, len, open.content_type);
            send(open, engine, StatusCode::PARTIAL_CONTENT, part, &content_type)
        }
        Verdict::Send(Selection::Whole | Selection::Parts(_)) => {
            send(open, engine, StatusCode::OK, Part::Whole, open.content_type)
        }
    }
}

fn with_fields(open: &OpenFile, status: StatusCode) -> Response {
    let mut response = Response::new(status);
    response.fields.shared = Some(open.fields.clone());
    response
}

fn send(open: &OpenFile, engine: &Engine, status: StatusCode, part: Part, content_type: &str) -> Response {
    let source =
        Source::Shared(SharedFile { file: open.file.clone(), identity: open.identity, engine: engine.clone() });
    let mut response = with_fields(open, status);
    response.fields.push("Content-Type", content_type);
    response.body = Body::File { source, part };
    response
}

/// A directory's index, as JSON or as a page.
pub(crate) fn listing(listing: &Listing, json: bool) -> Response {
    let mut response = if json {
        Response::json(StatusCode::OK, serde_json::to_vec(listing).unwrap_or_default())
    } else {
        let mut response = Response::new(StatusCode::OK);
        response.fields.push("Content-Type", "text/html; charset=utf-8");
        response.fields.push("Content-Security-Policy", PAGE_POLICY);
        response.body = Body::Memory(Bytes::from(listing.to_html()));
        response
    };
    response.fields.push("Vary", "Accept").push("Cache-Control", "no-cache");
    response
}

/// Events as they come.
pub(crate) fn events(stream: BodyStream) -> Response {
    let mut response = Response::new(StatusCode::OK);
    response.fields.push("Content-Type", "text/event-stream").push("Cache-Control", "no-store");
    response.body = Body::Stream { stream, len: None };
    response
}

/// 301 to the same directory with its `/`.
pub(crate) fn needs_slash(target: &Target) -> Response {
    let mut response = Response::new(StatusCode::MOVED_PERMANENTLY);
    response.fields.push("Location", target.directory_location());
    response
}

/// 200 with what is true now.
pub(crate) fn json(body: &impl Serialize) -> Response {
    let mut response = Response::json(StatusCode::OK, serde_json::to_vec(body).unwrap_or_default());
    response.fields.push("Cache-Control", "no-store");
    response
}

/// The digests of a content's pieces, which are what they are for ever.
pub(crate) fn pieces(pieces: &Pieces) -> Response {
    let mut response = Response::json(StatusCode::OK, serde_json::to_vec(pieces).unwrap_or_default());
    response.fields.push("Cache-Control", IMMUTABLE);
    response
}

/// A problem with its sentence.
pub(crate) fn problem(kind: Kind, detail: impl Into<String>) -> Response {
    Response::problem(&Problem::new(kind, detail), kind)
}

/// A problem that passes.
pub(crate) fn problem_for_now(kind: Kind, detail: impl Into<String>, retry_after: u64) -> Response {
    Response::problem(&Problem::new(kind, detail).retry_after(retry_after), kind)
}

/// 404 for what is not there, or may not be told to be there.
pub(crate) fn not_found(target: &Target) -> Response {
    problem(
        Kind::NotFound,
        format!("there is no file {target} in the share; check its spelling, upper and lower case included"),
    )
}

/// What a file system's error means to a client.
pub(crate) fn unreadable(target: &Target, error: &io::Error) -> Response {
    match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory | io::ErrorKind::IsADirectory => not_found(target),
        io::ErrorKind::PermissionDenied => problem(
            Kind::NotAllowed,
            format!("this server may not read {target}; its administrator can give it the right to"),
        ),
        io::ErrorKind::TimedOut => {
            tracing::error!(%target, "the share does not answer; if it is a network share, its file server may be away");
            problem(Kind::UpstreamTimeout, "the share does not answer; ask again later")
        }
        _ => {
            tracing::error!(%target, %error, "a file or directory of the share cannot be read");
            problem(
                Kind::Internal,
                format!("this server cannot read {target}: {error}. Its administrator finds the same in its log"),
            )
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_of_the_file_system_are_told_apart() {
        let target = Target::parse(b"/a%20b").expect("valid");
        for (kind, status) in [
            (io::ErrorKind::NotFound, 404),
            (io::ErrorKind::NotADirectory, 404),
            (io::ErrorKind::PermissionDenied, 403),
            (io::ErrorKind::TimedOut, 504),
            (io::ErrorKind::Other, 500),
        ] {
            assert_eq!(unreadable(&target, &kind.into()).status, status, "{kind}");
        }
    }
}
