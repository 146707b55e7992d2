//! A full resync: a copy of the primary's data set comes, takes the place of ours, and the stream goes on from there.
//!
//! ```text
//!              +--> to a file (a thread writes it) --> loaded, a step a turn --+
//!   announced -|                                                               |--> the stream
//!              +--> loaded as it arrives, beside the old data or in its place -+
//! ```
//!
//! By way of a file nothing changes here until the copy is complete, and what is there is served. Without one
//! (`repl-diskless-load`) the old data either goes first, or stays until the new one is complete, which takes memory for
//! both. If it is of the same history it is served meanwhile.

use std::path::Path;

use super::upstream::Upstream;
use crate::config::choice::DisklessLoad;
use crate::db::{FlushMode, Keyspace};
use crate::exec::ctx::Host;
use crate::exec::instance::{Alert, Instance};
use crate::exec::load::FileSink;
use crate::exec::persistence::Lineage;
use crate::exec::script::Libraries;
use crate::observe::keys;
use crate::observe::log::Level;
use crate::persist::{
    Arrival, FileReceiver, IncomingLoad, LoadError, LoadProgress, LoadSettings, Loaded, Loader, Received, Step,
};
use crate::rdb::RdbError;
use crate::replication::{HistoryId, Length};
use crate::types::value::Vetting;

/// So much waits for the disk before no more is taken in.
const WAITING_BYTES_MAX: u64 = 4 << 20;

/// What people look for in the log.
const FAILED: &str = "Failed trying to load the MASTER synchronization DB, check server logs.";

/// What a copy stands for; nothing is known of it where PSYNC is not.
type Of = Option<(HistoryId, u64)>;

/// How far a full resync is.
#[derive(Default)]
pub(super) enum Resync {
    /// There is none.
    #[default]
    None,
    /// The primary makes the copy.
    Announced(Of),
    /// It is being received.
    ToFile(ToFile),
    /// It is being loaded.
    Loads(Box<Load>),
}

pub(super) struct ToFile {
    of: Of,
    receiver: FileReceiver,
    ticket: u64,
    total: Option<u64>,
    received: u64,
    /// All of it came.
    is_whole: bool,
}

/// Where a copy is loaded from.
enum From {
    File(Box<Loader<'static>>, u64),
    Line(Box<IncomingLoad>, Option<u64>),
}

pub(super) struct Load {
    of: Of,
    from: From,
    /// Where it goes, if the old data stays until it is complete.
    beside: Option<Box<(Keyspace, Libraries)>>,
    keys: u64,
    began_ns: u64,
}

impl Resync {
    /// Whether more of what came may be taken.
    pub(super) fn takes_news(&self) -> bool {
        match self {
            Resync::None | Resync::Announced(_) => true,
            // What comes after it follows the copy.
            Resync::ToFile(ToFile { is_whole: true, .. }) => false,
            Resync::ToFile(ToFile { receiver, .. }) => {
                receiver.waiting_bytes() < WAITING_BYTES_MAX || !receiver.ask_for_room()
            }
            Resync::Loads(load) => match &load.from {
                From::File(..) => false,
                From::Line(incoming, _) => !incoming.is_whole() && !incoming.can_go_on(),
            },
        }
    }

    /// Whether the loop must not sleep.
    pub(super) fn has_work(&self) -> bool {
        match self {
            Resync::Loads(load) => match &load.from {
                From::File(..) => true,
                From::Line(incoming, _) => incoming.can_go_on(),
            },
            _ => false,
        }
    }

    /// Whether a copy is being loaded.
    pub(super) fn loads(&self) -> bool {
        matches!(self, Resync::Loads(_))
    }

