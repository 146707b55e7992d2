//! The type `hash`: fields, each with a value, and perhaps a deadline of its own.
//!
//! # Where a hash lives, and what OBJECT ENCODING says about it
//!
//! | the hash | lives | reported encoding |
//! | --- | --- | --- |
//! | up to `hash-max-listpack-entries` fields, they and values of up to `hash-max-listpack-value` bytes | a listpack of fields and values in turn, in the entry or behind it | `listpack` |
//! | the same, after a field got a deadline | a listpack of fields, values and deadlines | `listpackex` |
//! | others | a packed table, and for deadlines a sorted set of fields | `hashtable` |
//!
//! A hash moves down this list and never up, as in Redis.
//!
//! # Deadlines
//!
//! A field whose deadline lies before now is as good as gone: whoever reads passes `now`, and does not see it. It is
//! deleted soon after, because [`HashRef::next_deadline`] is indexed by the keyspace; until then it is counted by
//! [`HashRef::len`], as in Redis. In `listpackex` triples are in the order of their deadlines, those without behind
//! all others (their deadline is written as 0). In the large form an element of the table is *marked* if its field has a
//! deadline, and only then the deadline is looked up, in a `ZsetObject` whose scores are deadlines: they are below
//! 2^48, so a score is exact.
//!
//! # Map
//!
//! | file | holds |
//! | --- | --- |
//! | `compact` | both listpack forms |
//! | `large` | the table with its deadlines |
//! | `edit` | changes of a hash in its entry |
//! | `rdb` | the file formats |

mod compact;
mod edit;
mod large;
mod rdb;
mod rewrite;

pub use edit::{convert_for, expect_deadlines, pop_due, remove, set, set_deadline};
pub use large::HashObject;

use super::contract::{DataType, Encoding, TypeName};
use super::digest::Digest;
use super::object::Object;
use super::place::Maker;
use super::value::Stored;
use crate::collections::listpack::{self, Item, ListpackRef};
use crate::cow::{CowValue, Fresh};
use crate::dict::Payload;
use crate::util::rng::Rng;
use std::fmt;

/// Deadlines are below this: 48 bits of milliseconds.
pub const DEADLINE_MAX: i64 = (1 << 46) - 1;
/// A listpack is not allowed to grow beyond this, whatever the configuration says.
const COMPACT_BYTES_MAX: usize = 1 << 30;

/// One field, as it is stored.
#[derive(Clone, Copy, Debug)]
pub struct Field<'a> {
    pub name: Item<'a>,
    pub value: Item<'a>,
    /// In unix milliseconds.
    pub deadline: Option<i64>,
}

impl Field<'_> {
    /// Its time is over.
    pub fn is_expired(&self, now_ms: i64) -> bool {
        self.deadline.is_some_and(|deadline| deadline < now_ms)
    }
}

