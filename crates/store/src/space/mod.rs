//! Bytes on the disk. [`ledger`] counts them all and promises room beforehand, [`dirs`] and [`quarantine`] look after two of its accounts,
//! [`evict`] is the policy that says which object goes when room is needed. Who makes the room stands above, in `objects`.

pub(crate) mod dirs;
pub(crate) mod evict;
pub(crate) mod ledger;
pub(crate) mod quarantine;
