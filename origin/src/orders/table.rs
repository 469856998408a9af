//! Orders and how far they are. Pure: the time is an argument, and nobody is told anything here.
//!
//! | an order | leaves by |
//! | --- | --- |
//! | open | the end that its node reports |
//! | open, and others wait for it | being given up: its node begins anew, and those who wait have found it elsewhere |
//! | open | silence: nothing was heard of it for [`Limits::silence`](SILENCE_MIN) |
//! | ended | [`KEPT`], or being the oldest of more than [`ENDED_MAX`] |

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use protocol::{
    digest::Md5,
    enrolment::{Content, Order, OrderState, Stage, Update},
    membership::OPEN_MAX as NODE_OPEN_MAX,
};

use crate::members::database::Written;

/// Orders that are open at once, of all nodes.
pub(super) const OPEN_MAX: usize = 50_000;
/// Orders that have ended and are still known.
const ENDED_MAX: usize = 10_000;
/// How long they are.
const KEPT: Duration = Duration::from_secs(86_400);
/// An order of which nothing is heard for so long has failed, however seldom nodes report.
pub(super) const SILENCE_MIN: Duration = Duration::from_secs(600);
/// Bytes of the paths in one order: it is told as one event.
const PATH_BYTES_MAX: usize = 32 << 10;
/// Contents of one order.
const CONTENTS_MAX: usize = 256;
/// Bits behind the milliseconds in a number: orders of two origins are not to be taken for the same.
const SALT_BITS: u32 = 11;

/// All of them.
#[derive(Default)]
pub(super) struct Table {
    orders: BTreeMap<u64, Entry>,
    nodes: HashMap<Box<str>, Node>,
    open: usize,
    last: u64,
}

struct Entry {
    written: Written,
    /// When something was heard of it last; at first, when it was given.
    heard: SystemTime,
}

/// What of one node is open.
#[derive(Default)]
struct Node {
    open: BTreeSet<u64>,
    contents: HashSet<Md5>,
}

/// Why an order is not given.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NotGiven {
    /// As many as may be open.
    #[error("{OPEN_MAX} orders are open, which is the limit; wait until some have ended")]
    Full,
    /// Of one node.
    #[error("{NODE_OPEN_MAX} orders of this node are open, which is the limit; wait until some have ended")]
    NodeIsFull,
    /// Longer than one can be told.
    #[error("the path is too long to be ordered; order a folder above it")]
    PathTooLong,
}

impl Table {
    /// Takes what was written down before a restart.
    pub(super) fn restore(&mut self, written: Written, now: SystemTime) {
        self.last = self.last.max(written.state.id);
        self.put(written, now);
    }

    /// Gives an order. `salt` is other on each origin.
    pub(super) fn give(&mut self, node: &str, update: Update, now: SystemTime, salt: u64) -> Result<Order, NotGiven> {
        if matches!(&update, Update::Path(path) if path.len() > PATH_BYTES_MAX) {
            return Err(NotGiven::PathTooLong);
        }
        if self.open >= OPEN_MAX {
            return Err(NotGiven::Full);
        }
        if self.nodes.get(node).is_some_and(|node| node.open.len() >= NODE_OPEN_MAX) {
            return Err(NotGiven::NodeIsFull);
        }
        let id = self.next_id(now, salt);
        let state = OrderState { id, state: Stage::Waiting, fetched: 0, total: 0, detail: String::new() };
        self.put(Written { node: node.into(), update: update.clone(), given: now, state }, now);
        Ok(Order { id, update })
    }

