//! Orders: what nodes are told to do now, told again whenever their stream begins anew, and followed to their end by what they report. What is open and how it ends is
//! `table`.
//!
//! What an administrator orders is written down before it is told, and survives a restart of the origin. What others wait for (`fetch`) is not: whoever waits asks
//! again, and it is ordered again.

mod table;

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use parking_lot::Mutex;
use protocol::{
    changes::Change,
    digest::Md5,
    enrolment::{Content, Order, OrderState, Stage, Update},
};
use serde::{Deserialize, Serialize};

pub(crate) use self::table::NotGiven;
use self::table::Table;
use crate::members::database::{Database, DatabaseError, Written};

/// How often it is looked for orders of which nothing was heard.
pub(crate) const LOOK_EVERY: Duration = Duration::from_secs(10);

/// Tells one node something, if it listens.
pub(crate) type Tell = Box<dyn Fn(&str, &Change) + Send + Sync>;

/// All of them.
pub(crate) struct Orders {
    /// Held for microseconds, and not while anybody is told or a disk is waited for.
    table: Mutex<Table>,
    database: Arc<Database>,
    tell: Tell,
    salt: u64,
}

/// An order for who asks about it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Shown {
    /// Who is to do it.
    pub(crate) node: String,
    /// What.
    pub(crate) update: Update,
    /// How far it is.
    #[serde(flatten)]
    pub(crate) state: OrderState,
}

