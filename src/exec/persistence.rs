//! Saving, as the instance sees it: what a snapshot is taken of, when one is due, what its end means.
//!
//! The files are `persist/`'s affair. Here a snapshot of the keyspace becomes a [`KeyspaceSource`], the configuration
//! becomes [`SaveSettings`], and the outcome becomes INFO fields, log lines and the MISCONF alert.

use std::path::PathBuf;

use crate::config::Config;
use crate::config::choice::MaxmemoryPolicy;
use crate::exec::ctx::Host;
use crate::exec::instance::{Alert, Instance};
use crate::observe::keys;
use crate::observe::log::Level;
use crate::persist::{
    KeyspaceSource, LoadCounts, LoadProgress, Moment, SaveError, SaveOutcome, SaveSettings, SaveStatus, StartError,
    temp_path,
};
use crate::replication::{HistoryId, parse_offset};

/// A load: the one at the start, or the last DEBUG RELOAD.
#[derive(Default)]
pub struct LoadState {
    /// What it brought.
    pub counts: LoadCounts,
    /// How far it is, while it goes on.
    pub progress: LoadProgress,
    /// When it began, ms since 1970.
    pub started_ms: i64,
    /// What the file says of where its data come from.
    pub lineage: Lineage,
}

/// Where the data of a file come from: which history, and how far into it.
#[derive(Clone, Debug, Default)]
pub struct Lineage {
    /// The history.
    pub id: Option<HistoryId>,
    /// All up to this offset of it is in the file.
    pub offset: Option<u64>,
    /// The database that what follows is about.
    pub stream_db: u32,
    /// Keys that were left out, because their time was over.
    pub expired: Vec<(u32, Box<[u8]>)>,
}

impl Lineage {
    /// Takes in an AUX field.
    pub fn note(&mut self, name: &[u8], value: &[u8]) {
        let number = || parse_offset(std::str::from_utf8(value).ok()?);
        match name {
            b"repl-id" => self.id = HistoryId::parse(value),
            b"repl-offset" => self.offset = number(),
            b"repl-stream-db" => self.stream_db = number().and_then(|db| u32::try_from(db).ok()).unwrap_or(0),
            _ => {}
        }
    }

    /// Where it ends, if it is known.
    pub fn end(&self) -> Option<(HistoryId, u64)> {
        self.id.zip(self.offset)
    }
}

/// Snapshots taken of the data set.
#[derive(Default)]
pub struct Snapshots {
    /// How many, since the start or CONFIG RESETSTAT.
    pub taken: u64,
    /// What taking the last one cost this thread, ns.
    pub last_ns: u64,
}

impl Instance {
    /// The moment for the saver: now, with the changes so far.
    pub fn moment(&self) -> Moment {
        Moment { now_ms: self.now_ms, dirty: self.keyspace.stats().dirty }
    }

    /// Where the data set is saved.
    pub fn rdb_path(&self) -> PathBuf {
        self.config.persistence.dir.as_path().join(self.config.persistence.dbfilename.as_path())
    }

    /// What INFO says about saving.
    pub fn save_status(&self) -> SaveStatus {
        let (at, preserved_bytes) = (self.moment(), self.keyspace.heap_stats().cloned_bytes);
        let saved = self.saver.status(at, preserved_bytes);
        if saved.bgsave_in_progress || !self.copier.is_running() {
            return saved;
        }
        // A copy for replicas is in progress as a save is, though it changes nothing in what is known of the file.
        let copy = self.copier.status(at, preserved_bytes);
        SaveStatus {
            changes_since_last_save: saved.changes_since_last_save,
            last_save_time: saved.last_save_time,
            last_bgsave_ok: saved.last_bgsave_ok,
            last_bgsave_seconds: saved.last_bgsave_seconds,
            saves: saved.saves,
            last_cow_bytes: saved.last_cow_bytes,
            ..copy
        }
    }

    /// Remembers what the running snapshot costs in memory, before its end makes that 0.
    pub fn note_preserved(&mut self) {
        if self.saver.is_running() {
            self.saver.note_preserved(self.keyspace.heap_stats().cloned_bytes);
        }
    }

    pub(super) fn save_settings(&self, who: &str) -> SaveSettings {
        let persistence = &self.config.persistence;
        let path = self.rdb_path();
        let aux = |name: &str, value: String| (name.to_owned(), value);
        // Whoever loads it can go on from there.
        let is_part = self.replication.feed.is_active();
        let lineage = is_part.then(|| self.lineage_fields(self.replication.feed.end())).into_iter().flatten();
        SaveSettings {
            temp: temp_path(&path, who),
            path,
            version: forced_version(&self.config),
            compression: persistence.rdbcompression,
            checksum: persistence.rdbchecksum,
            incremental_sync: persistence.rdb_save_incremental_fsync,
            aux: vec![
                aux("redis-ver", self.config.server.redis_version.to_lossy()),
                aux("redis-bits", "64".to_owned()),
                aux("ctime", (self.now_ms / 1000).to_string()),
                aux("used-mem", self.used_memory().to_string()),
                aux("aof-base", "0".to_owned()),
            ]
            .into_iter()
            .chain(lineage)
            .collect(),
            functions: self.scripts.libraries.codes(),
            commands: None,
            stream: None,
        }
    }

    /// Where a copy for replicas is written.
    pub fn copy_path(&self) -> PathBuf {
        temp_path(&self.rdb_path(), "replica-")
    }

    /// How a copy for replicas is written that stands for this offset.
    pub(super) fn copy_settings(&self, offset: u64) -> SaveSettings {
        let mut settings = self.save_settings("copy-");
        settings.path = self.copy_path();
        debug_assert!(offset == self.replication.feed.end() && self.replication.feed.is_active());
        settings
    }

