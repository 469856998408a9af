//! What is here. A [`row`] is an object or a name, [`rows`] are those of one shard, a [`table`] is all of a kind, also while a part of it is
//! still on disk; [`slots`] are what else is decided under the lock of a shard. A [`record`] is a change of a row, and how both look
//! as bytes; [`sip`] spreads names, [`strays`] are files that no row stands for, [`touched`] what came and went since somebody looked.

pub(crate) mod record;
pub(crate) mod row;
mod rows;
pub(crate) mod sip;
pub(crate) mod slots;
pub(crate) mod strays;
pub(crate) mod table;
pub(crate) mod touched;
