//! Waiting for something to become true that others announce.

use std::pin::pin;

use tokio::sync::Notify;

/// Looks again after every `notify_waiters`, until `look` finds something. Dropping the future loses nothing.
pub(crate) async fn until<T>(moved: &Notify, look: impl Fn() -> Option<T>) -> T {
    loop {
        if let Some(found) = look() {
            return found;
        }
        let mut next = pin!(moved.notified());
        next.as_mut().enable();
        // Looked at again after having queued up: a move between the first look and now is not missed.
        if let Some(found) = look() {
            return found;
        }
        next.await;
    }
}
