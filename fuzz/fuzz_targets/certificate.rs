//! From when until when a certificate holds.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let _ = serve::tls::validity::Validity::of(bytes);
});
