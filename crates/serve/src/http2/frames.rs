//! Looks at the heads of frames (RFC 9113 section 4.1) as they come in, and at nothing else of them: how many of each kind that cost work and bring nothing, and
//! whether one has begun and does not end. What frames mean, and whether they are right, is for the library that reads them. Pure: no clock, no I/O.
//!
//! | frames | at once | and per second | why a client in good faith stays below |
//! | --- | --- | --- | --- |
//! | PING, and what it answers to ours | 100 | 10 | they are asked for seconds apart |
//! | SETTINGS | 50 | 2 | once at the start, then hardly ever |
//! | RST_STREAM | 200 | 20 | a page that is left cancels its streams, 100 at most, once |
//! | PRIORITY | 500 | 100 | a few per request |
//! | WINDOW_UPDATE | 2000 | 200 | two for some KiB that it got: one more is allowed for each KiB that is sent to it |
//! | DATA without a byte | 100 | 10 | one ends a body |
//! | kinds that nobody knows | 500 | 50 | one ahead of a request |
//!
//! Not counted are HEADERS and CONTINUATION (the streams at once, the size of a list and the number of its frames are bounded by the library) and DATA (bounded by its
//! windows).

use std::time::Duration;

/// Length, type, flags, stream.
const HEAD_BYTES: usize = 9;
/// What a connection begins with (RFC 9113 section 3.4); no frame.
const PREFACE_BYTES: usize = 24;
/// For so many bytes that a client is sent, it may open its windows once more.
const BYTES_PER_WINDOW_UPDATE: u64 = 1 << 10;

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const PRIORITY: u8 = 2;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;
const CONTINUATION: u8 = 9;

/// `END_STREAM` of DATA.
const END_STREAM: u8 = 1;
/// `END_HEADERS` of HEADERS and CONTINUATION.
const END_HEADERS: u8 = 4;

/// Kinds of frames that are counted, in the order of the table at the top.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Counted {
    Ping,
    Settings,
    Reset,
    Priority,
    WindowUpdate,
    EmptyData,
    Unknown,
}

/// How many frames of one kind a client may send.
struct Rate {
    at_once: u32,
    per_second: u32,
}

const KINDS: usize = 7;
/// In the order of [`Counted`]. See the table at the top.
const RATES: [Rate; KINDS] = [
    Rate { at_once: 100, per_second: 10 },
    Rate { at_once: 50, per_second: 2 },
    Rate { at_once: 200, per_second: 20 },
    Rate { at_once: 500, per_second: 100 },
    Rate { at_once: 2000, per_second: 200 },
    Rate { at_once: 100, per_second: 10 },
    Rate { at_once: 500, per_second: 50 },
];

impl Counted {
    /// How it is called where somebody reads of it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Ping => "PING",
            Self::Settings => "SETTINGS",
            Self::Reset => "RST_STREAM",
            Self::Priority => "PRIORITY",
            Self::WindowUpdate => "WINDOW_UPDATE",
            Self::EmptyData => "empty DATA",
            Self::Unknown => "unknown",
        }
    }

    fn of(frame: Frame) -> Option<Self> {
        match frame.kind {
            DATA if frame.len == 0 && frame.flags & END_STREAM == 0 => Some(Self::EmptyData),
            DATA | HEADERS | CONTINUATION | GOAWAY => None,
            PRIORITY => Some(Self::Priority),
            RST_STREAM => Some(Self::Reset),
            SETTINGS => Some(Self::Settings),
            PING => Some(Self::Ping),
            WINDOW_UPDATE => Some(Self::WindowUpdate),
            // PUSH_PROMISE too, which no client may send.
            _ => Some(Self::Unknown),
        }
    }
}

/// The head of one frame.
#[derive(Clone, Copy)]
struct Frame {
    len: u32,
    kind: u8,
    flags: u8,
}

impl Frame {
    fn read(head: [u8; HEAD_BYTES]) -> Self {
        let [a, b, c, kind, flags, ..] = head;
        Self { len: u32::from_be_bytes([0, a, b, c]), kind, flags }
    }

    fn is_of_block(self) -> bool {
        matches!(self.kind, HEADERS | CONTINUATION)
    }
}

/// What was seen of one connection.
pub(super) struct Frames {
    /// Bytes of the preface that have not come.
    preface: usize,
    /// The head that is coming, so far.
    head: [u8; HEAD_BYTES],
    head_len: usize,
    /// Of the payload that is coming.
    payload_left: u32,
    /// Whether that payload, or what must come next, belongs to a block of fields.
    block_open: bool,
    payload_of_block: bool,
    /// Frames that may still come at once, by kind.
    allowed: [u32; KINDS],
    /// When and with how many bytes sent more were allowed the last time.
    allowed_at: Duration,
    allowed_sent: u64,
}

