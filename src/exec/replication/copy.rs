//! A full resync: a copy of the primary's data set comes, takes the place of ours, and the stream goes on from there.
//!
//! ```text
//!   announced --> to a file (a thread writes it) --> loaded, a step a turn --> the stream
//! ```
//!
//! Until the copy is complete nothing has changed here, and what is there is served.

use std::path::Path;

use super::upstream::Upstream;
use crate::db::FlushMode;
use crate::exec::ctx::Host;
use crate::exec::instance::{Alert, Instance};
use crate::exec::load::FileSink;
use crate::observe::keys;
use crate::observe::log::Level;
use crate::persist::{FileReceiver, LoadEntry, LoadError, LoadNote, LoadSink, Loaded, Loader, Received, Step, Stored};
use crate::rdb::{RdbError, RdbReader};
use crate::replication::{HistoryId, Length, Stage};
use crate::types::value::Vetting;

/// So much waits for the disk before no more is taken in.
const WAITING_BYTES_MAX: u64 = 4 << 20;

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
    FromFile(Box<FromFile>),
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

pub(super) struct FromFile {
    of: Of,
    loader: Loader<'static>,
    keys: u64,
    bytes: u64,
    began_ns: u64,
    /// The database that the stream goes on with.
    stream_db: u32,
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
            Resync::FromFile(_) => false,
        }
    }

    /// Whether the loop must not sleep.
    pub(super) fn has_work(&self) -> bool {
        matches!(self, Resync::FromFile(_))
    }

    /// Whether the data set is being replaced.
    pub(super) fn loads(&self) -> bool {
        matches!(self, Resync::FromFile(_))
    }

    /// The length of the copy, where it is known, and how much has come.
    pub(super) fn progress(&self) -> (Option<u64>, u64) {
        match self {
            Resync::None | Resync::Announced(_) => (None, 0),
            Resync::ToFile(file) => (file.total, file.received),
            Resync::FromFile(file) => (Some(file.bytes), file.bytes),
        }
    }
}

/// Takes the keys of a copy.
struct CopySink<'a> {
    file: FileSink<'a>,
    stream_db: &'a mut u32,
}

