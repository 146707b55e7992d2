//! The append-only file, as the instance sees it: what it is to keep, when it is rewritten, and what is not durable yet.
//!
//! Units of work are appended to a buffer (`exec/unit.rs`). At the end of each turn it is handed to the thread that
//! writes and syncs ([`AofThread`]); nothing here waits for a disk. A rewrite is a snapshot of one moment, written as the
//! new base by a thread of its own, and an increment that begins at that very moment:
//!
//! ```text
//!                      snapshot, and "begin a new increment"
//!   units:  ... 5 6 7 | 8 9 10 ...                base is written           "install it"
//!   files:  incr.1      incr.2                    temp-rewriteaof...   ->   base.2, incr.2
//! ```
//!
//! While the log cannot be continued on the disk (it was just switched on, or a sync has failed), the new increment is a
//! temporary one, which the base makes a part of the log: [`AofState::AwaitsRewrite`].

mod backup;
pub mod load;
mod rewrite;

use std::path::PathBuf;
use std::time::Duration;

use crate::config::choice::AppendFsync;
use crate::exec::ctx::Host;
use crate::exec::error::CommandError;
use crate::exec::instance::{Alert, Instance};
use crate::observe::keys;
use crate::persist::aof::{AofSettings, AofSizes, AofThread, Job, Names, Position, Report, SyncPolicy, WriterFacts};
use crate::persist::{SaveStatus, Saver};
use crate::stream::AppendBuffer;
pub use backup::{Backup, BackupState};
use rewrite::Rewrite;

/// Whether there is a log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AofState {
    /// There is none.
    #[default]
    Off,
    /// Every write goes into it.
    On,
    /// Every write goes into a temporary increment, until a rewrite has written the base before it.
    AwaitsRewrite,
}

/// A rewrite that the log cannot go on without is tried again after this time, ms.
const NEEDED_RETRY_MS: i64 = 1000;

/// `CONFIG SET appendonly no` waits for so long until the file is closed.
const CLOSE_PATIENCE: Duration = Duration::from_secs(1);

/// See the module's header.
pub struct Aof {
    /// Whether there is a log.
    pub state: AofState,
    /// What is to be handed to the thread.
    pub buffer: AppendBuffer,
    thread: Option<AofThread>,
    /// An emptied buffer that has been a group.
    exchange: Vec<u8>,
    /// Snapshots for bases.
    pub rewriter: Saver,
    rewrite: Option<Rewrite>,
    is_scheduled: bool,
    last_rewrite_ok: bool,
    failures: u32,
    next_automatic_ms: i64,
    next_needed_ms: i64,
    rewrites: u64,
    /// What was synced when somebody last looked.
    seen: Position,
    /// Of the delayed syncs, how many INFO does not count any more.
    delayed_syncs_forgotten: u64,
    write_error: Option<String>,
    sync_error: Option<String>,
    /// The set on the disk could not be read when the log was switched on: that is tried again.
    is_unread: bool,
    /// As the writer was told: groups get lines with checksums.
    annotates: bool,
    /// More waits to be written than `aof-buffer-limit` allows.
    is_full: bool,
    /// Sizes of a log that is not being written to.
    sizes_at_rest: AofSizes,
    /// The backup that is being made, or was.
    pub backup: Backup,
}

/// What INFO says of the log.
pub struct AofStatus {
    /// Whether there is one.
    pub is_on: bool,
    /// A rewrite goes on.
    pub rewrites_now: bool,
    /// One is to begin as soon as it can.
    pub is_scheduled: bool,
    /// The last one went well.
    pub last_rewrite_ok: bool,
    /// Rewrites begun.
    pub rewrites: u64,
    /// How many in a row have failed.
    pub failures: u32,
    /// Writes and syncs go well.
    pub writes_ok: bool,
    /// The snapshot for the base.
    pub snapshot: SaveStatus,
    /// Of the thread that writes.
    pub writer: WriterFacts,
    /// Bytes that are not written yet.
    pub buffer_bytes: u64,
    /// How far the log is on the disk, in the replication stream.
    pub synced_offset: u64,
    /// A backup is being made.
    pub backup_runs: bool,
    /// The last one has not failed.
    pub backup_ok: bool,
    /// When one was last completed, ms since 1970.
    pub backup_sealed_ms: i64,
}

