//! Harness for whole-system scenarios: real programs between a scripted upstream and scripted clients, all on loopback.
//!
//! It shares no code with what it tests: heads are read and written, and digests computed, by means of its own, so that
//! a fault in `protocol` cannot hide itself. Everything is blocking and on threads of its own; nothing here waits for
//! ever, and nothing takes the passing of time for proof that something happened.
//!
//! In reading order: [`content`] what is sent, [`script`] how an upstream behaves, [`upstream`] the scripted upstream,
//! [`share`] a directory as upstream, [`client`] the scripted client, [`secure`] one that speaks TLS, [`crowd`] many of them, [`program`] a program as a child process, [`proxy`] and [`origin`]
//! the two we have, [`agent`] what brings files to machines, [`machine`] any of these where it stays at its place, [`wait`] for what other processes do.
#![forbid(unsafe_code)]

pub mod agent;
pub mod client;
pub mod content;
pub mod crowd;
pub mod machine;
pub mod origin;
pub mod program;
pub mod proxy;
pub mod script;
pub mod secure;
pub mod share;
pub mod upstream;
pub mod wait;

mod wire;

/// 1 KiB in bytes.
pub const KIB: u64 = 1 << 10;
/// 1 MiB in bytes.
pub const MIB: u64 = 1 << 20;
