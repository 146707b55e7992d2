//! Bytes that can be edited where they are.
//!
//! A listpack or an intset is a run of bytes, and it lies in different places: in a `Vec` while it is built, in a node
//! of a tree, in an entry of the keyspace. Its editor asks for one thing only: to make some bytes at some place into
//! fewer or more of them. Whoever owns the bytes decides how that is done, whether they have to be copied for a
//! snapshot first, and how much room is kept to spare.

/// Where an editor of [`super::listpack`] or [`super::intset`] works.
pub trait Buffer {
    /// All the bytes.
    fn bytes(&self) -> &[u8];

    /// All the bytes, to be changed where they are.
    fn in_place(&mut self) -> &mut [u8];

    /// Makes the `removed` bytes at `at` into `added` bytes with any content; what lies behind them moves. Returns all
    /// the bytes, of which the caller writes those that were added.
    ///
    /// # Panics
    ///
    /// When `at + removed` lies behind the end.
    fn reshape(&mut self, at: usize, removed: usize, added: usize) -> &mut [u8];
}

impl Buffer for Vec<u8> {
    #[inline]
    fn bytes(&self) -> &[u8] {
        self
    }

    #[inline]
    fn in_place(&mut self) -> &mut [u8] {
        self
    }

    #[inline]
    fn reshape(&mut self, at: usize, removed: usize, added: usize) -> &mut [u8] {
        let (len, behind) = (self.len(), at + removed);
        if added > removed {
            self.resize(len + (added - removed), 0);
            self.copy_within(behind..len, at + added);
        } else if added < removed {
            self.copy_within(behind..len, at + added);
            self.truncate(len - (removed - added));
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::Buffer;

    #[test]
    fn bytes_become_more_and_fewer() {
        let mut text = b"one two three".to_vec();
        text.reshape(4, 3, 5)[4..9].copy_from_slice(b"2 1/2");
        assert_eq!(text, b"one 2 1/2 three");
        text.reshape(0, 4, 0);
        assert_eq!(text, b"2 1/2 three");
        text.reshape(11, 0, 1)[11] = b'!';
        assert_eq!(text, b"2 1/2 three!");
    }
}
