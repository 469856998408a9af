//! For which contents somebody waits, since when, by when those who wait will have come back, and who has been told to fetch it.
//!
//! | | |
//! | --- | --- |
//! | somebody is told that a content is not ready | it is pending, if it was not; the one that nobody has asked for the longest makes room |
//! | somebody is told that it is ready | it is pending no more where nobody has to wait: it is forgotten with time |
//! | a proxy is to fetch it | it is told, and not again for [`GENERATION`] at least, and twice that at most |
//!
//! Nothing depends on what is forgotten here but how soon somebody asks again, or that a proxy is told twice.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    hash::{DefaultHasher, Hash, Hasher},
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::{Duration, SystemTime},
};

use parking_lot::Mutex;
use protocol::{digest::Md5, patience::Spread};

use super::{
    rule::NotReady,
    scene::Standing,
    wait::{self, Asked},
};

/// Contents for which somebody waits.
const CONTENTS_MAX: usize = 20_000;
/// Of a content that nobody has asked for during this time nobody waits any more.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(2 * 3_600);
/// For so long, and then once more for as long, who was told what is remembered. A proxy that has neither fetched it by then nor says that it does is
/// told once more: it may have been restarted.
const GENERATION: Duration = Duration::from_secs(300);
/// Proxies and contents of one generation; of more, the older one is forgotten early.
const TOLD_MAX: usize = 100_000;

/// What is waited for; shared by all who answer.
#[derive(Default)]
pub(crate) struct Pending {
    /// Questions, so that each has a seed of its own.
    questions: AtomicU64,
    /// Held for moments.
    table: Mutex<Table>,
}

#[derive(Default)]
struct Table {
    contents: HashMap<Md5, Content>,
    /// By when they were asked for last, so that the oldest is found.
    by_last: BTreeSet<(SystemTime, Md5)>,
    told: Told,
}

/// Which proxies have been told to fetch what: those of the present generation, and of the one before. Their names are kept as hashes.
#[derive(Default)]
struct Told {
    present: HashSet<(Md5, u64)>,
    before: HashSet<(Md5, u64)>,
    /// When the present one began.
    began: Option<SystemTime>,
}

struct Content {
    since: SystemTime,
    last: SystemTime,
    /// By when those who wait have come back: proxies, and everybody else.
    until: [SystemTime; 2],
}

/// What somebody who has to wait is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Wait {
    /// Seconds.
    pub(crate) retry_after: u64,
    /// Since when somebody waits for it.
    pub(crate) waited: Duration,
    /// Of those who are to fetch it, who has not been told.
    pub(crate) tell: Vec<usize>,
}

impl Pending {
    /// Another one for each question.
    pub(crate) fn seed(&self) -> u64 {
        Spread::new(self.questions.fetch_add(1, Relaxed)).number()
    }

    /// One more waits for a content. `name` tells the name of a proxy by its place.
    pub(crate) fn wait<'n>(
        &self,
        md5: Md5,
        standing: Standing,
        not_ready: &NotReady,
        name: impl Fn(usize) -> &'n str,
        asked: &Asked<'_>,
    ) -> Wait {
        let now = asked.now;
        let mut table = self.table.lock();
        let content = table.touch(md5, now);
        let line = usize::from(standing == Standing::Client);
        let since = content.since;
        let retry_after = wait::moment(not_ready.reason, since, &mut content.until[line], asked);
        let tell = not_ready.tell.iter().copied().filter(|at| table.told.is_new(md5, name(*at), now)).collect();
        Wait { retry_after, waited: now.duration_since(since).unwrap_or_default(), tell }
    }

    /// Who of some proxies has been told to fetch a content, as far as that is remembered. Told of most contents nobody has been: then nothing is looked up.
    pub(crate) fn told<'n>(&self, md5: &Md5, proxies: &[usize], name: impl Fn(usize) -> &'n str) -> Vec<usize> {
        let table = self.table.lock();
        if !table.contents.contains_key(md5) {
            return Vec::new();
        }
        proxies.iter().copied().filter(|at| table.told.has(md5, name(*at))).collect()
    }

    /// For how many contents somebody waits, or has waited not long ago.
    #[cfg(test)]
    fn len(&self) -> usize {
        self.table.lock().contents.len()
    }
}

impl Table {
    /// The entry of a content, new if there is none that counts.
    fn touch(&mut self, md5: Md5, now: SystemTime) -> &mut Content {
        let is_old = |content: &Content| now.duration_since(content.last).is_ok_and(|since| since > FORGOTTEN_AFTER);
        let old = self.contents.get(&md5).map(|content| (content.last, is_old(content)));
        if let Some((last, is_old)) = old {
            self.by_last.remove(&(last, md5));
            if is_old {
                self.contents.remove(&md5);
            }
        } else if self.contents.len() >= CONTENTS_MAX
            && let Some((_, oldest)) = self.by_last.pop_first()
        {
            self.contents.remove(&oldest);
        }
        self.by_last.insert((now, md5));
        let content = self.contents.entry(md5).or_insert_with(|| Content { since: now, last: now, until: [now; 2] });
        content.last = now;
        content
    }
}

