//! A client of HTTP/2 that writes every frame itself and shows every frame that comes.

use std::sync::Arc;

use serve::server::Server;

use super::{Peer, tls};

pub(crate) const DATA: u8 = 0;
pub(crate) const HEADERS: u8 = 1;
pub(crate) const PRIORITY: u8 = 2;
pub(crate) const RST_STREAM: u8 = 3;
pub(crate) const SETTINGS: u8 = 4;
pub(crate) const PING: u8 = 6;
pub(crate) const GOAWAY: u8 = 7;
pub(crate) const WINDOW_UPDATE: u8 = 8;
pub(crate) const CONTINUATION: u8 = 9;

pub(crate) const END_STREAM: u8 = 1;
pub(crate) const ACK: u8 = 1;
pub(crate) const END_HEADERS: u8 = 4;

pub(crate) const NO_ERROR: u32 = 0;
pub(crate) const PROTOCOL_ERROR: u32 = 1;
pub(crate) const INTERNAL_ERROR: u32 = 2;
pub(crate) const FLOW_CONTROL_ERROR: u32 = 3;
pub(crate) const REFUSED_STREAM: u32 = 7;
pub(crate) const CANCEL: u32 = 8;
pub(crate) const ENHANCE_YOUR_CALM: u32 = 11;

pub(crate) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// One frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) kind: u8,
    pub(crate) flags: u8,
    pub(crate) stream: u32,
    pub(crate) payload: Vec<u8>,
}

impl Frame {
    pub(crate) fn new(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Self {
        Self { kind, flags, stream, payload: payload.to_vec() }
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        let len = u32::try_from(self.payload.len()).unwrap().to_be_bytes();
        let mut bytes = vec![len[1], len[2], len[3], self.kind, self.flags];
        bytes.extend_from_slice(&self.stream.to_be_bytes());
        bytes.extend_from_slice(&self.payload);
        bytes
    }

    pub(crate) fn ends_stream(&self) -> bool {
        matches!(self.kind, DATA | HEADERS) && self.flags & END_STREAM != 0
    }

    /// A number of its payload.
    pub(crate) fn number(&self, at: usize) -> u32 {
        u32::from_be_bytes(self.payload[at..at + 4].try_into().unwrap())
    }

    /// The status that an answer's head begins with: the server's first field, indexed or spelled by Huffman's code.
    pub(crate) fn status(&self) -> u16 {
        assert_eq!(self.kind, HEADERS, "{self:?}");
        // A change of the table's size may come first.
        let block = &self.payload[self.payload.iter().take_while(|byte| **byte >> 5 == 1).count()..];
        match block[0] {
            byte @ 0x88..=0x8e => [200, 204, 206, 304, 400, 404, 500][usize::from(byte - 0x88)],
            // What was said before in this way is in the table.
            byte if byte & 0x80 != 0 => 0,
            _ => digits(&block[2..2 + usize::from(block[1] & 0x7f)]),
        }
    }
}

/// Digits in Huffman's code (RFC 7541 appendix B): 0 to 2 have five bits, the others six.
fn digits(code: &[u8]) -> u16 {
    let bits = code.iter().fold(0u64, |bits, byte| bits << 8 | u64::from(*byte)) << (64 - 8 * code.len());
    let (mut number, mut at) = (0, 0);
    for _ in 0..3 {
        let rest = bits << at;
        let (digit, len) = if rest >> 59 <= 2 { (rest >> 59, 5) } else { ((rest >> 58) - 0x19 + 3, 6) };
        number = number * 10 + digit as u16;
        at += len;
    }
    number
}

/// Fields as literals that no table remembers.
pub(crate) fn block(fields: &[(&str, &str)]) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in fields {
        block.push(0);
        for text in [name, value] {
            integer(&mut block, text.len());
            block.extend_from_slice(text.as_bytes());
        }
    }
    block
}

/// With a prefix of seven bits (RFC 7541 section 5.1), the eighth is 0.
fn integer(block: &mut Vec<u8>, number: usize) {
    if number < 127 {
        return block.push(number as u8);
    }
    block.push(127);
    let mut rest = number - 127;
    while rest >= 128 {
        block.push((rest % 128 + 128) as u8);
        rest /= 128;
    }
    block.push(rest as u8);
}

/// The fields of a request, with more behind them.
pub(crate) fn request<'a>(method: &'a str, path: &'a str, more: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    let pseudo = [(":method", method), (":scheme", "http"), (":path", path), (":authority", "a")];
    pseudo.into_iter().chain(more.iter().copied()).collect()
}

/// A setting's frame.
pub(crate) fn settings(settings: &[(u16, u32)]) -> Frame {
    let payload: Vec<u8> =
        settings.iter().flat_map(|(name, value)| [&name.to_be_bytes()[..], &value.to_be_bytes()].concat()).collect();
    Frame::new(SETTINGS, 0, 0, &payload)
}

pub(crate) fn window_update(stream: u32, more: u32) -> Frame {
    Frame::new(WINDOW_UPDATE, 0, stream, &more.to_be_bytes())
}

