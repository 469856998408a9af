//! Who a client is: headers of the PROXY protocol, `Forwarded` and `X-Forwarded-For`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| serve::fuzz::clients(bytes));
