//! An argument that lives outside the query buffer: a long one, received into pieces.
//!
//! Whoever stores a long string takes the pieces as they are ([`LargeArg::pieces`]). To everybody else an argument is
//! one slice, and for the first of them it is put together; a piece ends when it has been copied, so that the bytes are
//! not there twice.

use std::fmt;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use crate::util::piece::PieceBuf;

/// See the module's header. A clone is the same argument.
#[derive(Clone)]
pub struct LargeArg(Arc<Inner>);

struct Inner {
    len: usize,
    /// Empty once it was put together.
    pieces: Mutex<PieceBuf>,
    whole: OnceLock<Vec<u8>>,
}

impl From<Vec<u8>> for LargeArg {
    fn from(whole: Vec<u8>) -> Self {
        LargeArg(Arc::new(Inner { len: whole.len(), pieces: Mutex::default(), whole: whole.into() }))
    }
}

impl From<PieceBuf> for LargeArg {
    fn from(pieces: PieceBuf) -> Self {
        LargeArg(Arc::new(Inner { len: pieces.len(), pieces: Mutex::new(pieces), whole: OnceLock::new() }))
    }
}

impl LargeArg {
    /// How many bytes.
    #[inline]
    pub fn len(&self) -> usize {
        self.0.len
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The bytes, put together if they were not.
    pub fn bytes(&self) -> &[u8] {
        self.0.whole.get_or_init(|| self.put_together())
    }

    #[cold]
    fn put_together(&self) -> Vec<u8> {
        let pieces = std::mem::take(&mut *self.0.pieces.lock().unwrap_or_else(PoisonError::into_inner));
        let mut whole = Vec::with_capacity(self.len());
        for (piece, len) in pieces.into_pieces() {
            whole.extend_from_slice(&piece.bytes()[..len]);
        }
        whole
    }

    /// The bytes as they were received, shared with this argument; `None` if they were put together.
    pub fn pieces(&self) -> Option<PieceBuf> {
        if self.0.whole.get().is_some() {
            return None;
        }
        Some(self.0.pieces.lock().unwrap_or_else(PoisonError::into_inner).clone())
    }

    /// A copy of the first bytes, at most `max`.
    pub fn start(&self, max: usize) -> Vec<u8> {
        match self.0.whole.get() {
            Some(whole) => whole[..max.min(whole.len())].to_vec(),
            None => {
                let pieces = self.0.pieces.lock().unwrap_or_else(PoisonError::into_inner);
                pieces.chunks().flatten().take(max).copied().collect()
            }
        }
    }

    /// Memory held.
    pub fn memory(&self) -> usize {
        size_of::<Inner>() + self.len()
    }
}

impl fmt::Debug for LargeArg {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "an argument of {} bytes", self.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::util::piece::{self, PIECE};

    #[test]
    fn pieces_are_shared_until_somebody_wants_one_slice() {
        let text: Vec<u8> = (0..3 * PIECE + 9).map(|i| (i * 3) as u8).collect();
        let before = piece::balance();
        let mut received = PieceBuf::default();
        received.push(&text);
        let arg = LargeArg::from(received);
        assert_eq!((arg.len(), arg.start(5), arg.start(1 << 20).len()), (text.len(), text[..5].to_vec(), text.len()));
        let taken = arg.pieces().expect("it is in pieces");
        let taking = piece::balance() - before;
        assert_eq!(taken.chunks().flatten().copied().collect::<Vec<_>>(), text);
        drop(taken);
        assert_eq!(piece::balance() - before, taking, "the argument still has them");
        let other = arg.clone();
        assert_eq!(other.bytes(), text);
        assert_eq!(piece::balance(), before, "the bytes are not there twice");
        assert!(arg.pieces().is_none());
        assert_eq!(arg.bytes().as_ptr(), other.bytes().as_ptr());
        assert_eq!((arg.start(3), LargeArg::from(vec![7; 5]).bytes()), (text[..3].to_vec(), &[7; 5][..]));
    }
}
