//! What is known of names: [`record`] is one name's knowledge and [`codec`] its form on disk, [`book`] the table of them, [`key`] reads what their keys say, [`representation`] describes a
//! content in field lines, [`memo`] is what is remembered for moments only. [`imported`] is a content that came by another way, [`vouched`] and [`told`] what an upstream says by itself.
//!
//! RFC 9111, for web servers: [`directives`] reads what an answer says of caching ([`structured`] fields included), [`control`] what a request says; [`storing`]
//! decides with [`lifetime`] whether and for how long an answer is kept, [`lines`] which of its fields, [`variant`] tells the answers of one name apart;
//! [`freshness`] decides at the time of use whether it may be given out, [`renewal`] what a 304 does to it.

pub(crate) mod book;
mod codec;
pub(crate) mod control;
mod directives;
pub(crate) mod freshness;
pub(crate) mod imported;
pub(crate) mod key;
pub(crate) mod lifetime;
pub(crate) mod lines;
pub(crate) mod memo;
pub(crate) mod record;
pub(crate) mod renewal;
pub(crate) mod representation;
pub(crate) mod storing;
mod structured;
pub(crate) mod told;
pub(crate) mod variant;
pub(crate) mod vouched;
