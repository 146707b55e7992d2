//! A backup: a base, the writes from there up to the moment at which it is sealed, and a manifest, in a directory of their
//! own. It is in the layout of the append-only file, so whatever reads that reads a backup.
//!
//! ```text
//!             START                     SEAL                 CLEANUP
//!   idle -> pending -> snapshotting -> incrementing -> sealed -> idle
//!               \___________\_____________\____ ABORT, a fault ____> failed
//! ```
//!
//! Where there is a log, its next rewrite makes the base, which gets a second name in the directory; so does the increment
//! when the backup is sealed, and the log goes on in a new one. Where there is none, a log is kept for the backup alone, in
//! the backup's directory: nothing of the data directory is touched, nobody waits for its syncs, and what goes wrong with
//! it is the end of the backup, not of writes.
//!
//! One increment continues the base, so no rewrite begins between START and SEAL: those that are due come afterwards.
//!
//! The files are touched by the thread of the append-only file. Who asks for something that is done there waits, and nobody
//! else does.

use std::path::PathBuf;

use super::{Aof, AofState, reason};
use crate::blocking::WaitFor;
use crate::client::ClientId;
use crate::exec::ctx::Host;
use crate::exec::error::{CommandError, CommandResult};
use crate::exec::instance::Instance;
use crate::observe::keys;
use crate::persist::aof::{AofSettings, Job, Report};

/// How far a backup is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BackupState {
    /// There is none.
    #[default]
    Idle,
    /// It begins as soon as a snapshot can be taken.
    Pending,
    /// The base is being written.
    Snapshotting,
    /// The base is there, and writes are added.
    Incrementing,
    /// It is complete.
    Sealed,
    /// It was given up.
    Failed,
}

impl BackupState {
    /// What BACKUP STATUS calls it.
    pub fn word(self) -> &'static str {
        match self {
            BackupState::Idle => "idle",
            BackupState::Pending => "pending",
            BackupState::Snapshotting => "snapshotting",
            BackupState::Incrementing => "incrementing",
            BackupState::Sealed => "sealed",
            BackupState::Failed => "failed",
        }
    }
}

/// See the module's header.
#[derive(Default)]
pub struct Backup {
    state: BackupState,
    dir: PathBuf,
    /// Files in it that do not change any more.
    files: Vec<PathBuf>,
    error: String,
    started_ms: i64,
    /// When the last one was sealed; whether that is this one, `state` says.
    sealed_ms: i64,
    /// The log is kept for nothing else.
    owns_log: bool,
    /// SEAL is being carried out.
    is_sealing: bool,
    /// How often its files are still to be removed.
    removals: u32,
    /// Who waits for what is being carried out.
    asker: Option<ClientId>,
}

impl Backup {
    /// How far it is.
    pub fn state(&self) -> BackupState {
        self.state
    }

    /// The files that do not change any more: the base, then the increment and the manifest.
    pub fn files(&self) -> &[PathBuf] {
        &self.files
    }

    /// Why it was given up, if it was.
    pub fn error(&self) -> &str {
        &self.error
    }

    /// When it was begun, ms since 1970; 0 if there is none.
    pub fn started_ms(&self) -> i64 {
        self.started_ms
    }

    /// When this one was sealed, ms since 1970; 0 if it was not.
    pub fn ended_ms(&self) -> i64 {
        if self.state == BackupState::Sealed { self.sealed_ms } else { 0 }
    }

    /// When the last one was sealed, ms since 1970; 0 if none was.
    pub fn sealed_ms(&self) -> i64 {
        self.sealed_ms
    }

    /// It was begun, and is neither complete nor given up.
    pub fn is_running(&self) -> bool {
        matches!(self.state, BackupState::Pending | BackupState::Snapshotting | BackupState::Incrementing)
    }

    /// The log is kept for it alone.
    pub fn owns_log(&self) -> bool {
        self.owns_log
    }

    /// Without the log nothing comes of it.
    pub fn needs_log(&self) -> bool {
        match self.state {
            BackupState::Snapshotting => true,
            BackupState::Incrementing => !self.is_sealing,
            _ => false,
        }
    }

    /// It begins with the base that is written next.
    pub fn awaits_base(&self) -> bool {
        self.state == BackupState::Snapshotting
    }
}

const RUNS: CommandError = CommandError::fixed("ERR Backup already in progress");
const IS_SEALED: CommandError =
    CommandError::fixed("ERR A sealed backup is still there, remove it with BACKUP CLEANUP first");
