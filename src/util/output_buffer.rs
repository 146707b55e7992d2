//! A queue of bytes waiting to be written to a socket: one plain buffer, with large blobs spliced in by reference.
//!
//! Nearly every reply is small, and is appended to a `Vec<u8>` that goes out in one write. A few are large: a value
//! of a megabyte that already lies in memory as shared [`Bytes`]. Copying it into the buffer would cost a
//! millisecond and a second megabyte, so [`OutputBuffer::share`] only notes *where in the buffer* it belongs; the write
//! then gathers buffer pieces and blobs with one `writev`.
//!
//! ```text
//!   buf:      | sent already | $5 hello | $1000000 |    | :1 |
//!              0          head                     at        len
//!   splices:                                       at -> the blob's bytes
//!   on the wire:              $5 hello   $1000000  blob  :1
//! ```
//!
//! A reply of hundreds of megabytes should neither lie in one buffer, which moves whenever it grows, nor be held whole
//! until its last byte is sent: whoever makes one moves what is there to a blob of its own now and then
//! ([`OutputBuffer::seal`]).
//!
//! While nothing is spliced (`splices` is `None`) this is a `Vec` and an index; no other cost.
//!
//! Two things are promised to those who build replies:
//! * A [`Mark`] is a place in the queue. What was appended after it can be undone ([`OutputBuffer::truncate_to`]), and
//!   bytes can be put in at it afterwards ([`OutputBuffer::insert_at`]: the length of an array that was not known when
//!   it began). Marks die with the next [`OutputBuffer::advance`], because sent bytes give up their room.
//! * Between two calls of [`OutputBuffer::bytes_mut`], the caller only appends.

use std::collections::VecDeque;
use std::io::IoSlice;

use bytes::Bytes;

use crate::util::size_class;

/// A blob smaller than this is copied: a slice of its own in `writev` costs more than moving so few bytes.
const SHARE_BYTES_MIN: usize = 1024;

/// A sent prefix is given up, by moving the rest down, when it is this long and at least as long as the rest.
const COMPACT_BYTES_MIN: usize = 16 * 1024;

/// Bytes waiting to be written. See the module's header.
#[derive(Default, Debug)]
pub struct OutputBuffer {
    buf: Vec<u8>,
    /// How much of `buf` was written already.
    head: usize,
    splices: Option<Box<Splices>>,
}

#[derive(Default, Debug)]
struct Splices {
    /// In order of place. `at` is an index into `buf`, never before `head`.
    list: VecDeque<Splice>,
    /// Unsent bytes in `list`.
    bytes: usize,
    /// What blobs take that nobody else has, to the last byte until all of each is sent.
    own: usize,
}

#[derive(Debug)]
struct Splice {
    at: usize,
    blob: Bytes,
    /// What it takes, if nobody else has it because it was sealed; otherwise 0.
    own: usize,
}

/// A place in a [`OutputBuffer`], valid until bytes are next taken from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    buf: usize,
    splices: usize,
}

impl OutputBuffer {
    /// An empty queue that owns no memory.
    pub const fn new() -> OutputBuffer {
        OutputBuffer { buf: Vec::new(), head: 0, splices: None }
    }

    /// An empty queue that appends into `buf`, whose contents are discarded and whose room is kept.
    pub fn with_buffer(mut buf: Vec<u8>) -> OutputBuffer {
        buf.clear();
        OutputBuffer { buf, head: 0, splices: None }
    }

    /// All unsent bytes, blobs included.
    #[inline]
    pub fn len(&self) -> usize {
        self.buf.len() - self.head + self.splices.as_ref().map_or(0, |s| s.bytes)
    }

    /// Whether nothing waits.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Where to append. Only append: places before the end are remembered by others.
    #[inline]
    pub fn bytes_mut(&mut self) -> &mut Vec<u8> {
        &mut self.buf
    }

    /// Puts `blob` after everything appended so far; a large one is not copied.
    pub fn share(&mut self, blob: Bytes) {
        if blob.len() < SHARE_BYTES_MIN {
            self.buf.extend_from_slice(&blob);
            return;
        }
        self.splices.get_or_insert_default().push(Splice { at: self.buf.len(), blob, own: 0 });
    }

