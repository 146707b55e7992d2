//! A piece of a long string: up to 8 KiB, counted, shared by whoever needs the same bytes.
//!
//! A long argument is received into pieces, a long value is made of them, and a reply takes them along to the socket:
//! the bytes are copied once, on their way out of the query buffer. Whoever has the only handle may write to the piece.
//!
//! A piece and its counts fill one size class of the allocator: 8192 bytes hold [`PIECE`] of content. The last piece
//! of a string may be shorter, in one of eight sizes.
//!
//! # How much there is
//!
//! What is shared takes its memory once, and is charged to each value that contains it ([`charge`]). To say what all
//! values are charged instead of what they take, one has to know what all pieces take: every thread keeps count of the
//! pieces that it made, less those whose end it saw ([`balance`]), in a plain word of its own.

use std::io::{self, Read};
use std::ops::Range;
use std::os::fd::AsFd;

use bytes::Bytes;

use crate::sys::block::{self, Block, Empty};
use crate::sys::sockets;

/// Bytes in a full piece. (Miri, which looks at every byte, gets shorter ones.)
pub const PIECE: usize = if cfg!(miri) { 512 - block::HEAD } else { 8192 - block::HEAD };

/// What the pieces made by this thread take, less those that ended on it. Negative where others' pieces end.
#[inline]
pub fn balance() -> i64 {
    block::balance()
}

/// See the module's header.
#[derive(Clone)]
pub struct Piece(Block);

/// What a piece with room for `len` bytes takes.
#[inline]
pub fn charge(len: usize) -> usize {
    const SMALLEST: usize = 64;
    (len + block::HEAD).next_power_of_two().clamp(SMALLEST, PIECE + block::HEAD)
}

/// The room that a piece of `len` bytes has.
#[inline]
pub fn room(len: usize) -> usize {
    charge(len) - block::HEAD
}

impl From<Block> for Piece {
    /// A block that has the [room] of what it holds.
    fn from(block: Block) -> Piece {
        debug_assert_eq!(room(block.bytes().len()), block.bytes().len(), "a piece has one of a few sizes");
        Piece(block)
    }
}

impl Piece {
    /// A copy of `bytes`, at most [`PIECE`], with room for at least `room`; zero bytes behind them.
    pub fn new(bytes: &[u8], room: usize) -> Piece {
        Piece(Block::new(bytes, self::room(room.max(bytes.len()))))
    }

    /// All there is room for; how much of it is content its owner knows.
    #[inline]
    pub fn bytes(&self) -> &[u8] {
        self.0.bytes()
    }

    /// The same, to be changed; `None` while somebody else has the piece too.
    #[inline]
    pub fn own(&mut self) -> Option<&mut [u8]> {
        self.0.own()
    }

    /// The block that it is.
    pub fn block_mut(&mut self) -> &mut Block {
        &mut self.0
    }

    /// What it takes.
    #[inline]
    pub fn memory(&self) -> usize {
        self.bytes().len() + block::HEAD
    }

    /// Whether two handles are of the same piece.
    pub fn is(&self, other: &Piece) -> bool {
        self.0.is(&other.0)
    }

    /// A part of it that lives on its own, to be sent without copying.
    pub fn slice(&self, range: Range<usize>) -> Bytes {
        struct Whole(Piece);
        impl AsRef<[u8]> for Whole {
            fn as_ref(&self) -> &[u8] {
                self.0.bytes()
            }
        }
        Bytes::from_owner(Whole(self.clone())).slice(range)
    }
}

/// Bytes that arrive bit by bit, in pieces: all full but the last.
#[derive(Clone, Default)]
pub struct PieceBuf {
    pieces: Vec<Piece>,
    len: usize,
    /// Room for the next pieces.
    empty: Rooms,
}

/// Blocks that will be pieces. A clone of what has some has none.
#[derive(Default)]
struct Rooms(Vec<Empty>);

impl Clone for Rooms {
    fn clone(&self) -> Rooms {
        Rooms::default()
    }
}

