//! Sends objects of the store. A sealed object is a growing one whose watermark stands at its end: one loop serves both.

use std::{io, os::fd::AsFd};

use protocol::span::Span;
use store::Reader;

use super::{ahead::Ahead, ended_early};
use crate::{
    link::{Link, SendError},
    turns::TURN_BYTES,
};

/// Bytes of a growing object so near below its watermark were written a moment ago: nobody needs to look for them.
const FRESH_BYTES: u64 = 32 << 20;

/// The first step of a transfer that follows a fill: all have some bytes before anybody has many. Every step is twice as long as the one
/// before, up to the second number.
const FIRST_STEP: u64 = 128 << 10;
const STEP_MAX: u64 = 16 << 20;

/// Reads a small sealed span behind what is in `output`, if it is in memory; `false` leaves some of it there.
pub(super) fn read_behind(output: &mut Vec<u8>, reader: &Reader, span: Span) -> bool {
    let begin = output.len();
    output.resize(begin + span.len() as usize, 0);
    os::residency::read_resident(reader.file().as_fd(), &mut output[begin..], span.start).is_ok_and(|whole| whole)
}

/// Sends a small sealed span that is not in memory, with the head in one send.
pub(super) async fn read_and_send(link: &mut Link, reader: &Reader, span: Span) -> Result<(), SendError> {
    link.worker().count_cold_read();
    let (file, len) = (reader.file().clone(), span.len() as usize);
    let read = link.wait_for_disk(reader.engine().read_at(file, span.start, len)).await?;
    let bytes = read.and_then(|bytes| if bytes.len() == len { Ok(bytes) } else { Err(ended_early()) });
    match bytes {
        Ok(bytes) => Ok(link.send_output_and(&bytes, false).await?),
        Err(error) => fail_after_head(link, error).await,
    }
}

/// Sends a span as its bytes become readable.
pub(super) async fn send_span(link: &mut Link, reader: &Reader, span: Span) -> Result<(), SendError> {
    let mut ahead = Ahead::new(reader.file(), reader.engine());
    let (mut position, mut step) = (span.start, FIRST_STEP);
    while position < span.end {
        let mut until = readable(link, reader, Span::new(position, span.end)).await?.min(span.end);
        if until == position {
            return fail_after_head(link, ended_early()).await;
        }
        if !reader.is_sealed() {
            until = until.min(position + step);
            step = STEP_MAX.min(step * 2);
        }
        send_run(link, reader, &mut ahead, position, until).await?;
        position = until;
    }
    Ok(link.send_output().await?)
}

/// Sends all of a growing object whose length was not known, in chunks (RFC 9112 section 7.1).
pub(super) async fn send_chunks(link: &mut Link, reader: &Reader) -> Result<(), SendError> {
    let mut ahead = Ahead::new(reader.file(), reader.engine());
    let mut position = 0;
    loop {
        let watermark = readable(link, reader, Span::new(position, u64::MAX)).await?;
        let until = watermark.min(position + TURN_BYTES);
        if until == position {
            return Ok(link.send_output_and(b"0\r\n\r\n", false).await?);
        }
        let size = format!("{:X}\r\n", until - position);
        link.buffers().output.extend_from_slice(size.as_bytes());
        send_run(link, reader, &mut ahead, position, until).await?;
        link.buffers().output.extend_from_slice(b"\r\n");
        position = until;
    }
}

/// Sends all of a growing object whose length was not known; the close of the connection ends it.
pub(super) async fn send_rest(link: &mut Link, reader: &Reader) -> Result<(), SendError> {
    let mut ahead = Ahead::new(reader.file(), reader.engine());
    let mut position = 0;
    loop {
        let until = readable(link, reader, Span::new(position, u64::MAX)).await?;
        if until == position {
            return Ok(link.send_output().await?);
        }
        send_run(link, reader, &mut ahead, position, until).await?;
        position = until;
    }
}

/// Up to where bytes of what is wanted may be sent; its start at the end. What is in the output buffer is sent before a wait.
async fn readable(link: &mut Link, reader: &Reader, wanted: Span) -> Result<u64, SendError> {
    let watermark = reader.watermark();
    if watermark > wanted.start {
        return Ok(watermark);
    }
    link.send_output().await?;
    link.give_back_buffers();
    let readable = link.wait(reader.readable_of(wanted)).await?;
    readable.map_err(|error| SendError::Source(io::Error::other(error)))
}

/// Sends bytes that are readable, window by window as they are in memory.
async fn send_run(
    link: &mut Link,
    reader: &Reader,
    ahead: &mut Ahead,
    position: u64,
    until: u64,
) -> Result<(), SendError> {
    let now = link.worker().now();
    // What came ahead of the watermark may have waited long for this.
    let behind = reader.watermark().checked_sub(position);
    let fresh = !reader.is_sealed() && behind.is_some_and(|bytes| bytes <= FRESH_BYTES);
    let look = !fresh && !reader.was_in_page_cache(now);
    let mut position = position;
    while position < until {
        let end = if look { ahead.clear(link, position, until).await? } else { until };
        if look && position == 0 && Some(end) == reader.len() {
            reader.seen_in_page_cache(now);
        }
        link.send_output_then_file(reader.file(), position, end).await?;
        position = end;
    }
    Ok(())
}

/// The client gets the head, so that what follows is seen to be short of it.
async fn fail_after_head(link: &mut Link, error: io::Error) -> Result<(), SendError> {
    link.send_output().await?;
    Err(SendError::Source(error))
}
