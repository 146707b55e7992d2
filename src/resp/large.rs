//! An argument that lives outside the query buffer: a long one, received into pieces.
//!
//! Whoever stores a long string takes the pieces as they are ([`LargeArg::pieces`]). To everybody else an argument is
//! one slice, and for the first of them it is put together; a piece ends when it has been copied, so that the bytes are
//! not there twice.
//!
//! An argument is there until its request is done, and its pieces with it. If nobody reads it after the handler has
//! ([`LargeArg::release`]), the handler is given the pieces themselves, and whoever copies from them can let go of them
//! one by one; or something that is a slice if need be, for an element of a collection ([`LargeArg::take`]).

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use crate::util::piece::PieceBuf;
use crate::util::text::{self, Received};

/// See the module's header. A clone is the same argument.
#[derive(Clone)]
pub struct LargeArg(Arc<Inner>);

struct Inner {
    len: usize,
    parts: Mutex<Parts>,
    whole: OnceLock<Vec<u8>>,
}

/// What the argument is as long as it was not put together.
#[derive(Default)]
struct Parts {
    pieces: PieceBuf,
    /// Nobody reads the argument after its handler.
    released: bool,
    /// Of an argument whose pieces were given away: the first bytes.
    start: Vec<u8>,
}

impl Parts {
    fn keep_start(&mut self) {
        for chunk in self.pieces.chunks() {
            let missing = START_BYTES - self.start.len();
            if missing == 0 {
                break;
            }
            self.start.extend_from_slice(&chunk[..chunk.len().min(missing)]);
        }
    }
}

/// So many bytes are kept of what is given away: for the slow log.
const START_BYTES: usize = 1024;

impl From<Vec<u8>> for LargeArg {
    fn from(whole: Vec<u8>) -> Self {
        LargeArg(Arc::new(Inner { len: whole.len(), parts: Mutex::default(), whole: whole.into() }))
    }
}

impl From<PieceBuf> for LargeArg {
    fn from(pieces: PieceBuf) -> Self {
        let (len, parts) = (pieces.len(), Mutex::new(Parts { pieces, ..Parts::default() }));
        LargeArg(Arc::new(Inner { len, parts, whole: OnceLock::new() }))
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

    fn parts(&self) -> MutexGuard<'_, Parts> {
        self.0.parts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The bytes, put together if they were not.
    ///
    /// # Panics
    ///
    /// When the pieces were given away.
    pub fn bytes(&self) -> &[u8] {
        self.0.whole.get_or_init(|| self.put_together())
    }

    #[cold]
    fn put_together(&self) -> Vec<u8> {
        let pieces = std::mem::take(&mut self.parts().pieces);
        assert_eq!(pieces.len(), self.len(), "an argument is not read after it was given away");
        text::joined(pieces)
    }

    /// Nobody reads the argument after the next one that asks for its pieces.
    pub fn release(&self) {
        self.parts().released = true;
    }

    /// The bytes as they were received: shared with this argument, unless it was released; `None` if they were put
    /// together.
    pub fn pieces(&self) -> Option<PieceBuf> {
        if self.0.whole.get().is_some() {
            return None;
        }
        let mut parts = self.parts();
        if !parts.released {
            return Some(parts.pieces.clone());
        }
        parts.keep_start();
        Some(std::mem::take(&mut parts.pieces))
    }

    /// The bytes for whoever stores them; `None` if somebody may read the argument later, or has read it as one slice.
    pub fn take(&self) -> Option<Received> {
        let may_go = self.0.whole.get().is_none() && self.parts().released;
        may_go.then(|| {
            let mut parts = self.parts();
            parts.keep_start();
            Received::from(std::mem::take(&mut parts.pieces))
        })
    }

    /// A copy of the first bytes, at most `max`, which may be a thousand.
    pub fn start(&self, max: usize) -> Vec<u8> {
        debug_assert!(max <= START_BYTES);
        match self.0.whole.get() {
            Some(whole) => whole[..max.min(whole.len())].to_vec(),
            None => {
                let parts = self.parts();
                parts.start.iter().chain(parts.pieces.chunks().flatten()).take(max).copied().collect()
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
        assert_eq!((arg.len(), arg.start(5), arg.start(1000)), (text.len(), text[..5].to_vec(), text[..1000].to_vec()));
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

    #[test]
    fn what_was_released_is_given_away() {
        let before = piece::balance();
        let mut received = PieceBuf::default();
        received.push(&[7; 2 * PIECE]);
        let arg = LargeArg::from(received);
        arg.release();
        let taken = arg.pieces().expect("it is in pieces");
        assert_eq!((arg.len(), arg.start(100), taken.len()), (2 * PIECE, vec![7; 100], 2 * PIECE));
        drop(taken.into_pieces().next());
        assert_eq!(piece::balance(), before, "nobody else had them");
    }

    #[test]
    fn what_is_taken_is_the_takers() {
        let before = piece::balance();
        let text: Vec<u8> = (0..2 * PIECE + 5).map(|i| (i * 3) as u8).collect();
        let arg = |released: bool| {
            let mut received = PieceBuf::default();
            received.push(&text);
            let arg = LargeArg::from(received);
            if released {
                arg.release();
            }
            arg
        };
        assert!(arg(false).take().is_none(), "others want it, too");
        let read = arg(true);
        assert!(read.bytes() == text && read.take().is_none(), "there is a slice of it");
        let arg = arg(true);
        let taken = arg.take().expect("nobody else wants it");
        assert_eq!((taken.as_ref(), arg.len(), arg.start(3)), (&text[..], text.len(), text[..3].to_vec()));
        drop((taken, arg));
        assert_eq!(piece::balance(), before);
    }

    #[test]
    #[should_panic(expected = "not read after it was given away")]
    fn what_was_given_away_is_not_read() {
        let mut received = PieceBuf::default();
        received.push(&[7; PIECE]);
        let arg = LargeArg::from(received);
        arg.release();
        drop(arg.pieces());
        arg.bytes();
    }
}
