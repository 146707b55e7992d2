//! DUMP and RESTORE: one value, or the function libraries, as a string that carries its own proof.
//!
//! ```text
//! <type byte> <value> ... <version u16 LE> <crc64 u64 LE>
//! ```
//!
//! The checksum is over everything before it, the version included.

use super::error::{RdbError, Section, Why};
use super::opcodes::{Dialect, TypeOpcode};
use super::reader::{RdbReader, ReadOptions};
use super::writer::RdbWriter;
use crate::collections::simd::crc64::crc64;
use crate::util::piece::PieceBuf;

const FOOTER_BYTES: usize = 10;

/// Ends a payload whose type byte and value were written to `writer` (a writer to memory), and takes it.
pub fn wrap(writer: &mut RdbWriter<'_>) -> Vec<u8> {
    let version = writer.version() as u16;
    let mut payload = writer.take_bytes();
    payload.extend_from_slice(&version.to_le_bytes());
    let checksum = crc64(0, &payload);
    payload.extend_from_slice(&checksum.to_le_bytes());
    payload
}

/// Checks the footer of a payload that was received in pieces, and gives a reader of what it protects, which ends each
/// piece when it was read. Errors are those of [`unwrap`].
pub fn unwrap_pieces(mut payload: PieceBuf, checksum: bool) -> Result<RdbReader<'static>, RdbError> {
    let len = payload.len();
    let body_len = len.checked_sub(FOOTER_BYTES).ok_or_else(|| wrong(len, Why::UnexpectedEof))?;
    let (mut at, mut actual, mut footer) = (0, 0, Vec::with_capacity(FOOTER_BYTES));
    for chunk in payload.chunks() {
        let protected = chunk.len().min((body_len + 2).saturating_sub(at));
        if checksum {
            actual = crc64(actual, &chunk[..protected]);
        }
        footer.extend_from_slice(&chunk[chunk.len().min(body_len.saturating_sub(at))..]);
        at += chunk.len();
    }
    let dialect = check(len, &footer, checksum, || actual)?;
    payload.truncate(body_len);
    let options = ReadOptions { input_bytes: Some(body_len as u64), ..ReadOptions::default() };
    let mut reader = RdbReader::new(payload.into_reader(), options);
    reader.set_dialect(dialect);
    reader.set_source_ends();
    Ok(reader)
}

fn wrong(len: usize, why: Why) -> RdbError {
    RdbError { offset: len as u64, section: Section::Footer, key: None, why }
}

/// Checks the last ten bytes of a payload of `len`, whose checksum should be `actual`. Whose format it has.
fn check(len: usize, footer: &[u8], checksum: bool, actual: impl FnOnce() -> u64) -> Result<Dialect, RdbError> {
    let version = u32::from(u16::from_le_bytes([footer[0], footer[1]]));
    // There are no payloads of version 0; Redis takes one for an old one.
    let dialect = Dialect::of_version(version.max(1)).ok_or_else(|| wrong(len, Why::Version(version)))?;
    let expected = u64::from_le_bytes(footer[2..].try_into().expect("eight bytes of a footer of ten"));
    if checksum {
        let actual = actual();
        if expected != actual {
            return Err(wrong(len, Why::Checksum { expected, actual }));
        }
    }
    Ok(dialect)
}

/// Checks the footer and gives a reader of what it protects.
///
/// Any error here has [`Section::Footer`]: Redis answers it with "DUMP payload version or checksum are wrong",
/// and later ones with "Bad data format". `checksum: false` believes the checksum, for tests that damage
/// payloads on purpose.
pub fn unwrap(payload: &[u8], checksum: bool) -> Result<RdbReader<'_>, RdbError> {
    let len = payload.len();
    let body_len = len.checked_sub(FOOTER_BYTES).ok_or_else(|| wrong(len, Why::UnexpectedEof))?;
    let (body, footer) = payload.split_at(body_len);
    let dialect = check(len, footer, checksum, || crc64(0, &payload[..body_len + 2]))?;
    let mut reader = RdbReader::from_bytes(body);
    reader.set_dialect(dialect);
    Ok(reader)
}

