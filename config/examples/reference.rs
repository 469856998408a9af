//! Prints `docs/config.md`, or with `origin` or `agent` as its argument `docs/origin-config.md` or `docs/agent-config.md`.

fn main() {
    match std::env::args().nth(1).as_deref() {
        Some("agent") => print!("{}", config::agent::reference::markdown()),
        Some("origin") => print!("{}", config::origin::reference::markdown()),
        _ => print!("{}", config::reference::markdown()),
    }
}
