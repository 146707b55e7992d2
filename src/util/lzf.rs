//! LZF: the small compression that Redis uses for strings in RDB files, and for the inner nodes of lists.
//!
//! The idea and the format are Marc Lehmann's LibLZF. A compressed stream is a sequence of instructions with no
//! header, no length and no end mark:
//!
//! ```text
//! 000LLLLL  L+1 bytes                 copy the next L+1 bytes (1 to 32)
//! LLLooooo  oooooooo                  LLL 1..6: repeat L+2 bytes from offset+1 bytes back (3 to 8)
//! 111ooooo  LLLLLLLL  oooooooo        repeat L+9 bytes (9 to 264); offsets reach back 8192 bytes
//! ```
//!
//! # One table, never cleared
//!
//! The compressor remembers where it last saw each three bytes, in a table of 16,384 positions. Clearing that
//! (64 KiB) for every string would cost more than compressing most strings. So positions are stored on one
//! line that grows from call to call: whatever lies before this call's `base` was left by an earlier one and
//! counts as empty. The table is cleared once every 4 GiB of input.
//!
//! # Pieces
//!
//! Offsets are relative and instructions never refer forward, so streams can be joined: a string that lives in
//! pieces is compressed piece by piece into one output, and costs only the matches across the seams.

use std::cell::Cell;
use std::ops::Range;

const TABLE_BITS: u32 = 14;
const OFFSET_MAX: usize = 1 << 13;
const MATCH_MAX: usize = 264;
const LITERALS_MAX: usize = 32;
/// One more byte a step for each so many (a power of two) that were no match.
const STRIDE_SHIFT: u32 = 6;

/// No instruction yields more than this many bytes for each byte of its own (264 from 3).
///
/// A reader uses it to refuse a length that the compressed bytes cannot produce, before reserving memory.
pub const RATIO_MAX: u64 = 88;

/// A compressor with its table of positions; keep one and use it for many strings.
pub struct Compressor {
    /// Positions on the line described above; 0 is never a valid one.
    table: Box<[u32; 1 << TABLE_BITS]>,
    base: u32,
}

thread_local! {
    static SPARE: Cell<Option<Box<Compressor>>> = const { Cell::new(None) };
}

impl Compressor {
    /// The compressor that this thread used last, or a new one. A payload of a few bytes should not cost a new table.
    pub fn borrow() -> Box<Compressor> {
        SPARE.take().unwrap_or_default()
    }

    /// Keeps a compressor for the next user on this thread.
    pub fn give_back(self: Box<Compressor>) {
        SPARE.set(Some(self));
    }
}

impl Default for Compressor {
    fn default() -> Self {
        Compressor::new()
    }
}

impl Compressor {
    /// A compressor with an empty table (64 KiB).
    pub fn new() -> Compressor {
        let table = vec![0; 1 << TABLE_BITS].into_boxed_slice();
        Compressor { table: table.try_into().expect("a slice of this length"), base: 1 }
    }

    /// Appends the compressed form of `input` to `out`, unless `out` would grow by more than `limit` bytes.
    ///
    /// Returns whether it fitted; if not, `out` is as before.
    pub fn compress(&mut self, input: &[u8], out: &mut Vec<u8>, limit: usize) -> bool {
        let start = out.len();
        let room = limit.min(input.len() + input.len().div_ceil(LITERALS_MAX));
        out.resize(start + room + INSTRUCTION_MAX, 0);
        let written = self.run(input, &mut out[start..], room);
        out.truncate(start + written.unwrap_or(0));
        written.is_some()
    }