impl Aof {
    /// No log yet. `rewriter` saves its bases.
    pub fn new(rewriter: Saver) -> Aof {
        Aof {
            state: AofState::Off,
            buffer: AppendBuffer::default(),
            thread: None,
            exchange: Vec::new(),
            rewriter,
            rewrite: None,
            is_scheduled: false,
            last_rewrite_ok: true,
            failures: 0,
            next_automatic_ms: 0,
            next_needed_ms: 0,
            rewrites: 0,
            seen: Position::default(),
            delayed_syncs_forgotten: 0,
            write_error: None,
            sync_error: None,
            is_unread: false,
            annotates: false,
            is_full: false,
            sizes_at_rest: AofSizes::default(),
            backup: Backup::default(),
        }
    }

    /// Whether writes go into a log.
    #[inline]
    pub fn is_on(&self) -> bool {
        self.state != AofState::Off
    }

    /// Whether it is one that a start reads, rather than a part of a backup.
    pub fn is_kept(&self) -> bool {
        self.is_on() && !self.backup.owns_log()
    }

    /// Whether it was begun anew, and its first base is not there yet. After a failure there is one.
    fn awaits_first_base(&self) -> bool {
        self.state == AofState::AwaitsRewrite && self.sync_error.is_none()
    }

    /// Whether a rewrite goes on.
    pub fn is_rewriting(&self) -> bool {
        self.rewrite.is_some()
    }

    /// Has a rewrite begin as soon as nothing is in its way.
    pub fn schedule_rewrite(&mut self) {
        self.is_scheduled = true;
    }

    /// What is on the disk, and would be loaded.
    pub fn synced(&self) -> Position {
        self.thread.as_ref().map_or(Position::default(), AofThread::synced)
    }

    /// Memory of what is not written yet: evicting keys would only make it more.
    #[inline]
    pub fn waiting_memory(&self) -> u64 {
        let here = (self.buffer.memory() + self.exchange.capacity()) as u64;
        here + self.thread.as_ref().map_or(0, AofThread::waiting_bytes)
    }

    /// Whether anything was synced since this was last asked.
    pub fn has_synced(&mut self) -> bool {
        let now = self.synced();
        std::mem::replace(&mut self.seen, now) != now
    }

    /// CONFIG RESETSTAT.
    pub fn reset_counts(&mut self) {
        self.rewrites = 0;
        self.delayed_syncs_forgotten = self.thread.as_ref().map_or(0, |thread| thread.facts().delayed_syncs);
    }

    /// Has every write come so much later: for tests of what happens meanwhile.
    pub fn delay_writes(&self, time: Duration) {
        if let Some(thread) = &self.thread {
            thread.delay_writes(time);
        }
    }

    /// Why writes are refused, in the words that follow `MISCONF`.
    fn fault(&self) -> Option<&str> {
        if !self.is_kept() {
            return None;
        }
        let fault = self.write_error.as_deref().or(self.sync_error.as_deref());
        fault.or_else(|| self.is_full.then_some("the disk does not keep up, aof-buffer-limit is reached"))
    }
}

impl Instance {
    /// Why a write is refused while the log cannot take it.
    pub fn aof_refusal(&self) -> CommandError {
        let why = self.aof.fault().unwrap_or("unknown error");
        CommandError::text(format!("MISCONF Errors writing to the AOF file: {why}"))
    }

    /// Why a script that may write is refused meanwhile.
    pub fn aof_refusal_of_scripts(&self) -> CommandError {
        let why = self.aof.fault().unwrap_or("unknown error");
        CommandError::text(format!(
            "MISCONF Redis is configured to persist data to AOF, but it's currently unable to persist to disk. Writable \
             scripts are blocked. Use 'no-writes' flag for read only scripts. AOF error: {why}"
        ))
    }

