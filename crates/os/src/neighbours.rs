//! The kernel's table of neighbours: which network card answers for which address in the networks that this machine is in (ARP and neighbour
//! discovery), asked over netlink (rtnetlink(7)). Clients behind a router are not in it.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    time::Duration,
};

use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, recv, send, socket_with,
    sockopt::{Timeout, set_socket_timeout},
};

/// Entries that are read; the kernel keeps a thousand of each family unless it is told otherwise (`gc_thresh3`).
pub const NEIGHBOURS_MAX: usize = 65_536;

/// For the kernel, which answers while it is asked.
const TIMEOUT: Duration = Duration::from_secs(1);

/// Bytes of an answer's part; the kernel fits its parts to what is asked for, and sends at most 32 KiB.
const PART_BYTES: usize = 64 << 10;

/// Times that a table is read anew which changed while it was read.
const TRIES: usize = 3;

const HEADER: usize = 16;
const ENTRY: usize = 12;
const ALIGN: usize = 4;

// linux/netlink.h, linux/rtnetlink.h, linux/neighbour.h
const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
const RTM_NEWNEIGH: u16 = 28;
const RTM_GETNEIGH: u16 = 30;
const NLM_F_REQUEST: u16 = 0x1;
const NLM_F_DUMP_INTR: u16 = 0x10;
const NLM_F_DUMP: u16 = 0x300;
const NDA_DST: u16 = 1;
const NDA_LLADDR: u16 = 2;

/// Somebody in the same network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Neighbour {
    /// Its address.
    pub address: IpAddr,
    /// That of its network card.
    pub mac: [u8; 6],
}

/// How far an answer has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Progress {
    done: bool,
    /// The table did meanwhile, and entries may be missing.
    changed: bool,
}

/// All whose card is known. Takes microseconds, and does not wait for the network.
pub fn neighbours() -> io::Result<Vec<Neighbour>> {
    let mut found = Vec::new();
    for _ in 0..TRIES {
        found.clear();
        if !dump(&mut found)?.changed {
            break;
        }
    }
    Ok(found)
}

fn dump(found: &mut Vec<Neighbour>) -> io::Result<Progress> {
    // Protocol 0 of netlink is NETLINK_ROUTE.
    let socket = socket_with(AddressFamily::NETLINK, SocketType::RAW, SocketFlags::CLOEXEC, None)?;
    set_socket_timeout(&socket, Timeout::Recv, Some(TIMEOUT))?;
    send(&socket, &request(), SendFlags::empty())?;
    let (mut part, mut progress) = (vec![0; PART_BYTES], Progress::default());
    while !progress.done {
        let (_, len) = recv(&socket, part.as_mut_slice(), RecvFlags::empty())?;
        read_part(&part[..len], found, &mut progress)?;
    }
    Ok(progress)
}

/// For the tables of every family.
fn request() -> Vec<u8> {
    let len = (HEADER + ENTRY) as u32;
    let mut request = Vec::with_capacity(HEADER + ENTRY);
    request.extend(len.to_ne_bytes());
    request.extend(RTM_GETNEIGH.to_ne_bytes());
    request.extend((NLM_F_REQUEST | NLM_F_DUMP).to_ne_bytes());
    // Number and port: one question on a socket of its own needs neither; then the entry, all zero.
    request.resize(HEADER + ENTRY, 0);
    request
}

/// The messages of one part.
fn read_part(mut part: &[u8], found: &mut Vec<Neighbour>, progress: &mut Progress) -> io::Result<()> {
    while !part.is_empty() {
        let (len, kind, flags) = header(part).ok_or_else(malformed)?;
        let body = part.get(HEADER..len).ok_or_else(malformed)?;
        progress.changed |= flags & NLM_F_DUMP_INTR != 0;
        match kind {
            NLMSG_DONE => progress.done = true,
            NLMSG_ERROR => return Err(refusal(body)),
            RTM_NEWNEIGH if found.len() < NEIGHBOURS_MAX => found.extend(neighbour(body)),
            _ => {}
        }
        part = part.get(len.next_multiple_of(ALIGN)..).unwrap_or_default();
    }
    Ok(())
}

fn header(message: &[u8]) -> Option<(usize, u16, u16)> {
    let len = u32::from_ne_bytes(message.get(..4)?.try_into().ok()?) as usize;
    (len >= HEADER).then_some((len, number(message, 4)?, number(message, 6)?))
}

fn number(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_ne_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

fn refusal(body: &[u8]) -> io::Error {
    let code = body.get(..4).and_then(|code| code.try_into().ok()).map(i32::from_ne_bytes);
    code.map_or_else(malformed, |code| io::Error::from_raw_os_error(code.wrapping_neg()))
}

fn malformed() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "the kernel's table of neighbours is not written as it should be")
}