    /// Writes the compressed form to the start of `out`, which has room for `end` bytes and one instruction more; how
    /// many bytes it has, if not more than `end`.
    fn run(&mut self, input: &[u8], out: &mut [u8], end: usize) -> Option<usize> {
        let len = u32::try_from(input.len()).ok()?;
        if self.base.checked_add(len).is_none() {
            self.table.fill(0);
            self.base = 1;
            self.base.checked_add(len)?;
        }
        let (base, table) = (self.base, &mut *self.table);
        self.base += len;

        let (mut at, mut written, mut literals_from) = (0, 0, 0);
        // A match needs three bytes; the last two positions can only be literals.
        while at + 3 <= input.len() {
            let (here, three) = (base + at as u32, three_at(input, at));
            let seen = std::mem::replace(&mut table[slot_of(three)], here);
            let distance = (here - seen) as usize;
            // What an earlier call left is farther away than this string is old.
            if distance > at.min(OFFSET_MAX) || three_at(input, at - distance) != three {
                // The longer nothing repeats, the wider the steps: noise is passed over quickly.
                at += 1 + ((at - literals_from) >> STRIDE_SHIFT);
                continue;
            }
            written = put_literals(input, literals_from..at, out, written, end)?;
            let matched =
                3 + common_prefix(&input[at - distance + 3..], &input[at + 3..input.len().min(at + MATCH_MAX)]);
            let (offset, short) = (distance - 1, matched - 2);
            if short < 7 {
                out[written..written + 2].copy_from_slice(&[(short << 5 | offset >> 8) as u8, offset as u8]);
                written += 2;
            } else {
                let bytes = [(7 << 5 | offset >> 8) as u8, (short - 7) as u8, offset as u8];
                out[written..written + 3].copy_from_slice(&bytes);
                written += 3;
            }
            if written > end {
                return None;
            }
            // Remember the last two positions inside the match too: repetitions often start there.
            at += matched;
            for inside in [at - 2, at - 1] {
                if inside + 3 <= input.len() {
                    table[slot_of(three_at(input, inside))] = base + inside as u32;
                }
            }
            literals_from = at;
        }
        put_literals(input, literals_from..input.len(), out, written, end)
    }
}

/// The three bytes at a place, as a number. Four are read at once, if there are four.
#[inline(always)]
fn three_at(input: &[u8], at: usize) -> u32 {
    match input[at..].first_chunk::<4>() {
        Some(&four) => u32::from_be_bytes(four) >> 8,
        None => u32::from_be_bytes([0, input[at], input[at + 1], input[at + 2]]),
    }
}

#[inline(always)]
fn slot_of(three: u32) -> usize {
    (three.wrapping_mul(0x9E37_79B1) >> (32 - TABLE_BITS)) as usize
}

/// How many bytes two slices have in common at their beginning; eight at a time.
#[inline(always)]
fn common_prefix(a: &[u8], b: &[u8]) -> usize {
    let (a_words, _) = a.as_chunks::<8>();
    let (b_words, _) = b.as_chunks::<8>();
    for (place, (a_word, b_word)) in a_words.iter().zip(b_words).enumerate() {
        let differing = u64::from_le_bytes(*a_word) ^ u64::from_le_bytes(*b_word);
        if differing != 0 {
            return place * 8 + (differing.trailing_zeros() / 8) as usize;
        }
    }
    let same = 8 * a_words.len().min(b_words.len());
    same + a[same..].iter().zip(&b[same..]).take_while(|(x, y)| x == y).count()
}

/// Writes literals behind the `written` bytes of `out`; how many they are then, if not more than `end`.
#[inline(always)]
fn put_literals(input: &[u8], range: Range<usize>, out: &mut [u8], written: usize, end: usize) -> Option<usize> {
    let (mut from, mut written) = (range.start, written);
    while from < range.end {
        let run = LITERALS_MAX.min(range.end - from);
        if written + 1 + run > end {
            return None;
        }
        let (head, rest) = out[written..].split_first_mut()?;
        *head = run as u8 - 1;
        match (input[from..].first_chunk::<LITERALS_MAX>(), rest.first_chunk_mut::<LITERALS_MAX>()) {
            // A copy of a size that is known is a few instructions; what is too much will be written over.
            (Some(literals), Some(room)) => *room = *literals,
            _ => rest[..run].copy_from_slice(&input[from..from + run]),
        }
        from += run;
        written += 1 + run;
    }
    Some(written)
}

