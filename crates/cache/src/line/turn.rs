//! A place on the line: that of one connection, or of one file that is read.

use std::{
    future::{Future, poll_fn},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Instant,
};

use tokio::time::Sleep;

use super::{
    order::Ticket,
    schedule::Verdict,
    shared::{Line, now},
};
use crate::fetch::urgency::Urgency;

/// Turns, one after the other. Dropping it gives the place in the queue away.
#[derive(Debug)]
pub(crate) struct Turns {
    line: Arc<Line>,
    ticket: Ticket,
    waits_since: Option<Instant>,
    /// Until it is to be asked again.
    sleep: Option<Pin<Box<Sleep>>>,
}

impl Turns {
    pub(crate) fn new(line: Arc<Line>) -> Self {
        Self { ticket: line.ticket(), line, waits_since: None, sleep: None }
    }

    pub(crate) fn line(&self) -> &Arc<Line> {
        &self.line
    }

    /// The next turn.
    pub(crate) fn poll(&mut self, urgency: &Arc<Urgency>, context: &mut Context<'_>) -> Poll<()> {
        loop {
            match self.line.ask(self.ticket, urgency, context.waker()) {
                Verdict::Go => {
                    if let Some(since) = self.waits_since.take() {
                        self.line.was_held(now().saturating_duration_since(since));
                    }
                    self.sleep = None;
                    return Poll::Ready(());
                }
                Verdict::Wait => {
                    self.waits_since.get_or_insert_with(now);
                    self.sleep = None;
                    return Poll::Pending;
                }
                Verdict::At(moment) => {
                    self.waits_since.get_or_insert_with(now);
                    let moment = tokio::time::Instant::from_std(moment);
                    let sleep = self.sleep.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(moment)));
                    sleep.as_mut().reset(moment);
                    if sleep.as_mut().poll(context).is_pending() {
                        return Poll::Pending;
                    }
                }
            }
        }
    }

    /// Likewise. Dropping the future gives the place in the queue away: who does not ask must not stand before others.
    pub(crate) async fn next(&mut self, urgency: &Arc<Urgency>) {
        let waiting = Waiting(self);
        poll_fn(|context| waiting.0.poll(urgency, context)).await;
    }

    /// Waits no more.
    pub(crate) fn give_up(&mut self) {
        if self.waits_since.take().is_some() {
            self.sleep = None;
            self.line.leave(self.ticket);
        }
    }
}

impl Drop for Turns {
    fn drop(&mut self) {
        self.give_up();
    }
}

struct Waiting<'a>(&'a mut Turns);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.give_up();
    }
}
