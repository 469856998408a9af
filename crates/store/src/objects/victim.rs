//! Who has to go: what the policy may look at, and what of its choice a person can be told.

use protocol::digest::Md5;

use crate::{
    history::event::{Merit, Others},
    index::{row::md5_hash, table::SHARDS},
    objects::merit::merit,
    shared::Shared,
    space::{
        evict::{Candidate, Now, Pick, Usage, Worths},
        pinned::Pin,
    },
};

/// Objects that are shown to the policy when those it drew may all not go.
const SHOWN_MAX: usize = 32;

/// The sums of objects up to and including each shard, to draw any one of them by number.
pub(crate) struct Census {
    ends: Vec<usize>,
}

/// The object that is worth least of those looked at.
pub(crate) struct Victim {
    pub(crate) md5: Md5,
    /// What the policy knew of it.
    pub(crate) merit: Merit,
    /// The others that were looked at.
    pub(crate) others: Others,
}

/// What the policy has looked at in one round.
#[derive(Default)]
struct Seen(Vec<(Md5, Usage)>);

impl Census {
    fn total(&self) -> usize {
        self.ends.last().copied().unwrap_or(0)
    }

    /// The shard of an object, and its place there.
    fn find(&self, at: usize) -> (usize, usize) {
        let shard = self.ends.partition_point(|end| *end <= at);
        let first = shard.checked_sub(1).map_or(0, |before| self.ends[before]);
        (shard, at - first)
    }
}

impl Seen {
    fn note(&mut self, candidate: &Candidate<Md5>) {
        if !self.0.iter().any(|(md5, _)| *md5 == candidate.key) {
            self.0.push((candidate.key, candidate.usage));
        }
    }

    /// One of them goes.
    fn victim(self, md5: Md5, worths: &Worths, now: Now) -> Victim {
        let (mut gone, mut others) = (Merit::default(), Others { count: 0, least: u32::MAX, most: 0 });
        for (seen, usage) in &self.0 {
            let merit = merit(usage, worths, now);
            if *seen == md5 {
                gone = merit;
            } else {
                let Others { count, least, most } = others;
                others = Others { count: count + 1, least: least.min(merit.worth), most: most.max(merit.worth) };
            }
        }
        if others.count == 0 {
            others = Others::default();
        }
        Victim { md5, merit: gone, others }
    }
}

impl Shared {
    /// How many objects there are in each shard.
    pub(crate) fn census(&self) -> Census {
        let ends = (0..SHARDS).scan(0, |sum, at| {
            *sum += self.objects.shard_at(at).rows.len();
            Some(*sum)
        });
        Census { ends: ends.collect() }
    }

    /// The object that is worth least, of those that may go.
    pub(crate) fn victim(&self, census: &Census, also_read: bool) -> Option<Victim> {
        let (now, mut seen) = (self.clock.now(), Seen::default());
        let chosen = self.evictor.lock().victim(now, census.total(), |pick| {
            let candidate = self.candidate(census, pick, also_read)?;
            seen.note(&candidate);
            Some(candidate)
        });
        match chosen {
            Some(md5) => Some(seen.victim(md5, &self.evictor.lock().worths(), now)),
            // Nearly all is pinned, and who draws at random meets only that.
            None if self.pins.sums.bytes() > 0 => self.hidden_victim(also_read),
            None => None,
        }
    }

    fn candidate(&self, census: &Census, pick: Pick<Md5>, also_read: bool) -> Option<Candidate<Md5>> {
        let (row, is_read) = match pick {
            Pick::At(at) => {
                let (shard, place) = census.find(at);
                let shard = self.objects.shard_at(shard);
                let row = (place < shard.rows.len()).then(|| *shard.rows.at(place as u32))?;
                (row, shard.extra.open.is_read(&row.md5))
            }
            Pick::Known(md5) => {
                let hash = md5_hash(&md5);
                let locked = self.objects.shard(hash, self.clock.now());
                let place = locked.shard.rows.find(hash, |row| row.md5 == md5)?;
                (*locked.shard.rows.at(place), locked.shard.extra.open.is_read(&md5))
            }
        };
        let may_go = row.pin() != Pin::Yes && (also_read || !is_read);
        may_go.then_some(Candidate { key: row.md5, usage: row.usage })
    }

    /// The same of the first few that may go, wherever they are: looks at all rows if need be, shard by shard.
    fn hidden_victim(&self, also_read: bool) -> Option<Victim> {
        let (now, mut seen, mut shown) = (self.clock.now(), Seen::default(), Vec::new());
        for at in 0..SHARDS {
            let shard = self.objects.shard_at(at);
            let may_go = shard.rows.iter().filter(|row| row.pin() != Pin::Yes);
            let unread = may_go.filter(|row| also_read || !shard.extra.open.is_read(&row.md5));
            let left = SHOWN_MAX - shown.len();
            shown.extend(unread.take(left).map(|row| Candidate { key: row.md5, usage: row.usage }));
            if shown.len() == SHOWN_MAX {
                break;
            }
        }
        shown.iter().for_each(|candidate| seen.note(candidate));
        let chosen = self.evictor.lock().victim(now, shown.len(), |pick| match pick {
            Pick::At(at) => shown.get(at).copied(),
            Pick::Known(md5) => shown.iter().find(|candidate| candidate.key == md5).copied(),
        });
        chosen.map(|md5| seen.victim(md5, &self.evictor.lock().worths(), now))
    }
}
