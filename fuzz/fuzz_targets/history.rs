//! The file of the history, and its entries.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| store::fuzz::history(bytes));
