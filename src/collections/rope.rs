//! A large string in pieces.
//!
//! One allocation of 512 MB would have to be copied whole when a snapshot shares it and a client sets one bit. So a
//! long string is a sequence of pieces of 8 KiB, each shared on its own, and they are held in bundles, shared as well:
//!
//! ```text
//! Rope { len, bundles: [ bundle | bundle | ... ] }
//!                           |
//!                           [ 8 KiB | nothing | 8 KiB | ... ] 64 of them      a piece is counted: see util/piece.rs
//! ```
//!
//! * Cloning a rope clones the counts of its bundles: two for a megabyte, 1025 for the longest string there is.
//! * A write copies the bundle (a KiB) and the pieces that it touches, if anybody else has them (a snapshot, a COPY,
//!   a reply on its way to a client), and changes them in place otherwise.
//! * Nothing in place of a piece stands for zero bytes: a gap (SETBIT far behind the end) takes no memory until it is
//!   written to. Whoever builds a rope from a file or from other strings leaves such pieces out too.
//!
//! # What it is charged
//!
//! [`Rope::charge`] is what the pieces would take if all of them were there and none was shared. That is what counts
//! towards `maxmemory`, because it is what the same string may take in another process: one that loads a file, or is
//! sent the value by RESTORE.

use crate::cow::Defrag;
use crate::util::hash::HashSeed;
use crate::util::piece::{self, Piece, PieceBuf};
use bytes::Bytes;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::ops::{Index, Range};
use std::sync::Arc;

/// Bytes in every piece but the last.
pub use crate::util::piece::PIECE;

/// Pieces in every bundle but the last.
const BUNDLE: usize = if cfg!(miri) { 3 } else { 64 };

static ZEROS: [u8; PIECE] = [0; PIECE];

/// Whether a part of a rope ([`Rope::slices`]) is of a gap: zeros, without a look at them.
#[inline]
pub fn is_gap(part: &[u8]) -> bool {
    ZEROS.as_ptr_range().contains(&part.as_ptr())
}

/// A string of any length, cheap to clone and to change in places.
#[derive(Clone, Default)]
pub struct Rope {
    pieces: Pieces,
    len: usize,
}

/// The pieces of a rope, in bundles that clones share. `None` is a piece of zeros.
#[derive(Clone, Default)]
struct Pieces {
    bundles: Vec<Arc<Vec<Option<Piece>>>>,
}

impl Pieces {
    fn len(&self) -> usize {
        self.bundles.last().map_or(0, |last| (self.bundles.len() - 1) * BUNDLE + last.len())
    }

    fn is_empty(&self) -> bool {
        self.bundles.is_empty()
    }

    fn push(&mut self, piece: Option<Piece>) {
        match self.bundles.last_mut() {
            Some(last) if last.len() < BUNDLE => Arc::make_mut(last).push(piece),
            _ => self.bundles.push(Arc::new(vec![piece])),
        }
    }

    /// A piece to be replaced, in a bundle of this rope's own.
    fn at_mut(&mut self, i: usize) -> &mut Option<Piece> {
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
        let of_bundle = |bundle: &Arc<Vec<Option<Piece>>>| {
            counts + size_of::<Vec<Option<Piece>>>() + bundle.capacity() * size_of::<Option<Piece>>()
        };
        // All but the last are alike: no walk over what may be long.
        let (first, last) = (self.bundles.first().map_or(0, of_bundle), self.bundles.last().map_or(0, of_bundle));
        self.bundles.capacity() * size_of::<Arc<Vec<Option<Piece>>>>()
            + first * self.bundles.len().saturating_sub(1)
            + last
    }
}

impl Index<usize> for Pieces {
    type Output = Option<Piece>;

    #[inline]
    fn index(&self, i: usize) -> &Option<Piece> {
        &self.bundles[i / BUNDLE][i % BUNDLE]
    }
}

