//! Prints `docs/config.md`.

fn main() {
    print!("{}", config::reference::markdown());
}
