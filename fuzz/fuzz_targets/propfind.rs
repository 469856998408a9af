//! Bodies of PROPFIND.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let _ = protocol::webdav::ask::parse(bytes);
});
