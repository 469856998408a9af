//! What is remembered of a request until its answer is out, for the answer's head and the access log. It counts and writes nothing.

use std::{
    net::IpAddr,
    ops::Range,
    time::{Duration, Instant},
};

use http::Method;
use protocol::cache_status::CacheStatus;

use crate::{
    access_log::Line,
    handler::Client,
    head::{parse::Head, write::Persistence},
    input::Input,
    request::{Announced, Asking, Fields},
    response::Hold,
};

/// Of a request line that could not be read, so much goes into the log.
const LOGGED_BYTES_MAX: usize = 256;

/// What a request was, as far as its answer and the log must know.
pub(crate) struct Exchange {
    pub(crate) asking: Asking,
    stays: bool,
    /// Bytes of a body follow that nobody has read.
    pub(crate) body_unread: bool,
    /// Taken only if there is a log.
    begun: Option<Instant>,
    /// If it was found out.
    client: Option<IpAddr>,
    facts: LogFields,
}

/// What the log says of a request: places in the input buffer, or a copy where the buffer is given away meanwhile.
#[derive(Default)]
struct LogFields {
    copied: Option<Box<[u8]>>,
    request: Range<u32>,
    referer: Range<u32>,
    agent: Range<u32>,
}

/// An answer in the output buffer that is not sent yet.
pub(crate) struct Gathered {
    pub(crate) exchange: Exchange,
    pub(crate) status: u16,
    /// Bytes.
    pub(crate) head: u64,
    /// Bytes.
    pub(crate) body: u64,
    pub(crate) cache: Option<CacheStatus>,
    /// Given back by being dropped when the answer is out.
    pub(crate) _hold: Option<Hold>,
}

/// How an answer ended.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ending {
    pub(crate) status: u16,
    /// Bytes of the body that the kernel took.
    pub(crate) body: u64,
    /// Whether that is all.
    pub(crate) whole: bool,
    pub(crate) cache: Option<CacheStatus>,
}

impl Exchange {
    /// What only the log needs is taken if it is `logged`.
    pub(crate) fn new(head: &Head<'_>, input: &Input, logged: bool) -> Self {
        Self {
            asking: Asking { head_only: head.request.method == Method::HEAD, http11: head.request.http11 },
            stays: head.keep_alive,
            body_unread: head.request.body != Announced::None,
            begun: logged.then(Instant::now),
            client: None,
            facts: if logged { LogFields::of(input, &head.request.fields) } else { LogFields::default() },
        }
    }

    /// Nobody reads the body, of which `at_hand` bytes are there. Answers how many of them it is: one that is wholly there is skipped, of any other
    /// nothing is looked at any more, lest it be taken for the next request. Who waits for `100 Continue` may or may not send the body after a
    /// final answer (RFC 9110 section 10.1.1): nobody could tell.
    pub(crate) fn skip_body(&mut self, body: Announced, expects_continue: bool, at_hand: usize) -> usize {
        let skipped = match body {
            Announced::None if !expects_continue => Some(0),
            Announced::Length(len) if !expects_continue && len <= at_hand as u64 => Some(len as usize),
            Announced::None | Announced::Length(_) | Announced::Unknown => None,
        };
        self.body_was_read(skipped.is_some());
        skipped.unwrap_or(0)
    }

    /// Whether all of the body was taken in. The connection does not outlive one that was not.
    pub(crate) fn body_was_read(&mut self, wholly: bool) {
        self.stays &= wholly;
        self.body_unread = !wholly;
    }

    /// Of a request whose head is in no buffer.
    pub(crate) fn of_stream(asking: Asking, request_line: Vec<u8>, fields: Option<&Fields<'_>>, logged: bool) -> Self {
        let facts = if logged { LogFields::copied(request_line, fields) } else { LogFields::default() };
        Self { asking, stays: true, body_unread: false, begun: logged.then(Instant::now), client: None, facts }
    }

    /// Of bytes that are no request, or none that is answered.
    pub(crate) fn refused(input: &Input, logged: bool) -> Self {
        Self {
            asking: Asking { head_only: false, http11: true },
            stays: false,
            body_unread: true,
            begun: logged.then(Instant::now),
            client: None,
            facts: LogFields { request: request_line(input), ..LogFields::default() },
        }
    }

    /// Who asks, wherever the connection comes from: for the log.
    pub(crate) fn comes_from(&mut self, client: Client) -> Client {
        self.client = Some(client.address.ip());
        client
    }

    /// For a time in which the input buffer may be given away.
    pub(crate) fn keep(mut self, input: &Input) -> Self {
        self.facts.copy(input);
        self
    }