impl Frames {
    /// Of a connection that begins at `now`, with the preface yet to come.
    pub(super) fn new(now: Duration) -> Self {
        Self {
            preface: PREFACE_BYTES,
            head: [0; HEAD_BYTES],
            head_len: 0,
            payload_left: 0,
            block_open: false,
            payload_of_block: false,
            allowed: RATES.map(|rate| rate.at_once),
            allowed_at: now,
            allowed_sent: 0,
        }
    }

    /// Looks at bytes that came at `now`, when `sent` bytes had been sent in all. An error names the kind of which there were too many; nothing more is to be
    /// looked at then.
    pub(super) fn look(&mut self, mut bytes: &[u8], now: Duration, sent: u64) -> Result<(), Counted> {
        self.allow(now, sent);
        let skipped = self.preface.min(bytes.len());
        self.preface -= skipped;
        bytes = &bytes[skipped..];
        while !bytes.is_empty() {
            if self.payload_left > 0 {
                let skipped = bytes.len().min(self.payload_left as usize);
                self.payload_left -= skipped as u32;
                bytes = &bytes[skipped..];
                continue;
            }
            let taken = bytes.len().min(HEAD_BYTES - self.head_len);
            self.head[self.head_len..self.head_len + taken].copy_from_slice(&bytes[..taken]);
            self.head_len += taken;
            bytes = &bytes[taken..];
            if self.head_len == HEAD_BYTES {
                self.head_len = 0;
                self.begin(Frame::read(self.head))?;
            }
        }
        Ok(())
    }

    /// Whether the client has begun what nothing can be done with before it is whole: the preface, the head of a frame, a block of fields, any frame but DATA.
    pub(super) fn is_awaited(&self) -> bool {
        self.preface > 0 || self.head_len > 0 || self.block_open || (self.payload_left > 0 && self.payload_of_block)
    }

    fn begin(&mut self, frame: Frame) -> Result<(), Counted> {
        self.payload_left = frame.len;
        self.payload_of_block = frame.kind != DATA;
        if frame.is_of_block() {
            self.block_open = frame.flags & END_HEADERS == 0;
        }
        let Some(kind) = Counted::of(frame) else { return Ok(()) };
        let allowed = &mut self.allowed[kind as usize];
        *allowed = allowed.checked_sub(1).ok_or(kind)?;
        Ok(())
    }

