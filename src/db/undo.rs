//! Taking back what a unit has changed: a script that was stopped leaves nothing behind.
//!
//! Before a command writes, the keys that it may write are noted with what they held ([`Keyspace::before_write`]). What is
//! small is copied. Before something large is written for the first time, or after many keys, the whole keyspace is kept as
//! it is by then (a snapshot: a few words, and what is written from then on is copied as it is written); from then on names
//! are enough. So a script of two calls pays for a copy of what it overwrites, and one that writes a million keys for their
//! names.
//!
//! Taking back goes backwards: first what the snapshot has, then what was copied before it. Nobody hears of it. Keys whose
//! time was over, and that were deleted for that reason, stay deleted; whoever must hear of that hears of it.
//!
//! Watchers and blocked clients hear of a unit's changes when it is kept: see [`WatchTable::hold`](super::watch::WatchTable).

use super::Object;
use super::entry::Key;
use super::keyspace::{Cause, Keyspace, REPLAYED_MS, Stats};
use super::slot::KeySlot;
use super::snapshot::KeyspaceSnapshot;
use super::whole::FlushMode;
use crate::dict::{self, Payload, PayloadRef};

/// A value up to this size is copied, bytes: that is cheaper than what a snapshot has copied.
const COPIED_BYTES: usize = 4096;

/// After so many keys names are enough.
pub(super) const COPIED_KEYS: usize = 1000;

/// What a key held.
enum Before {
    /// Nothing.
    Missing,
    /// So many bytes, which lie behind the key's name: a text, or a small collection.
    Bytes(u32),
    /// A number.
    Int(i64),
    /// The snapshot has it.
    Past,
}

struct Record {
    db: u32,
    hash: u64,
    /// Where its name begins, and how long it is.
    name: usize,
    name_len: u32,
    type_id: u8,
    encoding: u8,
    clock: u32,
    expiry_ms: Option<i64>,
    before: Before,
}

/// What a unit has changed so far, and how it was. Its room is used again.
#[derive(Default)]
pub struct Undo {
    bytes: Vec<u8>,
    records: Vec<Record>,
    past: Option<KeyspaceSnapshot>,
    /// Databases were changed as a whole.
    is_whole: bool,
    stats: Stats,
    /// How many clients could be served, and how many commands were to be repeated, when it began.
    ready: usize,
    ops: usize,
    /// Keys that went because their time was over.
    pub(super) gone: Vec<(usize, Box<[u8]>)>,
}

/// So many records are restored at once, and what they need fetched before.
const RESTORED_AT_ONCE: usize = 16;

/// How large its room may be between two units, bytes.
const ROOM_KEPT: usize = 64 << 10;

impl Keyspace {
    /// From now on it can be taken back what commands change.
    pub fn begin_undo(&mut self) {
        let mut undo = self.side.undo_room.take().unwrap_or_default();
        undo.stats = self.side.stats;
        undo.ready = self.side.blocking_keys.ready_len();
        undo.ops = self.side.trace.ops().len();
        self.side.watch.hold();
        self.side.undo = Some(undo);
    }

    /// Whether it can be taken back what is changed now.
    #[inline]
    pub fn has_undo(&self) -> bool {
        self.side.undo.is_some()
    }

    /// A key is about to be written, perhaps.
    pub fn before_write(&mut self, db: usize, key: Key<'_>) {
        let Some(mut undo) = self.side.undo.take() else { return };
        let found = self.dbs[db].table.find(key.hash, key.bytes);
        let mut record = Record {
            db: db as u32,
            hash: key.hash,
            name: undo.bytes.len(),
            name_len: key.bytes.len() as u32,
            type_id: 0,
            encoding: 0,
            clock: 0,
            expiry_ms: None,
            before: Before::Missing,
        };
        undo.bytes.extend_from_slice(key.bytes);
        if undo.past.is_some() {
            record.before = Before::Past;
        } else if let Some(entry) = found {
            match copy(entry, &mut undo.bytes).filter(|_| undo.records.len() < COPIED_KEYS) {
                Some(before) => record.set(entry, before),
                None => {
                    undo.bytes.truncate(record.name + key.bytes.len());
                    undo.past = Some(self.snapshot());
                    record.before = Before::Past;
                }
            }
        }
        undo.records.push(record);
        self.side.undo = Some(undo);
    }

    /// Databases are about to be changed as a whole.
    pub fn before_all(&mut self) {
        let Some(mut undo) = self.side.undo.take() else { return };
        if undo.past.is_none() {
            undo.past = Some(self.snapshot());
        }
        undo.is_whole = true;
        self.side.undo = Some(undo);
    }

    /// The changes stay.
    pub fn keep_changes(&mut self) {
        if let Some(undo) = self.side.undo.take() {
            self.side.watch.release();
            self.put_undo_away(undo);
        }
    }