    /// What its answer says of the connection; while the server drains each is the last.
    pub(crate) fn persistence(&self, draining: bool) -> Persistence {
        match (self.stays && !draining, self.asking.http11) {
            (false, _) => Persistence::Closes,
            (true, true) => Persistence::Stays,
            (true, false) => Persistence::StaysSaid,
        }
    }

    /// Its line for the log when the answer has ended. `input` is where the request lies if it was not copied.
    pub(crate) fn line<'a>(&'a self, ending: Ending, input: Option<&'a Input>, client: &Client) -> Line<'a> {
        Line {
            client: self.client.unwrap_or(client.address.ip()),
            request: self.facts.text(&self.facts.request, input),
            status: ending.status,
            bytes: ending.body,
            referer: self.facts.text(&self.facts.referer, input),
            agent: self.facts.text(&self.facts.agent, input),
            cache: ending.cache,
            took: self.begun.map_or(Duration::ZERO, |begun| begun.elapsed()),
        }
    }
}

impl LogFields {
    /// Of the request that begins at the first unread byte of `input`, where its fields lie too.
    fn of(input: &Input, fields: &Fields<'_>) -> Self {
        let unread = input.unread();
        let place = |value: Option<&[u8]>| {
            let value = value.unwrap_or_default();
            let offset = (value.as_ptr() as usize).wrapping_sub(unread.as_ptr() as usize);
            // An empty value may lie anywhere.
            if value.is_empty() { 0..0 } else { range(input.position() + offset, value.len()) }
        };
        Self {
            copied: None,
            request: request_line(input),
            referer: place(fields.first("referer")),
            agent: place(fields.first("user-agent")),
        }
    }

    /// From a line that is there already.
    fn copied(mut text: Vec<u8>, fields: Option<&Fields<'_>>) -> Self {
        let request = range(0, text.len());
        let mut place = |name| {
            let begin = text.len();
            text.extend_from_slice(fields.and_then(|fields| fields.first(name)).unwrap_or_default());
            range(begin, text.len() - begin)
        };
        let (referer, agent) = (place("referer"), place("user-agent"));
        Self { copied: Some(text.into()), request, referer, agent }
    }

    fn copy(&mut self, input: &Input) {
        if self.copied.is_some() || self.request.is_empty() {
            return;
        }
        let mut text = Vec::with_capacity(self.request.len() + self.referer.len() + self.agent.len());
        for place in [&mut self.request, &mut self.referer, &mut self.agent] {
            let begin = text.len();
            text.extend_from_slice(input.at(place.start as usize..place.end as usize));
            *place = range(begin, text.len() - begin);
        }
        self.copied = Some(text.into());
    }

    fn text<'a>(&'a self, place: &Range<u32>, input: Option<&'a Input>) -> &'a [u8] {
        let place = place.start as usize..place.end as usize;
        match (&self.copied, input) {
            (Some(copied), _) => copied.get(place).unwrap_or_default(),
            (None, Some(input)) => input.at(place),
            (None, None) => &[],
        }
    }
}

/// The first line of what is unread, without a tolerated empty line before it.
fn request_line(input: &Input) -> Range<u32> {
    let unread = input.unread();
    let skipped = if unread.starts_with(b"\r\n") { 2 } else { 0 };
    let line = &unread[skipped..];
    let end = line.iter().position(|byte| matches!(byte, b'\r' | b'\n'));
    let len = end.unwrap_or(line.len().min(LOGGED_BYTES_MAX));
    range(input.position() + skipped, len)
}

/// Places fit: the input buffer is far below 4 GiB.
fn range(begin: usize, len: usize) -> Range<u32> {
    begin as u32..(begin + len) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn facts_outlive_the_buffer_they_lay_in() {
        let mut input = Input::new();
        let text = b"\r\nGET /x HTTP/1.1\r\nReferer: there\r\nHost: a\r\n\r\n";
        input.room(1000)[..text.len()].copy_from_slice(text);
        input.received(text.len());
        let raw = [httparse::Header { name: "Referer", value: &input.unread()[28..33] }];
        let mut facts = LogFields::of(&input, &Fields::new(&raw));
        let seen = |facts: &LogFields, input: Option<&Input>| {
            [&facts.request, &facts.referer, &facts.agent].map(|place| facts.text(place, input).to_vec())
        };
        let expected = [b"GET /x HTTP/1.1".to_vec(), b"there".to_vec(), Vec::new()];
        assert_eq!(seen(&facts, Some(&input)), expected);
        facts.copy(&input);
        drop(input);
        assert_eq!(seen(&facts, None), expected);
    }
}
