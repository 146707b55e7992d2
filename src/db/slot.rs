//! One key to be read, changed or made, found by one probe.
//!
//! [`DbMut::entry`](super::DbMut::entry) looks a key up once and hands out the place: whatever a command decides after
//! reading what is there (SET NX, INCR, APPEND, GETDEL), it does not search again. The handles keep the table, the
//! expiry index, the watchers and the change counter in step; nothing else may write to a table.

use super::charge;
use super::entry::{EntryRef, Key};
use super::expiry::ExpiryIndex;
use super::keyspace::Side;
use super::trace::KeyEvent;
use super::{IncrError, Object};
use crate::dict::{Entry, EntryHead, OccupiedSlot, Payload, VacantSlot};
use crate::types::contract::{Encoding, TypeName, WrongType};
use crate::types::string::{self, BLOB_MAX, Flat, Patched, Rope, Spelling, StringRef};
use crate::util::piece::PieceBuf;

/// What becomes of a key's deadline when its value is written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ExpiryUpdate {
    /// The key lives until it is deleted.
    Clear,
    /// As before (KEEPTTL, and every command that changes a value in place).
    Keep,
    /// An absolute deadline in unix milliseconds.
    At(i64),
}

/// What a write makes of a value.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Written {
    /// Another one.
    Whole,
    /// The same one, changed.
    Part,
}

const APPEND: KeyEvent = KeyEvent::string("append");

/// A key's place.
pub enum KeySlot<'a> {
    Occupied(Occupied<'a>),
    Vacant(Vacant<'a>),
}

/// The place of a key that exists.
pub struct Occupied<'a> {
    pub(super) slot: OccupiedSlot<'a, Entry<Object>>,
    pub(super) with: With<'a>,
}

/// The place where a key would be.
pub struct Vacant<'a> {
    pub(super) slot: VacantSlot<'a, Entry<Object>>,
    pub(super) with: With<'a>,
}

/// What a write must keep in step with the table.
pub(super) struct With<'a> {
    pub expiries: &'a mut ExpiryIndex,
    pub field_expiries: &'a mut ExpiryIndex,
    pub side: &'a mut Side,
    pub key: Key<'a>,
    pub db: usize,
    pub now_ms: i64,
}

impl With<'_> {
    #[inline]
    pub(super) fn reindex(&mut self, old: Option<i64>, new: Option<i64>) {
        if old == new {
            return;
        }
        if let Some(deadline) = old {
            self.expiries.remove(deadline, self.key.hash_fragment());
        }
        if let Some(deadline) = new {
            self.side.dbs_with_deadlines = self.side.dbs_with_deadlines.max(self.db + 1);
            self.expiries.insert(deadline, self.key.hash_fragment());
        }
    }

    /// The same for the earliest deadline of a hash's fields.
    #[inline]
    pub(super) fn reindex_fields(&mut self, old: Option<i64>, new: Option<i64>) {
        if old == new {
            return;
        }
        if let Some(deadline) = old {
            self.field_expiries.remove(deadline, self.key.hash_fragment());
        }
        if let Some(deadline) = new {
            self.side.dbs_with_deadlines = self.side.dbs_with_deadlines.max(self.db + 1);
            self.field_expiries.insert(deadline, self.key.hash_fragment());
        }
    }

    #[inline]
    fn changed(&mut self, event: KeyEvent) {
        self.side.count_change(self.key.bytes, 1);
        if self.side.trace.has_listeners() {
            self.tell(event);
        }
    }

    #[cold]
    #[inline(never)]
    fn tell(&mut self, event: KeyEvent) {
        self.side.touch(self.db, self.key.bytes, true);
        self.note(event);
    }

    #[inline]
    pub(super) fn note(&mut self, event: KeyEvent) {
        self.side.trace.note(self.db, self.key.bytes, event);
    }

    /// The events of a value that was replaced as a whole.
    #[inline]
    pub(super) fn note_overwritten(&mut self, types: (u8, u8)) {
        self.note(KeyEvent::OVERWRITTEN);
        if types.0 != types.1 {
            self.note(KeyEvent::TYPE_CHANGED);
        }
    }
}

