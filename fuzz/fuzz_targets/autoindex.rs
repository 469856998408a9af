//! Pages that web servers make of folders.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| cache::fuzz::autoindex(bytes));
