//! SipHash-1-3: spreads the keys of names over the table. Keyed with a secret of the directory, for names come from clients and
//! nobody shall be able to choose names that all fall into one bucket. The standard library's hasher is not promised to stay
//! the same between compilers, and the snapshot's buckets are made with this one.

/// The secret of one cache directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SipKey(pub(crate) [u64; 2]);

impl SipKey {
    /// The hash of the bytes under this key.
    pub(crate) fn hash(&self, bytes: &[u8]) -> u64 {
        let [k0, k1] = self.0;
        let mut v = [
            k0 ^ 0x736f_6d65_7073_6575,
            k1 ^ 0x646f_7261_6e64_6f6d,
            k0 ^ 0x6c79_6765_6e65_7261,
            k1 ^ 0x7465_6462_7974_6573,
        ];
        let (words, rest) = bytes.as_chunks::<8>();
        for word in words {
            absorb(&mut v, u64::from_le_bytes(*word));
        }
        let mut last = [0; 8];
        last[..rest.len()].copy_from_slice(rest);
        last[7] = bytes.len() as u8;
        absorb(&mut v, u64::from_le_bytes(last));
        v[2] ^= 0xff;
        for _ in 0..3 {
            round(&mut v);
        }
        v[0] ^ v[1] ^ v[2] ^ v[3]
    }
}

fn absorb(v: &mut [u64; 4], word: u64) {
    v[3] ^= word;
    round(v);
    v[0] ^= word;
}

fn round(v: &mut [u64; 4]) {
    v[0] = v[0].wrapping_add(v[1]);
    v[2] = v[2].wrapping_add(v[3]);
    v[1] = v[1].rotate_left(13) ^ v[0];
    v[3] = v[3].rotate_left(16) ^ v[2];
    v[0] = v[0].rotate_left(32);
    v[2] = v[2].wrapping_add(v[1]);
    v[0] = v[0].wrapping_add(v[3]);
    v[1] = v[1].rotate_left(17) ^ v[2];
    v[3] = v[3].rotate_left(21) ^ v[0];
    v[2] = v[2].rotate_left(32);
}

#[cfg(test)]
mod tests {
    use std::hash::Hasher;

    use super::*;

    #[test]
    fn agrees_with_the_standard_library_under_the_zero_key() {
        // `DefaultHasher::new` is SipHash-1-3 with a zero key in the pinned toolchain; should a later one differ, ours stays.
        let bytes: Vec<u8> = (0..100).collect();
        for len in 0..bytes.len() {
            let mut theirs = std::collections::hash_map::DefaultHasher::new();
            theirs.write(&bytes[..len]);
            assert_eq!(SipKey([0, 0]).hash(&bytes[..len]), theirs.finish(), "{len} bytes");
        }
    }

    #[test]
    fn the_key_matters() {
        assert_ne!(SipKey([1, 2]).hash(b"name"), SipKey([1, 3]).hash(b"name"));
    }
}
