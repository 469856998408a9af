//! What a connection's bytes go through, and how those of files get there. A pure table: nothing is sent here.
//!
//! | transport | bytes of files |
//! | --- | --- |
//! | plain, or records made by the kernel | `sendfile` |
//! | records made here | read into the worker's buffer behind the head, sealed and sent in pieces of many full records |
//!
//! Reading costs a copy more than mapping the files would (about a sixth of the processor time of large bodies), and it is what decides
//! against mapping: an error of the disk under a mapped page, or a file that somebody cuts short, ends the process and with it all clients;
//! under a read it ends one answer.

/// What a connection's bytes go through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Transport {
    /// The socket as it is.
    Plain,
    /// Records that this process makes.
    Tls,
    /// Records that the kernel makes.
    Kernel,
}

/// How bytes of a file that are in memory get from there to the socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Carry {
    /// The kernel sends its own pages.
    SendFile,
    /// Read into the worker's buffer, sealed, and sent in pieces of many full records.
    Seal,
}

/// The carry of a transport.
pub(crate) fn carry(transport: Transport) -> Carry {
    match transport {
        Transport::Plain | Transport::Kernel => Carry::SendFile,
        Transport::Tls => Carry::Seal,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_transport_has_its_carry() {
        for (transport, expected) in
            [(Transport::Plain, Carry::SendFile), (Transport::Tls, Carry::Seal), (Transport::Kernel, Carry::SendFile)]
        {
            assert_eq!(carry(transport), expected, "{transport:?}");
        }
    }
}
