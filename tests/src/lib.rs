//! Harness for whole-system scenarios.