    /// Moves what lies in the buffer behind its first `kept` bytes, which are to be changed yet, to blobs of its own, and
    /// so makes room in it. Marks of places behind these bytes are stale afterwards.
    pub fn seal(&mut self, kept: usize) {
        assert!(self.head <= kept && kept <= self.buf.len(), "bytes are sealed that are not there");
        let splices = self.splices.get_or_insert_default();
        let first = splices.list.partition_point(|splice| splice.at <= kept);
        let mut behind = splices.list.split_off(first);
        let end = self.buf.len();
        behind.push_back(Splice { at: end, blob: Bytes::new(), own: 0 });
        let mut from = kept;
        for splice in behind {
            if splice.at > from {
                let blob = Bytes::copy_from_slice(&self.buf[from..splice.at]);
                splices.push(Splice { at: kept, own: size_class(blob.len()), blob });
                from = splice.at;
            }
            if !splice.blob.is_empty() {
                splices.list.push_back(Splice { at: kept, ..splice });
            }
        }
        self.buf.truncate(kept);
    }

    /// Bytes that [`OutputBuffer::seal`] would move.
    #[inline]
    pub fn unsealed(&self, kept: usize) -> usize {
        self.buf.len() - kept
    }

    /// The place after everything appended so far.
    #[inline]
    pub fn mark(&self) -> Mark {
        Mark { buf: self.buf.len(), splices: self.splices.as_ref().map_or(0, |s| s.list.len()) }
    }

    /// How many bytes were appended or shared since `mark`.
    pub fn len_since(&self, mark: Mark) -> usize {
        let blobs = self.splices.as_ref().map_or(0, |s| s.list.range(mark.splices..).map(|s| s.blob.len()).sum());
        self.buf.len() - mark.buf + blobs
    }

    /// Forgets everything appended or shared since `mark`.
    pub fn truncate_to(&mut self, mark: Mark) {
        assert!(self.head <= mark.buf && mark.buf <= self.buf.len(), "a mark outlived the bytes it marked");
        self.buf.truncate(mark.buf);
        if let Some(splices) = &mut self.splices {
            while splices.list.len() > mark.splices {
                let gone = splices.list.pop_back().expect("there are more than the mark says");
                splices.gone(&gone);
            }
        }
    }

    /// Puts `bytes` in at `mark`, before everything appended or shared since. Costs a move of what follows in the
    /// buffer (blobs do not move). Marks taken after `mark` are stale afterwards.
    pub fn insert_at(&mut self, mark: Mark, bytes: &[u8]) {
        assert!(self.head <= mark.buf && mark.buf <= self.buf.len(), "a mark outlived the bytes it marked");
        let tail = self.buf.len() - mark.buf;
        self.buf.extend_from_slice(bytes);
        self.buf[mark.buf..].rotate_right(bytes.len());
        debug_assert_eq!(self.buf.len(), mark.buf + bytes.len() + tail);
        if let Some(splices) = &mut self.splices {
            splices.list.range_mut(mark.splices..).for_each(|s| s.at += bytes.len());
        }
    }

