//! What a name's key says, read back: of which upstream, and by which target below its mount. Written by
//! [`Upstream::key`](crate::upstream::Upstream::key), with what stands for a variant behind a NUL.

use protocol::target::Target;

/// Bytes behind the upstream's name and a NUL that stand for where it is.
const PLACE: usize = 8;

/// The pieces of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Parts<'a> {
    /// The upstream's name, or a server's.
    pub(crate) upstream: &'a str,
    /// The name with what stands for where it is.
    pub(crate) scope: &'a [u8],
    /// Path and query below the mount.
    pub(crate) target: &'a str,
}

impl<'a> Parts<'a> {
    /// `None` if that is no key.
    pub(crate) fn of(key: &'a [u8]) -> Option<Self> {
        let name_len = key.iter().position(|byte| *byte == 0)?;
        let (scope, rest) = key.split_at_checked(name_len + 1 + PLACE)?;
        let target = rest.split(|byte| *byte == 0).next().unwrap_or_default();
        Some(Self {
            upstream: std::str::from_utf8(&key[..name_len]).ok()?,
            scope,
            target: std::str::from_utf8(target).ok()?,
        })
    }

    /// Path and query as clients ask for it where its upstream is mounted.
    pub(crate) fn target_at(&self, mount: &str) -> Option<Target> {
        let full = format!("{}{}", mount.trim_end_matches('/'), self.target);
        Target::parse(full.as_bytes()).ok()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::{names::variant, options::UpstreamOptions, upstream::Upstream};

    #[test]
    fn a_key_says_what_it_was_made_of() {
        for (mount, path, query) in [("/", "/a/b%20c", ""), ("/prod", "/x", "?y=1&z")] {
            let options = UpstreamOptions::new("hq", mount, "http://hq.example/".parse().unwrap());
            let upstream = Upstream::new(options, "outpost", &Arc::default()).unwrap();
            let key = upstream.key(&Target::parse(format!("{path}{query}").as_bytes()).unwrap());
            for key in [key.to_vec(), variant::place(&key, &[0; 16])] {
                let parts = Parts::of(&key).expect("a key");
                assert_eq!((parts.upstream, parts.target), ("hq", &*format!("{path}{query}")));
                assert!(key.starts_with(parts.scope));
                let full = parts.target_at(mount).expect("a target");
                assert_eq!(full.path(), format!("{}{path}", mount.trim_end_matches('/')));
            }
        }
        assert_eq!(Parts::of(b"no key"), None);
        assert_eq!(Parts::of(b"up\x00short"), None);
    }
}
