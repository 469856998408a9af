//! A run of bytes inside one object, half open: `start` is in it, `end` is not.

/// `start..end` in bytes of an object. A *span* is a place in a file; a *range* is what a client asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// First byte.
    pub start: u64,
    /// One past the last byte; never below `start`.
    pub end: u64,
}

impl Span {
    /// `start..end`; an end before the start makes an empty span at `start`.
    pub const fn new(start: u64, end: u64) -> Self {
        Self { start, end: if end < start { start } else { end } }
    }

    /// Bytes in it.
    pub const fn len(self) -> u64 {
        self.end - self.start
    }

    /// Whether there is no byte in it.
    pub const fn is_empty(self) -> bool {
        self.end == self.start
    }
}
