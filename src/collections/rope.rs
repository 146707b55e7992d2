//! A large string in pieces.
//!
//! One allocation of 512 MB would have to be copied whole when a snapshot shares it and a client sets one bit. So a
//! long string is a sequence of pieces of 8 KiB, each shared on its own, and they are held in bundles, shared as well:
//!
//! ```text
//! Rope { len, bundles: [ bundle | bundle | ... ] }
//!                           |
//!                           [ 8 KiB | 8 KiB | ... ] 64 of them       a piece is a `Bytes`: counted, sliceable
//! ```
//!
//! * Cloning a rope clones the counts of its bundles: two for a megabyte, 1024 for the longest string there is.
//! * A write copies the bundle (two KiB) and the pieces that it touches, if anybody else has them (a snapshot, a COPY,
//!   a reply on its way to a client), and changes them in place otherwise.
//! * A buffer becomes a rope without copying: its pieces are slices of it. The buffer stays whole until its last slice
//!   was written to or dropped.
//! * A gap of zero bytes (SETBIT far behind the end) is one static piece many times over: it takes memory where it is
//!   written to.

use bytes::{Bytes, BytesMut};
use std::ops::{Index, Range};
use std::sync::Arc;

/// Bytes in every piece but the last. (Miri, which looks at every byte, gets shorter ones.)
pub const PIECE: usize = if cfg!(miri) { 512 } else { 8 << 10 };

/// Pieces in every bundle but the last.
const BUNDLE: usize = if cfg!(miri) { 3 } else { 64 };

static ZEROS: [u8; PIECE] = [0; PIECE];

static ONES: [u8; PIECE] = [u8::MAX; PIECE];

/// Whether a slice of a rope is a part of a gap: then its bytes are zero, and nobody needs to look.
#[inline]
pub fn is_gap(slice: &[u8]) -> bool {
    ZEROS.as_ptr_range().contains(&slice.as_ptr())
}

/// A string of any length, cheap to clone and to change in places.
#[derive(Clone, Default)]
pub struct Rope {
    pieces: Pieces,
    len: usize,
}

/// The pieces of a rope, in bundles that clones share.
#[derive(Clone, Default)]
struct Pieces {
    bundles: Vec<Arc<Vec<Bytes>>>,
}

impl Pieces {
    fn len(&self) -> usize {
        self.bundles.last().map_or(0, |last| (self.bundles.len() - 1) * BUNDLE + last.len())
    }

    fn is_empty(&self) -> bool {
        self.bundles.is_empty()
    }

    fn push(&mut self, piece: Bytes) {
        match self.bundles.last_mut() {
            Some(last) if last.len() < BUNDLE => Arc::make_mut(last).push(piece),
            _ => self.bundles.push(Arc::new(vec![piece])),
        }
    }

    /// A piece to be replaced, in a bundle of this rope's own.
    fn at_mut(&mut self, i: usize) -> &mut Bytes {
        &mut Arc::make_mut(&mut self.bundles[i / BUNDLE])[i % BUNDLE]
    }

    fn truncate(&mut self, len: usize) {
        self.bundles.truncate(len.div_ceil(BUNDLE));
        let beyond = self.len().saturating_sub(len);
        if beyond > 0 {
            let last = Arc::make_mut(self.bundles.last_mut().expect("a longer rope has a bundle"));
            last.truncate(last.len() - beyond);
        }
    }

    fn memory(&self) -> usize {
        let counts = 2 * size_of::<usize>();
        let of_bundle =
            |bundle: &Arc<Vec<Bytes>>| counts + size_of::<Vec<Bytes>>() + bundle.capacity() * size_of::<Bytes>();
        // All but the last are alike: no walk over what may be long.
        let (first, last) = (self.bundles.first().map_or(0, of_bundle), self.bundles.last().map_or(0, of_bundle));
        self.bundles.capacity() * size_of::<Arc<Vec<Bytes>>>() + first * self.bundles.len().saturating_sub(1) + last
    }
}

impl Index<usize> for Pieces {
    type Output = Bytes;

    #[inline]
    fn index(&self, i: usize) -> &Bytes {
        &self.bundles[i / BUNDLE][i % BUNDLE]
    }
}

impl Rope {
    /// Takes a buffer over. Nothing is copied.
    pub fn from_vec(bytes: Vec<u8>) -> Rope {
        Rope::from_bytes(Bytes::from(bytes))
    }

    /// Shares a buffer. Nothing is copied.
    pub fn from_bytes(bytes: Bytes) -> Rope {
        let len = bytes.len();
        let mut rest = bytes;
        let mut pieces = Pieces::default();
        while rest.len() > PIECE {
            pieces.push(rest.split_to(PIECE));
        }
        if !rest.is_empty() {
            pieces.push(rest);
        }
        Rope { pieces, len }
    }