    /// The changes are taken back.
    pub fn take_changes_back(&mut self) {
        let Some(mut undo) = self.side.undo.take() else { return };
        #[cfg(debug_assertions)]
        let declared = self.declare(None);
        self.side.trace.mute();
        if undo.is_whole {
            self.restore_all(undo.past.as_ref().expect("it was taken before"));
        }
        for some in undo.records.rchunks(RESTORED_AT_ONCE) {
            self.fetch_ahead(some, &undo);
            some.iter().rev().for_each(|record| self.restore(record, &undo));
        }
        let Stats { expired_keys, expired_fields, .. } = self.side.stats;
        self.side.stats = Stats { expired_keys, expired_fields, ..undo.stats };
        self.side.blocking_keys.truncate_ready(undo.ready);
        self.side.watch.drop_held();
        self.side.trace.unmute(undo.ops, self.side.stats.dirty);
        let lazily = self.side.options.lazy_expire;
        for (db, key) in std::mem::take(&mut undo.gone) {
            self.side.trace.note_gone(db, &key, Cause::Expired, lazily);
        }
        self.put_undo_away(undo);
        #[cfg(debug_assertions)]
        self.declare(declared);
    }

    fn put_undo_away(&mut self, mut undo: Box<Undo>) {
        undo.past = None;
        if undo.bytes.capacity() + undo.records.capacity() * size_of::<Record>() > ROOM_KEPT {
            return;
        }
        undo.bytes.clear();
        undo.records.clear();
        undo.gone.clear();
        undo.is_whole = false;
        self.side.undo_room = Some(undo);
    }

    /// Everything becomes what it was.
    fn restore_all(&mut self, past: &KeyspaceSnapshot) {
        self.flush_all(FlushMode::Async, REPLAYED_MS);
        for db in past.dbs() {
            for entry in db.iter() {
                let key = self.key(entry.key());
                self.put_entry_back(db.index(), key, entry.0);
            }
        }
    }

    /// What the next records need is on its way before the first of them is looked at.
    fn fetch_ahead(&mut self, records: &[Record], undo: &Undo) {
        let Some(first) = records.first() else { return };
        let hashes = || records.iter().filter(|record| record.db == first.db).map(|record| record.hash);
        let db = first.db as usize;
        if let Some(past) = undo.past.as_ref().and_then(|past| past.dbs().iter().find(|past| past.index() == db)) {
            past.prefetch(hashes());
        }
        self.db(db, REPLAYED_MS).prefetch(hashes());
    }

    fn restore(&mut self, record: &Record, undo: &Undo) {
        let (name, len) = (record.name, record.name_len as usize);
        let key = Key { bytes: &undo.bytes[name..name + len], hash: record.hash };
        let db = record.db as usize;
        let hold = (record.type_id, record.encoding, record.expiry_ms, record.clock);
        match record.before {
            Before::Missing => self.remove_made(db, key),
            Before::Bytes(held) => {
                let held = &undo.bytes[name + len..][..held as usize];
                self.put_back(db, key, hold, Payload::Bytes(held));
            }
            Before::Int(number) => self.put_back(db, key, hold, Payload::Int(number)),
            Before::Past if undo.is_whole => {}
            Before::Past => {
                let past = undo.past.as_ref().expect("it was taken when the first of these was noted");
                let entry = past.dbs().iter().find(|past| past.index() == db).and_then(|past| past.find(key));
                match entry {
                    None => self.remove_made(db, key),
                    Some(entry) => self.put_entry_back(db, key, entry.0),
                }
            }
        }
    }

    fn put_entry_back(&mut self, db: usize, key: Key<'_>, entry: dict::EntryRef<'_, Object>) {
        let hold = (entry.type_id(), entry.encoding(), entry.expiry_ms(), entry.clock());
        let payload = match entry.payload() {
            PayloadRef::Inline(held) | PayloadRef::Blob(held) => Payload::Bytes(held),
            PayloadRef::Int(number) => Payload::Int(number),
            PayloadRef::Node(object) => Payload::Node(Box::new(object.duplicate(&self.heap))),
        };
        self.put_back(db, key, hold, payload);
    }

    /// A key that was not there.
    fn remove_made(&mut self, db: usize, key: Key<'_>) {
        if let KeySlot::Occupied(made) = self.db(db, REPLAYED_MS).entry(key) {
            made.unlink();
        }
    }

    fn put_back(
        &mut self,
        db: usize,
        key: Key<'_>,
        (type_id, encoding, expiry_ms, clock): (u8, u8, Option<i64>, u32),
        payload: Payload<'_, Object>,
    ) {
        match self.db(db, REPLAYED_MS).entry(key) {
            KeySlot::Occupied(mut slot) => slot.replace_aged(type_id, encoding, payload, expiry_ms, clock),
            KeySlot::Vacant(slot) => _ = slot.insert_aged(type_id, encoding, payload, expiry_ms, clock),
        }
    }
}

impl Record {
    fn set(&mut self, entry: dict::EntryRef<'_, Object>, before: Before) {
        (self.type_id, self.encoding) = (entry.type_id(), entry.encoding());
        (self.expiry_ms, self.clock) = (entry.expiry_ms(), entry.clock());
        self.before = before;
    }
}

/// A copy of what an entry holds, if it is small.
fn copy(entry: dict::EntryRef<'_, Object>, bytes: &mut Vec<u8>) -> Option<Before> {
    match entry.payload() {
        PayloadRef::Inline(held) | PayloadRef::Blob(held) => (held.len() <= COPIED_BYTES).then(|| {
            bytes.extend_from_slice(held);
            Before::Bytes(held.len() as u32)
        }),
        PayloadRef::Int(number) => Some(Before::Int(number)),
        PayloadRef::Node(_) => None,
    }
}
