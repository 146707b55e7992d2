//! Reading the elements of the format: bytes, lengths, strings, numbers. Records are in `read_file.rs`.
//!
//! The input may be hostile (RESTORE) or damaged (a disk), so:
//!
//! * **No allocation follows from a length alone.** When the size of the input is known, a string longer than the
//!   rest of it is refused at once; when it is not, memory is reserved as bytes arrive. A compressed string is
//!   refused when its bytes could not yield the announced length at LZF's best ratio.
//! * **Every error knows its offset and section**; see [`RdbError`].
//! * **The checksum is taken over everything consumed**, in large strides, and never over what was read ahead.

use std::io::{self, Read};

use super::error::{RdbError, Section, Why};
use super::opcodes::*;
use crate::collections::simd::crc64::crc64;
use crate::sys::allocator;
use crate::util::lzf;

const BUFFER_BYTES: usize = 64 * 1024;
/// Reserved at once for a string when the size of the input is unknown.
const TRUST_BYTES: u64 = 256 * 1024;
/// So many bytes that the source has freed go back to the system at once.
const GIVEN_BACK_BYTES: usize = 16 << 20;

/// What the reader may believe, and check.
#[derive(Clone, Copy, Debug)]
pub struct ReadOptions {
    /// Size of the whole input in bytes, if known: lengths are checked against what is left of it.
    pub input_bytes: Option<u64>,
    /// The longest string accepted.
    pub string_bytes_max: u64,
    /// Compare the checksum at the end.
    pub checksum: bool,
}

impl Default for ReadOptions {
    fn default() -> Self {
        ReadOptions { input_bytes: None, string_bytes_max: 512 << 20, checksum: true }
    }
}

/// A string of the file: the format keeps short numbers in binary.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RdbString {
    /// The string is the canonical text of this number.
    Int(i64),
    /// The string itself.
    Bytes(Vec<u8>),
}

impl RdbString {
    /// The bytes of the string, a number as text.
    pub fn into_bytes(self) -> Vec<u8> {
        match self {
            RdbString::Int(number) => itoa::Buffer::new().format(number).as_bytes().to_vec(),
            RdbString::Bytes(bytes) => bytes,
        }
    }
}

/// The first byte (or bytes) of a string or a number.
pub(super) enum Head {
    Len(u64),
    Encoded(u8),
}

/// Reads RDB elements from any source.
pub struct RdbReader<'r> {
    source: Box<dyn Read + 'r>,
    buf: Box<[u8]>,
    pos: usize,
    end: usize,
    /// Bytes of the input before the buffer's first.
    before: u64,
    crc: u64,
    /// The buffer's bytes before this one are in `crc`.
    crc_to: usize,
    options: ReadOptions,
    dialect: Dialect,
    section: Section,
    /// The source frees what was read of it.
    source_ends: bool,
    /// Where reading can begin again, and the checksum of what lies before, once that is known.
    mark: Option<(u64, Option<u64>)>,
}

