//! outpost-origin
fn main() {}
