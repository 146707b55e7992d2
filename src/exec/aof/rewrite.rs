//! A rewrite of the append-only file: a snapshot becomes the new base. See the drawing in `mod.rs`.

use std::path::PathBuf;

use super::{Aof, AofState, NEEDED_RETRY_MS};
use crate::exec::ctx::Host;
use crate::exec::instance::Instance;
use crate::observe::keys;
use crate::observe::log::Level;
use crate::persist::aof::{AofDirectory, AofSizes, Job};
use crate::persist::{CommandSettings, SaveError, SaveOutcome, SaveSettings, StartError};

/// A rewrite under way.
pub(super) struct Rewrite {
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

impl Instance {
    /// The first base of a log: what is in memory.
    pub fn make_first_base(&mut self, directory: &mut AofDirectory, host: &dyn Host) -> std::io::Result<()> {
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
        self.log.log(Level::Notice, &text, &[]);
        Ok(())
    }

    /// Gives up a rewrite.
    pub(super) fn stop_rewrite(&mut self) {
        let Some(rewrite) = self.aof.rewrite.take() else { return };
        self.log.notice("Killing running AOF rewrite child", &[]);
        self.aof.rewriter.abort_and_wait();
        if rewrite.is_saved {
            let _ = self.saver.disk().remove(&rewrite.temp); // if it is in its place already, that is fine
        }
    }

    /// Whether this is the rewrite that goes on.
    pub(super) fn rewrites_for(&self, ticket: u64) -> bool {
        self.aof.rewrite.as_ref().is_some_and(|rewrite| rewrite.ticket == ticket)
    }

    /// A save of the data set runs: rewrites wait for it, and it waits for rewrites, as in Redis.
    pub(super) fn has_other_snapshot(&self) -> bool {
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
        self.snapshot_is_taken("append only file rewriting", began_ns, host);
        Ok(())
    }

    fn base_settings(&self, host: &dyn Host) -> SaveSettings {
        let pid = host.process().pid();
        let mut settings = self.save_settings("aof-");
        settings.temp = PathBuf::from(format!("temp-rewriteaof-{pid}.aof"));
        settings.path = PathBuf::from(format!("temp-rewriteaof-bg-{pid}.aof"));
        settings.incremental_sync = self.config.persistence.aof_rewrite_incremental_fsync;
        let persistence = &self.config.persistence;
        settings.commands = (!persistence.aof_use_rdb_preamble).then_some(CommandSettings {
            annotated: persistence.aof_annotations,
            timestamp: persistence.aof_timestamp_enabled.then_some(self.now_ms / 1000),
        });
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

    /// The increment that the rewrite needs is there.
    pub(super) fn increment_is_begun(&mut self) {
        if let Some(rewrite) = &mut self.aof.rewrite {
            rewrite.has_switched = true;
        }
        self.install_base();
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

    pub(super) fn rewrite_failed(&mut self, why: &str) {
        let Some(rewrite) = self.aof.rewrite.take() else { return };
        self.aof.rewriter.abort();
        self.aof.last_rewrite_ok = false;
        self.aof.failures += 1;
        self.log.warning("Background AOF rewrite failed", &[(keys::ERROR, &why)]);
        if self.aof.state == AofState::AwaitsRewrite && self.aof.is_kept() {
            self.aof.next_needed_ms = self.now_ms + NEEDED_RETRY_MS;
            self.aof.is_scheduled = true;
        }
        if self.aof.failures >= FAILURES_MAX {
            let minutes = 1u32.checked_shl(self.aof.failures - FAILURES_MAX).unwrap_or(u32::MAX);
            let minutes = minutes.min(RETRY_MINUTES_MAX);
            self.aof.next_automatic_ms = self.now_ms + i64::from(minutes) * 60_000;
            self.log.log(
                Level::Warning,
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
        if self.aof.backup.awaits_base() {
            self.fail_backup(&format!("the base could not be written: {why}"));
        }
    }

    pub(super) fn installed(&mut self, installed: std::io::Result<AofSizes>) {
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
        if self.aof.is_kept() || !self.aof.is_on() {
            self.aof.sizes_at_rest = sizes;
        }
        if self.aof.state == AofState::AwaitsRewrite {
            self.aof.state = AofState::On;
            self.aof.sync_error = None;
        }
        self.log.notice("Background AOF rewrite finished successfully", &[(keys::BYTES, &sizes.total)]);
        self.pin_base();
    }

    /// The log has become so large that it is rewritten by itself.
    pub(super) fn has_grown(&self) -> bool {
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
        self.log.log(Level::Notice, &format!("Starting automatic rewriting of AOF on {grown}% growth"), &[]);
        true
    }
}

fn install(rewrite: &Rewrite) -> Job {
    let Rewrite { ticket, start_offset, is_rdb, .. } = *rewrite;
    Job::Install { ticket, temp: rewrite.temp.clone(), is_rdb, start_offset }
}