const NOT_READY: CommandError = CommandError::fixed("ERR No backup ready to seal");
const NONE: CommandError = CommandError::fixed("ERR No backup in progress");
const ABORT_FIRST: CommandError = CommandError::fixed("ERR Backup in progress, use BACKUP ABORT to give it up");

impl Instance {
    /// BACKUP START.
    pub fn start_backup(&mut self, host: &mut dyn Host) -> CommandResult {
        let backup = &self.aof.backup;
        match backup.state {
            BackupState::Sealed => return Err(IS_SEALED),
            _ if backup.is_running() || backup.removals > 0 => return Err(RUNS),
            _ => {}
        }
        let persistence = &self.config.persistence;
        let dir = persistence.dir.as_path().join(persistence.backupdirname.as_path());
        match self.saver.disk().list(&dir) {
            Ok(names) if names.is_empty() => {}
            Ok(_) => return Err(CommandError::text(format!("ERR Backup directory '{}' is not empty", dir.display()))),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => {
                let (dir, why) = (dir.display(), reason(&error));
                return Err(CommandError::text(format!("ERR Backup directory '{dir}' can't be read: {why}")));
            }
        }
        let sealed_ms = self.aof.backup.sealed_ms;
        let (state, started_ms) = (BackupState::Pending, self.now_ms);
        self.aof.backup = Backup { state, dir, started_ms, sealed_ms, ..Backup::default() };
        if !self.runs_transaction {
            self.begin_backup(host); // else its snapshot would be of the middle of something
        }
        Ok(())
    }

    /// Begins a backup that was asked for, if a snapshot can be taken.
    fn begin_backup(&mut self, host: &mut dyn Host) {
        if self.has_other_snapshot() {
            return;
        }
        let keeps_log = self.aof.is_on();
        if self.aof.is_rewriting() {
            // Its base does, if the log goes on from there.
            if keeps_log {
                self.backup_begins();
            }
            return;
        }
        let is_scheduled = self.aof.is_scheduled;
        if !keeps_log && let Err(error) = self.begin_own_log(host) {
            return self.fail_backup(&error.to_string());
        }
        self.backup_begins();
        if let Err(error) = self.start_rewrite(host) {
            return self.fail_backup(&error.to_string());
        }
        // A rewrite of a log that is switched off is still to come.
        self.aof.is_scheduled = is_scheduled && !keeps_log;
    }

    fn backup_begins(&mut self) {
        self.aof.backup.state = BackupState::Snapshotting;
        self.log.notice("Backup started", &[(keys::PATH, &self.aof.backup.dir.display())]);
    }

    /// The log of a backup where there is no other: it awaits its base.
    fn begin_own_log(&mut self, host: &mut dyn Host) -> std::io::Result<()> {
        let dir = self.aof.backup.dir.clone();
        let settings = AofSettings { dir, annotations: true, ..self.aof_settings() };
        let disk = self.saver.disk();
        self.aof_thread(host)?.ask(Job::Open(disk, Box::new(settings)));
        self.aof.state = AofState::AwaitsRewrite;
        self.aof.backup.owns_log = true;
        self.follow_propagation();
        Ok(())
    }

    fn end_own_log(&mut self) {
        self.aof.backup.owns_log = false;
        self.aof.state = AofState::Off;
        self.follow_propagation();
        self.aof_config_changed();
    }

    /// The base is written and a part of the log: it is to become a part of the backup.
    pub(super) fn pin_base(&mut self) {
        let Aof { backup, thread: Some(thread), .. } = &self.aof else { return };
        if backup.awaits_base() {
            thread.ask(Job::Pin(backup.dir.clone()));
        }
    }

    /// BACKUP SEAL, for this client. It is answered when it is done.
    pub fn seal_backup(&mut self, asker: Option<ClientId>) -> CommandResult {
        let backup = &self.aof.backup;
        if backup.state != BackupState::Incrementing || backup.is_sealing {
            return Err(NOT_READY);
        }
        self.hand_over_to_aof();
        let offset = self.replication.feed.end();
        // Handing over may have been too much for the disk.
        let Aof { backup, thread: Some(thread), buffer, .. } = &mut self.aof else { return Err(NOT_READY) };
        if backup.state != BackupState::Incrementing {
            return Err(NOT_READY);
        }
        (backup.is_sealing, backup.asker) = (true, asker);
        thread.ask(Job::Seal { into: backup.dir.clone(), offset });
        if backup.owns_log {
            self.end_own_log();
        } else {
            buffer.begin_file();
        }
        Ok(())
    }