impl LoadSink for CopySink<'_> {
    fn entry(&mut self, entry: &LoadEntry<'_>, from: &mut RdbReader<'_>) -> Result<Stored, RdbError> {
        self.file.entry(entry, from)
    }

    fn soon(&mut self, db: u32, key: &[u8]) {
        self.file.soon(db, key);
    }

    fn resize(&mut self, db: u32, keys: u64, expiring: u64) {
        self.file.resize(db, keys, expiring);
    }

    fn aux(&mut self, name: &[u8], value: &[u8]) -> bool {
        let number = || std::str::from_utf8(value).ok()?.parse().ok();
        if name == b"repl-stream-db"
            && let Some(db) = number()
        {
            *self.stream_db = db;
        }
        false
    }

    fn note(&mut self, note: LoadNote) {
        self.file.note(note);
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
        if let Some((id, offset)) = of {
            self.log.log(Level::Notice, &format!("Full resync from master: {id}:{offset}"), &[]);
        }
        if let Some(upstream) = self.upstream() {
            upstream.has_history = false;
            upstream.sync = Resync::Announced(of);
        }
    }

    /// The copy begins.
    pub(super) fn begin_copy(&mut self, length: Length, host: &mut dyn Host) {
        let Resync::Announced(of) = self.resync() else { return };
        let total = match length {
            Length::Bytes(bytes) => {
                let text = format!("MASTER <-> REPLICA sync: receiving {bytes} bytes from master to disk");
                self.log.log(Level::Notice, &text, &[]);
                Some(bytes)
            }
            Length::Marked => {
                let text = "MASTER <-> REPLICA sync: receiving streamed RDB from master with EOF to disk";
                self.log.notice(text, &[]);
                None
            }
        };
        self.replication.copies_begun += 1;
        let ticket = self.replication.copies_begun;
        let path = self.rdb_path();
        let temp = format!("temp-{}.{}.rdb", self.now_ms / 1000, host.process().pid());
        let temp = path.with_file_name(temp);
        match FileReceiver::start(self.saver.disk(), temp, path, ticket, host.when_received()) {
            Ok(receiver) => {
                self.set_resync(Resync::ToFile(ToFile { of, receiver, ticket, total, received: 0, is_whole: false }))
            }
            Err(error) => {
                self.log.warning("Can't receive a copy", &[(keys::ERROR, &error.to_string())]);
                self.give_up_copy(host);
            }
        }
    }

    /// A part of it came.
    pub(super) fn add_to_copy(&mut self, bytes: Vec<u8>) {
        if let Some(Upstream { sync: Resync::ToFile(file), .. }) = self.upstream() {
            file.received += bytes.len() as u64;
            file.receiver.push(bytes);
        }
    }

    /// All of it came.
    pub(super) fn end_copy(&mut self) {
        if !matches!(self.upstream(), Some(Upstream { sync: Resync::ToFile(_), .. })) {
            return;
        }
        // It is about to take the place of the file that is being written.
        self.saver.abort();
        if let Some(Upstream { sync: Resync::ToFile(file), .. }) = self.upstream() {
            file.is_whole = true;
            file.receiver.finish();
        }
    }

    /// The thread that writes the copy has something to say.
    pub fn copy_is_received(&mut self, received: Received, host: &mut dyn Host) {
        let (ticket, Some(outcome)) = (received.ticket, received.outcome) else { return };
        match self.resync() {
            Resync::ToFile(file) if file.ticket == ticket => match outcome {
                Ok(bytes) => self.load_copy(file.of, bytes, host),
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

    /// What is here goes, and what came is loaded.
    fn load_copy(&mut self, of: Of, bytes: u64, host: &mut dyn Host) {
        let path = self.rdb_path();
        let mut settings = self.load_settings();
        settings.expired_before_ms = None;
        let loader = match Loader::open_file(&*self.saver.disk(), &path, &settings) {
            Ok(Some(loader)) => loader,
            Ok(None) => return self.copy_is_bad("the copy is gone", host),
            Err(error) => return self.copy_is_bad(&error.to_string(), host),
        };
        self.clear_for_copy(host);
        self.log.notice("MASTER <-> REPLICA sync: Loading DB in memory", &[(keys::BYTES, &bytes)]);
        self.load.started_ms = self.now_ms;
        self.load.progress = *loader.progress();
        self.alert.put(Alert::LOADING, true);
        self.keyspace.begin_load();
        let began_ns = host.now_ns();
        self.set_resync(Resync::FromFile(Box::new(FromFile { of, loader, keys: 0, bytes, began_ns, stream_db: 0 })));
    }

    /// What is here goes: the data, and what depends on its history.
    fn clear_for_copy(&mut self, host: &mut dyn Host) {
        self.drop_replicas();
        self.suspend_aof();
        self.log.notice("MASTER <-> REPLICA sync: Flushing old data", &[]);
        let mode = if self.config.replication.replica_lazy_flush { FlushMode::Async } else { FlushMode::Sync };
        self.keyspace.set_propagation(false);
        self.keyspace.flush_all(mode, self.now_ms);
        self.end_unit();
        self.tell_progress(host);
    }

    /// Goes on loading.
    pub(super) fn continue_copy(&mut self, host: &mut dyn Host) {
        if !self.upstream().is_some_and(|upstream| upstream.sync.has_work()) {
            return;
        }
        let Resync::FromFile(mut file) = self.resync() else { return };
        let vetting = Vetting::Hostile;
        let sink = FileSink { inst: self, host, replaces: false, keys: file.keys, is_part: false, vetting };
        let mut sink = CopySink { file: sink, stream_db: &mut file.stream_db };
        let step = file.loader.step(&mut sink);
        file.keys = sink.file.keys;
        self.load.progress = *file.loader.progress();
        match step {
            Ok(Step::More) => self.set_resync(Resync::FromFile(file)),
            Ok(Step::Done(loaded)) => self.copy_is_loaded(&file, &loaded, host),
            Err(fault) => {
                let text = LoadError::file(&self.rdb_path(), fault).to_string();
                self.end_load_of_copy();
                self.keyspace.flush_all(FlushMode::Async, self.now_ms);
                self.copy_is_bad(&text, host);
                self.resume_aof(host);
            }
        }
    }

    fn end_load_of_copy(&mut self) {
        self.keyspace.end_load();
        self.alert.put(Alert::LOADING, false);
    }

    /// The data set is the primary's now.
    fn copy_is_loaded(&mut self, file: &FromFile, loaded: &Loaded, host: &mut dyn Host) {
        self.end_load_of_copy();
        self.load.counts = loaded.counts;
        let duration_ms = host.now_ns().saturating_sub(file.began_ns) / 1_000_000;
        self.log.log(Level::Notice, &loaded.to_string(), &[(keys::DURATION_MS, &duration_ms)]);
        // Without PSYNC nothing is known but that it begins here.
        let (id, offset) = match file.of {
            Some(known) => known,
            None => (self.new_history_id(), 0),
        };
        self.replication.history.replace(id);
        self.replication.feed.replace(offset);
        if let Some(upstream) = self.upstream() {
            upstream.has_history = file.of.is_some();
            upstream.received = 0;
            if let Some(session) = &mut upstream.session {
                session.db = file.stream_db;
            }
        }
        self.loaded_from_disk();
        self.remove_sync_file();
        self.log.notice("MASTER <-> REPLICA sync: Finished with success", &[]);
        self.is_up();
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
        self.log.warning(
            "Failed trying to load the MASTER synchronization DB from disk, check server logs.",
            &[(keys::ERROR, &why)],
        );
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
    pub(super) fn copy_is_lost(&mut self, _host: &mut dyn Host) {
        match self.resync() {
            Resync::None | Resync::Announced(_) | Resync::ToFile(_) => {}
            loads @ Resync::FromFile(_) => self.set_resync(loads),
        }
    }

    /// Nobody wants the copy any more.
    pub(super) fn abandon_copy(&mut self, resync: Resync) {
        if resync.loads() {
            // Half a copy is nobody's data.
            self.end_load_of_copy();
            self.keyspace.flush_all(FlushMode::Async, self.now_ms);
        }
    }

    /// Whether the primary's data is being loaded.
    pub fn loads_copy(&self) -> bool {
        self.replication.upstream.as_ref().is_some_and(|upstream| upstream.sync.loads())
    }

    /// Whether a copy is received, or about to be.
    pub fn receives_copy(&self) -> bool {
        let upstream = self.replication.upstream.as_ref();
        upstream.is_some_and(|upstream| upstream.is_syncing() || upstream.stage() == Stage::Transfer)
    }
}
