//! Prints `docs/metrics.md`.

fn main() {
    print!("{}", outpost_proxy::metrics_reference());
}
