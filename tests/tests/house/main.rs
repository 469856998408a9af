//! The house rules that a machine can check (`ARCHITECTURE.md`, `CONTRIBUTING.md`): what stands where, who may know whom, and what guards each of
//! the invariants.

mod arrows;
mod invariants;
mod messages;
mod source;
mod tidy;
