//! Handing a session to the kernel (kTLS). Untested for want of a kernel that has it, off unless `tls.kernel` says otherwise, and therefore
//! as little as can be: once, right behind the handshake and the tickets, with nothing received that was not dealt with; TLS 1.3 with AES-GCM
//! only, for both directions. A key update, an alert or anything else that is no application data ends the connection then.

use std::{io, num::NonZeroU32, os::fd::BorrowedFd};

use os::ktls::{self, Keys};
use rustls::{CipherSuite, ConnectionTrafficSecrets, ExtractedSecrets, ProtocolVersion, ServerConnection};

/// Records of one connection before it ends, for the kernel does not update keys: below the 2^24.5 of RFC 8446 section 5.5.
pub(crate) const RECORDS_MAX: NonZeroU32 = NonZeroU32::new(1 << 23).expect("not zero");

/// Bytes of a record's header.
const HEADER: usize = 5;

/// Where records end: of the record behind the handshake nothing may be read, or the kernel would miss it.
#[derive(Default)]
pub(super) struct RecordEnds {
    header: [u8; HEADER],
    have: usize,
    left: usize,
}

impl RecordEnds {
    /// So much may be read next.
    pub(super) fn most(&self) -> usize {
        if self.left > 0 { self.left } else { HEADER - self.have }
    }

    /// These were read: no more than that.
    pub(super) fn took(&mut self, bytes: &[u8]) {
        if self.left > 0 {
            self.left -= bytes.len();
            return;
        }
        self.header[self.have..self.have + bytes.len()].copy_from_slice(bytes);
        self.have += bytes.len();
        if self.have == HEADER {
            (self.have, self.left) = (0, usize::from(u16::from_be_bytes([self.header[3], self.header[4]])));
        }
    }

    /// Whether a record has ended and none has begun.
    pub(super) fn is_between(&self) -> bool {
        self.have == 0 && self.left == 0
    }
}

/// Whether the kernel knows what was agreed on.
pub(super) fn fits(connection: &ServerConnection) -> bool {
    let suite = connection.negotiated_cipher_suite().map(|suite| suite.suite());
    connection.protocol_version() == Some(ProtocolVersion::TLSv1_3)
        && matches!(suite, Some(CipherSuite::TLS13_AES_128_GCM_SHA256 | CipherSuite::TLS13_AES_256_GCM_SHA384))
}

/// Gives an attached socket the keys. After an error the connection cannot go on.
pub(super) fn hand_over(connection: ServerConnection, socket: BorrowedFd<'_>) -> io::Result<()> {
    let ExtractedSecrets { tx, rx } = connection.dangerous_extract_secrets().map_err(io::Error::other)?;
    ktls::hand_over(socket, &keys(&tx)?, &keys(&rx)?)
}

fn keys((sequence, secrets): &(u64, ConnectionTrafficSecrets)) -> io::Result<Keys<'_>> {
    use ConnectionTrafficSecrets::{Aes128Gcm, Aes256Gcm};
    let unknown = || io::Error::other("a cipher that the kernel is not given");
    let (Aes128Gcm { key, iv } | Aes256Gcm { key, iv }) = secrets else { return Err(unknown()) };
    let iv = iv.as_ref().try_into().map_err(|_| unknown())?;
    Ok(Keys { key: key.as_ref(), iv, sequence: *sequence })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_byte_of_the_next_record_is_read() {
        let records = [&[22, 3, 1, 0, 3, 1, 2, 3][..], &[20, 3, 3, 0, 0], &[23, 3, 3, 1, 0], &[7; 256]].concat();
        for step in [1, 2, 4, 1000] {
            let (mut ends, mut at, mut between) = (RecordEnds::default(), 0, Vec::new());
            while at < records.len() {
                let len = ends.most().min(step);
                ends.took(&records[at..at + len]);
                at += len;
                if ends.is_between() {
                    between.push(at);
                }
            }
            assert_eq!(between, [8, 13, 274], "{step}");
        }
    }
}
