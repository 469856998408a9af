//! From which of its addresses this machine speaks to a server: what the kernel's routes say. Nothing is sent.

use std::net::{IpAddr, SocketAddr, ToSocketAddrs, UdpSocket};

use http::Uri;

/// Towards the server of a URL. Blocks to look up its name.
pub(crate) fn towards(url: &str) -> Option<IpAddr> {
    let uri: Uri = url.parse().ok()?;
    let (host, port) = (uri.host()?, uri.port_u16().unwrap_or(80));
    let server = (host.trim_matches(['[', ']']), port).to_socket_addrs().ok()?.next()?;
    let any: SocketAddr = if server.is_ipv4() { ([0, 0, 0, 0], 0).into() } else { ([0u16; 8], 0).into() };
    let socket = UdpSocket::bind(any).ok()?;
    socket.connect(server).ok()?;
    socket.local_addr().ok().map(|own| own.ip()).filter(|own| !own.is_unspecified())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn towards_oneself_it_is_the_loopback() {
        assert_eq!(towards("http://127.0.0.1:9/"), Some(IpAddr::from([127, 0, 0, 1])));
        assert_eq!(towards("nonsense"), None);
    }
}