    /// How the log is kept.
    pub fn aof_settings(&self) -> AofSettings {
        let persistence = &self.config.persistence;
        AofSettings {
            dir: PathBuf::from(persistence.appenddirname.as_path()),
            names: Names::new(persistence.appendfilename.as_bytes()),
            annotations: persistence.aof_annotations,
            keeps_history: persistence.aof_disable_auto_gc,
        }
    }

    /// The end of a turn: what was written goes to the thread that writes it.
    #[inline]
    pub fn hand_over_to_aof(&mut self) {
        if !self.aof.buffer.is_empty() {
            self.hand_over();
        }
    }

    #[inline(never)]
    fn hand_over(&mut self) {
        let is_awaited = self.config.persistence.appendfsync == AppendFsync::Always;
        let position = Position { end: self.aof.buffer.end(), replication: self.replication.feed.end() };
        let Aof { buffer, thread, exchange, is_full, .. } = &mut self.aof;
        let Some(thread) = thread else { return buffer.clear() };
        buffer.swap(exchange);
        thread.write(exchange, position, is_awaited);
        exchange.clear();
        let limit = self.config.persistence.aof_buffer_limit;
        let waiting = thread.waiting_bytes();
        if limit > 0 && waiting > limit && !*is_full {
            if self.aof.backup.owns_log() {
                return self.fail_backup("the disk does not keep up, aof-buffer-limit is reached");
            }
            self.aof.is_full = true;
            self.log.warning(
                "The append-only file does not keep up with the writes: they are refused until it does",
                &[(keys::BYTES, &waiting)],
            );
            self.check_aof();
        }
    }

    /// The position up to which the log must be on the disk before what was answered so far may be sent. None: it may be
    /// sent.
    #[inline]
    pub fn aof_barrier(&self) -> Option<u64> {
        if self.aof.state == AofState::Off { None } else { self.barrier() }
    }

    fn barrier(&self) -> Option<u64> {
        // The writes of the first moments are not safe before the base is there; who switches it on knows.
        let awaits_first = self.aof.awaits_first_base();
        let is_always = self.config.persistence.appendfsync == AppendFsync::Always;
        let holds = is_always && !awaits_first && self.aof.is_kept();
        let end = self.aof.buffer.end();
        (holds && !self.syncs_are_held_back() && end > self.aof.synced().end).then_some(end)
    }

    /// Up to here, in the replication stream, the log is on the disk. Nothing is before there is a base.
    pub fn aof_synced_offset(&self) -> u64 {
        if !self.aof.is_on() || self.aof.awaits_first_base() {
            return 0;
        }
        let synced = self.aof.synced();
        // What was for replicas alone is in no file: then all of the file is enough.
        if synced.end >= self.aof.buffer.end() { self.replication.feed.end() } else { synced.replication }
    }

    /// Up to here the log is on the disk, or nobody has to wait for that.
    pub fn aof_safe_end(&self) -> u64 {
        // Who waits when the log is switched off waits for nothing any more.
        if self.aof_barrier().is_none() { u64::MAX } else { self.aof.synced().end }
    }

    /// `no-appendfsync-on-rewrite`, while a snapshot is written.
    fn syncs_are_held_back(&self) -> bool {
        self.config.persistence.no_appendfsync_on_rewrite && (self.saver.is_running() || self.aof.rewriter.is_running())
    }

    /// The alert that makes writes fail with MISCONF.
    fn check_aof(&mut self) {
        let failing = self.aof.fault().is_some();
        self.alert.put(Alert::AOF_ERROR, failing);
    }

    /// Has writes noted while there is somebody to read them.
    pub(super) fn follow_propagation(&mut self) {
        let replicas = self.replication.feed.is_active() && !self.is_replica();
        let on = self.aof.is_on() || replicas;
        self.keyspace.set_propagation(on);
    }