    /// BACKUP ABORT, for this client. It is answered when the files are gone.
    pub fn abort_backup(&mut self, asker: Option<ClientId>) -> CommandResult {
        if !self.aof.backup.is_running() || self.aof.backup.is_sealing {
            return Err(NONE);
        }
        self.fail_backup("aborted by user");
        self.aof.backup.asker = asker;
        Ok(())
    }

    /// BACKUP CLEANUP, for this client. True: it is answered when the files are gone; false: there are none.
    pub fn clean_up_backup(&mut self, asker: Option<ClientId>) -> Result<bool, CommandError> {
        if self.aof.backup.is_running() {
            return Err(ABORT_FIRST);
        }
        if self.aof.backup.state == BackupState::Idle {
            return Ok(false);
        }
        let sealed_ms = self.aof.backup.sealed_ms;
        let Backup { dir, removals, .. } = std::mem::take(&mut self.aof.backup);
        self.aof.backup = Backup { dir, removals, sealed_ms, asker, ..Backup::default() };
        self.discard_backup();
        Ok(true)
    }

    fn discard_backup(&mut self) {
        let (disk, names) = (self.saver.disk(), self.aof_settings().names);
        let Aof { backup, thread: Some(thread), .. } = &mut self.aof else { return };
        backup.removals += 1;
        thread.ask(Job::Discard { disk, dir: backup.dir.clone(), names });
    }

    /// Gives the backup up, and removes what there is of it.
    pub(super) fn fail_backup(&mut self, why: &str) {
        if self.aof.backup.owns_log {
            self.aof.buffer.clear();
            self.stop_rewrite();
            if let Some(thread) = &self.aof.thread {
                thread.ask(Job::Close(None));
            }
            self.end_own_log();
        }
        let backup = &mut self.aof.backup;
        (backup.state, backup.is_sealing) = (BackupState::Failed, false);
        why.clone_into(&mut backup.error);
        backup.files.clear();
        self.log.warning("Backup given up", &[(keys::REASON, &why)]);
        self.discard_backup();
    }

    /// The thread has done something for a backup.
    pub(super) fn backup_reports(&mut self, report: Report) {
        match report {
            Report::Pinned(pinned) if self.aof.backup.awaits_base() => match pinned {
                Ok(base) => {
                    self.aof.backup.files = vec![base];
                    self.aof.backup.state = BackupState::Incrementing;
                    self.log.notice("The base of the backup is there", &[]);
                }
                Err(error) => self.fail_backup(&reason(&error)),
            },
            Report::Sealed(sealed) if self.aof.backup.is_sealing => match sealed {
                Ok(files) => {
                    let backup = &mut self.aof.backup;
                    (backup.state, backup.is_sealing) = (BackupState::Sealed, false);
                    (backup.files, backup.sealed_ms) = (files, self.now_ms);
                    self.log.notice("Backup sealed", &[(keys::PATH, &self.aof.backup.dir.display())]);
                    self.answer_asker(Ok(()));
                }
                Err(error) => {
                    let why = reason(&error);
                    // Whoever asked is told at once: the removal of the files is nothing to wait for.
                    self.answer_asker(Err(CommandError::text(format!("ERR The backup can't be sealed: {why}"))));
                    self.fail_backup(&why);
                }
            },
            Report::Discarded(gone) => {
                self.aof.backup.removals = self.aof.backup.removals.saturating_sub(1);
                let told = gone.map_err(|error| {
                    let why = reason(&error);
                    self.log.warning("Can't remove the files of a backup", &[(keys::ERROR, &why)]);
                    CommandError::text(format!("ERR The files of the backup can't be removed: {why}"))
                });
                if self.aof.backup.removals == 0 {
                    self.answer_asker(told);
                }
            }
            _ => {} // of one that was given up
        }
    }

    fn answer_asker(&mut self, result: CommandResult) {
        if let Some(asker) = self.aof.backup.asker.take() {
            self.answer_waiting(asker, WaitFor::Backup, result);
        }
    }

    /// Several times a second: begins the backup that waits, removes the one whose time is over.
    pub(super) fn look_after_backup(&mut self, host: &mut dyn Host) {
        match self.aof.backup.state {
            BackupState::Pending => self.begin_backup(host),
            BackupState::Sealed => {
                let ttl_ms = i64::from(self.config.persistence.backup_sealed_ttl) * 1000;
                if ttl_ms > 0 && self.now_ms - self.aof.backup.sealed_ms >= ttl_ms {
                    self.log.notice("The time of the sealed backup is over, its files are removed", &[]);
                    // There is one, and none is running.
                    let _ = self.clean_up_backup(None);
                }
            }
            _ => {}
        }
    }
}
