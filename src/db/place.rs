//! Collections in their entries: how a type changes a value that a key holds, and how whole values come to a key.
//!
//! Strings have methods of their own in [`super::slot`], for they are the hot path. A collection is changed through
//! [`Place`], by its type; the handler that called says once what happened: [`Occupied::changed`], or
//! [`Occupied::removed`], by which an empty collection goes with its key.

use super::Object;
use super::data::DbMut;
use super::declared::Checked;
use super::entry::{EntryRef, Key};
use super::keyspace::{Db, Keyspace};
use super::slot::{KeySlot, Occupied, Vacant};
use super::snapshot::DbSnapshot;
use super::trace::KeyEvent;
use crate::collections::buffer::Buffer;
use crate::cow::Heap;
use crate::dict::{Entry, EntryHead, Payload};
use crate::types::contract::Encoding;
use crate::types::place::{Maker, Place};
use crate::types::value::{NewValue, ValueRef};
use crate::util::rng::Rng;

/// A compact value, edited in its entry.
impl Buffer for Occupied<'_> {
    #[inline]
    fn bytes(&self) -> &[u8] {
        self.slot.get().bytes().expect("only a compact value is a run of bytes")
    }

    #[inline]
    fn in_place(&mut self) -> &mut [u8] {
        self.note_size();
        self.slot.bytes_mut().expect("only a compact value is a run of bytes")
    }

    #[inline]
    fn reshape(&mut self, at: usize, removed: usize, added: usize) -> &mut [u8] {
        self.note_size();
        self.slot.reshape(at, removed, added)
    }
}

impl Place for Occupied<'_> {
    fn value(&self) -> ValueRef<'_> {
        self.get().value()
    }

    #[inline]
    fn encoding(&self) -> Encoding {
        self.get().encoding()
    }

    #[inline]
    fn bytes_mut(&mut self) -> Option<&mut [u8]> {
        self.slot.bytes_mut()
    }

    #[inline]
    fn append(&mut self, bytes: &[u8]) {
        self.note_size();
        self.slot.append(bytes);
    }

    #[inline]
    fn node_mut(&mut self) -> Option<(&mut Object, &mut Heap)> {
        self.slot.node_and_heap()
    }

    fn store(&mut self, encoding: Encoding, payload: Payload<'_, Object>) {
        self.note_size();
        let type_id = self.get().type_name() as u8;
        let charged = self.charge();
        let replaced = self.slot.set_payload(type_id, encoding as u8, payload);
        self.recharge(charged);
        self.with.side.discard_value(replaced);
    }

    #[inline]
    fn set_encoding(&mut self, encoding: Encoding) {
        self.slot.set_encoding(encoding as u8);
    }

    fn maker(&mut self) -> Maker<'_> {
        let side = &self.with.side;
        Maker { limits: side.options.limits, seed: side.seed, heap: self.slot.heap_mut() }
    }

    #[inline]
    fn size_was(&mut self, size: usize) {
        self.with.side.sizes.note(size);
    }
}

impl<'a> Occupied<'a> {
    /// The value is going to be changed: its size is noted, if none was.
    #[inline]
    fn note_size(&mut self) {
        if !self.with.side.sizes.is_noted() {
            self.note_size_now();
        }
    }

    #[inline(never)]
    fn note_size_now(&mut self) {
        let size = self.get().value().len();
        self.with.side.sizes.note(size);
    }

    /// The value was changed through [`Place`], and that is what happened: `count` changes to be saved, at least one to
    /// those who watch the key.
    #[inline]
    pub fn changed(&mut self, count: usize, event: KeyEvent) {
        self.changed_quietly(count);
        self.with.note(event);
    }

    /// As [`Occupied::changed`], without an event, or with events that are noted one by one.
    #[inline]
    pub fn changed_quietly(&mut self, count: usize) {
        self.settle_size();
        self.with.side.changed_by(self.with.db, self.with.key.bytes, count);
    }

    /// All elements were taken, `count` of them, and need not be removed one by one: the key goes.
    #[inline]
    pub fn emptied(mut self, count: usize, event: KeyEvent) {
        self.changed(count - 1, event);
        self.remove();
    }

    /// Elements were removed through [`Place`], `count` of them: as [`Occupied::changed`], and an empty value goes with
    /// its key. Whether it did.
    #[inline]
    pub fn removed(mut self, count: usize, event: KeyEvent) -> bool {
        let is_empty = self.get().value().is_empty();
        self.changed(count - usize::from(is_empty), event);
        if is_empty {
            self.remove();
        }
        is_empty
    }

    /// A hash is changed by `edit`, and the index of deadlines hears of what that does to those of its fields.
    #[inline]
    pub fn edit_hash<R>(&mut self, edit: impl FnOnce(&mut Self) -> R) -> R {
        let before = self.get().field_deadline();
        let result = edit(self);
        self.settle_size();
        let after = self.get().field_deadline();
        self.with.reindex_fields(before, after);
        result
    }

