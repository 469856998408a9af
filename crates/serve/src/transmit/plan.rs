//! How an answer is sent: pure tables, first from the body to the way, then from the body to the framing. Nothing is sent here.
//!
//! | body | way |
//! | --- | --- |
//! | none, HEAD, 204, 304 | the head alone, gathered with its neighbours in the pipeline |
//! | memory (a small hot object's too), at most [`COPY_MAX`] | copied behind the head, likewise |
//! | memory, larger | one gathered send of head and body |
//! | sealed object, at most [`READ_MAX`], in the page cache | read behind the head, then as above: one send |
//! | the same, not in memory | read by the disk engine, then one send |
//! | object, sealed or growing | head with `MSG_MORE`, then `sendfile` of what is readable and in memory |
//! | growing object of unknown length | likewise in chunks, or until the close for HTTP/1.0 |
//! | file of a share | `sendfile`, the end copied, the tail after a last look at the file |
//! | stream | each piece as it comes, in chunks where the length is not known |
//!
//! Where it says `sendfile`, the transport has the last word: [`crate::link::transport::Transport::kernel_sends_files`].

use http::StatusCode;

use crate::{
    head::write::Framing,
    request::Asking,
    response::{Body, Part, Response},
    source::Source,
};

/// Bodies in memory up to this are copied behind their heads.
pub(crate) const COPY_MAX: u64 = 64 << 10;
/// Spans of sealed objects up to this are read behind their heads. Around 16 KiB one copied send and `MSG_MORE` with `sendfile` cost the
/// same; below, one send wins by up to a third.
pub(crate) const READ_MAX: u64 = 16 << 10;

/// What there is to send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Payload {
    Nothing,
    Memory(u64),
    Sealed(u64),
    Growing(Option<u64>),
    Shared(u64),
    /// Several spans with their framing, in sum.
    Parts(u64),
    Stream(Option<u64>),
}

/// The way of sending. See the table at the top.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    HeadOnly,
    Copy,
    Gather,
    Read,
    SendFile,
    Chunks,
    UntilClose,
    Withhold,
    Stream,
    StreamChunks,
}

/// How the body's end is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Framed {
    pub(crate) framing: Framing,
    /// By the end of the connection.
    pub(crate) until_close: bool,
}

/// What an answer has to send.
pub(crate) fn payload(response: &Response) -> Payload {
    if matches!(response.status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED) {
        return Payload::Nothing;
    }
    match &response.body {
        Body::Empty => Payload::Nothing,
        Body::Memory(bytes) => Payload::Memory(bytes.len() as u64),
        Body::Stream { len, .. } => Payload::Stream(*len),
        Body::File { part: Part::Multipart { parts, end }, .. } => {
            let sum = parts.iter().map(|(preamble, span)| preamble.len() as u64 + span.len()).sum::<u64>();
            Payload::Parts(sum + end.len() as u64)
        }
        Body::File { source, part } => {
            let len = match part {
                Part::Span(span) => Some(span.len()),
                _ => source.len(),
            };
            match (source, len) {
                (Source::Shared(_), len) => Payload::Shared(len.unwrap_or_default()),
                (Source::Object(reader), Some(len)) if reader.in_memory().is_some() => Payload::Memory(len),
                (Source::Object(reader), Some(len)) if reader.is_sealed() => Payload::Sealed(len),
                (Source::Object(_), len) => Payload::Growing(len),
            }
        }
    }
}

/// The way to send a payload.
pub(crate) fn way(payload: Payload, asking: Asking) -> Way {
    match payload {
        _ if asking.head_only => Way::HeadOnly,
        Payload::Nothing | Payload::Memory(0) | Payload::Sealed(0) => Way::HeadOnly,
        Payload::Memory(len) if len <= COPY_MAX => Way::Copy,
        Payload::Memory(_) => Way::Gather,
        Payload::Sealed(len) if len <= READ_MAX => Way::Read,
        Payload::Sealed(_) | Payload::Growing(Some(_)) | Payload::Parts(_) => Way::SendFile,
        Payload::Growing(None) if asking.http11 => Way::Chunks,
        Payload::Growing(None) => Way::UntilClose,
        Payload::Shared(_) => Way::Withhold,
        Payload::Stream(None) if asking.http11 => Way::StreamChunks,
        Payload::Stream(_) => Way::Stream,
    }
}

