//! Objects that are alike to the policy: asked for about as often, in about such intervals.

use super::ages::{OCTAVES, octave, of_octave};

/// Kinds of objects by how often they were asked for: once, twice, up to 4, 8 and 16 times, more often.
const KINDS: usize = 6;

/// All classes: of what was asked for once no interval is known.
pub(crate) const CLASSES: usize = 1 + (KINDS - 1) * OCTAVES;

/// A class, by its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Class(u8);

impl Class {
    /// Of what was asked for so often, with this mean interval.
    pub(crate) fn of(uses: u8, interval: u64) -> Self {
        let kind = match uses {
            0 | 1 => return Self(0),
            2 => 0,
            3..=4 => 1,
            5..=8 => 2,
            9..=16 => 3,
            _ => 4,
        };
        Self((1 + kind * OCTAVES + octave(interval)) as u8)
    }

    /// All there are.
    pub(crate) fn all() -> impl Iterator<Item = Self> {
        (0..CLASSES).map(|number| Self(number as u8))
    }

    pub(crate) fn number(self) -> usize {
        usize::from(self.0)
    }

    /// How often one of them was asked for again, about, and in what interval.
    pub(crate) fn typical(self) -> (f32, f32) {
        let Some(number) = self.number().checked_sub(1) else { return (0.0, 0.0) };
        let again = [1.0, 2.5, 5.5, 11.0, 23.0][number / OCTAVES];
        (again, of_octave(number % OCTAVES) as f32)
    }
}

const _: () = assert!(CLASSES <= 1 << 8, "a class has a number of eight bits");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_alike_has_one_class() {
        assert_eq!(Class::of(1, 0), Class::of(1, 1000));
        assert_eq!(Class::of(3, 1024), Class::of(4, 2047));
        assert_ne!(Class::of(3, 1024), Class::of(3, 2048));
        assert_ne!(Class::of(2, 1024), Class::of(3, 1024));
        assert_eq!(Class::of(u8::MAX, u64::MAX).number(), CLASSES - 1);
        assert_eq!(Class::all().count(), CLASSES);
    }

    #[test]
    fn a_class_knows_what_it_stands_for() {
        assert_eq!(Class::of(1, 9).typical(), (0.0, 0.0));
        assert_eq!(Class::of(7, 1100).typical(), (5.5, 1536.0));
    }
}
