//! For whom something goes over the line: a client that waits for it, or nobody yet. A flight and its fill share one [`Urgency`], which is
//! raised as soon as a client joins them and never lowered: what a client has waited for once is not put back when it leaves.

use tokio::sync::watch;

/// Who waits for bytes, from the least to the most urgent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Class {
    /// Nobody: they are fetched before somebody asks.
    Preload,
    /// A client.
    Demand,
}

/// The class of a fetch, which may rise while it goes on.
#[derive(Debug)]
pub(crate) struct Urgency(watch::Sender<Class>);

impl Urgency {
    pub(crate) fn new(class: Class) -> Self {
        Self(watch::Sender::new(class))
    }

    pub(crate) fn class(&self) -> Class {
        *self.0.borrow()
    }

    /// From now on it is at least of this class.
    pub(crate) fn raise(&self, class: Class) {
        self.0.send_if_modified(|known| {
            let rises = *known < class;
            *known = class.max(*known);
            rises
        });
    }

    /// Waits until a client waits for it; perhaps for ever.
    pub(crate) async fn demanded(&self) {
        let mut class = self.0.subscribe();
        // The sender is ours, so it cannot be gone.
        let _ = class.wait_for(|class| *class == Class::Demand).await;
    }
}

#[cfg(test)]
mod tests {
    use std::{
        future::Future,
        pin::pin,
        task::{Context, Waker},
    };

    use super::*;

    #[test]
    fn a_class_rises_and_never_falls() {
        for (begun, joined, expected) in [
            (Class::Preload, Class::Preload, Class::Preload),
            (Class::Preload, Class::Demand, Class::Demand),
            (Class::Demand, Class::Preload, Class::Demand),
            (Class::Demand, Class::Demand, Class::Demand),
        ] {
            let urgency = Urgency::new(begun);
            urgency.raise(joined);
            assert_eq!(urgency.class(), expected, "{begun:?} joined by {joined:?}");
        }
    }

    #[test]
    fn who_waits_for_demand_is_woken_by_it_alone() {
        let urgency = Urgency::new(Class::Preload);
        let mut cx = Context::from_waker(Waker::noop());
        let (mut early, mut late) = (pin!(urgency.demanded()), pin!(urgency.demanded()));
        assert!(early.as_mut().poll(&mut cx).is_pending());
        urgency.raise(Class::Preload);
        assert!(early.as_mut().poll(&mut cx).is_pending());
        urgency.raise(Class::Demand);
        assert!(early.as_mut().poll(&mut cx).is_ready());
        assert!(late.as_mut().poll(&mut cx).is_ready(), "who comes later waits for nothing");
    }
}