/// What is wrong with a compressed string.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LzfError {
    /// The stream ends inside an instruction.
    Truncated,
    /// A repetition reaches back beyond the first byte.
    OffsetTooFar,
    /// The stream holds more or fewer bytes than announced.
    WrongLength,
}

/// Decompresses a string that is announced as `len` bytes long.
///
/// Never reserves more than the compressed bytes could yield, whatever `len` says.
pub fn decompress(input: &[u8], len: usize) -> Result<Vec<u8>, LzfError> {
    if len as u64 > (input.len() as u64).saturating_mul(RATIO_MAX) {
        return Err(LzfError::WrongLength);
    }
    let mut out = vec![0; len];
    let (mut at, mut written) = (0, 0);
    while let Some(&control) = input.get(at) {
        at += 1;
        if control < 32 {
            let run = usize::from(control) + 1;
            let literals = input.get(at..at + run).ok_or(LzfError::Truncated)?;
            let room = &mut out[written..];
            match (input[at..].first_chunk::<LITERALS_MAX>(), room.first_chunk_mut::<LITERALS_MAX>()) {
                // A copy of a size that is known is a few instructions; what is too much will be written over.
                (Some(many), Some(room)) => *room = *many,
                _ => room.get_mut(..run).ok_or(LzfError::WrongLength)?.copy_from_slice(literals),
            }
            at += run;
            written += run;
            continue;
        }
        let mut matched = usize::from(control >> 5) + 2;
        if matched == 9 {
            matched += usize::from(*input.get(at).ok_or(LzfError::Truncated)?);
            at += 1;
        }
        let low = *input.get(at).ok_or(LzfError::Truncated)?;
        at += 1;
        let distance = (usize::from(control & 31) << 8 | usize::from(low)) + 1;
        if matched > len - written {
            return Err(LzfError::WrongLength);
        }
        let from = written.checked_sub(distance).ok_or(LzfError::OffsetTooFar)?;
        match out[from..].first_chunk::<8>() {
            // Most are short and lie far enough behind.
            Some(&eight) if matched <= 8 && distance >= 8 && written + 8 <= len => {
                out[written..written + 8].copy_from_slice(&eight);
            }
            _ => repeat_within(&mut out, from, written, matched),
        }
        written += matched;
    }
    if written != len {
        return Err(LzfError::WrongLength);
    }
    Ok(out)
}

/// Copies `count` bytes from `from` to `to`, behind it, where the source may run into what is being written.
fn repeat_within(out: &mut [u8], from: usize, to: usize, count: usize) {
    let mut done = 0;
    // Each round doubles what can be copied at once: the pattern grows with the output.
    while done < count {
        let step = (count - done).min(to + done - from);
        out.copy_within(from..from + step, to + done);
        done += step;
    }
}

/// No instruction has more bytes: a run of literals with its control byte.
pub const INSTRUCTION_MAX: usize = LITERALS_MAX + 1;

/// Bytes handed out at once by an [`Unpacker`].
const PART_BYTES: usize = 32 * 1024;

/// Decompresses a stream that comes in parts, into parts: for strings too long to be in memory twice.
pub struct Unpacker {
    /// The last bytes that were handed out, as far as an offset reaches back, and what comes next.
    out: Vec<u8>,
    /// Bytes of `out` that were handed out.
    given: usize,
    /// Bytes of the string that are still to come.
    left: u64,
}

impl Unpacker {
    /// For a string that is announced as `len` bytes long.
    pub fn new(len: u64) -> Unpacker {
        Unpacker { out: Vec::with_capacity(OFFSET_MAX + PART_BYTES + MATCH_MAX), given: 0, left: len }
    }

