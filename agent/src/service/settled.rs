//! The settings in force, and who hears when they change.

use std::sync::Arc;

use config::agent::Settings;
use tokio::sync::watch;

/// The settings in force.
pub(crate) struct Settled(watch::Sender<Arc<Settings>>);

impl Settled {
    pub(super) fn new(settings: Settings) -> Self {
        Self(watch::Sender::new(Arc::new(settings)))
    }

    pub(crate) fn now(&self) -> Arc<Settings> {
        self.0.borrow().clone()
    }

    /// Tells when they change.
    pub(crate) fn renewed(&self) -> watch::Receiver<Arc<Settings>> {
        self.0.subscribe()
    }

    /// From now on these hold.
    pub(super) fn replace(&self, settings: Settings) {
        self.0.send_replace(Arc::new(settings));
    }
}
