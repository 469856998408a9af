//! Every system call that std and tokio lack, each behind a safe function. The only room with `unsafe` in it.
//!
//! It knows files, sockets and memory; it has never heard of objects, HTTP or caches.
#![expect(unsafe_code, reason = "see above: the only room of it")]

pub mod clock;
pub mod copy;
pub mod disk_space;
pub mod engine;
pub mod ktls;
pub mod lease;
pub mod local;
pub mod lock;
pub mod neighbours;
pub mod priority;
pub mod private;
pub mod process;
pub mod receive;
pub mod residency;
pub mod send;
pub mod share;
pub mod swap;
pub mod tcp;
