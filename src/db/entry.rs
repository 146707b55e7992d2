//! Reading one entry: its key, its expiry, its value.

use super::Object;
use super::charge;
use crate::dict;
use crate::types::contract::{Encoding, TypeName, WrongType};
use crate::types::hash::HashRef;
use crate::types::list::ListRef;
use crate::types::set::SetRef;
use crate::types::stream::StreamRef;
use crate::types::string::{self, StringRef};
use crate::types::value::{Stored, ValueRef};
use crate::types::zset::ZsetRef;

/// A key with its hash. Whoever parses a request hashes its keys once, for prefetching, and everything else uses that.
#[derive(Clone, Copy)]
pub struct Key<'a> {
    pub bytes: &'a [u8],
    pub hash: u64,
}

impl Key<'_> {
    /// What the expiry index remembers of the hash.
    #[inline]
    pub(super) fn hash_fragment(self) -> u32 {
        dict::Fragment::of(self.hash).0
    }
}

impl std::fmt::Debug for Key<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Key(\"{}\")", self.bytes.escape_ascii())
    }
}

/// One entry to be read: in the live keyspace, or in a snapshot of it.
#[derive(Clone, Copy)]
pub struct EntryRef<'a>(pub(super) dict::EntryRef<'a, Object>);

impl<'a> EntryRef<'a> {
    #[inline]
    pub fn key(self) -> &'a [u8] {
        self.0.key()
    }

    /// The absolute deadline in unix milliseconds.
    #[inline]
    pub fn expiry_ms(self) -> Option<i64> {
        self.0.expiry_ms()
    }

    /// Its deadline lies before `now_ms`.
    #[inline]
    pub fn is_expired(self, now_ms: i64) -> bool {
        self.0.expiry_ms().is_some_and(|deadline| deadline < now_ms)
    }

    #[inline]
    pub fn type_name(self) -> TypeName {
        TypeName::from_code(self.0.type_id()).expect("every entry was made with the code of a type")
    }

    /// As OBJECT ENCODING tells it.
    pub fn encoding(self) -> Encoding {
        Encoding::from_code(self.0.encoding()).expect("every entry was made with the code of an encoding")
    }

    /// The access bits; [`super::AccessPolicy`] says what they mean.
    #[inline]
    pub fn clock(self) -> u32 {
        self.0.clock()
    }

    /// The value, of whatever type.
    pub fn value(self) -> ValueRef<'a> {
        match self.type_name() {
            TypeName::String => ValueRef::String(self.text()),
            name => ValueRef::collection(name, self.encoding(), self.stored()),
        }
    }

    /// Starts fetching what saving its value will read first.
    #[inline]
    pub fn prefetch_value(self) {
        self.0.prefetch_payload();
    }

    /// Starts fetching what looking for an element of its value will read.
    #[inline]
    pub fn prefetch_inside(self, element: u64) {
        if let dict::PayloadRef::Node(object) = self.0.payload() {
            object.prefetch(element);
        }
    }

    /// The value is a string, in the entry, that is counted in the class of sizes of this payload. It may say no of one
    /// that is.
    #[inline]
    pub(super) fn is_as_long_as(self, payload: &dict::Payload<'_, Object>) -> bool {
        self.0.type_id() == TypeName::String as u8
            && match (self.0.payload(), payload) {
                (dict::PayloadRef::Inline(old), dict::Payload::Bytes(new)) => old.len() == new.len(),
                (dict::PayloadRef::Int(old), dict::Payload::Int(new)) => string::are_as_long(old, *new),
                _ => false,
            }
    }

    /// The value, if it is a string.
    #[inline]
    pub fn string(self) -> Result<StringRef<'a>, WrongType> {
        if self.0.type_id() == TypeName::String as u8 { Ok(self.text()) } else { Err(WrongType) }
    }

    /// The value, if it is a list.
    #[inline]
    pub fn list(self) -> Result<ListRef<'a>, WrongType> {
        self.expect(TypeName::List)?;
        Ok(ListRef::of(self.encoding(), self.stored()))
    }

    /// The value, if it is a set.
    #[inline]
    pub fn set(self) -> Result<SetRef<'a>, WrongType> {
        self.expect(TypeName::Set)?;
        Ok(SetRef::of(self.encoding(), self.stored()))
    }

    /// The value, if it is a hash.
    #[inline]
    pub fn hash(self) -> Result<HashRef<'a>, WrongType> {
        self.expect(TypeName::Hash)?;
        Ok(HashRef::of(self.encoding(), self.stored()))
    }

    /// The value, if it is a sorted set.
    #[inline]
    pub fn zset(self) -> Result<ZsetRef<'a>, WrongType> {
        self.expect(TypeName::Zset)?;
        Ok(ZsetRef::of(self.encoding(), self.stored()))
    }

    /// The value, if it is a stream.
    #[inline]
    pub fn stream(self) -> Result<StreamRef<'a>, WrongType> {
        self.expect(TypeName::Stream)?;
        Ok(StreamRef::of(self.encoding(), self.stored()))
    }

    /// Whether the value is of this type.
    #[inline]
    pub fn expect(self, name: TypeName) -> Result<(), WrongType> {
        if self.0.type_id() == name as u8 { Ok(()) } else { Err(WrongType) }
    }

    /// The earliest deadline of a hash's fields; none for whatever is no hash.
    #[inline]
    pub fn field_deadline(self) -> Option<i64> {
        if self.0.type_id() != TypeName::Hash as u8 || self.0.encoding() == Encoding::Listpack as u8 {
            return None;
        }
        match self.0.payload() {
            dict::PayloadRef::Node(Object::Hash(hash)) => hash.next_deadline(),
            _ => HashRef::of(self.encoding(), self.stored()).next_deadline(),
        }
    }

    /// Whether it can be a string that is too large for the entry.
    #[inline]
    pub(super) fn may_be_long_string(self) -> bool {
        self.0.type_id() == TypeName::String as u8 && self.0.encoding() == Encoding::Raw as u8
    }

    /// A value that is too large for the entry.
    #[inline]
    pub(super) fn node(self) -> Option<&'a Object> {
        match self.0.payload() {
            dict::PayloadRef::Node(object) => Some(object),
            _ => None,
        }
    }

    #[inline]
    fn text(self) -> StringRef<'a> {
        match self.0.payload() {
            dict::PayloadRef::Inline(bytes) | dict::PayloadRef::Blob(bytes) => StringRef::Bytes(bytes),
            dict::PayloadRef::Int(n) => StringRef::Int(n),
            dict::PayloadRef::Node(Object::Rope(s)) => StringRef::Rope(s.rope()),
            dict::PayloadRef::Node(_) => unreachable!("the entry says that it is a string"),
        }
    }

    #[inline]
    fn stored(self) -> Stored<'a> {
        match self.0.payload() {
            dict::PayloadRef::Inline(bytes) | dict::PayloadRef::Blob(bytes) => Stored::Bytes(bytes),
            dict::PayloadRef::Node(object) => Stored::Node(object),
            dict::PayloadRef::Int(_) => unreachable!("only strings are stored as a number"),
        }
    }

    /// MEMORY USAGE: the entry with its value, as if nothing of it were shared, its place in the table, and its record in the expiry index.
    pub fn memory_usage(self) -> usize {
        // A bucket has 64 bytes for 7 places, of which three in four are taken.
        const TABLE_SHARE: usize = 12;
        let expiry_share = if self.expiry_ms().is_some() { 9 } else { 0 };
        self.0.memory() + charge::of(self) + TABLE_SHARE + expiry_share
    }
}
