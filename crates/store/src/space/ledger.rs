//! The ledger of bytes: everything in the directory is in one of its accounts, room is reserved before the first byte comes, and
//! `max_size` and `min_free` hold at every moment. What it does not do is make room: that is eviction's.
//!
//! | account | what | enters | leaves |
//! | --- | --- | --- | --- |
//! | objects | sealed, in whole blocks | commit, adoption | after the unlink |
//! | reserved | fills, with slack for their directories | reserve, grow | commit, suspend, drop |
//! | unlinked | without a name, but somebody reads it | unlink | with the last reader |
//! | parts, quarantine | as named | suspend, rejection | continued, removed |
//! | tables, directories | journal, snapshot; `objects/ab/cd` | as they grow | compaction; when empty |

use std::{path::PathBuf, sync::Arc};

use os::disk_space::DiskSpace;
use parking_lot::Mutex;

use crate::{disk::Disk, options::Limit};

/// What bytes are used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Account {
    Objects,
    Reserved,
    Unlinked,
    Parts,
    Quarantine,
    Tables,
    Directories,
}

const ACCOUNTS: usize = 7;

/// Bytes that a file of this length occupies, in blocks of 4 KiB.
pub(crate) fn on_disk(len: u64) -> u64 {
    len.saturating_add(4095) & !4095
}

/// The sums and limits. Pure: it is told what the disk says.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ledger {
    accounts: [u64; ACCOUNTS],
    /// Of what is reserved, what the file system has not been asked for yet: it still reports these bytes as free.
    unbacked: u64,
    max_size: u64,
    min_free: u64,
}

/// By how many bytes each limit is exceeded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Excess {
    /// Above `max_size`.
    pub(crate) over: u64,
    /// What is missing to `min_free`.
    pub(crate) under: u64,
}

impl Excess {
    /// Bytes that have to go for both.
    pub(crate) fn bytes(self) -> u64 {
        self.over.max(self.under)
    }
}

/// How much of what is missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Short {
    /// It will never fit; an empty cache would take so many bytes.
    Ever { capacity: u64 },
    /// So many bytes have to go first.
    Now { bytes: u64 },
}

impl Ledger {
    fn used(&self) -> u64 {
        self.accounts.iter().sum()
    }

    /// What fills leave alone, so that journal and directories can grow without breaking the limit: a 64th, at most 256 KiB.
    fn headroom(&self) -> u64 {
        (self.max_size / 64).min(256 << 10)
    }

    /// Bytes that cannot be freed by evicting anything.
    fn fixed(&self) -> u64 {
        self.accounts[Account::Tables as usize]
    }

    /// Bytes that an empty cache would take, on a disk with so many bytes available now.
    fn capacity(&self, available: u64) -> u64 {
        let by_size = self.max_size.saturating_sub(self.fixed() + self.headroom());
        let by_disk = (available + self.used() - self.unbacked).saturating_sub(self.min_free + self.fixed());
        by_size.min(by_disk)
    }

    /// Bytes that have to go before `need` more fit; 0 if they fit now.
    fn shortfall(&self, need: u64, available: u64) -> u64 {
        self.excess(need, available).bytes()
    }

    /// The same for bytes that are on the disk already.
    fn shortfall_in_place(&self, need: u64) -> u64 {
        (self.used() + need + self.headroom()).saturating_sub(self.max_size)
    }

    /// By which bytes each limit would be exceeded with `need` more.
    fn excess(&self, need: u64, available: u64) -> Excess {
        let under = (self.min_free + self.unbacked + need).saturating_sub(available);
        Excess { over: self.shortfall_in_place(need), under }
    }

    /// Bytes that could go if they had to.
    fn evictable(&self, pinned: u64) -> u64 {
        let of = |account: Account| self.accounts[account as usize];
        of(Account::Objects).saturating_sub(pinned) + of(Account::Parts) + of(Account::Quarantine)
    }

    fn account(&mut self, account: Account) -> &mut u64 {
        &mut self.accounts[account as usize]
    }

    fn add(&mut self, account: Account, bytes: u64) {
        *self.account(account) += bytes;
    }

    fn sub(&mut self, account: Account, bytes: u64) {
        let balance = self.account(account);
        debug_assert!(*balance >= bytes, "{account:?} goes below zero: {balance} - {bytes}");
        *balance = balance.saturating_sub(bytes);
    }
}

/// The ledger and the disk that it is about. Its lock is the innermost: nothing else is locked under it.
pub(crate) struct Space {
    ledger: Mutex<Ledger>,
    disk: Arc<dyn Disk>,
    root: PathBuf,
}

/// Sums at one moment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sums {
    pub(crate) used: u64,
    pub(crate) reserved: u64,
    pub(crate) unlinked: u64,
    pub(crate) max_size: u64,
    pub(crate) min_free: u64,
}