/// The framing of a payload (RFC 9112 section 6.3). For HEAD it is what GET would have, as far as a length is known.
pub(crate) fn frame(status: StatusCode, payload: Payload, asking: Asking) -> Framed {
    let none = matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
    let (framing, until_close) = match payload {
        _ if none => (Framing::Unsaid, false),
        Payload::Nothing => (Framing::Length(0), false),
        Payload::Memory(len) | Payload::Sealed(len) | Payload::Shared(len) | Payload::Parts(len) => {
            (Framing::Length(len), false)
        }
        Payload::Growing(Some(len)) | Payload::Stream(Some(len)) => (Framing::Length(len), false),
        Payload::Growing(None) | Payload::Stream(None) if asking.head_only => (Framing::Unsaid, false),
        Payload::Growing(None) | Payload::Stream(None) if asking.http11 => (Framing::Chunked, false),
        Payload::Growing(None) | Payload::Stream(None) => (Framing::Unsaid, true),
    };
    Framed { framing, until_close }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GET: Asking = Asking { head_only: false, http11: true };
    const GET10: Asking = Asking { head_only: false, http11: false };
    const HEAD: Asking = Asking { head_only: true, http11: true };

    #[test]
    fn every_payload_has_its_way_and_framing() {
        use Framing::{Chunked, Length, Unsaid};
        for (payload, asking, expected, framing, until_close) in [
            (Payload::Nothing, GET, Way::HeadOnly, Length(0), false),
            (Payload::Memory(0), GET, Way::HeadOnly, Length(0), false),
            (Payload::Memory(COPY_MAX), GET, Way::Copy, Length(COPY_MAX), false),
            (Payload::Memory(COPY_MAX + 1), GET, Way::Gather, Length(COPY_MAX + 1), false),
            (Payload::Sealed(0), GET, Way::HeadOnly, Length(0), false),
            (Payload::Sealed(READ_MAX), GET, Way::Read, Length(READ_MAX), false),
            (Payload::Sealed(READ_MAX + 1), GET, Way::SendFile, Length(READ_MAX + 1), false),
            (Payload::Growing(Some(9)), GET, Way::SendFile, Length(9), false),
            (Payload::Growing(None), GET, Way::Chunks, Chunked, false),
            (Payload::Growing(None), GET10, Way::UntilClose, Unsaid, true),
            (Payload::Growing(None), HEAD, Way::HeadOnly, Unsaid, false),
            (Payload::Growing(Some(9)), HEAD, Way::HeadOnly, Length(9), false),
            (Payload::Shared(9), GET, Way::Withhold, Length(9), false),
            (Payload::Parts(9), GET, Way::SendFile, Length(9), false),
            (Payload::Stream(Some(9)), GET, Way::Stream, Length(9), false),
            (Payload::Stream(Some(9)), GET10, Way::Stream, Length(9), false),
            (Payload::Stream(None), GET, Way::StreamChunks, Chunked, false),
            (Payload::Stream(None), GET10, Way::Stream, Unsaid, true),
        ] {
            assert_eq!(way(payload, asking), expected, "{payload:?} {asking:?}");
            assert_eq!(
                frame(StatusCode::OK, payload, asking),
                Framed { framing, until_close },
                "{payload:?} {asking:?}"
            );
        }
    }

    #[test]
    fn answers_without_a_body_say_no_length() {
        for status in [StatusCode::NO_CONTENT, StatusCode::NOT_MODIFIED] {
            let framed = frame(status, Payload::Nothing, GET);
            assert_eq!(framed, Framed { framing: Framing::Unsaid, until_close: false });
            let mut response = Response::new(status);
            response.body = Body::Memory("never sent".into());
            assert_eq!(payload(&response), Payload::Nothing);
        }
    }
}
