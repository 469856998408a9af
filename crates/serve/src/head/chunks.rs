//! The chunked coding of a request's body, read strictly (RFC 9112 section 7.1): two readers who disagree on where a chunk ends disagree on where
//! the next request begins. Extensions and trailers are checked and dropped: nobody here asked for any, and they are never handed on.
//!
//! A pure state machine: it is shown what has come, and says what of it is what. It holds no bytes.

use std::ops::Range;

use super::refusal::Refusal;

/// Bytes of a chunk's first line, its extensions included.
const SIZE_LINE_MAX: usize = 512;
/// Bytes of extensions in all chunks of one body: a chunk may cost more than it carries, but not for ever.
const EXTENSIONS_MAX: usize = 16 << 10;
/// Bytes behind the last chunk.
const TRAILER_MAX: usize = 8 << 10;
/// Hexadecimal digits of a size: as many as fit in 64 bits.
const DIGITS_MAX: usize = 16;

/// Where the reader stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Size,
    Data(u64),
    DataEnd,
    /// Bytes of it that were read.
    Trailer(usize),
    End,
}

/// Reads one body.
#[derive(Debug)]
pub(crate) struct Chunks {
    state: State,
    extensions: usize,
}

/// What the next bytes are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Bytes of the body, at that place of what was shown.
    Data(Range<usize>),
    /// So many bytes that mean nothing to the handler.
    Skip(usize),
    /// More must come.
    More,
    /// The body is over; what follows is the next request.
    End,
}

impl Default for Chunks {
    fn default() -> Self {
        Self { state: State::Size, extensions: 0 }
    }
}

impl Chunks {
    /// Looks at what has come behind the bytes of the steps before.
    pub(crate) fn step(&mut self, bytes: &[u8]) -> Result<Step, Refusal> {
        match self.state {
            State::End => Ok(Step::End),
            _ if bytes.is_empty() => Ok(Step::More),
            State::Size => self.size(bytes),
            State::Data(left) => {
                let len = left.min(bytes.len() as u64);
                self.state = if len == left { State::DataEnd } else { State::Data(left - len) };
                Ok(Step::Data(0..len as usize))
            }
            State::DataEnd => match bytes {
                [b'\r', b'\n', ..] => {
                    self.state = State::Size;
                    Ok(Step::Skip(2))
                }
                [b'\r'] => Ok(Step::More),
                _ => Err(Refusal::ChunkEnd),
            },
            State::Trailer(before) => self.trailer(bytes, before),
        }
    }

    fn size(&mut self, bytes: &[u8]) -> Result<Step, Refusal> {
        let Some(line) = line(bytes, SIZE_LINE_MAX, Refusal::ChunkSize)? else {
            // What can be no size is refused before its line is whole.
            return if begins_like_a_size(bytes) { Ok(Step::More) } else { Err(Refusal::ChunkSize) };
        };
        let digits = line.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
        let (number, extensions) = line.split_at(digits);
        if !(1..=DIGITS_MAX).contains(&digits) || !are_extensions(extensions) {
            return Err(Refusal::ChunkSize);
        }
        self.extensions += extensions.len();
        if self.extensions > EXTENSIONS_MAX {
            return Err(Refusal::ChunkSize);
        }
        let value = |digit: &u8| u64::from((*digit as char).to_digit(16).unwrap_or_default());
        let size = number.iter().fold(0u64, |sum, digit| sum << 4 | value(digit));
        self.state = if size == 0 { State::Trailer(0) } else { State::Data(size) };
        Ok(Step::Skip(line.len() + 2))
    }

    fn trailer(&mut self, bytes: &[u8], before: usize) -> Result<Step, Refusal> {
        let Some(line) = line(bytes, TRAILER_MAX - before, Refusal::Trailer)? else { return Ok(Step::More) };
        let read = line.len() + 2;
        self.state = match line {
            [] => State::End,
            line if is_field(line) && before + read < TRAILER_MAX => State::Trailer(before + read),
            _ => return Err(Refusal::Trailer),
        };
        Ok(Step::Skip(read))
    }
}

