//! What the targets for values and files have in common: a keyspace to hold what was read, and the ways out and back.

// Each target uses its part.
#![allow(dead_code)]

use kvstash::db::{FlushMode, Keyspace, Options};
use kvstash::persist::{
    KeyDelay, KeyspaceSource, LoadEntry, LoadSettings, LoadSink, SaveControl, Stored, load_entry, load_stream,
    write_snapshot,
};
use kvstash::rdb::{Access, RdbError, RdbReader, RdbWriter, TypeOpcode, WriteOptions};
use kvstash::types::digest::Digest;
use kvstash::types::{NewValue, Vetting};
use kvstash::util::hash::HashSeed;
use std::path::Path;
use std::sync::Arc;

const NOW_MS: i64 = 1_700_000_000_000;

pub struct World {
    keyspace: Keyspace,
}

impl Drop for World {
    /// A table that is dropped leaks what it holds: a snapshot might be reading it.
    fn drop(&mut self) {
        self.keyspace.flush_all(FlushMode::Sync, NOW_MS);
    }
}

struct Sink<'k> {
    keyspace: &'k mut Keyspace,
    vetting: Vetting,
}

impl LoadSink for Sink<'_> {
    fn entry(&mut self, entry: &LoadEntry<'_>, from: &mut RdbReader<'_>) -> Result<Stored, RdbError> {
        load_entry(self.keyspace, entry, from, self.vetting, NOW_MS)
    }
}

impl World {
    pub fn new() -> World {
        World { keyspace: Keyspace::new(16, HashSeed::fixed(3), Options::default()) }
    }

    /// Reads a value as RESTORE does.
    pub fn load(&mut self, kind: TypeOpcode, from: &mut RdbReader<'_>) -> Result<Option<NewValue>, RdbError> {
        NewValue::load(kind, from, Vetting::Hostile, &mut self.keyspace.maker())
    }

    /// Stores a value as RESTORE does; gives its digest.
    pub fn restore(&mut self, value: NewValue) -> Digest {
        let mut db = self.keyspace.db(0, NOW_MS);
        let key = db.key(b"key");
        db.entry(key).restore(value, None, Access::Unknown);
        let digest = db.digest_value(key);
        self.keyspace.check_invariants();
        digest
    }

    /// Writes the value in every version of the format that it can be written in, and reads each again.
    pub fn dump_and_restore(&mut self, digest: Digest) {
        for version in 10..=12 {
            let db = self.keyspace.db(0, NOW_MS);
            // A type may keep no value that is empty.
            let Some(entry) = db.peek(db.key(b"key")) else { return };
            let mut writer = RdbWriter::in_memory(WriteOptions { version, ..WriteOptions::default() });
            let kind = entry.value().rdb_opcode(version);
            if kind.since_version() > version {
                continue;
            }
            entry.value().save(&mut writer).expect("memory takes everything");
            let bytes = writer.take_bytes();
            let mut reader = RdbReader::from_bytes(&bytes);
            let mut again = World::new();
            let value = again.load(kind, &mut reader).expect("what was written can be read");
            assert!(reader.at_end().expect("memory"), "a value of {kind:?} is read to its end");
            RdbReader::from_bytes(&bytes).skip_value(kind).expect("what was written is in order");
            assert_eq!(again.restore(value.expect("a known type")), digest, "{kind:?}");
        }
    }

    /// Loads a file; says whether it was in order.
    pub fn load_file(&mut self, file: &[u8], vetting: Vetting, checksum: bool) -> bool {
        let settings = LoadSettings { checksum, ..LoadSettings::default() };
        let sink = &mut Sink { keyspace: &mut self.keyspace, vetting };
        let loaded = load_stream(file, Some(file.len() as u64), &settings, sink);
        self.keyspace.check_invariants();
        loaded.is_ok()
    }

    /// Saves a snapshot, and loads it into another keyspace.
    pub fn save_and_load(&mut self) {
        let digest = self.keyspace.digest();
        let source = KeyspaceSource::new(self.keyspace.snapshot(), None, NOW_MS);
        let control = SaveControl::new(Arc::new(KeyDelay::default()));
        let mut writer = RdbWriter::in_memory(WriteOptions { version: 12, ..WriteOptions::default() });
        write_snapshot(&source, &mut writer, &[], Path::new("memory"), &control).expect("memory takes everything");
        let file = writer.take_bytes();
        let mut again = World::new();
        assert!(again.load_file(&file, Vetting::Hostile, true), "what was saved can be loaded");
        assert_eq!(again.keyspace.digest(), digest);
        drop(source);
        self.keyspace.reap_snapshots();
        self.keyspace.check_invariants();
    }
}
