//! Contents by number, and who holds each. A digest has 16 bytes; its number takes about two in the set of a node that holds it.
//!
//! | a number is | until |
//! | --- | --- |
//! | free | somebody holds a digest that nobody held: `hold` |
//! | a digest's | its last holder lets it go: `release`. No set has it any more, so another digest may get it |

use std::hash::{BuildHasher as _, RandomState};

use hashbrown::HashTable;
use protocol::digest::Md5;
use roaring::RoaringBitmap;

/// Different contents that are known at once. Each takes some 45 bytes.
pub(super) const OBJECTS_MAX: usize = 2_000_000;

/// As many as there may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Full;

/// All contents that somebody holds.
pub(super) struct Objects {
    max: usize,
    /// By number.
    rows: Vec<Row>,
    free: Vec<u32>,
    /// Numbers by digest. Digests are said by others, who could choose some that all fall in one place: hence a hash with a secret.
    index: HashTable<u32>,
    secret: RandomState,
    /// Numbers whose digest is not in the database as it is here.
    changed: RoaringBitmap,
}

struct Row {
    md5: Md5,
    holders: Holders,
}

/// The numbers of those who hold one content. Most contents of a machine of its own are held by that one.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) enum Holders {
    /// The number is free.
    #[default]
    Free,
    /// For a moment: until somebody is entered, or the number is free again.
    Nobody,
    One(u32),
    Many(Box<RoaringBitmap>),
}

impl Holders {
    fn add(&mut self, node: u32) {
        match self {
            Self::Free | Self::Nobody => *self = Self::One(node),
            Self::One(known) if *known == node => {}
            Self::One(known) => *self = Self::Many(Box::new(RoaringBitmap::from([*known, node]))),
            Self::Many(known) => _ = known.insert(node),
        }
    }

    fn remove(&mut self, node: u32) {
        match self {
            Self::One(known) if *known == node => *self = Self::Nobody,
            Self::Free | Self::Nobody | Self::One(_) => {}
            Self::Many(known) => {
                known.remove(node);
                if let (1, Some(last)) = (known.len(), known.min()) {
                    *self = Self::One(last);
                }
            }
        }
    }
}

impl Default for Objects {
    fn default() -> Self {
        Self::new(OBJECTS_MAX)
    }
}

impl Objects {
    /// None yet, and at most so many.
    pub(super) fn new(max: usize) -> Self {
        let (rows, free, index) = (Vec::new(), Vec::new(), HashTable::new());
        Self { max, rows, free, index, secret: RandomState::new(), changed: RoaringBitmap::new() }
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.index.len()
    }

    /// The number of a digest that somebody holds.
    pub(super) fn find(&self, md5: &Md5) -> Option<u32> {
        self.index.find(self.secret.hash_one(md5), |number| self.rows[*number as usize].md5 == *md5).copied()
    }

    /// Who holds it.
    pub(super) fn holders(&self, md5: &Md5) -> &Holders {
        self.find(md5).map_or(&Holders::Free, |number| &self.rows[number as usize].holders)
    }

    /// A node holds it now; answers its number.
    pub(super) fn hold(&mut self, md5: &Md5, node: u32) -> Result<u32, Full> {
        let number = match self.find(md5) {
            Some(number) => number,
            None => self.number(md5)?,
        };
        self.rows[number as usize].holders.add(node);
        Ok(number)
    }

    fn number(&mut self, md5: &Md5) -> Result<u32, Full> {
        let row = Row { md5: *md5, holders: Holders::Nobody };
        let number = match self.free.pop() {
            Some(number) => {
                self.rows[number as usize] = row;
                number
            }
            None if self.rows.len() >= self.max => return Err(Full),
            None => {
                self.rows.push(row);
                (self.rows.len() - 1) as u32
            }
        };
        self.enter(number);
        self.changed.insert(number);
        Ok(number)
    }

    fn enter(&mut self, number: u32) {
        let (rows, secret) = (&self.rows, &self.secret);
        let hash = |number: &u32| secret.hash_one(rows[*number as usize].md5);
        self.index.insert_unique(hash(&number), number, hash);
    }

    /// A node holds it no more.
    pub(super) fn release(&mut self, number: u32, node: u32) {
        let row = &mut self.rows[number as usize];
        row.holders.remove(node);
        if row.holders == Holders::Nobody {
            self.forget(number);
        }
    }

    fn forget(&mut self, number: u32) {
        let hash = self.secret.hash_one(self.rows[number as usize].md5);
        if let Ok(entry) = self.index.find_entry(hash, |other| *other == number) {
            entry.remove();
        }
        self.rows[number as usize].holders = Holders::Free;
        self.free.push(number);
        self.changed.insert(number);
    }

    /// What has changed since the last time: what is written to the database.
    pub(super) fn take_changed(&mut self) -> RoaringBitmap {
        std::mem::take(&mut self.changed)
    }

    /// It could not be written.
    pub(super) fn put_back_changed(&mut self, changed: &RoaringBitmap) {
        self.changed |= changed;
    }