    /// Takes the whole instructions at the start of `input`, and says how many bytes they have; the rest is to be shown
    /// again, with more behind it. What they yield goes to `sink`, now or later.
    pub fn feed(&mut self, input: &[u8], sink: &mut dyn FnMut(&[u8])) -> Result<usize, LzfError> {
        let mut rest = input;
        loop {
            if self.out.len() - self.given >= PART_BYTES {
                self.give(sink);
            }
            let Some((&control, tail)) = rest.split_first() else { break };
            let count = if control < 32 {
                let run = usize::from(control) + 1;
                let Some((literals, tail)) = tail.split_at_checked(run) else { break };
                self.take(run)?;
                self.out.extend_from_slice(literals);
                rest = tail;
                continue;
            } else {
                usize::from(control >> 5) + 2
            };
            let (count, tail) = match (count, tail.split_first()) {
                (9, None) => break,
                (9, Some((&more, tail))) => (9 + usize::from(more), tail),
                _ => (count, tail),
            };
            let Some((&low, tail)) = tail.split_first() else { break };
            self.take(count)?;
            let offset = (usize::from(control & 31) << 8 | usize::from(low)) + 1;
            let from = self.out.len().checked_sub(offset).ok_or(LzfError::OffsetTooFar)?;
            repeat(&mut self.out, from, count);
            rest = tail;
        }
        Ok(input.len() - rest.len())
    }

    /// The stream is over.
    pub fn finish(mut self, sink: &mut dyn FnMut(&[u8])) -> Result<(), LzfError> {
        self.give(sink);
        if self.left == 0 { Ok(()) } else { Err(LzfError::WrongLength) }
    }

    fn take(&mut self, count: usize) -> Result<(), LzfError> {
        self.left = self.left.checked_sub(count as u64).ok_or(LzfError::WrongLength)?;
        Ok(())
    }

    fn give(&mut self, sink: &mut dyn FnMut(&[u8])) {
        if self.given < self.out.len() {
            sink(&self.out[self.given..]);
        }
        let kept = self.out.len().min(OFFSET_MAX);
        self.out.drain(..self.out.len() - kept);
        self.given = kept;
    }
}