    pub fn len(&self) -> usize {
        self.len
    }

    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The bytes in `range` as slices.
    ///
    /// # Panics
    ///
    /// When `range` reaches beyond the end.
    pub fn slices(&self, range: Range<usize>) -> impl Iterator<Item = &[u8]> + Clone {
        self.parts(range).map(|(piece, part)| &piece[part])
    }

    /// The bytes in `range` as pieces that live on their own, to be sent without copying.
    ///
    /// # Panics
    ///
    /// When `range` reaches beyond the end.
    pub fn pieces(&self, range: Range<usize>) -> impl Iterator<Item = Bytes> {
        self.parts(range).map(|(piece, part)| piece.slice(part))
    }

    /// Appends the bytes in `range` to `out`.
    pub fn read(&self, range: Range<usize>, out: &mut Vec<u8>) {
        out.reserve(range.len());
        self.slices(range).for_each(|s| out.extend_from_slice(s));
    }

    /// The piece with the byte at `i * PIECE`, whole.
    #[inline]
    pub fn piece(&self, i: usize) -> Option<&Bytes> {
        (i < self.pieces.len()).then(|| &self.pieces[i])
    }

    /// Appends a piece without copying it.
    ///
    /// # Panics
    ///
    /// When the rope ends within a piece, or the new one is longer than pieces are.
    pub fn push_piece(&mut self, piece: Bytes) {
        assert!(self.len.is_multiple_of(PIECE) && piece.len() <= PIECE, "pieces begin at multiples of their length");
        self.len += piece.len();
        if !piece.is_empty() {
            self.pieces.push(piece);
        }
    }

    /// Appends a piece of zeros, or of ones, that takes no memory.
    ///
    /// # Panics
    ///
    /// As [`Rope::push_piece`].
    pub fn push_dull(&mut self, set: bool, len: usize) {
        self.push_piece(Bytes::from_static(if set { &ONES[..len] } else { &ZEROS[..len] }));
    }

    fn parts(&self, range: Range<usize>) -> impl Iterator<Item = (&Bytes, Range<usize>)> + Clone {
        assert!(range.end <= self.len, "a range within the rope");
        let touched = range.start / PIECE..range.end.div_ceil(PIECE).max(range.start / PIECE);
        let touched = if range.is_empty() { 0..0 } else { touched };
        touched.map(move |i| {
            let start = i * PIECE;
            (&self.pieces[i], range.start.max(start) - start..range.end.min(start + PIECE) - start)
        })
    }

    /// Overwrites from `at` on; the end must lie within the rope.
    pub fn write_at(&mut self, at: usize, bytes: &[u8]) {
        assert!(at + bytes.len() <= self.len, "a range within the rope");
        let (mut at, mut rest) = (at, bytes);
        while !rest.is_empty() {
            let (i, from) = (at / PIECE, at % PIECE);
            let (now, later) = rest.split_at(rest.len().min(PIECE - from));
            self.change(i, PIECE, |piece| piece[from..from + now.len()].copy_from_slice(now));
            at += now.len();
            rest = later;
        }
    }

    /// Appends.
    pub fn append(&mut self, bytes: &[u8]) {
        let (now, later) = bytes.split_at(bytes.len().min(self.room()));
        if !now.is_empty() {
            let grown = self.len % PIECE + now.len();
            self.change(self.pieces.len() - 1, grown, |piece| piece.extend_from_slice(now));
        }
        later.chunks(PIECE).for_each(|piece| self.pieces.push(Bytes::copy_from_slice(piece)));
        self.len += bytes.len();
    }

    /// Makes it `len` bytes long by zero bytes at the end; does nothing to a rope that is as long already.
    pub fn resize_zero(&mut self, len: usize) {
        let mut missing = len.saturating_sub(self.len);
        let fill = missing.min(self.room());
        self.append(&ZEROS[..fill]);
        missing -= fill;
        self.len += missing;
        while missing > 0 {
            let n = missing.min(PIECE);
            self.pieces.push(Bytes::from_static(&ZEROS[..n]));
            missing -= n;
        }
    }

    /// Bytes that still fit the last piece.
    fn room(&self) -> usize {
        self.len.next_multiple_of(PIECE) - self.len
    }

    /// Hands a piece to `f` to be changed, with room for `size` bytes: as it is if nobody else has it, a copy if not.
    fn change(&mut self, i: usize, size: usize, f: impl FnOnce(&mut BytesMut)) {
        let place = self.pieces.at_mut(i);
        let old = std::mem::take(place);
        let size = size.max(old.len());
        let copy = |old: &[u8]| {
            // In powers of two, so that a rope that grows by little appends is copied a bounded number of times.
            let mut room = BytesMut::with_capacity(size.next_power_of_two().min(PIECE));
            room.extend_from_slice(old);
            room
        };
        let mut own = match old.try_into_mut() {
            Ok(own) if own.capacity() >= size.min(PIECE) || own.len() == size => own,
            Ok(small) => copy(&small),
            Err(shared) => copy(&shared),
        };
        f(&mut own);
        *place = own.freeze();
    }

