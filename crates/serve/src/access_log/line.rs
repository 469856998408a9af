//! How a line looks. Pure; whatever a client sent is escaped, so that one request is one line and no field ends early.

use std::{io::Write, net::IpAddr, time::Duration};

use protocol::cache_status::CacheStatus;

use crate::{clock::Clock, head::write::decimal};

/// What is known of one answered request. Empty bytes stand for what was not sent.
pub(crate) struct Line<'a> {
    pub(crate) client: IpAddr,
    /// The request line as it came.
    pub(crate) request: &'a [u8],
    pub(crate) status: u16,
    /// Of the body, handed to the kernel.
    pub(crate) bytes: u64,
    pub(crate) referer: &'a [u8],
    pub(crate) agent: &'a [u8],
    pub(crate) cache: Option<CacheStatus>,
    /// From the request's head to the answer's last byte.
    pub(crate) took: Duration,
}

impl Line<'_> {
    /// `%h - - [10/Oct/2000:13:55:36 +0000] "GET /x HTTP/1.1" 200 2326 "referer" "user-agent" HIT 0.001`
    pub(crate) fn combined(&self, clock: &Clock, out: &mut Vec<u8>) {
        address(out, self.client);
        out.extend_from_slice(b" - - [");
        out.extend_from_slice(clock.common_log().as_bytes());
        out.extend_from_slice(b"] \"");
        escaped(out, self.request);
        out.extend_from_slice(b"\" ");
        decimal(out, self.status.into());
        out.push(b' ');
        decimal(out, self.bytes);
        out.extend_from_slice(b" \"");
        escaped(out, self.referer);
        out.extend_from_slice(b"\" \"");
        escaped(out, self.agent);
        out.extend_from_slice(b"\" ");
        out.extend_from_slice(self.cache.map_or("-", CacheStatus::word).as_bytes());
        out.push(b' ');
        seconds(out, self.took);
        out.push(b'\n');
    }

    /// One object: time, client, method, target, status, bytes, cache, seconds, referer, user_agent. What was not sent is left out.
    pub(crate) fn json(&self, clock: &Clock, out: &mut Vec<u8>) {
        let mut words = self.request.splitn(2, |byte| *byte == b' ');
        let method = words.next().unwrap_or_default();
        let rest = words.next().unwrap_or_default();
        let target = rest.iter().rposition(|byte| *byte == b' ').map_or(rest, |end| &rest[..end]);
        out.extend_from_slice(b"{\"time\":\"");
        out.extend_from_slice(clock.rfc3339().as_bytes());
        out.extend_from_slice(b"\",\"client\":\"");
        address(out, self.client);
        out.extend_from_slice(b"\",\"method\":");
        json_string(out, method);
        out.extend_from_slice(b",\"target\":");
        json_string(out, target);
        out.extend_from_slice(b",\"status\":");
        decimal(out, self.status.into());
        out.extend_from_slice(b",\"bytes\":");
        decimal(out, self.bytes);
        if let Some(cache) = self.cache {
            out.extend_from_slice(b",\"cache\":");
            json_string(out, cache.word().as_bytes());
        }
        out.extend_from_slice(b",\"seconds\":");
        seconds(out, self.took);
        for (name, value) in [(&b",\"referer\":"[..], self.referer), (b",\"user_agent\":", self.agent)] {
            if !value.is_empty() {
                out.extend_from_slice(name);
                json_string(out, value);
            }
        }
        out.extend_from_slice(b"}\n");
    }
}

fn address(out: &mut Vec<u8>, client: IpAddr) {
    match client {
        IpAddr::V4(address) => {
            for (index, octet) in address.octets().into_iter().enumerate() {
                if index > 0 {
                    out.push(b'.');
                }
                decimal(out, octet.into());
            }
        }
        // Writing to a vector cannot fail.
        IpAddr::V6(address) => _ = write!(out, "{address}"),
    }
}

/// With milliseconds, as nginx and Varnish do.
fn seconds(out: &mut Vec<u8>, took: Duration) {
    let millis = took.as_millis() as u64;
    decimal(out, millis / 1000);
    out.push(b'.');
    for digit in [millis / 100 % 10, millis / 10 % 10, millis % 10] {
        out.push(b'0' + digit as u8);
    }
}

const HEX: &[u8; 16] = b"0123456789ABCDEF";

