//! Writing the elements of the format: bytes, lengths, strings, numbers. Records are in `write_file.rs`.
//!
//! Everything is collected in one buffer, and the checksum is taken over the buffer when it is handed to the
//! sink. Checksumming each opcode and length as it is written would cost several times more than the bytes
//! themselves.
//!
//! Without a sink the buffer is the result: that is how DUMP payloads are made. The one large thing, the
//! compressor's table, is kept for the next writer of the thread.
//!
//! # Strings
//!
//! A string takes the shortest of the forms that the parameters allow, as in Redis:
//!
//! 1. an integer of one, two or four bytes, when the text is the canonical form of a 32-bit number;
//! 2. LZF, when compression is on, the string is longer than 20 bytes, and at least 4 bytes are saved;
//! 3. a length and the bytes.

use std::io::{self, Write};

use super::opcodes::*;
use crate::collections::simd::crc64::crc64;
use crate::util::lzf::Compressor;

/// The buffer is handed to the sink when it reaches this.
const BUFFER_BYTES: usize = 256 * 1024;
/// Shorter strings are never compressed.
const COMPRESS_ABOVE: usize = 20;
/// What compression must save, at least.
const COMPRESS_SAVES: usize = 4;
/// A long string in pieces is given up as incompressible after this many bytes without gain.
const COMPRESS_TRIAL: u64 = 512 * 1024;

/// The parameters of a file or payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WriteOptions {
    /// Version of the format: [`VERSION_MIN_WRITTEN`] to [`VERSION_MAX`].
    pub version: u32,
    /// Compress strings with LZF (`rdbcompression`).
    pub compression: bool,
    /// End a file with a checksum, not with zeros (`rdbchecksum`).
    pub checksum: bool,
}

impl Default for WriteOptions {
    fn default() -> Self {
        WriteOptions { version: VERSION_DEFAULT, compression: true, checksum: true }
    }
}

/// Writes RDB elements to a sink, or to memory.
pub struct RdbWriter<'w> {
    sink: Option<Box<dyn Write + 'w>>,
    buf: Vec<u8>,
    flushed: u64,
    crc: u64,
    options: WriteOptions,
    lzf: Option<Box<Compressor>>,
    packed: Vec<u8>,
}

impl<'w> RdbWriter<'w> {
    /// A writer to a file or socket. The sink needs no buffer of its own.
    pub fn new(sink: impl Write + 'w, options: WriteOptions) -> RdbWriter<'w> {
        let mut writer = RdbWriter::in_memory(options);
        writer.sink = Some(Box::new(sink));
        writer
    }

    /// A writer whose output is fetched with [`take_bytes`](RdbWriter::take_bytes). Writing to it never fails.
    pub fn in_memory(options: WriteOptions) -> RdbWriter<'w> {
        RdbWriter { sink: None, buf: Vec::new(), flushed: 0, crc: 0, options, lzf: None, packed: Vec::new() }
    }

    /// The parameters in force.
    pub fn options(&self) -> WriteOptions {
        self.options
    }

    /// The version being written. A type chooses its layout by it: see [`TypeOpcode::since_version`].
    pub fn version(&self) -> u32 {
        self.options.version
    }

    /// Bytes written so far, buffered ones included.
    pub fn offset(&self) -> u64 {
        self.flushed + self.buf.len() as u64
    }

    /// What was written to memory; the writer starts anew.
    pub fn take_bytes(&mut self) -> Vec<u8> {
        debug_assert!(self.sink.is_none(), "the output went to the sink");
        self.flushed = 0;
        self.crc = 0;
        std::mem::take(&mut self.buf)
    }

    /// Hands buffered bytes to the sink.
    pub fn flush(&mut self) -> io::Result<()> {
        if let Some(sink) = &mut self.sink {
            if self.options.checksum {
                self.crc = crc64(self.crc, &self.buf);
            }
            sink.write_all(&self.buf)?;
            self.flushed += self.buf.len() as u64;
            self.buf.clear();
            sink.flush()?;
        }
        Ok(())
    }