impl Told {
    /// Remembers it.
    fn is_new(&mut self, md5: Md5, name: &str, now: SystemTime) -> bool {
        let age = self.began.and_then(|began| now.duration_since(began).ok()).unwrap_or(GENERATION);
        if age >= GENERATION || self.present.len() >= TOLD_MAX {
            self.before = std::mem::take(&mut self.present);
            // Longer than both together: what was told is older than that.
            if age >= GENERATION * 2 {
                self.before.clear();
            }
            self.began = Some(now);
        }
        let key = (md5, hashed(name));
        !self.before.contains(&key) && self.present.insert(key)
    }

    fn has(&self, md5: &Md5, name: &str) -> bool {
        let key = (*md5, hashed(name));
        self.present.contains(&key) || self.before.contains(&key)
    }
}

fn hashed(name: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    name.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::{
        super::{rule::Reason, terms::Terms},
        *,
    };

    const START: SystemTime = SystemTime::UNIX_EPOCH;

    fn at(seconds: u64) -> SystemTime {
        START + Duration::from_secs(seconds)
    }

    fn wait(pending: &Pending, number: u32, tell: &[usize], now: SystemTime) -> Wait {
        let mut md5 = [0; 16];
        md5[..4].copy_from_slice(&number.to_be_bytes());
        let not_ready = NotReady { reason: Reason::Unknown, tell: tell.to_vec() };
        let names = ["p0", "p1", "p2"];
        pending.wait(
            Md5(md5),
            Standing::Client,
            &not_ready,
            |at| names[at],
            &Asked { terms: &Terms::default(), now, seed: 1 },
        )
    }

    #[test]
    fn each_proxy_is_told_once_while_it_is_pending_and_again_when_that_was_long_ago() {
        let pending = Pending::default();
        assert_eq!(wait(&pending, 1, &[0, 1], at(0)).tell, [0, 1]);
        assert_eq!(wait(&pending, 1, &[0, 1, 2], at(1)).tell, [2]);
        assert_eq!(wait(&pending, 2, &[0], at(1)).tell, [0], "another content");
        assert_eq!(wait(&pending, 1, &[0, 1, 2], at(299)).tell, [0_usize; 0]);
        assert_eq!(wait(&pending, 1, &[0, 1, 2], at(301)).tell, [0_usize; 0], "the generation before");
        assert_eq!(wait(&pending, 1, &[0, 1, 2], at(602)).tell, [0, 1, 2]);
        assert_eq!(wait(&pending, 1, &[0], at(10_000)).tell, [0], "nobody has asked for two generations");
    }

    #[test]
    fn it_is_known_who_has_been_told() {
        let pending = Pending::default();
        let told = |pending: &Pending, number: u32| {
            let mut md5 = [0; 16];
            md5[..4].copy_from_slice(&number.to_be_bytes());
            pending.told(&Md5(md5), &[0, 1, 2], |at| ["p0", "p1", "p2"][at])
        };
        assert_eq!(told(&pending, 1), [0_usize; 0]);
        wait(&pending, 1, &[0, 2], at(0));
        assert_eq!((told(&pending, 1), told(&pending, 2)), (vec![0, 2], vec![]));
        wait(&pending, 2, &[1], at(301));
        assert_eq!((told(&pending, 1), told(&pending, 2)), (vec![0, 2], vec![1]), "the generation before");
    }

    #[test]
    fn it_is_known_since_when_somebody_waits() {
        let pending = Pending::default();
        for (second, waited) in [(0, 0), (100, 100), (7_300, 7_300), (14_501, 0), (14_502, 1)] {
            assert_eq!(wait(&pending, 1, &[], at(second)).waited.as_secs(), waited, "at {second}");
        }
        // A clock that is put back.
        assert_eq!(wait(&pending, 1, &[], at(14_000)).waited.as_secs(), 0);
    }

    #[test]
    fn whatever_is_asked_for_it_does_not_grow_beyond_its_limits() {
        let pending = Pending::default();
        for number in 0..CONTENTS_MAX as u32 + 500 {
            wait(&pending, number, &[0, 1, 2], at(0));
            // This one is asked for all the time.
            assert_eq!(wait(&pending, 0, &[], at(u64::from(number) / 100)).waited.as_secs(), u64::from(number) / 100);
        }
        assert_eq!(pending.len(), CONTENTS_MAX);
        for number in 0..TOLD_MAX as u32 {
            wait(&pending, number, &[0, 1, 2], at(1));
        }
        let table = pending.table.lock();
        assert!(table.told.present.len() <= TOLD_MAX && table.told.before.len() <= TOLD_MAX);
        assert_eq!((table.contents.len(), table.by_last.len()), (CONTENTS_MAX, CONTENTS_MAX));
    }
}