impl PieceBuf {
    pub fn len(&self) -> usize {
        self.len
    }

    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Appends a copy of `bytes`. More is expected, so a new piece is as large as they get.
    pub fn push(&mut self, bytes: &[u8]) {
        let mut rest = bytes;
        while !rest.is_empty() {
            let at = self.len % PIECE;
            let (now, later) = rest.split_at(rest.len().min(PIECE - at));
            match self.pieces.last_mut().filter(|_| at > 0).map(Piece::own) {
                Some(Some(room)) => room[at..at + now.len()].copy_from_slice(now),
                Some(None) => unreachable!("a buffer that grows is its pieces' only owner"),
                None => self.pieces.push(Piece::new(now, PIECE)),
            }
            self.len += now.len();
            rest = later;
        }
    }

    /// How much of `max` bytes is better received at once: as much as fills whole pieces, if that is any.
    pub fn fitting(&self, max: usize) -> usize {
        let behind = max.saturating_sub(self.len.next_multiple_of(PIECE) - self.len);
        if behind > PIECE { max - behind % PIECE } else { max }
    }

    /// Receives once, at most `max` bytes, straight into pieces. `Ok(0)` is the end of the stream.
    pub fn receive(&mut self, socket: impl AsFd, max: usize) -> io::Result<usize> {
        let at = self.len % PIECE;
        let tail: &mut [u8] = match self.pieces.last_mut().filter(|_| at > 0) {
            Some(last) => &mut last.own().expect("a buffer that grows is its pieces' only owner")[at..],
            None => &mut [],
        };
        let missing = max.saturating_sub(tail.len()).div_ceil(PIECE);
        let empty = &mut self.empty.0;
        while empty.len() < missing {
            empty.push(Empty::new(PIECE));
        }
        let mut filled = Vec::with_capacity(missing);
        let n = sockets::recv_blocks(socket, tail, empty, max, &mut filled)?;
        self.pieces.extend(filled.into_iter().map(Piece::from));
        self.len += n;
        Ok(n)
    }

    /// Forgets all but the first `len` bytes. Nothing more is expected.
    pub fn truncate(&mut self, len: usize) {
        self.empty = Rooms::default();
        if len < self.len {
            self.pieces.truncate(len.div_ceil(PIECE));
            self.len = len;
        }
    }

    /// What it takes.
    pub fn memory(&self) -> usize {
        let pieces = self.pieces.len() + self.empty.0.len();
        pieces * (PIECE + block::HEAD) + self.pieces.capacity() * size_of::<Piece>()
    }

    /// The bytes, in order, as non-empty slices.
    pub fn chunks(&self) -> impl Iterator<Item = &[u8]> {
        self.pieces.iter().enumerate().map(|(i, piece)| &piece.bytes()[..PIECE.min(self.len - i * PIECE)])
    }

    /// The pieces, the first of them first, each with its length. What was given out is not held any longer.
    pub fn into_pieces(self) -> impl Iterator<Item = (Piece, usize)> {
        let len = self.len;
        self.pieces.into_iter().enumerate().map(move |(i, piece)| (piece, PIECE.min(len - i * PIECE)))
    }
}

/// Reads the bytes of a [`PieceBuf`]. A piece ends when it was read.
pub struct PieceReader<I> {
    pieces: I,
    /// The piece at hand, and its bytes that were not read yet.
    now: Option<(Piece, Range<usize>)>,
}

impl PieceBuf {
    /// The bytes, to be read once.
    pub fn into_reader(self) -> PieceReader<impl Iterator<Item = (Piece, usize)>> {
        PieceReader { pieces: self.into_pieces(), now: None }
    }
}

impl<I: Iterator<Item = (Piece, usize)>> Read for PieceReader<I> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let mut filled = 0;
        while filled < out.len() {
            let Some((piece, left)) = &mut self.now else {
                let Some((piece, len)) = self.pieces.next() else { break };
                self.now = Some((piece, 0..len));
                continue;
            };
            let n = left.len().min(out.len() - filled);
            out[filled..filled + n].copy_from_slice(&piece.bytes()[left.start..left.start + n]);
            left.start += n;
            filled += n;
            if left.start == left.end {
                self.now = None;
            }
        }
        Ok(filled)
    }
}