impl From<&[u8]> for Rope {
    fn from(bytes: &[u8]) -> Rope {
        let mut rope = Rope::default();
        rope.append(bytes);
        rope
    }
}

impl From<PieceBuf> for Rope {
    /// Takes the pieces over. Nothing is copied, but for a last one that has more room than it needs.
    fn from(buffer: PieceBuf) -> Rope {
        let mut rope = Rope { len: buffer.len(), pieces: Pieces::default() };
        for (piece, len) in buffer.into_pieces() {
            let fits = piece.memory() == piece::charge(len);
            rope.pieces.push(Some(if fits { piece } else { Piece::new(&piece.bytes()[..len], 0) }));
        }
        rope
    }
}

impl Rope {
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
        self.parts(range).map(|(piece, part)| &piece.as_ref().map_or(&ZEROS[..], Piece::bytes)[part])
    }

    /// The bytes in `range` as pieces that live on their own, to be sent without copying.
    ///
    /// # Panics
    ///
    /// When `range` reaches beyond the end.
    pub fn pieces(&self, range: Range<usize>) -> impl Iterator<Item = Bytes> {
        self.parts(range).map(|(piece, part)| match piece {
            Some(piece) => piece.slice(part),
            None => Bytes::from_static(&ZEROS[part]),
        })
    }

    /// Appends the bytes in `range` to `out`.
    pub fn read(&self, range: Range<usize>, out: &mut Vec<u8>) {
        out.reserve(range.len());
        self.slices(range).for_each(|s| out.extend_from_slice(s));
    }

    /// The bytes of piece `i`; `None` for a gap.
    #[inline]
    pub fn piece(&self, i: usize) -> Option<&[u8]> {
        let piece = (i < self.pieces.len()).then(|| self.pieces[i].as_ref())??;
        Some(&piece.bytes()[..self.len_of(i)])
    }

    /// Appends piece `i` of another rope without copying it.
    ///
    /// # Panics
    ///
    /// When this rope ends within a piece, or the other has no such piece.
    pub fn push_shared(&mut self, other: &Rope, i: usize) {
        assert!(self.unfilled() == 0, "pieces begin at multiples of their length");
        self.pieces.push(other.pieces[i].clone());
        self.len += other.len_of(i);
    }

    /// Appends a piece of `len` bytes.
    ///
    /// # Panics
    ///
    /// When this rope ends within a piece.
    pub fn push_piece(&mut self, piece: Piece, len: usize) {
        assert!(self.unfilled() == 0, "pieces begin at multiples of their length");
        self.pieces.push(Some(piece));
        self.len += len;
    }

    fn parts(&self, range: Range<usize>) -> impl Iterator<Item = (&Option<Piece>, Range<usize>)> + Clone {
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
            self.room(i, self.len_of(i))[from..from + now.len()].copy_from_slice(now);
            at += now.len();
            rest = later;
        }
    }

    /// Puts a full piece in the place of the one that begins at `at`, without copying it. False, and nothing is done, where
    /// none of its length does, or it is not full.
    pub fn replace_piece(&mut self, at: usize, piece: &Piece, len: usize) -> bool {
        let fits = len == PIECE && at.is_multiple_of(PIECE) && at + PIECE <= self.len;
        if fits {
            *self.pieces.at_mut(at / PIECE) = Some(piece.clone());
        }
        fits
    }

    /// Appends.
    pub fn append(&mut self, bytes: &[u8]) {
        let (now, later) = bytes.split_at(bytes.len().min(self.unfilled()));
        if !now.is_empty() {
            let from = self.len % PIECE;
            self.room(self.pieces.len() - 1, from + now.len())[from..from + now.len()].copy_from_slice(now);
        }
        later.chunks(PIECE).for_each(|piece| self.pieces.push(Some(Piece::new(piece, 0))));
        self.len += bytes.len();
    }

    /// Appends what was received in pieces. They are taken over if the rope ends where a piece does.
    pub fn append_buffer(&mut self, buffer: PieceBuf) {
        if self.unfilled() > 0 {
            // Each ends when it was copied: the next one of this rope's own takes its place.
            return buffer.into_pieces().for_each(|(piece, len)| self.append(&piece.bytes()[..len]));
        }
        let more = Rope::from(buffer);
        self.len += more.len;
        more.pieces.bundles.iter().flat_map(|bundle| bundle.iter()).for_each(|piece| self.pieces.push(piece.clone()));
    }

    /// Makes it `len` bytes long by zero bytes at the end; does nothing to a rope that is as long already.
    pub fn resize_zero(&mut self, len: usize) {
        let missing = len.saturating_sub(self.len);
        self.append(&ZEROS[..missing.min(self.unfilled())]);
        while self.len < len {
            self.pieces.push(None);
            self.len += PIECE.min(len - self.len);
        }
    }

    /// Bytes of a piece that are the string's.
    fn len_of(&self, i: usize) -> usize {
        PIECE.min(self.len - i * PIECE)
    }

    /// Bytes that the last piece still lacks.
    fn unfilled(&self) -> usize {
        self.len.next_multiple_of(PIECE) - self.len
    }

    /// A piece to be changed, with room for `size` bytes: as it is if nobody else has it, a copy if not. A piece that
    /// grows gets room in powers of two, so that many small appends copy it a bounded number of times.
    fn room(&mut self, i: usize, size: usize) -> &mut [u8] {
        let len = self.len_of(i);
        let place = self.pieces.at_mut(i);
        let is_own = place.as_mut().is_some_and(|piece| piece.bytes().len() >= size && piece.own().is_some());
        if !is_own {
            let old = place.as_ref().map_or(&[][..], |piece| &piece.bytes()[..len]);
            *place = Some(Piece::new(old, size));
        }
        place.as_mut().and_then(Piece::own).expect("it is this rope's own by now")
    }

    /// What its pieces take if all of them are there and none is shared. See the module's header.
    #[inline]
    pub fn charge(&self) -> usize {
        let Some(last) = self.pieces.len().checked_sub(1) else { return 0 };
        let of_last = self.pieces[last].as_ref().map_or_else(|| piece::charge(self.len_of(last)), Piece::memory);
        last * piece::charge(PIECE) + of_last
    }

    /// Bytes allocated for it beside its pieces.
    pub fn memory(&self) -> usize {
        self.pieces.memory()
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

    /// How many pieces there are, those of gaps included.
    pub fn pieces_len(&self) -> usize {
        self.pieces.len()
    }

    /// Moves pieces that nobody else has to where they lie closer together, from the one of number `at` on, a bundle's at
    /// least; true at the end.
    pub fn defrag(&mut self, defrag: &mut Defrag<'_>, at: &mut usize) -> bool {
        while *at < self.pieces.len() {
            if let Some(bundle) = Arc::get_mut(&mut self.pieces.bundles[*at / BUNDLE]) {
                for piece in bundle.iter_mut().flatten() {
                    // SAFETY: the block is part of the live data, and this owner points to where it is then; `settle`
                    // copies it, and frees what it was.
                    unsafe { piece.block_mut().relocate(|node, layout| defrag.settle(node, layout)) }
                }
            }
            *at = (*at / BUNDLE + 1) * BUNDLE;
            if !defrag.may_go_on() {
                break;
            }
        }
        *at >= self.pieces.len()
    }

    /// How much work dropping it may be, in nodes of other values: a piece is an allocation and nothing else, and those
    /// of a megabyte are better freed where the next string is received into them.
    pub fn free_effort(&self) -> usize {
        self.pieces.len() / 8
    }
}