pub(crate) fn reset(stream: u32, reason: u32) -> Frame {
    Frame::new(RST_STREAM, 0, stream, &reason.to_be_bytes())
}

/// A connection.
pub(crate) struct Framed {
    pub(crate) peer: Peer,
    /// The server's settings.
    pub(crate) own: Frame,
}

impl Framed {
    /// With the preface and no settings of its own.
    pub(crate) fn connect(server: &Server) -> Self {
        Self::connect_with(server, &[])
    }

    pub(crate) fn connect_with(server: &Server, own: &[(u16, u32)]) -> Self {
        let mut framed = Self::silent(server);
        framed.peer.send(PREFACE);
        framed.send(&settings(own));
        framed.own = framed.frame();
        assert_eq!((framed.own.kind, framed.own.flags), (SETTINGS, 0));
        // From here on they hold.
        framed.send(&Frame::new(SETTINGS, ACK, 0, &[]));
        framed
    }

    /// Without a byte.
    pub(crate) fn silent(server: &Server) -> Self {
        let own = Frame::new(SETTINGS, 0, 0, &[]);
        let Some(address) = server.tls_addresses().first() else { return Self { peer: Peer::connect(server), own } };
        let mut config = (*tls::trusting()).clone();
        config.alpn_protocols = vec![b"h2".to_vec()];
        let socket = std::net::TcpStream::connect(address).unwrap();
        Self { peer: Peer::over(socket, Some(Arc::new(config))), own }
    }

    pub(crate) fn send(&mut self, frame: &Frame) -> &mut Self {
        self.send_all(std::slice::from_ref(frame))
    }

    /// In one piece.
    pub(crate) fn send_all(&mut self, frames: &[Frame]) -> &mut Self {
        self.peer.send(frames.iter().flat_map(Frame::bytes).collect::<Vec<_>>());
        self
    }

    pub(crate) fn get(&mut self, stream: u32, path: &str) -> &mut Self {
        self.ask(stream, &request("GET", path, &[]))
    }

    /// Fields and no body.
    pub(crate) fn ask(&mut self, stream: u32, fields: &[(&str, &str)]) -> &mut Self {
        self.send(&Frame::new(HEADERS, END_HEADERS | END_STREAM, stream, &block(fields)))
    }

    /// Fields with a body to come.
    pub(crate) fn open(&mut self, stream: u32, fields: &[(&str, &str)]) -> &mut Self {
        self.send(&Frame::new(HEADERS, END_HEADERS, stream, &block(fields)))
    }

    /// The next frame, whatever it is.
    pub(crate) fn frame(&mut self) -> Frame {
        let head = self.peer.take(9);
        let payload = self.peer.take(u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize);
        let stream = u32::from_be_bytes(head[5..9].try_into().unwrap());
        Frame { kind: head[3], flags: head[4], stream, payload }
    }

    /// The next frame that is not about the connection's own affairs; PING is answered.
    pub(crate) fn next(&mut self) -> Frame {
        loop {
            let frame = self.frame();
            match frame.kind {
                SETTINGS | WINDOW_UPDATE => {}
                PING if frame.flags & ACK == 0 => {
                    self.send(&Frame::new(PING, ACK, 0, &frame.payload));
                }
                PING => {}
                _ => return frame,
            }
        }
    }

    /// The answer on a stream, while no other has anything to say; its windows are opened as it comes.
    pub(crate) fn answer(&mut self, stream: u32) -> (u16, Vec<u8>) {
        let head = self.next();
        assert_eq!((head.kind, head.stream), (HEADERS, stream), "{head:?}");
        let mut body = Vec::new();
        let mut ended = head.ends_stream();
        while !ended {
            let data = self.next();
            assert_eq!((data.kind, data.stream), (DATA, stream), "{data:?}");
            ended = data.ends_stream();
            if !data.payload.is_empty() && !ended {
                let more = data.payload.len() as u32;
                self.send_all(&[window_update(0, more), window_update(stream, more)]);
            }
            body.extend_from_slice(&data.payload);
        }
        (head.status(), body)
    }

    /// The reason with which the server ends the connection. Answers that were on their way are passed over.
    pub(crate) fn goaway(&mut self) -> u32 {
        loop {
            let frame = self.next();
            if frame.kind == GOAWAY {
                return frame.number(4);
            }
        }
    }

    /// The reason with which the server ends a stream.
    pub(crate) fn reset_of(&mut self, stream: u32) -> u32 {
        loop {
            let frame = self.next();
            assert_ne!(frame.kind, GOAWAY, "{frame:?}");
            if (frame.kind, frame.stream) == (RST_STREAM, stream) {
                return frame.number(0);
            }
        }
    }

    /// The reason with which the server ends a stream, or all of them.
    pub(crate) fn ended(&mut self, stream: u32) -> u32 {
        loop {
            let frame = self.next();
            match frame.kind {
                RST_STREAM if frame.stream == stream => return frame.number(0),
                GOAWAY => return frame.number(4),
                _ => {}
            }
        }
    }
}