impl std::fmt::Debug for PieceBuf {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} bytes in pieces", self.len)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_piece_takes_what_it_is_said_to_take() {
        let before = balance();
        for len in [0, 1, 48, 49, 112, 113, PIECE / 2, PIECE - 1, PIECE] {
            let piece = Piece::new(&vec![7; len], 0);
            assert_eq!((piece.memory(), balance() - before), (charge(len), charge(len) as i64), "{len}");
            assert!(piece.bytes().len() >= len && piece.bytes()[..len].iter().all(|&b| b == 7));
            assert!(piece.bytes()[len..].iter().all(|&b| b == 0));
            let sent = piece.slice(0..len.max(1));
            drop(piece);
            assert_eq!(balance() - before, charge(len) as i64, "what is on its way keeps it");
            drop(sent);
            assert_eq!(balance(), before);
        }
        assert_eq!(Piece::new(b"x", PIECE).memory(), PIECE + block::HEAD);
    }

    #[test]
    fn whoever_is_alone_may_write() {
        let mut piece = Piece::new(b"abc", 0);
        piece.own().expect("alone")[0] = b'z';
        let other = piece.clone();
        assert!(piece.own().is_none() && piece.is(&other));
        drop(other);
        assert_eq!(&piece.own().expect("alone again")[..3], b"zbc");
    }

    #[test]
    fn a_buffer_receives_what_it_would_be_given() {
        use std::io::Write;
        let text: Vec<u8> = (0..5 * PIECE + 5).map(|i| (i * 7) as u8).collect();
        let before = balance();
        for (pushed, sent, max) in [(0, 100, 100), (5, 3 * PIECE, 9), (PIECE, PIECE, PIECE), (7, 4 * PIECE, 2 * PIECE)]
        {
            let (mut out, socket) = std::os::unix::net::UnixStream::pair().unwrap();
            let mut buffer = PieceBuf::default();
            buffer.push(&text[..pushed]);
            out.write_all(&text[pushed..pushed + sent]).unwrap();
            drop(out);
            while buffer.len() < pushed + sent {
                let most = max.min(pushed + sent - buffer.len());
                assert!((1..=most).contains(&buffer.receive(&socket, most).unwrap()));
            }
            assert!(buffer.chunks().flatten().eq(&text[..pushed + sent]), "{pushed} {sent} {max}");
            assert_eq!(buffer.receive(&socket, 10).unwrap(), 0, "the end");
            for most in [1, PIECE - 1, PIECE, PIECE + 1, 3 * PIECE + 7, 16 * PIECE] {
                let fits = buffer.fitting(most);
                assert!(fits > 0 && fits <= most && (fits == most || (buffer.len() + fits).is_multiple_of(PIECE)));
            }
            assert!(buffer.clone().into_pieces().all(|(piece, len)| piece.bytes()[len..].iter().all(|&b| b == 0)));
        }
        assert_eq!(balance(), before);
    }

    #[test]
    fn pieces_end_where_they_end() {
        let before = balance();
        let piece = Piece::new(b"abc", PIECE);
        let there = std::thread::spawn(move || {
            drop(piece);
            balance()
        });
        let (here, there) = (balance() - before, there.join().expect("no panic"));
        assert_eq!((here, there), ((PIECE + block::HEAD) as i64, -((PIECE + block::HEAD) as i64)));
    }

    #[test]
    fn a_buffer_grows_by_any_steps() {
        let text: Vec<u8> = (0..3 * PIECE + 5).map(|i| (i * 7) as u8).collect();
        for step in [1000, PIECE - 1, PIECE, PIECE + 1, text.len()] {
            let mut buffer = PieceBuf::default();
            text.chunks(step).for_each(|part| buffer.push(part));
            assert_eq!(
                (buffer.len(), buffer.chunks().flatten().copied().collect::<Vec<_>>()),
                (text.len(), text.clone())
            );
            let mut read = Vec::new();
            buffer.clone().into_reader().read_to_end(&mut read).unwrap();
            assert!(read == text);
            buffer.truncate(2 * PIECE);
            assert_eq!(buffer.chunks().map(<[u8]>::len).collect::<Vec<_>>(), [PIECE, PIECE]);
            assert!(buffer.into_pieces().all(|(piece, len)| piece.memory() == PIECE + block::HEAD && len == PIECE));
        }
    }
}
