//! Requests, objects, transfers and ends once more, by a client that speaks TLS: nothing but the bytes on the wire may differ.
#![expect(clippy::duplicate_mod, reason = "the same tests twice is what this is for")]

use crate::common::tls_options as options;

#[path = "clients.rs"]
mod clients;
#[path = "http2.rs"]
mod http2;
#[path = "http2_hostile.rs"]
mod http2_hostile;
#[path = "lifecycle.rs"]
mod lifecycle;
#[path = "objects.rs"]
mod objects;
#[path = "requests.rs"]
mod requests;
#[path = "slow.rs"]
mod slow;
#[path = "transfers.rs"]
mod transfers;
#[path = "uploads.rs"]
mod uploads;

const OVER_TLS: bool = true;
