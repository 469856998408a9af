//! Who asks, and who may. Where others stand between, [`ranges`] says whose word is taken, `proxy_header` reads it before the first request (PROXY
//! protocol), [`forwarded`] from the fields of each. `census` counts who is here. [`access`] says who is served, by address or by network card,
//! which `neighbours` asks the kernel for; `porter` is who keeps these rules. Nothing is received here.

pub mod access;
pub(crate) mod census;
pub mod forwarded;
mod neighbours;
pub(crate) mod porter;
pub(crate) mod proxy_header;
pub mod ranges;
