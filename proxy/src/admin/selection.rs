//! Which objects a list has, and in which order: what a query asks for, and the page that comes of it. Pure, and in memory it holds one page, however
//! many objects there are.

use std::collections::BinaryHeap;

use protocol::{
    digest::Md5,
    glob::{GlobError, Globs},
};
use serde::Deserialize;
use store::ObjectInfo;

/// Objects per page, unless asked for fewer or more.
const PAGE: usize = 100;

/// Most of them.
const PAGE_MAX: usize = 1000;

/// What stands in the query.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Wanted {
    pub(super) cursor: Option<String>,
    pub(super) limit: Option<usize>,
    pub(super) sort: Option<Sort>,
    pub(super) order: Option<Order>,
    pub(super) min_size: Option<u64>,
    pub(super) max_size: Option<u64>,
    pub(super) min_uses: Option<u32>,
    pub(super) max_uses: Option<u32>,
    /// A glob.
    pub(super) path: Option<String>,
    /// Whether paths are told.
    #[serde(default)]
    pub(super) paths: bool,
}

/// By what.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Sort {
    #[default]
    Md5,
    Size,
    Uses,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Order {
    Ascending,
    Descending,
}

/// The query, understood.
#[derive(Debug)]
pub(super) struct Selection {
    sort: Sort,
    order: Order,
    sizes: (u64, u64),
    uses: (u32, u32),
    pub(super) limit: usize,
    /// Where the page begins.
    from: Option<Place>,
    pub(super) path: Option<Globs>,
    pub(super) wants_paths: bool,
}

/// Where an object stands in the order; equal ones are in that of their digests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    rank: u64,
    md5: Md5,
}

/// A page that is being chosen: the first of those that were seen, and one more, with which the next page begins.
#[derive(Debug)]
pub(super) struct Choosing<'s> {
    selection: &'s Selection,
    chosen: BinaryHeap<Chosen>,
}

#[derive(Debug)]
struct Chosen {
    place: Place,
    object: ObjectInfo,
}

impl Selection {
    pub(super) fn new(wanted: Wanted) -> Result<Self, String> {
        let limit = wanted.limit.unwrap_or(PAGE);
        if limit == 0 || limit > PAGE_MAX {
            return Err(format!("limit={limit} is out of range: 1 to {PAGE_MAX} is possible"));
        }
        let sort = wanted.sort.unwrap_or_default();
        // The largest and those most asked for are what people look for.
        let usual = if sort == Sort::Md5 { Order::Ascending } else { Order::Descending };
        let path = wanted.path.as_deref().map(|path| Globs::parse(&[path]));
        Ok(Self {
            sort,
            order: wanted.order.unwrap_or(usual),
            sizes: (wanted.min_size.unwrap_or(0), wanted.max_size.unwrap_or(u64::MAX)),
            uses: (wanted.min_uses.unwrap_or(0), wanted.max_uses.unwrap_or(u32::MAX)),
            limit,
            from: wanted.cursor.as_deref().map(|cursor| Place::parse(cursor, sort)).transpose()?,
            path: path.transpose().map_err(|error: GlobError| error.to_string())?,
            wants_paths: wanted.paths,
        })
    }

    /// The digest before which nothing need be looked at; and whether the first that are seen in the order of digests are the page.
    pub(super) fn begin(&self) -> (Option<Md5>, bool) {
        let is_in_order = self.sort == Sort::Md5 && self.order == Order::Ascending;
        (self.from.filter(|_| is_in_order).map(|place| place.md5), is_in_order)
    }

    fn has(&self, object: &ObjectInfo) -> bool {
        (self.sizes.0..=self.sizes.1).contains(&object.size) && (self.uses.0..=self.uses.1).contains(&object.uses)
    }

    fn place(&self, object: &ObjectInfo) -> Place {
        let rank = match self.sort {
            Sort::Md5 => 0,
            Sort::Size => object.size,
            Sort::Uses => u64::from(object.uses),
        };
        Place { rank, md5: object.md5 }
    }

    /// The one that comes later in the list is the greater.
    fn key(&self, place: Place) -> Place {
        match (self.order, self.sort) {
            (Order::Ascending, _) => place,
            (Order::Descending, Sort::Md5) => Place { md5: Md5(place.md5.0.map(|byte| !byte)), ..place },
            (Order::Descending, _) => Place { rank: !place.rank, ..place },
        }
    }
}

impl Place {
    /// `MD5`, or `RANK-MD5`.
    fn parse(cursor: &str, sort: Sort) -> Result<Self, String> {
        let (rank, md5) = match sort {
            Sort::Md5 => (Some(0), cursor),
            Sort::Size | Sort::Uses => {
                cursor.split_once('-').map_or((None, cursor), |(rank, md5)| (rank.parse().ok(), md5))
            }
        };
        let refuse = |why: &str| format!("the cursor is {why}; take it from \"next\", and sort as before");
        let rank = rank.ok_or_else(|| refuse("none of this order"))?;
        Ok(Self { rank, md5: md5.parse().map_err(|error| refuse(&format!("{error}")))? })
    }

