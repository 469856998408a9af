//! The fields that two readers of one connection must understand alike: where a message ends, whether another follows, and for which host
//! it is. What could be understood in two ways is refused (RFC 9112 sections 3.2, 6 and 11.2).

use httparse::Header;

use super::refusal::Refusal;
use crate::request::Announced;

/// The fields that say where a message ends and what follows it, found in one pass.
#[derive(Default)]
pub(crate) struct Framing<'a> {
    pub(crate) host: Option<&'a [u8]>,
    length: Option<u64>,
    chunked: bool,
    close: bool,
    stay: bool,
    expects: Option<&'a [u8]>,
}

impl<'a> Framing<'a> {
    pub(crate) fn read(fields: &'a [Header<'a>], http11: bool) -> Result<Self, Refusal> {
        let mut framing = Self::default();
        for field in fields {
            // By length first: most fields are none of these, and comparing without case is the costly part.
            match field.name.len() {
                4 if field.name.eq_ignore_ascii_case("host") => framing.take_host(field.value)?,
                6 if http11 && field.name.eq_ignore_ascii_case("expect") => framing.expects = Some(field.value),
                10 if field.name.eq_ignore_ascii_case("connection") => framing.take_connection(field.value),
                14 if field.name.eq_ignore_ascii_case("content-length") => framing.take_length(field.value)?,
                17 if field.name.eq_ignore_ascii_case("transfer-encoding") => {
                    framing.take_coding(field.value, http11)?;
                }
                13.. if looks_like_framing(field.name) => return Err(Refusal::Lookalike),
                _ => {}
            }
        }
        if http11 && framing.host.is_none() {
            return Err(Refusal::HostMissing);
        }
        Ok(framing)
    }

    fn take_host(&mut self, value: &'a [u8]) -> Result<(), Refusal> {
        if self.host.replace(value).is_some() {
            return Err(Refusal::HostTwice);
        }
        check_host(value)
    }

    fn take_connection(&mut self, value: &[u8]) {
        for option in value.split(|byte| *byte == b',') {
            let option = option.trim_ascii();
            self.close |= option.eq_ignore_ascii_case(b"close");
            self.stay |= option.eq_ignore_ascii_case(b"keep-alive");
        }
    }

    /// RFC 9112 section 6.3: a list of equal values could be taken for one; here nobody sends one in good faith.
    fn take_length(&mut self, value: &[u8]) -> Result<(), Refusal> {
        let digits = (1..=19).contains(&value.len()) && value.iter().all(u8::is_ascii_digit);
        let padded = value.len() > 1 && value[0] == b'0';
        if !digits || padded {
            return Err(Refusal::Length);
        }
        let length = value.iter().fold(0u64, |sum, digit| sum * 10 + u64::from(digit - b'0'));
        match self.length.replace(length) {
            Some(_) => Err(Refusal::Length),
            None => Ok(()),
        }
    }

    fn take_coding(&mut self, value: &[u8], http11: bool) -> Result<(), Refusal> {
        if self.chunked || !http11 || !value.eq_ignore_ascii_case(b"chunked") {
            return Err(Refusal::Coding);
        }
        self.chunked = true;
        Ok(())
    }

    pub(crate) fn body(&self) -> Result<Announced, Refusal> {
        match (self.length, self.chunked) {
            (Some(_), true) => Err(Refusal::LengthAndCoding),
            (None, true) => Ok(Announced::Unknown),
            (Some(length @ 1..), false) => Ok(Announced::Length(length)),
            (Some(0) | None, false) => Ok(Announced::None),
        }
    }

    /// Whether the client waits for `100 Continue` before it sends the body (RFC 9110 section 10.1.1). It is the only expectation there is, and
    /// HTTP/1.0 knows none.
    pub(crate) fn expects_continue(&self) -> Result<bool, Refusal> {
        match self.expects {
            None => Ok(false),
            Some(value) if value.eq_ignore_ascii_case(b"100-continue") => Ok(true),
            Some(_) => Err(Refusal::Expectation),
        }
    }

    pub(super) fn keep_alive(&self, http11: bool) -> bool {
        !self.close && (http11 || self.stay)
    }
}