/// Appends `count` bytes starting at `from`, where the source may run into what is being appended.
fn repeat(out: &mut Vec<u8>, from: usize, count: usize) {
    debug_assert!(from < out.len());
    let mut left = count;
    // Each round doubles what can be copied at once: the pattern grows with the output.
    while left > 0 {
        let step = left.min(out.len() - from);
        out.extend_from_within(from..from + step);
        left -= step;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn samples() -> Vec<Vec<u8>> {
        let mut rng = 7u64;
        let mut next = move || {
            rng = rng.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            (rng >> 33) as usize
        };
        let mut all = vec![
            b"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa".to_vec(),
            b"abcabcabcabcabcabcabcabcabcabcabcabd".to_vec(),
            vec![0; 100_000],
            br#"{"id":12345,"name":"someone","tags":["a","b"],"id2":12346,"name2":"someone else"}"#.repeat(40),
        ];
        for n in 0..60 {
            let alphabet = 1 + next() % 12;
            all.push((0..n * 37).map(|_| (next() % alphabet) as u8).collect());
        }
        all
    }

    #[test]
    fn round_trips_with_one_table() {
        let mut lzf = Compressor::new();
        for sample in samples() {
            let mut out = b"before".to_vec();
            assert!(lzf.compress(&sample, &mut out, usize::MAX));
            assert_eq!(&out[..6], b"before");
            assert_eq!(decompress(&out[6..], sample.len()), Ok(sample.clone()));
        }
    }

    #[test]
    fn agrees_with_the_oracle() {
        let mut lzf = Compressor::new();
        for sample in samples() {
            let mut ours = Vec::new();
            assert!(lzf.compress(&sample, &mut ours, usize::MAX));
            if !sample.is_empty() {
                assert_eq!(::lzf::decompress(&ours, sample.len()).as_deref(), Ok(&sample[..]));
            }
            if let Ok(theirs) = ::lzf::compress(&sample) {
                assert_eq!(decompress(&theirs, sample.len()).as_deref(), Ok(&sample[..]));
                let slack = theirs.len() / 8 + 8;
                assert!(ours.len() <= theirs.len() + slack, "{} against {}", ours.len(), theirs.len());
            }
        }
    }

    #[test]
    fn pieces_can_be_joined() {
        let whole = b"the quick brown fox jumps over the lazy dog, ".repeat(3000);
        let mut lzf = Compressor::new();
        let mut out = Vec::new();
        for piece in whole.chunks(1000) {
            assert!(lzf.compress(piece, &mut out, usize::MAX));
        }
        assert_eq!(decompress(&out, whole.len()), Ok(whole));
    }

    #[test]
    fn a_limit_leaves_the_output_alone() {
        let mut lzf = Compressor::new();
        let noise: Vec<u8> = (0..1000u32).map(|i| (i.wrapping_mul(i).wrapping_mul(2654435761) >> 13) as u8).collect();
        let mut out = b"x".to_vec();
        assert!(!lzf.compress(&noise, &mut out, noise.len() - 4));
        assert_eq!(out, b"x");
        let flat = vec![b'z'; 1000];
        assert!(lzf.compress(&flat, &mut out, 20));
        assert!(out.len() <= 21);
    }

    #[test]
    fn the_table_survives_the_end_of_its_line() {
        let mut lzf = Compressor::new();
        lzf.base = u32::MAX - 50;
        let text = b"hello hello hello hello hello hello hello hello";
        for _ in 0..4 {
            let mut out = Vec::new();
            assert!(lzf.compress(text, &mut out, usize::MAX));
            assert_eq!(decompress(&out, text.len()).as_deref(), Ok(&text[..]));
        }
    }

    #[test]
    fn parts_become_parts() {
        let mut lzf = Compressor::new();
        let mut all = samples();
        all.push(b"0123456789abcdefghijklmnopqrstuvwxyz".iter().cycle().take(100_000).copied().collect());
        for sample in all {
            let mut packed = Vec::new();
            assert!(lzf.compress(&sample, &mut packed, usize::MAX));
            for step in [1, 3, 50, 10_000] {
                let (mut unpacker, mut read) = (Unpacker::new(sample.len() as u64), Vec::new());
                let mut waiting: Vec<u8> = Vec::new();
                for part in packed.chunks(step) {
                    waiting.extend_from_slice(part);
                    let used = unpacker.feed(&waiting, &mut |part| read.extend_from_slice(part)).unwrap();
                    waiting.drain(..used);
                    assert!(waiting.len() < INSTRUCTION_MAX);
                }
                assert_eq!(unpacker.finish(&mut |part| read.extend_from_slice(part)), Ok(()));
                assert_eq!(read, sample);
            }
        }
    }

    #[test]
    fn hostile_streams_are_refused() {
        assert_eq!(decompress(&[5, b'a'], 6), Err(LzfError::Truncated));
        assert_eq!(decompress(&[0, b'a', 0x20, 9], 4), Err(LzfError::OffsetTooFar));
        assert_eq!(decompress(&[0, b'a', 0xE0], 20), Err(LzfError::Truncated));
        assert_eq!(decompress(&[0, b'a', 0xE0, 1], 20), Err(LzfError::Truncated));
        assert_eq!(decompress(&[0, b'a'], 2), Err(LzfError::WrongLength));
        assert_eq!(decompress(&[1, b'a', b'b'], 1), Err(LzfError::WrongLength));
        assert_eq!(decompress(&[0, b'a'], usize::MAX), Err(LzfError::WrongLength));
        assert_eq!(decompress(&[], 0), Ok(Vec::new()));
        let parts = |input: &[u8], len| {
            let mut unpacker = Unpacker::new(len);
            unpacker.feed(input, &mut |_| {})?;
            unpacker.finish(&mut |_| {})
        };
        assert_eq!(parts(&[0, b'a', 0x20, 9], 4), Err(LzfError::OffsetTooFar));
        assert_eq!(parts(&[0, b'a'], 2), Err(LzfError::WrongLength));
        assert_eq!(parts(&[1, b'a', b'b'], 1), Err(LzfError::WrongLength));
        assert_eq!(parts(&[0, b'a', 0x40, 0], 4), Err(LzfError::WrongLength));
    }
}