/// Of an entry that has both addresses. Those of a loopback have a card of zeros, which is none.
fn neighbour(entry: &[u8]) -> Option<Neighbour> {
    let (mut address, mut mac) = (None, None);
    let mut rest = entry.get(ENTRY..)?;
    while let (Some(len), Some(kind)) = (number(rest, 0), number(rest, 2)) {
        let value = rest.get(4..usize::from(len))?;
        match kind {
            NDA_DST => address = ip(value),
            NDA_LLADDR => mac = <[u8; 6]>::try_from(value).ok(),
            _ => {}
        }
        rest = rest.get(usize::from(len).next_multiple_of(ALIGN)..).unwrap_or_default();
    }
    Some(Neighbour { address: address?, mac: mac.filter(|mac| *mac != [0; 6])? })
}

fn ip(value: &[u8]) -> Option<IpAddr> {
    let v4 = || <[u8; 4]>::try_from(value).map(|bytes| Ipv4Addr::from(bytes).into());
    v4().or_else(|_| <[u8; 16]>::try_from(value).map(|bytes| Ipv6Addr::from(bytes).into())).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const CARD: [u8; 6] = [0x52, 0x54, 0, 0x12, 0x34, 0x56];

    fn message(kind: u16, flags: u16, body: &[u8]) -> Vec<u8> {
        let len = u32::try_from(HEADER + body.len()).unwrap();
        let mut message = [&len.to_ne_bytes()[..], &kind.to_ne_bytes(), &flags.to_ne_bytes(), &[0; 8], body].concat();
        message.resize(message.len().next_multiple_of(ALIGN), 0);
        message
    }

    fn entry(attributes: &[(u16, &[u8])]) -> Vec<u8> {
        let mut entry = vec![0; ENTRY];
        for (kind, value) in attributes {
            let len = u16::try_from(4 + value.len()).unwrap();
            entry.extend([&len.to_ne_bytes()[..], &kind.to_ne_bytes(), value].concat());
            entry.resize(entry.len().next_multiple_of(ALIGN), 0);
        }
        entry
    }

    #[test]
    fn entries_with_both_addresses_are_found() {
        let v6 = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 7).octets();
        let part = [
            message(RTM_NEWNEIGH, 2, &entry(&[(NDA_DST, &[10, 0, 0, 5]), (9, &[1, 2, 3, 4, 5]), (NDA_LLADDR, &CARD)])),
            // Being looked for; not an Ethernet; a loopback.
            message(RTM_NEWNEIGH, 2, &entry(&[(NDA_DST, &[10, 0, 0, 6])])),
            message(RTM_NEWNEIGH, 2, &entry(&[(NDA_DST, &[10, 0, 0, 7]), (NDA_LLADDR, &[1, 2, 3, 4])])),
            message(RTM_NEWNEIGH, 2, &entry(&[(NDA_DST, &[127, 0, 0, 1]), (NDA_LLADDR, &[0; 6])])),
            message(RTM_NEWNEIGH, 2, &entry(&[(NDA_LLADDR, &CARD), (NDA_DST, &v6)])),
        ]
        .concat();
        let (mut found, mut progress) = (Vec::new(), Progress::default());
        read_part(&part, &mut found, &mut progress).unwrap();
        assert_eq!(progress, Progress::default());
        let expected =
            ["10.0.0.5", "fe80::7"].map(|address| Neighbour { address: address.parse().unwrap(), mac: CARD });
        assert_eq!(found, expected);
        read_part(&message(NLMSG_DONE, 2, &[0; 4]), &mut found, &mut progress).unwrap();
        assert_eq!(progress, Progress { done: true, changed: false });
    }

    #[test]
    fn a_table_that_changed_is_read_again_and_a_refusal_is_an_error() {
        let (mut found, mut progress) = (Vec::new(), Progress::default());
        let part = message(RTM_NEWNEIGH, NLM_F_DUMP_INTR, &entry(&[]));
        read_part(&[part, message(NLMSG_DONE, 2, &[0; 4])].concat(), &mut found, &mut progress).unwrap();
        assert_eq!(progress, Progress { done: true, changed: true });
        let refusal = message(NLMSG_ERROR, 0, &(-1_i32).to_ne_bytes());
        let refused = read_part(&refusal, &mut found, &mut progress).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::PermissionDenied);
    }

    #[test]
    fn whatever_comes_is_read_to_its_end_or_refused() {
        let whole = [
            message(RTM_NEWNEIGH, 2, &entry(&[(NDA_DST, &[10, 0, 0, 5]), (NDA_LLADDR, &CARD)])),
            message(NLMSG_DONE, 2, &[0; 4]),
        ]
        .concat();
        for cut in 0..whole.len() {
            let _ = read_part(&whole[..cut], &mut Vec::new(), &mut Progress::default());
        }
        for at in 0..whole.len() {
            for value in [0, 1, 3, 0x7f, 0xff] {
                let mut broken = whole.clone();
                broken[at] = value;
                let _ = read_part(&broken, &mut Vec::new(), &mut Progress::default());
            }
        }
    }

    #[test]
    fn the_kernel_answers() {
        assert!(neighbours().unwrap().iter().all(|neighbour| neighbour.mac != [0; 6]));
    }
}