impl<'r> RdbReader<'r> {
    /// A reader of a file or stream. The source needs no buffer of its own.
    pub fn new(source: impl Read + 'r, options: ReadOptions) -> RdbReader<'r> {
        let size = options.input_bytes.map_or(BUFFER_BYTES as u64, |bytes| bytes.clamp(16, BUFFER_BYTES as u64));
        RdbReader {
            source: Box::new(source),
            buf: vec![0; size as usize].into_boxed_slice(),
            pos: 0,
            end: 0,
            before: 0,
            crc: 0,
            crc_to: 0,
            options,
            dialect: Dialect::Redis,
            section: Section::Header,
            source_ends: false,
            mark: None,
        }
    }

    /// A reader of bytes in memory.
    pub fn from_bytes(bytes: &'r [u8]) -> RdbReader<'r> {
        let options = ReadOptions { input_bytes: Some(bytes.len() as u64), ..ReadOptions::default() };
        RdbReader::new(bytes, options)
    }

    /// Bytes consumed so far.
    pub fn offset(&self) -> u64 {
        self.before + self.pos as u64
    }

    /// What the reader may believe, and check.
    pub fn options(&self) -> ReadOptions {
        self.options
    }

    /// Whose format it reads.
    pub fn dialect(&self) -> Dialect {
        self.dialect
    }

    /// Says whose format it reads: what a version at the one end or the other tells.
    pub(super) fn set_dialect(&mut self, dialect: Dialect) {
        self.dialect = dialect;
    }

    /// Says that the source frees what was read of it. Then a long string is not there twice while it is read.
    pub(super) fn set_source_ends(&mut self) {
        self.source_ends = true;
    }

    /// Names what is read next, for errors.
    pub(super) fn enter(&mut self, section: Section) {
        self.section = section;
    }

    /// What is being read.
    pub fn section(&self) -> Section {
        self.section
    }

    /// An error at the present place.
    pub fn error(&self, why: Why) -> RdbError {
        self.error_at(self.offset(), why)
    }

    /// An error at an earlier place, see [`offset`](RdbReader::offset).
    pub fn error_at(&self, offset: u64, why: Why) -> RdbError {
        RdbError { offset, section: self.section, key: None, why }
    }

    /// An error at the present place, for decoders of values.
    pub fn corrupt(&self, what: &'static str) -> RdbError {
        self.error(Why::Corrupt(what))
    }

    /// Bytes left, if the size of the input is known.
    pub fn remaining(&self) -> Option<u64> {
        self.options.input_bytes.map(|total| total.saturating_sub(self.offset()))
    }

    /// Whether the input is used up.
    pub fn at_end(&mut self) -> Result<bool, RdbError> {
        if self.pos == self.end {
            self.refill()?;
        }
        Ok(self.pos == self.end)
    }

    /// Remembers this place: [`RdbReader::rewind`] comes back to it.
    pub(super) fn set_mark(&mut self) {
        self.mark = Some((self.offset(), None));
    }

    /// Goes back to the mark. What is read ahead is forgotten: the source must begin anew at the mark, too.
    pub(super) fn rewind(&mut self) {
        self.absorb();
        let (mark, crc) = self.mark.expect("there is a mark");
        self.crc = crc.unwrap_or(self.crc);
        (self.before, self.pos, self.end, self.crc_to) = (mark, 0, 0, 0);
    }

    fn absorb(&mut self) {
        if let Some((mark, crc @ None)) = &mut self.mark {
            // It lies in the buffer, or what lies between was not buffered and there is nothing before it.
            let to = usize::try_from(mark.saturating_sub(self.before)).map_or(self.pos, |to| to.min(self.pos));
            if self.options.checksum && self.crc_to < to {
                self.crc = crc64(self.crc, &self.buf[self.crc_to..to]);
                self.crc_to = to;
            }
            *crc = Some(self.crc);
        }
        if self.options.checksum && self.crc_to < self.pos {
            self.crc = crc64(self.crc, &self.buf[self.crc_to..self.pos]);
        }
        self.crc_to = self.pos;
    }

    /// The checksum of everything consumed (0 when checksums are off).
    pub(super) fn checksum(&mut self) -> u64 {
        self.absorb();
        self.crc
    }

    /// Replaces a used-up buffer by the next bytes of the source; leaves it empty at the end of the input.
    fn refill(&mut self) -> Result<(), RdbError> {
        debug_assert_eq!(self.pos, self.end);
        self.absorb();
        self.before += self.pos as u64;
        (self.pos, self.end, self.crc_to) = (0, 0, 0);
        loop {
            match self.source.read(&mut self.buf) {
                Ok(n) => {
                    self.end = n;
                    return Ok(());
                }
                Err(fault) if fault.kind() == io::ErrorKind::Interrupted => {}
                Err(fault) => return Err(self.error(Why::Io(fault.kind(), fault.to_string()))),
            }
        }
    }

    fn read_array<const N: usize>(&mut self) -> Result<[u8; N], RdbError> {
        let mut out = [0; N];
        if self.end - self.pos >= N {
            out.copy_from_slice(&self.buf[self.pos..self.pos + N]);
            self.pos += N;
        } else {
            for byte in &mut out {
                *byte = self.read_u8()?;
            }
        }
        Ok(out)
    }

    /// One byte.
    pub fn read_u8(&mut self) -> Result<u8, RdbError> {
        if self.at_end()? {
            return Err(self.error(Why::UnexpectedEof));
        }
        let byte = self.buf[self.pos];
        self.pos += 1;
        Ok(byte)
    }

    /// Exactly as many bytes as `out` holds.
    pub fn read_exact(&mut self, out: &mut [u8]) -> Result<(), RdbError> {
        let mut rest = out;
        while !rest.is_empty() {
            if self.at_end()? {
                return Err(self.error(Why::UnexpectedEof));
            }
            let n = rest.len().min(self.end - self.pos);
            let (now, later) = rest.split_at_mut(n);
            now.copy_from_slice(&self.buf[self.pos..self.pos + n]);
            self.pos += n;
            rest = later;
        }
        Ok(())
    }

    /// Appends `len` bytes to `out`, which grows as they arrive.
    fn read_onto(&mut self, out: &mut Vec<u8>, len: u64) -> Result<(), RdbError> {
        match self.remaining() {
            Some(left) if len > left => {
                // Still consume the rest, so that the error says where the data ends.
                self.skip_bytes(left)?;
                return Err(self.error(Why::UnexpectedEof));
            }
            Some(_) => out.reserve_exact(len as usize),
            None => out.reserve(len.min(TRUST_BYTES) as usize),
        }
        let buffered = (self.end - self.pos).min(usize::try_from(len).unwrap_or(usize::MAX));
        out.extend_from_slice(&self.buf[self.pos..self.pos + buffered]);
        self.pos += buffered;
        let mut left = len - buffered as u64;
        while left > 0 {
            if left < self.buf.len() as u64 {
                if self.at_end()? {
                    return Err(self.error(Why::UnexpectedEof));
                }
                let n = (self.end - self.pos).min(left as usize);
                out.extend_from_slice(&self.buf[self.pos..self.pos + n]);
                self.pos += n;
                left -= n as u64;
                continue;
            }
            // Long: past the buffer, straight to where it belongs. The size of a stride bounds both what is
            // reserved ahead of the data and how far the checksum is behind the copy (the cache).
            self.absorb();
            let start = out.len();
            let stride = left.min(TRUST_BYTES);
            let read = (&mut *self.source).take(stride).read_to_end(out);
            let n = out.len() - start;
            if self.options.checksum {
                self.crc = crc64(self.crc, &out[start..]);
            }
            self.before += n as u64;
            left -= n as u64;
            if self.source_ends && start / GIVEN_BACK_BYTES < out.len() / GIVEN_BACK_BYTES {
                let _ = allocator::purge(); // what could not be given back now goes back later
            }
            match read {
                Err(fault) => return Err(self.error(Why::Io(fault.kind(), fault.to_string()))),
                Ok(_) if (n as u64) < stride => return Err(self.error(Why::UnexpectedEof)),
                Ok(_) => {}
            }
        }
        Ok(())
    }

    /// Passes over `len` bytes.
    pub fn skip_bytes(&mut self, len: u64) -> Result<(), RdbError> {
        let mut left = len;
        while left > 0 {
            if self.at_end()? {
                return Err(self.error(Why::UnexpectedEof));
            }
            let n = ((self.end - self.pos) as u64).min(left);
            self.pos += n as usize;
            left -= n;
        }
        Ok(())
    }

    /// Passes over what is buffered, and says how much that was.
    pub(super) fn skip_buffered(&mut self) -> u64 {
        let n = self.end - self.pos;
        self.pos = self.end;
        n as u64
    }

    /// What is read ahead.
    pub(super) fn buffered(&self) -> &[u8] {
        &self.buf[self.pos..self.end]
    }

    /// Passes over a part of that.
    pub(super) fn consume(&mut self, n: usize) {
        debug_assert!(n <= self.end - self.pos);
        self.pos += n;
    }

    pub(super) fn read_head(&mut self) -> Result<Head, RdbError> {
        let at = self.offset();
        let first = self.read_u8()?;
        match first >> 6 {
            LEN_6BIT => Ok(Head::Len(u64::from(first & 0x3F))),
            LEN_14BIT => Ok(Head::Len(u64::from(first & 0x3F) << 8 | u64::from(self.read_u8()?))),
            LEN_ENCODED => Ok(Head::Encoded(first & 0x3F)),
            _ => match first {
                LEN_32BIT => Ok(Head::Len(u64::from(u32::from_be_bytes(self.read_array()?)))),
                LEN_64BIT => Ok(Head::Len(u64::from_be_bytes(self.read_array()?))),
                _ => Err(self.error_at(at, Why::LengthEncoding(first))),
            },
        }
    }

    /// A length, count or other unsigned number.
    pub fn read_len(&mut self) -> Result<u64, RdbError> {
        let at = self.offset();
        match self.read_head()? {
            Head::Len(len) => Ok(len),
            Head::Encoded(_) => Err(self.error_at(at, Why::NotALength)),
        }
    }

    /// A number of items, each of which takes at least one byte of what follows.
    pub fn read_count(&mut self) -> Result<u64, RdbError> {
        let at = self.offset();
        let count = self.read_len()?;
        match self.remaining() {
            Some(left) if count > left => Err(self.error_at(at, Why::CountTooLarge(count))),
            _ => Ok(count),
        }
    }

    /// A string, numbers as numbers.
    pub fn read_string(&mut self) -> Result<RdbString, RdbError> {
        let at = self.offset();
        let head = self.read_head()?;
        self.read_string_after(at, head)
    }

    /// The string whose head, at `at`, was just read.
    pub(super) fn read_string_after(&mut self, at: u64, head: Head) -> Result<RdbString, RdbError> {
        let mut bytes = Vec::new();
        Ok(match self.string_onto(&mut bytes, at, head)? {
            Some(number) => RdbString::Int(number),
            None => RdbString::Bytes(bytes),
        })
    }

    /// A string, numbers as text.
    pub fn read_bytes(&mut self) -> Result<Vec<u8>, RdbError> {
        Ok(self.read_string()?.into_bytes())
    }

    /// A string, numbers as text, in place of what `out` holds.
    pub fn read_bytes_into(&mut self, out: &mut Vec<u8>) -> Result<(), RdbError> {
        out.clear();
        let at = self.offset();
        let head = self.read_head()?;
        if let Some(number) = self.string_onto(out, at, head)? {
            out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
        }
        Ok(())
    }

    /// Reads a string: into `out` (empty), or as a number that leaves `out` empty.
    fn string_onto(&mut self, out: &mut Vec<u8>, at: u64, head: Head) -> Result<Option<i64>, RdbError> {
        match head {
            Head::Len(len) => {
                self.check_string_len(at, len)?;
                self.read_onto(out, len)?;
                Ok(None)
            }
            Head::Encoded(ENC_INT8) => Ok(Some(i64::from(i8::from_le_bytes(self.read_array()?)))),
            Head::Encoded(ENC_INT16) => Ok(Some(i64::from(i16::from_le_bytes(self.read_array()?)))),
            Head::Encoded(ENC_INT32) => Ok(Some(i64::from(i32::from_le_bytes(self.read_array()?)))),
            Head::Encoded(ENC_LZF) => {
                let (packed_len, len) = self.read_packed_head(at)?;
                *out = self.read_packed(at, packed_len, len)?;
                Ok(None)
            }
            Head::Encoded(other) => Err(self.error_at(at, Why::StringEncoding(other))),
        }
    }

    /// The two lengths of a compressed string whose head is at `at`: of what is there, and of what it becomes.
    pub(super) fn read_packed_head(&mut self, at: u64) -> Result<(u64, u64), RdbError> {
        let packed_len = self.read_len()?;
        let len = self.read_len()?;
        self.check_string_len(at, packed_len)?;
        self.check_string_len(at, len)?;
        if len > packed_len.saturating_mul(lzf::RATIO_MAX) {
            return Err(self.error_at(at, Why::Lzf(lzf::LzfError::WrongLength)));
        }
        Ok((packed_len, len))
    }

    pub(super) fn read_packed(&mut self, at: u64, packed_len: u64, len: u64) -> Result<Vec<u8>, RdbError> {
        // Mostly all of it is read ahead.
        let unpacked = match self.buffered().get(..packed_len as usize) {
            Some(packed) => {
                let unpacked = lzf::decompress(packed, len as usize);
                self.consume(packed_len as usize);
                unpacked
            }
            None => {
                let mut packed = Vec::new();
                self.read_onto(&mut packed, packed_len)?;
                lzf::decompress(&packed, len as usize)
            }
        };
        unpacked.map_err(|why| self.error_at(at, Why::Lzf(why)))
    }

    pub(super) fn check_string_len(&self, at: u64, len: u64) -> Result<(), RdbError> {
        if len > self.options.string_bytes_max || usize::try_from(len).is_err() {
            return Err(self.error_at(at, Why::StringTooLong(len)));
        }
        Ok(())
    }

    /// Passes over a string, without keeping it; its encoding is checked all the same.
    pub fn skip_string(&mut self) -> Result<(), RdbError> {
        let at = self.offset();
        match self.read_head()? {
            Head::Len(len) => {
                self.check_string_len(at, len)?;
                self.skip_bytes(len)
            }
            Head::Encoded(ENC_INT8) => self.skip_bytes(1),
            Head::Encoded(ENC_INT16) => self.skip_bytes(2),
            Head::Encoded(ENC_INT32) => self.skip_bytes(4),
            Head::Encoded(ENC_LZF) => {
                let packed_len = self.read_len()?;
                let len = self.read_len()?;
                self.check_string_len(at, packed_len)?;
                self.check_string_len(at, len)?;
                let mut packed = Vec::new();
                self.read_onto(&mut packed, packed_len)?;
                lzf::decompress(&packed, len as usize).map_err(|why| self.error_at(at, Why::Lzf(why)))?;
                Ok(())
            }
            Head::Encoded(other) => Err(self.error_at(at, Why::StringEncoding(other))),
        }
    }

    /// A floating-point number in eight bytes.
    pub fn read_f64(&mut self) -> Result<f64, RdbError> {
        Ok(f64::from_le_bytes(self.read_array()?))
    }

    /// A floating-point number as text with a length byte, or one of three special length bytes.
    pub fn read_f64_text(&mut self) -> Result<f64, RdbError> {
        let at = self.offset();
        let len = match self.read_u8()? {
            253 => return Ok(f64::NAN),
            254 => return Ok(f64::INFINITY),
            255 => return Ok(f64::NEG_INFINITY),
            len => usize::from(len),
        };
        let mut text = [0; 256];
        self.read_exact(&mut text[..len])?;
        std::str::from_utf8(&text[..len])
            .ok()
            .and_then(|text| text.parse().ok())
            .ok_or_else(|| self.error_at(at, Why::Corrupt("a score that is no number")))
    }

    /// A time in milliseconds, in eight bytes.
    pub fn read_ms(&mut self) -> Result<i64, RdbError> {
        Ok(i64::from_le_bytes(self.read_array()?))
    }

    /// A number of four bytes, little endian.
    pub(super) fn read_u32_le(&mut self) -> Result<u32, RdbError> {
        Ok(u32::from_le_bytes(self.read_array()?))
    }

    /// A number of eight bytes, little endian.
    pub(super) fn read_u64_le(&mut self) -> Result<u64, RdbError> {
        Ok(u64::from_le_bytes(self.read_array()?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives one byte at a time, and no size.
    struct Dripping<'a>(&'a [u8]);

    impl Read for Dripping<'_> {
        fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
            let n = out.len().min(1);
            self.0.read(&mut out[..n])
        }
    }

    fn string(bytes: &[u8]) -> Result<RdbString, RdbError> {
        let from_memory = RdbReader::from_bytes(bytes).read_string();
        let dripping = RdbReader::new(Dripping(bytes), ReadOptions::default()).read_string();
        if from_memory.is_ok() {
            assert_eq!(from_memory, dripping);
        } else {
            assert!(dripping.is_err());
        }
        from_memory
    }

    #[test]
    fn strings_in_all_forms() {
        assert_eq!(string(&[0]), Ok(RdbString::Bytes(vec![])));
        assert_eq!(string(b"\x03abc"), Ok(RdbString::Bytes(b"abc".to_vec())));
        assert_eq!(string(b"\x40\x03abc"), Ok(RdbString::Bytes(b"abc".to_vec())));
        assert_eq!(string(b"\x80\0\0\0\x03abc"), Ok(RdbString::Bytes(b"abc".to_vec())));
        assert_eq!(string(b"\x81\0\0\0\0\0\0\0\x03abc"), Ok(RdbString::Bytes(b"abc".to_vec())));
        assert_eq!(string(&[0xC0, 0x80]), Ok(RdbString::Int(-128)));
        assert_eq!(string(&[0xC1, 0x80, 0]), Ok(RdbString::Int(128)));
        assert_eq!(string(&[0xC2, 0, 0, 0, 0x80]), Ok(RdbString::Int(i64::from(i32::MIN))));
        assert_eq!(
            string(&[0xC3, 4, 10, 0, b'a', 0xE0 - 0x20, 0]).unwrap_err().why,
            Why::Lzf(lzf::LzfError::WrongLength)
        );
        assert_eq!(string(&[0xC3, 4, 9, 0, b'a', 0xC0, 0]), Ok(RdbString::Bytes(vec![b'a'; 9])));
    }

    #[test]
    fn hostile_lengths_reserve_nothing() {
        let huge = [0x81, 0x7F, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 1];
        assert_eq!(string(&huge).unwrap_err().why, Why::StringTooLong(0x7FFF_FFFF_FFFF_FFFF));
        // 512 MB announced, three bytes there; the size of the input is unknown.
        let mut reader = RdbReader::new(Dripping(b"\x80\x20\0\0\0abc"), ReadOptions::default());
        let fault = reader.read_string().unwrap_err();
        assert_eq!((fault.offset, fault.why), (8, Why::UnexpectedEof));
        let fault = string(&[0xC3, 1, 0x80, 0x10, 0, 0, 0, 0]).unwrap_err();
        assert_eq!(fault.why, Why::Lzf(lzf::LzfError::WrongLength));
        assert_eq!(string(&[0x82]).unwrap_err().why, Why::LengthEncoding(0x82));
        assert_eq!(string(&[0xC4]).unwrap_err().why, Why::StringEncoding(4));
        assert_eq!(string(&[]).unwrap_err().why, Why::UnexpectedEof);
        assert_eq!(RdbReader::from_bytes(&[0xC0, 1]).read_len().unwrap_err().why, Why::NotALength);
        assert_eq!(RdbReader::from_bytes(&[9, 1]).read_count().unwrap_err().why, Why::CountTooLarge(9));
    }

    #[test]
    fn long_strings_pass_the_buffer_and_stay_in_the_checksum() {
        let mut file = vec![0x80, 0, 0x10, 0, 0];
        file.extend((0..0x10_0000u32).map(|i| (i >> 7) as u8));
        file.extend([3, b'e', b'n', b'd']);
        for known in [None, Some(file.len() as u64)] {
            let mut reader = RdbReader::new(&file[..], ReadOptions { input_bytes: known, ..ReadOptions::default() });
            assert_eq!(reader.read_bytes().unwrap(), &file[5..file.len() - 4]);
            assert_eq!(reader.read_bytes().unwrap(), b"end");
            assert_eq!(reader.offset(), file.len() as u64);
            assert_eq!(reader.checksum(), crc64(0, &file));
            assert!(reader.at_end().unwrap());
        }
    }

    #[test]
    fn scores_as_text() {
        assert_eq!(RdbReader::from_bytes(b"\x03-.5").read_f64_text(), Ok(-0.5));
        assert!(RdbReader::from_bytes(&[253]).read_f64_text().unwrap().is_nan());
        assert_eq!(RdbReader::from_bytes(&[255]).read_f64_text(), Ok(f64::NEG_INFINITY));
        assert!(RdbReader::from_bytes(b"\x02xy").read_f64_text().is_err());
    }
}
