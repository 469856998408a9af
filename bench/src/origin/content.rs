//! Bytes that both ends can make again: a file's name and a place in it are enough. Made from one pool of random bytes, so that making and
//! comparing them costs next to nothing.

use std::{
    hash::{DefaultHasher, Hash, Hasher},
    sync::OnceLock,
};

/// Each block of a file is a piece of the pool, from a place that name and number of the block decide.
const BLOCK: u64 = 64 << 10;

/// Bytes of the pool.
const POOL: usize = 8 << 20;

/// What a file holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Content {
    seed: u64,
    size: u64,
}

/// Received bytes beside those that were to come.
pub(crate) struct Comparison {
    content: Content,
    at: u64,
    is_right: bool,
}

impl Content {
    /// Of a request target: the size is what stands after the last `/` or `-` of its path. `None` where that is no size.
    pub(crate) fn of(target: &str) -> Option<Self> {
        let path = target.split('?').next()?;
        let size = size(path.rsplit(['/', '-']).next()?)?;
        let mut hasher = DefaultHasher::new();
        target.hash(&mut hasher);
        Some(Self { seed: hasher.finish(), size })
    }

    /// Bytes of the file.
    pub(crate) fn size(&self) -> u64 {
        self.size
    }

    /// A validator that no other file has.
    pub(crate) fn tag(&self) -> String {
        format!("\"{:016x}-{:x}\"", self.seed, self.size)
    }

    /// The bytes from `offset` on, as far as they lie together; none behind the end.
    pub(crate) fn at(&self, offset: u64) -> &'static [u8] {
        let (block, within) = (offset / BLOCK, offset % BLOCK);
        let start = mix(self.seed ^ mix(block)) % (POOL as u64 - BLOCK);
        let end = (self.size.saturating_sub(block * BLOCK)).min(BLOCK);
        if within >= end {
            return &[];
        }
        &pool()[(start + within) as usize..(start + end) as usize]
    }
}

impl Comparison {
    pub(crate) fn new(content: Content) -> Self {
        Self { content, at: 0, is_right: true }
    }

    /// The next bytes that came.
    pub(crate) fn update(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let wanted = self.content.at(self.at);
            let len = wanted.len().min(bytes.len());
            self.is_right &= len > 0 && wanted[..len] == bytes[..len];
            if !self.is_right {
                return;
            }
            self.at += len as u64;
            bytes = &bytes[len..];
        }
    }

    /// Whether every byte came, and was right.
    pub(crate) fn is_whole(&self) -> bool {
        self.is_right && self.at == self.content.size
    }
}

/// `1000`, `16k`, `256m`, `1g`: in steps of 1024.
pub(crate) fn size(text: &str) -> Option<u64> {
    let digits = text.trim_end_matches(['k', 'm', 'g']);
    let shift = match &text[digits.len()..] {
        "" => 0,
        "k" => 10,
        "m" => 20,
        "g" => 30,
        _ => return None,
    };
    digits.parse::<u64>().ok()?.checked_mul(1 << shift)
}

fn pool() -> &'static [u8] {
    static POOL_BYTES: OnceLock<Vec<u8>> = OnceLock::new();
    POOL_BYTES.get_or_init(|| (0..POOL as u64 / 8).flat_map(|number| mix(number).to_le_bytes()).collect())
}

/// The finisher of SplitMix64.
fn mix(value: u64) -> u64 {
    let value = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whole(content: &Content) -> Vec<u8> {
        let mut bytes = Vec::new();
        while (bytes.len() as u64) < content.size {
            bytes.extend_from_slice(content.at(bytes.len() as u64));
        }
        bytes
    }

    #[test]
    fn a_target_says_its_size() {
        let table = [
            ("/1000", Some(1000)),
            ("/cold/run-1/256m", Some(256 << 20)),
            ("/a-16k?x=7", Some(16 << 10)),
            ("/1g", Some(1 << 30)),
            ("/", None),
            ("/index.html", None),
            ("/1kk", None),
            ("/99999999999g", None),
        ];
        for (target, size) in table {
            assert_eq!(Content::of(target).map(|content| content.size()), size, "{target}");
        }
    }

    #[test]
    fn it_is_the_same_from_any_place_and_differs_by_name() {
        let content = Content::of("/a/200000").unwrap();
        let bytes = whole(&content);
        assert_eq!(bytes.len(), 200_000);
        for offset in [0, 1, 65_535, 65_536, 150_000, 199_999] {
            let slice = content.at(offset);
            assert!(bytes[offset as usize..].starts_with(slice) && !slice.is_empty(), "{offset}");
        }
        assert!(content.at(200_000).is_empty() && content.at(1 << 40).is_empty());
        assert_ne!(bytes[..1000], whole(&Content::of("/b/200000").unwrap())[..1000]);
        assert_ne!(bytes[..1000], bytes[65_536..66_536]);
    }

    #[test]
    fn a_comparison_sees_every_difference() {
        let content = Content::of("/a/100000").unwrap();
        let bytes = whole(&content);
        let compared = |bytes: &[u8]| {
            let mut comparison = Comparison::new(content);
            bytes.chunks(777).for_each(|chunk| comparison.update(chunk));
            comparison.is_whole()
        };
        assert!(compared(&bytes));
        assert!(!compared(&bytes[1..]) && !compared(&bytes[..99_999]) && !compared(&[&bytes[..], b"x"].concat()));
        let mut wrong = bytes.clone();
        wrong[70_000] ^= 1;
        assert!(!compared(&wrong));
    }
}