impl std::fmt::Debug for Rope {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "a rope of {} bytes", self.len)
    }
}

/// A rope in the making, from parts of any length. Pieces of zeros are left out.
#[derive(Default)]
pub struct RopeBuilder {
    rope: Rope,
    /// What does not fill a piece yet.
    rest: Vec<u8>,
}

impl RopeBuilder {
    /// Appends.
    pub fn push(&mut self, bytes: &[u8]) {
        let mut bytes = bytes;
        if !self.rest.is_empty() {
            let (now, later) = bytes.split_at(bytes.len().min(PIECE - self.rest.len()));
            self.rest.extend_from_slice(now);
            bytes = later;
            if self.rest.len() < PIECE {
                return;
            }
            push_piece(&mut self.rope, &self.rest);
            self.rest.clear();
        }
        let mut whole = bytes.chunks_exact(PIECE);
        whole.by_ref().for_each(|piece| push_piece(&mut self.rope, piece));
        self.rest.extend_from_slice(whole.remainder());
    }

    /// The rope.
    pub fn finish(mut self) -> Rope {
        if !self.rest.is_empty() {
            push_piece(&mut self.rope, &self.rest);
        }
        self.rope
    }
}

fn push_piece(rope: &mut Rope, bytes: &[u8]) {
    let is_zero = *bytes == ZEROS[..bytes.len()];
    rope.pieces.push((!is_zero).then(|| Piece::new(bytes, 0)));
    rope.len += bytes.len();
}

