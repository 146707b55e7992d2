//! From a file into the keyspace.

use super::load::{LoadEntry, Stored};
use crate::db::{Keyspace, Loaded, LoadedEntry};
use crate::rdb::{RdbError, RdbReader, TypeOpcode, Why};
use crate::types::place::Maker;
use crate::types::value::{NewValue, Vetting};

/// Reads a value. A type that cannot be held yet is an error that names it.
pub fn load_value(
    kind: TypeOpcode,
    from: &mut RdbReader<'_>,
    vetting: Vetting,
    maker: &mut Maker<'_>,
) -> Result<NewValue, RdbError> {
    let value = NewValue::load(kind, from, vetting, maker)?;
    value.ok_or_else(|| from.error(Why::UnsupportedType(kind)))
}

/// Reads the value of a key and stores both: what a [`super::LoadSink`] on top of the keyspace does with an entry.
pub fn load_entry(
    keyspace: &mut Keyspace,
    entry: &LoadEntry<'_>,
    from: &mut RdbReader<'_>,
    vetting: Vetting,
    now_ms: i64,
) -> Result<Stored, RdbError> {
    let key = keyspace.key(entry.key);
    // Where the key will go is fetched while its value is read, if it is not there already.
    prefetch(keyspace, entry.db, key.hash);
    let value = load_value(entry.kind, from, vetting, &mut keyspace.maker())?;
    let loaded = LoadedEntry { db: entry.db as usize, key, expiry_ms: entry.expire_at_ms, access: entry.access, value };
    match keyspace.load(loaded, now_ms) {
        Loaded::Stored => Ok(Stored::Yes),
        Loaded::Duplicate => Ok(Stored::Duplicate),
        Loaded::NoSuchDb => Err(from.error(Why::Corrupt("a key in a database that does not exist"))),
    }
}

/// What a [`super::LoadSink`] on top of the keyspace does with a key that will come.
pub fn prefetch(keyspace: &Keyspace, db: u32, hash: u64) {
    if (db as usize) < keyspace.databases() {
        keyspace.prefetch_place(db as usize, hash);
    }
}
