//! The network cards of this machine, by which it is known where it stands, whatever its address is.

use std::fs;

use super::subnets::is_neighbours;

/// Cards of one machine.
const CARDS_MAX: usize = 16;

/// Their addresses; those of containers and tunnels left out.
pub(super) fn own() -> Vec<String> {
    let Ok(entries) = fs::read_dir("/sys/class/net") else { return Vec::new() };
    let address = |entry: fs::DirEntry| {
        let interface = entry.file_name().to_string_lossy().into_owned();
        let address = fs::read_to_string(entry.path().join("address")).ok()?.trim().to_owned();
        (is_neighbours(&interface) && is_card(&address)).then_some(address)
    };
    let mut cards: Vec<String> = entries.filter_map(Result::ok).filter_map(address).take(CARDS_MAX).collect();
    cards.sort();
    cards
}

/// Six bytes, not all of them zero (as of the loopback).
fn is_card(address: &str) -> bool {
    let is_address = address.split(':').count() == 6;
    is_address && address.bytes().any(|digit| digit != b'0' && digit != b':')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_a_card() {
        for (address, expected) in
            [("52:54:00:12:34:56", true), ("00:00:00:00:00:00", false), ("", false), ("fe80::1", false)]
        {
            assert_eq!(is_card(address), expected, "{address}");
        }
    }
}
