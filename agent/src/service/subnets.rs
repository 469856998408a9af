//! The networks that this machine is in itself, as the kernel's tables of routes have them: where a neighbour may be. Pure but for reading them.

use std::{
    fs,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use serve::clients::ranges::{Range, Ranges};

/// Interfaces of containers, virtual machines, tunnels and radio modems begin so: who is behind them is no neighbour.
const NOT_NEIGHBOURS: [&str; 25] = [
    "br-",
    "cali",
    "cilium",
    "cni",
    "docker",
    "flannel",
    "incus",
    "ipsec",
    "kube",
    "lxc",
    "lxd",
    "nebula",
    "podman",
    "ppp",
    "tailscale",
    "tap",
    "tun",
    "veth",
    "virbr",
    "vmnet",
    "vnet",
    "vxlan",
    "wg",
    "ww",
    "zt",
];

/// Networks of one machine.
const NETWORKS_MAX: usize = 256;

/// Those of this machine now, and itself.
pub(super) fn own() -> Ranges {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let (v4, v6) = (read("/proc/net/route"), read("/proc/net/ipv6_route"));
    let itself = ["127.0.0.0/8", "::1"].map(String::from);
    let texts = itself.into_iter().chain(of_v4(&v4)).chain(of_v6(&v6)).take(NETWORKS_MAX);
    Ranges::new(texts.filter_map(|text| text.parse::<Range>().ok()).collect())
}

/// Whether who is behind an interface is a neighbour.
pub(super) fn is_neighbours(interface: &str) -> bool {
    !NOT_NEIGHBOURS.iter().any(|begin| interface.starts_with(begin))
}

/// Interface, destination, gateway, flags, three counts, mask: addresses as the processor has them in memory.
fn of_v4(table: &str) -> Vec<String> {
    let address = |text: &str| u32::from_str_radix(text, 16).ok().map(|number| Ipv4Addr::from(number.swap_bytes()));
    let network = |line: &str| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let (interface, gateway) = (words.first()?, words.get(2)?);
        let (destination, mask) = (address(words.get(1)?)?, address(words.get(7)?)?);
        let bits = u32::from(mask).leading_ones();
        let is_direct = *gateway == "00000000" && bits > 0 && !destination.is_unspecified();
        (is_direct && is_neighbours(interface)).then(|| format!("{destination}/{bits}"))
    };
    table.lines().filter_map(network).collect()
}

/// Destination, its bits, a source with its bits, next hop, four counts, interface.
fn of_v6(table: &str) -> Vec<String> {
    let network = |line: &str| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let (destination, bits) = (words.first()?, words.get(1)?);
        let (hop, interface) = (words.get(4)?, words.get(9)?);
        let address = Ipv6Addr::from(u128::from_str_radix(destination, 16).ok()?);
        let bits = u8::from_str_radix(bits, 16).ok()?;
        let is_direct = hop.bytes().all(|digit| digit == b'0') && (1..128).contains(&bits);
        let is_ours = *interface != "lo" && is_neighbours(interface) && !IpAddr::V6(address).is_multicast();
        (is_direct && is_ours).then(|| format!("{address}/{bits}"))
    };
    table.lines().filter_map(network).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_are_read_from_the_kernels_tables() {
        let v4 = "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n\
                  eth0\t00000000\t0100070A\t0003\t0\t0\t0\t00000000\t0\t0\t0\n\
                  eth0\t0000070A\t00000000\t0001\t0\t0\t0\t0000FFFF\t0\t0\t0\n\
                  docker0\t000011AC\t00000000\t0001\t0\t0\t0\t0000FFFF\t0\t0\t0\n\
                  wg0\t0000080A\t00000000\t0001\t0\t0\t0\t0000FFFF\t0\t0\t0\n\
                  odd\n";
        assert_eq!(of_v4(v4), ["10.7.0.0/16"]);
        let zero = "00000000000000000000000000000000";
        let v6 = format!(
            "20010db8000700000000000000000000 40 {zero} 00 {zero} 00000100 00000001 00000000 00000001 eth0\n\
             {zero} 00 {zero} 00 fe800000000000000000000000000001 00000400 00000001 00000000 00000003 eth0\n\
             00000000000000000000000000000001 80 {zero} 00 {zero} 00000000 00000001 00000000 80200001 lo\n\
             ff000000000000000000000000000000 08 {zero} 00 {zero} 00000100 00000001 00000000 00000001 eth0\n"
        );
        assert_eq!(of_v6(&v6), ["2001:db8:7::/64"]);
        assert!(own().contains(IpAddr::from([127, 0, 0, 9])));
    }
}
