//! Requests, objects and transfers once more, by a client that speaks TLS: nothing but the bytes on the wire may differ.

#[path = "objects.rs"]
mod objects;
#[path = "requests.rs"]
mod requests;
#[path = "transfers.rs"]
mod transfers;
