//! Queues of objects that know their bytes: what FIFO, LRU and their relatives are made of. An object stands in one queue at most.

/// Several doubly linked queues over dense numbers.
pub(crate) struct Queues<const N: usize> {
    /// Neighbours towards the front and towards the back; the last `N` entries are the queues' ends.
    fore: Vec<u32>,
    aft: Vec<u32>,
    /// The queue of each object; `N` if it is in none.
    place: Vec<u8>,
    size: Vec<u64>,
    bytes: [u64; N],
}

impl<const N: usize> Queues<N> {
    pub(crate) fn new(objects: usize) -> Self {
        let ends = || (0..(objects + N) as u32).collect::<Vec<_>>();
        Self { fore: ends(), aft: ends(), place: vec![N as u8; objects], size: vec![0; objects], bytes: [0; N] }
    }

    fn end(&self, queue: usize) -> u32 {
        (self.place.len() + queue) as u32
    }

    /// The queue that an object is in.
    pub(crate) fn place(&self, id: u32) -> Option<usize> {
        Some(usize::from(self.place[id as usize])).filter(|place| *place < N)
    }

    pub(crate) fn size(&self, id: u32) -> u64 {
        self.size[id as usize]
    }

    pub(crate) fn bytes(&self, queue: usize) -> u64 {
        self.bytes[queue]
    }

    /// Puts an object that is in no queue at the front of one.
    pub(crate) fn push(&mut self, queue: usize, id: u32, size: u64) {
        let end = self.end(queue);
        let first = self.aft[end as usize];
        (self.fore[id as usize], self.aft[id as usize]) = (end, first);
        (self.aft[end as usize], self.fore[first as usize]) = (id, id);
        (self.place[id as usize], self.size[id as usize]) = (queue as u8, size);
        self.bytes[queue] += size;
    }

    /// Takes an object out of its queue; its size.
    pub(crate) fn take(&mut self, id: u32) -> u64 {
        let queue = self.place(id).expect("only what is in a queue is taken out");
        let (fore, aft) = (self.fore[id as usize], self.aft[id as usize]);
        (self.aft[fore as usize], self.fore[aft as usize]) = (aft, fore);
        self.place[id as usize] = N as u8;
        self.bytes[queue] -= self.size(id);
        self.size(id)
    }

    /// Moves an object to the front of a queue, also of its own.
    pub(crate) fn move_to(&mut self, queue: usize, id: u32) {
        let size = self.take(id);
        self.push(queue, id, size);
    }

    /// The object at the back of a queue.
    pub(crate) fn last(&self, queue: usize) -> Option<u32> {
        self.object(self.fore[self.end(queue) as usize])
    }

    /// The one before it, towards the front.
    pub(crate) fn before(&self, id: u32) -> Option<u32> {
        self.object(self.fore[id as usize])
    }

    fn object(&self, id: u32) -> Option<u32> {
        Some(id).filter(|id| (*id as usize) < self.place.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_and_bytes_are_kept() {
        let mut queues = Queues::<2>::new(4);
        (0..4).for_each(|id| queues.push(0, id, 10 + u64::from(id)));
        assert_eq!((queues.last(0), queues.bytes(0), queues.last(1)), (Some(0), 46, None));
        queues.move_to(0, 0);
        assert_eq!((queues.last(0), queues.before(1), queues.before(0)), (Some(1), Some(2), None));
        queues.move_to(1, 2);
        assert_eq!((queues.bytes(0), queues.bytes(1), queues.place(2)), (34, 12, Some(1)));
        assert_eq!((queues.take(2), queues.place(2), queues.last(1)), (12, None, None));
        assert_eq!((queues.last(0), queues.before(1), queues.before(3)), (Some(1), Some(3), Some(0)));
    }
}