    fn text(self, sort: Sort) -> String {
        match sort {
            Sort::Md5 => self.md5.to_string(),
            Sort::Size | Sort::Uses => format!("{}-{}", self.rank, self.md5),
        }
    }
}

impl<'s> Choosing<'s> {
    pub(super) fn new(selection: &'s Selection) -> Self {
        Self { selection, chosen: BinaryHeap::new() }
    }

    /// Looks at one more.
    pub(super) fn see(&mut self, object: ObjectInfo) {
        let selection = self.selection;
        let place = selection.key(selection.place(&object));
        let is_before = selection.from.is_some_and(|from| place < selection.key(from));
        if is_before || !selection.has(&object) {
            return;
        }
        self.chosen.push(Chosen { place, object });
        if self.chosen.len() > selection.limit + 1 {
            self.chosen.pop();
        }
    }

    pub(super) fn is_full(&self) -> bool {
        self.chosen.len() > self.selection.limit
    }

    /// The page, and where the next begins.
    pub(super) fn page(self) -> (Vec<ObjectInfo>, Option<String>) {
        let selection = self.selection;
        let mut objects: Vec<_> = self.chosen.into_sorted_vec().into_iter().map(|chosen| chosen.object).collect();
        let next = objects.get(selection.limit).map(|object| selection.place(object).text(selection.sort));
        objects.truncate(selection.limit);
        (objects, next)
    }
}

impl PartialEq for Chosen {
    fn eq(&self, other: &Self) -> bool {
        self.place == other.place
    }
}

impl Eq for Chosen {}

impl PartialOrd for Chosen {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Chosen {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.place.cmp(&other.place)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Number, size, uses.
    const ALL: [(u8, u64, u32); 6] = [(1, 50, 2), (2, 10, 9), (3, 50, 0), (4, 0, 2), (5, 99, 1), (6, 10, 2)];

    fn object(number: u8, size: u64, uses: u32) -> ObjectInfo {
        ObjectInfo { md5: Md5([number; 16]), sha256: None, size, uses }
    }

    fn page(wanted: Wanted) -> (Vec<u8>, Option<String>) {
        let selection = Selection::new(wanted).unwrap();
        let mut choosing = Choosing::new(&selection);
        ALL.iter().for_each(|(number, size, uses)| choosing.see(object(*number, *size, *uses)));
        let (objects, next) = choosing.page();
        (objects.iter().map(|object| object.md5.0[0]).collect(), next)
    }

    #[test]
    fn pages_follow_each_other_in_every_order() {
        for (sort, order, expected) in [
            (Sort::Md5, None, [1, 2, 3, 4, 5, 6]),
            (Sort::Md5, Some(Order::Descending), [6, 5, 4, 3, 2, 1]),
            (Sort::Size, None, [5, 1, 3, 2, 6, 4]),
            (Sort::Size, Some(Order::Ascending), [4, 2, 6, 1, 3, 5]),
            (Sort::Uses, None, [2, 1, 4, 6, 5, 3]),
            (Sort::Uses, Some(Order::Ascending), [3, 5, 1, 4, 6, 2]),
        ] {
            for limit in 1..=7 {
                let (mut found, mut cursor) = (Vec::new(), None);
                loop {
                    let wanted = Wanted { sort: Some(sort), order, limit: Some(limit), cursor, ..Wanted::default() };
                    let (numbers, next) = page(wanted);
                    assert!(numbers.len() == limit || next.is_none());
                    found.extend(numbers);
                    cursor = next;
                    if cursor.is_none() {
                        break;
                    }
                }
                assert_eq!(found, expected, "{sort:?} {order:?}, {limit} at a time");
            }
        }
    }

    #[test]
    fn only_what_is_asked_for_is_listed() {
        let wanted = |min_size, max_size, min_uses, max_uses| {
            page(Wanted { min_size, max_size, min_uses, max_uses, ..Wanted::default() }).0
        };
        assert_eq!(wanted(Some(10), Some(50), None, None), [1, 2, 3, 6]);
        assert_eq!(wanted(None, None, Some(2), None), [1, 2, 4, 6]);
        assert_eq!(wanted(Some(10), None, None, Some(2)), [1, 3, 5, 6]);
        assert_eq!(wanted(Some(100), None, None, None), [0; 0]);
    }

    #[test]
    fn what_makes_no_sense_is_said() {
        let refused = |wanted: Wanted| Selection::new(wanted).unwrap_err();
        for limit in [0, 1001] {
            assert!(refused(Wanted { limit: Some(limit), ..Wanted::default() }).contains("out of range"));
        }
        for (sort, cursor) in [
            (Sort::Md5, "x"),
            (Sort::Size, "01010101010101010101010101010101"),
            (Sort::Size, "x-01010101010101010101010101010101"),
            (Sort::Uses, "5-"),
        ] {
            let wanted = Wanted { sort: Some(sort), cursor: Some(cursor.into()), ..Wanted::default() };
            assert!(refused(wanted).contains("the cursor is"), "{cursor}");
        }
        assert!(!refused(Wanted { path: Some("/a/[".into()), ..Wanted::default() }).is_empty());
    }
}
