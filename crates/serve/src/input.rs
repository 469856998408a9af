//! Bytes that a client has sent: where the next go, which were read, and where those are that the log refers to. It receives nothing itself.

/// A buffer begins with so much room; few requests are longer.
const INPUT_BYTES: usize = 4 << 10;

/// Received bytes. What lies before the unread bytes stays in place until the next receive: logs refer to it.
pub(crate) struct Input {
    bytes: Vec<u8>,
    start: usize,
    end: usize,
}

impl Input {
    pub(crate) fn new() -> Self {
        Self { bytes: vec![0; INPUT_BYTES], start: 0, end: 0 }
    }

    /// Bytes of memory that it takes.
    pub(crate) fn capacity(&self) -> usize {
        self.bytes.len()
    }

    /// Received and not consumed.
    pub(crate) fn unread(&self) -> &[u8] {
        &self.bytes[self.start..self.end]
    }

    /// Where the unread bytes begin; a reference for [`Input::at`].
    pub(crate) fn position(&self) -> usize {
        self.start
    }

    /// Bytes by their place, read or unread.
    pub(crate) fn at(&self, place: std::ops::Range<usize>) -> &[u8] {
        self.bytes.get(place).unwrap_or_default()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.start == self.end
    }

    /// Takes `len` unread bytes for read.
    pub(crate) fn consume(&mut self, len: usize) {
        self.start = (self.start + len).min(self.end);
    }

    /// Moves unread bytes to the front. Places are void after it.
    pub(crate) fn compact(&mut self) {
        if self.start > 0 {
            self.bytes.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
        }
    }

    /// Room behind the unread bytes, at most until `max` of them are there; grows but does not move.
    pub(crate) fn room(&mut self, max: usize) -> &mut [u8] {
        if self.end == self.bytes.len() {
            let grown = (self.bytes.len() * 2).min(self.start + max).max(self.bytes.len());
            self.bytes.resize(grown, 0);
        }
        let until = (self.start + max).clamp(self.end, self.bytes.len());
        &mut self.bytes[self.end..until]
    }

    /// `len` bytes were put into the room.
    pub(crate) fn received(&mut self, len: usize) {
        self.end = (self.end + len).min(self.bytes.len());
    }

    pub(crate) fn clear(&mut self) {
        self.start = 0;
        self.end = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(input: &mut Input, bytes: &[u8], max: usize) -> usize {
        let room = input.room(max);
        let len = room.len().min(bytes.len());
        room[..len].copy_from_slice(&bytes[..len]);
        input.received(len);
        len
    }

    #[test]
    fn input_keeps_what_was_read_in_place_until_it_is_compacted() {
        let mut input = Input::new();
        put(&mut input, b"abcdef", 100);
        input.consume(4);
        assert_eq!((input.unread(), input.at(1..3)), (&b"ef"[..], &b"bc"[..]));
        input.compact();
        assert_eq!((input.unread(), input.position()), (&b"ef"[..], 0));
    }

    #[test]
    fn input_never_holds_more_than_its_limit() {
        let mut input = Input::new();
        let max = INPUT_BYTES * 3;
        let mut total = 0;
        loop {
            let len = put(&mut input, &[7; 1000], max);
            if len == 0 {
                break;
            }
            total += len;
        }
        assert_eq!((total, input.unread().len()), (max, max));
        let mut small = Input::new();
        while put(&mut small, &[7; 1000], 100) > 0 {}
        assert_eq!(small.unread().len(), 100);
    }
}
