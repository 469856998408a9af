//! A fill while it is not done. [`spec`] is what it was told, [`pipe`] where its bytes go, [`lane`] who hashes them, [`state`] how far it has
//! come, [`extents`] what is here ahead of that, [`error`] why it cannot go on; [`parts`] are those that were interrupted, and [`description`] is the file beside each.
//! Nothing here knows the store; what is done with a fill and the store stands above, in `fill`.

pub(crate) mod description;
pub(crate) mod error;
pub(crate) mod extents;
pub(crate) mod lane;
pub(crate) mod parts;
pub(crate) mod pipe;
pub(crate) mod spec;
pub(crate) mod state;
