//! What is saved: a view of all databases that does not change while it is read.
//!
//! Saving asks a [`SnapshotSource`] for sizes and has it walk one database after the other. The keyspace's own
//! snapshot is one, [`KeyspaceSource`]; tests make theirs from a list.

use std::collections::VecDeque;

use super::save::SaveError;
use crate::db::{AccessPolicy, KeyspaceSnapshot};
use crate::rdb::opcodes::VERSION_MIN_WRITTEN;
use crate::rdb::{Access, TypeOpcode};
use crate::types::value::ValueRef;

/// One key of a snapshot.
#[derive(Clone, Copy, Debug)]
pub struct Item<'a> {
    /// Its name.
    pub key: &'a [u8],
    /// Unix time in milliseconds.
    pub expire_at_ms: Option<i64>,
    /// What eviction knows about it, if the file shall say.
    pub access: Access,
    /// What it holds.
    pub value: ValueRef<'a>,
}

/// How large a database is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DatabaseSize {
    /// Its number.
    pub index: u32,
    /// Its keys.
    pub keys: u64,
    /// Those with an expiry.
    pub expiring: u64,
}

/// All databases at one moment, readable from another thread. Dropping it releases what it held.
pub trait SnapshotSource: Send {
    /// The oldest version of the format that can express the data.
    fn rdb_version_needed(&self) -> u32 {
        VERSION_MIN_WRITTEN
    }

    /// The databases that have keys, in the order of their numbers.
    fn databases(&self) -> Vec<DatabaseSize>;

    /// Hands every key of a database to `each`; stops at its first error and returns that.
    fn visit(&self, index: u32, each: &mut dyn FnMut(Item<'_>) -> Result<(), SaveError>) -> Result<(), SaveError>;
}

/// So many entries before it is saved, a value is asked for.
const AHEAD: usize = 6;

/// A snapshot of the keyspace, as something to save.
pub struct KeyspaceSource {
    snapshot: KeyspaceSnapshot,
    access: Option<AccessPolicy>,
    now_ms: i64,
}

impl KeyspaceSource {
    /// Takes over a snapshot of the moment `now_ms`. With `access` the file says when or how often keys were used: to
    /// be asked for only if an eviction policy wants to know (`*-lru`, `*-lfu`), for it costs bytes.
    pub fn new(snapshot: KeyspaceSnapshot, access: Option<AccessPolicy>, now_ms: i64) -> KeyspaceSource {
        KeyspaceSource { snapshot, access, now_ms }
    }
}

impl SnapshotSource for KeyspaceSource {
    fn rdb_version_needed(&self) -> u32 {
        if self.snapshot.dbs().iter().any(|db| db.field_expires() > 0) {
            TypeOpcode::HashMetadata.since_version()
        } else {
            VERSION_MIN_WRITTEN
        }
    }

    fn databases(&self) -> Vec<DatabaseSize> {
        let size = |db: &crate::db::DbSnapshot| DatabaseSize {
            index: db.index() as u32,
            keys: db.keys() as u64,
            expiring: db.expires() as u64,
        };
        self.snapshot.dbs().iter().map(size).collect()
    }

    fn visit(&self, index: u32, each: &mut dyn FnMut(Item<'_>) -> Result<(), SaveError>) -> Result<(), SaveError> {
        let Some(db) = self.snapshot.dbs().iter().find(|db| db.index() as u32 == index) else { return Ok(()) };
        let mut entries = db.iter();
        // The entries themselves are on their way when the iterator gives them; their values are asked for here.
        let mut ahead: VecDeque<_> = entries.by_ref().take(AHEAD).collect();
        while let Some(entry) = ahead.pop_front() {
            if let Some(later) = entries.next() {
                later.prefetch_value();
                ahead.push_back(later);
            }
            each(Item {
                key: entry.key(),
                expire_at_ms: entry.expiry_ms(),
                access: self.access.map_or(Access::Unknown, |policy| policy.saved(entry.clock(), self.now_ms)),
                value: entry.value(),
            })?;
        }
        Ok(())
    }
}
