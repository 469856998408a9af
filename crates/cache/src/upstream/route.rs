//! From which address of this machine a server is reached: under that one the server's network reaches us.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use http::Uri;
use tokio::net::{UdpSocket, lookup_host};

/// The address; `None` while the server's name or the way to it is not known. Nothing is sent to it: a datagram socket is only told whom it would send to.
pub(crate) async fn own_address(server: &str) -> Option<IpAddr> {
    let uri: Uri = server.parse().ok()?;
    let port = uri.port_u16().unwrap_or(if uri.scheme_str() == Some("https") { 443 } else { 80 });
    let host = uri.host()?.trim_start_matches('[').trim_end_matches(']').to_owned();
    let there = lookup_host((host, port)).await.ok()?.next()?;
    let any: IpAddr = if there.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let socket = UdpSocket::bind(SocketAddr::new(any, 0)).await.ok()?;
    socket.connect(there).await.ok()?;
    socket.local_addr().ok().map(|address| address.ip())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_server_on_this_machine_is_reached_from_this_machine() {
        assert_eq!(own_address("http://127.0.0.1:8090").await, Some(Ipv4Addr::LOCALHOST.into()));
        assert_eq!(own_address("https://localhost/base").await.map(|address| address.is_loopback()), Some(true));
        assert_eq!(own_address("no server").await, None);
    }
}