    /// The length of the copy, where it is known, and how much has come.
    pub(super) fn progress(&self) -> (Option<u64>, u64) {
        match self {
            Resync::None | Resync::Announced(_) => (None, 0),
            Resync::ToFile(file) => (file.total, file.received),
            Resync::Loads(load) => match &load.from {
                From::File(_, bytes) => (Some(*bytes), *bytes),
                From::Line(incoming, total) => (*total, incoming.received()),
            },
        }
    }
}

impl Instance {
    fn upstream(&mut self) -> Option<&mut Upstream> {
        self.replication.upstream.as_deref_mut()
    }

    fn resync(&mut self) -> Resync {
        self.upstream().map(|upstream| std::mem::take(&mut upstream.sync)).unwrap_or_default()
    }

    fn set_resync(&mut self, resync: Resync) {
        if let Some(upstream) = self.upstream() {
            upstream.sync = resync;
        }
    }

    /// The primary will send a copy.
    pub(super) fn await_copy(&mut self, of: Of) {
        if self.fails_over() {
            self.end_failover();
        }
        if let Some((id, offset)) = of {
            self.log.log(Level::Notice, &format!("Full resync from master: {id}:{offset}"), &[]);
        }
        self.set_resync(Resync::Announced(of));
    }

    /// Whether the copy is loaded as it arrives.
    fn loads_from_line(&self) -> bool {
        match self.config.replication.repl_diskless_load {
            DisklessLoad::Disabled => false,
            DisklessLoad::OnEmptyDb => (0..self.keyspace.databases()).all(|at| self.keyspace.size(at) == 0),
            DisklessLoad::Swapdb | DisklessLoad::FlushBeforeLoad => true,
        }
    }

    /// The copy begins.
    pub(super) fn begin_copy(&mut self, length: Length, host: &mut dyn Host) {
        let Resync::Announced(of) = self.resync() else { return };
        let is_direct = self.loads_from_line();
        let to = if is_direct { "parser" } else { "disk" };
        let (text, total) = match length {
            Length::Bytes(bytes) => (format!("receiving {bytes} bytes from master to {to}"), Some(bytes)),
            Length::Marked => (format!("receiving streamed RDB from master with EOF to {to}"), None),
        };
        self.log.log(Level::Notice, &format!("MASTER <-> REPLICA sync: {text}"), &[]);
        self.replication.copies_begun += 1;
        if is_direct {
            let incoming = Box::new(IncomingLoad::new(self.copy_load_settings()));
            return self.load_copy(of, From::Line(incoming, total), host);
        }
        let ticket = self.replication.copies_begun;
        let path = self.rdb_path();
        let temp = format!("temp-{}.{}.rdb", self.now_ms / 1000, host.process().pid());
        let temp = path.with_file_name(temp);
        match FileReceiver::start(self.saver.disk(), temp, path, ticket, host.when_received()) {
            Ok(receiver) => {
                let (received, is_whole) = (0, false);
                self.set_resync(Resync::ToFile(ToFile { of, receiver, ticket, total, received, is_whole }));
            }
            Err(error) => {
                self.log.warning("Can't receive a copy", &[(keys::ERROR, &error.to_string())]);
                self.give_up_copy(host);
            }
        }
    }

    /// A part of it came.
    pub(super) fn add_to_copy(&mut self, bytes: Vec<u8>) {
        match self.upstream() {
            Some(Upstream { sync: Resync::ToFile(file), .. }) => {
                file.received += bytes.len() as u64;
                file.receiver.push(bytes);
            }
            Some(Upstream { sync: Resync::Loads(load), .. }) => {
                if let From::Line(incoming, _) = &mut load.from {
                    incoming.push(bytes);
                }
            }
            _ => {}
        }
    }

    /// All of it came.
    pub(super) fn end_copy(&mut self) {
        if matches!(self.upstream(), Some(Upstream { sync: Resync::ToFile(_), .. })) {
            // It is about to take the place of the file that is being written.
            self.saver.abort();
        }
        match self.upstream() {
            Some(Upstream { sync: Resync::ToFile(file), .. }) => {
                file.is_whole = true;
                file.receiver.finish();
            }
            Some(Upstream { sync: Resync::Loads(load), .. }) => {
                if let From::Line(incoming, _) = &mut load.from {
                    incoming.finish();
                }
            }
            _ => {}
        }
    }

