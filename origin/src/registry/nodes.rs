//! Those who have reported, by number, by name and by domain; and what each of them holds, as numbers of contents. It knows no digests.

use std::{collections::BTreeMap, ops::Bound, sync::Arc, time::SystemTime};

use protocol::topology::DomainName;
use roaring::RoaringBitmap;

use super::NodeState;

/// Nodes that are known at once, those that are away among them. Their numbers fit in 16 bits, which sets of them are quickest with.
pub(super) const NODES_MAX: usize = 1 << 16;

/// One of them.
pub(super) struct Node {
    pub(super) state: Arc<NodeState>,
    /// Of the last report that was understood; `None`: the next must be full.
    pub(super) sequence: Option<u64>,
    /// Numbers of contents.
    pub(super) holds: RoaringBitmap,
}

/// All of them.
#[derive(Default)]
pub(super) struct Nodes {
    rows: Vec<Option<Node>>,
    free: Vec<u32>,
    by_name: BTreeMap<Box<str>, u32>,
    by_domain: BTreeMap<DomainName, RoaringBitmap>,
    changed: Changed,
    /// Nobody is away before this: so that a flood of new names does not make each look through all.
    none_away_before: Option<SystemTime>,
}

/// Numbers of nodes that are not in the database as they are here.
#[derive(Clone, Debug, Default)]
pub(super) struct Changed {
    pub(super) states: RoaringBitmap,
    pub(super) holdings: RoaringBitmap,
    pub(super) jobs: RoaringBitmap,
}

impl Nodes {
    pub(super) fn len(&self) -> usize {
        self.by_name.len()
    }

    pub(super) fn find(&self, name: &str) -> Option<u32> {
        self.by_name.get(name).copied()
    }

    pub(super) fn get(&self, number: u32) -> Option<&Node> {
        self.rows.get(number as usize)?.as_ref()
    }

    /// To change what it holds or its number of reports; what is to be written is for the caller to say with `holds_changed`.
    pub(super) fn get_mut(&mut self, number: u32) -> Option<&mut Node> {
        self.rows.get_mut(number as usize)?.as_mut()
    }

    pub(super) fn named(&self, name: &str) -> Option<&Node> {
        self.get(self.find(name)?)
    }

    /// All of them, in no order.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Node> {
        self.rows.iter().flatten()
    }

    /// Those whose names come behind one.
    pub(super) fn behind<'n>(&'n self, name: &str) -> impl Iterator<Item = &'n Node> {
        let behind = (Bound::Excluded(name), Bound::Unbounded);
        self.by_name.range::<str, _>(behind).filter_map(|(_, number)| self.get(*number))
    }

    /// Those of one domain, without those below it.
    pub(super) fn within(&self, domain: &DomainName) -> Option<&RoaringBitmap> {
        self.by_domain.get(domain)
    }

    /// Enters somebody new; answers the number. `None`: there are as many as there may be.
    pub(super) fn add(&mut self, node: Node) -> Option<u32> {
        let number = match self.free.pop() {
            Some(number) => number,
            None if self.rows.len() >= NODES_MAX => return None,
            None => {
                self.rows.push(None);
                (self.rows.len() - 1) as u32
            }
        };
        self.enter(number, node);
        self.changed.states.insert(number);
        self.changed.holdings.insert(number);
        self.changed.jobs.insert(number);
        Some(number)
    }

    fn enter(&mut self, number: u32, node: Node) {
        self.by_name.insert(node.state.name.as_str().into(), number);
        if let Some(domain) = &node.state.domain {
            self.by_domain.entry(domain.clone()).or_default().insert(number);
        }
        self.rows[number as usize] = Some(node);
    }

    /// Something was said of one: `change` is done to its state, but not to its name or its domain.
    pub(super) fn update(&mut self, number: u32, change: impl FnOnce(&mut NodeState)) {
        if let Some(node) = self.get_mut(number) {
            change(Arc::make_mut(&mut node.state));
            self.changed.states.insert(number);
        }
    }

    /// One is in a domain now.
    pub(super) fn move_to(&mut self, number: u32, domain: Option<&DomainName>) {
        let Some(node) = self.get_mut(number).filter(|node| node.state.domain.as_ref() != domain) else { return };
        let before = std::mem::replace(&mut Arc::make_mut(&mut node.state).domain, domain.cloned());
        self.leave_domain(number, before);
        domain.into_iter().for_each(|domain| _ = self.by_domain.entry(domain.clone()).or_default().insert(number));
        self.changed.states.insert(number);
    }

    fn leave_domain(&mut self, number: u32, domain: Option<DomainName>) {
        let Some(domain) = domain else { return };
        if let Some(members) = self.by_domain.get_mut(&domain) {
            members.remove(number);
            if members.is_empty() {
                self.by_domain.remove(&domain);
            }
        }
    }

    /// What one holds has changed.
    pub(super) fn holds_changed(&mut self, number: u32) {
        self.changed.holdings.insert(number);
    }

    /// How its jobs stand has changed.
    pub(super) fn jobs_changed(&mut self, number: u32) {
        self.changed.jobs.insert(number);
    }

    /// Takes one out for good.
    pub(super) fn remove(&mut self, number: u32) -> Option<Node> {
        let node = self.rows.get_mut(number as usize)?.take()?;
        self.by_name.remove(node.state.name.as_str());
        self.leave_domain(number, node.state.domain.clone());
        self.free.push(number);
        self.changed.states.insert(number);
        self.changed.holdings.insert(number);
        self.changed.jobs.insert(number);
        Some(node)
    }

    /// Who is away for the longest time, if anybody is.
    pub(super) fn longest_away(&mut self, now: SystemTime) -> Option<u32> {
        if self.none_away_before.is_some_and(|time| now < time) {
            return None;
        }
        let expiry = |(number, row): (usize, &Option<Node>)| Some((row.as_ref()?.state.expires, number as u32));
        let (expires, number) = self.rows.iter().enumerate().filter_map(expiry).min()?;
        self.none_away_before = Some(expires);
        (expires <= now).then_some(number)
    }

    /// Up to `max` of those that should have reported by a time and have not.
    pub(super) fn away_since(&self, time: SystemTime, max: usize) -> Vec<u32> {
        let is_away = |row: &Option<Node>| row.as_ref().is_some_and(|node| node.state.is_away(time));
        let numbers = self.rows.iter().enumerate().filter(|(_, row)| is_away(row)).map(|(number, _)| number as u32);
        numbers.take(max).collect()
    }

    /// What has changed since the last time: what is written to the database.
    pub(super) fn take_changed(&mut self) -> Changed {
        std::mem::take(&mut self.changed)
    }

    /// It could not be written.
    pub(super) fn put_back_changed(&mut self, changed: &Changed) {
        self.changed.states |= &changed.states;
        self.changed.holdings |= &changed.holdings;
        self.changed.jobs |= &changed.jobs;
    }

    /// How many wait to be written.
    pub(super) fn unwritten(&self) -> u64 {
        (&self.changed.states | &self.changed.holdings | &self.changed.jobs).len()
    }

    /// From the database, in the order of their numbers. `false`: there cannot be such a one.
    pub(super) fn restore(&mut self, number: u32, node: Node) -> bool {
        let at = number as usize;
        if at >= NODES_MAX || at < self.rows.len() || self.find(&node.state.name).is_some() {
            return false;
        }
        self.free.extend(self.rows.len() as u32..number);
        self.rows.resize_with(at + 1, || None);
        self.enter(number, node);
        true
    }
}
