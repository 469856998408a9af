//! Read-through: a name becomes content. Decides hit, follow, fill, queue or pass, and where the bytes come from. The request in one screen
//! is `resolve`; outbound connections open only in [`upstream`].
#![forbid(unsafe_code)]

pub mod options;
pub mod status;
pub mod upstream;

mod cache;

pub use cache::Cache;
