//! The whole-system scenarios, by what they are about. One test binary, so that `cargo test` links the programs once.

mod harness_itself;