    /// The checksum of everything written so far.
    pub(super) fn checksum(&self) -> u64 {
        if self.options.checksum { crc64(self.crc, &self.buf) } else { 0 }
    }

    fn full(&mut self) -> io::Result<()> {
        if self.buf.len() >= BUFFER_BYTES && self.sink.is_some() {
            return self.drain();
        }
        Ok(())
    }

    #[cold]
    fn drain(&mut self) -> io::Result<()> {
        if self.options.checksum {
            self.crc = crc64(self.crc, &self.buf);
        }
        if let Some(sink) = &mut self.sink {
            sink.write_all(&self.buf)?;
        }
        self.flushed += self.buf.len() as u64;
        self.buf.clear();
        Ok(())
    }

    /// One byte as it is.
    pub fn write_u8(&mut self, byte: u8) -> io::Result<()> {
        self.buf.push(byte);
        self.full()
    }

    /// Bytes as they are, without a length.
    pub fn write_raw(&mut self, bytes: &[u8]) -> io::Result<()> {
        if bytes.len() >= BUFFER_BYTES && self.sink.is_some() {
            // Straight from where they are: no copy of a large blob.
            self.drain()?;
            if self.options.checksum {
                self.crc = crc64(self.crc, bytes);
            }
            if let Some(sink) = &mut self.sink {
                sink.write_all(bytes)?;
            }
            self.flushed += bytes.len() as u64;
            return Ok(());
        }
        self.buf.extend_from_slice(bytes);
        self.full()
    }

    /// A length, count or other unsigned number, in the variable form of the format.
    pub fn write_len(&mut self, len: u64) -> io::Result<()> {
        push_len(&mut self.buf, len);
        self.full()
    }

    /// A string, in the shortest form.
    pub fn write_string(&mut self, bytes: &[u8]) -> io::Result<()> {
        if let Some(number) = short_integer(bytes) {
            push_integer(&mut self.buf, number);
            return self.full();
        }
        if self.options.compression && bytes.len() > COMPRESS_ABOVE {
            let limit = bytes.len() - COMPRESS_SAVES;
            let lzf = self.lzf.get_or_insert_with(Compressor::borrow);
            self.packed.clear();
            if lzf.compress(bytes, &mut self.packed, limit) {
                return self.write_packed(bytes.len() as u64);
            }
        }
        self.write_len(bytes.len() as u64)?;
        self.write_raw(bytes)
    }

    /// A string that is a number: an integer form if 32 bits are enough, else its text.
    pub fn write_integer(&mut self, number: i64) -> io::Result<()> {
        if let Ok(short) = i32::try_from(number) {
            push_integer(&mut self.buf, short);
            return self.full();
        }
        let mut text = itoa::Buffer::new();
        let text = text.format(number).as_bytes();
        push_len(&mut self.buf, text.len() as u64);
        self.write_raw(text)
    }

    /// A string of `len` bytes that lives in pieces, which are compressed one after the other.
    ///
    /// `pieces` may be asked for twice. Holds the compressed form in memory, never the whole string.
    pub fn write_pieces<'p, I>(&mut self, len: u64, pieces: impl Fn() -> I) -> io::Result<()>
    where
        I: Iterator<Item = &'p [u8]>,
    {
        if len <= COMPRESS_ABOVE as u64 {
            let mut short = Vec::with_capacity(len as usize);
            pieces().for_each(|piece| short.extend_from_slice(piece));
            debug_assert_eq!(short.len() as u64, len);
            return self.write_string(&short);
        }
        if self.options.compression && self.pack_pieces(len, &mut pieces()) {
            return self.write_packed(len);
        }
        self.write_len(len)?;
        if self.sink.is_none() {
            // All of it is going to lie there: it shall not move as it grows. Behind it comes a footer of ten bytes.
            self.buf.reserve(len as usize + 16);
        }
        let mut written = 0;
        for piece in pieces() {
            written += piece.len() as u64;
            self.write_raw(piece)?;
        }
        assert_eq!(written, len, "the pieces of a string must add up to its length");
        Ok(())
    }

