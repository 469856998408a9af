//! Lists of the digests of pieces that were told or made a moment ago, as they are sent, and for a short while that there is none. Pure: the time is an
//! argument.

use std::{
    collections::{HashMap, VecDeque},
    time::{Duration, Instant},
};

use bytes::Bytes;
use protocol::digest::Md5;

use crate::failure::Failure;

/// Bytes of all lists together.
const BYTES_MAX: usize = 16 << 20;
/// Contents of which something is known.
const CONTENTS_MAX: usize = 4_096;
/// For so long nobody is asked again for a list that was not to be had.
const NONE_FOR: Duration = Duration::from_secs(5);

/// See above.
#[derive(Default)]
pub(crate) struct Lists {
    known: HashMap<Md5, Entry>,
    /// In the order in which they leave; who was asked for meanwhile stays for another turn.
    turns: VecDeque<Md5>,
    bytes: usize,
}

struct Entry {
    what: What,
    was_asked: bool,
}

enum What {
    List(Bytes),
    None(Failure, Instant),
}

impl Lists {
    /// What is known of a content's list.
    pub(crate) fn find(&mut self, md5: &Md5, now: Instant) -> Option<Result<Bytes, Failure>> {
        let entry = self.known.get_mut(md5)?;
        entry.was_asked = true;
        match &entry.what {
            What::List(list) => Some(Ok(list.clone())),
            What::None(failure, until) => (*until > now).then(|| Err(failure.clone())),
        }
    }

    /// Keeps what was found out.
    pub(crate) fn keep(&mut self, md5: &Md5, found: &Result<Bytes, Failure>, now: Instant) {
        let what = match found {
            Ok(list) => What::List(list.clone()),
            Err(failure) => What::None(failure.clone(), now + NONE_FOR),
        };
        self.bytes += what.len();
        match self.known.insert(*md5, Entry { what, was_asked: false }) {
            Some(before) => self.bytes -= before.what.len(),
            None => self.turns.push_back(*md5),
        }
        while self.bytes > BYTES_MAX || self.known.len() > CONTENTS_MAX {
            let Some(first) = self.turns.pop_front() else { return };
            let Some(entry) = self.known.get_mut(&first) else { continue };
            if std::mem::take(&mut entry.was_asked) {
                self.turns.push_back(first);
            } else if let Some(gone) = self.known.remove(&first) {
                self.bytes -= gone.what.len();
            }
        }
    }
}

impl What {
    fn len(&self) -> usize {
        match self {
            Self::List(list) => list.len(),
            Self::None(..) => 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn md5(number: u32) -> Md5 {
        Md5([number.to_be_bytes(); 4].concat().try_into().unwrap())
    }

    fn list(len: usize) -> Result<Bytes, Failure> {
        Ok(vec![7; len].into())
    }

    #[test]
    fn that_there_is_none_is_believed_for_a_moment() {
        let (mut lists, now) = (Lists::default(), Instant::now());
        let none = Err(Failure::no_object(&md5(1)));
        assert!(lists.find(&md5(1), now).is_none());
        lists.keep(&md5(1), &none, now);
        assert!(lists.find(&md5(1), now + NONE_FOR - Duration::from_nanos(1)).is_some_and(|found| found.is_err()));
        assert!(lists.find(&md5(1), now + NONE_FOR).is_none());
        lists.keep(&md5(1), &list(10), now);
        assert!(lists.find(&md5(1), now + NONE_FOR * 1000).is_some_and(|found| found.is_ok()));
        assert_eq!((lists.bytes, lists.turns.len()), (10, 1));
    }

    #[test]
    fn there_is_an_end_to_what_is_kept_and_what_is_asked_for_stays() {
        let (mut lists, now) = (Lists::default(), Instant::now());
        for number in 0..1_000 {
            lists.keep(&md5(number), &list(BYTES_MAX / 10), now);
            assert!(lists.find(&md5(0), now).is_some(), "at {number}");
            assert!(lists.bytes <= BYTES_MAX && lists.known.len() == lists.turns.len());
        }
        assert!(lists.find(&md5(1), now).is_none() && lists.find(&md5(999), now).is_some());
        let none = Err(Failure::no_object(&md5(1)));
        (0..3 * CONTENTS_MAX as u32).for_each(|number| lists.keep(&md5(number), &none, now));
        assert_eq!((lists.known.len(), lists.turns.len(), lists.bytes), (CONTENTS_MAX, CONTENTS_MAX, 0));
        // One that is too large for all of it.
        lists.keep(&md5(7), &list(BYTES_MAX + 1), now);
        assert_eq!((lists.known.len(), lists.bytes), (0, 0));
    }
}