impl<'a> KeySlot<'a> {
    /// As [`DbMut::count_lookup`](super::DbMut::count_lookup), for a value that is read before it is replaced.
    pub fn count_lookup(&mut self) {
        let (with, hit) = match self {
            KeySlot::Occupied(o) => (&mut o.with, true),
            KeySlot::Vacant(v) => (&mut v.with, false),
        };
        if hit {
            with.side.stats.hits += 1;
        } else {
            with.side.stats.misses += 1;
            with.note(KeyEvent::MISS);
        }
    }

    /// What is there.
    #[inline]
    pub fn get(&self) -> Option<EntryRef<'_>> {
        match self {
            KeySlot::Occupied(o) => Some(o.get()),
            KeySlot::Vacant(_) => None,
        }
    }

    /// The occupied place is written through a reference, above and below: the handle is a dozen words, and moving it
    /// costs a large part of what SET costs.
    #[inline]
    fn into_vacant(self) -> Vacant<'a> {
        match self {
            KeySlot::Vacant(v) => v,
            KeySlot::Occupied(_) => unreachable!("the caller has just matched a vacant place"),
        }
    }

    /// SET: the bytes become the value, whatever was there.
    #[inline(always)] // a call costs MSET three instructions in a hundred
    pub fn set_bytes(mut self, bytes: &[u8], spelling: Spelling, expiry: ExpiryUpdate, event: KeyEvent) {
        match &mut self {
            KeySlot::Occupied(o) => o.set_bytes(bytes, spelling, expiry, event),
            KeySlot::Vacant(_) => self.into_vacant().insert_bytes(bytes, spelling, expiry, event),
        }
    }

    /// As [`KeySlot::set_bytes`], for what the command calls a change of the value and not another value. Its deadline
    /// stays.
    pub fn update_bytes(mut self, bytes: &[u8], spelling: Spelling, event: KeyEvent) {
        match &mut self {
            KeySlot::Occupied(o) => o.update_bytes(bytes, spelling, event),
            KeySlot::Vacant(_) => self.into_vacant().insert_bytes(bytes, spelling, ExpiryUpdate::Clear, event),
        }
    }

    /// The number becomes the value, whatever was there.
    pub fn set_int(mut self, value: i64, expiry: ExpiryUpdate, event: KeyEvent) {
        match &mut self {
            KeySlot::Occupied(o) => o.set_int(value, expiry, event),
            KeySlot::Vacant(_) => self.into_vacant().insert_int(value, expiry, event),
        }
    }

    /// A rope becomes the value; one of up to 64 KiB is put together first.
    pub fn set_rope(mut self, rope: Rope, spelling: Spelling, expiry: ExpiryUpdate, event: KeyEvent) {
        match &mut self {
            KeySlot::Occupied(o) => o.set_rope(rope, spelling, expiry, event),
            KeySlot::Vacant(_) => self.into_vacant().insert_rope(rope, spelling, expiry, event),
        }
    }
}

