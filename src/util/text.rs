//! A text on its way to where it is stored: lent, or given away.
//!
//! Whoever stores a text copies it into a node of some structure. A text of hundreds of megabytes would be there twice
//! while that goes on. One that is given away ends part by part as it is copied ([`Source::into_parts`]), so that it takes
//! its memory once and a little more; one that was received in pieces is never put together for that.

use std::borrow::Cow;
use std::cell::{Cell, OnceCell};

use crate::sys::allocator;
use crate::util::piece::PieceBuf;

/// So many bytes that end go back to the system at once: what they lay in does not serve for what they are copied to.
const GIVEN_BACK_BYTES: usize = if cfg!(miri) { 1 << 10 } else { 8 << 20 };

/// Gives back what the system can have; what it cannot have now it gets later.
fn give_back() {
    let _ = allocator::purge();
}

/// A text to be stored: read it as bytes, or give it away.
pub trait Text<'t>: AsRef<[u8]> {
    /// Its length, for which one that is in pieces is not put together.
    fn text_len(&self) -> usize {
        self.as_ref().len()
    }

    /// What it is copied from.
    fn into_source(self) -> Source<'t>;
}

/// What a text is copied from.
pub enum Source<'t> {
    /// Somebody else's.
    Lent(&'t [u8]),
    /// In one buffer.
    Whole(Vec<u8>),
    /// As it was received.
    Received(Received),
}

/// A text that was received in pieces, and is put together when somebody reads it.
pub struct Received {
    len: usize,
    pieces: Cell<PieceBuf>,
    whole: OnceCell<Vec<u8>>,
}

impl From<PieceBuf> for Received {
    fn from(pieces: PieceBuf) -> Received {
        Received { len: pieces.len(), pieces: Cell::new(pieces), whole: OnceCell::new() }
    }
}

/// The bytes of pieces, each of which ends when it was copied.
pub fn joined(pieces: PieceBuf) -> Vec<u8> {
    let mut whole = Vec::with_capacity(pieces.len());
    each_part(pieces, |_, part| whole.extend_from_slice(part));
    whole
}

fn each_part(pieces: PieceBuf, mut f: impl FnMut(usize, &[u8])) {
    let (mut at, mut given_back) = (0, 0);
    for (piece, len) in pieces.into_pieces() {
        f(at, &piece.bytes()[..len]);
        drop(piece);
        at += len;
        if at - given_back >= GIVEN_BACK_BYTES {
            given_back = at;
            give_back();
        }
    }
}

impl Source<'_> {
    /// How many bytes.
    #[inline]
    pub fn len(&self) -> usize {
        match self {
            Source::Lent(bytes) => bytes.len(),
            Source::Whole(bytes) => bytes.len(),
            Source::Received(text) => text.len,
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Hands all of it to `f`, each part with its place, in any order. Of a text that is given away a part ends when it
    /// was handed out.
    pub fn into_parts(self, mut f: impl FnMut(usize, &[u8])) {
        match self {
            Source::Lent(bytes) => f(0, bytes),
            Source::Whole(bytes) => from_the_end(bytes, f),
            Source::Received(text) => match text.whole.into_inner() {
                Some(bytes) => from_the_end(bytes, f),
                None => each_part(text.pieces.into_inner(), f),
            },
        }
    }
}

/// A buffer can be cut at its end.
fn from_the_end(mut bytes: Vec<u8>, mut f: impl FnMut(usize, &[u8])) {
    while bytes.len() > GIVEN_BACK_BYTES {
        let from = bytes.len() - GIVEN_BACK_BYTES;
        f(from, &bytes[from..]);
        bytes.truncate(from);
        bytes.shrink_to_fit();
        give_back();
    }
    f(0, &bytes);
}

impl AsRef<[u8]> for Received {
    fn as_ref(&self) -> &[u8] {
        self.whole.get_or_init(|| joined(self.pieces.take()))
    }
}

impl AsRef<[u8]> for Source<'_> {
    #[inline]
    fn as_ref(&self) -> &[u8] {
        match self {
            Source::Lent(bytes) => bytes,
            Source::Whole(bytes) => bytes,
            Source::Received(text) => text.as_ref(),
        }
    }
}

impl<'t> Text<'t> for Source<'t> {
    #[inline]
    fn text_len(&self) -> usize {
        self.len()
    }

    #[inline]
    fn into_source(self) -> Source<'t> {
        self
    }
}

impl<'t> Text<'t> for &'t [u8] {
    #[inline]
    fn into_source(self) -> Source<'t> {
        Source::Lent(self)
    }
}

impl<'t, const N: usize> Text<'t> for &'t [u8; N] {
    #[inline]
    fn into_source(self) -> Source<'t> {
        Source::Lent(self)
    }
}

impl<'t> Text<'t> for &'t Vec<u8> {
    #[inline]
    fn into_source(self) -> Source<'t> {
        Source::Lent(self)
    }
}

impl<'t> Text<'t> for Vec<u8> {
    #[inline]
    fn into_source(self) -> Source<'t> {
        Source::Whole(self)
    }
}

impl<'t> Text<'t> for Cow<'t, [u8]> {
    #[inline]
    fn into_source(self) -> Source<'t> {
        match self {
            Cow::Borrowed(bytes) => Source::Lent(bytes),
            Cow::Owned(bytes) => Source::Whole(bytes),
        }
    }
}

impl std::fmt::Debug for Source<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "a text of {} bytes", self.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::util::piece::{self, PIECE};

    fn copied(source: Source<'_>) -> Vec<u8> {
        let mut copy = vec![0; source.len()];
        source.into_parts(|at, part| copy[at..at + part.len()].copy_from_slice(part));
        copy
    }

    #[test]
    fn every_source_is_copied_whole() {
        let before = piece::balance();
        for len in [0, 5, PIECE, 3 * PIECE + 7, GIVEN_BACK_BYTES, 2 * GIVEN_BACK_BYTES + 77] {
            let text: Vec<u8> = (0..len).map(|i| (i * 7 + i / 251) as u8).collect();
            let received = || {
                let mut pieces = PieceBuf::default();
                pieces.push(&text);
                Received::from(pieces)
            };
            let read = received();
            assert!(read.as_ref() == text && read.as_ref() == text, "it can be read before it is given away");
            assert_eq!((piece::balance(), Source::Received(received()).len()), (before, len));
            let sources = [(&text[..]).into_source(), text.clone().into_source(), Source::Received(received())];
            for source in sources.into_iter().chain([Source::Received(read), Cow::Borrowed(&text[..]).into_source()]) {
                assert!(copied(source) == text, "{len}");
            }
        }
        assert_eq!(piece::balance(), before);
    }
}