/// Quotes, backslashes and what does not print as `\xHH`; nothing as `-`.
fn escaped(out: &mut Vec<u8>, text: &[u8]) {
    if text.is_empty() {
        return out.push(b'-');
    }
    let mut from = 0;
    for (at, byte) in text.iter().enumerate() {
        if !(b' '..=b'~').contains(byte) || matches!(byte, b'"' | b'\\') {
            out.extend_from_slice(&text[from..at]);
            out.extend_from_slice(&[b'\\', b'x', HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]]);
            from = at + 1;
        }
    }
    out.extend_from_slice(&text[from..]);
}

/// A JSON string; bytes that are no UTF-8 become U+FFFD.
fn json_string(out: &mut Vec<u8>, text: &[u8]) {
    out.push(b'"');
    for chunk in text.utf8_chunks() {
        for byte in chunk.valid().bytes() {
            match byte {
                b'"' | b'\\' => out.extend_from_slice(&[b'\\', byte]),
                0..=0x1f => {
                    let digits = [HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]];
                    out.extend_from_slice(b"\\u00");
                    out.extend_from_slice(&digits);
                }
                _ => out.push(byte),
            }
        }
        if !chunk.invalid().is_empty() {
            out.extend_from_slice("\u{fffd}".as_bytes());
        }
    }
    out.push(b'"');
}

#[cfg(test)]
pub(super) mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;

    pub(in super::super) fn clock() -> Clock {
        let mut clock = Clock::new("s");
        clock.turn_to(UNIX_EPOCH + Duration::from_secs(971_186_136));
        clock
    }

    pub(in super::super) fn line<'a>(request: &'a [u8], referer: &'a [u8], agent: &'a [u8]) -> Line<'a> {
        Line {
            client: [127, 0, 0, 1].into(),
            request,
            status: 200,
            bytes: 2326,
            referer,
            agent,
            cache: Some(CacheStatus::Hit),
            took: Duration::from_micros(1_234_999),
        }
    }

    fn combined(line: &Line<'_>) -> String {
        let mut out = Vec::new();
        line.combined(&clock(), &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn combined_is_what_log_readers_expect() {
        let text =
            combined(&line(b"GET /apache_pb.gif HTTP/1.0", b"http://www.example.com/start.html", b"Mozilla/4.08"));
        assert_eq!(
            text,
            "127.0.0.1 - - [10/Oct/2000:13:55:36 +0000] \"GET /apache_pb.gif HTTP/1.0\" 200 2326 \
             \"http://www.example.com/start.html\" \"Mozilla/4.08\" HIT 1.234\n"
        );
    }

    #[test]
    fn a_client_cannot_forge_a_line_or_a_field() {
        let text = combined(&line(b"GET /\"\\ HTTP/1.1", b"a\nb", "\u{e9}".as_bytes()));
        assert!(text.contains("\"GET /\\x22\\x5C HTTP/1.1\" 200 2326 \"a\\x0Ab\" \"\\xC3\\xA9\" HIT"), "{text}");
        let nothing = Line { cache: None, client: "2001:db8::1".parse().unwrap(), ..line(b"", b"", b"") };
        let text = combined(&nothing);
        assert!(text.starts_with("2001:db8::1 - - ["), "{text}");
        assert!(text.contains("\"-\" 200 2326 \"-\" \"-\" - 1.234\n"), "{text}");
    }

    #[test]
    fn json_is_one_object_that_parses() {
        let mut out = Vec::new();
        line(b"GET /a b\"\\\n\xff HTTP/1.1", b"", b"curl").json(&clock(), &mut out);
        line(b"\x16\x03", b"r", b"").json(&clock(), &mut out);
        let text = String::from_utf8(out).unwrap();
        let lines: Vec<serde_json::Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(lines[0]["target"], "/a b\"\\\n\u{fffd}");
        assert_eq!(lines[0]["method"], "GET");
        assert_eq!(lines[0]["time"], "2000-10-10T13:55:36Z");
        assert_eq!(lines[0]["client"], "127.0.0.1");
        assert_eq!((&lines[0]["status"], &lines[0]["bytes"]), (&200.into(), &2326.into()));
        assert_eq!((&lines[0]["cache"], &lines[0]["seconds"]), (&"HIT".into(), &1.234.into()));
        assert_eq!(lines[0]["user_agent"], "curl");
        assert!(lines[0].get("referer").is_none());
        assert_eq!(lines[1]["method"], "\u{16}\u{3}");
    }
}
