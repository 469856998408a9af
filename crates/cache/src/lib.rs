//! Read-through: a name becomes content. Decides hit, follow, fill, queue or pass, and where the bytes come from. It sends nothing
//! downstream itself and writes nothing to disk: that is `serve` and `store`. Outbound connections open only in `upstream`.
//!
//! In reading order: `resolve` is the request in one screen; `freshness`, `answer`, `requesters`, `retry` and `health` decide, as pure
//! functions; `flights`, `boarding`, `fly` and `fill` fetch once for all who ask; `pass` and `endpoints` are the rest of what is answered; `record` and
//! `book` are what is known of names; `upstream` is where bytes come from; [`options`] and [`status`] are what goes in and out.
#![forbid(unsafe_code)]

pub mod options;
pub mod status;

mod answer;
mod asked;
mod boarding;
mod book;
mod bounded;
mod cache;
mod endpoints;
mod fill;
mod flights;
mod fly;
mod freshness;
mod health;
mod index;
mod landing;
mod pass;
mod record;
mod representation;
mod requesters;
mod resolve;
mod retry;
mod settings;
mod upstream;
mod visit;

pub use cache::Cache;
