//! The watcher of HTTP/2 frames: in one piece or byte by byte it sees the same.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| serve::fuzz::http2_frames(bytes));
