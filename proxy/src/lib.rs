//! The proxy, as a library for whole-system scenarios.
