//! How the scripted upstream behaves: what stands at a path ([`Page`]), and what it does to single requests ([`Reply`]).
//! Pure values; [`crate::upstream`] acts on them.

use std::collections::VecDeque;

use bytes::Bytes;

use crate::{content::Content, wait::Gate};

/// What stands at a path.
#[derive(Clone, Debug)]
pub struct Page {
    pub(crate) content: Content,
    pub(crate) etag: Option<String>,
    pub(crate) last_modified: Option<String>,
    pub(crate) fields: Vec<(String, String)>,
    next: VecDeque<Reply>,
    then: Reply,
}

impl Page {
    /// A file without any validator, well served.
    pub fn new(content: &Content) -> Self {
        Self {
            content: content.clone(),
            etag: None,
            last_modified: None,
            fields: Vec::new(),
            next: VecDeque::new(),
            then: Reply::right(),
        }
    }

    /// A file with its MD5 as a strong tag, as a careful web server would give it, fresh for an hour.
    pub fn tagged(content: &Content) -> Self {
        Self::new(content).etag(format!("\"tag-{}\"", content.md5_hex())).field("Cache-Control", "max-age=3600")
    }

    /// With this `ETag`, quotes included.
    pub fn etag(mut self, etag: impl Into<String>) -> Self {
        self.etag = Some(etag.into());
        self
    }

    /// With this `Last-Modified`.
    pub fn last_modified(mut self, date: impl Into<String>) -> Self {
        self.last_modified = Some(date.into());
        self
    }

    /// With a further field in every 200, 206 and 304.
    pub fn field(mut self, name: &str, value: impl Into<String>) -> Self {
        self.fields.retain(|(known, _)| !known.eq_ignore_ascii_case(name));
        self.fields.push((name.into(), value.into()));
        self
    }

    /// With a `Repr-Digest` that is right for the content, whatever is then sent.
    pub fn repr_digest(self) -> Self {
        let digest = self.content.repr_digest();
        self.field("Repr-Digest", digest)
    }

    /// The next GET that has no reply of its own yet gets this one.
    pub fn next(mut self, reply: Reply) -> Self {
        self.next.push_back(reply);
        self
    }

    /// Every GET beyond the scripted ones gets this.
    pub fn then(mut self, reply: Reply) -> Self {
        self.then = reply;
        self
    }

    pub(crate) fn take_reply(&mut self) -> Reply {
        self.next.pop_front().unwrap_or_else(|| self.then.clone())
    }
}

/// What the upstream does to one request. Positions are bytes of the whole representation, also when a range is sent; one
/// that lies before the range is passed over.
#[derive(Clone, Debug, Default)]
pub struct Reply {
    pub(crate) status: Option<u16>,
    pub(crate) stops: Vec<(u64, Stop)>,
    pub(crate) body: Option<Bytes>,
    pub(crate) etag: Option<String>,
    pub(crate) length_off_by: i64,
    pub(crate) content_range_off_by: i64,
    pub(crate) ignores_range: bool,
    pub(crate) ignores_if_range: bool,
    pub(crate) before_head: Option<Gate>,
    pub(crate) framing: Framing,
    pub(crate) bytes_per_second: Option<u64>,
}

/// What happens when a position is reached.
#[derive(Clone, Debug)]
pub(crate) enum Stop {
    Hold(Gate),
    Stall,
    Close,
    Reset,
}

/// How the end of the body is told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Framing {
    #[default]
    Length,
    Chunked,
    UntilClose,
}

impl Reply {
    /// As it should be.
    pub fn right() -> Self {
        Self::default()
    }

    /// An error status (or any other) with a short text.
    pub fn status(status: u16) -> Self {
        Self { status: Some(status), ..Self::default() }
    }

    /// Waits at a byte until the gate is opened.
    pub fn hold(self, at: u64, gate: &Gate) -> Self {
        self.stop(at, Stop::Hold(gate.clone()))
    }

    /// Sends nothing more from a byte on, and keeps the connection.
    pub fn stall(self, at: u64) -> Self {
        self.stop(at, Stop::Stall)
    }

    /// Closes the connection at a byte, as if that were the end.
    pub fn cut(self, at: u64) -> Self {
        self.stop(at, Stop::Close)
    }

    /// Resets the connection at a byte.
    pub fn reset(self, at: u64) -> Self {
        self.stop(at, Stop::Reset)
    }

    /// Sends other bytes under the head of the page.
    pub fn bytes_of(mut self, other: &Content) -> Self {
        self.body = Some(other.bytes().clone());
        self
    }

    /// Says that it is of this `ETag`, whatever was asked for, quotes included.
    pub fn claiming_etag(mut self, etag: impl Into<String>) -> Self {
        self.etag = Some(etag.into());
        self
    }

    /// Announces a length that is wrong by so much.
    pub fn length_off_by(mut self, bytes: i64) -> Self {
        self.length_off_by = bytes;
        self
    }

    /// Answers a range with a `Content-Range` that is moved by so much.
    pub fn content_range_off_by(mut self, bytes: i64) -> Self {
        self.content_range_off_by = bytes;
        self
    }

    /// Sends everything whatever range is asked for.
    pub fn ignoring_range(mut self) -> Self {
        self.ignores_range = true;
        self
    }

    /// Sends a range of what is there now, whatever `If-Range` says.
    pub fn ignoring_if_range(mut self) -> Self {
        self.ignores_if_range = true;
        self
    }

    /// Says nothing, not even the head, until the gate is opened.
    pub fn hold_head(mut self, gate: &Gate) -> Self {
        self.before_head = Some(gate.clone());
        self
    }

    /// In chunks, without a length.
    pub fn chunked(mut self) -> Self {
        self.framing = Framing::Chunked;
        self
    }

    /// Without a length; the close is the end.
    pub fn until_close(mut self) -> Self {
        self.framing = Framing::UntilClose;
        self
    }

    /// At a steady pace.
    pub fn bytes_per_second(mut self, rate: u64) -> Self {
        self.bytes_per_second = Some(rate);
        self
    }

    fn stop(mut self, at: u64, stop: Stop) -> Self {
        self.stops.push((at, stop));
        self.stops.sort_by_key(|(at, _)| *at);
        self
    }
}
