//! Requests, objects, transfers and ends once more, by a client that speaks TLS: nothing but the bytes on the wire may differ.
#![allow(clippy::duplicate_mod, reason = "each file brings the common helpers along, as it does when it stands alone")]

#[path = "lifecycle.rs"]
mod lifecycle;
#[path = "objects.rs"]
mod objects;
#[path = "requests.rs"]
mod requests;
#[path = "transfers.rs"]
mod transfers;
