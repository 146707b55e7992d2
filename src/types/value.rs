//! A value of any type: as it is read, and as it comes out of a file.
//!
//! The matches of this file are the one place, besides [`super::Object`], that names every type; each arm hands the
//! question on to the type's folder.

use super::contract::{DataType, Encoding, TypeName};
use super::digest::Digest;
use super::hash::{HashRef, NewHash};
use super::list::{ListRef, NewList};
use super::object::Object;
use super::place::Maker;
use super::rewrite::CommandWriter;
use super::set::{NewSet, SetRef};
use super::stream::{NewStream, StreamRef};
use super::string::{NewString, StringRef};
use super::zset::{NewZset, ZsetRef};
use crate::cow::Epoch;
use crate::dict::Payload;
use crate::rdb::{RdbError, RdbReader, RdbWriter, TypeOpcode};
use std::io;

/// What an entry stores of a value that is no string.
#[derive(Clone, Copy)]
pub enum Stored<'a> {
    /// A compact encoding: the bytes themselves.
    Bytes(&'a [u8]),
    /// A large one.
    Node(&'a Object),
}

/// A value to be read, wherever it lives.
#[derive(Clone, Copy, Debug)]
pub enum ValueRef<'a> {
    String(StringRef<'a>),
    List(ListRef<'a>),
    Set(SetRef<'a>),
    Hash(HashRef<'a>),
    Zset(ZsetRef<'a>),
    Stream(StreamRef<'a>),
}

/// The same expression for whichever type it is.
macro_rules! each {
    ($of:ident, $object:expr, $value:ident => $expression:expr) => {
        match $object {
            $of::String($value) => $expression,
            $of::List($value) => $expression,
            $of::Set($value) => $expression,
            $of::Hash($value) => $expression,
            $of::Zset($value) => $expression,
            $of::Stream($value) => $expression,
        }
    };
}

fn name_of<T: DataType>(_value: T) -> TypeName {
    T::NAME
}

impl<'a> ValueRef<'a> {
    /// The value of an entry of type `name`, which is no string.
    pub fn collection(name: TypeName, encoding: Encoding, stored: Stored<'a>) -> ValueRef<'a> {
        match name {
            TypeName::List => ValueRef::List(ListRef::of(encoding, stored)),
            TypeName::Set => ValueRef::Set(SetRef::of(encoding, stored)),
            TypeName::Hash => ValueRef::Hash(HashRef::of(encoding, stored)),
            TypeName::Zset => ValueRef::Zset(ZsetRef::of(encoding, stored)),
            TypeName::Stream => ValueRef::Stream(StreamRef::of(encoding, stored)),
            TypeName::String => unreachable!("the caller knows what a string is made of"),
        }
    }

    pub fn type_name(self) -> TypeName {
        each!(ValueRef, self, value => name_of(value))
    }

    /// Elements, or bytes of a string.
    pub fn len(self) -> usize {
        each!(ValueRef, self, value => DataType::len(&value))
    }

    pub fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// How many allocations freeing it takes, roughly.
    pub fn free_effort(self) -> usize {
        each!(ValueRef, self, value => value.free_effort())
    }

    /// Bytes allocated for the value beyond its entry; at most `samples` elements are looked at, 0 for all.
    pub fn memory_usage(self, samples: usize) -> usize {
        each!(ValueRef, self, value => value.memory_usage(samples))
    }

    /// How [`Self::save`] lays it out in a file of this version.
    pub fn rdb_opcode(self, version: u32) -> TypeOpcode {
        match self {
            ValueRef::String(_) => TypeOpcode::String,
            ValueRef::List(list) => list.rdb_opcode(version),
            ValueRef::Set(set) => set.rdb_opcode(version),
            ValueRef::Hash(hash) => hash.rdb_opcode(version),
            ValueRef::Zset(zset) => zset.rdb_opcode(version),
            ValueRef::Stream(stream) => stream.rdb_opcode(version),
        }
    }

    /// Writes the value, without its opcode.
    pub fn save(self, out: &mut RdbWriter<'_>) -> io::Result<()> {
        each!(ValueRef, self, value => value.save(out))
    }

    /// Writes the commands that make the value under a key that is not there.
    pub fn rewrite(self, key: &[u8], out: &mut CommandWriter<'_>) {
        each!(ValueRef, self, value => value.rewrite(key, out))
    }

    pub fn digest(self, into: &mut Digest) {
        each!(ValueRef, self, value => value.digest(into))
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

/// A value that is not stored yet: read from a file, or made as the result of a command.
#[derive(Debug)]
pub enum NewValue {
    String(NewString),
    List(NewList),
    Set(NewSet),
    Hash(NewHash),
    Zset(NewZset),
    Stream(NewStream),
}

impl NewValue {
    /// Reads a value laid out as `kind`. None if this build has no such type: the caller says what that means.
    pub fn load(
        kind: TypeOpcode,
        from: &mut RdbReader<'_>,
        vetting: Vetting,
        maker: &mut Maker<'_>,
    ) -> Result<Option<NewValue>, RdbError> {
        if kind == TypeOpcode::String {
            return Ok(Some(NewValue::String(NewString::load(from)?)));
        }
        if let Some(list) = NewList::load(kind, from, vetting, maker)? {
            return Ok(Some(NewValue::List(list)));
        }
        if let Some(set) = NewSet::load(kind, from, vetting, maker)? {
            return Ok(Some(NewValue::Set(set)));
        }
        if let Some(hash) = NewHash::load(kind, from, vetting, maker)? {
            return Ok(Some(NewValue::Hash(hash)));
        }
        if let Some(zset) = NewZset::load(kind, from, vetting, maker)? {
            return Ok(Some(NewValue::Zset(zset)));
        }
        Ok(NewStream::load(kind, from, vetting, maker)?.map(NewValue::Stream))
    }

    pub fn type_name(&self) -> TypeName {
        match self {
            NewValue::String(_) => TypeName::String,
            NewValue::List(_) => TypeName::List,
            NewValue::Set(_) => TypeName::Set,
            NewValue::Hash(_) => TypeName::Hash,
            NewValue::Zset(_) => TypeName::Zset,
            NewValue::Stream(_) => TypeName::Stream,
        }
    }

    /// Hands the form in which the value goes into an entry to `store`.
    pub(crate) fn with_payload<R>(self, now: Epoch, store: impl FnOnce(Encoding, Payload<'_, Object>) -> R) -> R {
        match self {
            NewValue::String(text) => text.with_payload(now, store),
            NewValue::List(list) => list.with_payload(store),
            NewValue::Set(set) => set.with_payload(store),
            NewValue::Hash(hash) => hash.with_payload(store),
            NewValue::Zset(zset) => zset.with_payload(store),
            NewValue::Stream(stream) => stream.with_payload(store),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::collections::rope::Rope;
    use crate::cow::Heap;
    use crate::rdb::WriteOptions;
    use crate::types::Limits;
    use crate::util::hash::HashSeed;

    #[test]
    fn strings_survive_a_file() {
        let long = b"0123456789".repeat(20_000);
        let rope = Rope::from(&long[..]);
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
            let mut maker = Maker { heap: &mut Heap::new(), limits: Limits::default(), seed: HashSeed::fixed(1) };
            let loaded = NewValue::load(kind, &mut reader, Vetting::Hostile, &mut maker).unwrap();
            let Some(NewValue::String(read)) = loaded else { panic!("strings are known") };
            assert_eq!(read.into_bytes(), case.to_vec(), "{case:?}");
            assert!(reader.at_end().unwrap());
        }
    }
}
