//! From a file into the keyspace.

use super::codec;
use super::load::{LoadEntry, Stored};
use crate::db::{AccessPolicy, Keyspace, Loaded, LoadedEntry};
use crate::rdb::{Access, RdbError, RdbReader, Why};

/// Reads the value of a key and stores both: what a [`super::LoadSink`] on top of the keyspace does with an entry.
pub fn load_entry(
    keyspace: &mut Keyspace,
    entry: &LoadEntry<'_>,
    from: &mut RdbReader<'_>,
    policy: AccessPolicy,
    now_ms: i64,
) -> Result<Stored, RdbError> {
    let value = codec::load_value(entry.kind, from)?;
    let clock = match entry.access {
        Access::Unknown => None,
        Access::IdleSeconds(seconds) => Some(policy.idle_for(seconds, now_ms)),
        Access::Frequency(counter) => Some(policy.with_frequency(counter, now_ms)),
    };
    let loaded = LoadedEntry { db: entry.db as usize, key: entry.key, expiry_ms: entry.expire_at_ms, clock, value };
    match keyspace.load(loaded, now_ms) {
        Loaded::Stored => Ok(Stored::Yes),
        Loaded::Duplicate => Ok(Stored::Duplicate),
        Loaded::NoSuchDb => Err(from.error(Why::Corrupt("a key in a database that does not exist"))),
    }
}