    /// Gives what of these contents has not been ordered of a node, as few orders as can be told. What there is no room for is ordered when it is asked for again.
    pub(super) fn fetch(&mut self, node: &str, contents: &[Content], now: SystemTime, salt: u64) -> Vec<Order> {
        let is_new = |content: &&Content| {
            content.path.len() <= PATH_BYTES_MAX
                && self.nodes.get(node).is_none_or(|node| !node.contents.contains(&content.md5))
        };
        let (mut pieces, mut bytes) = (Vec::<Vec<Content>>::new(), 0);
        let mut seen = HashSet::new();
        for content in contents.iter().filter(is_new).filter(|content| seen.insert(content.md5)) {
            bytes += content.path.len();
            match pieces.last_mut() {
                Some(piece) if piece.len() < CONTENTS_MAX && bytes <= PATH_BYTES_MAX => piece.push(content.clone()),
                _ => {
                    bytes = content.path.len();
                    pieces.push(vec![content.clone()]);
                }
            }
        }
        let give = |piece| self.give(node, Update::Contents(piece), now, salt).ok();
        pieces.into_iter().map_while(give).collect()
    }

    /// What a node reports of its orders. Answers those that have ended with it.
    pub(super) fn reported(&mut self, node: &str, states: &[OrderState], now: SystemTime) -> Vec<u64> {
        let mut ended = Vec::new();
        for state in states {
            let Some(entry) = self.orders.get_mut(&state.id) else { continue };
            // Of another's order nobody takes a word, and what has ended has ended.
            if &*entry.written.node != node || entry.written.state.state.is_end() {
                continue;
            }
            entry.heard = now;
            entry.written.state = state.clone();
            if state.state.is_end() {
                ended.push(state.id);
            }
        }
        ended.iter().for_each(|id| self.close(*id));
        ended
    }

    /// Time has passed. Answers the orders that have failed by it, and those that nobody is told of any more.
    pub(super) fn tick(&mut self, silence: Duration, now: SystemTime) -> (Vec<u64>, Vec<u64>) {
        let silence = silence.max(SILENCE_MIN);
        let age = |moment: SystemTime| now.duration_since(moment).unwrap_or_default();
        let open = self.nodes.values().flat_map(|node| &node.open);
        let silent: Vec<u64> =
            open.filter(|id| self.orders.get(id).is_some_and(|entry| age(entry.heard) >= silence)).copied().collect();
        for id in &silent {
            if let Some(entry) = self.orders.get_mut(id) {
                let minutes = silence.as_secs() / 60;
                entry.written.state.state = Stage::Failed;
                entry.written.state.detail =
                    format!("nothing was heard of it for {minutes} min: the node is away, or does not take orders");
                entry.heard = now;
            }
            self.close(*id);
        }
        (silent, self.drop_old(now))
    }

    fn drop_old(&mut self, now: SystemTime) -> Vec<u64> {
        let ended = self.orders.iter().filter(|(_, entry)| entry.written.state.state.is_end());
        let ended: Vec<(u64, SystemTime)> = ended.map(|(id, entry)| (*id, entry.heard)).collect();
        let too_many = ended.len().saturating_sub(ENDED_MAX);
        let is_old = |heard: SystemTime| now.duration_since(heard).is_ok_and(|age| age >= KEPT);
        let old = ended.iter().enumerate().filter(|(place, (_, heard))| *place < too_many || is_old(*heard));
        let old: Vec<u64> = old.map(|(_, (id, _))| *id).collect();
        old.iter().for_each(|id| drop(self.orders.remove(id)));
        old
    }

    /// These are not to be done any more.
    pub(super) fn give_up(&mut self, ids: &[u64], now: SystemTime) {
        for id in ids {
            let Some(entry) = self.orders.get_mut(id).filter(|entry| !entry.written.state.state.is_end()) else {
                continue;
            };
            entry.written.state.state = Stage::Failed;
            entry.written.state.detail = "others of its domain have it or fetch it by now".into();
            entry.heard = now;
            self.close(*id);
        }
    }

    /// What a node has not ended yet, to be told when its stream begins.
    pub(super) fn pending(&self, node: &str) -> Vec<Order> {
        let open = self.nodes.get(node).into_iter().flat_map(|node| &node.open);
        let entries = open.filter_map(|id| Some((id, &self.orders.get(id)?.written)));
        entries.map(|(id, written)| Order { id: *id, update: written.update.clone() }).collect()
    }

