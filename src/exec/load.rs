//! Keys of a file go into the keyspace, a step at a time, with others served in between.

use std::path::Path;
use std::time::Duration;

use crate::exec::ctx::Host;
use crate::exec::instance::{Alert, Instance};
use crate::exec::persistence::Lineage;
use crate::observe::log::Level;
use crate::persist::{self, LoadEntry, LoadError, LoadNote, LoadSink, Loaded, Loader, Step, Stored};
use crate::rdb::{RdbError, RdbReader};
use crate::sys::disk::RealDisk;
use crate::types::value::Vetting;

/// Takes the keys of a file.
pub struct FileSink<'a> {
    /// Where they go.
    pub inst: &'a mut Instance,
    /// The outside.
    pub host: &'a dyn Host,
    /// They replace keys of the same name, which else are a fault of the file.
    pub replaces: bool,
    /// Keys so far, for `key-load-delay`.
    pub keys: u64,
    /// The file is the first part of an append-only file: what follows its end is the rest.
    pub is_part: bool,
    /// Whether its writer is trusted.
    pub vetting: Vetting,
}

impl Instance {
    /// `key-load-delay`: a load made slow on purpose, for tests of what happens during one. Read anew for each key; this
    /// is the `nth`.
    pub(super) fn delay_key(&self, host: &dyn Host, nth: u64) {
        let micros = match self.config.persistence.key_load_delay {
            0 => return,
            every if every < 0 => u64::from(nth.is_multiple_of(u64::from(every.unsigned_abs()))),
            micros => u64::from(micros.unsigned_abs()),
        };
        host.sleep(Duration::from_micros(micros));
    }
}

impl LoadSink for FileSink<'_> {
    fn entry(&mut self, entry: &LoadEntry<'_>, from: &mut RdbReader<'_>) -> Result<Stored, RdbError> {
        self.keys += 1;
        self.inst.delay_key(self.host, self.keys);
        let Instance { keyspace, now_ms, .. } = &mut *self.inst;
        if self.replaces && (entry.db as usize) < keyspace.databases() {
            let mut db = keyspace.db(entry.db as usize, *now_ms);
            let key = db.key(entry.key);
            db.remove(key);
        }
        persist::load_entry(keyspace, entry, from, self.vetting, *now_ms)
    }

    fn soon(&mut self, db: u32, key: &[u8]) {
        let keyspace = &self.inst.keyspace;
        persist::prefetch(keyspace, db, keyspace.key(key).hash);
    }

    fn resize(&mut self, db: u32, keys: u64, _expiring: u64) {
        self.inst.keyspace.expect_keys(db as usize, keys);
    }

    fn aux(&mut self, name: &[u8], value: &[u8]) -> bool {
        self.inst.load.lineage.note(name, value);
        false
    }

    fn function(&mut self, source: &[u8]) -> Result<bool, String> {
        let loaded = self.inst.load_library(source, self.replaces, false);
        loaded.map(|_| true).map_err(|error| error.to_text().into_owned())
    }

    fn expired(&mut self, db: u32, key: &[u8]) {
        // Who has the key yet must be told.
        if self.inst.load.lineage.id.is_some() {
            self.inst.load.lineage.expired.push((db, key.into()));
        }
    }

    fn note(&mut self, note: LoadNote) {
        if !(self.is_part && matches!(note, LoadNote::Surplus { .. })) {
            self.inst.log.log(Level::Notice, &note.to_string(), &[]);
        }
    }
}

impl Instance {
    /// Loads a file in the middle of a command. Meanwhile others are told that the data set is being loaded.
    pub(super) fn load_within(
        &mut self,
        path: &Path,
        replaces: bool,
        host: &mut dyn Host,
    ) -> Result<Option<Loaded>, LoadError> {
        let Some(loader) = Loader::open_file(&RealDisk, path, &self.load_settings())? else { return Ok(None) };
        self.keyspace.begin_load();
        self.load.started_ms = self.now_ms;
        self.alert.put(Alert::LOADING, true);
        let loaded = self.load_steps(loader, replaces, host);
        // It is where this instance is anyway.
        self.load.lineage = Lineage::default();
        self.alert.put(Alert::LOADING, false);
        self.keyspace.end_load();
        loaded.map(Some).map_err(|fault| LoadError::file(path, fault))
    }

    fn load_steps(&mut self, mut loader: Loader<'_>, replaces: bool, host: &mut dyn Host) -> Result<Loaded, RdbError> {
        let mut keys = 0;
        loop {
            let mut sink = FileSink { inst: self, host, replaces, keys, is_part: false, vetting: Vetting::Trusted };
            let step = loader.step(&mut sink)?;
            keys = sink.keys;
            self.load.progress = *loader.progress();
            match step {
                Step::More => host.serve_others(self),
                Step::Done(loaded) => return Ok(loaded),
            }
        }
    }
}
