//! A set of pieces. In JSON the base64 of its bytes, the lowest bit first; how many pieces there are is known to who reads it, and
//! [checked](Bitmap::of_len) by it.

use std::{fmt, ops::Range};

use base64::Engine;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::digest::BASE64;

/// Pieces of one content.
pub const PIECES_MAX: u32 = 4096;

const BYTES_MAX: usize = PIECES_MAX as usize / 8;

/// Pieces of one content.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Bitmap {
    len: u32,
    words: Vec<u64>,
}

impl Bitmap {
    /// None of `len` pieces.
    pub fn new(len: u32) -> Self {
        Self { len, words: vec![0; len.div_ceil(64) as usize] }
    }

    /// All of them.
    pub fn full(len: u32) -> Self {
        let mut all = Self { len, words: vec![u64::MAX; len.div_ceil(64) as usize] };
        if let (Some(last), rest @ 1..) = (all.words.last_mut(), len % 64) {
            *last = (1 << rest) - 1;
        }
        all
    }

    /// As it is of a content of `len` pieces; `None` if it has another number of bytes, or a piece beyond them.
    pub fn of_len(mut self, len: u32) -> Option<Self> {
        if self.len.div_ceil(8) != len.div_ceil(8) || self.ones().any(|piece| piece >= len) {
            return None;
        }
        self.len = len;
        Some(self)
    }

    /// Pieces that it tells of.
    #[expect(
        clippy::len_without_is_empty,
        reason = "empty would be a content without pieces, not a set without members"
    )]
    pub fn len(&self) -> u32 {
        self.len
    }

    /// Puts a piece in; one that there is not is left out.
    pub fn set(&mut self, piece: u32) {
        if piece < self.len {
            self.words[piece as usize / 64] |= 1 << (piece % 64);
        }
    }

    /// Takes a piece out.
    pub fn clear(&mut self, piece: u32) {
        if piece < self.len {
            self.words[piece as usize / 64] &= !(1 << (piece % 64));
        }
    }

    /// Whether a piece is in it.
    pub fn get(&self, piece: u32) -> bool {
        piece < self.len && self.words[piece as usize / 64] >> (piece % 64) & 1 == 1
    }

    /// Pieces in it.
    pub fn count(&self) -> u32 {
        self.words.iter().map(|word| word.count_ones()).sum()
    }

    /// Whether all are in it.
    pub fn is_full(&self) -> bool {
        self.count() == self.len
    }

    /// Whether none is.
    pub fn is_none(&self) -> bool {
        self.words.iter().all(|word| *word == 0)
    }

    /// The pieces in it, in order.
    pub fn ones(&self) -> impl Iterator<Item = u32> {
        self.words.iter().zip(0_u32..).flat_map(|(word, at)| bits(*word, at))
    }

    /// The pieces in it that are not in the other one, in order, from one to before another.
    pub fn without<'a>(&'a self, other: &'a Self, within: Range<u32>) -> impl Iterator<Item = u32> + 'a {
        let words = within.start / 64..within.end.min(self.len).div_ceil(64);
        let found = words.flat_map(move |at| {
            let word = self.words[at as usize] & !other.words.get(at as usize).copied().unwrap_or(0);
            bits(word, at)
        });
        found.filter(move |piece| within.contains(piece))
    }

    /// Those in both, of as many pieces as this one tells of.
    pub fn and(&self, other: &Self) -> Self {
        self.with(other, |one, other| one & other)
    }

    /// Those in this one that are not in the other.
    pub fn and_not(&self, other: &Self) -> Self {
        self.with(other, |one, other| one & !other)
    }

    /// Those in either, of as many pieces as this one tells of.
    pub fn or(&self, other: &Self) -> Self {
        let mut all = self.with(other, |one, other| one | other);
        all.cut();
        all
    }

    fn with(&self, other: &Self, join: impl Fn(u64, u64) -> u64) -> Self {
        let others = other.words.iter().copied().chain(std::iter::repeat(0));
        Self { len: self.len, words: self.words.iter().zip(others).map(|(one, other)| join(*one, other)).collect() }
    }

    fn cut(&mut self) {
        if let (Some(last), rest @ 1..) = (self.words.last_mut(), self.len % 64) {
            *last &= (1 << rest) - 1;
        }
    }

    fn bytes(&self) -> Vec<u8> {
        let bytes = self.words.iter().flat_map(|word| word.to_le_bytes());
        bytes.take(self.len.div_ceil(8) as usize).collect()
    }

    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        if bytes.len() > BYTES_MAX {
            return None;
        }
        let word = |bytes: &[u8]| {
            let mut word = [0; 8];
            word[..bytes.len()].copy_from_slice(bytes);
            u64::from_le_bytes(word)
        };
        Some(Self { len: u32::try_from(8 * bytes.len()).ok()?, words: bytes.chunks(8).map(word).collect() })
    }
}

