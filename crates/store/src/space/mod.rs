//! Bytes on the disk. [`ledger`] counts them all and promises room beforehand, [`dirs`] and [`quarantine`] look after two of its accounts,
//! [`evict`] is the policy that says which object goes when room is needed, [`pins`] are those that never do, [`pinned`]
//! their sums, [`pressure`] is how fast limits are
//! reached that are exceeded. Who makes the room stands above, in `objects`.

pub(crate) mod dirs;
pub(crate) mod evict;
pub(crate) mod ledger;
pub(crate) mod pinned;
pub(crate) mod pins;
pub(crate) mod pressure;
pub(crate) mod quarantine;
