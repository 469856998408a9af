//! What belongs to the longest of many prefixes: one map per length, so that a look costs as much for 100,000 of them as for ten.

use std::collections::HashMap;

/// Prefixes of numbers of one width, each with what belongs to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Prefixes<T> {
    /// Bits of a number: 32, 48 or 128.
    width: u8,
    /// A length in bits, and the prefixes of that length; the longest first.
    lengths: Vec<(u8, HashMap<u128, T>)>,
}

impl<T> Prefixes<T> {
    pub(super) fn of_width(width: u8) -> Self {
        Self { width, lengths: Vec::new() }
    }

    /// What stood there already is left, and comes back.
    pub(super) fn insert(&mut self, number: u128, len: u8, value: T) -> Option<&T> {
        let at = self.lengths.partition_point(|(longer, _)| *longer > len);
        if self.lengths.get(at).is_none_or(|(there, _)| *there != len) {
            self.lengths.insert(at, (len, HashMap::new()));
        }
        match self.lengths[at].1.entry(shortened(number, self.width, len)) {
            std::collections::hash_map::Entry::Occupied(there) => Some(there.into_mut()),
            std::collections::hash_map::Entry::Vacant(vacant) => {
                vacant.insert(value);
                None
            }
        }
    }

    /// That of the longest prefix that the number begins with.
    pub(super) fn find(&self, number: u128) -> Option<&T> {
        self.lengths.iter().find_map(|(len, prefixes)| prefixes.get(&shortened(number, self.width, *len)))
    }
}

/// The first bits of a number, as a number.
fn shortened(number: u128, width: u8, len: u8) -> u128 {
    number.checked_shr(u32::from(width.saturating_sub(len))).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_longest_counts_and_the_first_stays() {
        let mut prefixes = Prefixes::of_width(8);
        for (number, len, value) in [(0b1010_0000, 4, "four"), (0b1010_1000, 6, "six"), (0, 0, "all")] {
            assert_eq!(prefixes.insert(number, len, value), None);
        }
        assert_eq!(prefixes.insert(0b1010_1111, 4, "again"), Some(&"four"));
        for (number, expected) in [(0b1010_1011, "six"), (0b1010_0001, "four"), (0b0101_0101, "all")] {
            assert_eq!(prefixes.find(number), Some(&expected), "{number:b}");
        }
    }

    #[test]
    fn whole_numbers_and_nothing_of_them_are_prefixes() {
        let mut prefixes = Prefixes::of_width(128);
        prefixes.insert(u128::MAX, 128, 1);
        assert_eq!((prefixes.find(u128::MAX), prefixes.find(u128::MAX - 1)), (Some(&1), None));
        prefixes.insert(0, 0, 0);
        assert_eq!(prefixes.find(7), Some(&0));
    }

    proptest! {
        #[test]
        fn it_is_what_a_search_through_all_finds(
            written in proptest::collection::vec((any::<u32>(), 0..=32_u8), 0..60),
            asked in any::<u32>(),
        ) {
            // Numbers close to each other, so that many prefixes match.
            let narrow = |number: u32| u128::from(number & 0xff0f_0000);
            let mut prefixes = Prefixes::of_width(32);
            for (at, (number, len)) in written.iter().enumerate() {
                prefixes.insert(narrow(*number), *len, at);
            }
            let matches = |(number, len): &(u32, u8)| shortened(narrow(*number), 32, *len) == shortened(narrow(asked), 32, *len);
            let longest = written.iter().filter(|written| matches(written)).map(|(_, len)| *len).max();
            let expected = written.iter().position(|written| matches(written) && Some(written.1) == longest);
            prop_assert_eq!(prefixes.find(narrow(asked)).copied(), expected);
        }
    }
}
