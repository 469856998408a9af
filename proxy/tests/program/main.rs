//! The program as an operator meets it: a child process with its command line, its signals, its admin interface and its messages.

mod access;
mod admin;
mod belonging;
mod commands;
mod harness;
mod intake;
mod life;
mod origin;
mod preload;
mod refusals;
