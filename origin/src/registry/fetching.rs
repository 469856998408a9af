//! Who is fetching what: from each content to the numbers of the nodes that have it on their way. The book keeps it beside what it knows of each node.

use std::collections::HashMap;

use protocol::{digest::Md5, report::Fetching};
use roaring::RoaringBitmap;

/// Contents on their way that are kept of all nodes together; what is more is not known.
const TOTAL_MAX: usize = 200_000;

/// See above.
#[derive(Default)]
pub(super) struct FetchingIndex {
    by_content: HashMap<Md5, RoaringBitmap>,
    /// What is told by all nodes together, also of the same content twice.
    total: usize,
}

impl FetchingIndex {
    /// Of what a node says it is fetching now, what there is room for; before, it was said to be fetching `before`.
    pub(super) fn replace<'f>(&mut self, number: u32, before: &[Fetching], said: &'f [Fetching]) -> &'f [Fetching] {
        self.remove(number, before);
        let kept = &said[..said.len().min(TOTAL_MAX - self.total)];
        for fetching in kept {
            self.by_content.entry(fetching.md5).or_default().insert(number);
        }
        self.total += kept.len();
        kept
    }

    /// It is not known any more what a node fetches.
    pub(super) fn remove(&mut self, number: u32, before: &[Fetching]) {
        for fetching in before {
            let Some(nodes) = self.by_content.get_mut(&fetching.md5) else { continue };
            nodes.remove(number);
            if nodes.is_empty() {
                self.by_content.remove(&fetching.md5);
            }
        }
        self.total -= before.len();
    }

    /// Who has a content on its way.
    pub(super) fn of(&self, md5: &Md5) -> Option<&RoaringBitmap> {
        self.by_content.get(md5)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn on_its_way(numbers: &[u8]) -> Vec<Fetching> {
        numbers.iter().map(|n| Fetching { md5: Md5([*n; 16]), fetched: 0, total: 1, ready_in: None }).collect()
    }

    #[test]
    fn each_is_known_for_what_it_said_last() {
        let mut index = FetchingIndex::default();
        let of = |index: &FetchingIndex, n: u8| index.of(&Md5([n; 16])).map(|nodes| nodes.iter().collect::<Vec<_>>());
        let (first, second, other) = (on_its_way(&[1, 2, 2]), on_its_way(&[3]), on_its_way(&[2]));
        assert_eq!(index.replace(7, &[], &first).len(), 3);
        index.replace(8, &[], &other);
        assert_eq!((of(&index, 1), of(&index, 2), of(&index, 3)), (Some(vec![7]), Some(vec![7, 8]), None));
        index.replace(7, &first, &second);
        assert_eq!((of(&index, 1), of(&index, 2), of(&index, 3)), (None, Some(vec![8]), Some(vec![7])));
        index.remove(7, &second);
        index.remove(8, &other);
        assert_eq!((index.by_content.len(), index.total), (0, 0));
    }

    #[test]
    fn there_is_an_end_to_what_is_kept() {
        let mut index = FetchingIndex::default();
        let many = on_its_way(&[1; 1_000]);
        let kept: usize = (0..300).map(|number| index.replace(number, &[], &many).len()).sum();
        assert_eq!((kept, index.total), (TOTAL_MAX, TOTAL_MAX));
        index.remove(0, &many);
        assert_eq!(index.replace(301, &[], &many).len(), 1_000);
    }
}
