//! Values to and from RDB payloads: DUMP and RESTORE, and what happens to types that cannot be held yet.

use crate::rdb::payload;
use crate::rdb::{RdbError, RdbReader, RdbWriter, TypeOpcode, Why};
use crate::types::value::{NewValue, ValueRef, Vetting};

/// Reads a value. A type that cannot be held yet is an error that names it.
pub fn load_value(kind: TypeOpcode, from: &mut RdbReader<'_>, vetting: Vetting) -> Result<NewValue, RdbError> {
    let value = NewValue::load(kind, from, vetting)?;
    value.ok_or_else(|| from.error(Why::UnsupportedType(kind)))
}

/// The payload that DUMP answers with. `writer` writes to memory; it can be kept for the next one.
pub fn dump(value: ValueRef<'_>, writer: &mut RdbWriter<'_>) -> Vec<u8> {
    const MEMORY: &str = "writing to memory does not fail";
    writer.write_type(value.rdb_opcode(writer.version())).expect(MEMORY);
    value.save(writer).expect(MEMORY);
    payload::wrap(writer)
}

/// What RESTORE was given. An error whose section is `Section::Footer` means "DUMP payload version or checksum are
/// wrong", any other "Bad data format".
pub fn restore(bytes: &[u8], checksum: bool) -> Result<NewValue, RdbError> {
    let mut from = payload::unwrap(bytes, checksum)?;
    let kind = from.read_type()?;
    let value = load_value(kind, &mut from, Vetting::Hostile)?;
    if !from.at_end()? {
        return Err(from.corrupt("bytes after the value"));
    }
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rdb::{RdbString, Section, WriteOptions};
    use crate::types::string::StringRef;

    #[test]
    fn dump_and_restore() {
        let mut writer = RdbWriter::in_memory(WriteOptions::default());
        let text = b"abc".repeat(100);
        for _ in 0..2 {
            let payload = dump(ValueRef::String(StringRef::Bytes(&text)), &mut writer);
            assert!(payload.len() < 40, "compressed");
            let NewValue::String(back) = restore(&payload, true).unwrap();
            assert_eq!(back, RdbString::Bytes(text.clone()));
        }
        let payload = dump(ValueRef::String(StringRef::Int(12)), &mut writer);
        let NewValue::String(back) = restore(&payload, true).unwrap();
        assert_eq!(back, RdbString::Int(12));
        let section = |payload: &[u8]| restore(payload, true).err().map(|fault| fault.section);
        assert_eq!(section(b"junk"), Some(Section::Footer));
        assert_eq!(section(&payload[..payload.len() - 1]), Some(Section::Footer));
        // The checksum starts at 0 and so does not see leading zeros come or go; the layout does.
        assert_eq!(section(&payload[1..]), Some(Section::Opcode));
    }

    #[test]
    fn other_types_are_named() {
        let mut writer = RdbWriter::in_memory(WriteOptions::default());
        writer.write_raw(b"\x12\x01\x01\x01a").unwrap();
        let fault = restore(&payload::wrap(&mut writer), true).err().unwrap();
        assert_eq!(
            fault.to_string(),
            "Internal error in RDB reading offset 1, value (type 18 quicklist-v2) -> \
             values of type 18 (quicklist-v2) are not supported"
        );
    }
}
