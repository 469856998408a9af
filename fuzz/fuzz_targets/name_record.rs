//! Records of names.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| cache::fuzz::name_record(bytes));