    /// The thread that writes the copy has something to say.
    pub fn copy_is_received(&mut self, received: Received, host: &mut dyn Host) {
        let (ticket, Some(outcome)) = (received.ticket, received.outcome) else { return };
        match self.resync() {
            Resync::ToFile(file) if file.ticket == ticket => match outcome {
                Ok(bytes) => self.load_copy_from_file(file.of, bytes, host),
                Err(error) => {
                    self.log.warning(
                        "Write error or short write writing to the DB dump file needed for MASTER <-> REPLICA \
                         synchronization",
                        &[(keys::ERROR, &error.to_string())],
                    );
                    self.give_up_copy(host);
                }
            },
            resync => self.set_resync(resync),
        }
    }

    fn load_copy_from_file(&mut self, of: Of, bytes: u64, host: &mut dyn Host) {
        let path = self.rdb_path();
        match Loader::open_file(&*self.saver.disk(), &path, &self.copy_load_settings()) {
            Ok(Some(loader)) => self.load_copy(of, From::File(Box::new(loader), bytes), host),
            Ok(None) => self.copy_is_bad("the copy is gone", host),
            Err(error) => self.copy_is_bad(&error.to_string(), host),
        }
    }

    fn copy_load_settings(&self) -> LoadSettings {
        LoadSettings { expired_before_ms: None, ..self.load_settings() }
    }

    /// What is here goes, or stays beside it, and what comes is loaded.
    fn load_copy(&mut self, of: Of, from: From, host: &mut dyn Host) {
        let is_beside =
            self.config.replication.repl_diskless_load == DisklessLoad::Swapdb && matches!(from, From::Line(..));
        // It is what it was, only older.
        let is_served = is_beside && of.is_some_and(|(id, _)| id == self.replication.history.id());
        let beside = is_beside.then(|| Box::new((self.keyspace.beside(), Libraries::default())));
        if !is_served {
            self.drop_replicas();
        }
        self.suspend_aof();
        if !is_beside {
            self.clear_for_copy();
        }
        let text = match is_beside {
            true => "MASTER <-> REPLICA sync: Loading DB in memory, beside the old one",
            false => "MASTER <-> REPLICA sync: Loading DB in memory",
        };
        self.log.notice(text, &[]);
        self.load.started_ms = self.now_ms;
        self.load.lineage = Lineage::default();
        self.load.progress = LoadProgress { total_bytes: self.copy_bytes(&from), ..LoadProgress::default() };
        self.alert.put(if is_served { Alert::ASYNC_LOADING } else { Alert::LOADING }, true);
        self.keyspace.set_propagation(false);
        let began_ns = host.now_ns();
        let mut load = Load { of, from, beside, keys: 0, began_ns };
        self.with_data_of(&mut load, |inst, _| inst.keyspace.begin_load());
        self.set_resync(Resync::Loads(Box::new(load)));
        self.tell_progress(host);
    }

    fn copy_bytes(&self, from: &From) -> u64 {
        match from {
            From::File(_, bytes) => *bytes,
            From::Line(_, total) => total.unwrap_or(0),
        }
    }

    /// Runs `f` with the data that the copy goes into in the place of ours.
    fn with_data_of<R>(&mut self, load: &mut Load, f: impl FnOnce(&mut Instance, &mut Load) -> R) -> R {
        let mut beside = load.beside.take();
        if let Some(beside) = &mut beside {
            std::mem::swap(&mut self.keyspace, &mut beside.0);
            std::mem::swap(&mut self.scripts.libraries, &mut beside.1);
        }
        let result = f(self, load);
        if let Some(beside) = &mut beside {
            std::mem::swap(&mut self.keyspace, &mut beside.0);
            std::mem::swap(&mut self.scripts.libraries, &mut beside.1);
        }
        load.beside = beside;
        result
    }

