//! The type `set`: members without order, each once.
//!
//! # Where a set lives, and what OBJECT ENCODING says about it
//!
//! | the set | lives | reported encoding |
//! | --- | --- | --- |
//! | integers alone, up to `set-max-intset-entries` | an intset, in the entry or behind it | `intset` |
//! | up to `set-max-listpack-entries` members of up to `set-max-listpack-value` bytes | a listpack, likewise | `listpack` |
//! | others | a packed table | `hashtable` |
//!
//! A set moves down this list and never up, as in Redis since 7.2; only a set that is made anew, by SADD to a missing
//! key, SINTERSTORE and its kin, or a file, begins where it belongs.

mod edit;
mod rdb;
mod rewrite;

pub use edit::{add, pop_many, pop_random, prepare, remove};

use super::contract::{DataType, Encoding, TypeName};
use super::digest::Digest;
use super::object::Object;
use super::place::Maker;
use super::value::Stored;
use crate::collections::intset::{self, IntsetMut, IntsetRef};
use crate::collections::listpack::{self, Item, ListpackMut, ListpackRef};
use crate::collections::packed::{FreshTable, Keys, PackedTable};
use crate::cow::{CowValue, Defrag, Epoch, Heap, Progress, Unshared};
use crate::dict::Payload;
use crate::types::Limits;
use crate::util::rng::Rng;
use crate::util::text::Text;

/// Intsets and listpacks are not allowed to grow beyond this, whatever the configuration says.
const COMPACT_BYTES_MAX: usize = 1 << 30;
/// Redis's own limit on the configured one.
const INTSET_ENTRIES_MAX: u64 = 1 << 30;

/// The large form.
pub struct SetObject {
    birth: Epoch,
    table: PackedTable<Keys>,
}

impl SetObject {
    /// Starts fetching what looking for an element with this hash will read.
    #[inline]
    pub fn prefetch(&self, element: u64) {
        self.table.prefetch(element);
    }

    /// An independent value with the same contents.
    pub fn duplicate(&self, heap: &Heap) -> Self {
        SetObject { birth: heap.epoch(), table: self.table.duplicate(heap.epoch()) }
    }

    pub fn table(&self) -> &PackedTable<Keys> {
        &self.table
    }
}

impl CowValue for SetObject {
    fn birth(&self) -> Epoch {
        self.birth
    }

    fn origin(&self) -> Epoch {
        self.table.origin()
    }

    fn fork(&self, heap: &mut Heap) -> Self {
        SetObject { birth: heap.epoch(), table: self.table.fork() }
    }

    fn destroy_some(&mut self, budget: &mut usize, proof: &Unshared) -> bool {
        self.table.destroy_some(budget, proof)
    }

    fn destroy(self, proof: &Unshared) {
        self.table.destroy(proof);
    }

    fn free_effort(&self) -> usize {
        self.table.free_effort()
    }

    fn memory(&self) -> usize {
        self.table.memory()
    }

    fn elements(&self) -> usize {
        self.table.len()
    }

    fn defrag(&mut self, defrag: &mut Defrag<'_>, progress: &mut Progress) -> bool {
        self.table.defrag(defrag, &mut progress.at)
    }
}

