//! outpost-proxy
fn main() {}