    /// The unsent bytes, in order, as non-empty slices.
    pub fn chunks(&self) -> Chunks<'_> {
        Chunks { gather: self, at: self.head, next_splice: 0, blob_next: false }
    }

    /// Appends up to `max` unsent slices to `out`, for a vectored write.
    pub fn slices<'a>(&'a self, out: &mut Vec<IoSlice<'a>>, max: usize) {
        out.extend(self.chunks().take(max).map(IoSlice::new));
    }

    /// The unsent bytes when they lie in one piece: the common case, and the plain `write`.
    #[inline]
    pub fn as_one(&self) -> Option<&[u8]> {
        match &self.splices {
            None => Some(&self.buf[self.head..]),
            Some(s) if s.list.is_empty() => Some(&self.buf[self.head..]),
            Some(_) => None,
        }
    }

    /// Notes that the first `n` unsent bytes were written.
    pub fn advance(&mut self, n: usize) {
        assert!(n <= self.len(), "more written than was waiting");
        if n == self.len() {
            self.clear();
            return;
        }
        match &mut self.splices {
            None => self.head += n,
            Some(splices) => splices.advance(&mut self.head, self.buf.len(), n),
        }
        if self.head >= COMPACT_BYTES_MIN && self.head >= self.buf.len() - self.head {
            // Bytes are moved at most once for each byte sent, so a reader that never quite catches up costs a
            // constant factor, and the buffer does not grow without end.
            self.buf.drain(..self.head);
            if let Some(splices) = &mut self.splices {
                splices.list.iter_mut().for_each(|s| s.at -= self.head);
            }
            self.head = 0;
        }
    }

    /// Drops everything, sent or not, and keeps the buffer's room.
    pub fn clear(&mut self) {
        self.buf.clear();
        self.head = 0;
        self.splices = None;
    }

    /// Takes the buffer out of a drained queue, to be pooled; the queue owns no memory afterwards.
    pub fn take_buffer(&mut self) -> Vec<u8> {
        assert!(self.is_empty(), "the buffer of a queue that still waits");
        self.clear();
        std::mem::take(&mut self.buf)
    }

    /// Moves everything unsent of `other` to the end of this queue; blobs are not copied.
    pub fn append(&mut self, other: OutputBuffer) {
        if self.is_empty() && self.buf.capacity() < other.buf.capacity() {
            *self = other;
            return;
        }
        let mut at = other.head;
        if let Some(splices) = other.splices {
            for splice in splices.list {
                self.buf.extend_from_slice(&other.buf[at..splice.at]);
                at = splice.at;
                match splice.own {
                    0 => self.share(splice.blob),
                    _ => self.splices.get_or_insert_default().push(Splice { at: self.buf.len(), ..splice }),
                }
            }
        }
        self.buf.extend_from_slice(&other.buf[at..]);
    }

    /// Moves the first `n` unsent bytes to the end of `to`; blobs are not copied.
    pub fn give(&mut self, n: usize, to: &mut OutputBuffer) {
        if n == self.len() {
            return to.append(std::mem::take(self));
        }
        let (mut at, mut left) = (self.head, n);
        for splice in self.splices.iter().flat_map(|splices| &splices.list) {
            let plain = (splice.at - at).min(left);
            to.buf.extend_from_slice(&self.buf[at..at + plain]);
            (at, left) = (at + plain, left - plain);
            if left == 0 {
                break;
            }
            match splice.own {
                own if own > 0 && left >= splice.blob.len() => {
                    let (at, blob) = (to.buf.len(), splice.blob.clone());
                    to.splices.get_or_insert_default().push(Splice { at, blob, own });
                }
                _ => to.share(splice.blob.slice(..left.min(splice.blob.len()))),
            }
            left -= left.min(splice.blob.len());
        }
        to.buf.extend_from_slice(&self.buf[at..at + left]);
        self.advance(n);
    }

    /// The unsent bytes, copied.
    pub fn to_vec(&self) -> Vec<u8> {
        self.chunks().fold(Vec::with_capacity(self.len()), |mut out, chunk| {
            out.extend_from_slice(chunk);
            out
        })
    }

    /// Memory of the buffer, of the list and of what was sealed, without shared blobs: those may be others' too.
    #[inline]
    pub fn buffer_memory(&self) -> usize {
        self.buf.capacity() + self.splices.as_ref().map_or(0, |splices| splices.list_memory() + splices.own)
    }

    /// Memory held here: the buffer's room, the list, and the blobs as if they were held by this queue alone.
    pub fn memory(&self) -> usize {
        self.buf.capacity() + self.splices.as_ref().map_or(0, |splices| splices.list_memory() + splices.bytes)
    }
}

impl Splices {
    /// Memory of the list itself.
    fn list_memory(&self) -> usize {
        size_of::<Splices>() + self.list.capacity() * size_of::<Splice>()
    }

    fn push(&mut self, splice: Splice) {
        self.bytes += splice.blob.len();
        self.own += splice.own;
        self.list.push_back(splice);
    }

    /// The first or last of the list has left it, with so many bytes unsent.
    fn gone(&mut self, splice: &Splice) {
        self.bytes -= splice.blob.len();
        self.own -= splice.own;
    }

    fn advance(&mut self, head: &mut usize, buf_len: usize, mut n: usize) {
        while n > 0 {
            let plain_end = self.list.front().map_or(buf_len, |s| s.at);
            let plain = (plain_end - *head).min(n);
            *head += plain;
            n -= plain;
            if n == 0 {
                break;
            }
            let splice = self.list.front_mut().expect("bytes beyond the buffer's end are a blob's");
            if n < splice.blob.len() {
                bytes::Buf::advance(&mut splice.blob, n);
                self.bytes -= n;
                break;
            }
            n -= splice.blob.len();
            let sent = self.list.pop_front().expect("it was there just now");
            self.gone(&sent);
        }
    }
}

/// The unsent slices of a [`OutputBuffer`].
pub struct Chunks<'a> {
    gather: &'a OutputBuffer,
    at: usize,
    next_splice: usize,
    /// The plain bytes before the next splice were given out.
    blob_next: bool,
}

