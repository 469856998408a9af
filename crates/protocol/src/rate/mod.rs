//! How fast bytes may go: [`Rates`] says how fast at a time of day, as an operator writes it, and [`Bucket`] whether the next bytes may go
//! already. Pure: the moment is an argument, and nothing waits here.

mod bucket;
mod rates;

pub use bucket::Bucket;
pub use rates::{Rates, Rule};
