//! Buffers between uses. A connection has a query or reply buffer only while something is in it; so ten thousand
//! idle connections hold none, and a busy few keep reusing the same warm memory. What is kept is clients' memory as well:
//! it is counted with their buffers.

/// The size of a fresh buffer, and the most one read asks for.
pub const BUFFER_BYTES: usize = 16 * 1024;

/// Buffers that grew beyond this are not kept.
const KEEP_BYTES_MAX: usize = 4 * BUFFER_BYTES;

/// How many are kept.
const KEEP_MAX: usize = 256;

/// A stack of empty buffers.
#[derive(Default)]
pub struct BufferPool {
    free: Vec<Vec<u8>>,
    bytes: usize,
}

impl BufferPool {
    /// An empty buffer with room.
    #[inline]
    pub fn get(&mut self) -> Vec<u8> {
        match self.free.pop() {
            Some(buffer) => {
                self.bytes -= buffer.capacity();
                buffer
            }
            None => Vec::with_capacity(BUFFER_BYTES),
        }
    }

    /// Gives a buffer back.
    #[inline]
    pub fn put(&mut self, mut buffer: Vec<u8>) {
        let keep = (BUFFER_BYTES..=KEEP_BYTES_MAX).contains(&buffer.capacity());
        if keep && self.free.len() < KEEP_MAX {
            buffer.clear();
            self.bytes += buffer.capacity();
            self.free.push(buffer);
        }
    }

    /// Lets go of half of what is held: called now and then, so that a burst is forgotten.
    pub fn shrink(&mut self) {
        self.free.truncate(self.free.len() / 2);
        self.bytes = self.free.iter().map(Vec::capacity).sum();
    }
}

/// The pools of all clients' buffers.
#[derive(Default)]
pub struct BufferPools {
    /// Buffers for what is received.
    pub queries: BufferPool,
    /// Buffers for what is to be sent.
    pub replies: BufferPool,
}

impl BufferPools {
    /// Bytes of the buffers that are kept.
    #[inline]
    pub fn bytes(&self) -> usize {
        self.queries.bytes + self.replies.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_is_counted() {
        let mut pools = BufferPools::default();
        let (first, second) = (pools.queries.get(), pools.replies.get());
        assert_eq!(pools.bytes(), 0);
        pools.queries.put(first);
        pools.replies.put(second);
        pools.replies.put(Vec::with_capacity(2 * BUFFER_BYTES));
        pools.replies.put(Vec::with_capacity(KEEP_BYTES_MAX + 1));
        pools.replies.put(Vec::new());
        assert_eq!(pools.bytes(), 4 * BUFFER_BYTES);
        assert_eq!(pools.replies.get().capacity(), 2 * BUFFER_BYTES);
        assert_eq!(pools.bytes(), 2 * BUFFER_BYTES);
        pools.queries.shrink();
        assert_eq!(pools.bytes(), BUFFER_BYTES);
        (0..2 * KEEP_MAX).for_each(|_| pools.queries.put(Vec::with_capacity(BUFFER_BYTES)));
        assert_eq!(pools.bytes(), (KEEP_MAX + 1) * BUFFER_BYTES);
    }
}
