//! Pinned objects: two bits in the row of each, which follow what [`Pins`](crate::space::pins::Pins) says of its content, and how much of that fits.
//! Set under the lock of the object's shard, so that whoever comes last has looked last.

use protocol::digest::Md5;

use crate::{
    index::{
        row::{Object, md5_hash},
        table::SHARDS,
    },
    shared::Shared,
    space::{
        ledger::on_disk,
        pinned::{Pin, pinned_max},
    },
};

impl Shared {
    /// A content has got or lost a name: its object, if it is here, is pinned or not from now on. Answers its bytes if it is.
    pub(crate) fn settle_pin(&self, md5: &Md5) -> Option<u64> {
        let hash = md5_hash(md5);
        let mut locked = self.objects.shard(hash, self.clock.now());
        let place = locked.shard.rows.find(hash, |row| row.md5 == *md5)?;
        let object = locked.shard.rows.at_mut(place);
        self.pin_row(object);
        (object.pin() == Pin::Yes).then(|| on_disk(object.size()))
    }

    /// The same for a row that is in the table, or on its way in under the lock of its shard.
    pub(crate) fn pin_row(&self, object: &mut Object) {
        let bytes = on_disk(object.size());
        let (before, is_wanted) = (object.pin(), self.pins.contains(&object.md5));
        if before == Pin::No && !is_wanted {
            return;
        }
        let after = self.pins.sums.judge(before, is_wanted, bytes, pinned_max(self.space.sums().max_size));
        object.set_pin(after);
        self.pins.sums.moved(before, after, bytes);
    }

    /// A row was taken out of the table.
    pub(crate) fn unpin_row(&self, object: &Object) {
        self.pins.sums.moved(object.pin(), Pin::No, on_disk(object.size()));
    }

    /// `max_size` was changed, or pinned objects went: those that were refused are pinned if they fit now, and what does not fit any more is not.
    /// Blocks for a look at every row.
    pub(crate) fn refit_pins(&self) {
        for at in 0..SHARDS {
            let mut shard = self.objects.shard_at(at);
            shard.rows.iter_mut().filter(|object| object.pin() != Pin::No).for_each(|object| self.pin_row(object));
        }
    }

    /// Whether an object that was refused might fit now.
    pub(crate) fn is_refit_due(&self) -> bool {
        let (refused, bytes) = self.pins.sums.refused();
        let least = bytes.checked_div(refused).unwrap_or(0);
        refused > 0 && self.pins.sums.bytes() + least <= pinned_max(self.space.sums().max_size)
    }
}