/// The pieces of the word at this place.
fn bits(word: u64, at: u32) -> impl Iterator<Item = u32> {
    let mut left = word;
    std::iter::from_fn(move || {
        let bit = left.trailing_zeros();
        left &= left.wrapping_sub(1);
        (bit < 64).then_some(at * 64 + bit)
    })
}

impl fmt::Debug for Bitmap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {}: ", self.count(), self.len)?;
        f.debug_set().entries(self.ones()).finish()
    }
}

impl Serialize for Bitmap {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&BASE64.encode(self.bytes()))
    }
}

impl<'de> Deserialize<'de> for Bitmap {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(Text)
    }
}

struct Text;

impl de::Visitor<'_> for Text {
    type Value = Bitmap;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a set of pieces")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Bitmap, E> {
        // Looked at before it is decoded, so that nobody makes it take memory.
        let is_short = text.len() <= BYTES_MAX.div_ceil(3) * 4;
        let bytes = is_short.then(|| BASE64.decode(text).ok()).flatten();
        bytes.and_then(|bytes| Bitmap::from_bytes(&bytes)).ok_or_else(|| E::custom("no set of pieces"))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(len: u32, pieces: &[u32]) -> Bitmap {
        let mut set = Bitmap::new(len);
        pieces.iter().for_each(|piece| set.set(*piece));
        set
    }

    #[test]
    fn what_one_lacks_is_found_within_bounds() {
        let (mut one, mut other) = (Bitmap::new(300), Bitmap::new(300));
        [0, 63, 64, 130, 199, 299].into_iter().for_each(|piece| one.set(piece));
        [64, 131, 199].into_iter().for_each(|piece| other.set(piece));
        for (within, expected) in [
            (0..300, &[0, 63, 130, 299][..]),
            (1..300, &[63, 130, 299]),
            (63..64, &[63]),
            (64..130, &[]),
            (100..1_000, &[130, 299]),
            (130..131, &[130]),
            (400..500, &[]),
        ] {
            assert_eq!(one.without(&other, within.clone()).collect::<Vec<_>>(), expected, "{within:?}");
        }
        assert_eq!(one.without(&Bitmap::new(0), 0..300).count(), 6);
    }

    #[test]
    fn the_lowest_bit_comes_first() {
        for (set, text) in [
            (of(0, &[]), r#""""#),
            (of(1, &[0]), r#""AQ==""#),
            (of(8, &[7]), r#""gA==""#),
            (of(10, &[0, 9]), r#""AQI=""#),
            (of(16, &[]), r#""AAA=""#),
        ] {
            assert_eq!(serde_json::to_string(&set).expect("serialises"), text);
            let read: Bitmap = serde_json::from_str(text).expect("reads");
            assert_eq!(read.of_len(set.len()), Some(set));
        }
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let read = |text: &str| serde_json::from_str::<Bitmap>(text);
        for (text, len, fits) in [
            (r#""AQ==""#, 1, true),
            (r#""AQ==""#, 8, true),
            (r#""AQ==""#, 9, false),
            (r#""AQ==""#, 0, false),
            (r#""Ag==""#, 1, false),
            (r#""AQI=""#, 9, false),
            (r#""AQI=""#, 10, true),
            (r#""AQI=""#, 24, false),
        ] {
            assert_eq!(read(text).expect("reads").of_len(len).is_some(), fits, "{text} of {len}");
        }
        let (largest, larger) = (BASE64.encode([255; BYTES_MAX]), BASE64.encode([0; BYTES_MAX + 1]));
        assert!(read(&format!("{largest:?}")).expect("reads").of_len(PIECES_MAX).expect("fits").is_full());
        for text in [&format!("{larger:?}"), "\"*\"", "7", "null", "[1]", &format!("{:?}", "A".repeat(1 << 20))] {
            assert!(read(text).is_err(), "{text:.40}");
        }
    }

    #[test]
    fn what_is_beyond_the_end_is_never_in_it() {
        let mut set = Bitmap::new(65);
        set.set(65);
        set.set(u32::MAX);
        set.clear(u32::MAX);
        assert!(set.is_none() && !set.get(u32::MAX) && !Bitmap::full(65).get(65));
        assert_eq!(set.or(&Bitmap::full(128)), Bitmap::full(65));
        assert_eq!(Bitmap::full(64).and(&Bitmap::full(10)).count(), 10);
        assert!(Bitmap::full(64).is_full() && Bitmap::new(0).is_full() && !Bitmap::new(1).is_full());
    }

    proptest! {
        #[test]
        fn it_is_a_set(
            len in 0..200_u32,
            one in prop::collection::btree_set(0..200_u32, 0..60),
            other in prop::collection::btree_set(0..200_u32, 0..60),
        ) {
            let cut = |set: &std::collections::BTreeSet<u32>| set.iter().copied().filter(|piece| *piece < len).collect::<Vec<_>>();
            let all = |set: &Bitmap| set.ones().collect::<Vec<_>>();
            let (a, b) = (of(len, &cut(&one)), of(len, &cut(&other)));
            prop_assert_eq!(all(&a), cut(&one));
            prop_assert_eq!(a.count() as usize, cut(&one).len());
            prop_assert_eq!(all(&a.and(&b)), cut(&(&one & &other)));
            prop_assert_eq!(all(&a.or(&b)), cut(&(&one | &other)));
            prop_assert_eq!(all(&a.and_not(&b)), cut(&(&one - &other)));
            prop_assert_eq!(a.is_none(), cut(&one).is_empty());
            prop_assert_eq!(a.is_full(), a == Bitmap::full(len));
            let text = serde_json::to_string(&a).expect("serialises");
            prop_assert_eq!(serde_json::from_str::<Bitmap>(&text).expect("reads").of_len(len), Some(a));
        }

        #[test]
        fn of_a_window_those_are_told_that_the_other_lacks(
            lens in (0..200_u32, 0..200_u32),
            one in prop::collection::btree_set(0..200_u32, 0..60),
            other in prop::collection::btree_set(0..200_u32, 0..60),
            window in (0..250_u32, 0..250_u32),
        ) {
            let within = |set: &std::collections::BTreeSet<u32>, len| set.iter().copied().filter(|piece| *piece < len).collect::<Vec<_>>();
            let (one, other) = (within(&one, lens.0), within(&other, lens.1));
            let window = window.0.min(window.1)..window.0.max(window.1);
            let expected: Vec<_> = one.iter().copied().filter(|piece| window.contains(piece) && !other.contains(piece)).collect();
            let (one, other) = (of(lens.0, &one), of(lens.1, &other));
            prop_assert_eq!(one.without(&other, window).collect::<Vec<_>>(), expected);
        }

        #[test]
        fn any_bytes_are_a_set_of_so_many_pieces_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..20), len in 0..170_u32) {
            let text = format!("{:?}", BASE64.encode(&bytes));
            let read = serde_json::from_str::<Bitmap>(&text).expect("few bytes");
            let beyond = (0..8 * bytes.len() as u32).filter(|bit| bytes[*bit as usize / 8] >> (bit % 8) & 1 == 1).any(|bit| bit >= len);
            let set = read.of_len(len);
            prop_assert_eq!(set.is_some(), bytes.len() as u32 == len.div_ceil(8) && !beyond);
            if let Some(set) = set {
                prop_assert!(set.len() == len && set.ones().all(|piece| piece < len));
                prop_assert_eq!(serde_json::to_string(&set).expect("serialises"), text);
            }
        }
    }
}