impl Space {
    pub(crate) fn new(disk: Arc<dyn Disk>, root: PathBuf) -> Arc<Self> {
        Arc::new(Self { ledger: Mutex::default(), disk, root })
    }

    pub(crate) fn disk(&self) -> &Arc<dyn Disk> {
        &self.disk
    }

    /// How full the disk is; when it does not tell, as full as the limits need it to be, for then they cannot be kept.
    pub(crate) fn disk_space(&self) -> DiskSpace {
        self.disk.space(&self.root).unwrap_or(DiskSpace { total: 0, available: 0 })
    }

    /// Sets the limits, resolved against the disk's size. A reason if they make no sense together.
    pub(crate) fn set_limits(&self, max_size: Limit, min_free: Limit) -> Result<(), String> {
        let disk = self.disk_space();
        let (max_size, min_free) = resolve(max_size, min_free, disk.total)?;
        let mut ledger = self.ledger.lock();
        (ledger.max_size, ledger.min_free) = (max_size, min_free);
        Ok(())
    }

    pub(crate) fn sums(&self) -> Sums {
        let ledger = self.ledger.lock();
        Sums {
            used: ledger.used(),
            reserved: ledger.accounts[Account::Reserved as usize],
            unlinked: ledger.accounts[Account::Unlinked as usize],
            max_size: ledger.max_size,
            min_free: ledger.min_free,
        }
    }

    pub(crate) fn balance(&self, account: Account) -> u64 {
        *self.ledger.lock().account(account)
    }

    /// Bytes that an empty cache would take.
    pub(crate) fn capacity(&self) -> u64 {
        let available = self.disk_space().available;
        self.ledger.lock().capacity(available)
    }

    /// By how many bytes the limits are exceeded as things are. Asks the disk.
    pub(crate) fn excess(&self) -> Excess {
        let available = self.disk_space().available;
        self.ledger.lock().excess(0, available)
    }

    /// Bytes that could go if they had to, `pinned` being those that may not.
    pub(crate) fn evictable(&self, pinned: u64) -> u64 {
        self.ledger.lock().evictable(pinned)
    }

    /// Reserves `bytes`, or says what is missing.
    pub(crate) fn reserve(self: &Arc<Self>, bytes: u64) -> Result<Reservation, Short> {
        self.take(bytes)?;
        Ok(Reservation { space: self.clone(), bytes, unbacked: bytes })
    }

    /// Counts `bytes` that are on the disk already and become the cache's: only `max_size` can be against it.
    pub(crate) fn reserve_in_place(self: &Arc<Self>, bytes: u64) -> Result<Reservation, Short> {
        let mut ledger = self.ledger.lock();
        match ledger.shortfall_in_place(bytes) {
            0 => ledger.add(Account::Reserved, bytes),
            short => {
                let capacity = ledger.capacity(u64::MAX / 2);
                return Err(if capacity < bytes { Short::Ever { capacity } } else { Short::Now { bytes: short } });
            }
        }
        drop(ledger);
        Ok(Reservation { space: self.clone(), bytes, unbacked: 0 })
    }

    fn take(&self, bytes: u64) -> Result<(), Short> {
        let available = self.disk_space().available;
        let mut ledger = self.ledger.lock();
        match ledger.shortfall(bytes, available) {
            0 => {
                ledger.add(Account::Reserved, bytes);
                ledger.unbacked += bytes;
                Ok(())
            }
            short => match ledger.capacity(available) {
                capacity if capacity < bytes => Err(Short::Ever { capacity }),
                _ => Err(Short::Now { bytes: short }),
            },
        }
    }

    pub(crate) fn add(&self, account: Account, bytes: u64) {
        self.ledger.lock().add(account, bytes);
    }

    pub(crate) fn sub(&self, account: Account, bytes: u64) {
        self.ledger.lock().sub(account, bytes);
    }

    /// Moves bytes from one account to another.
    pub(crate) fn shift(&self, from: Account, to: Account, bytes: u64) {
        let mut ledger = self.ledger.lock();
        ledger.sub(from, bytes);
        ledger.add(to, bytes);
    }

    /// Adds a difference that may be negative.
    pub(crate) fn correct(&self, account: Account, difference: i64) {
        let mut ledger = self.ledger.lock();
        let balance = ledger.account(account);
        *balance = balance.saturating_add_signed(difference);
    }
}

/// Room that is promised to one fill. Dropping it gives the room back.
pub(crate) struct Reservation {
    space: Arc<Space>,
    bytes: u64,
    unbacked: u64,
}