/// The pieces of ropes that were seen, so that equal ones need be there only once. For a load: a file has copies of a
/// string one by one, and together they may take more memory than there was where it was written.
pub struct SeenPieces {
    seed: HashSeed,
    by_sample: HashMap<u64, Piece>,
}

impl SeenPieces {
    pub fn new(seed: HashSeed) -> SeenPieces {
        SeenPieces { seed, by_sample: HashMap::new() }
    }

    /// Exchanges pieces of `rope` for equal ones that were seen before, and remembers the others.
    pub fn share(&mut self, rope: &mut Rope) {
        for i in 0..rope.len / PIECE {
            let Some(piece) = &rope.pieces[i] else { continue };
            match self.by_sample.entry(sample(self.seed, piece.bytes())) {
                Entry::Vacant(place) => _ = place.insert(piece.clone()),
                Entry::Occupied(seen) if seen.get().bytes() == piece.bytes() => {
                    *rope.pieces.at_mut(i) = Some(seen.get().clone());
                }
                Entry::Occupied(_) => {}
            }
        }
    }
}

/// A hash of some parts of a full piece: whether two are equal is asked of their bytes.
fn sample(seed: HashSeed, bytes: &[u8]) -> u64 {
    const PARTS: usize = 8;
    const PART: usize = 32;
    let mut parts = [0; PARTS * PART];
    for (i, part) in parts.as_chunks_mut::<PART>().0.iter_mut().enumerate() {
        let at = i * (bytes.len() - PART) / (PARTS - 1);
        part.copy_from_slice(&bytes[at..at + PART]);
    }
    seed.hash(&parts)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(rope: &Rope) -> Vec<u8> {
        let mut out = vec![];
        rope.read(0..rope.len(), &mut out);
        for (i, p) in rope.pieces.bundles.iter().flat_map(|bundle| bundle.iter()).enumerate() {
            let room = p.as_ref().map_or(PIECE, |p| p.bytes().len());
            assert!(room == PIECE || (i + 1 == rope.pieces.len() && room >= rope.len_of(i)), "only the last is short");
        }
        assert_eq!((out.len(), rope.pieces.len()), (rope.len(), rope.len().div_ceil(PIECE)));
        out
    }

    fn pattern(n: usize) -> Vec<u8> {
        (0..n).map(|i| (i * 7 + i / 251) as u8).collect()
    }

    #[test]
    fn bytes_are_read_back() {
        for n in [0, 1, PIECE - 1, PIECE, PIECE + 1, 3 * PIECE, 3 * PIECE + 5] {
            let rope = Rope::from(&pattern(n)[..]);
            assert_eq!(text(&rope), pattern(n));
            assert_eq!(rope.pieces(0..n).map(|p| p.len()).sum::<usize>(), n);
        }
    }

    fn buffer(bytes: &[u8]) -> PieceBuf {
        let mut buffer = PieceBuf::default();
        buffer.push(bytes);
        buffer
    }

    fn place(rope: &Rope, i: usize) -> Option<*const u8> {
        rope.pieces[i].as_ref().map(|piece| piece.bytes().as_ptr())
    }

    #[test]
    fn what_was_received_is_taken_over() {
        let before = piece::balance();
        let received = buffer(&pattern(2 * PIECE + 9));
        let first = received.chunks().next().map(<[u8]>::as_ptr);
        let mut rope = Rope::from(received);
        assert_eq!((text(&rope), place(&rope, 0)), (pattern(2 * PIECE + 9), first));
        assert_eq!(piece::balance() - before, rope.charge() as i64, "the last piece has no room to spare");
        let mut expected = pattern(2 * PIECE + 9);
        rope.append_buffer(buffer(&pattern(PIECE + 1)));
        expected.extend_from_slice(&pattern(PIECE + 1));
        assert_eq!(text(&rope), expected);
        let mut rope = Rope::from(&pattern(PIECE)[..]);
        let received = buffer(&pattern(PIECE + 3));
        let first = received.chunks().next().map(<[u8]>::as_ptr);
        rope.append_buffer(received);
        assert_eq!((text(&rope), place(&rope, 1)), ([pattern(PIECE), pattern(PIECE + 3)].concat(), first));
    }

    #[test]
    fn pieces_lie_elsewhere_unless_they_are_shared() {
        let heap = crate::cow::Heap::new();
        let mut mover = crate::sys::defrag::Mover::of_all(1_000_000);
        let mut defrag = heap.defrag(&mut mover).expect("no snapshot lives");
        let expected = pattern((BUNDLE + 2) * PIECE + 9);
        let mut rope = Rope::from(&expected[..]);
        rope.resize_zero((BUNDLE + 5) * PIECE);
        let (before, sent) = (piece::balance(), rope.pieces(PIECE..PIECE + 5).next());
        let places = |rope: &Rope| (0..rope.pieces.len()).map(|i| place(rope, i)).collect::<Vec<_>>();
        let (were, mut at) = (places(&rope), 0);
        while !rope.defrag(&mut defrag, &mut at) {}
        let are = places(&rope);
        for (i, (was, is)) in were.iter().zip(&are).enumerate() {
            assert_eq!(was == is, i == 1 || was.is_none(), "{i}");
        }
        assert_eq!((&text(&rope)[..expected.len()], piece::balance()), (&expected[..], before));
        let copy = rope.clone();
        at = 0;
        while !rope.defrag(&mut defrag, &mut at) {}
        assert_eq!(places(&rope), are, "others have the bundles");
        drop((copy, sent));
    }

    #[test]
    fn pieces_are_exchanged_whole() {
        let mut expected = pattern(3 * PIECE + 5);
        let (mut rope, new) = (Rope::from(&expected[..]), Piece::new(&[b'!'; PIECE], 0));
        let copy = rope.clone();
        for (at, len, fits) in
            [(PIECE, PIECE, true), (PIECE + 1, PIECE, false), (0, 9, false), (3 * PIECE, PIECE, false)]
        {
            assert_eq!(rope.replace_piece(at, &new, len), fits, "{at} {len}");
        }
        expected[PIECE..2 * PIECE].fill(b'!');
        assert_eq!((text(&rope), text(&copy)), (expected, pattern(3 * PIECE + 5)));
        assert_eq!(place(&rope, 1), Some(new.bytes().as_ptr()));
    }

    #[test]
    fn what_is_shared_or_zero_is_charged_in_full() {
        let before = piece::balance();
        let taken = || (piece::balance() - before) as usize;
        let mut rope = Rope::from(&pattern(3 * PIECE)[..]);
        assert_eq!((rope.charge(), taken()), (3 * piece::charge(PIECE), 3 * piece::charge(PIECE)));
        let copy = rope.clone();
        assert_eq!((copy.charge(), taken()), (rope.charge(), rope.charge()));
        rope.write_at(0, b"!");
        assert_eq!((rope.charge(), taken()), (3 * piece::charge(PIECE), 4 * piece::charge(PIECE)));
        rope.resize_zero(10 * PIECE + 1);
        assert_eq!((rope.charge(), taken()), (10 * piece::charge(PIECE) + 64, 4 * piece::charge(PIECE)));
        rope.write_at(10 * PIECE, b"!");
        assert_eq!((rope.charge(), taken()), (10 * piece::charge(PIECE) + 64, 4 * piece::charge(PIECE) + 64));
        drop((rope, copy));
        assert_eq!(taken(), 0);
    }

    #[test]
    fn what_is_built_leaves_zeros_out() {
        let mut expected = pattern(PIECE + 700);
        expected.resize(5 * PIECE, 0);
        expected.extend_from_slice(&pattern(PIECE / 2));
        expected.resize(7 * PIECE + 3, 0);
        for step in [999, PIECE, 2 * PIECE + 1, expected.len()] {
            let mut builder = RopeBuilder::default();
            expected.chunks(step).for_each(|part| builder.push(part));
            let rope = builder.finish();
            assert_eq!(text(&rope), expected);
            let there = (0..8).map(|i| rope.pieces[i].is_some()).collect::<Vec<_>>();
            assert_eq!(there, [true, true, false, false, false, true, false, false]);
        }
        assert_eq!(RopeBuilder::default().finish().len(), 0);
    }

    #[test]
    fn equal_pieces_are_there_once() {
        let before = piece::balance();
        let mut seen = SeenPieces::new(HashSeed::fixed(7));
        let mut ropes: Vec<Rope> = (0..4).map(|_| Rope::from(&pattern(3 * PIECE + 5)[..])).collect();
        ropes[2].write_at(PIECE + 1000, b"another"); // in a part that no sample looks at
        let expected: Vec<_> = ropes.iter().map(text).collect();
        ropes.iter_mut().for_each(|rope| seen.share(rope));
        assert_eq!(ropes.iter().map(text).collect::<Vec<_>>(), expected);
        let (whole, rest) = (piece::charge(PIECE) as i64, piece::charge(5) as i64);
        assert_eq!(piece::balance() - before, 4 * whole + 4 * rest);
        drop(seen);
        ropes[0].write_at(0, b"!");
        assert_eq!(text(&ropes[1]), expected[1]);
    }

    #[test]
    fn ranges_cross_pieces() {
        let all = pattern(3 * PIECE + 100);
        let rope = Rope::from(&all[..]);
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
        let mut rope = Rope::from(&expected[..]);
        let before = rope.clone();
        rope.write_at(PIECE - 2, b"abcd");
        expected[PIECE - 2..PIECE + 2].copy_from_slice(b"abcd");
        assert_eq!(text(&rope), expected);
        assert_eq!(text(&before), pattern(3 * PIECE));
        assert_eq!(place(&rope, 2), place(&before, 2), "untouched pieces stay shared");
        let own = place(&rope, 0);
        rope.write_at(0, b"z");
        assert_eq!(place(&rope, 0), own, "a piece of its own is changed in place");
    }

    #[test]
    fn sheds_in_slices() {
        let mut rope = Rope::from(&pattern(5 * PIECE + 3)[..]);
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
        assert!(rope.pieces[gap].is_none(), "a gap takes no memory");
        rope.write_at(gap * PIECE + 1, b"!");
        expected[gap * PIECE + 1] = b'!';
        assert_eq!(text(&rope), expected);
        assert_eq!(ZEROS[1], 0);
    }
}