impl<'a> Occupied<'a> {
    #[inline]
    pub fn get(&self) -> EntryRef<'_> {
        EntryRef(self.slot.get())
    }

    #[inline]
    pub fn string(&self) -> Result<StringRef<'_>, WrongType> {
        self.get().string()
    }

    #[inline]
    pub fn expiry_ms(&self) -> Option<i64> {
        self.slot.get().expiry_ms()
    }

    #[inline]
    pub fn set_bytes(&mut self, bytes: &[u8], spelling: Spelling, expiry: ExpiryUpdate, event: KeyEvent) {
        let (encoding, payload) = string::payload(bytes, spelling, self.slot.heap().epoch());
        self.set_string(encoding, payload, expiry, Written::Whole, event);
    }

    /// As [`KeySlot::update_bytes`].
    pub fn update_bytes(&mut self, bytes: &[u8], spelling: Spelling, event: KeyEvent) {
        let (encoding, payload) = string::payload(bytes, spelling, self.slot.heap().epoch());
        self.set_string(encoding, payload, ExpiryUpdate::Keep, Written::Part, event);
    }

    pub fn set_int(&mut self, value: i64, expiry: ExpiryUpdate, event: KeyEvent) {
        self.set_string(Encoding::Int, Payload::Int(value), expiry, Written::Whole, event);
    }

    pub fn set_rope(&mut self, rope: Rope, spelling: Spelling, expiry: ExpiryUpdate, event: KeyEvent) {
        if rope.len() <= BLOB_MAX {
            return self.set_bytes(&StringRef::Rope(&rope).to_vec(), spelling, expiry, event);
        }
        let payload = string::rope_payload(rope, self.slot.heap().epoch());
        self.set_string(Encoding::Raw, payload, expiry, Written::Whole, event);
    }

    /// A rope that grew out of the value.
    fn update_rope(&mut self, rope: Rope, event: KeyEvent) {
        if rope.len() <= BLOB_MAX {
            return self.update_bytes(&StringRef::Rope(&rope).to_vec(), Spelling::Raw, event);
        }
        let payload = string::rope_payload(rope, self.slot.heap().epoch());
        self.set_string(Encoding::Raw, payload, ExpiryUpdate::Keep, Written::Part, event);
    }

    /// What the value is charged at the moment, see [`charge`].
    #[inline]
    pub(super) fn charge(&self) -> usize {
        charge::of(self.get())
    }

    /// The value has changed since it was charged `before`.
    #[inline]
    pub(super) fn recharge(&mut self, before: usize) {
        let after = self.charge();
        self.with.side.charges.change(self.with.db, before, after);
    }

    #[inline]
    fn set_string(
        &mut self,
        encoding: Encoding,
        payload: Payload<'_, Object>,
        expiry: ExpiryUpdate,
        written: Written,
        event: KeyEvent,
    ) {
        let string = TypeName::String as u8;
        let was = self.slot.get().type_id();
        let old = self.expiry_ms();
        let new = match expiry {
            ExpiryUpdate::Keep => old,
            ExpiryUpdate::Clear => None,
            ExpiryUpdate::At(deadline) => Some(deadline),
        };
        let charged = self.charge();
        let before = EntryRef(self.slot.get());
        let fields = before.field_deadline();
        let as_long = before.is_as_long_as(&payload);
        if !as_long {
            self.with.side.sizes.leaves(self.with.db, before);
        }
        let replaced = self.slot.set(new, string, encoding as u8, payload);
        if !as_long {
            self.with.side.sizes.enters_entry(self.with.db, EntryRef(self.slot.get()));
        }
        self.recharge(charged);
        self.with.reindex(old, new);
        self.with.reindex_fields(fields, None);
        self.with.side.discard_value(replaced);
        self.with.side.count_change(self.with.key.bytes, 1);
        if self.with.side.trace.has_listeners() {
            self.tell_written(was, written, expiry, event);
        }
    }

    #[cold]
    #[inline(never)]
    fn tell_written(&mut self, was: u8, written: Written, expiry: ExpiryUpdate, event: KeyEvent) {
        if written == Written::Whole {
            self.with.note_overwritten((was, TypeName::String as u8));
        }
        self.with.tell(event);
        if let ExpiryUpdate::At(_) = expiry {
            self.with.note(KeyEvent::EXPIRE);
        }
    }

    /// Replaces everything but the key by what another entry was. The caller notes the event of its command.
    pub(super) fn replace_aged(
        &mut self,
        type_id: u8,
        encoding: u8,
        payload: Payload<'_, Object>,
        expiry_ms: Option<i64>,
        clock: u32,
    ) {
        let (old, fields, charged) = (self.expiry_ms(), self.get().field_deadline(), self.charge());
        self.with.side.sizes.leaves(self.with.db, EntryRef(self.slot.get()));
        let replaced = self.slot.set(expiry_ms, type_id, encoding, payload);
        self.with.side.sizes.enters_entry(self.with.db, EntryRef(self.slot.get()));
        self.recharge(charged);
        self.slot.get().touch(clock);
        self.with.reindex(old, expiry_ms);
        self.with.reindex_fields(fields, EntryRef(self.slot.get()).field_deadline());
        self.with.side.discard_value(replaced);
        self.with.side.changed(self.with.db, self.with.key.bytes);
    }

    /// Adds to the number the value spells; it stays a number, in place.
    #[inline]
    pub fn add_int(&mut self, delta: i64, event: KeyEvent) -> Result<i64, IncrError> {
        let (stored, old) = match self.string().map_err(|_| IncrError::WrongType)? {
            StringRef::Int(n) => (true, n),
            text => (false, text.parse_i64().ok_or(IncrError::NotAnInteger)?),
        };
        let new = old.checked_add(delta).ok_or(IncrError::Overflow)?;
        if stored {
            if !string::are_as_long(old, new) {
                self.with.side.sizes.note(StringRef::Int(old).len());
            }
            self.slot.set_int(new);
            self.settle_size();
            self.with.changed(event);
        } else {
            self.set_string(Encoding::Int, Payload::Int(new), ExpiryUpdate::Keep, Written::Part, event);
        }
        Ok(new)
    }

    /// APPEND: at the cost of the new bytes, and of one piece of the old ones when a snapshot shares it. Returns the
    /// new length; the caller has checked that it is allowed.
    pub fn append(&mut self, more: &[u8]) -> Result<usize, WrongType> {
        let old = self.string()?;
        let len = old.len() + more.len();
        let was = old.len();
        match old {
            StringRef::Bytes(_) if len <= BLOB_MAX => {
                self.with.side.sizes.note(was);
                self.slot.append(more);
                self.now_raw(APPEND);
            }
            StringRef::Rope(_) => self.change_rope(APPEND, |rope| rope.append(more)),
            StringRef::Bytes(_) | StringRef::Int(_) => {
                let mut rope = Rope::from(old.flat(&mut Flat::default()));
                rope.append(more);
                self.update_rope(rope, APPEND);
            }
        }
        Ok(len)
    }

    /// APPEND of what was received in pieces, which become the value's where they can.
    pub fn append_buffer(&mut self, more: PieceBuf) -> Result<usize, WrongType> {
        let old = self.string()?;
        let len = old.len() + more.len();
        match old {
            StringRef::Rope(_) => self.change_rope(APPEND, |rope| rope.append_buffer(more)),
            short => {
                let mut rope = Rope::from(short.flat(&mut Flat::default()));
                rope.append_buffer(more);
                self.update_rope(rope, APPEND);
            }
        }
        Ok(len)
    }

    /// SETRANGE, SETBIT: overwrites from `offset` on, filling a gap with zero bytes. Returns the new length; the caller
    /// has checked that it is allowed.
    pub fn write_at(&mut self, offset: usize, bytes: &[u8], event: KeyEvent) -> Result<usize, WrongType> {
        let old = self.string()?;
        let end = offset + bytes.len();
        let len = old.len().max(end);
        let was = old.len();
        match old {
            StringRef::Bytes(text) if offset <= text.len() && len <= BLOB_MAX => {
                let over = bytes.len().min(text.len() - offset);
                self.with.side.sizes.note(was);
                let text = self.slot.bytes_mut().expect("a text is inline or in a blob");
                text[offset..offset + over].copy_from_slice(&bytes[..over]);
                if over < bytes.len() {
                    self.slot.append(&bytes[over..]);
                }
                self.now_raw(event);
            }
            StringRef::Rope(_) => self.change_rope(event, |rope| string::patch(rope, offset, bytes)),
            StringRef::Bytes(_) | StringRef::Int(_) => match string::patched(old, offset, bytes) {
                Patched::Short(text) => self.update_bytes(&text, Spelling::Raw, event),
                Patched::Long(rope) => self.update_rope(rope, event),
            },
        }
        Ok(len)
    }

    /// SETRANGE of what was received in pieces, which become the value's where they can.
    pub fn write_buffer_at(&mut self, offset: usize, bytes: PieceBuf, event: KeyEvent) -> Result<usize, WrongType> {
        let old = self.string()?;
        let len = old.len().max(offset + bytes.len());
        match old {
            StringRef::Rope(_) => self.change_rope(event, |rope| string::patch_buffer(rope, offset, bytes)),
            short => {
                let mut rope = Rope::from(short.flat(&mut Flat::default()));
                string::patch_buffer(&mut rope, offset, bytes);
                self.update_rope(rope, event);
            }
        }
        Ok(len)
    }

    /// Changes a rope in place.
    fn change_rope(&mut self, event: KeyEvent, change: impl FnOnce(&mut Rope)) {
        let charged = self.charge();
        match self.slot.node_mut() {
            Some(Object::Rope(s)) => {
                self.with.side.sizes.note(s.rope().len());
                change(s.rope_mut());
            }
            _ => unreachable!("the value was just seen to be a rope"),
        }
        self.recharge(charged);
        self.now_raw(event);
    }

    /// The bytes were changed in place.
    #[inline]
    fn now_raw(&mut self, event: KeyEvent) {
        if self.slot.get().encoding() != Encoding::Raw as u8 {
            self.slot.set_encoding(Encoding::Raw as u8);
        }
        self.settle_size();
        self.with.changed(event);
    }

    /// If the size that the value had was noted, it is counted with the one that it has.
    #[inline]
    pub(super) fn settle_size(&mut self) {
        if self.with.side.sizes.is_noted() {
            self.with.side.sizes.settle(self.with.db, EntryRef(self.slot.get()));
        }
    }

    /// EXPIRE and PERSIST.
    pub fn set_expiry(&mut self, expiry_ms: Option<i64>) {
        let old = self.expiry_ms();
        if old != expiry_ms {
            self.slot.set_expiry(expiry_ms);
            self.with.reindex(old, expiry_ms);
        }
        self.with.changed(if expiry_ms.is_some() { KeyEvent::EXPIRE } else { KeyEvent::PERSIST });
    }

    /// DEL: frees the value here, or on the other thread under `lazyfree-lazy-user-del`.
    #[inline]
    pub fn remove(self) {
        let lazily = self.with.side.options.lazy_user_del;
        self.take_out(lazily);
    }

    /// UNLINK: frees a large value on the other thread.
    pub fn unlink(self) {
        self.take_out(true);
    }

    /// As [`Occupied::remove`], where the events are noted by the caller.
    pub fn remove_quietly(self) {
        let lazily = self.with.side.options.lazy_user_del;
        self.take_out_quietly(lazily);
    }

    #[inline]
    fn take_out(self, lazily: bool) {
        self.take_out_quietly(lazily).note(KeyEvent::DEL);
    }

    #[inline]
    fn take_out_quietly(mut self, lazily: bool) -> With<'a> {
        let (old, fields) = (self.expiry_ms(), self.get().field_deadline());
        self.with.side.sizes.leaves(self.with.db, EntryRef(self.slot.get()));
        self.with.side.charges.leaves(self.with.db, EntryRef(self.slot.get()));
        let entry = self.slot.remove();
        self.with.reindex(old, None);
        self.with.reindex_fields(fields, None);
        self.with.side.discard(entry, lazily);
        self.with.side.deleted(self.with.db, self.with.key.bytes);
        self.with
    }
}

