//! Filling databases wholesale: from a file, or by DEBUG POPULATE.
//!
//! A loader does what commands do without what only commands need: no change is counted, no watcher asked, no expiry
//! looked for before a key is stored.

use super::entry::Key;
use super::keyspace::{Db, Keyspace};
use super::slot::ExpiryUpdate;
use crate::dict::{Entry, EntryHead, Slot};
use crate::types::contract::TypeName;
use crate::types::string::{self, Spelling};
use crate::util::num;

/// What to store, as a file has it.
pub enum LoadedValue {
    /// A string, moved if it is large.
    String(Vec<u8>),
    Int(i64),
}

/// One entry of a file.
pub struct LoadedEntry<'a> {
    pub db: usize,
    pub key: &'a [u8],
    pub expiry_ms: Option<i64>,
    /// Access bits, made by [`super::AccessPolicy`]; fresh ones if absent.
    pub clock: Option<u32>,
    pub value: LoadedValue,
}

/// What came of one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Loaded {
    Stored,
    /// The key is there already. A file with two entries for a key is damaged; nothing was changed.
    Duplicate,
    /// There is no database of that number.
    NoSuchDb,
}

impl Keyspace {
    /// Stores one entry of a file that is being loaded at `now_ms`.
    pub fn load(&mut self, entry: LoadedEntry<'_>, now_ms: i64) -> Loaded {
        let Key { bytes, hash } = self.key(entry.key);
        let Keyspace { dbs, heap, side } = self;
        let Some(Db { table, expiries }) = dbs.get_mut(entry.db) else { return Loaded::NoSuchDb };
        let Slot::Vacant(slot) = table.entry_mut(heap, hash, bytes) else { return Loaded::Duplicate };
        let birth = slot.heap().epoch();
        let text;
        let (encoding, payload) = match entry.value {
            LoadedValue::Int(n) => (crate::types::Encoding::Int, crate::dict::Payload::Int(n)),
            LoadedValue::String(large) if large.len() > string::BLOB_MAX => {
                (crate::types::Encoding::Raw, string::large_payload(large, birth))
            }
            LoadedValue::String(small) => {
                text = small;
                string::payload(&text, Spelling::Value, birth)
            }
        };
        let head = EntryHead {
            key: bytes,
            hash,
            expiry_ms: entry.expiry_ms,
            type_id: TypeName::String as u8,
            encoding: encoding as u8,
            clock: entry.clock.unwrap_or_else(|| side.options.access.fresh(now_ms)),
        };
        slot.insert(Entry::build(birth, &head, payload));
        if let Some(deadline) = entry.expiry_ms {
            expiries.insert(deadline, Key { bytes, hash }.hash_prefix());
        }
        Loaded::Stored
    }

    /// DEBUG POPULATE: keys `<prefix>:0` and so on with values `value:0` and so on, those that exist left alone. With a
    /// `size` every value is cut or filled up with zero bytes to it.
    pub fn populate(&mut self, at: usize, count: u64, prefix: &[u8], size: Option<usize>, now_ms: i64) {
        let (mut key, mut value) = (Vec::new(), Vec::new());
        for i in 0..count {
            key.clear();
            key.extend_from_slice(prefix);
            key.push(b':');
            num::push_u64(&mut key, i);
            value.clear();
            value.extend_from_slice(b"value:");
            num::push_u64(&mut value, i);
            if let Some(size) = size {
                value.resize(size, 0);
            }
            let mut db = self.db(at, now_ms);
            let key = db.key(&key);
            if db.peek(key).is_none() {
                db.set_bytes(key, &value, ExpiryUpdate::Clear);
            }
        }
    }
}
