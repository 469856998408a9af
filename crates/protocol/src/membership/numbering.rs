//! Which report is sent: its number, and whether it tells everything.
//!
//! | what happened to the last one | the next one |
//! | --- | --- |
//! | nothing yet | number 1, everything |
//! | it was answered | the next number, what changed |
//! | it was answered with `full` | the next number, everything |
//! | nobody knows whether it arrived | its number again, with what happened since |
//! | what changed is not known any more | the next number, everything |

/// Numbers of reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Numbering {
    /// The last one that was answered.
    answered: u64,
    is_full: bool,
}

impl Default for Numbering {
    fn default() -> Self {
        Self { answered: 0, is_full: true }
    }
}

impl Numbering {
    /// The number of the next.
    pub fn next(&self) -> u64 {
        self.answered + 1
    }

    /// Whether it tells everything.
    pub fn is_full(&self) -> bool {
        self.is_full
    }

    /// It was answered, perhaps with the wish to be told everything.
    pub fn answered(&mut self, full: bool) {
        *self = Self { answered: self.next(), is_full: full };
    }

    /// What changed is not known any more, or was not taken.
    pub fn begin_anew(&mut self) {
        self.is_full = true;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_first_then_what_changed_until_somebody_missed_something() {
        let mut numbering = Numbering::default();
        let mut sent = Vec::new();
        for answer in [Some(false), Some(false), None, Some(true), None, Some(false), Some(false)] {
            sent.push((numbering.next(), numbering.is_full()));
            answer.into_iter().for_each(|full| numbering.answered(full));
        }
        let expected = [(1, true), (2, false), (3, false), (3, false), (4, true), (4, true), (5, false)];
        assert_eq!(sent, expected);
        numbering.begin_anew();
        assert_eq!((numbering.next(), numbering.is_full()), (6, true));
    }
}