    fn pack_pieces(&mut self, len: u64, pieces: &mut dyn Iterator<Item = &[u8]>) -> bool {
        let lzf = self.lzf.get_or_insert_with(Compressor::borrow);
        self.packed.clear();
        let Ok(limit) = usize::try_from(len - COMPRESS_SAVES as u64) else { return false };
        let mut seen = 0;
        for piece in pieces {
            let left = limit.saturating_sub(self.packed.len());
            if !lzf.compress(piece, &mut self.packed, left) {
                return false;
            }
            seen += piece.len() as u64;
            if seen >= COMPRESS_TRIAL && self.packed.len() as u64 >= seen {
                return false;
            }
        }
        assert_eq!(seen, len, "the pieces of a string must add up to its length");
        true
    }

    /// Writes what is in `packed` as the compressed form of a string of `len` bytes.
    fn write_packed(&mut self, len: u64) -> io::Result<()> {
        self.buf.push(LEN_ENCODED << 6 | ENC_LZF);
        push_len(&mut self.buf, self.packed.len() as u64);
        push_len(&mut self.buf, len);
        let packed = std::mem::take(&mut self.packed);
        let written = self.write_raw(&packed);
        self.packed = packed;
        // One huge string must not pin its compressed form for the life of the writer.
        if self.packed.capacity() > 4 * BUFFER_BYTES {
            self.packed = Vec::new();
        }
        written
    }

    /// A floating-point number in eight bytes.
    pub fn write_f64(&mut self, number: f64) -> io::Result<()> {
        self.write_raw(&number.to_le_bytes())
    }

    /// A time in milliseconds, in eight bytes.
    pub fn write_ms(&mut self, ms: i64) -> io::Result<()> {
        self.write_raw(&ms.to_le_bytes())
    }
}

impl Drop for RdbWriter<'_> {
    fn drop(&mut self) {
        if let Some(lzf) = self.lzf.take() {
            lzf.give_back();
        }
    }
}

fn push_len(out: &mut Vec<u8>, len: u64) {
    if len < 1 << 6 {
        out.push(LEN_6BIT << 6 | len as u8);
    } else if len < 1 << 14 {
        out.extend_from_slice(&[LEN_14BIT << 6 | (len >> 8) as u8, len as u8]);
    } else if let Ok(len) = u32::try_from(len) {
        out.push(LEN_32BIT);
        out.extend_from_slice(&len.to_be_bytes());
    } else {
        out.push(LEN_64BIT);
        out.extend_from_slice(&len.to_be_bytes());
    }
}

fn push_integer(out: &mut Vec<u8>, number: i32) {
    if let Ok(number) = i8::try_from(number) {
        out.extend_from_slice(&[LEN_ENCODED << 6 | ENC_INT8, number as u8]);
    } else if let Ok(number) = i16::try_from(number) {
        out.push(LEN_ENCODED << 6 | ENC_INT16);
        out.extend_from_slice(&number.to_le_bytes());
    } else {
        out.push(LEN_ENCODED << 6 | ENC_INT32);
        out.extend_from_slice(&number.to_le_bytes());
    }
}