/// A hash to be read, in any encoding.
#[derive(Clone, Copy)]
pub enum HashRef<'a> {
    /// Fields and values.
    Pairs(ListpackRef<'a>),
    /// Fields, values and deadlines.
    Triples(ListpackRef<'a>),
    Large(&'a HashObject),
}

impl<'a> HashRef<'a> {
    /// The value that an entry stores in this encoding.
    #[inline]
    pub fn of(encoding: Encoding, stored: Stored<'a>) -> Self {
        match stored {
            Stored::Bytes(bytes) if encoding == Encoding::Listpack => HashRef::Pairs(ListpackRef::new(bytes)),
            Stored::Bytes(bytes) => HashRef::Triples(ListpackRef::new(bytes)),
            Stored::Node(Object::Hash(hash)) => HashRef::Large(hash),
            Stored::Node(_) => unreachable!("the entry says that it is a hash"),
        }
    }

    /// A field, its time over or not.
    #[inline]
    pub fn find(self, name: &[u8]) -> Option<Field<'a>> {
        match self {
            HashRef::Pairs(lp) => compact::find(lp, 2, name).map(|(_, field)| field),
            HashRef::Triples(lp) => compact::find(lp, 3, name).map(|(_, field)| field),
            HashRef::Large(hash) => hash.find(name),
        }
    }

    /// A field that has time left.
    #[inline]
    pub fn get(self, name: &[u8], now_ms: i64) -> Option<Field<'a>> {
        self.find(name).filter(|field| !field.is_expired(now_ms))
    }

    /// Fields, those whose time is over included.
    #[inline]
    pub fn len(self) -> usize {
        match self {
            HashRef::Pairs(lp) => lp.len() / 2,
            HashRef::Triples(lp) => lp.len() / 3,
            HashRef::Large(hash) => hash.len(),
        }
    }

    /// Whether it has no field, which no stored hash is.
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// The earliest deadline of a field.
    #[inline(always)] // every write to a hash asks, before and after
    pub fn next_deadline(self) -> Option<i64> {
        match self {
            HashRef::Pairs(_) => None,
            HashRef::Triples(lp) => compact::first_deadline(lp),
            HashRef::Large(hash) => hash.next_deadline(),
        }
    }

    /// Some field's time is over.
    #[inline]
    pub fn has_expired(self, now_ms: i64) -> bool {
        self.next_deadline().is_some_and(|deadline| deadline < now_ms)
    }

    /// Fields that have time left.
    pub fn live(self, now_ms: i64) -> usize {
        let mut expired = 0;
        if self.has_expired(now_ms) {
            match self {
                HashRef::Pairs(_) => {}
                HashRef::Triples(lp) => {
                    expired = compact::iter(lp, 3).take_while(|field| field.is_expired(now_ms)).count()
                }
                HashRef::Large(hash) => expired = hash.expired(now_ms),
            }
        }
        self.len() - expired
    }

    /// Shows all fields, those whose time is over included, in the order of the encoding.
    #[inline]
    pub fn for_each(self, f: impl FnMut(Field<'a>)) {
        match self {
            HashRef::Pairs(lp) => compact::iter(lp, 2).for_each(f),
            HashRef::Triples(lp) => compact::iter(lp, 3).for_each(f),
            HashRef::Large(hash) => hash.iter().for_each(f),
        }
    }

    /// Shows the fields that have time left, in the order of the encoding, as long as `f` wants more.
    #[inline]
    pub fn while_live(self, now_ms: i64, mut f: impl FnMut(Field<'a>) -> bool) {
        if !self.has_expired(now_ms) {
            return self.each_while(f);
        }
        self.each_while(|field| field.is_expired(now_ms) || f(field));
    }

    /// Shows the fields that have time left.
    #[inline]
    pub fn for_each_live(self, now_ms: i64, mut f: impl FnMut(Field<'a>)) {
        self.while_live(now_ms, |field| {
            f(field);
            true
        });
    }

    #[inline]
    fn each_while(self, mut f: impl FnMut(Field<'a>) -> bool) {
        match self {
            HashRef::Pairs(lp) => _ = compact::iter(lp, 2).all(f),
            HashRef::Triples(lp) => _ = compact::iter(lp, 3).all(f),
            HashRef::Large(hash) => _ = hash.iter().all(&mut f),
        }
    }

    /// HSCAN: shows about `count` fields from `cursor` on (all, of a compact hash), and gives the next cursor.
    pub fn scan(self, cursor: u64, count: usize, mut f: impl FnMut(Field<'_>)) -> u64 {
        match self {
            HashRef::Large(hash) => hash.scan(cursor, count, f),
            _ => {
                self.for_each(&mut f);
                0
            }
        }
    }

    /// A random field of all that are stored, all equally likely.
    pub fn random(self, rng: &mut Rng) -> Field<'a> {
        let field = match self {
            HashRef::Pairs(lp) => compact::at_index(lp, 2, rng.index(lp.len() / 2)),
            HashRef::Triples(lp) => compact::at_index(lp, 3, rng.index(lp.len() / 3)),
            HashRef::Large(hash) => hash.random(rng),
        };
        field.expect("no stored hash is empty")
    }
}

impl fmt::Debug for HashRef<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a {} of {} fields", self.encoding().name(), self.len())
    }
}

impl DataType for HashRef<'_> {
    const NAME: TypeName = TypeName::Hash;

    fn encoding(&self) -> Encoding {
        match self {
            HashRef::Pairs(_) => Encoding::Listpack,
            HashRef::Triples(_) => Encoding::ListpackEx,
            HashRef::Large(_) => Encoding::Hashtable,
        }
    }

    fn len(&self) -> usize {
        HashRef::len(*self)
    }

    fn memory_usage(&self, _samples: usize) -> usize {
        match self {
            HashRef::Pairs(lp) | HashRef::Triples(lp) => lp.bytes().len(),
            HashRef::Large(hash) => size_of::<Object>() + hash.memory(),
        }
    }

    fn free_effort(&self) -> usize {
        match self {
            HashRef::Large(hash) => hash.free_effort(),
            _ => 1,
        }
    }

    fn digest(&self, into: &mut Digest) {
        let mut room = itoa::Buffer::new();
        self.for_each(|field| {
            let mut element = Digest::ZERO;
            element.mix(field.name.text(&mut room));
            element.mix(field.value.text(&mut room));
            if field.deadline.is_some() {
                element.xor(b"!!hexpire!!");
            }
            into.xor_digest(&element);
        });
    }
}

/// A hash that is not stored yet.
#[derive(Debug)]
pub enum NewHash {
    Pairs(Vec<u8>),
    Triples(Vec<u8>),
    Large(Fresh<Object>),
}

impl NewHash {
    /// One without fields, in the form that is right for so many that come at once.
    pub fn for_fields(count: usize, maker: &Maker<'_>) -> NewHash {
        if count as u64 <= maker.limits.hash_entries {
            return NewHash::Pairs(listpack::new(0));
        }
        NewHash::large(HashObject::new(maker.seed, maker.epoch()), maker)
    }

    fn large(hash: HashObject, maker: &Maker<'_>) -> NewHash {
        NewHash::Large(Fresh::new(Object::Hash(hash), maker.heap))
    }

    /// Hands the form in which the value goes into an entry to `store`.
    pub(crate) fn with_payload<R>(self, store: impl FnOnce(Encoding, Payload<'_, Object>) -> R) -> R {
        match self {
            NewHash::Pairs(bytes) => store(Encoding::Listpack, Payload::Bytes(&bytes)),
            NewHash::Triples(bytes) => store(Encoding::ListpackEx, Payload::Bytes(&bytes)),
            NewHash::Large(hash) => store(Encoding::Hashtable, Payload::Node(hash.into_box())),
        }
    }
}
