//! Listening sockets: bound, with the options that every connection inherits. Nothing is accepted here.

use std::{
    io,
    net::{SocketAddr, TcpListener},
};

use socket2::{Domain, Protocol, Socket, Type};

use crate::options::Options;

/// Connections that may wait to be accepted.
const BACKLOG: i32 = 1024;
/// The kernel takes no more than this of a body ahead of what the client has been sent: enough for the fastest line, and little enough that
/// a slow one does not hold what it will not read.
const NOT_SENT_BYTES_MAX: u32 = 1 << 20;

/// What a client finds behind a listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Door {
    Plain,
    /// TLS.
    Secure,
    /// Nothing but the way to TLS.
    Redirect,
}

/// A bound socket.
pub(crate) struct Listener {
    pub(crate) socket: TcpListener,
    pub(crate) door: Door,
}

/// Binds all of them, or none. An address in use is an error that names it.
pub(crate) fn bind(options: &Options) -> io::Result<Vec<Listener>> {
    let tls = &options.tls;
    let doors = [(&options.listen, Door::Plain), (&tls.listen, Door::Secure), (&tls.redirect, Door::Redirect)];
    let all = doors.map(|(addresses, _)| addresses.as_slice()).concat();
    let each = doors.into_iter().flat_map(|(addresses, door)| addresses.iter().map(move |address| (*address, door)));
    each.map(|(address, door)| Ok(Listener { socket: listen(address, is_doubled(address, &all))?, door })).collect()
}

/// Where they listen, with the ports that were chosen.
pub(crate) fn addresses(listeners: &[Listener], door: Door) -> io::Result<Vec<SocketAddr>> {
    listeners.iter().filter(|listener| listener.door == door).map(|listener| listener.socket.local_addr()).collect()
}

/// Whether an IPv6 listener must leave IPv4 to another one on the same port. Alone, `[::]` takes both.
fn is_doubled(address: SocketAddr, all: &[SocketAddr]) -> bool {
    address.is_ipv6()
        && address.port() != 0
        && all.iter().any(|other| other.is_ipv4() && other.port() == address.port())
}

/// What is set here is inherited by every connection, which saves system calls for each.
fn listen(address: SocketAddr, only_ipv6: bool) -> io::Result<TcpListener> {
    let bound = || {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM.nonblocking(), Some(Protocol::TCP))?;
        socket.set_reuse_address(true)?;
        if only_ipv6 {
            socket.set_only_v6(true)?;
        }
        socket.set_tcp_nodelay(true)?;
        socket.set_tcp_notsent_lowat(NOT_SENT_BYTES_MAX)?;
        socket.bind(&address.into())?;
        socket.listen(BACKLOG)?;
        Ok(socket.into())
    };
    bound().map_err(|error: io::Error| {
        let advice = match error.kind() {
            io::ErrorKind::AddrInUse => "end the program that uses it, or choose another address",
            io::ErrorKind::AddrNotAvailable => "choose an address that this machine has (`ip address` shows them)",
            io::ErrorKind::PermissionDenied => "give the program CAP_NET_BIND_SERVICE, or choose a port above 1023",
            _ => "choose another address",
        };
        io::Error::new(error.kind(), format!("cannot listen on {address}: {error}; {advice}"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_in_use_is_named() {
        let taken = listen(SocketAddr::from(([127, 0, 0, 1], 0)), false).unwrap();
        let address = taken.local_addr().unwrap();
        let error = listen(address, false).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
        assert!(error.to_string().contains(&address.to_string()), "{error}");
    }

    #[test]
    fn both_families_may_have_one_port() {
        let taken = listen(SocketAddr::from(([0, 0, 0, 0], 0)), false).unwrap();
        let port = taken.local_addr().unwrap().port();
        let (v4, v6) = (SocketAddr::from(([0, 0, 0, 0], port)), SocketAddr::from(([0u16; 8], port)));
        assert!(is_doubled(v6, &[v4, v6]) && !is_doubled(v4, &[v4, v6]) && !is_doubled(v6, &[v6]));
        listen(v6, true).unwrap();
        assert_eq!(listen(v6, false).unwrap_err().kind(), io::ErrorKind::AddrInUse);
    }

    #[test]
    fn connections_inherit_the_listeners_options() {
        let listener = listen(SocketAddr::from(([127, 0, 0, 1], 0)), false).unwrap();
        let _client = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        // The handshake on loopback is over when connect returns.
        let (accepted, _) = listener.accept().unwrap();
        let accepted = socket2::SockRef::from(&accepted);
        assert!(accepted.tcp_nodelay().unwrap());
        assert_eq!(accepted.tcp_notsent_lowat().unwrap(), NOT_SENT_BYTES_MAX);
    }
}