/// The number whose canonical text this is, if it fits 32 bits: what reads back to the very same bytes.
fn short_integer(text: &[u8]) -> Option<i32> {
    let (negative, digits) = match text.split_first()? {
        (b'-', digits) => (true, digits),
        _ => (false, text),
    };
    let canonical = match digits {
        [] => false,
        [b'0'] => !negative,
        [b'0', ..] => false,
        _ => digits.len() <= 10,
    };
    if !canonical {
        return None;
    }
    let mut number = 0i64;
    for &digit in digits {
        if !digit.is_ascii_digit() {
            return None;
        }
        number = number * 10 + i64::from(digit - b'0');
    }
    i32::try_from(if negative { -number } else { number }).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(options: WriteOptions, write: impl FnOnce(&mut RdbWriter<'_>) -> io::Result<()>) -> Vec<u8> {
        let mut writer = RdbWriter::in_memory(options);
        write(&mut writer).unwrap();
        writer.take_bytes()
    }

    fn string(text: &[u8]) -> Vec<u8> {
        written(WriteOptions::default(), |w| w.write_string(text))
    }

    #[test]
    fn lengths_take_the_shortest_form() {
        let len = |n| written(WriteOptions::default(), |w| w.write_len(n));
        assert_eq!(len(0), [0]);
        assert_eq!(len(63), [63]);
        assert_eq!(len(64), [0x40, 64]);
        assert_eq!(len(16383), [0x7F, 0xFF]);
        assert_eq!(len(16384), [0x80, 0, 0, 0x40, 0]);
        assert_eq!(len(u64::from(u32::MAX)), [0x80, 0xFF, 0xFF, 0xFF, 0xFF]);
        assert_eq!(len(1 << 32), [0x81, 0, 0, 0, 1, 0, 0, 0, 0]);
    }

    #[test]
    fn canonical_numbers_become_integers() {
        assert_eq!(string(b"0"), [0xC0, 0]);
        assert_eq!(string(b"-128"), [0xC0, 0x80]);
        assert_eq!(string(b"128"), [0xC1, 128, 0]);
        assert_eq!(string(b"-32769"), [0xC2, 0xFF, 0x7F, 0xFF, 0xFF]);
        assert_eq!(string(b"2147483647"), [0xC2, 0xFF, 0xFF, 0xFF, 0x7F]);
        for text in [&b"2147483648"[..], b"007", b"-0", b"+1", b" 1", b"1a", b"-", b"", b"12345678901"] {
            let out = string(text);
            assert_eq!(usize::from(out[0]), text.len());
            assert_eq!(&out[1..], text);
        }
    }

    #[test]
    fn compression_starts_above_twenty_bytes_and_can_be_off() {
        assert_eq!(string(&[b'x'; 20])[0], 20);
        assert_eq!(string(&[b'x'; 21])[0], 0xC3);
        let raw = WriteOptions { compression: false, ..WriteOptions::default() };
        assert_eq!(written(raw, |w| w.write_string(&[b'x'; 21]))[0], 21);
        // 21 different bytes do not get shorter.
        assert_eq!(string(b"abcdefghijklmnopqrstu")[0], 21);
    }

    #[test]
    fn a_sink_gets_what_memory_gets() {
        let mut big = vec![7u8; 3 * BUFFER_BYTES];
        big.iter_mut().enumerate().for_each(|(i, b)| *b = ((i * i) >> 5) as u8);
        let write = |w: &mut RdbWriter<'_>| -> io::Result<()> {
            for round in 0..40 {
                w.write_string(&big[round..round * 1000])?;
                w.write_integer(round as i64 * 123_456_789)?;
            }
            w.write_string(&big)
        };
        let memory = written(WriteOptions::default(), write);
        let mut sink = Vec::new();
        let mut writer = RdbWriter::new(&mut sink, WriteOptions::default());
        write(&mut writer).unwrap();
        let checksum = writer.checksum();
        writer.flush().unwrap();
        assert_eq!(writer.offset(), memory.len() as u64);
        assert_eq!(writer.checksum(), checksum);
        drop(writer);
        assert_eq!(sink, memory);
        assert_eq!(checksum, crc64(0, &memory));
    }

    #[test]
    fn incompressible_pieces_are_written_raw() {
        let noise: Vec<u8> = {
            let mut x = 1u32;
            (0..2_000_000)
                .map(|_| {
                    x ^= x << 13;
                    x ^= x >> 17;
                    x ^= x << 5;
                    x as u8
                })
                .collect()
        };
        let out = written(WriteOptions::default(), |w| w.write_pieces(noise.len() as u64, || noise.chunks(65536)));
        assert_eq!(out[0], LEN_32BIT);
        assert_eq!(&out[5..], noise);
        let flat = vec![b'f'; 2_000_000];
        let out = written(WriteOptions::default(), |w| w.write_pieces(flat.len() as u64, || flat.chunks(65536)));
        assert_eq!(out[0], 0xC3);
        assert!(out.len() < flat.len() / 50);
    }
}
