//! The origin over real sockets: in this process on a free port, and once as the program.

mod belong;
mod catalogue;
mod changes;
mod digests;
mod feed;
mod files;
mod harness;
mod program;
mod registry;
mod sources;