    /// The fields of a file that say where its data come from.
    fn lineage_fields(&self, offset: u64) -> [(String, String); 3] {
        [
            ("repl-stream-db", self.stream_db().unwrap_or(0).to_string()),
            ("repl-id", self.replication.history.id().to_string()),
            ("repl-offset", offset.to_string()),
        ]
        .map(|(name, value)| (name.to_owned(), value))
    }

    /// The database that the stream is about, if what comes next need not say so.
    fn stream_db(&self) -> Option<u32> {
        match &self.replication.upstream {
            Some(upstream) => upstream.session().map(|session| session.db),
            None => self.replication.feed.db(),
        }
    }

    pub(super) fn source(&mut self) -> KeyspaceSource {
        use MaxmemoryPolicy::{AllkeysLfu, AllkeysLru, VolatileLfu, VolatileLru};
        let asks = matches!(self.config.storage.maxmemory_policy, AllkeysLru | VolatileLru | AllkeysLfu | VolatileLfu);
        let access = asks.then_some(self.keyspace.options().access);
        KeyspaceSource::new(self.keyspace.snapshot(), access, self.now_ms)
    }

    /// BGSAVE: starts the snapshot thread.
    pub fn start_save(&mut self, host: &mut dyn Host) -> Result<(), StartError> {
        if self.saver.is_running() {
            return Err(StartError::AlreadyRunning);
        }
        let began_ns = host.now_ns();
        let source = Box::new(self.source());
        let (settings, at) = (self.save_settings(""), self.moment());
        let result = self.saver.start(source, settings, at, host.when_saved());
        match &result {
            Ok(()) => self.snapshot_is_taken("saving", began_ns, host),
            Err(error) => {
                self.log.warning("Can't save in background", &[(keys::ERROR, &error.to_string())]);
            }
        }
        result
    }

    /// A snapshot is being read from now on, to become a file or a copy: what is said and counted of that.
    pub(super) fn snapshot_is_taken(&mut self, what: &str, began_ns: u64, host: &dyn Host) {
        let took_ns = host.now_ns().saturating_sub(began_ns);
        self.snapshots.last_ns = took_ns;
        self.snapshots.taken += 1;
        self.note_latency("fork", took_ns); // the name under which people look for it
        // Who searches the log looks for these words; there is no other process, so it is this one's.
        let text = format!("Background {what} started by pid {}", host.process().pid());
        self.log.log(Level::Notice, &text, &[("start_us", &(took_ns / 1000))]);
    }

    /// The snapshot thread has reported.
    pub fn saved(&mut self, outcome: &SaveOutcome) {
        let preserved_bytes = self.keyspace.heap_stats().cloned_bytes;
        self.saver.finish(outcome, self.now_ms, preserved_bytes);
        match &outcome.result {
            Ok(saved) => {
                self.log.notice("DB saved on disk", &[(keys::KEYS, &saved.keys), (keys::BYTES, &saved.bytes)]);
                self.log.notice("Background saving terminated with success", &[]);
            }
            Err(SaveError::Aborted) => self.log.notice("Background saving aborted", &[]),
            Err(error) => {
                self.log.warning("Background saving error", &[(keys::ERROR, &error.to_string())]);
            }
        }
        self.check_disk();
    }

    /// SAVE: saves while everything else waits.
    pub fn save_now(&mut self, now_ms: i64) -> Result<(), String> {
        self.now_ms = now_ms;
        let source = self.source();
        let (settings, at) = (self.save_settings("fg-"), self.moment());
        let result = self.saver.save_now(&source, &settings, at);
        drop(source);
        self.check_disk();
        match result {
            Ok(saved) => {
                self.log.notice("DB saved on disk", &[(keys::KEYS, &saved.keys), (keys::BYTES, &saved.bytes)]);
                Ok(())
            }
            Err(error) => {
                let error = error.to_string();
                self.log.warning("Saving failed", &[(keys::ERROR, &error)]);
                Err(error)
            }
        }
    }

    /// The alert that makes writes fail with MISCONF.
    pub fn check_disk(&mut self) {
        let persistence = &self.config.persistence;
        let failing = !self.saver.last_ok() && persistence.stop_writes_on_bgsave_error && !persistence.save.is_empty();
        self.alert.put(Alert::DISK_ERROR, failing);
    }

    /// FLUSHALL: a snapshot of data that is gone is worth nothing; and with save points, the file goes too.
    pub fn after_flushall(&mut self) {
        self.saver.abort();
        if !self.config.persistence.save.is_empty() && self.save_now(self.now_ms).is_ok() {
            // FLUSHALL itself was a change, and is in the file.
            self.saver.mark_saved(self.moment());
        }
    }

    /// Starts a save that a save point or BGSAVE SCHEDULE asks for.
    pub fn save_when_due(&mut self, host: &mut dyn Host) {
        if self.alert.has(Alert::LOADING) {
            return;
        }
        let points = self.config.persistence.save.points();
        if let Some(point) = self.saver.due_point(points, self.moment()) {
            self.log.notice("Save point reached, saving", &[("changes", &point.changes), ("seconds", &point.seconds)]);
        } else if !self.saver.scheduled_is_due(self.now_ms) {
            return;
        }
        // A failure is logged where it happens, and tried again later.
        let _ = self.start_save(host);
    }
}

/// `rdb-version`: 12 means the newest, so that what is written is as old as the data allows.
fn forced_version(config: &Config) -> Option<u32> {
    let version = config.persistence.rdb_version;
    (version < 12).then_some(version)
}
