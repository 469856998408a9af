//! Who waits for the line, and who is next: what a client waits for before what nobody waits for, and in each class who came first. A preload
//! that waits for long has a turn all the same. Pure.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use crate::fetch::urgency::{Class, Urgency};

/// Whoever waits, by a number of its own.
pub(super) type Ticket = u64;

/// Those who wait, in the order in which they came. They are connections and reads of files, which `fills_max` and the limits of those bound.
#[derive(Debug, Default)]
pub(super) struct Order {
    waiting: Vec<Place>,
}

#[derive(Debug)]
struct Place {
    ticket: Ticket,
    /// Asked anew each time, for it may rise meanwhile.
    urgency: Arc<Urgency>,
    since: Instant,
}

impl Order {
    /// Takes the last place, unless it has one already.
    pub(super) fn join(&mut self, ticket: Ticket, urgency: &Arc<Urgency>, now: Instant) {
        if !self.waiting.iter().any(|place| place.ticket == ticket) {
            self.waiting.push(Place { ticket, urgency: urgency.clone(), since: now });
        }
    }

    /// Gives its place away.
    pub(super) fn leave(&mut self, ticket: Ticket) {
        self.waiting.retain(|place| place.ticket != ticket);
    }

    /// Who is next; a preload that has waited for `preload_wait_max`, if it `may` go, before clients.
    pub(super) fn next(
        &self,
        now: Instant,
        preload_wait_max: Duration,
        may: impl Fn(Class) -> bool,
    ) -> Option<(Ticket, Class)> {
        let first = |class: Class| self.waiting.iter().find(|place| place.urgency.class() == class);
        let preload = first(Class::Preload);
        let overdue = preload
            .filter(|place| now.saturating_duration_since(place.since) >= preload_wait_max && may(Class::Preload));
        let next = overdue.or_else(|| first(Class::Demand)).or(preload)?;
        Some((next.ticket, next.urgency.class()))
    }

    /// How many wait, of each class.
    pub(super) fn waiting(&self) -> (usize, usize) {
        let demand = self.waiting.iter().filter(|place| place.urgency.class() == Class::Demand).count();
        (demand, self.waiting.len() - demand)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn order(classes: &[Class], begin: Instant) -> Order {
        let mut order = Order::default();
        for (number, class) in classes.iter().enumerate() {
            // A second between them.
            order.join(number as u64, &Arc::new(Urgency::new(*class)), begin + SECOND * number as u32);
        }
        order
    }

    #[test]
    fn clients_go_first_and_preload_has_its_turn() {
        use Class::{Demand, Preload};
        let begin = Instant::now();
        // Who waits, a second one after the other; seconds since the first came; whether a preload may go; who is next.
        for (classes, at, may, expected) in [
            (&[][..], 0, true, None),
            (&[Demand, Demand], 2, true, Some(0)),
            (&[Preload, Demand], 2, true, Some(1)),
            (&[Preload, Preload], 2, true, Some(0)),
            (&[Preload, Demand], 9, true, Some(1)),
            (&[Preload, Demand], 10, true, Some(0)),
            (&[Preload, Demand], 10, false, Some(1)),
            (&[Preload, Preload], 1, false, Some(0)),
            (&[Demand, Preload], 30, true, Some(1)),
        ] {
            let next = order(classes, begin).next(begin + SECOND * at, 10 * SECOND, |_| may);
            assert_eq!(next.map(|(ticket, _)| ticket), expected, "{classes:?} after {at} s, {may}");
        }
    }

    #[test]
    fn a_place_is_kept_and_given_away() {
        let begin = Instant::now();
        let mut order = order(&[Class::Demand, Class::Demand], begin);
        order.join(0, &Arc::new(Urgency::new(Class::Demand)), begin + SECOND);
        assert_eq!(order.waiting(), (2, 0));
        order.leave(0);
        assert_eq!(order.next(begin, SECOND, |_| true), Some((1, Class::Demand)));
        order.join(0, &Arc::new(Urgency::new(Class::Demand)), begin);
        assert_eq!(order.next(begin, SECOND, |_| true), Some((1, Class::Demand)), "who comes again is last");
    }

    #[test]
    fn a_preload_that_a_client_joins_goes_with_those_of_clients() {
        let (begin, joined) = (Instant::now(), Arc::new(Urgency::new(Class::Preload)));
        let mut order = Order::default();
        order.join(7, &joined, begin);
        order.join(8, &Arc::new(Urgency::new(Class::Demand)), begin);
        assert_eq!(order.next(begin, SECOND, |_| true), Some((8, Class::Demand)));
        joined.raise(Class::Demand);
        assert_eq!(order.next(begin, SECOND, |_| true), Some((7, Class::Demand)), "it came first");
        assert_eq!(order.waiting(), (2, 0));
    }
}
