//! Buffers between uses. A connection has a query or reply buffer only while something is in it; so ten thousand
//! idle connections hold none, and a busy few keep reusing the same warm memory.

/// The size of a fresh buffer, and the most one read asks for.
pub(super) const BUFFER_BYTES: usize = 16 * 1024;

/// Buffers that grew beyond this are not kept.
const KEEP_BYTES_MAX: usize = 4 * BUFFER_BYTES;

/// How many are kept.
const KEEP_MAX: usize = 256;

/// A stack of empty buffers.
#[derive(Default)]
pub(super) struct BufferPool {
    free: Vec<Vec<u8>>,
}

impl BufferPool {
    /// An empty buffer with room.
    #[inline]
    pub(super) fn get(&mut self) -> Vec<u8> {
        self.free.pop().unwrap_or_else(|| Vec::with_capacity(BUFFER_BYTES))
    }

    /// Gives a buffer back.
    #[inline]
    pub(super) fn put(&mut self, mut buffer: Vec<u8>) {
        let keep = (BUFFER_BYTES..=KEEP_BYTES_MAX).contains(&buffer.capacity());
        if keep && self.free.len() < KEEP_MAX {
            buffer.clear();
            self.free.push(buffer);
        }
    }

    /// Lets go of half of what is held: called now and then, so that a burst is forgotten.
    pub(super) fn shrink(&mut self) {
        self.free.truncate(self.free.len() / 2);
    }
}
