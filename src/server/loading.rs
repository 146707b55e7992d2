//! The data set is read at the start, with the server answering meanwhile: `-LOADING` to most, the truth to INFO.

use std::ops::ControlFlow;
use std::time::Duration;

use super::Server;
use super::start::NoStart;
use crate::exec::instance::Alert;
use crate::observe::keys;
use crate::persist::{self, LoadEntry, LoadError, LoadNote, LoadProgress, LoadSink, Stored};
use crate::rdb::{RdbError, RdbReader};
use crate::sys::disk::RealDisk;
use crate::types::value::Vetting;

impl Server {
    /// Reads the file of `dir` and `dbfilename`. `Err` when it is there and cannot be used: the server must not
    /// start, for it would overwrite it at the next save.
    pub(super) fn load(&mut self) -> Result<(), NoStart> {
        let path = self.inst.rdb_path();
        if matches!(path.try_exists(), Ok(false)) {
            return Ok(());
        }
        let settings = self.inst.load_settings();
        self.inst.alert.put(Alert::LOADING, true);
        self.inst.metrics.loading.set(1);
        self.inst.loading_started_ms = self.inst.now_ms;
        self.inst.log.notice("Loading DB in memory...", &[(keys::PATH, &path.display().to_string())]);
        let began_ns = self.outside.now_ns();
        self.inst.keyspace.begin_load();
        let result = persist::load_file(&RealDisk, &path, &settings, &mut Sink { server: self, keys: 0 });
        self.inst.keyspace.end_load();
        self.inst.alert.put(Alert::LOADING, false);
        self.inst.metrics.loading.set(0);
        match result {
            Ok(None) => Ok(()),
            Ok(Some(loaded)) => {
                self.inst.loaded = loaded.counts;
                let duration_ms = (self.outside.now_ns() - began_ns) / 1_000_000;
                self.inst.log.log(crate::observe::log::Level::Notice, &loaded.to_string(), &[]);
                self.inst.log.notice("DB loaded from disk", &[(keys::DURATION_MS, &duration_ms)]);
                self.inst.loaded_from_disk();
                Ok(())
            }
            Err(LoadError::Stopped) => Err(NoStart::Stopped),
            Err(error) => {
                let why = error.to_string();
                self.inst.log.log(crate::observe::log::Level::Warning, &why, &[]);
                self.inst.log.warning("Terminating server after rdb file reading failure.", &[]);
                Err(NoStart::Failed(why))
            }
        }
    }
}

struct Sink<'a> {
    server: &'a mut Server,
    /// Keys so far, for `key-load-delay`.
    keys: u64,
}

impl Sink<'_> {
    /// `key-load-delay`: a load made slow on purpose, for tests of what happens during one. Read anew for each key.
    fn delay(&mut self) {
        self.keys += 1;
        let micros = match self.server.inst.config.persistence.key_load_delay {
            0 => return,
            every if every < 0 => u64::from(self.keys.is_multiple_of(u64::from(every.unsigned_abs()))),
            micros => u64::from(micros.unsigned_abs()),
        };
        std::thread::sleep(Duration::from_micros(micros));
    }
}

impl LoadSink for Sink<'_> {
    fn entry(&mut self, entry: &LoadEntry<'_>, from: &mut RdbReader<'_>) -> Result<Stored, RdbError> {
        self.delay();
        let inst = &mut self.server.inst;
        persist::load_entry(&mut inst.keyspace, entry, from, Vetting::Trusted, inst.now_ms)
    }

    fn note(&mut self, note: LoadNote) {
        self.server.inst.log.log(crate::observe::log::Level::Notice, &note.to_string(), &[]);
    }

    fn work(&mut self, progress: &LoadProgress) -> ControlFlow<()> {
        self.server.inst.load_progress = *progress;
        match self.server.turn_while_loading() {
            Some(_) => ControlFlow::Break(()),
            None => ControlFlow::Continue(()),
        }
    }
}