impl<'a> Vacant<'a> {
    #[inline]
    pub fn insert_bytes(self, bytes: &[u8], spelling: Spelling, expiry: ExpiryUpdate, event: KeyEvent) {
        let (encoding, payload) = string::payload(bytes, spelling, self.slot.heap().epoch());
        self.insert(encoding, payload, expiry, event);
    }

    pub fn insert_int(self, value: i64, expiry: ExpiryUpdate, event: KeyEvent) {
        self.insert(Encoding::Int, Payload::Int(value), expiry, event);
    }

    pub fn insert_rope(self, rope: Rope, spelling: Spelling, expiry: ExpiryUpdate, event: KeyEvent) {
        if rope.len() <= BLOB_MAX {
            return self.insert_bytes(&StringRef::Rope(&rope).to_vec(), spelling, expiry, event);
        }
        let payload = string::rope_payload(rope, self.slot.heap().epoch());
        self.insert(Encoding::Raw, payload, expiry, event);
    }

    /// SETRANGE, SETBIT: zero bytes up to `offset`, then these. Returns the length.
    pub fn insert_at(self, offset: usize, bytes: &[u8], event: KeyEvent) -> usize {
        match string::patched(StringRef::Bytes(b""), offset, bytes) {
            Patched::Short(text) => self.insert_bytes(&text, Spelling::Raw, ExpiryUpdate::Clear, event),
            Patched::Long(rope) => {
                let payload = string::rope_payload(rope, self.slot.heap().epoch());
                self.insert(Encoding::Raw, payload, ExpiryUpdate::Clear, event);
            }
        }
        offset + bytes.len()
    }

