//! Where the admin interface listens: an address of TCP, or a Unix socket, and what differs between them.

use std::{io, net::TcpListener, os::unix::net::UnixListener, path::Path};

use anyhow::anyhow;
use config::AdminAddress;
use hyper_util::rt::TokioIo;
use os::local::SocketFile;
use tokio::io::{AsyncRead, AsyncWrite};

use crate::preflight;

/// Who may connect to the Unix socket: the user that runs the program, and its group.
const SOCKET_MODE: u32 = 0o660;

/// Bound, and not yet served.
pub(crate) enum Listener {
    Tcp(TcpListener),
    Unix(SocketFile, UnixListener),
}

/// Served.
pub(super) enum Serving {
    Tcp(tokio::net::TcpListener),
    Unix {
        listener: tokio::net::UnixListener,
        /// Goes with the listener.
        _file: SocketFile,
    },
}

/// A connection of either kind.
pub(super) trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for S {}

impl Listener {
    /// Binds, or says who may have the address and what to do.
    pub(crate) fn bind(address: &AdminAddress) -> anyhow::Result<Self> {
        match address {
            AdminAddress::Tcp(address) => preflight::bind("admin", *address).map(Self::Tcp),
            AdminAddress::Unix(path) => socket(path),
        }
    }

    /// With the port that was chosen.
    pub(crate) fn address(&self) -> io::Result<AdminAddress> {
        match self {
            Self::Tcp(listener) => listener.local_addr().map(AdminAddress::Tcp),
            Self::Unix(file, _) => Ok(AdminAddress::Unix(file.path().to_owned())),
        }
    }

    pub(super) fn serving(self) -> io::Result<Serving> {
        match self {
            Self::Tcp(listener) => preflight::nonblocking(listener).map(Serving::Tcp),
            Self::Unix(file, listener) => {
                listener.set_nonblocking(true)?;
                Ok(Serving::Unix { listener: tokio::net::UnixListener::from_std(listener)?, _file: file })
            }
        }
    }
}

impl Serving {
    /// Who may open a Unix socket is said by its permissions.
    pub(super) fn is_tcp(&self) -> bool {
        matches!(self, Self::Tcp(_))
    }

    /// The next connection. Dropping the future loses none.
    pub(super) async fn accept(&self) -> io::Result<TokioIo<Box<dyn Stream>>> {
        let stream: Box<dyn Stream> = match self {
            Self::Tcp(listener) => Box::new(listener.accept().await?.0),
            Self::Unix { listener, .. } => Box::new(listener.accept().await?.0),
        };
        Ok(TokioIo::new(stream))
    }
}

fn socket(path: &Path) -> anyhow::Result<Listener> {
    let (file, listener) = SocketFile::listen(path, SOCKET_MODE).map_err(|error| {
        let advice = match error.kind() {
            io::ErrorKind::AddrInUse => "end the program that listens there, or choose another path",
            io::ErrorKind::NotFound => "make its directory, or choose another path",
            io::ErrorKind::PermissionDenied => {
                "allow the user that runs this program to write in its directory, or choose another path"
            }
            _ => "choose another path",
        };
        anyhow!("cannot listen on unix:{}: {error}; {advice} with --admin unix:PATH", path.display())
    })?;
    Ok(Listener::Unix(file, listener))
}
