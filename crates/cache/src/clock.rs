//! The clock on the wall, by which schedules go: the system's, or one that a test moves. What is measured or limited goes by the monotonic clock
//! instead, and knows nothing of this one.

use std::time::{Duration, SystemTime};

use tokio::sync::watch;

/// The wall clock may be set, and a machine may sleep: a wait looks again after this.
const LOOK_EVERY: Duration = Duration::from_secs(30);

/// What time it is.
#[derive(Clone, Debug, Default)]
pub enum Clock {
    /// The system's.
    #[default]
    System,
    /// Always what was said last.
    Told(watch::Receiver<SystemTime>),
}

impl Clock {
    /// The time now.
    pub fn now(&self) -> SystemTime {
        match self {
            Self::System => SystemTime::now(),
            Self::Told(time) => *time.borrow(),
        }
    }

    /// Waits until it is so late; for ever, if it never will be. Dropping the future loses nothing.
    pub(crate) async fn until(&self, moment: SystemTime) {
        match self {
            Self::System => {
                while let Ok(left) = moment.duration_since(SystemTime::now()) {
                    // A moment more than the clock's grain, so that it is past when it is looked at.
                    tokio::time::sleep(left.min(LOOK_EVERY) + Duration::from_millis(1)).await;
                }
            }
            Self::Told(time) => {
                if time.clone().wait_for(|now| *now >= moment).await.is_err() {
                    // Who told the time is gone: it stands still.
                    std::future::pending().await
                }
            }
        }
    }
}