    /// What is here goes.
    fn clear_for_copy(&mut self) {
        self.log.notice("MASTER <-> REPLICA sync: Flushing old data", &[]);
        // Until now another primary, or the same one, could have gone on from what is here.
        if let Some(upstream) = self.upstream() {
            upstream.has_history = false;
        }
        let mode = if self.config.replication.replica_lazy_flush { FlushMode::Async } else { FlushMode::Sync };
        self.keyspace.set_propagation(false);
        self.keyspace.flush_all(mode, self.now_ms);
        self.flush_functions();
        self.end_unit();
    }

    /// Goes on loading.
    pub(super) fn continue_copy(&mut self, host: &mut dyn Host) {
        if !self.upstream().is_some_and(|upstream| upstream.sync.has_work()) {
            return;
        }
        let Resync::Loads(mut load) = self.resync() else { return };
        let step = self.with_data_of(&mut load, |inst, load| inst.load_step_of_copy(load, host));
        self.load.progress.bytes = match &load.from {
            From::File(loader, _) => loader.progress().bytes,
            From::Line(incoming, _) => incoming.progress().bytes,
        };
        match step {
            Ok(Arrival::More | Arrival::Waits) => self.set_resync(Resync::Loads(load)),
            Ok(Arrival::Done(loaded)) => self.copy_is_loaded(*load, &loaded, host),
            Err(fault) => {
                let from_line = matches!(load.from, From::Line(..));
                let text = match from_line {
                    true => fault.to_string(),
                    false => LoadError::file(&self.rdb_path(), fault).to_string(),
                };
                self.undo_load(*load);
                self.copy_is_bad(&text, host);
                self.resume_aof(host);
            }
        }
    }

    fn load_step_of_copy(&mut self, load: &mut Load, host: &dyn Host) -> Result<Arrival, RdbError> {
        let mut sink =
            FileSink { inst: self, host, replaces: false, keys: load.keys, is_part: false, vetting: Vetting::Hostile };
        let step = match &mut load.from {
            From::File(loader, _) => loader.step(&mut sink).map(|step| match step {
                Step::More => Arrival::More,
                Step::Done(loaded) => Arrival::Done(loaded),
            }),
            From::Line(incoming, _) => incoming.step(&mut sink),
        };
        load.keys = sink.keys;
        step
    }

    /// Half a copy is nobody's data.
    fn undo_load(&mut self, mut load: Load) {
        self.with_data_of(&mut load, |inst, _| inst.keyspace.end_load());
        self.end_alerts_of_load();
        match load.beside {
            Some(beside) => {
                let (keyspace, libraries) = *beside;
                self.retire(keyspace);
                self.forget_libraries(libraries);
            }
            None => {
                self.keyspace.flush_all(FlushMode::Async, self.now_ms);
                self.flush_functions();
            }
        }
        self.follow_role();
    }

    fn end_alerts_of_load(&mut self) {
        self.alert.put(Alert::LOADING, false);
        self.alert.put(Alert::ASYNC_LOADING, false);
    }

    /// Data that nobody can reach any more is freed, and kept until no snapshot reads it.
    fn retire(&mut self, mut keyspace: Keyspace) {
        self.keyspace.free_data_of(&mut keyspace, self.now_ms);
        self.replication.retired.push(keyspace);
    }

    /// Now and then: frees what snapshots have kept of retired data.
    pub fn reap_retired(&mut self) {
        let Instance { keyspace, replication, now_ms, .. } = self;
        replication.retired.retain_mut(|retired| {
            keyspace.free_data_of(retired, *now_ms);
            !retired.is_bare()
        });
    }

