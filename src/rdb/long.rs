//! Long strings, handed on part by part: neither the string nor its compressed form is ever in memory as a whole.
//!
//! A string of 512 MB would otherwise take that much beside what it becomes, and a compressed one of zeros a thousand
//! times what the file has of it.

use super::error::{RdbError, Why};
use super::opcodes::ENC_LZF;
use super::reader::{Head, RdbReader, RdbString};
use crate::util::lzf::{self, Unpacker};

impl RdbReader<'_> {
    /// Reads a string; `None` when it is longer than `long_above`: then its parts, in order, went to `sink`.
    pub fn read_string_or_parts(
        &mut self,
        long_above: u64,
        sink: &mut dyn FnMut(&[u8]),
    ) -> Result<Option<RdbString>, RdbError> {
        let at = self.offset();
        match self.read_head()? {
            Head::Len(len) if len > long_above => {
                self.check_string_len(at, len)?;
                self.expect(len)?;
                self.read_parts(len, sink)?;
                Ok(None)
            }
            Head::Encoded(ENC_LZF) => {
                let (packed_len, len) = self.read_packed_head(at)?;
                if len <= long_above {
                    return self.read_packed(at, packed_len, len).map(|bytes| Some(RdbString::Bytes(bytes)));
                }
                self.expect(packed_len)?;
                self.unpack_parts(at, packed_len, len, sink)?;
                Ok(None)
            }
            head => self.read_string_after(at, head).map(Some),
        }
    }

    /// Refuses a string that is longer than what is left of the input.
    fn expect(&mut self, len: u64) -> Result<(), RdbError> {
        match self.remaining() {
            Some(left) if len > left => {
                // Still consume the rest, so that the error says where the data ends.
                self.skip_bytes(left)?;
                Err(self.error(Why::UnexpectedEof))
            }
            _ => Ok(()),
        }
    }

    fn read_parts(&mut self, len: u64, sink: &mut dyn FnMut(&[u8])) -> Result<(), RdbError> {
        let mut left = len;
        while left > 0 {
            if self.at_end()? {
                return Err(self.error(Why::UnexpectedEof));
            }
            let n = self.buffered().len().min(usize::try_from(left).unwrap_or(usize::MAX));
            sink(&self.buffered()[..n]);
            self.consume(n);
            left -= n as u64;
        }
        Ok(())
    }

    fn unpack_parts(
        &mut self,
        at: u64,
        packed_len: u64,
        len: u64,
        sink: &mut dyn FnMut(&[u8]),
    ) -> Result<(), RdbError> {
        let mut unpacker = Unpacker::new(len);
        let mut left = packed_len;
        // An instruction that the buffer's end cut in two, until its other half is there.
        let mut cut: Vec<u8> = Vec::with_capacity(2 * lzf::INSTRUCTION_MAX);
        while left > 0 {
            if self.at_end()? {
                return Err(self.error(Why::UnexpectedEof));
            }
            let available = self.buffered().len().min(usize::try_from(left).unwrap_or(usize::MAX));
            let wrong = |reader: &Self, why| reader.error_at(at, Why::Lzf(why));
            if cut.is_empty() {
                let used = unpacker.feed(&self.buffered()[..available], sink).map_err(|why| wrong(self, why))?;
                cut.extend_from_slice(&self.buffered()[used..available]);
                self.consume(available);
                left -= available as u64;
            } else {
                let before = cut.len();
                let more = available.min(lzf::INSTRUCTION_MAX);
                cut.extend_from_slice(&self.buffered()[..more]);
                let used = unpacker.feed(&cut, sink).map_err(|why| wrong(self, why))?;
                if used == 0 {
                    self.consume(more); // the input comes in drops
                    left -= more as u64;
                    continue;
                }
                cut.clear();
                let used = used - before; // the first instruction was cut, so more than its first half was used
                self.consume(used);
                left -= used as u64;
            }
        }
        if !cut.is_empty() {
            return Err(self.error_at(at, Why::Lzf(lzf::LzfError::Truncated)));
        }
        unpacker.finish(sink).map_err(|why| self.error_at(at, Why::Lzf(why)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rdb::{RdbWriter, ReadOptions, WriteOptions};
    use crate::util::crc64::crc64;
    use std::io::Read;

    /// Gives so many bytes at a time.
    struct Dripping<'a>(&'a [u8], usize);

    impl Read for Dripping<'_> {
        fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
            let n = out.len().min(self.1);
            self.0.read(&mut out[..n])
        }
    }

    fn parts(reader: &mut RdbReader<'_>) -> Result<(Option<RdbString>, Vec<u8>), RdbError> {
        let mut bytes = Vec::new();
        let text = reader.read_string_or_parts(1000, &mut |part| bytes.extend_from_slice(part))?;
        Ok((text, bytes))
    }

    fn samples() -> Vec<Vec<u8>> {
        let noise: Vec<u8> = (0..200_000u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
        let mut mixed = noise[..50_000].to_vec();
        mixed.extend([0; 150_000]);
        mixed.extend_from_slice(&b"again and again, ".repeat(5_000));
        vec![vec![0; 1001], vec![0; 300_000], b"abcdefg".repeat(40_000), mixed, noise]
    }

    #[test]
    fn long_strings_come_in_parts_from_any_source() {
        for sample in samples() {
            for compression in [false, true] {
                let mut writer = RdbWriter::in_memory(WriteOptions { compression, ..WriteOptions::default() });
                writer.write_pieces(sample.len() as u64, || sample.chunks(8000)).unwrap();
                writer.write_string(b"end").unwrap();
                let file = writer.take_bytes();
                for drops in [1, 7, 40, 5000, usize::MAX] {
                    for known in [None, Some(file.len() as u64)] {
                        let options = ReadOptions { input_bytes: known, ..ReadOptions::default() };
                        let mut reader = RdbReader::new(Dripping(&file, drops), options);
                        assert_eq!(parts(&mut reader), Ok((None, sample.clone())));
                        assert_eq!(parts(&mut reader), Ok((Some(RdbString::Bytes(b"end".to_vec())), vec![])));
                        assert_eq!((reader.offset(), reader.checksum()), (file.len() as u64, crc64(0, &file)));
                    }
                }
            }
        }
    }

    #[test]
    fn damaged_ones_are_refused_as_whole_ones_are() {
        for sample in samples().into_iter().take(4) {
            let mut writer = RdbWriter::in_memory(WriteOptions::default());
            writer.write_string(&sample).unwrap();
            let file = writer.take_bytes();
            for at in (0..file.len()).step_by(file.len() / 97 + 1) {
                for damage in [0x01, 0x20, 0x80] {
                    let mut bad = file.clone();
                    bad[at] ^= damage;
                    let whole = RdbReader::from_bytes(&bad).read_string().map(RdbString::into_bytes);
                    let read = parts(&mut RdbReader::from_bytes(&bad));
                    let read = read.map(|(text, bytes)| text.map_or(bytes, RdbString::into_bytes));
                    assert_eq!(read.is_err(), whole.is_err(), "{at} {damage}");
                    if whole.is_ok() {
                        assert_eq!(read, whole);
                    }
                }
                assert!(at == file.len() || parts(&mut RdbReader::from_bytes(&file[..at])).is_err());
            }
        }
    }
}
