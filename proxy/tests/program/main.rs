//! The program as an operator meets it: a child process with its command line, its signals, its admin interface and its messages.

mod access;
mod admin;
mod commands;
mod harness;
mod intake;
mod life;
mod preload;
mod refusals;
