//! Chunked bodies: read in one piece or byte by byte, they are the same.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| serve::fuzz::chunked_body(bytes));
