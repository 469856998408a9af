//! What is known of names: [`record`] is one name's knowledge and [`codec`] its form on disk, [`book`] the table of them, [`freshness`]
//! decides whether one may be given out, [`representation`] describes its content in field lines, [`memo`] is what is remembered for moments only.

pub(crate) mod book;
pub(crate) mod codec;
pub(crate) mod freshness;
pub(crate) mod memo;
pub(crate) mod record;
pub(crate) mod representation;
