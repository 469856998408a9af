//! Snapshots of the tables, read through to the last bucket.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| store::fuzz::snapshot(bytes));
