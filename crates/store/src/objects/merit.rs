//! What the policy knows of an object and concludes from it, as a person can be told: pure.

use crate::{
    history::event::Merit,
    space::evict::{Now, Usage, Worths},
};

/// The policy counts hits per request that an object is kept for, which are few.
const REQUESTS: f32 = 1e6;

pub(crate) fn merit(usage: &Usage, worths: &Worths, now: Now) -> Merit {
    Merit {
        uses: usage.uses().into(),
        age: usage.age(now),
        interval: usage.interval(),
        worth: (worths.of(usage, now) * REQUESTS) as u32,
    }
}