    /// The digest of a number; `None` of one that is free.
    pub(super) fn digest(&self, number: u32) -> Option<Md5> {
        let row = self.rows.get(number as usize)?;
        (row.holders != Holders::Free).then_some(row.md5)
    }

    /// From the database: a digest has this number. `false`: it cannot be. Who holds it is said by `restore_holder`, for all of them before anything else happens.
    pub(super) fn restore(&mut self, number: u32, md5: Md5) -> bool {
        let at = number as usize;
        if at >= self.max || at < self.rows.len() || self.find(&md5).is_some() {
            return false;
        }
        let unused = || Row { md5: Md5([0; 16]), holders: Holders::Free };
        self.free.extend(self.rows.len() as u32..number);
        self.rows.resize_with(at, unused);
        self.rows.push(Row { md5, holders: Holders::Nobody });
        self.enter(number);
        true
    }

    /// Whether a number is a digest's.
    pub(super) fn is_known(&self, number: u32) -> bool {
        self.digest(number).is_some()
    }

    /// From the database: a node holds it, whose number is known.
    pub(super) fn restore_holder(&mut self, number: u32, node: u32) {
        if let Some(row) = self.rows.get_mut(number as usize) {
            row.holders.add(node);
        }
    }

    /// From the database was everything: what nobody holds is forgotten.
    pub(super) fn restored(&mut self) {
        let unheld = |number: &u32| self.rows[*number as usize].holders == Holders::Nobody;
        let unheld: Vec<u32> = self.index.iter().copied().filter(unheld).collect();
        unheld.into_iter().for_each(|number| self.forget(number));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn md5(number: u32) -> Md5 {
        Md5::of(&number.to_le_bytes())
    }

    fn holders(objects: &Objects, digest: u32) -> Vec<u32> {
        match objects.holders(&md5(digest)) {
            Holders::Free => vec![],
            Holders::Nobody => panic!("only for a moment"),
            Holders::One(node) => vec![*node],
            Holders::Many(nodes) => nodes.iter().collect(),
        }
    }

    #[test]
    fn a_content_is_known_while_somebody_holds_it() {
        let mut objects = Objects::default();
        let number = objects.hold(&md5(1), 7).unwrap();
        assert_eq!(objects.hold(&md5(1), 7), Ok(number), "said twice, it is held once");
        assert_eq!(holders(&objects, 1), [7]);
        assert_eq!(objects.hold(&md5(1), 9), Ok(number));
        assert_eq!(objects.hold(&md5(1), 3), Ok(number));
        assert_eq!(holders(&objects, 1), [3, 7, 9]);
        objects.release(number, 4);
        objects.release(number, 3);
        objects.release(number, 9);
        assert_eq!(objects.holders(&md5(1)), &Holders::One(7));
        objects.release(number, 8);
        assert_eq!((holders(&objects, 1), objects.digest(number)), (vec![7], Some(md5(1))));
        objects.release(number, 7);
        assert_eq!((holders(&objects, 1), objects.digest(number), objects.len()), (vec![], None, 0));
        assert_eq!(objects.hold(&md5(2), 1), Ok(number), "the number is free");
        assert_eq!((objects.find(&md5(1)), objects.find(&md5(2))), (None, Some(number)));
    }

    #[test]
    fn what_changed_is_told_once_unless_it_could_not_be_written() {
        let mut objects = Objects::default();
        let numbers: Vec<u32> = (0..3).map(|digest| objects.hold(&md5(digest), 1).unwrap()).collect();
        let changed = objects.take_changed();
        assert_eq!(changed.iter().collect::<Vec<_>>(), numbers);
        objects.hold(&md5(0), 2).unwrap();
        assert!(objects.take_changed().is_empty(), "who holds it stands with the nodes");
        objects.release(numbers[2], 1);
        objects.put_back_changed(&RoaringBitmap::from([numbers[0]]));
        assert_eq!(objects.take_changed(), RoaringBitmap::from([numbers[0], numbers[2]]));
    }

    #[test]
    fn what_comes_from_the_database_is_looked_at() {
        let mut objects = Objects::default();
        assert!(objects.restore(2, md5(2)) && objects.restore(5, md5(5)) && objects.restore(6, md5(6)));
        assert!(!objects.restore(5, md5(7)), "the number is taken");
        assert!(!objects.restore(7, md5(2)), "the digest has a number");
        assert!(!objects.restore(OBJECTS_MAX as u32, md5(9)));
        assert_eq!([2, 3, 6, 9].map(|number| objects.is_known(number)), [true, false, true, false]);
        objects.restore_holder(2, 1);
        objects.restore_holder(5, 1);
        objects.restored();
        assert_eq!(objects.len(), 2, "nobody holds 6");
        assert_eq!(objects.take_changed(), RoaringBitmap::from([6]));
        let mut given: Vec<u32> = (10..16).map(|digest| objects.hold(&md5(digest), 1).unwrap()).collect();
        given.sort_unstable();
        assert_eq!(given, [0, 1, 3, 4, 6, 7], "numbers that were free, then new ones");
    }
}
