//! The one place that body bytes leave from. [`plan`] says how, the others do it: [`object`] for objects of the store, [`shared`] for
//! files that others may change, [`stream`] for bytes that are made on the way; [`ahead`] looks before a file is sent. [`pieces`] reads all of these for HTTP/2, whose
//! frames have bytes of many bodies side by side.

mod ahead;
mod object;
pub(crate) mod pieces;
pub(crate) mod plan;
mod shared;
mod stream;

use std::io;

use protocol::span::Span;

use crate::{
    head::write::Persistence,
    link::{Link, SendError},
    request::Asking,
    response::{Body, Part, Response},
    source::Source,
    worker::Worker,
};

use plan::{Framed, Way};

/// How a transfer ended.
pub(crate) struct Outcome {
    /// Bytes of the head.
    pub(crate) head: u64,
    /// Whether every byte was handed to the kernel.
    pub(crate) ended: Result<(), SendError>,
    /// Whether the connection's end is what tells the body's end.
    pub(crate) until_close: bool,
}

/// What became of an attempt to answer at once. The answer comes back either way: for the log, or to be sent otherwise.
pub(crate) enum Copied {
    /// Head and body are in the output buffer, so many bytes of each.
    Whole { head: u64, body: u64, response: Response },
    /// Nothing was written.
    Not(Response),
}

/// Appends head and body to `output` if that can be done at once and the body is small.
pub(crate) fn copy(
    output: &mut Vec<u8>,
    response: Response,
    asking: Asking,
    persistence: Persistence,
    worker: &Worker,
) -> Copied {
    let payload = plan::payload(&response);
    let Framed { framing, until_close: false } = plan::frame(response.status, payload, asking) else {
        return Copied::Not(response);
    };
    let way = plan::way(payload, asking);
    if !matches!(way, Way::HeadOnly | Way::Copy | Way::Read) {
        return Copied::Not(response);
    }
    let begin = output.len();
    worker.write_head(output, &response, framing, persistence);
    let behind = output.len();
    let whole = match (way, &response.body) {
        (Way::Copy, Body::Memory(bytes)) => {
            output.extend_from_slice(bytes);
            true
        }
        (Way::Copy, Body::File { source: Source::Object(reader), part }) => {
            let bytes = reader.in_memory().zip(whole_span(part, reader.len()));
            let bytes = bytes.and_then(|(bytes, span)| bytes.get(span.start as usize..span.end as usize));
            output.extend_from_slice(bytes.unwrap_or_default());
            bytes.is_some()
        }
        (Way::Read, Body::File { source: Source::Object(reader), part }) => {
            whole_span(part, reader.len()).is_some_and(|span| object::read_behind(output, reader, span))
        }
        _ => way == Way::HeadOnly,
    };
    if !whole {
        output.truncate(begin);
        return Copied::Not(response);
    }
    Copied::Whole { head: (behind - begin) as u64, body: (output.len() - behind) as u64, response }
}

/// Sends head and body. When the future is dropped, the transfer ends where it is. The answer's hold is given back when it ends.
pub(crate) async fn send(link: &mut Link, response: Response, asking: Asking, persistence: Persistence) -> Outcome {
    let payload = plan::payload(&response);
    let framed = plan::frame(response.status, payload, asking);
    let persistence = if framed.until_close { Persistence::Closes } else { persistence };
    let worker = link.worker().clone();
    let buffers = link.buffers();
    let begin = buffers.output.len();
    worker.write_head(&mut buffers.output, &response, framed.framing, persistence);
    let head = (buffers.output.len() - begin) as u64;
    link.sent = 0;
    let ended = match plan::way(payload, asking) {
        Way::HeadOnly => link.send_output().await.map_err(SendError::from),
        way => {
            let _counted = worker.count_transfer();
            let _share = link.share();
            send_body(link, way, response.body).await
        }
    };
    drop(response.hold);
    Outcome { head, ended, until_close: framed.until_close }
}

async fn send_body(link: &mut Link, way: Way, body: Body) -> Result<(), SendError> {
    match (way, body) {
        (_, Body::Empty) => Ok(link.send_output().await?),
        (_, Body::Memory(bytes)) => Ok(link.send_output_and(&bytes, false).await?),
        (way, Body::Stream { stream, len }) => stream::send(link, stream, len, way == Way::StreamChunks).await,
        (Way::Chunks, Body::File { source: Source::Object(reader), .. }) => object::send_chunks(link, &reader).await,
        (Way::UntilClose, Body::File { source: Source::Object(reader), .. }) => object::send_rest(link, &reader).await,
        (Way::Read, Body::File { source: Source::Object(reader), part }) => {
            let span = whole_span(&part, reader.len()).ok_or_else(|| SendError::Source(no_length()))?;
            object::read_and_send(link, &reader, span).await
        }
        (_, Body::File { source, part }) => send_part(link, &source, part).await,
    }
}

async fn send_part(link: &mut Link, source: &Source, part: Part) -> Result<(), SendError> {
    match part {
        Part::Multipart { parts, end } => {
            for (preamble, span) in parts {
                link.buffers().output.extend_from_slice(&preamble);
                send_span(link, source, span).await?;
            }
            Ok(link.send_output_and(&end, false).await?)
        }
        part => {
            let span = whole_span(&part, source.len()).ok_or_else(|| SendError::Source(no_length()))?;
            send_span(link, source, span).await
        }
    }
}

async fn send_span(link: &mut Link, source: &Source, span: Span) -> Result<(), SendError> {
    match source {
        Source::Object(reader) => object::send_span(link, reader, span).await,
        Source::Shared(file) => shared::send_span(link, file, span).await,
    }
}

/// The one span that is sent; `None` for several, or while the length is not known.
fn whole_span(part: &Part, len: Option<u64>) -> Option<Span> {
    match part {
        Part::Whole => len.map(|len| Span::new(0, len)),
        Part::Span(span) => Some(*span),
        Part::Multipart { .. } => None,
    }
}

fn no_length() -> io::Error {
    io::Error::other("the length of a file was known and is not any more")
}

fn ended_early() -> io::Error {
    io::Error::new(io::ErrorKind::UnexpectedEof, "the object ended before the length that was announced")
}