impl RdbReader<'_> {
    /// The byte that says how the value after it is laid out; in a file, `FileReader` does this.
    pub fn read_type(&mut self) -> Result<TypeOpcode, RdbError> {
        self.enter(Section::Opcode);
        let at = self.offset();
        let byte = self.read_u8()?;
        let kind =
            TypeOpcode::from_byte(byte, self.dialect()).ok_or_else(|| self.error_at(at, Why::UnknownOpcode(byte)))?;
        self.enter(Section::Value(kind));
        Ok(kind)
    }
}

#[cfg(test)]
mod tests {
    use super::super::writer::WriteOptions;
    use super::*;
    use crate::util::piece::PIECE;

    fn payload() -> Vec<u8> {
        let mut writer = RdbWriter::in_memory(WriteOptions { version: 10, ..WriteOptions::default() });
        writer.write_type(TypeOpcode::String).unwrap();
        writer.write_string(b"hello").unwrap();
        wrap(&mut writer)
    }

    #[test]
    fn as_redis_writes_it() {
        // DUMP of a key holding "hello", as answered by Redis 7.0.
        assert_eq!(payload(), b"\x00\x05hello\n\x00cr\xdfve4 \n"[..].to_vec());
    }

    #[test]
    fn round_trip_and_damage() {
        let good = payload();
        let mut reader = unwrap(&good, true).unwrap();
        assert_eq!(reader.read_type(), Ok(TypeOpcode::String));
        assert_eq!(reader.read_bytes().unwrap(), b"hello");
        assert!(reader.at_end().unwrap());
        let pieces = |bytes: &[u8]| {
            let mut buffer = PieceBuf::default();
            buffer.push(bytes);
            unwrap_pieces(buffer, true)
        };
        let mut reader = pieces(&good).unwrap();
        assert_eq!((reader.read_type(), reader.read_bytes()), (Ok(TypeOpcode::String), Ok(b"hello".to_vec())));
        assert!(reader.at_end().unwrap());
        for at in 0..good.len() {
            assert_eq!(unwrap(&good[..at], true).err(), pieces(&good[..at]).err());
            assert!(unwrap(&good[..at], true).is_err());
            let mut bad = good.clone();
            bad[at] ^= 0x10;
            assert_eq!(unwrap(&bad, true).err(), pieces(&bad).err());
            assert_eq!(unwrap(&bad, true).err().map(|fault| fault.section), Some(Section::Footer));
        }
        // Wherever the pieces end.
        let mut writer = RdbWriter::in_memory(WriteOptions { compression: false, ..WriteOptions::default() });
        for len in (2 * PIECE - 30..2 * PIECE + 5).chain([3, 5 * PIECE]) {
            writer.write_type(TypeOpcode::String).unwrap();
            writer.write_string(&vec![b'x'; len]).unwrap();
            let mut reader = pieces(&wrap(&mut writer)).unwrap();
            assert_eq!((reader.read_type(), reader.read_bytes()), (Ok(TypeOpcode::String), Ok(vec![b'x'; len])));
            assert!(reader.at_end().unwrap());
        }
        let mut newer = good.clone();
        let len = newer.len();
        newer[len - 10] = 13;
        for version in [13, 79, 81, 255] {
            newer[len - 10] = version;
            assert_eq!(unwrap(&newer, false).err().map(|fault| fault.why), Some(Why::Version(version.into())));
        }
    }

    #[test]
    fn of_valkey() {
        // DUMP of a hash of two fields, one with a deadline, as answered by Valkey 9.1.
        let payload = b"\x16\x02\x01a\xc0\x01\0\xd8\xc3\x2c\xbb\x03\0\0\x01b\xc0\x02\xff\xff\xff\xff\xff\xff\xff\xff\x50\0\x5f\x5f\x2b\xc0\xa7\xe3\xb8\xd3";
        let mut reader = unwrap(payload, true).unwrap();
        assert_eq!(reader.read_type(), Ok(TypeOpcode::HashValkey));
        assert_eq!(reader.skip_value(TypeOpcode::HashValkey).unwrap().field_expiries, 1);
        assert!(reader.at_end().unwrap());
        // The byte of Valkey's hash is something else in a payload of Redis.
        let mut other = payload.to_vec();
        let version_at = other.len() - FOOTER_BYTES;
        other[version_at] = 12;
        assert_eq!(unwrap(&other, false).unwrap().read_type(), Ok(TypeOpcode::HashMetadataPreGa));
    }
}