/// A value to be read, in any encoding.
#[derive(Clone, Copy, Debug)]
pub enum SetRef<'a> {
    Intset(IntsetRef<'a>),
    Listpack(ListpackRef<'a>),
    Table(&'a PackedTable<Keys>),
}

impl<'a> SetRef<'a> {
    /// The value that an entry stores in this encoding.
    #[inline]
    pub fn of(encoding: Encoding, stored: Stored<'a>) -> Self {
        match stored {
            Stored::Bytes(bytes) if encoding == Encoding::Intset => SetRef::Intset(IntsetRef::new(bytes)),
            Stored::Bytes(bytes) => SetRef::Listpack(ListpackRef::new(bytes)),
            Stored::Node(Object::Set(set)) => SetRef::Table(&set.table),
            Stored::Node(_) => unreachable!("the entry says that it is a set"),
        }
    }

    /// How many members it has.
    #[inline]
    pub fn len(self) -> usize {
        match self {
            SetRef::Intset(ints) => ints.len(),
            SetRef::Listpack(lp) => lp.len(),
            SetRef::Table(table) => table.len(),
        }
    }

    /// Whether it has no member, which no stored set is.
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// Whether this is a member.
    #[inline]
    pub fn contains(self, member: &[u8]) -> bool {
        match self {
            SetRef::Table(table) => table.contains(member),
            _ => self.has(Item::of(member)),
        }
    }

    /// Whether this is a member.
    pub fn has(self, member: Item<'_>) -> bool {
        match self {
            SetRef::Intset(ints) => member.as_i64().is_some_and(|n| ints.contains(n)),
            SetRef::Listpack(lp) => lp.find(as_stored(member), 0).is_some(),
            SetRef::Table(table) => table.contains(member.text(&mut itoa::Buffer::new())),
        }
    }

    /// All members, in the order of the encoding.
    pub fn iter(self) -> Box<dyn Iterator<Item = Item<'a>> + 'a> {
        match self {
            SetRef::Intset(ints) => Box::new(ints.iter().map(Item::Int)),
            SetRef::Listpack(lp) => Box::new(lp.iter()),
            SetRef::Table(table) => Box::new(table.iter().map(|element| Item::Bytes(element.key))),
        }
    }

    /// A random member, all equally likely. The set has some.
    pub fn random(self, rng: &mut Rng) -> Item<'a> {
        let member = match self {
            SetRef::Intset(ints) => ints.get(rng.index(ints.len())).map(Item::Int),
            SetRef::Listpack(lp) => lp.get(rng.index(lp.len())),
            SetRef::Table(table) => table.random(rng).map(|element| Item::Bytes(element.key)),
        };
        member.expect("no stored set is empty")
    }

    /// SSCAN: shows about `count` members (all, of a compact set), and gives the next cursor.
    pub fn scan(self, cursor: u64, count: usize, mut f: impl FnMut(Item<'_>)) -> u64 {
        match self {
            SetRef::Table(table) => table.scan(cursor, count, |element| f(Item::Bytes(element.key))),
            _ => {
                self.iter().for_each(f);
                0
            }
        }
    }
}

impl DataType for SetRef<'_> {
    const NAME: TypeName = TypeName::Set;

    fn encoding(&self) -> Encoding {
        match self {
            SetRef::Intset(_) => Encoding::Intset,
            SetRef::Listpack(_) => Encoding::Listpack,
            SetRef::Table(_) => Encoding::Hashtable,
        }
    }

    fn len(&self) -> usize {
        SetRef::len(*self)
    }

    fn memory_usage(&self, _samples: usize) -> usize {
        match self {
            SetRef::Intset(ints) => ints.bytes().len(),
            SetRef::Listpack(lp) => lp.bytes().len(),
            SetRef::Table(table) => size_of::<Object>() + table.memory(),
        }
    }

    fn free_effort(&self) -> usize {
        match self {
            SetRef::Table(table) => table.free_effort(),
            _ => 1,
        }
    }

    fn digest(&self, into: &mut Digest) {
        self.iter().for_each(|member| into.xor(member.text(&mut itoa::Buffer::new())));
    }
}

/// A value that is not stored yet.
#[derive(Debug)]
pub enum NewSet {
    Intset(Vec<u8>),
    Listpack(Vec<u8>),
    Table(FreshTable<Keys>),
}

/// A member as a listpack has it: a text that spells an integer is one, wherever it comes from (a table has texts alone).
fn as_stored(member: Item<'_>) -> Item<'_> {
    member.as_i64().map_or(member, Item::Int)
}

/// What came of adding a member to a compact set.
enum Added {
    Yes,
    /// It was there.
    No,
    /// The set can not take it as it is; it must first become this.
    Outgrown(Encoding),
}

/// Whether one more member of this many bytes keeps a listpack within its limits.
fn fits_listpack(len: usize, member: usize, bytes: usize, limits: &Limits) -> bool {
    (len as u64) < limits.set_entries && member as u64 <= limits.set_value && bytes + member < COMPACT_BYTES_MAX
}

/// Adds to an intset.
fn add_to_intset(set: IntsetMut<'_, impl listpack::Buffer + ?Sized>, member: Item<'_>, limits: &Limits) -> Added {
    let mut set = set;
    let view = set.view();
    let (len, max) = (view.len(), limits.intset_entries.min(INTSET_ENTRIES_MAX));
    match member {
        Item::Int(n) if view.contains(n) => Added::No,
        Item::Int(_) if len as u64 >= max => Added::Outgrown(Encoding::Hashtable),
        Item::Int(n) => {
            set.insert(n);
            Added::Yes
        }
        Item::Bytes(text) => {
            let longest =
                [view.first(), view.last()].into_iter().flatten().map(|n| Item::Int(n).len()).max().unwrap_or(0);
            let all = longest * len;
            if longest as u64 <= limits.set_value && fits_listpack(len, text.len(), all, limits) {
                Added::Outgrown(Encoding::Listpack)
            } else {
                Added::Outgrown(Encoding::Hashtable)
            }
        }
    }
}

/// Adds to a listpack.
fn add_to_listpack(lp: ListpackMut<'_, impl listpack::Buffer + ?Sized>, member: Item<'_>, limits: &Limits) -> Added {
    let mut lp = lp;
    let view = lp.view();
    if view.find(member, 0).is_some() {
        Added::No
    } else if fits_listpack(view.len(), member.len(), view.bytes().len(), limits) {
        lp.push_back(member);
        Added::Yes
    } else {
        Added::Outgrown(Encoding::Hashtable)
    }
}

impl NewSet {
    /// What SADD of a member to a missing key makes, when so many members come: without members yet.
    pub fn for_members(first: &[u8], count: usize, maker: &Maker<'_>) -> NewSet {
        let count = count as u64;
        if count <= maker.limits.intset_entries && matches!(Item::of(first), Item::Int(_)) {
            NewSet::Intset(intset::new(0))
        } else if count <= maker.limits.set_entries {
            NewSet::Listpack(listpack::new(0))
        } else {
            NewSet::table(maker)
        }
    }

    /// An empty set of integers, from which any set can grow.
    pub fn new() -> NewSet {
        NewSet::Intset(intset::new(0))
    }

    /// An empty set of anything, from which a set without integers alone can grow.
    pub fn listpack() -> NewSet {
        NewSet::Listpack(listpack::new(0))
    }

    /// An empty set in the large form.
    pub fn table(maker: &Maker<'_>) -> NewSet {
        NewSet::Table(FreshTable::new(maker.seed, maker.epoch()))
    }

    /// To be read.
    pub fn view(&self) -> SetRef<'_> {
        match self {
            NewSet::Intset(bytes) => SetRef::Intset(IntsetRef::new(bytes)),
            NewSet::Listpack(bytes) => SetRef::Listpack(ListpackRef::new(bytes)),
            NewSet::Table(table) => SetRef::Table(table),
        }
    }

    /// Adds a member; false if it was there.
    pub fn add(&mut self, member: Item<'_>, maker: &mut Maker<'_>) -> bool {
        let member = as_stored(member);
        match self.compact_for(member, maker) {
            Ok(added) => added,
            Err(table) => table.insert_new(maker.heap, member.text(&mut itoa::Buffer::new()), b"", false),
        }
    }

    /// The same of a text that may be long, and may be given away.
    pub fn add_text<'t>(&mut self, member: impl Text<'t>, maker: &mut Maker<'_>) -> bool {
        match self.compact_for(Item::of(member.as_ref()), maker) {
            Ok(added) => added,
            Err(table) => table.insert_new(maker.heap, member, b"", false),
        }
    }

    /// Adds a member if the set is compact, and stays so; else gives the table to which it is to be added.
    fn compact_for(&mut self, member: Item<'_>, maker: &mut Maker<'_>) -> Result<bool, &mut FreshTable<Keys>> {
        loop {
            let added = match self {
                NewSet::Intset(bytes) => add_to_intset(IntsetMut::new(bytes), member, &maker.limits),
                NewSet::Listpack(bytes) => add_to_listpack(ListpackMut::new(bytes), member, &maker.limits),
                NewSet::Table(_) => break,
            };
            match added {
                Added::Yes => return Ok(true),
                Added::No => return Ok(false),
                Added::Outgrown(encoding) => *self = NewSet::converted(self.view(), encoding, maker),
            }
        }
        match self {
            NewSet::Table(table) => Err(table),
            _ => unreachable!("the loop ends with a table"),
        }
    }

    /// Takes a member out; false if it was not there.
    pub fn remove(&mut self, member: Item<'_>, maker: &mut Maker<'_>) -> bool {
        match self {
            NewSet::Intset(bytes) => member.as_i64().is_some_and(|n| IntsetMut::new(bytes).remove(n)),
            NewSet::Listpack(bytes) => {
                let mut lp = ListpackMut::new(bytes);
                let found = lp.view().find(as_stored(member), 0);
                found.inspect(|&at| lp.remove(at)).is_some()
            }
            NewSet::Table(table) => table.remove(maker.heap, member.text(&mut itoa::Buffer::new())),
        }
    }

    /// A copy of a set in another encoding, which must be able to hold it.
    pub fn converted(set: SetRef<'_>, encoding: Encoding, maker: &mut Maker<'_>) -> NewSet {
        match encoding {
            Encoding::Intset => {
                let mut bytes = intset::new(set.len() * 8);
                let mut ints = IntsetMut::new(&mut bytes);
                for member in set.iter() {
                    ints.insert(member.as_i64().expect("the caller has seen integers alone"));
                }
                NewSet::Intset(bytes)
            }
            Encoding::Listpack => NewSet::Listpack(listpack::collect(set.iter())),
            _ => {
                let mut table = FreshTable::new(maker.seed, maker.epoch());
                for member in set.iter() {
                    table.insert_new(maker.heap, member.text(&mut itoa::Buffer::new()), b"", false);
                }
                NewSet::Table(table)
            }
        }
    }

    /// SINTERSTORE: a result of integers alone becomes an intset, if it may.
    pub fn settle(self, maker: &mut Maker<'_>) -> NewSet {
        let set = self.view();
        let few = set.len() as u64 <= maker.limits.intset_entries.min(INTSET_ENTRIES_MAX);
        match set {
            SetRef::Intset(_) => self,
            _ if few && set.iter().all(|member| member.as_i64().is_some()) => {
                NewSet::converted(set, Encoding::Intset, maker)
            }
            _ => self,
        }
    }

    /// Hands the form in which the value goes into an entry to `store`.
    pub(crate) fn with_payload<R>(self, store: impl FnOnce(Encoding, Payload<'_, Object>) -> R) -> R {
        match self {
            NewSet::Intset(bytes) => store(Encoding::Intset, Payload::Bytes(&bytes)),
            NewSet::Listpack(bytes) => store(Encoding::Listpack, Payload::Bytes(&bytes)),
            NewSet::Table(table) => {
                let table = table.into_table();
                let set = SetObject { birth: table.origin(), table };
                store(Encoding::Hashtable, Payload::Node(Box::new(Object::Set(set))))
            }
        }
    }
}

impl Default for NewSet {
    fn default() -> Self {
        NewSet::new()
    }
}