    /// The same for what was received in pieces.
    pub fn insert_buffer_at(self, offset: usize, bytes: PieceBuf, event: KeyEvent) -> usize {
        let mut rope = Rope::default();
        string::patch_buffer(&mut rope, offset, bytes);
        let len = rope.len();
        self.insert_rope(rope, Spelling::Raw, ExpiryUpdate::Clear, event);
        len
    }

    #[inline]
    fn insert(self, encoding: Encoding, payload: Payload<'_, Object>, expiry: ExpiryUpdate, event: KeyEvent) {
        let expiry_ms = match expiry {
            ExpiryUpdate::At(deadline) => Some(deadline),
            ExpiryUpdate::Clear | ExpiryUpdate::Keep => None,
        };
        let clock = self.with.side.fresh_clock(self.with.now_ms);
        let mut with = self.insert_aged(TypeName::String as u8, encoding as u8, payload, expiry_ms, clock);
        with.note(event);
        if expiry_ms.is_some() {
            with.note(KeyEvent::EXPIRE);
        }
    }

    /// Makes the entry with access bits that were earned elsewhere. The caller notes the event of its command.
    #[inline]
    pub(super) fn insert_aged(
        mut self,
        type_id: u8,
        encoding: u8,
        payload: Payload<'_, Object>,
        expiry_ms: Option<i64>,
        clock: u32,
    ) -> With<'a> {
        let Key { bytes, hash } = self.with.key;
        let head = EntryHead { key: bytes, hash, expiry_ms, type_id, encoding, clock };
        let size = string::payload_len(&payload);
        let entry = Entry::build(self.slot.heap().epoch(), &head, payload);
        let slot = self.slot.insert(entry);
        match size.filter(|_| type_id == TypeName::String as u8) {
            Some(size) => self.with.side.sizes.enters(self.with.db, type_id, size),
            None => self.with.side.sizes.enters_entry(self.with.db, EntryRef(slot.get())),
        }
        self.with.side.charges.enters(self.with.db, EntryRef(slot.get()));
        self.with.reindex(None, expiry_ms);
        self.with.reindex_fields(None, EntryRef(slot.get()).field_deadline());
        self.with.changed(KeyEvent::NEW);
        self.with
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::World;
    use super::super::{IncrError, KeyEvent, KeySlot};
    use crate::types::string::{BLOB_MAX, Spelling, StringRef};