    /// The data set is the primary's now.
    fn copy_is_loaded(&mut self, mut load: Load, loaded: &Loaded, host: &mut dyn Host) {
        self.with_data_of(&mut load, |inst, _| inst.keyspace.end_load());
        self.end_alerts_of_load();
        self.load.counts = loaded.counts;
        let duration_ms = host.now_ns().saturating_sub(load.began_ns) / 1_000_000;
        self.log.log(Level::Notice, &loaded.to_string(), &[(keys::DURATION_MS, &duration_ms)]);
        if let Some(beside) = load.beside {
            let (mut keyspace, libraries) = *beside;
            self.log.notice("MASTER <-> REPLICA sync: Swapping active DB with loaded DB", &[]);
            self.keyspace.exchange_data(&mut keyspace, self.now_ms);
            let libraries = std::mem::replace(&mut self.scripts.libraries, libraries);
            self.log.notice("MASTER <-> REPLICA sync: Discarding old DB in background", &[]);
            self.retire(keyspace);
            self.forget_libraries(libraries);
            self.end_unit();
        }
        self.drop_replicas();
        // Without PSYNC nothing is known but that it begins here.
        let (id, offset) = match load.of {
            Some(known) => known,
            None => (self.new_history_id(), 0),
        };
        self.replication.history.replace(id);
        self.replication.feed.replace(offset);
        let stream_db = self.load.lineage.stream_db;
        if let Some(upstream) = self.upstream() {
            upstream.has_history = load.of.is_some();
            upstream.received = 0;
            if let Some(session) = &mut upstream.session {
                session.db = stream_db;
            }
        }
        self.replication.own_keys.clear();
        self.loaded_from_disk();
        if matches!(load.from, From::File(..)) {
            self.remove_sync_file();
        }
        self.log.notice("MASTER <-> REPLICA sync: Finished with success", &[]);
        self.stream_begins();
        self.resume_aof(host);
        self.answer_primary(host);
    }

    /// `rdb-del-sync-files`: where nothing else is kept on the disk, this is not, either.
    fn remove_sync_file(&self) {
        let persistence = &self.config.persistence;
        if persistence.rdb_del_sync_files && persistence.save.is_empty() && !persistence.appendonly {
            self.log.notice("Removing the RDB file obtained from the master, since persistence is disabled", &[]);
            let path = self.rdb_path();
            if let Err(error) = self.saver.disk().remove(Path::new(&path)) {
                self.log.warning("Can't remove the copy", &[(keys::ERROR, &error.to_string())]);
            }
        }
    }

    fn copy_is_bad(&mut self, why: &str, host: &mut dyn Host) {
        self.log.warning(FAILED, &[(keys::ERROR, &why)]);
        self.give_up_copy(host);
    }

    /// The copy cannot be had: another one is asked for.
    fn give_up_copy(&mut self, host: &mut dyn Host) {
        self.set_resync(Resync::None);
        let Some(upstream) = self.upstream() else { return };
        upstream.line.borrow_mut().hang_up();
        let link = upstream.link;
        host.wake_link(link);
        self.follow_role();
    }

    /// The line is down: a copy that is not all here never will be. One that is here is loaded all the same.
    pub(super) fn copy_is_lost(&mut self, host: &mut dyn Host) {
        match self.resync() {
            Resync::None | Resync::Announced(_) | Resync::ToFile(_) => {}
            Resync::Loads(load) => match &load.from {
                From::Line(incoming, _) if !incoming.is_whole() => {
                    let why = incoming.cut_short().to_string();
                    self.undo_load(*load);
                    self.log.warning(FAILED, &[(keys::ERROR, &why)]);
                    self.resume_aof(host);
                }
                _ => self.set_resync(Resync::Loads(load)),
            },
        }
    }

    /// Nobody wants the copy any more.
    pub(super) fn abandon_copy(&mut self, resync: Resync) {
        if let Resync::Loads(load) = resync {
            self.undo_load(*load);
        }
    }
}