/// The first line without its CR LF; `None` while that has not come. Neither may stand alone.
fn line(bytes: &[u8], max: usize, refusal: Refusal) -> Result<Option<&[u8]>, Refusal> {
    let seen = &bytes[..bytes.len().min(max)];
    let Some(end) = seen.iter().position(|byte| matches!(byte, b'\r' | b'\n')) else {
        return if seen.len() < max { Ok(None) } else { Err(refusal) };
    };
    match &bytes[end..] {
        [b'\r', b'\n', ..] => Ok(Some(&bytes[..end])),
        [b'\r'] => Ok(None),
        _ => Err(refusal),
    }
}

fn begins_like_a_size(bytes: &[u8]) -> bool {
    let digits = bytes.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
    (1..=DIGITS_MAX).contains(&digits) && matches!(bytes.get(digits), None | Some(b';' | b'\r'))
}

/// `*( ";" name [ "=" value ] )`, without the spaces that RFC 9112 section 7.1.1 calls bad. A value is a token or a quoted string.
fn are_extensions(bytes: &[u8]) -> bool {
    let mut rest = bytes;
    while let [b';', behind @ ..] = rest {
        let Some(behind) = after_token(behind) else { return false };
        rest = match behind {
            [b'=', b'"', value @ ..] => match after_quoted(value) {
                Some(behind) => behind,
                None => return false,
            },
            [b'=', value @ ..] => match after_token(value) {
                Some(behind) => behind,
                None => return false,
            },
            behind => behind,
        };
    }
    rest.is_empty()
}

fn after_token(bytes: &[u8]) -> Option<&[u8]> {
    let len = bytes.iter().take_while(|byte| is_token_byte(**byte)).count();
    (len > 0).then(|| &bytes[len..])
}

/// What stands behind the closing quote.
fn after_quoted(mut bytes: &[u8]) -> Option<&[u8]> {
    loop {
        bytes = match bytes {
            [b'"', behind @ ..] => return Some(behind),
            [b'\\', escaped, behind @ ..] if is_text(*escaped) => behind,
            [byte, behind @ ..] if *byte != b'\\' && is_text(*byte) => behind,
            _ => return None,
        };
    }
}

fn is_field(line: &[u8]) -> bool {
    match after_token(line) {
        Some([b':', value @ ..]) => value.iter().all(|byte| is_text(*byte)),
        _ => false,
    }
}

fn is_text(byte: u8) -> bool {
    byte == b'\t' || (byte >= b' ' && byte != 0x7f)
}

