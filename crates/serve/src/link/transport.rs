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

impl Transport {
    /// Whether the kernel can send its own pages of a file. Else they are read, sealed, and sent in pieces of many full records.
    pub(crate) fn kernel_sends_files(self) -> bool {
        match self {
            Self::Plain | Self::Kernel => true,
            Self::Tls => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_transport_has_its_way_for_files() {
        for (transport, expected) in [(Transport::Plain, true), (Transport::Tls, false), (Transport::Kernel, true)] {
            assert_eq!(transport.kernel_sends_files(), expected, "{transport:?}");
        }
    }
}