impl Reservation {
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Reserves more.
    pub(crate) fn grow(&mut self, bytes: u64) -> Result<(), Short> {
        self.space.take(bytes)?;
        self.bytes += bytes;
        self.unbacked += bytes;
        Ok(())
    }

    /// Takes over what was in another account, and is on the disk already.
    pub(crate) fn absorb(&mut self, from: Account, bytes: u64) {
        self.space.shift(from, Account::Reserved, bytes);
        self.bytes += bytes;
    }

    /// The file system was asked for so many bytes more.
    pub(crate) fn back(&mut self, bytes: u64) {
        let bytes = bytes.min(self.unbacked);
        self.unbacked -= bytes;
        self.space.ledger.lock().unbacked -= bytes;
    }

    /// Ends the reservation: `bytes` of it belong to another account from now on, the rest is free.
    pub(crate) fn settle(mut self, to: Account, bytes: u64) {
        let mut ledger = self.space.ledger.lock();
        ledger.sub(Account::Reserved, self.bytes);
        ledger.unbacked -= self.unbacked;
        ledger.add(to, bytes);
        drop(ledger);
        (self.bytes, self.unbacked) = (0, 0);
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        if self.bytes > 0 {
            let mut ledger = self.space.ledger.lock();
            ledger.sub(Account::Reserved, self.bytes);
            ledger.unbacked -= self.unbacked;
        }
    }
}

/// Limits in bytes on a disk of `total` bytes, or why they make no sense.
fn resolve(max_size: Limit, min_free: Limit, total: u64) -> Result<(u64, u64), String> {
    let bytes = |name: &str, limit: Limit| match limit {
        Limit::Percent(percent) if !(0.0..=100.0).contains(&percent) => {
            Err(format!("{name} is {percent}%, which is not between 0% and 100%"))
        }
        limit => Ok(limit.of(total)),
    };
    let (max, free) = (bytes("max_size", max_size)?, bytes("min_free", min_free)?);
    if max == 0 {
        return Err("max_size is 0 bytes, so nothing could be kept; raise it".into());
    }
    if free >= total && total > 0 {
        return Err(format!("min_free is {free} bytes, and the whole disk has {total} bytes; lower it"));
    }
    Ok((max, free))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ledger(used: u64, unbacked: u64, max_size: u64, min_free: u64) -> Ledger {
        let mut ledger = Ledger { unbacked, max_size, min_free, ..Ledger::default() };
        ledger.add(Account::Objects, used - unbacked);
        ledger.add(Account::Reserved, unbacked);
        ledger
    }

    #[test]
    fn both_limits_count() {
        // used, unbacked, max_size, min_free, need, available -> shortfall
        let cases = [
            (0, 0, 60, 0, 60, 1000, 0),
            (0, 0, 60, 0, 61, 1000, 1),
            (50, 0, 60, 0, 20, 1000, 10),
            // A 64th is left alone.
            (0, 0, 6400, 0, 6301, 10_000, 1),
            (90, 0, 1000, 50, 20, 60, 10),
            // Promised bytes that the disk still reports as free are not free.
            (90, 30, 1000, 50, 20, 60, 40),
            (50, 30, 60, 50, 20, 1000, 10),
            (160, 0, 60, 0, 0, 1000, 100),
        ];
        for (used, unbacked, max_size, min_free, need, available, short) in cases {
            assert_eq!(ledger(used, unbacked, max_size, min_free).shortfall(need, available), short);
        }
    }

    #[test]
    fn what_is_on_the_disk_already_needs_no_room_there() {
        let ledger = ledger(50, 0, 100, 20);
        assert_eq!(ledger.shortfall(40, 30), 30);
        assert_eq!(ledger.shortfall_in_place(40), 0);
        assert_eq!(ledger.shortfall_in_place(60), 11);
    }

    #[test]
    fn capacity_is_what_an_empty_cache_would_take() {
        assert_eq!(ledger(50, 0, 6400, 0).capacity(10_000), 6300);
        // 30 available and 50 used, of which none is promised only: 80 less 20 to be left free.
        assert_eq!(ledger(50, 0, 100, 20).capacity(30), 60);
        assert_eq!(ledger(50, 10, 100, 20).capacity(30), 50);
    }

    #[test]
    fn limits_that_make_no_sense_are_refused() {
        assert_eq!(resolve(Limit::Percent(50.0), Limit::Bytes(7), 1000), Ok((500, 7)));
        assert!(resolve(Limit::Percent(101.0), Limit::Bytes(7), 1000).is_err());
        assert!(resolve(Limit::Percent(f64::NAN), Limit::Bytes(7), 1000).is_err());
        assert!(resolve(Limit::Bytes(0), Limit::Bytes(7), 1000).is_err());
        assert!(resolve(Limit::Bytes(10), Limit::Bytes(1000), 1000).is_err());
    }
}