/// RFC 9110 section 5.6.2.
fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The body and what is left behind it; `None` if more must come.
    type Read<'a> = Result<Option<(Vec<u8>, &'a [u8])>, Refusal>;

    fn read(mut bytes: &[u8]) -> Read<'_> {
        let (mut chunks, mut body) = (Chunks::default(), Vec::new());
        loop {
            match chunks.step(bytes)? {
                Step::Data(place) => {
                    body.extend_from_slice(&bytes[place.clone()]);
                    bytes = &bytes[place.end..];
                }
                Step::Skip(len) => bytes = &bytes[len..],
                Step::More => return Ok(None),
                Step::End => return Ok(Some((body, bytes))),
            }
        }
    }

    #[test]
    fn reads_what_is_right() {
        for (text, body) in [
            ("0\r\n\r\n", ""),
            ("5\r\nhello\r\n0\r\n\r\n", "hello"),
            ("5\r\nhello\r\n1\r\n!\r\n00\r\n\r\n", "hello!"),
            ("a\r\n0123456789\r\n0\r\nX: y\r\nZ:\r\n\r\n", "0123456789"),
            ("A;a;b=c;d=\"e\\\" ;\"\r\n0123456789\r\n0;x\r\n\r\n", "0123456789"),
        ] {
            let text = format!("{text}GET /");
            assert_eq!(read(text.as_bytes()), Ok(Some((body.into(), &b"GET /"[..]))), "{text:?}");
        }
    }

    #[test]
    fn waits_at_every_byte() {
        let text = b"5;a=\"b\"\r\nhello\r\n0\r\nX: y\r\n\r\n";
        for end in 0..text.len() {
            assert_eq!(read(&text[..end]), Ok(None), "{end}");
        }
        assert_eq!(read(text), Ok(Some((b"hello".to_vec(), &b""[..]))));
    }

    /// FAULTS S4: each form, and each as soon as it shows.
    #[test]
    fn refuses_what_two_readers_could_understand_differently() {
        use Refusal as R;
        for (text, why) in [
            ("\r\n", R::ChunkSize),
            ("x\r\n", R::ChunkSize),
            ("0x5\r\n", R::ChunkSize),
            ("+5\r\n", R::ChunkSize),
            ("-5\r\n", R::ChunkSize),
            (" 5\r\n", R::ChunkSize),
            ("5 \r\n", R::ChunkSize),
            ("5\t\r\n", R::ChunkSize),
            ("5\nhello", R::ChunkSize),
            ("5\rhello", R::ChunkSize),
            ("5,5\r\n", R::ChunkSize),
            ("FFFFFFFFFFFFFFFFF\r\n", R::ChunkSize),
            ("00000000000000005\r\n", R::ChunkSize),
            ("5;\r\n", R::ChunkSize),
            ("5; a\r\n", R::ChunkSize),
            ("5;a=\r\n", R::ChunkSize),
            ("5;a=\"b\r\n", R::ChunkSize),
            ("5;a=\"b\\\"\r\n", R::ChunkSize),
            ("5;a=\"b\"c\r\n", R::ChunkSize),
            ("5;a\0\r\n", R::ChunkSize),
            ("5;a=\"\0\"\r\n", R::ChunkSize),
            ("5;a\nb\r\n", R::ChunkSize),
            ("5\r\nhelloX", R::ChunkEnd),
            ("5\r\nhello\n0\r\n\r\n", R::ChunkEnd),
            ("5\r\nhello\rX", R::ChunkEnd),
            ("5\r\nhello0\r\n\r\n", R::ChunkEnd),
            ("0\r\nX y\r\n", R::Trailer),
            ("0\r\nX : y\r\n", R::Trailer),
            ("0\r\n: y\r\n", R::Trailer),
            ("0\r\nX: y\r\n z\r\n", R::Trailer),
            ("0\r\nX: y\n\r\n", R::Trailer),
            ("0\r\nX: \0\r\n", R::Trailer),
            ("0\r\n\n", R::Trailer),
        ] {
            assert_eq!(read(text.as_bytes()), Err(why), "{text:?}");
        }
    }

    #[test]
    fn has_limits() {
        let long = format!("5;{}\r\nhello\r\n0\r\n\r\n", "a".repeat(SIZE_LINE_MAX));
        assert_eq!(read(long.as_bytes()), Err(Refusal::ChunkSize));
        let chunk = format!("1;{}\r\n.\r\n", "a".repeat(400));
        assert_eq!(read(chunk.repeat(50).as_bytes()), Err(Refusal::ChunkSize));
        let trailer = format!("0\r\n{}\r\n", "A: b\r\n".repeat(TRAILER_MAX / 6 + 1));
        assert_eq!(read(trailer.as_bytes()), Err(Refusal::Trailer));
        let endless = format!("0\r\nA: {}", "b".repeat(TRAILER_MAX));
        assert_eq!(read(endless.as_bytes()), Err(Refusal::Trailer));
    }

    proptest! {
        #[test]
        fn a_body_comes_out_as_it_went_in(pieces in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 1..50), 0..10)) {
            let mut text = Vec::new();
            for piece in &pieces {
                text.extend_from_slice(format!("{:x}\r\n", piece.len()).as_bytes());
                text.extend_from_slice(piece);
                text.extend_from_slice(b"\r\n");
            }
            text.extend_from_slice(b"0\r\n\r\n");
            prop_assert_eq!(read(&text), Ok(Some((pieces.concat(), &b""[..]))));
        }

        #[test]
        fn never_panics(bytes in proptest::collection::vec(proptest::sample::select(b"05aF;=\"\\\r\n x:\0".to_vec()), 0..60)) {
            let _ = read(&bytes);
        }
    }
}