    /// One that is known.
    pub(super) fn order(&self, id: u64) -> Option<&Written> {
        self.orders.get(&id).map(|entry| &entry.written)
    }

    /// All that are known, the newest first.
    pub(super) fn newest(&self) -> impl Iterator<Item = &Written> {
        self.orders.values().rev().map(|entry| &entry.written)
    }

    fn put(&mut self, written: Written, now: SystemTime) {
        let id = written.state.id;
        if !written.state.state.is_end() {
            let node = self.nodes.entry(written.node.clone()).or_default();
            node.open.insert(id);
            if let Update::Contents(contents) = &written.update {
                node.contents.extend(contents.iter().map(|content| content.md5));
            }
            self.open += 1;
        }
        self.orders.insert(id, Entry { written, heard: now });
    }

    /// It is open no more.
    fn close(&mut self, id: u64) {
        let Some(Entry { written, .. }) = self.orders.get(&id) else { return };
        let Some(node) = self.nodes.get_mut(&written.node) else { return };
        if !node.open.remove(&id) {
            return;
        }
        self.open -= 1;
        if let Update::Contents(contents) = &written.update {
            for content in contents {
                node.contents.remove(&content.md5);
            }
        }
        if node.open.is_empty() {
            self.nodes.remove(&written.node);
        }
    }

    /// Milliseconds and a salt: it grows, no restart gives it a second time, and another origin hardly ever gives the same. JSON is exact up to 2^53.
    fn next_id(&mut self, now: SystemTime, salt: u64) -> u64 {
        let since = now.duration_since(UNIX_EPOCH).unwrap_or_default();
        let millis = u64::try_from(since.as_millis()).unwrap_or_default();
        let id = (millis << SALT_BITS) | (salt & ((1 << SALT_BITS) - 1));
        self.last = id.max(self.last + 1);
        self.last
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(1_800_000_000 + seconds)
    }

    fn give(table: &mut Table, node: &str, now: u64) -> u64 {
        table.give(node, Update::Everything, at(now), 7).unwrap().id
    }

    fn state(id: u64, stage: Stage) -> OrderState {
        OrderState { id, state: stage, fetched: 1, total: 2, detail: String::new() }
    }

    fn content(number: u8, path: &str) -> Content {
        Content { md5: Md5([number; 16]), path: path.into() }
    }

    #[test]
    fn an_order_is_pending_until_its_node_reports_its_end() {
        let mut table = Table::default();
        let (id, other) = (give(&mut table, "a", 0), give(&mut table, "b", 0));
        assert!(other > id && other < 1 << 53);
        assert_eq!(table.pending("a"), [Order { id, update: Update::Everything }]);
        assert!(table.reported("b", &[state(id, Stage::Done)], at(1)).is_empty(), "it is another's");
        assert!(table.reported("a", &[state(id, Stage::Running), state(1, Stage::Done)], at(1)).is_empty());
        assert_eq!(table.pending("a").len(), 1, "it is told again: the node may have been started anew");
        assert_eq!(table.reported("a", &[state(id, Stage::Done)], at(2)), [id]);
        assert!(table.pending("a").is_empty());
        assert!(table.reported("a", &[state(id, Stage::Failed)], at(3)).is_empty(), "it has ended");
        assert_eq!(table.order(id).unwrap().state.state, Stage::Done);
        assert_eq!(table.pending("b").len(), 1);
    }

