//! `Cache-Status` (RFC 9211) as Outpost writes it; the cache's name is `outpost`.

/// How an answer came about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CacheStatus {
    /// `outpost; hit`
    Hit,
    /// `outpost; fwd=uri-miss; stored`: this request made the fetch begin.
    Stored,
    /// `outpost; fwd=uri-miss; collapsed; stored`: followed a fetch that another request began.
    Collapsed,
    /// `outpost; fwd=stale; fwd-status=304`: was asked for again and had not changed.
    Revalidated,
    /// `outpost; fwd=stale`: the upstream could not be asked; the last good copy.
    Stale,
    /// `outpost; fwd=uri-miss`: passed through, not kept.
    Passed,
}

impl CacheStatus {
    /// The field's value.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Hit => "outpost; hit",
            Self::Stored => "outpost; fwd=uri-miss; stored",
            Self::Collapsed => "outpost; fwd=uri-miss; collapsed; stored",
            Self::Revalidated => "outpost; fwd=stale; fwd-status=304",
            Self::Stale => "outpost; fwd=stale",
            Self::Passed => "outpost; fwd=uri-miss",
        }
    }

    /// One word for logs and counters: `HIT`, `MISS`, `COLLAPSED`, `REVALIDATED`, `STALE`, `PASS`.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Hit => "HIT",
            Self::Stored => "MISS",
            Self::Collapsed => "COLLAPSED",
            Self::Revalidated => "REVALIDATED",
            Self::Stale => "STALE",
            Self::Passed => "PASS",
        }
    }
}