    #[test]
    fn encodings_follow_history() {
        let mut w = World::new();
        let append = |w: &mut World, text: &str| w.on("k", |db, k| db.append(k, text.as_bytes()).unwrap());
        append(&mut w, "12");
        assert_eq!(w.encoding("k"), "int", "APPEND makes a missing key as SET does");
        append(&mut w, "3");
        assert_eq!((w.encoding("k"), w.get("k").as_deref()), ("raw", Some("123")));
        assert_eq!(w.on("k", |db, k| db.incr(k, 1)), Ok(124));
        assert_eq!(w.encoding("k"), "int");
        w.on("k", |db, k| db.entry(k).set_bytes(b"3", Spelling::Text, super::ExpiryUpdate::Clear, KeyEvent::SET));
        assert_eq!(w.encoding("k"), "embstr", "INCRBYFLOAT");
        w.set("k", "9");
        w.on("k", |db, k| match db.entry(k) {
            KeySlot::Occupied(mut o) => o.write_at(3, b"x", KeyEvent::SET).unwrap(),
            KeySlot::Vacant(_) => 0,
        });
        assert_eq!((w.encoding("k"), w.get("k").as_deref()), ("raw", Some("9\0\0x")));
        w.set("k", &"y".repeat(44));
        assert_eq!(w.encoding("k"), "embstr");
        w.set("k", &"y".repeat(45));
        assert_eq!(w.encoding("k"), "raw");
    }

