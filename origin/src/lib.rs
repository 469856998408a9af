//! The origin, as a library for its own tests and for whole-system scenarios.
