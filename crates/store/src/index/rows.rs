//! Rows of a table, densely packed: chunks of rows and a hash table of 32-bit places beside them. A row costs its own size and
//! 6 to 12 bytes, growing never copies the rows, and any row can be drawn by number, which is what eviction samples by.

use hashbrown::HashTable;

/// Rows per chunk.
const CHUNK: usize = 64;

/// The rows of one shard. Hashes are given by the caller, who has them anyway.
pub(crate) struct Rows<R> {
    chunks: Vec<Vec<R>>,
    places: HashTable<u32>,
}

impl<R> Default for Rows<R> {
    fn default() -> Self {
        Self { chunks: Vec::new(), places: HashTable::new() }
    }
}

impl<R> Rows<R> {
    pub(crate) fn len(&self) -> usize {
        match self.chunks.last() {
            Some(last) => (self.chunks.len() - 1) * CHUNK + last.len(),
            None => 0,
        }
    }

    pub(crate) fn at(&self, place: u32) -> &R {
        &self.chunks[place as usize / CHUNK][place as usize % CHUNK]
    }

    pub(crate) fn at_mut(&mut self, place: u32) -> &mut R {
        &mut self.chunks[place as usize / CHUNK][place as usize % CHUNK]
    }

    /// Where the row is that `same` recognises. Inlined, for every hit looks for its row here (benchmark `lookup`).
    #[inline]
    pub(crate) fn find(&self, hash: u64, mut same: impl FnMut(&R) -> bool) -> Option<u32> {
        self.places.find(mix(hash), |place| same(self.at(*place))).copied()
    }

    /// Adds a row that is not there yet. `rehash` tells the hash of any row, for when the table grows.
    pub(crate) fn push(&mut self, hash: u64, row: R, rehash: impl Fn(&R) -> u64) -> u32 {
        let place =
            u32::try_from(self.len()).expect("a shard holds a 256th of all rows, and memory ends before 2^40 of them");
        if self.chunks.last().is_none_or(|last| last.len() == CHUNK) {
            self.chunks.push(Vec::with_capacity(CHUNK));
        }
        self.chunks.last_mut().expect("pushed just now if it was missing").push(row);
        let chunks = &self.chunks;
        let hash_at = |place: &u32| mix(rehash(&chunks[*place as usize / CHUNK][*place as usize % CHUNK]));
        self.places.insert_unique(mix(hash), place, hash_at);
        place
    }

    /// Takes a row out; the last one moves into its place.
    pub(crate) fn take(&mut self, hash: u64, place: u32, rehash: impl Fn(&R) -> u64) -> R {
        let last = self.len() as u32 - 1;
        if let Ok(entry) = self.places.find_entry(mix(hash), |found| *found == place) {
            entry.remove();
        }
        if last != place {
            let moved = mix(rehash(self.at(last)));
            if let Some(found) = self.places.find_mut(moved, |found| *found == last) {
                *found = place;
            }
        }
        let tail = self.chunks.last_mut().expect("it holds a row");
        let row = tail.pop().expect("no chunk is empty");
        if tail.is_empty() {
            self.chunks.pop();
        }
        if last == place { row } else { std::mem::replace(self.at_mut(place), row) }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &R> {
        self.chunks.iter().flatten()
    }

    /// None of them changes its hash.
    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = &mut R> {
        self.chunks.iter_mut().flatten()
    }
}

/// The upper bits of a hash choose the shard and are the same for all its rows; the table wants them to differ.
fn mix(hash: u64) -> u64 {
    hash.rotate_left(24)
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    fn hash(row: &(u64, u64)) -> u64 {
        row.0.wrapping_mul(0x9e37_79b9_7f4a_7c15)
    }

    #[test]
    fn behaves_as_a_map_does() {
        let (mut rows, mut model) = (Rows::default(), HashMap::new());
        let mut random = 1u64;
        for step in 0..20_000u64 {
            random = random.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            let key = (random >> 33) % 700;
            let found = rows.find(hash(&(key, 0)), |row: &(u64, u64)| row.0 == key);
            assert_eq!(found.map(|place| rows.at(place).1), model.get(&key).copied());
            match found {
                Some(place) if random & 1 == 0 => {
                    assert_eq!(rows.take(hash(&(key, 0)), place, hash).1, model.remove(&key).expect("in the model"));
                }
                Some(place) => {
                    rows.at_mut(place).1 = step;
                    model.insert(key, step);
                }
                None => {
                    rows.push(hash(&(key, 0)), (key, step), hash);
                    model.insert(key, step);
                }
            }
            assert_eq!(rows.len(), model.len());
        }
        assert_eq!(rows.iter().copied().collect::<HashMap<_, _>>(), model);
    }
}
