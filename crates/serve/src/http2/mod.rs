//! HTTP/2 (RFC 9113): one connection with many requests side by side, on TLS where ALPN chose it, or in plain for a client that begins with the preface. Frames, HPACK, the
//! states of streams and the windows are the library `h2`; here stands what it leaves to others:
//!
//! | file | what it is |
//! | --- | --- |
//! | [`connection`] | drives the library over a link, with the time limits of a connection and its drain |
//! | [`stream`] | one request and its answer, by the windows that are open |
//! | [`upload`] | the body of a request on its way to the handler |
//! | [`outbox`] | what is held in memory for all bodies of a connection |
//! | [`head`] | heads between the two spellings, checked as strictly as in HTTP/1.1 |
//! | [`io`] | the link as the library sees it |
//! | [`frames`] | counts frames that cost work and bring nothing |
//! | [`pulse`] | asks a silent client whether it is there |
//!
//! What a client may have of this server is bounded, each with its answer:
//!
//! | limit | answer |
//! | --- | --- |
//! | `http2_streams_max` streams at once | REFUSED_STREAM |
//! | `head_bytes_max` of a list of fields, `fields_max` of them | 431; four times as much at once, or a block in too many frames: ENHANCE_YOUR_CALM |
//! | `header_timeout` for the preface, and for any frame but DATA from its first byte | closed |
//! | `idle_timeout` without a stream | GOAWAY |
//! | `idle_timeout` without a byte from a client that has streams | PING; closed after as long again |
//! | `send_timeout` in which the socket takes nothing | cut |
//! | `send_timeout` in which a stream takes nothing, or less than `min_send_rate` by its windows | the stream is reset |
//! | the rates of [`frames`], and the library's own counts of resets | GOAWAY, ENHANCE_YOUR_CALM |
//! | [`outbox::BUFFERED_BYTES_MAX`] of bodies held for all streams | none is read on |
//! | `outbox::WHOLE_BYTES_MAX` of bodies that came whole | the stream is reset (ENHANCE_YOUR_CALM) |
//! | `body_bytes_max`, `body_timeout`, `min_body_rate` of a body that is read | 413, 408 |
//! | [`connection::RECEIVED_BYTES_MAX`] of bodies received for all streams and not read | the window stays shut |

mod connection;
mod frames;
mod head;
mod io;
mod outbox;
mod pulse;
mod stream;
mod upload;

pub(crate) use connection::{Ended, serve};

/// For `fuzz/`: in one piece or byte by byte, the same is seen.
#[cfg(fuzzing)]
pub(crate) fn fuzz_frames(bytes: &[u8]) {
    use std::time::Duration;
    let (mut whole, mut slow) = (frames::Frames::new(Duration::ZERO), frames::Frames::new(Duration::ZERO));
    let seen = whole.look(bytes, Duration::ZERO, 0);
    let each = bytes.iter().try_for_each(|byte| slow.look(&[*byte], Duration::ZERO, 0));
    assert_eq!(seen, each);
    assert!(seen.is_err() || whole.is_awaited() == slow.is_awaited());
}
