//! Heads of requests: what is accepted ends where it is said to end.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| serve::fuzz::request_head(bytes));
