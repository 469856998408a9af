//! Who asks, where others stand between: [`ranges`] says whose word is taken, `proxy_header` reads it before the first request (PROXY protocol),
//! [`forwarded`] from the fields of each. `census` counts who is here. Pure but for that count; nothing is received here.

pub(crate) mod census;
pub mod forwarded;
pub(crate) mod proxy_header;
pub mod ranges;