    /// Bytes allocated, as if nothing were shared.
    pub fn memory(&self) -> usize {
        self.pieces.memory() + self.len
    }

    /// Drops pieces worth `budget` (which it lowers) from the end: for freeing a large rope in slices. True when no
    /// more than a small rest is left. What remains is shorter, and of no use as a string.
    pub fn shed(&mut self, budget: &mut usize) -> bool {
        let dropped = self.pieces.len().min(*budget);
        self.pieces.truncate(self.pieces.len() - dropped);
        self.len = self.len.min(self.pieces.len() * PIECE);
        *budget -= dropped;
        self.pieces.is_empty()
    }

    /// Allocations that dropping it may free.
    pub fn free_effort(&self) -> usize {
        self.pieces.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(rope: &Rope) -> Vec<u8> {
        let mut out = vec![];
        rope.read(0..rope.len(), &mut out);
        for (i, p) in rope.pieces.bundles.iter().flat_map(|bundle| bundle.iter()).enumerate() {
            assert!(p.len() == PIECE || (i + 1 == rope.pieces.len() && !p.is_empty()), "only the last piece is short");
        }
        assert_eq!(out.len(), rope.len());
        out
    }

    fn pattern(n: usize) -> Vec<u8> {
        (0..n).map(|i| (i * 7 + i / 251) as u8).collect()
    }

    #[test]
    fn a_buffer_is_taken_over_and_read_back() {
        for n in [0, 1, PIECE - 1, PIECE, PIECE + 1, 3 * PIECE, 3 * PIECE + 5] {
            let rope = Rope::from_vec(pattern(n));
            assert_eq!(text(&rope), pattern(n));
            assert_eq!(rope.pieces(0..n).map(|p| p.len()).sum::<usize>(), n);
        }
        let buffer = pattern(2 * PIECE);
        let place = buffer.as_ptr();
        assert_eq!(Rope::from_vec(buffer).pieces[0].as_ptr(), place);
    }

    #[test]
    fn ranges_cross_pieces() {
        let all = pattern(3 * PIECE + 100);
        let rope = Rope::from_vec(all.clone());
        for range in [0..0, 5..5, PIECE..PIECE, 10..20, PIECE - 1..PIECE + 1, 100..3 * PIECE + 100, 0..all.len()] {
            let mut out = vec![];
            rope.read(range.clone(), &mut out);
            assert_eq!(out, all[range.clone()], "{range:?}");
            assert_eq!(rope.pieces(range).flatten().collect::<Vec<_>>(), out);
        }
    }

    #[test]
    fn writes_leave_clones_alone() {
        let mut expected = pattern(3 * PIECE);
        let mut rope = Rope::from_vec(expected.clone());
        let before = rope.clone();
        rope.write_at(PIECE - 2, b"abcd");
        expected[PIECE - 2..PIECE + 2].copy_from_slice(b"abcd");
        assert_eq!(text(&rope), expected);
        assert_eq!(text(&before), pattern(3 * PIECE));
        assert_eq!(rope.pieces[2].as_ptr(), before.pieces[2].as_ptr(), "untouched pieces stay shared");
        let place = rope.pieces[0].as_ptr();
        rope.write_at(0, b"z");
        assert_eq!(rope.pieces[0].as_ptr(), place, "a piece of its own is changed in place");
    }

    #[test]
    fn sheds_in_slices() {
        let mut rope = Rope::from_vec(pattern(5 * PIECE + 3));
        let clone = rope.clone();
        let mut budget = 4;
        assert!(!rope.shed(&mut budget));
        assert_eq!((budget, text(&rope)), (0, pattern(2 * PIECE)));
        budget = 4;
        assert!(rope.shed(&mut budget));
        assert_eq!((budget, rope.len()), (2, 0));
        assert_eq!(text(&clone), pattern(5 * PIECE + 3));
    }

    #[test]
    fn grows_by_little_and_by_much() {
        let mut rope = Rope::default();
        let mut expected = vec![];
        for i in 0..3000 {
            let more = pattern(i % 97);
            rope.append(&more);
            expected.extend_from_slice(&more);
        }
        rope.append(&pattern(2 * PIECE + 9));
        expected.extend_from_slice(&pattern(2 * PIECE + 9));
        assert_eq!(text(&rope), expected);
        rope.resize_zero(10);
        assert_eq!(rope.len(), expected.len());
        let gap = expected.len() / PIECE + 7;
        rope.resize_zero((gap + 3) * PIECE + 3);
        expected.resize((gap + 3) * PIECE + 3, 0);
        assert_eq!(text(&rope), expected);
        assert_eq!(rope.pieces[gap].as_ptr(), ZEROS.as_ptr(), "a gap takes no memory");
        rope.write_at(gap * PIECE + 1, b"!");
        expected[gap * PIECE + 1] = b'!';
        assert_eq!(text(&rope), expected);
        assert_eq!(ZEROS[1], 0);
    }
}
