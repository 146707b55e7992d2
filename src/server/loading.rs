//! The data set is read at the start, a step a turn, with the server answering meanwhile: `-LOADING` to most, the truth
//! to INFO.

use super::Server;
use super::facts::{self, Milestone};
use crate::config::Config;
use crate::exec::instance::{Alert, Instance};
use crate::exec::load::FileSink;
use crate::observe::keys;
use crate::observe::log::Level;
use crate::persist::{LoadError, Loaded, Loader, Step};
use crate::sys::disk::RealDisk;

/// A load that is not done yet.
pub(super) struct Loading {
    loader: Loader<'static>,
    began_ns: u64,
    /// Keys so far, for `key-load-delay`.
    keys: u64,
}

impl Server {
    /// Begins to read the file of `dir` and `dbfilename`, if there is one; without one the server is ready at once.
    /// `Err` when it is there and cannot be used: the server must not start, for it would overwrite it at the next save.
    pub(super) fn begin_load(&mut self, inst: &mut Instance) -> Result<(), String> {
        facts::notify(&inst.config, &inst.log, Milestone::Loading);
        let path = inst.rdb_path();
        if matches!(path.try_exists(), Ok(false)) {
            self.say_ready(inst);
            return Ok(());
        }
        inst.alert.put(Alert::LOADING, true);
        inst.load.started_ms = inst.now_ms;
        inst.log.notice("Loading DB in memory...", &[(keys::PATH, &path.display().to_string())]);
        let began_ns = self.now_ns();
        match Loader::open_file(&RealDisk, &path, &inst.load_settings()) {
            Ok(Some(loader)) => {
                inst.keyspace.begin_load();
                self.loading = Some(Loading { loader, began_ns, keys: 0 });
            }
            // It went away between the two looks.
            Ok(None) => self.end_load(inst, None),
            Err(error) => return Err(cannot_load(inst, &error)),
        }
        Ok(())
    }

    /// Reads on. `Some(code)` when the file cannot be used: the process ends with that exit code.
    pub(super) fn load_step(&mut self, inst: &mut Instance) -> Option<i32> {
        let mut loading = self.loading.take()?;
        let mut sink = FileSink { inst, host: self, replaces: false, keys: loading.keys };
        let step = loading.loader.step(&mut sink);
        loading.keys = sink.keys;
        inst.load.progress = *loading.loader.progress();
        match step {
            Ok(Step::More) => self.loading = Some(loading),
            Ok(Step::Done(loaded)) => self.end_load(inst, Some((loaded, loading.began_ns))),
            Err(fault) => {
                let why = cannot_load(inst, &LoadError::file(&inst.rdb_path(), fault));
                inst.log.log(Level::Warning, &why, &[]);
                inst.log.warning("Fatal error, can't start.", &[]);
                return Some(1);
            }
        }
        None
    }

    fn end_load(&mut self, inst: &mut Instance, loaded: Option<(Loaded, u64)>) {
        inst.keyspace.end_load();
        inst.alert.put(Alert::LOADING, false);
        if let Some((loaded, began_ns)) = loaded {
            inst.load.counts = loaded.counts;
            let duration_ms = (self.now_ns() - began_ns) / 1_000_000;
            inst.log.log(Level::Notice, &loaded.to_string(), &[]);
            inst.log.notice("DB loaded from disk", &[(keys::DURATION_MS, &duration_ms)]);
            inst.loaded_from_disk();
        }
        self.say_ready(inst);
    }

    /// Clients may come: tools wait for these lines, and service managers for the notification.
    fn say_ready(&self, inst: &Instance) {
        inst.metrics.ready.set(1);
        for kind in listening_kinds(&inst.config) {
            inst.log.notice(kind, &[]);
        }
        facts::notify(&inst.config, &inst.log, Milestone::Ready);
    }
}

/// One line for each kind of socket we listen on.
fn listening_kinds(config: &Config) -> impl Iterator<Item = &'static str> {
    let tcp = (config.server.port != 0).then_some("Ready to accept connections tcp");
    let unix = (!config.server.unixsocket.is_empty()).then_some("Ready to accept connections unix");
    tcp.into_iter().chain(unix)
}

/// Says in the log that the file cannot be used; returns why.
fn cannot_load(inst: &Instance, error: &LoadError) -> String {
    let why = error.to_string();
    inst.log.log(Level::Warning, &why, &[]);
    inst.log.warning("Terminating server after rdb file reading failure.", &[]);
    why
}