    #[test]
    fn an_order_of_which_nothing_is_heard_fails_and_is_forgotten_later() {
        let mut table = Table::default();
        let (silent, told) = (give(&mut table, "a", 0), give(&mut table, "b", 0));
        table.reported("b", &[state(told, Stage::Running)], at(599));
        let short = Duration::from_secs(1);
        assert_eq!(table.tick(short, at(599)), (vec![], vec![]));
        assert_eq!(table.tick(short, at(600)), (vec![silent], vec![]));
        assert!(table.order(silent).unwrap().state.detail.contains("for 10 min"));
        assert_eq!(
            table.tick(Duration::from_secs(86_400), at(86_000)),
            (vec![], vec![]),
            "those who report seldom have longer"
        );
        let (failed, forgotten) = table.tick(short, at(600 + 86_400));
        assert_eq!((failed, forgotten), (vec![told], vec![silent]));
        assert!(table.order(silent).is_none());
    }

    #[test]
    fn contents_are_ordered_once_and_in_orders_that_can_be_told() {
        let mut table = Table::default();
        let [one, two] = [content(1, "/a"), content(2, "/b")];
        let first = table.fetch("a", &[one.clone(), one.clone()], at(0), 7);
        assert_eq!(first.len(), 1);
        assert_eq!(first[0].update, Update::Contents(vec![one.clone()]));
        let second = table.fetch("a", &[one.clone(), two.clone()], at(0), 7);
        assert_eq!(second[0].update, Update::Contents(vec![two.clone()]), "the other is on its way");
        assert!(table.fetch("a", &[one.clone(), two.clone()], at(0), 7).is_empty());
        assert_eq!(table.fetch("b", std::slice::from_ref(&one), at(0), 7).len(), 1, "another node is another matter");
        table.reported("a", &[state(first[0].id, Stage::Failed)], at(1));
        assert_eq!(table.fetch("a", std::slice::from_ref(&one), at(2), 7).len(), 1, "it failed, and is wanted still");
        let long = format!("/{}", "x".repeat(PATH_BYTES_MAX / 2));
        let many: Vec<_> = (10..20).map(|number| content(number, &long)).collect();
        assert_eq!(table.fetch("c", &many, at(0), 7).len(), 10, "each is an event of its own");
        let few: Vec<_> = (0..=255).map(|number| content(number, "/s")).collect();
        assert_eq!(table.fetch("d", &few, at(0), 7).len(), 1);
        assert!(table.fetch("e", &[content(1, &"x".repeat(PATH_BYTES_MAX + 1))], at(0), 7).is_empty());
    }

    #[test]
    fn orders_are_bounded() {
        let mut table = Table::default();
        for _ in 0..NODE_OPEN_MAX {
            give(&mut table, "a", 0);
        }
        assert_eq!(table.give("a", Update::Everything, at(0), 7), Err(NotGiven::NodeIsFull));
        for number in NODE_OPEN_MAX..OPEN_MAX {
            give(&mut table, &format!("n{}", number / NODE_OPEN_MAX), 0);
        }
        assert_eq!(table.give("z", Update::Everything, at(0), 7), Err(NotGiven::Full));
        assert_eq!(table.tick(SILENCE_MIN, at(601)).0.len(), OPEN_MAX);
        let (_, forgotten) = table.tick(SILENCE_MIN, at(601));
        assert_eq!(forgotten.len(), 0);
        assert_eq!(table.orders.len(), ENDED_MAX, "the oldest are forgotten");
        let long = Update::Path("x".repeat(PATH_BYTES_MAX + 1));
        assert_eq!(table.give("z", long, at(0), 7), Err(NotGiven::PathTooLong));
    }

    #[test]
    fn a_restart_gives_no_number_twice_even_if_the_clock_was_set_back() {
        let mut table = Table::default();
        let id = give(&mut table, "a", 1_000);
        let written = Written {
            node: "a".into(),
            update: Update::Everything,
            given: at(1_000),
            state: state(id, Stage::Waiting),
        };
        let mut again = Table::default();
        again.restore(written, at(0));
        assert_eq!(again.pending("a").len(), 1);
        assert!(give(&mut again, "a", 0) > id);
    }
}