/// Why an order was not given.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failed {
    /// A limit.
    #[error(transparent)]
    NotGiven(#[from] NotGiven),
    /// It could not be written down, so nobody was told.
    #[error("this server cannot write down its orders: {0}")]
    Database(#[from] rusqlite::Error),
}

impl Orders {
    /// Those that were written down. `salt` is other on each origin, and with each start.
    pub(crate) fn open(
        database: &Arc<Database>,
        salt: u64,
        tell: Tell,
        now: SystemTime,
    ) -> Result<Self, DatabaseError> {
        let mut table = Table::default();
        database.orders()?.into_iter().for_each(|written| table.restore(written, now));
        Ok(Self { table: Mutex::new(table), database: database.clone(), tell, salt })
    }

    /// Gives an order of an administrator. Blocks: it is written down first.
    pub(crate) fn give(&self, node: &str, update: Update, now: SystemTime) -> Result<u64, Failed> {
        let order = self.table.lock().give(node, update.clone(), now, self.salt)?;
        let id = order.id;
        let state = OrderState { id, state: Stage::Waiting, fetched: 0, total: 0, detail: String::new() };
        let written = Written { node: node.into(), update, given: now, state };
        if let Err(error) = self.database.keep_orders([&written].into_iter()) {
            let state = OrderState { state: Stage::Failed, detail: error.to_string(), ..written.state };
            self.table.lock().reported(node, &[state], now);
            return Err(error.into());
        }
        (self.tell)(node, &Change::Order(order));
        Ok(id)
    }

    /// Has a node fetch what it has not been told to fetch yet.
    pub(crate) fn fetch(&self, node: &str, contents: &[Content], now: SystemTime) {
        let orders = self.table.lock().fetch(node, contents, now, self.salt);
        orders.into_iter().for_each(|order| (self.tell)(node, &Change::Order(order)));
    }

    /// What a node is to be told when its stream begins. What others waited for is given up where all of it `is_elsewhere` by now: the node may have been away, and
    /// would bring over the line once more what one beside it brings. Whoever still waits asks again.
    pub(crate) fn pending(&self, node: &str, is_elsewhere: impl Fn(&Md5) -> bool, now: SystemTime) -> Vec<Order> {
        let is_needless = |order: &Order| match &order.update {
            Update::Contents(contents) => contents.iter().all(|content| is_elsewhere(&content.md5)),
            Update::Everything | Update::Path(_) => false,
        };
        let pending = self.table.lock().pending(node);
        let (needless, pending): (Vec<_>, Vec<_>) = pending.into_iter().partition(is_needless);
        if !needless.is_empty() {
            let ids: Vec<u64> = needless.iter().map(|order| order.id).collect();
            self.table.lock().give_up(&ids, now);
        }
        pending
    }

    /// What a node reports of its orders.
    pub(crate) fn reported(&self, node: &str, states: &[OrderState], now: SystemTime) {
        if states.is_empty() {
            return;
        }
        let ended = self.table.lock().reported(node, states, now);
        self.keep(&ended);
    }

    /// Ends what nothing is heard of. Blocks.
    pub(crate) fn tick(&self, silence: Duration, now: SystemTime) {
        let (failed, forgotten) = self.table.lock().tick(silence, now);
        self.keep(&failed);
        if !forgotten.is_empty()
            && let Err(error) = self.database.forget_orders(&forgotten)
        {
            tracing::error!(%error, "orders that are over cannot be removed from the database of members; they are tried again after a restart");
        }
    }

    /// Writes down how these have ended. Of those that are not, a restart knows no end, and tells them again: nodes know what they have done.
    fn keep(&self, ended: &[u64]) {
        let table = self.table.lock();
        let written = ended.iter().filter_map(|id| table.order(*id));
        let written = written.filter(|written| !matches!(written.update, Update::Contents(_)));
        let written: Vec<Written> = written.map(copy).collect();
        drop(table);
        if !written.is_empty()
            && let Err(error) = self.database.keep_orders(written.iter())
        {
            tracing::error!(%error, "the end of an order cannot be written down; after a restart it is told again");
        }
    }

    /// One that is known.
    pub(crate) fn order(&self, id: u64) -> Option<Shown> {
        self.table.lock().order(id).map(shown)
    }

    /// Those of administrators, the newest first.
    pub(crate) fn newest(&self, max: usize) -> Vec<Shown> {
        let table = self.table.lock();
        let ordered = table.newest().filter(|written| !matches!(written.update, Update::Contents(_)));
        ordered.take(max).map(shown).collect()
    }
}

fn copy(written: &Written) -> Written {
    Written {
        node: written.node.clone(),
        update: written.update.clone(),
        given: written.given,
        state: written.state.clone(),
    }
}

fn shown(written: &Written) -> Shown {
    Shown { node: written.node.to_string(), update: written.update.clone(), state: written.state.clone() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_administrator_ordered_survives_a_restart_and_what_others_wait_for_does_not() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("members.db");
        let told = Arc::new(Mutex::new(Vec::new()));
        let open = || {
            let told = told.clone();
            let tell: Tell = Box::new(move |node, change| told.lock().push((node.to_owned(), change.clone())));
            Orders::open(&Arc::new(Database::open(&path).unwrap()), 7, tell, SystemTime::now()).unwrap()
        };
        let (orders, now) = (open(), SystemTime::now());
        let id = orders.give("a", Update::Path("/prod/office/".into()), now).unwrap();
        let ended = orders.give("b", Update::Everything, now).unwrap();
        let done = OrderState { id: ended, state: Stage::Done, fetched: 5, total: 5, detail: String::new() };
        orders.reported("b", std::slice::from_ref(&done), now);
        let content = Content { md5: Md5([1; 16]), path: "/x".into() };
        orders.fetch("a", &[content], now);
        assert_eq!(told.lock().len(), 3);
        assert_eq!(orders.pending("a", |_| false, now).len(), 2);
        drop(orders);
        let orders = open();
        let pending = orders.pending("a", |_| true, now);
        assert_eq!(pending, [Order { id, update: Update::Path("/prod/office/".into()) }]);
        assert_eq!(orders.order(ended).unwrap().state, done);
        assert_eq!(orders.newest(9).len(), 2);
        let text = serde_json::to_string(&orders.order(id).unwrap()).unwrap();
        assert!(text.contains(r#""node":"a","update":{"path":"/prod/office/"},"id":"#), "{text}");
    }

    #[test]
    fn what_others_waited_for_and_found_elsewhere_is_not_told_to_one_that_was_away() {
        let directory = tempfile::tempdir().unwrap();
        let database = Arc::new(Database::open(&directory.path().join("members.db")).unwrap());
        let (told, now) = (Arc::new(Mutex::new(0)), SystemTime::now());
        let tell: Tell = Box::new({
            let told = told.clone();
            move |_, _| *told.lock() += 1
        });
        let orders = Orders::open(&database, 7, tell, now).unwrap();
        let content = |byte: u8| Content { md5: Md5([byte; 16]), path: format!("/{byte}") };
        let by_hand = orders.give("a", Update::Path("/prod/".into()), now).unwrap();
        orders.fetch("a", &[content(1), content(2)], now);
        let ids = |is_elsewhere: fn(&Md5) -> bool| {
            orders.pending("a", is_elsewhere, now).iter().map(|order| order.id).collect::<Vec<_>>()
        };
        assert_eq!(ids(|md5| md5.0[0] == 1).len(), 2, "not all of it is elsewhere");
        assert_eq!(ids(|_| true), [by_hand]);
        assert_eq!(ids(|_| false), [by_hand], "it was given up");
        // Somebody waits for it again.
        orders.fetch("a", &[content(1)], now);
        assert_eq!((ids(|_| false).len(), *told.lock()), (2, 3));
    }
}