impl<'a> Iterator for Chunks<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        loop {
            let splice = self.gather.splices.as_ref().and_then(|s| s.list.get(self.next_splice));
            if self.blob_next {
                self.blob_next = false;
                self.next_splice += 1;
                let blob = &splice.expect("only set when there is one").blob;
                if !blob.is_empty() {
                    return Some(blob);
                }
                continue;
            }
            let end = splice.map_or(self.gather.buf.len(), |s| s.at);
            let plain = &self.gather.buf[self.at..end];
            self.at = end;
            self.blob_next = splice.is_some();
            if !plain.is_empty() {
                return Some(plain);
            }
            splice?; // nothing after the last plain bytes
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn blob(byte: u8, len: usize) -> Bytes {
        Bytes::from(vec![byte; len])
    }

    #[test]
    fn plain_bytes_are_one_slice() {
        let mut g = OutputBuffer::new();
        assert!(g.is_empty() && g.as_one() == Some(b"") && g.memory() == 0);
        g.bytes_mut().extend_from_slice(b"+OK\r\n");
        assert_eq!(g.as_one(), Some(&b"+OK\r\n"[..]));
        g.advance(2);
        assert_eq!(g.as_one(), Some(&b"K\r\n"[..]));
        assert_eq!(g.len(), 3);
        g.advance(3);
        assert!(g.is_empty());
        assert!(g.take_buffer().capacity() >= 5);
        assert_eq!(g.memory(), 0);
    }

    #[test]
    fn blobs_come_where_they_were_shared() {
        let mut g = OutputBuffer::new();
        g.share(blob(b'a', 2000));
        g.bytes_mut().extend_from_slice(b"--");
        g.share(blob(b'b', 3000));
        g.share(blob(b'c', 2000));
        g.share(blob(b'd', 10));
        let mut want = vec![b'a'; 2000];
        want.extend_from_slice(b"--");
        want.extend_from_slice(&[b'b'; 3000]);
        want.extend_from_slice(&[b'c'; 2000]);
        want.extend_from_slice(&[b'd'; 10]);
        assert_eq!(g.to_vec(), want);
        assert_eq!(g.len(), want.len());
        assert!(g.as_one().is_none());
        assert_eq!(g.chunks().count(), 5);
        let mut slices = Vec::new();
        g.slices(&mut slices, 2);
        assert_eq!(slices.len(), 2);
    }

    #[test]
    fn written_in_any_steps_the_bytes_are_the_same() {
        for step in [1, 7, 512, 1024, 1999, 5000, 100_000] {
            let mut g = OutputBuffer::new();
            for i in 0..10u8 {
                g.bytes_mut().extend_from_slice(&vec![i; 3000 * usize::from(i % 3)]);
                g.share(blob(100 + i, 1024 + usize::from(i)));
            }
            let want = g.to_vec();
            let mut got = Vec::new();
            while !g.is_empty() {
                let n = g.len().min(step);
                got.extend(g.to_vec()[..n].iter());
                g.advance(n);
                assert_eq!(got.len() + g.len(), want.len());
                if step == 1 && got.len() > 3000 {
                    let rest = g.to_vec(); // byte by byte is quadratic in this test: enough seen
                    got.extend_from_slice(&rest);
                    break;
                }
            }
            assert_eq!(got, want, "step {step}");
        }
    }

    #[test]
    fn a_reader_that_never_catches_up_does_not_grow_the_buffer() {
        let mut g = OutputBuffer::new();
        g.bytes_mut().extend_from_slice(&[0; 1000]);
        for _ in 0..10_000 {
            g.bytes_mut().extend_from_slice(&[1; 1000]);
            g.advance(1000);
        }
        assert!(g.memory() < 200_000, "{}", g.memory());
        assert_eq!(g.len(), 1000);
    }

    #[test]
    fn undo_and_insert() {
        let mut g = OutputBuffer::new();
        g.bytes_mut().extend_from_slice(b"before ");
        let at = g.mark();
        g.bytes_mut().extend_from_slice(b"x");
        g.share(blob(b'y', 1500));
        g.bytes_mut().extend_from_slice(b"z");
        assert_eq!(g.len_since(at), 1502);
        g.insert_at(at, b"*3 ");
        let mut want = b"before *3 x".to_vec();
        want.extend_from_slice(&[b'y'; 1500]);
        want.push(b'z');
        assert_eq!(g.to_vec(), want);
        g.truncate_to(at);
        assert_eq!(g.to_vec(), b"before ");
        assert_eq!(g.len(), 7);
        assert_eq!(g.mark(), at);
    }

    #[test]
    fn what_is_sealed_stays_where_it_was() {
        let mut g = OutputBuffer::new();
        g.bytes_mut().extend_from_slice(b"*0\r\n");
        let after_digit = Mark { buf: 2, splices: 0 };
        let mut want = b"*12\r\n".to_vec();
        for round in 0..3u8 {
            for (byte, shared) in [(b'a', false), (b'S', true), (b'b', false), (b'T', true), (b'U', true)] {
                let bytes = [byte + round, round].repeat(700);
                match shared {
                    true => g.share(Bytes::from(bytes.clone())),
                    false => g.bytes_mut().extend_from_slice(&bytes),
                }
                want.extend_from_slice(&bytes);
            }
            g.seal(4);
            assert_eq!(g.unsealed(4), 0);
        }
        g.bytes_mut().extend_from_slice(b"tail");
        want.extend_from_slice(b"tail");
        g.bytes_mut()[1] = b'1';
        g.insert_at(after_digit, b"2");
        assert_eq!(g.to_vec(), want);
        let list = g.memory() - g.len() - (g.bytes_mut().capacity() - g.bytes_mut().len());
        let own = g.buffer_memory() - g.bytes_mut().capacity() - list;
        assert_eq!(own, 3 * 2 * size_class(1400), "what is shared is not its own, and what is its own counts as it is");
        let mut other = OutputBuffer::new();
        other.bytes_mut().reserve(10_000);
        other.bytes_mut().extend_from_slice(b"+OK\r\n");
        other.append(g);
        assert_eq!(other.to_vec(), [b"+OK\r\n", &want[..]].concat());
        let (mut got, most) = (Vec::new(), other.buffer_memory());
        while !other.is_empty() {
            let n = other.len().min(999);
            got.extend_from_slice(&other.to_vec()[..n]);
            other.advance(n);
            assert!(other.buffer_memory() <= most, "what was sent takes nothing any more");
        }
        assert_eq!(got, [b"+OK\r\n", &want[..]].concat());
        other.bytes_mut().extend_from_slice(&[b'x'; 5000]);
        other.seal(0);
        let sealed = other.buffer_memory();
        other.advance(4999);
        assert_eq!(other.buffer_memory(), sealed, "a piece is there until all of it is sent");
        other.advance(1);
        assert_eq!(other.buffer_memory(), other.bytes_mut().capacity());
        let start = other.mark();
        other.bytes_mut().extend_from_slice(&[b'x'; 3000]);
        other.seal(5);
        other.truncate_to(start);
        let list = other.buffer_memory() - other.bytes_mut().capacity();
        assert!(other.is_empty() && list < 1000, "taken back, {list} bytes of the list are left");
    }

    #[test]
    fn append_moves_blobs() {
        let mut a = OutputBuffer::new();
        a.bytes_mut().extend_from_slice(b"a");
        let mut b = OutputBuffer::new();
        b.bytes_mut().extend_from_slice(b"skip!");
        b.share(blob(b'b', 1100));
        b.bytes_mut().extend_from_slice(b"c");
        b.advance(5);
        a.append(b);
        assert_eq!(a.len(), 1102);
        assert_eq!(a.to_vec()[1..1101], [b'b'; 1100]);
        let mut empty = OutputBuffer::new();
        empty.append(a);
        assert_eq!(empty.len(), 1102);
    }

    #[test]
    fn given_in_any_steps_the_bytes_are_the_same() {
        for step in [1, 3, 1023, 1024, 2500, 100_000] {
            let mut from = OutputBuffer::new();
            from.bytes_mut().extend_from_slice(b"gone");
            for i in 0..4u8 {
                from.bytes_mut().extend_from_slice(&vec![i; 700 * usize::from(i % 3)]);
                from.share(blob(100 + i, 1024 + usize::from(i)));
                from.bytes_mut().extend_from_slice(&[i; 1500]);
            }
            from.advance(4);
            from.seal(from.mark().buf - 1000);
            from.bytes_mut().extend_from_slice(b"tail");
            let want = from.to_vec();
            let mut to = OutputBuffer::new();
            while !from.is_empty() {
                let n = step.min(from.len());
                from.give(n, &mut to);
                assert_eq!(to.len() + from.len(), want.len(), "step {step}");
            }
            assert_eq!(to.to_vec(), want, "step {step}");
        }
    }

    #[test]
    #[should_panic(expected = "more written")]
    fn more_than_there_is() {
        OutputBuffer::new().advance(1);
    }
}