    /// Takes over what configuration says of the log.
    pub(super) fn aof_config_changed(&mut self) {
        let owns = self.aof.backup.owns_log();
        let policy = match self.config.persistence.appendfsync {
            AppendFsync::Always if owns => SyncPolicy::EverySecond, // nobody waits for it
            AppendFsync::Always => SyncPolicy::Always,
            AppendFsync::Everysec => SyncPolicy::EverySecond,
            AppendFsync::No => SyncPolicy::Never,
        };
        let is_held_back = self.syncs_are_held_back();
        // A backup's own log has its checksums, whatever is left out elsewhere.
        let annotations = self.config.persistence.aof_annotations || owns;
        if annotations != self.aof.annotates {
            self.aof.annotates = annotations;
            // What has no lines is known by its beginning from a group that was cut off before its line.
            self.hand_over_to_aof();
            self.aof.buffer.begin_file();
        }
        if let Some(thread) = &self.aof.thread {
            thread.set_policy(policy, is_held_back);
            let keeps_history = self.config.persistence.aof_disable_auto_gc;
            thread.ask(Job::Configure { annotations, keeps_history });
        }
        self.follow_syncs();
    }

    /// Has syncs reported while somebody waits for them.
    pub(super) fn follow_syncs(&self) {
        let is_always = self.config.persistence.appendfsync == AppendFsync::Always;
        if let Some(thread) = &self.aof.thread {
            thread.tell_syncs(is_always || !self.copies_awaited.is_empty());
        }
    }

    /// The thread, which is started if there is none.
    fn aof_thread(&mut self, host: &dyn Host) -> std::io::Result<&AofThread> {
        if self.aof.thread.is_none() {
            self.aof.thread = Some(host.start_aof_thread()?);
            self.aof_config_changed();
        }
        Ok(self.aof.thread.as_ref().expect("it was just started"))
    }

    /// The log goes on in the files of this directory, which was loaded or made.
    pub fn continue_aof(
        &mut self,
        directory: crate::persist::aof::AofDirectory,
        host: &dyn Host,
    ) -> std::io::Result<()> {
        self.aof_thread(host)?.ask(Job::Adopt(Box::new(directory)));
        self.aof.state = AofState::On;
        self.aof.buffer.begin_file();
        self.follow_propagation();
        Ok(())
    }

