//! Prints `docs/config.md`, or with `origin` as its argument `docs/origin-config.md`.

fn main() {
    match std::env::args().nth(1).as_deref() {
        Some("origin") => print!("{}", config::origin::reference::markdown()),
        _ => print!("{}", config::reference::markdown()),
    }
}
