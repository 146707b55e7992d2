//! The data set is read at the start, a step a turn, with the server answering meanwhile: `-LOADING` to most, the truth
//! to INFO.
//!
//! # Which file
//!
//! Without `appendonly` the RDB file, if there is one. With it the append-only file alone. Where that has no files yet
//! and there is an RDB file, Redis begins empty, and people lose data by it: here somebody has to say what is meant
//! (`aof-load-rdb-on-startup`).

use std::path::Path;

use super::Server;
use super::facts::{self, Milestone};
use crate::config::Config;
use crate::config::choice::LoadRdb;
use crate::exec::aof::load::{AofLoad, AofLoadError, AofLoaded};
use crate::exec::instance::{Alert, Instance};
use crate::exec::load::FileSink;
use crate::exec::persistence::Lineage;
use crate::observe::keys;
use crate::observe::log::Level;
use crate::persist::aof::{AofDirectory, AofSettings, ManifestError, OldFile, Tail, read_manifest};
use crate::persist::{LoadError, Loaded, Loader, Step};
use crate::sys::disk::{Disk, RealDisk};
use crate::types::value::Vetting;

/// A load that is not done yet.
pub(super) struct Loading {
    source: Source,
    began_ns: u64,
    /// Where the log goes on afterwards.
    aof: Option<AofDirectory>,
}

enum Source {
    Rdb {
        loader: Box<Loader<'static>>,
        /// Keys so far, for `key-load-delay`.
        keys: u64,
    },
    Aof(Box<AofLoad>),
}

impl Server {
    /// Begins to read what there is; without a file the server is ready at once.
    /// `Err` when it is there and cannot be used: the server must not start, for it would overwrite it at the next save.
    pub(super) fn begin_load(&mut self, inst: &mut Instance) -> Result<(), String> {
        facts::notify(&inst.config, &inst.log, Milestone::Loading);
        if inst.config.persistence.appendonly { self.begin_aof_load(inst) } else { self.begin_rdb_load(inst, None) }
    }

    fn begin_rdb_load(&mut self, inst: &mut Instance, aof: Option<AofDirectory>) -> Result<(), String> {
        let path = inst.rdb_path();
        let began_ns = self.now_ns();
        if matches!(path.try_exists(), Ok(false)) {
            return self.end_load(inst, aof, AofLoaded::default());
        }
        inst.alert.put(Alert::LOADING, true);
        inst.load.started_ms = inst.now_ms;
        inst.log.notice("Loading DB in memory...", &[(keys::PATH, &path.display().to_string())]);
        match Loader::open_file(&RealDisk, &path, &inst.start_load_settings()) {
            Ok(Some(loader)) => {
                inst.keyspace.begin_load();
                self.loading =
                    Some(Loading { source: Source::Rdb { loader: Box::new(loader), keys: 0 }, began_ns, aof });
                Ok(())
            }
            // It went away between the two looks.
            Ok(None) => self.end_load(inst, aof, AofLoaded::default()),
            Err(error) => Err(cannot_load(inst, &error)),
        }
    }

    fn begin_aof_load(&mut self, inst: &mut Instance) -> Result<(), String> {
        let (disk, settings) = (inst.saver.disk(), inst.aof_settings());
        let mut directory = open_directory(inst, &settings)?;
        remove_temporaries(&*disk, &settings, inst);
        self.upgrade(inst, &mut directory)?;
        if directory.manifest().is_empty() {
            return match inst.config.persistence.aof_load_rdb_on_startup {
                LoadRdb::Yes => self.begin_rdb_load(inst, Some(directory)),
                LoadRdb::Ask if has_data(&inst.rdb_path()) => Err(format!(
                    "appendonly is on and there is no append-only file in {}, but {} has data, which would not be read. \
                     Set aof-load-rdb-on-startup to yes to begin with that data, or to no to begin empty.",
                    settings.dir.display(),
                    inst.rdb_path().display()
                )),
                LoadRdb::Ask | LoadRdb::No => self.end_load(inst, Some(directory), AofLoaded::default()),
            };
        }
        let files: Vec<_> = directory.manifest().files().cloned().collect();
        let files = files
            .iter()
            .map(|entry| (settings.dir.join(entry.path()), entry.kind == crate::persist::aof::Kind::Increment));
        let began_ns = self.now_ns();
        match AofLoad::open(disk, files, began_ns).map_err(|error| aof_unusable(inst, &error))? {
            None => self.end_load(inst, Some(directory), AofLoaded::default()),
            Some(load) => {
                inst.begin_aof_load(&load);
                let source = Source::Aof(Box::new(load));
                self.loading = Some(Loading { source, began_ns, aof: Some(directory) });
                Ok(())
            }
        }
    }

    /// A single file as Redis before 7 wrote it becomes the base.
    fn upgrade(&self, inst: &Instance, directory: &mut AofDirectory) -> Result<(), String> {
        let settings = inst.aof_settings();
        let old = Path::new(inst.config.persistence.appendfilename.as_path()).to_owned();
        let moved = settings.dir.join(&old);
        match directory.manifest().old_file(&settings.names, old.is_file(), moved.is_file()) {
            OldFile::Leave => Ok(()),
            OldFile::InTheWay => Err(format!(
                "Can't take over the append-only file {}: there is a file of that name in {} already",
                old.display(),
                settings.dir.display()
            )),
            OldFile::Move(manifest) => {
                let moved = directory.upgrade(manifest, &old);
                moved.map_err(|error| format!("Can't take over the append-only file {}: {error}", old.display()))?;
                inst.log.log(
                    Level::Notice,
                    &format!("Successfully migrated an old-style AOF configuration ({}).", old.display()),
                    &[],
                );
                Ok(())
            }
        }
    }

