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

use std::path::PathBuf;
use std::time::Duration;

use crate::config::choice::AppendFsync;
use crate::exec::ctx::Host;
use crate::exec::error::CommandError;
use crate::exec::instance::{Alert, Instance};
use crate::observe::keys;
use crate::persist::aof::{AofSettings, AofSizes, AofThread, Job, Names, Position, Report, SyncPolicy, WriterFacts};
use crate::persist::{SaveError, SaveOutcome, SaveSettings, SaveStatus, Saver, StartError};
use crate::stream::AppendBuffer;

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

/// A rewrite under way.
struct Rewrite {
    /// Which one it is: reports of one that was given up are about nothing any more.
    ticket: u64,
    /// Where in the replication stream its base ends.
    start_offset: u64,
    is_rdb: bool,
    /// The file that becomes the base.
    temp: PathBuf,
    /// The new increment was begun; there is none to begin while the log is off.
    has_switched: bool,
    /// The base is written.
    is_saved: bool,
    /// The base is being put in place: too late to give up.
    installs: bool,
}

/// Failed automatic rewrites after which the next one waits.
const FAILURES_MAX: u32 = 3;

/// The longest wait for the next automatic rewrite, minutes.
const RETRY_MINUTES_MAX: u32 = 60;

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
            write_error: None,
            sync_error: None,
            is_unread: false,
            annotates: false,
            is_full: false,
            sizes_at_rest: AofSizes::default(),
        }
    }

    /// Whether writes are kept.
    #[inline]
    pub fn is_on(&self) -> bool {
        self.state != AofState::Off
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

    /// Has every write come so much later: for tests of what happens meanwhile.
    pub fn delay_writes(&self, time: Duration) {
        if let Some(thread) = &self.thread {
            thread.delay_writes(time);
        }
    }

    /// Why writes are refused, in the words that follow `MISCONF`.
    fn fault(&self) -> Option<&str> {
        if !self.is_on() {
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
            *is_full = true;
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
        let awaits_first = self.aof.state == AofState::AwaitsRewrite && self.aof.sync_error.is_none();
        let holds = self.config.persistence.appendfsync == AppendFsync::Always && !awaits_first;
        let end = self.aof.buffer.end();
        (holds && !self.syncs_are_held_back() && end > self.aof.synced().end).then_some(end)
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
        let on = self.aof.is_on() || self.replication.feed.is_active();
        self.keyspace.set_propagation(on);
    }

    /// Takes over what configuration says of the log.
    pub(super) fn aof_config_changed(&mut self) {
        let policy = match self.config.persistence.appendfsync {
            AppendFsync::Always => SyncPolicy::Always,
            AppendFsync::Everysec => SyncPolicy::EverySecond,
            AppendFsync::No => SyncPolicy::Never,
        };
        let is_held_back = self.syncs_are_held_back();
        if self.config.persistence.aof_annotations != self.aof.annotates {
            self.aof.annotates = !self.aof.annotates;
            // What has no lines is known by its beginning from a group that was cut off before its line.
            self.hand_over_to_aof();
            self.aof.buffer.begin_file();
        }
        if let Some(thread) = &self.aof.thread {
            thread.set_policy(policy, is_held_back);
            let persistence = &self.config.persistence;
            let configured = Job::Configure {
                annotations: persistence.aof_annotations,
                keeps_history: persistence.aof_disable_auto_gc,
            };
            thread.ask(configured);
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

    /// The first base of a log: what is in memory.
    pub fn make_first_base(
        &mut self,
        directory: &mut crate::persist::aof::AofDirectory,
        host: &dyn Host,
    ) -> std::io::Result<()> {
        let is_rdb = self.config.persistence.aof_use_rdb_preamble;
        let settings = self.base_settings(host);
        let at = self.moment();
        let source = self.source();
        let saved = self.aof.rewriter.save_now(&source, &settings, at);
        drop(source);
        saved.map_err(std::io::Error::other)?;
        directory.install(&settings.path, is_rdb, 0)?;
        let name = directory.manifest().base().map(|base| String::from_utf8_lossy(&base.name).into_owned());
        let text = format!("Creating AOF base file {} on server start", name.unwrap_or_default());
        self.log.log(crate::observe::log::Level::Notice, &text, &[]);
        Ok(())
    }

    /// CONFIG SET appendonly.
    pub(super) fn switch_aof(&mut self, host: &mut dyn Host) -> Result<(), String> {
        if self.alert.has(Alert::LOADING) {
            return Ok(());
        }
        match (self.config.persistence.appendonly, self.aof.is_on()) {
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

    fn end_aof(&mut self) {
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

    /// Gives up a rewrite.
    fn stop_rewrite(&mut self) {
        let Some(rewrite) = self.aof.rewrite.take() else { return };
        self.log.notice("Killing running AOF rewrite child", &[]);
        self.aof.rewriter.abort_and_wait();
        if rewrite.is_saved {
            let _ = self.saver.disk().remove(&rewrite.temp); // if it is in its place already, that is fine
        }
    }

    /// A save of the data set runs: rewrites wait for it, and it waits for rewrites, as in Redis.
    fn has_other_snapshot(&self) -> bool {
        self.saver.is_running()
    }

    /// BGREWRITEAOF, or an automatic rewrite: takes the snapshot, begins a new increment.
    pub fn start_rewrite(&mut self, host: &mut dyn Host) -> Result<(), StartError> {
        if self.aof.rewrite.is_some() {
            return Err(StartError::AlreadyRunning);
        }
        self.aof.is_scheduled = false;
        self.hand_over_to_aof();
        let start_offset = self.replication.feed.end();
        let is_rdb = self.config.persistence.aof_use_rdb_preamble;
        let ticket = self.aof.rewrites + 1;
        let mut settings = self.base_settings(host);
        // One that was given up may still be asked for: it must not find another one in its place.
        settings.path.set_extension(format!("{ticket}.aof"));
        let temp = settings.path.clone();
        let began_ns = host.now_ns();
        let source = Box::new(self.source());
        let at = self.moment();
        if let Err(error) = self.aof_thread(host) {
            return Err(StartError::NoThread(error));
        }
        self.aof.rewriter.start(source, settings, at, host.when_rewritten())?;
        self.snapshots.last_ns = host.now_ns().saturating_sub(began_ns);
        self.snapshots.taken += 1;
        let is_temporary = self.aof.state == AofState::AwaitsRewrite;
        let has_switched = !self.aof.is_on();
        let reads_again = std::mem::take(&mut self.aof.is_unread).then(|| (self.saver.disk(), self.aof_settings()));
        if !has_switched && let Some(thread) = &self.aof.thread {
            if let Some((disk, settings)) = reads_again {
                thread.ask(Job::Open(disk, Box::new(settings)));
            }
            thread.ask(Job::Switch { ticket, start_offset, is_temporary });
            self.aof.buffer.begin_file();
        }
        self.aof.rewrites = ticket;
        self.aof.rewrite =
            Some(Rewrite { ticket, start_offset, is_rdb, temp, has_switched, is_saved: false, installs: false });
        self.aof_config_changed();
        self.log
            .notice("Background append only file rewriting started", &[("start_us", &(self.snapshots.last_ns / 1000))]);
        Ok(())
    }

    fn base_settings(&self, host: &dyn Host) -> SaveSettings {
        let pid = host.process().pid();
        let mut settings = self.save_settings("aof-");
        settings.temp = PathBuf::from(format!("temp-rewriteaof-{pid}.aof"));
        settings.path = PathBuf::from(format!("temp-rewriteaof-bg-{pid}.aof"));
        settings.incremental_sync = self.config.persistence.aof_rewrite_incremental_fsync;
        if let Some((_, value)) = settings.aux.iter_mut().find(|(name, _)| name == "aof-base") {
            "1".clone_into(value);
        }
        settings
    }

    /// The snapshot thread of a rewrite has reported.
    pub fn rewritten(&mut self, outcome: &SaveOutcome) {
        let preserved_bytes = self.keyspace.heap_stats().cloned_bytes;
        if !self.aof.rewriter.finish(outcome, self.now_ms, preserved_bytes) {
            return; // of a rewrite that was given up
        }
        match &outcome.result {
            Ok(_) => {
                if let Some(rewrite) = &mut self.aof.rewrite {
                    rewrite.is_saved = true;
                }
                self.install_base();
            }
            Err(SaveError::Aborted) => self.rewrite_failed("aborted"),
            Err(error) => self.rewrite_failed(&error.to_string()),
        }
        self.aof_config_changed();
    }

    fn install_base(&mut self) {
        let Aof { rewrite: Some(rewrite), thread: Some(thread), state, .. } = &mut self.aof else { return };
        if !rewrite.has_switched || !rewrite.is_saved || rewrite.installs {
            return;
        }
        rewrite.installs = true;
        if *state == AofState::Off {
            let (disk, settings) = (self.saver.disk(), Box::new(self.aof_settings()));
            let Aof { rewrite: Some(rewrite), thread: Some(thread), .. } = &self.aof else { return };
            thread.ask(Job::Open(disk, settings));
            thread.ask(install(rewrite));
            thread.ask(Job::Close(None));
            return;
        }
        thread.ask(install(rewrite));
    }

    fn rewrite_failed(&mut self, why: &str) {
        let Some(rewrite) = self.aof.rewrite.take() else { return };
        self.aof.rewriter.abort();
        self.aof.last_rewrite_ok = false;
        self.aof.failures += 1;
        self.log.warning("Background AOF rewrite failed", &[(keys::ERROR, &why)]);
        if self.aof.state == AofState::AwaitsRewrite {
            self.aof.next_needed_ms = self.now_ms + NEEDED_RETRY_MS;
            self.aof.is_scheduled = true;
        }
        if self.aof.failures >= FAILURES_MAX {
            let minutes = 1u32.checked_shl(self.aof.failures - FAILURES_MAX).unwrap_or(u32::MAX);
            let minutes = minutes.min(RETRY_MINUTES_MAX);
            self.aof.next_automatic_ms = self.now_ms + i64::from(minutes) * 60_000;
            self.log.log(
                crate::observe::log::Level::Warning,
                &format!(
                    "Background AOF rewrite has repeatedly failed and triggered the limit, will retry in {minutes} \
                     minutes"
                ),
                &[],
            );
        }
        if rewrite.is_saved {
            let _ = self.saver.disk().remove(&rewrite.temp); // nobody reads it
        }
    }

    /// The thread that writes the log has something to say.
    pub fn aof_reports(&mut self, report: Report, host: &mut dyn Host) {
        match report {
            Report::Synced => self.serve_copies(host),
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
                    self.stop_rewrite();
                    self.aof.state = AofState::AwaitsRewrite;
                    (self.aof.is_scheduled, self.aof.next_needed_ms) = (true, self.now_ms);
                }
            }
            Report::Switched(ticket, _) | Report::Installed(ticket, _)
                if self.aof.rewrite.as_ref().is_none_or(|rewrite| rewrite.ticket != ticket) => {}
            Report::Switched(_, Ok(())) => {
                if let Some(rewrite) = &mut self.aof.rewrite {
                    rewrite.has_switched = true;
                }
                self.install_base();
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

    fn installed(&mut self, installed: std::io::Result<AofSizes>) {
        let sizes = match installed {
            Ok(sizes) => sizes,
            Err(error) => {
                let why = format!("can't put the new base in place: {error}");
                return self.rewrite_failed(&why);
            }
        };
        self.aof.rewrite = None;
        self.aof.last_rewrite_ok = true;
        (self.aof.failures, self.aof.next_automatic_ms) = (0, 0);
        self.aof.sizes_at_rest = sizes;
        if self.aof.state == AofState::AwaitsRewrite {
            self.aof.state = AofState::On;
            self.aof.sync_error = None;
        }
        self.log.notice("Background AOF rewrite finished successfully", &[(keys::BYTES, &sizes.total)]);
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
        if self.alert.has(Alert::LOADING) || self.aof.is_rewriting() || self.has_other_snapshot() {
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

    /// The log has become so large that it is rewritten by itself.
    fn has_grown(&self) -> bool {
        let persistence = &self.config.persistence;
        let percentage = u64::from(persistence.auto_aof_rewrite_percentage);
        if self.aof.state != AofState::On || percentage == 0 || self.now_ms < self.aof.next_automatic_ms {
            return false;
        }
        let Some(thread) = &self.aof.thread else { return false };
        let AofSizes { total, base } = thread.facts().sizes;
        if total <= persistence.auto_aof_rewrite_min_size {
            return false;
        }
        let base = base.max(1);
        let growth = u128::from(total) * 100 / u128::from(base);
        let grown = growth.saturating_sub(100);
        if grown < u128::from(percentage) {
            return false;
        }
        self.log.log(
            crate::observe::log::Level::Notice,
            &format!("Starting automatic rewriting of AOF on {grown}% growth"),
            &[],
        );
        true
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
        if !aof.is_on() {
            writer.sizes = aof.sizes_at_rest;
        }
        AofStatus {
            is_on: aof.is_on(),
            rewrites_now: aof.is_rewriting(),
            is_scheduled: aof.is_scheduled,
            last_rewrite_ok: aof.last_rewrite_ok,
            rewrites: aof.rewrites,
            failures: aof.failures,
            writes_ok: aof.write_error.is_none() && aof.sync_error.is_none(),
            snapshot: aof.rewriter.status(self.moment(), self.keyspace.heap_stats().cloned_bytes),
            buffer_bytes: writer.waiting_bytes + aof.buffer.memory() as u64,
            writer,
            synced_offset: aof.synced().replication,
        }
    }
}

fn install(rewrite: &Rewrite) -> Job {
    let Rewrite { ticket, start_offset, is_rdb, .. } = *rewrite;
    Job::Install { ticket, temp: rewrite.temp.clone(), is_rdb, start_offset }
}

/// An error in the words of the system, as Redis shows them.
fn reason(error: &std::io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or(&text).to_owned()
}
