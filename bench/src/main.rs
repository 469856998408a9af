//! outpost-bench
fn main() {}