    #[test]
    fn counting_refuses_what_redis_refuses() {
        let mut w = World::with(&[("max", "9223372036854775807"), ("text", "ten"), ("padded", "010")]);
        assert_eq!(w.on("max", |db, k| db.incr(k, 1)), Err(IncrError::Overflow));
        assert_eq!(w.on("text", |db, k| db.incr(k, 1)), Err(IncrError::NotAnInteger));
        assert_eq!(w.on("padded", |db, k| db.incr(k, 1)), Err(IncrError::NotAnInteger));
        assert_eq!(w.on("new", |db, k| db.incr(k, -5)), Ok(-5));
        assert_eq!(w.ks.stats().dirty, 4, "a refused count is no change");
    }

    #[test]
    fn a_value_grows_from_its_entry_into_a_rope() {
        let mut w = World::new();
        let mut expected = String::new();
        for i in 0..400 {
            let more = i.to_string().repeat(1 + i * 7 % 300);
            expected.push_str(&more);
            let len = w.on("k", |db, k| db.append(k, more.as_bytes()).unwrap());
            assert_eq!(len, expected.len());
        }
        assert!(expected.len() > 2 * BLOB_MAX);
        assert!(w.get("k").as_deref() == Some(&*expected));
        for at in [0, 100, BLOB_MAX - 1, 2 * BLOB_MAX - 2, expected.len() - 1] {
            w.on("k", |db, k| match db.entry(k) {
                KeySlot::Occupied(mut o) => o.write_at(at, b"abc", KeyEvent::SET).unwrap(),
                KeySlot::Vacant(_) => 0,
            });
            let end = expected.len().min(at + 3);
            expected.replace_range(at..end, "abc");
        }
        assert!(w.get("k").as_deref() == Some(&*expected));
        w.ks.check_invariants();
    }

    #[test]
    fn a_wide_gap_takes_no_memory() {
        let mut w = World::with(&[("short", "ab")]);
        let far = 400 << 20;
        let len = w.on("new", |db, k| match db.entry(k) {
            KeySlot::Vacant(v) => v.insert_at(far, b"xyz", KeyEvent::SET),
            KeySlot::Occupied(_) => 0,
        });
        assert_eq!(len, far + 3);
        let len = w.on("short", |db, k| match db.entry(k) {
            KeySlot::Occupied(mut o) => o.write_at(far, b"xyz", KeyEvent::SET).unwrap(),
            KeySlot::Vacant(_) => 0,
        });
        assert_eq!(len, far + 3);
        let ends = |w: &mut World, key: &str| {
            w.on(key, |db, k| {
                let StringRef::Rope(rope) = db.peek(k).unwrap().string().unwrap() else { panic!("that long") };
                let mut out = vec![];
                rope.read(0..3, &mut out);
                rope.read(far - 1..far + 3, &mut out);
                out
            })
        };
        assert_eq!(ends(&mut w, "new"), b"\0\0\0\0xyz");
        assert_eq!(ends(&mut w, "short"), b"ab\0\0xyz");
    }

    #[test]
    fn the_index_follows_every_change_of_a_deadline() {
        let mut w = World::new();
        let expires = |w: &World| w.ks.info(0, w.now).expires;
        w.set_for("k", "v", 1_000);
        assert_eq!(expires(&w), 1);
        w.on("k", |db, k| db.set_bytes(k, b"w", super::ExpiryUpdate::Keep));
        assert_eq!(expires(&w), 1);
        w.set("k", "x");
        assert_eq!(expires(&w), 0);
        w.set_for("k", "v", 1_000);
        w.on("k", |db, k| db.incr(k, 1).is_err());
        w.on("k", |db, k| db.unlink(k));
        assert_eq!(expires(&w), 0);
        w.ks.check_invariants();
    }
}