    /// The key this is the place of.
    #[inline]
    pub fn key(&self) -> Key<'a> {
        self.with.key
    }

    /// Starts fetching what looking for this element of the value will read.
    #[inline]
    pub fn prefetch(&self, element: &[u8]) {
        self.get().prefetch_inside(self.with.side.seed.hash(element));
    }

    /// A whole value becomes the key's, and its expiry goes, whatever was there. Counts as one change.
    pub fn set_value(&mut self, value: NewValue, event: KeyEvent) {
        let type_id = value.type_name() as u8;
        let was = self.slot.get().type_id();
        let (old, fields) = (self.expiry_ms(), self.get().field_deadline());
        let (epoch, charged) = (self.slot.heap().epoch(), self.charge());
        self.with.side.sizes.leaves(self.with.db, EntryRef(self.slot.get()));
        let replaced =
            value.with_payload(epoch, |encoding, payload| self.slot.set(None, type_id, encoding as u8, payload));
        self.with.side.sizes.enters_entry(self.with.db, EntryRef(self.slot.get()));
        self.recharge(charged);
        self.with.reindex(old, None);
        self.with.reindex_fields(fields, EntryRef(self.slot.get()).field_deadline());
        self.with.side.discard_value(replaced);
        self.with.note_overwritten((was, type_id));
        self.changed(1, event);
    }
}

impl<'a> Vacant<'a> {
    /// The key is made with this value. The caller counts the change, with [`Occupied::changed`].
    pub fn insert_value(self, value: NewValue) -> Occupied<'a> {
        let Vacant { slot, mut with } = self;
        let type_id = value.type_name() as u8;
        let clock = with.side.fresh_clock(with.now_ms);
        let Key { bytes, hash } = with.key;
        let epoch = slot.heap().epoch();
        let entry = value.with_payload(epoch, |encoding, payload| {
            let head = EntryHead { key: bytes, hash, expiry_ms: None, type_id, encoding: encoding as u8, clock };
            Entry::build(epoch, &head, payload)
        });
        let slot = slot.insert(entry);
        with.side.sizes.enters_entry(with.db, EntryRef(slot.get()));
        with.side.charges.enters(with.db, EntryRef(slot.get()));
        with.reindex_fields(None, EntryRef(slot.get()).field_deadline());
        with.note(KeyEvent::NEW);
        Occupied { slot, with }
    }

    /// What it takes to build the value.
    pub fn maker(&mut self) -> Maker<'_> {
        let side = &self.with.side;
        Maker { limits: side.options.limits, seed: side.seed, heap: self.slot.heap_mut() }
    }

    /// The key this is the place of.
    #[inline]
    pub fn key(&self) -> Key<'a> {
        self.with.key
    }
}

impl KeySlot<'_> {
    /// A whole value becomes the key's, without expiry, whatever was there (SUNIONSTORE and its like). One change.
    pub fn set_value(self, value: NewValue, event: KeyEvent) {
        match self {
            KeySlot::Occupied(mut o) => o.set_value(value, event),
            KeySlot::Vacant(v) => v.insert_value(value).changed(1, event),
        }
    }

    /// What it takes to build a value.
    pub fn maker(&mut self) -> Maker<'_> {
        match self {
            KeySlot::Occupied(o) => o.maker(),
            KeySlot::Vacant(v) => v.maker(),
        }
    }
}

impl DbMut<'_> {
    /// What it takes to build a value.
    pub fn maker(&mut self) -> Maker<'_> {
        self.ks.maker()
    }

    /// The database to be read, beside what it takes to build a value out of what is read (SUNIONSTORE and its like).
    pub fn reading(&mut self) -> (Reading<'_>, Maker<'_>) {
        let Keyspace { dbs, heap, side } = &mut *self.ks;
        let maker = Maker { heap, limits: side.options.limits, seed: side.seed };
        (Reading { from: From::Live(&dbs[self.at]), now_ms: self.now_ms, checked: &side.checked }, maker)
    }

    /// Chance for one command.
    pub fn random(&mut self) -> Rng {
        Rng::from_seed(self.ks.side.rng.next_u64())
    }
}

/// A database that is only read, without a trace.
#[derive(Clone, Copy)]
pub struct Reading<'a> {
    from: From<'a>,
    now_ms: i64,
    checked: &'a Checked,
}

#[derive(Clone, Copy)]
enum From<'a> {
    Live(&'a Db),
    /// `None`: it held no keys.
    Past(Option<&'a DbSnapshot>),
}

impl<'a> Reading<'a> {
    /// A database of a snapshot.
    pub(super) fn past(db: Option<&'a DbSnapshot>, now_ms: i64, checked: &'a Checked) -> Reading<'a> {
        Reading { from: From::Past(db), now_ms, checked }
    }

    /// The entry of a key that has time left.
    pub fn peek(self, key: Key<'_>) -> Option<EntryRef<'a>> {
        self.checked.reads(key.bytes);
        let found = match self.from {
            From::Live(db) => EntryRef(db.table.find(key.hash, key.bytes)?),
            From::Past(db) => db?.find(key)?,
        };
        (!found.is_expired(self.now_ms)).then_some(found)
    }
}

impl Keyspace {
    /// What it takes to build a value.
    pub fn maker(&mut self) -> Maker<'_> {
        Maker { heap: &mut self.heap, limits: self.side.options.limits, seed: self.side.seed }
    }
}