    /// CONFIG SET appendonly.
    pub fn switch_aof(&mut self, host: &mut dyn Host) -> Result<(), String> {
        if self.alert.has(Alert::LOADING) {
            return Ok(());
        }
        if self.config.persistence.appendonly && self.aof.backup.owns_log() {
            self.fail_backup("appendonly is started");
        }
        match (self.config.persistence.appendonly, self.aof.is_kept()) {
            (true, false) => self.begin_aof(host),
            (false, true) => {
                self.end_aof();
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn begin_aof(&mut self, host: &mut dyn Host) -> Result<(), String> {
        let (disk, settings) = (self.saver.disk(), Box::new(self.aof_settings()));
        let failed = |inst: &Instance, error: &dyn std::fmt::Display| {
            inst.log.warning("Can't turn on the append-only file", &[(keys::ERROR, &error.to_string())]);
            "Unable to turn on AOF. Check server logs.".to_owned()
        };
        match self.aof_thread(host) {
            Ok(thread) => thread.ask(Job::Open(disk, settings)),
            Err(error) => return Err(failed(self, &error)),
        }
        self.aof.state = AofState::AwaitsRewrite;
        (self.aof.write_error, self.aof.sync_error, self.aof.is_unread) = (None, None, false);
        self.follow_propagation();
        if self.has_other_snapshot() || self.runs_transaction {
            self.aof.is_scheduled = true;
            self.log.notice(
                "AOF was enabled but there is already another background operation. An AOF background was scheduled \
                 to start when possible.",
                &[],
            );
            return Ok(());
        }
        if self.aof.is_rewriting() {
            self.log.notice(
                "AOF was enabled but there is already an AOF rewriting in background. Stopping background AOF and \
                 starting a rewrite now.",
                &[],
            );
            self.stop_rewrite();
        }
        self.start_rewrite(host).map_err(|error| {
            self.end_aof();
            failed(self, &error)
        })
    }

    /// The data set is about to be replaced: what is in the log is of the old one.
    pub(in crate::exec) fn suspend_aof(&mut self) {
        if self.aof.backup.needs_log() {
            self.fail_backup("the data set is replaced");
        }
        if self.aof.is_on() {
            self.end_aof();
        }
    }

    /// It was replaced: a log that is wanted begins anew.
    pub(in crate::exec) fn resume_aof(&mut self, host: &mut dyn Host) {
        if self.config.persistence.appendonly && !self.aof.is_on() {
            // A failure is logged where it happens.
            let _ = self.begin_aof(host);
        }
    }

    fn end_aof(&mut self) {
        if self.aof.backup.needs_log() {
            self.fail_backup("appendonly is stopped");
        }
        self.hand_over_to_aof();
        self.stop_rewrite();
        if let Some(thread) = &self.aof.thread {
            self.aof.sizes_at_rest = thread.facts().sizes;
            thread.ask(Job::Close(Some(self.replication.feed.end())));
            // Whoever asked for it looks into the directory next; but nobody waits for a disk that stalls.
            thread.wait_until_done(CLOSE_PATIENCE);
        }
        self.aof.state = AofState::Off;
        self.aof.is_scheduled = false;
        (self.aof.write_error, self.aof.sync_error, self.aof.is_full) = (None, None, false);
        self.check_aof();
        self.follow_propagation();
        self.log.notice("The append-only file is switched off", &[]);
    }

    /// The thread that writes the log has something to say.
    pub fn aof_reports(&mut self, report: Report, host: &mut dyn Host) {
        match report {
            Report::Synced => self.serve_copies(host),
            Report::Pinned(_) | Report::Sealed(_) | Report::Discarded(_) => self.backup_reports(report),
            Report::WriteFailed(error) | Report::SyncFailed(error) | Report::Opened(error)
                if self.aof.backup.owns_log() =>
            {
                self.fail_backup(&reason(&error));
            }
            Report::Opened(error) => {
                self.log.warning("Can't read the append-only file's manifest", &[(keys::ERROR, &error.to_string())]);
                if self.aof.is_on() {
                    (self.aof.is_unread, self.aof.sync_error) = (true, Some(reason(&error)));
                }
            }
            // The log it was about is closed.
            Report::WriteFailed(_) | Report::SyncFailed(_) if !self.aof.is_on() => {}
            Report::WriteFailed(error) => {
                self.log.warning("Error writing to the AOF file", &[(keys::ERROR, &error.to_string())]);
                self.aof.write_error = Some(reason(&error));
            }
            Report::WriteRecovered => {
                if self.aof.write_error.take().is_some() {
                    self.log.warning("AOF write error looks solved. The server can write again.", &[]);
                }
            }
            Report::SyncFailed(error) => {
                self.log.warning(
                    "Syncing the AOF file has failed: what was written since the last sync may be lost on the disk; \
                     a new base is written from memory",
                    &[(keys::ERROR, &error.to_string())],
                );
                self.aof.sync_error = Some(reason(&error));
                if self.aof.is_on() {
                    if self.aof.backup.needs_log() {
                        self.fail_backup("a sync of the append-only file has failed");
                    }
                    self.stop_rewrite();
                    self.aof.state = AofState::AwaitsRewrite;
                    (self.aof.is_scheduled, self.aof.next_needed_ms) = (true, self.now_ms);
                }
            }
            Report::Switched(ticket, _) | Report::Installed(ticket, _) if !self.rewrites_for(ticket) => {}
            Report::Switched(_, Ok(())) => {
                self.increment_is_begun();
            }
            Report::Switched(_, Err(error)) => {
                let why = format!("can't begin a new increment: {error}");
                self.rewrite_failed(&why);
            }
            Report::Installed(_, installed) => {
                self.installed(installed);
                self.serve_copies(host);
            }
            Report::Closed(closed) => {
                if let Err(error) = closed {
                    self.log.warning("Closing the append-only file has failed", &[(keys::ERROR, &error.to_string())]);
                }
                self.serve_copies(host);
            }
        }
        self.check_aof();
    }

    /// Several times a second: begins the rewrites that are due, looks whether the disk keeps up.
    pub fn aof_cron(&mut self, host: &mut dyn Host) {
        if let Some(thread) = &self.aof.thread {
            let (write_ns, sync_ns) = thread.take_longest_ns();
            let waiting = thread.waiting_bytes();
            self.note_latency("aof-write", write_ns);
            let is_always = self.config.persistence.appendfsync == AppendFsync::Always;
            self.note_latency(if is_always { "aof-fsync-always" } else { "aof-fsync" }, sync_ns);
            // Half of it must be gone, so that writes are not refused and taken every other moment.
            if self.aof.is_full && waiting <= self.config.persistence.aof_buffer_limit / 2 {
                self.aof.is_full = false;
                self.log.notice("The append-only file keeps up with the writes again", &[]);
                self.check_aof();
            }
        }
        if self.alert.has(Alert::LOADING) {
            return;
        }
        self.look_after_backup(host);
        if self.aof.is_rewriting() || self.has_other_snapshot() || self.aof.backup.is_running() {
            return;
        }
        let needed = self.aof.state == AofState::AwaitsRewrite && self.now_ms >= self.aof.next_needed_ms;
        let scheduled = self.aof.is_scheduled && (self.aof.state != AofState::AwaitsRewrite || needed);
        if !scheduled && !needed && !self.has_grown() {
            return;
        }
        if let Err(error) = self.start_rewrite(host) {
            self.log.warning("Can't rewrite append only file in background", &[(keys::ERROR, &error.to_string())]);
            self.aof.next_needed_ms = self.now_ms + NEEDED_RETRY_MS;
            self.aof.next_automatic_ms = self.now_ms + NEEDED_RETRY_MS;
        }
    }

    /// Waits until the log is on the disk: for DEBUG LOADAOF, and for the end.
    pub fn settle_aof(&mut self) -> Result<(), String> {
        self.hand_over_to_aof();
        match &self.aof.thread {
            Some(thread) if self.aof.is_on() => thread.settle().map_err(|error| error.to_string()),
            _ => Ok(()),
        }
    }

    /// The last act: the log is complete, says where it ends, and is closed.
    pub fn close_aof(&mut self) {
        if self.aof.backup.needs_log() {
            self.fail_backup("the server has stopped");
        }
        self.stop_rewrite();
        match self.settle_aof() {
            // What clients are owed may be sent.
            Ok(()) => self.aof.state = AofState::Off,
            Err(error) => self.log.warning("Fail to fsync the AOF file", &[(keys::ERROR, &error)]),
        }
        let end_offset = self.replication.feed.end();
        if let Some(thread) = self.aof.thread.take() {
            thread.ask(Job::Close(Some(end_offset)));
            drop(thread);
        }
    }

    /// What INFO says of the log.
    pub fn aof_status(&self) -> AofStatus {
        let aof = &self.aof;
        let mut writer = aof.thread.as_ref().map_or(WriterFacts::default(), AofThread::facts);
        if aof.is_kept() {
            // Whoever has the answer to a write sees it counted, as if it had been written before the answer was sent.
            writer.sizes.total += writer.waiting_bytes + aof.buffer.len() as u64;
        } else {
            writer.sizes = aof.sizes_at_rest;
        }
        writer.delayed_syncs = writer.delayed_syncs.saturating_sub(aof.delayed_syncs_forgotten);
        AofStatus {
            is_on: aof.is_kept(),
            rewrites_now: aof.is_rewriting(),
            is_scheduled: aof.is_scheduled,
            last_rewrite_ok: aof.last_rewrite_ok,
            rewrites: aof.rewrites,
            failures: aof.failures,
            writes_ok: aof.write_error.is_none() && aof.sync_error.is_none(),
            snapshot: aof.rewriter.status(self.moment(), self.keyspace.heap_stats().cloned_bytes),
            buffer_bytes: writer.waiting_bytes + aof.buffer.memory() as u64,
            writer,
            synced_offset: self.aof_synced_offset(),
            backup_runs: aof.backup.is_running(),
            backup_ok: aof.backup.error().is_empty(),
            backup_sealed_ms: aof.backup.sealed_ms(),
        }
    }
}

/// An error in the words of the system, as Redis shows them.
fn reason(error: &std::io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or(&text).to_owned()
}
