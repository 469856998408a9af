//! Orders that one has been given, until their end has been told.
//!
//! | an order | leaves by |
//! | --- | --- |
//! | open | its end |
//! | ended, not told | a report with its end that was answered |
//! | ended, told | being one of the oldest; until then it is known, and not done a second time. Given once more, its end is told once more |

use std::collections::{BTreeMap, VecDeque};

use crate::enrolment::{OrderState, Stage};

/// Orders that may be open at once; one more fails at once.
pub const OPEN_MAX: usize = 256;
/// Orders whose end is remembered.
pub const ENDED_MAX: usize = 1024;

/// Orders of one report; others are told with the next.
const TOLD_MAX: usize = 512;

/// What is to be done with an order that came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Given {
    /// It.
    New,
    /// Nothing: it is being done, or was.
    Known,
    /// Nothing: it has failed, for there are too many.
    TooMany,
}

/// All orders that are known.
#[derive(Clone, Debug, Default)]
pub struct Ledger {
    open: BTreeMap<u64, OrderState>,
    ended: VecDeque<Ended>,
}

#[derive(Clone, Debug)]
struct Ended {
    state: OrderState,
    is_told: bool,
}

impl Ledger {
    /// An order came.
    pub fn give(&mut self, id: u64) -> Given {
        if self.open.contains_key(&id) {
            return Given::Known;
        }
        if let Some(ended) = self.ended.iter_mut().find(|ended| ended.state.id == id) {
            ended.is_told = false;
            return Given::Known;
        }
        let waiting = OrderState { id, state: Stage::Waiting, fetched: 0, total: 0, detail: String::new() };
        if self.open.len() >= OPEN_MAX {
            let detail = format!("{OPEN_MAX} orders are being done already; give it again when some have ended");
            self.end(OrderState { state: Stage::Failed, detail, ..waiting });
            return Given::TooMany;
        }
        self.open.insert(id, waiting);
        Given::New
    }

    /// How far one is. `true` if others wait for that: it has begun, or ended. Of an order that is not open nothing is taken.
    pub fn is_at(&mut self, state: OrderState) -> bool {
        let Some(known) = self.open.get_mut(&state.id) else { return false };
        if state.state.is_end() {
            self.open.remove(&state.id);
            self.end(state);
            return true;
        }
        let is_next = known.state != state.state;
        *known = state;
        is_next
    }

    fn end(&mut self, state: OrderState) {
        if self.ended.len() >= ENDED_MAX {
            self.ended.pop_front();
        }
        self.ended.push_back(Ended { state, is_told: false });
    }

    /// What a report tells, at most `TOLD_MAX`: those that have ended since, and all that are open.
    pub fn to_tell(&self) -> Vec<OrderState> {
        let ended = self.ended.iter().filter(|ended| !ended.is_told).map(|ended| &ended.state);
        ended.chain(self.open.values()).take(TOLD_MAX).cloned().collect()
    }

    /// A report that told this was answered.
    pub fn told(&mut self, states: &[OrderState]) {
        for ended in self.ended.iter_mut().filter(|ended| states.contains(&ended.state)) {
            ended.is_told = true;
        }
    }

    /// Those that are open.
    pub fn open(&self) -> impl Iterator<Item = &OrderState> {
        self.open.values()
    }

    /// How the last ones ended, the latest first.
    pub fn ended(&self) -> impl Iterator<Item = &OrderState> {
        self.ended.iter().rev().map(|ended| &ended.state)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(id: u64, state: Stage, fetched: u64) -> OrderState {
        OrderState { id, state, fetched, total: 9, detail: String::new() }
    }

    #[test]
    fn an_order_is_done_once_and_told_of_until_its_end_was_heard() {
        let mut ledger = Ledger::default();
        assert_eq!((ledger.give(7), ledger.give(7)), (Given::New, Given::Known));
        assert_eq!(ledger.to_tell()[0].state, Stage::Waiting);
        assert!(ledger.is_at(state(7, Stage::Running, 0)), "it has begun");
        assert!(!ledger.is_at(state(7, Stage::Running, 3)), "a little more is no news");
        let lost = ledger.to_tell();
        assert_eq!(lost, [state(7, Stage::Running, 3)]);
        assert!(ledger.is_at(state(7, Stage::Done, 9)));
        // The report before it is answered late: it did not tell the end.
        ledger.told(&lost);
        let end = ledger.to_tell();
        assert_eq!(end, [state(7, Stage::Done, 9)]);
        ledger.told(&end);
        assert!(ledger.to_tell().is_empty());
        assert!(!ledger.is_at(state(7, Stage::Running, 1)), "it is over");
    }

    #[test]
    fn one_that_is_given_again_after_its_end_is_not_done_again_but_told_again() {
        let mut ledger = Ledger::default();
        ledger.give(7);
        ledger.is_at(state(7, Stage::Failed, 0));
        let end = ledger.to_tell();
        ledger.told(&end);
        assert_eq!(ledger.give(7), Given::Known);
        assert_eq!(ledger.to_tell(), end);
    }

    #[test]
    fn there_is_an_end_to_orders() {
        let mut ledger = Ledger::default();
        (0..OPEN_MAX as u64).for_each(|id| assert_eq!(ledger.give(id), Given::New));
        assert_eq!(ledger.give(9_000), Given::TooMany);
        let refused = ledger.to_tell().into_iter().find(|state| state.id == 9_000).unwrap();
        assert_eq!(refused.state, Stage::Failed);
        for id in 0..2 * ENDED_MAX as u64 {
            ledger.give(10_000 + id);
        }
        let mut ends = 0;
        while let told = ledger.to_tell()
            && told.iter().any(|state| state.state.is_end())
        {
            assert!(told.len() <= TOLD_MAX);
            ends += told.iter().filter(|state| state.state.is_end()).count();
            ledger.told(&told);
        }
        assert_eq!((ends, ledger.to_tell().len()), (ENDED_MAX, OPEN_MAX), "what has ended goes first");
        assert_eq!(ledger.open().count(), OPEN_MAX);
        assert_eq!(ledger.ended().next().unwrap().id, 10_000 + 2 * ENDED_MAX as u64 - 1);
    }
}
