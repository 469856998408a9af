//! Free ports for servers that want to be told one. Taken from below those that the system gives to outgoing connections: one of these
//! may be in use again before the server listens.

use std::{
    fs, io,
    net::{SocketAddr, TcpListener},
    ops::Range,
    process,
    sync::atomic::{AtomicU16, Ordering::Relaxed},
};

/// The first that is tried: below are ports with names.
const FIRST: u16 = 10_240;

/// Where the system's own begin, if it does not say.
const USUAL_END: u16 = 32_768;

/// Ports tried so far: none is given twice.
static TRIED: AtomicU16 = AtomicU16::new(0);

/// Ports of this machine's loopback address that are free now, each another one.
pub(crate) fn free_ports<const COUNT: usize>() -> io::Result<[u16; COUNT]> {
    let text = fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").unwrap_or_default();
    let range = below(&text);
    let mut ports = [0; COUNT];
    for port in &mut ports {
        let mut free = (0..range.len()).map(|_| nth(&range, process::id(), TRIED.fetch_add(1, Relaxed)));
        let found = free.find(|port| TcpListener::bind(loopback(*port)).is_ok());
        *port = found.ok_or_else(|| io::Error::new(io::ErrorKind::AddrInUse, "no port is free"))?;
    }
    Ok(ports)
}

/// On this machine.
pub(crate) fn loopback(port: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], port))
}

/// The ports below the system's own (`ip_local_port_range`), or the usual ones where those begin too low.
fn below(system: &str) -> Range<u16> {
    let first = system.split_ascii_whitespace().next().and_then(|number| number.parse().ok());
    FIRST..first.filter(|first| *first > 2 * FIRST).unwrap_or(USUAL_END)
}

/// Processes that look at the same time begin at different places.
fn nth(range: &Range<u16>, process: u32, number: u16) -> u16 {
    let start = process.wrapping_mul(7919);
    range.start + (start.wrapping_add(number.into()) % range.len() as u32) as u16
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_different_and_free() {
        let [a, b, c] = free_ports().unwrap();
        let [d] = free_ports().unwrap();
        assert!(a != b && b != c && a != c && ![a, b, c].contains(&d));
        TcpListener::bind(loopback(d)).unwrap();
    }

    #[test]
    fn they_are_not_the_systems_own() {
        assert_eq!(below("32768\t60999\n"), 10_240..32_768);
        assert_eq!(below("1024 65535"), 10_240..32_768);
        assert_eq!(below(""), 10_240..32_768);
        for number in [0, 1, 60_000, u16::MAX] {
            assert!(below("").contains(&nth(&below(""), u32::MAX - 3, number)));
        }
    }
}