    /// Reads on. `Some(code)` when the file cannot be used: the process ends with that exit code.
    pub(super) fn load_step(&mut self, inst: &mut Instance) -> Option<i32> {
        let mut loading = self.loading.take()?;
        let ended = match &mut loading.source {
            Source::Rdb { loader, keys } => {
                let mut sink = FileSink {
                    inst,
                    host: self,
                    replaces: false,
                    keys: *keys,
                    is_part: false,
                    vetting: Vetting::Trusted,
                };
                let step = loader.step(&mut sink);
                *keys = sink.keys;
                inst.load.progress = *loader.progress();
                match step {
                    Ok(Step::More) => None,
                    Ok(Step::Done(loaded)) => {
                        self.note_rdb(inst, &loaded, loading.began_ns);
                        Some(Ok(AofLoaded::default()))
                    }
                    Err(fault) => Some(Err(cannot_load(inst, &LoadError::file(&inst.rdb_path(), fault)))),
                }
            }
            Source::Aof(load) => match load.step(inst, self) {
                Ok(None) => None,
                Ok(Some(loaded)) => Some(Ok(loaded)),
                Err(error) => Some(Err(aof_unusable(inst, &error))),
            },
        };
        let ended = match ended {
            None => {
                self.loading = Some(loading);
                return None;
            }
            Some(ended) => ended.and_then(|loaded| self.end_load(inst, loading.aof, loaded)),
        };
        let why = ended.err()?;
        inst.log.log(Level::Warning, &why, &[]);
        inst.log.warning("Fatal error, can't start.", &[]);
        Some(1)
    }

    fn note_rdb(&self, inst: &mut Instance, loaded: &Loaded, began_ns: u64) {
        inst.load.counts = loaded.counts;
        let duration_ms = (self.now_ns() - began_ns) / 1_000_000;
        inst.log.log(Level::Notice, &loaded.to_string(), &[]);
        inst.log.notice("DB loaded from disk", &[(keys::DURATION_MS, &duration_ms)]);
    }

    /// All is there: the log goes on, and clients may come.
    fn end_load(&mut self, inst: &mut Instance, aof: Option<AofDirectory>, loaded: AofLoaded) -> Result<(), String> {
        if inst.alert.has(Alert::LOADING) {
            inst.end_aof_load();
            inst.loaded_from_disk();
        }
        // It may have been switched on or off meanwhile.
        let wanted = inst.config.persistence.appendonly;
        if wanted && aof.is_none() {
            inst.switch_aof(self)?;
        }
        if aof.is_some() {
            // What a log has is not told by the file that it began with.
            inst.load.lineage = Lineage::default();
        }
        if let Some(directory) = aof.filter(|_| wanted) {
            let continued = self.continue_aof(inst, directory, loaded.tail);
            continued.map_err(|error| format!("Can't open the append-only file: {error}"))?;
        }
        inst.start_in_role(self);
        self.say_ready(inst);
        Ok(())
    }

    /// Where there is no log yet, its first base is made of what is in memory.
    fn continue_aof(&self, inst: &mut Instance, mut directory: AofDirectory, tail: Tail) -> std::io::Result<()> {
        let offset = directory.last_offset(tail);
        inst.replication.feed.begin_at(offset);
        if directory.manifest().is_empty() {
            inst.make_first_base(&mut directory, self)?;
        }
        if !directory.reopen(tail)? {
            directory.switch(offset, false)?;
            let name =
                directory.manifest().last_increment().map(|last| String::from_utf8_lossy(&last.name).into_owned());
            let text = format!("Creating AOF incr file {} on server start", name.unwrap_or_default());
            inst.log.log(Level::Notice, &text, &[]);
        }
        inst.continue_aof(directory, self)
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

/// The manifest, with what Redis says when it is wrong.
fn open_directory(inst: &Instance, settings: &AofSettings) -> Result<AofDirectory, String> {
    let disk = inst.saver.disk();
    match read_manifest(&*disk, settings) {
        Ok(manifest) => Ok(AofDirectory::new(disk, settings.clone(), manifest.unwrap_or_default())),
        Err(error) => {
            let fault = error.get_ref().and_then(|inner| inner.downcast_ref::<ManifestError>());
            for line in fault.map(ManifestError::log_lines).unwrap_or_default() {
                inst.log.log(Level::Warning, &line, &[]);
            }
            match fault {
                Some(_) => Err("The append-only file's manifest cannot be used".to_owned()),
                None => Err(format!("Can't read the append-only file's manifest: {error}")),
            }
        }
    }
}

/// What a killed server has left that belongs to no set.
fn remove_temporaries(disk: &dyn Disk, settings: &AofSettings, inst: &Instance) {
    for name in [settings.names.temp_increment(), settings.names.temp_manifest()] {
        let path = settings.dir.join(crate::persist::aof::as_path(&name));
        if disk.exists(&path) && disk.remove(&path).is_ok() {
            let text = format!("Removing the temp incr aof file {}", String::from_utf8_lossy(&name));
            inst.log.log(Level::Notice, &text, &[]);
        }
    }
}

/// Whether a file is there that holds more than an empty data set takes.
fn has_data(path: &Path) -> bool {
    let settings = crate::persist::LoadSettings::default();
    let Ok(Some(mut loader)) = Loader::open_file(&RealDisk, path, &settings) else { return path.exists() };
    loader.has_keys()
}

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

fn aof_unusable(inst: &Instance, error: &AofLoadError) -> String {
    for line in error.lines() {
        inst.log.log(Level::Warning, line, &[]);
    }
    "The append-only file cannot be used".to_owned()
}