/// Names with which attackers hide a length or a coding from one of two servers begin and end like those of the fields themselves, and have other
/// signs, or another one in the middle: `Content_Length`, which some fold to the name itself.
const HALVES: [[&[u8]; 2]; 2] = [[b"content", b"length"], [b"transfer", b"encoding"]];

fn looks_like_framing(name: &str) -> bool {
    let letters = |name: &[u8]| -> usize { name.iter().filter(|byte| byte.is_ascii_alphabetic()).count() };
    let is = |[first, last]: &[&[u8]; 2]| {
        let name = trim_signs(name.as_bytes());
        let (Some(begin), Some(end)) = (name.get(..first.len()), name.len().checked_sub(last.len())) else {
            return false;
        };
        let between = name.get(first.len()..end).unwrap_or_default();
        begin.eq_ignore_ascii_case(first) && name[end..].eq_ignore_ascii_case(last) && letters(between) <= 1
    };
    // Most names differ in their first letter from both.
    matches!(name.bytes().find(u8::is_ascii_alphabetic), Some(b'c' | b'C' | b't' | b'T')) && HALVES.iter().any(is)
}

fn trim_signs(name: &[u8]) -> &[u8] {
    let is_letter = |byte: &u8| byte.is_ascii_alphabetic();
    let first = name.iter().position(is_letter).unwrap_or(name.len());
    let end = name.iter().rposition(is_letter).map_or(first, |last| last + 1);
    &name[first..end]
}

/// Origin-form, or absolute-form whose host must be that of `Host` (RFC 9112 section 3.2).
pub(crate) fn check_target(target: &str, host: Option<&[u8]>) -> Result<(), Refusal> {
    if !target.is_ascii() {
        return Err(Refusal::TargetBytes);
    }
    if target.starts_with('/') {
        return Ok(());
    }
    if target == "*" {
        return Err(Refusal::Asterisk);
    }
    let (scheme, rest) = target.split_once("://").ok_or(Refusal::TargetForm)?;
    if !scheme.eq_ignore_ascii_case("http") && !scheme.eq_ignore_ascii_case("https") {
        return Err(Refusal::TargetForm);
    }
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default().as_bytes();
    check_host(authority)?;
    match host {
        Some(host) if !same_host(host, authority) => Err(Refusal::HostDiffers),
        _ => Ok(()),
    }
}

/// Whether a `Host` and an authority name the same host.
pub(crate) fn same_host(host: &[u8], authority: &[u8]) -> bool {
    without_default_port(host).eq_ignore_ascii_case(without_default_port(authority))
}

fn without_default_port(host: &[u8]) -> &[u8] {
    host.strip_suffix(b":80").or_else(|| host.strip_suffix(b":443")).unwrap_or(host)
}

/// `uri-host [ ":" port ]` (RFC 9110 section 7.2), and not empty, for an http URI has a host.
fn check_host(host: &[u8]) -> Result<(), Refusal> {
    let (name, port) = match host {
        [b'[', ..] => {
            let end = host.iter().position(|byte| *byte == b']').ok_or(Refusal::HostMalformed)?;
            (&host[1..end], &host[end + 1..])
        }
        _ => host.split_at(host.iter().position(|byte| *byte == b':').unwrap_or(host.len())),
    };
    let literal = host.first() == Some(&b'[');
    let name_byte = |byte: &u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' => true,
        b'-' | b'.' | b'_' | b'~' | b'!' | b'$' | b'&' | b'\'' | b'(' | b')' | b'*' | b'+' | b',' | b';' | b'=' => true,
        b'%' => !literal,
        b':' => literal,
        _ => false,
    };
    let port_right = match port {
        [] => true,
        [b':', digits @ ..] => digits.len() <= 5 && digits.iter().all(u8::is_ascii_digit),
        _ => false,
    };
    if !name.is_empty() && name.iter().all(name_byte) && port_right { Ok(()) } else { Err(Refusal::HostMalformed) }
}
