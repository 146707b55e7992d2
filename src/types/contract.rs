//! What a type of value owes the rest of the house, and the numbers Redis gave to types and encodings.
//!
//! A type is one folder: its operations, its encodings, its RDB codec, its memory use. Nobody else switches over types;
//! the one place that names them all is [`super::Object`].

use super::digest::Digest;

/// The type of a value, as TYPE, WRONGTYPE and SCAN's TYPE option know it. The numbers are Redis's; they fit the four
/// bits an entry has for them, and DEBUG DIGEST hashes them.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
#[repr(u8)]
pub enum TypeName {
    String = 0,
    List = 1,
    Set = 2,
    Zset = 3,
    Hash = 4,
    Stream = 6,
}

impl TypeName {
    pub const ALL: [TypeName; 6] =
        [TypeName::String, TypeName::List, TypeName::Set, TypeName::Zset, TypeName::Hash, TypeName::Stream];

    /// The name TYPE replies with.
    pub const fn name(self) -> &'static str {
        match self {
            TypeName::String => "string",
            TypeName::List => "list",
            TypeName::Set => "set",
            TypeName::Zset => "zset",
            TypeName::Hash => "hash",
            TypeName::Stream => "stream",
        }
    }

    /// The type with this name, in any case of letters.
    pub fn from_name(name: &[u8]) -> Option<TypeName> {
        Self::ALL.into_iter().find(|t| t.name().as_bytes().eq_ignore_ascii_case(name))
    }

    /// The type an entry's four bits say.
    pub const fn from_code(code: u8) -> Option<TypeName> {
        Some(match code {
            0 => TypeName::String,
            1 => TypeName::List,
            2 => TypeName::Set,
            3 => TypeName::Zset,
            4 => TypeName::Hash,
            6 => TypeName::Stream,
            _ => return None,
        })
    }
}

/// The form a value has in memory, with the names and numbers OBJECT ENCODING has in Redis. It is what a client would
/// be told by Redis for the same history of commands; where a value really lies (inline, blob, rope) is the entry's
/// affair.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
#[repr(u8)]
pub enum Encoding {
    Raw = 0,
    Int = 1,
    Hashtable = 2,
    Intset = 6,
    Skiplist = 7,
    Embstr = 8,
    Quicklist = 9,
    Stream = 10,
    Listpack = 11,
    ListpackEx = 12,
}

impl Encoding {
    pub const ALL: [Encoding; 10] = [
        Encoding::Raw,
        Encoding::Int,
        Encoding::Hashtable,
        Encoding::Intset,
        Encoding::Skiplist,
        Encoding::Embstr,
        Encoding::Quicklist,
        Encoding::Stream,
        Encoding::Listpack,
        Encoding::ListpackEx,
    ];

    /// The name OBJECT ENCODING replies with.
    pub const fn name(self) -> &'static str {
        match self {
            Encoding::Raw => "raw",
            Encoding::Int => "int",
            Encoding::Hashtable => "hashtable",
            Encoding::Intset => "intset",
            Encoding::Skiplist => "skiplist",
            Encoding::Embstr => "embstr",
            Encoding::Quicklist => "quicklist",
            Encoding::Stream => "stream",
            Encoding::Listpack => "listpack",
            Encoding::ListpackEx => "listpackex",
        }
    }

    /// The encoding an entry's four bits say.
    pub fn from_code(code: u8) -> Option<Encoding> {
        Self::ALL.into_iter().find(|e| *e as u8 == code)
    }
}

/// A command met a value of another type; the client is told `WRONGTYPE Operation against a key holding the wrong kind
/// of value`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct WrongType;

impl std::fmt::Display for WrongType {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("WRONGTYPE Operation against a key holding the wrong kind of value")
    }
}

impl std::error::Error for WrongType {}

/// What every type can say about one of its values.
pub trait DataType {
    const NAME: TypeName;
    /// As OBJECT ENCODING names it.
    fn encoding(&self) -> Encoding;
    /// Elements, or bytes of a string.
    fn len(&self) -> usize;
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
    /// Bytes allocated for the value beyond its entry; at most `samples` elements are looked at, 0 for all.
    fn memory_usage(&self, samples: usize) -> usize;
    /// How many pieces freeing takes: above a limit it is done in the background.
    fn free_effort(&self) -> usize;
    /// DEBUG DIGEST: equal for equal values, whatever their encoding.
    fn digest(&self, into: &mut Digest);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_and_names_lead_back() {
        for t in TypeName::ALL {
            assert_eq!(TypeName::from_code(t as u8), Some(t));
            assert_eq!(TypeName::from_name(t.name().to_uppercase().as_bytes()), Some(t));
        }
        for e in Encoding::ALL {
            assert_eq!(Encoding::from_code(e as u8), Some(e));
            assert!((e as u8) < 16, "four bits");
        }
        assert_eq!(TypeName::from_code(5), None);
    }
}
