//! Text that came from elsewhere, as people are shown it: nothing in it that a terminal obeys or that tears a line, and no more than is read.

/// Letters of what is said for people of one thing: of a job, an order, a refusal.
pub const DETAIL_MAX: usize = 300;

/// Without what a terminal would obey.
pub fn plain(text: &str) -> String {
    letters(text).collect()
}

/// Likewise, and as much as is told.
pub fn shortened(text: &str) -> String {
    letters(text).take(DETAIL_MAX).collect()
}

fn letters(text: &str) -> impl Iterator<Item = char> {
    text.chars().map(|letter| if letter.is_control() { ' ' } else { letter })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_a_terminal_obeys_is_left() {
        for (text, expected) in [
            ("", ""),
            ("no place: 5 of 5 are taken", "no place: 5 of 5 are taken"),
            ("\u{1b}[2Jgone\r\nsecond\u{9b}31m", " [2Jgone  second 31m"),
            ("\u{fc}\u{1f600}", "\u{fc}\u{1f600}"),
        ] {
            assert_eq!((plain(text).as_str(), shortened(text).as_str()), (expected, expected), "{text:?}");
        }
    }

    #[test]
    fn letters_are_counted_and_not_bytes() {
        let long = "\u{fc}\n".repeat(DETAIL_MAX);
        assert_eq!(shortened(&long), "\u{fc} ".repeat(DETAIL_MAX / 2));
        assert_eq!(plain(&long).chars().count(), 2 * DETAIL_MAX);
    }
}
