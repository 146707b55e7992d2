//! A value of any type: as it is read, and as it comes out of a file.
//!
//! The matches of this file are the one place, besides [`super::Object`], that names every type; each arm hands the
//! question on to the type's folder.

use super::contract::{DataType, Encoding, TypeName};
use super::digest::Digest;
use super::object::Object;
use super::string::{self, StringRef};
use crate::cow::Epoch;
use crate::dict::Payload;
use crate::rdb::{RdbError, RdbReader, RdbString, RdbWriter, TypeOpcode};
use std::io;

/// A value to be read, wherever it lives.
#[derive(Clone, Copy, Debug)]
pub enum ValueRef<'a> {
    String(StringRef<'a>),
}

impl ValueRef<'_> {
    pub fn type_name(self) -> TypeName {
        match self {
            ValueRef::String(_) => StringRef::NAME,
        }
    }

    /// How [`Self::save`] lays it out in a file of this version.
    pub fn rdb_opcode(self, _version: u32) -> TypeOpcode {
        match self {
            ValueRef::String(_) => TypeOpcode::String,
        }
    }

    /// Writes the value, without its opcode.
    pub fn save(self, out: &mut RdbWriter<'_>) -> io::Result<()> {
        match self {
            ValueRef::String(s) => s.save(out),
        }
    }

    pub fn digest(self, into: &mut Digest) {
        match self {
            ValueRef::String(s) => s.digest(into),
        }
    }
}

/// Who wrote the bytes that are being read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Vetting {
    /// This instance: a file of its own.
    Trusted,
    /// Anybody: RESTORE payloads, and what a primary sends. The structure of every part is checked.
    Hostile,
}

/// A value that was read and is not stored yet.
#[derive(Debug)]
pub enum NewValue {
    String(RdbString),
}

impl NewValue {
    /// Reads a value laid out as `kind`. None if this build has no such type: the caller says what that means.
    pub fn load(kind: TypeOpcode, from: &mut RdbReader<'_>, _vetting: Vetting) -> Result<Option<NewValue>, RdbError> {
        Ok(match kind {
            TypeOpcode::String => Some(NewValue::String(from.read_string()?)),
            _ => None,
        })
    }

    pub fn type_name(&self) -> TypeName {
        match self {
            NewValue::String(_) => TypeName::String,
        }
    }

    /// Hands the form in which the value goes into an entry to `store`.
    pub(crate) fn with_payload<R>(self, now: Epoch, store: impl FnOnce(Encoding, Payload<'_, Object>) -> R) -> R {
        match self {
            NewValue::String(text) => string::with_loaded_payload(text, now, store),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::collections::rope::Rope;
    use crate::rdb::WriteOptions;

    #[test]
    fn strings_survive_a_file() {
        let long = b"0123456789".repeat(20_000);
        let rope = Rope::from_vec(long.clone());
        let cases = [
            StringRef::Int(0),
            StringRef::Int(-129),
            StringRef::Int(i64::MIN),
            StringRef::Bytes(b""),
            StringRef::Bytes(b"012"),
            StringRef::Bytes(&long),
            StringRef::Rope(&rope),
        ];
        for case in cases {
            let value = ValueRef::String(case);
            let mut writer = RdbWriter::in_memory(WriteOptions::default());
            value.save(&mut writer).unwrap();
            let bytes = writer.take_bytes();
            let mut reader = RdbReader::from_bytes(&bytes);
            let kind = value.rdb_opcode(11);
            let NewValue::String(read) =
                NewValue::load(kind, &mut reader, Vetting::Hostile).unwrap().expect("strings are known");
            assert_eq!(read.into_bytes(), case.to_vec(), "{case:?}");
            assert!(reader.at_end().unwrap());
        }
    }
}