    /// Whole seconds and whole KiB only: what is left over counts the next time.
    fn allow(&mut self, now: Duration, sent: u64) {
        let seconds = now.saturating_sub(self.allowed_at).as_secs();
        let updates = sent.saturating_sub(self.allowed_sent) / BYTES_PER_WINDOW_UPDATE;
        if seconds == 0 && updates == 0 {
            return;
        }
        self.allowed_at += Duration::from_secs(seconds);
        self.allowed_sent += updates * BYTES_PER_WINDOW_UPDATE;
        let seconds = u32::try_from(seconds).unwrap_or(u32::MAX);
        for (allowed, rate) in self.allowed.iter_mut().zip(RATES) {
            *allowed = allowed.saturating_add(rate.per_second.saturating_mul(seconds)).min(rate.at_once);
        }
        let updates = u32::try_from(updates).unwrap_or(u32::MAX);
        // What was sent is allowed on top: the updates for it may all come at once.
        let allowed = &mut self.allowed[Counted::WindowUpdate as usize];
        *allowed = allowed.saturating_add(updates);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const PREFACE: &[u8; PREFACE_BYTES] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

    fn frame(kind: u8, flags: u8, payload: &[u8]) -> Vec<u8> {
        let len = payload.len() as u32;
        let mut bytes = len.to_be_bytes()[1..].to_vec();
        bytes.extend_from_slice(&[kind, flags, 0, 0, 0, 1]);
        bytes.extend_from_slice(payload);
        bytes
    }

    /// Behind the preface.
    fn frames() -> Frames {
        let mut frames = Frames::new(Duration::ZERO);
        frames.look(PREFACE, Duration::ZERO, 0).unwrap();
        frames
    }

    #[test]
    fn each_kind_has_its_limit_and_gets_more_with_time() {
        for (kind, flags, payload, counted) in [
            (PING, 0, 8, Counted::Ping),
            (PING, 1, 8, Counted::Ping),
            (SETTINGS, 0, 0, Counted::Settings),
            (SETTINGS, 1, 0, Counted::Settings),
            (RST_STREAM, 0, 4, Counted::Reset),
            (PRIORITY, 0, 5, Counted::Priority),
            (WINDOW_UPDATE, 0, 4, Counted::WindowUpdate),
            (DATA, 0, 0, Counted::EmptyData),
            (0xfe, 0, 3, Counted::Unknown),
            (5, 0, 3, Counted::Unknown),
        ] {
            let one = frame(kind, flags, &vec![0; payload]);
            let mut frames = frames();
            let rate = &RATES[counted as usize];
            for _ in 0..rate.at_once {
                assert_eq!(frames.look(&one, Duration::from_millis(999), 0), Ok(()), "{counted:?}");
            }
            assert_eq!(frames.look(&one, Duration::from_millis(999), 0), Err(counted));
            // As if the rest of it had come.
            frames.payload_left = 0;
            for _ in 0..rate.per_second {
                assert_eq!(frames.look(&one, Duration::from_secs(1), 0), Ok(()), "{counted:?}");
            }
            assert_eq!(frames.look(&one, Duration::from_millis(1999), 0), Err(counted));
        }
    }

    #[test]
    fn time_that_passes_never_allows_more_than_at_once() {
        let mut frames = frames();
        let ping = frame(PING, 0, &[0; 8]);
        for _ in 0..RATES[0].at_once {
            frames.look(&ping, Duration::from_secs(1_000_000), 0).unwrap();
        }
        assert_eq!(frames.look(&ping, Duration::from_secs(1_000_000), 0), Err(Counted::Ping));
    }

    #[test]
    fn what_costs_nothing_is_not_counted() {
        let mut frames = frames();
        let all = [
            frame(DATA, 0, b"x"),
            frame(DATA, END_STREAM, b""),
            frame(HEADERS, END_HEADERS, b"xy"),
            frame(CONTINUATION, END_HEADERS, b""),
        ]
        .concat();
        for _ in 0..10_000 {
            assert_eq!(frames.look(&all, Duration::ZERO, 0), Ok(()));
        }
    }

    #[test]
    fn who_is_sent_much_may_open_its_windows_often() {
        let mut frames = frames();
        let update = frame(WINDOW_UPDATE, 0, &[0; 4]);
        // Two for every 4 KiB, a gigabyte.
        for sent in 1..=(1u64 << 18) {
            frames.look(&update, Duration::ZERO, sent * 4096).unwrap();
            frames.look(&update, Duration::ZERO, sent * 4096).unwrap();
        }
        // Who gets a byte for each does not last.
        let mut others = self::frames();
        let floods = (0..10_000).map(|sent| others.look(&update, Duration::ZERO, sent)).find(Result::is_err);
        assert_eq!(floods, Some(Err(Counted::WindowUpdate)));
    }

    #[test]
    fn cuts_anywhere_change_nothing() {
        let stream = [
            PREFACE.to_vec(),
            frame(SETTINGS, 0, &[0; 6]),
            frame(HEADERS, 0, &[PING; 30]),
            frame(CONTINUATION, END_HEADERS, &[7; 3]),
            frame(DATA, END_STREAM, &[PING; 40]),
            frame(PING, 0, &[0; 8]),
        ]
        .concat();
        for step in 1..stream.len() {
            let mut frames = Frames::new(Duration::ZERO);
            for piece in stream.chunks(step) {
                frames.look(piece, Duration::ZERO, 0).unwrap();
            }
            assert_eq!(frames.allowed[Counted::Ping as usize], RATES[0].at_once - 1, "{step}");
            assert_eq!(frames.allowed[Counted::Settings as usize], RATES[1].at_once - 1, "{step}");
            assert!(!frames.is_awaited(), "{step}");
        }
    }

    proptest! {
        #[test]
        fn whatever_comes_is_seen_alike_however_it_is_cut(
            bytes in prop::collection::vec(any::<u8>(), 0..400),
            heads in prop::collection::vec((0u8..12, any::<u8>(), 0usize..30), 0..60),
            cut in 1usize..50,
        ) {
            let mut stream: Vec<u8> = heads.iter().flat_map(|(kind, flags, len)| frame(*kind, *flags, &vec![0; *len])).collect();
            stream.extend_from_slice(&bytes);
            let (mut whole, mut pieces) = (frames(), frames());
            let seen = whole.look(&stream, Duration::ZERO, 0);
            let in_pieces = stream.chunks(cut).try_for_each(|piece| pieces.look(piece, Duration::ZERO, 0));
            prop_assert_eq!(seen, in_pieces);
            prop_assert_eq!(whole.allowed, pieces.allowed);
            prop_assert!(seen.is_err() || whole.is_awaited() == pieces.is_awaited());
        }
    }

    #[test]
    fn knows_what_has_begun_and_not_ended() {
        let mut frames = Frames::new(Duration::ZERO);
        assert!(frames.is_awaited(), "the preface");
        frames.look(PREFACE, Duration::ZERO, 0).unwrap();
        assert!(!frames.is_awaited());
        for (bytes, awaited) in [
            (&frame(HEADERS, 0, b"abc")[..11], true),
            (b"c", true),
            (&frame(CONTINUATION, 0, b"")[..], true),
            (&frame(CONTINUATION, END_HEADERS, b"d")[..9], true),
            (b"d", false),
            // A body may come slowly: other limits are for that.
            (&frame(DATA, 0, b"abc")[..10], false),
            (b"bc", false),
            (&frame(SETTINGS, 0, b"abcdef")[..3], true),
        ] {
            frames.look(bytes, Duration::ZERO, 0).unwrap();
            assert_eq!(frames.is_awaited(), awaited, "{bytes:?}");
        }
    }
}
