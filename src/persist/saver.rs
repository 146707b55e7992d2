//! The saver: decides when to save, runs the snapshot thread, and remembers how it went.
//!
//! One save at a time. The main thread owns the [`Saver`] and tells it the time and the count of changes; the thread
//! owns the snapshot, reads no clock, and reports through a callback when it ends (a message to the loop's mailbox),
//! after the snapshot was dropped.
//!
//! ```text
//!          start                    thread ends, callback
//! idle  ----------->  running  -------------------------->  finish: idle
//!   |                    | abort: the thread stops at the next key or 256 KiB, removes its file, and ends
//!   | save_now: at once, on this thread
//! ```

use super::control::{KeyDelay, SaveControl};
use super::save::{self, SaveError, SaveSettings, Saved};
use super::source::SnapshotSource;
use super::status::SaveStatus;
use crate::config::special::SavePoint;
use crate::sys::disk::Disk;
use crate::sys::priority::Background;
use std::fmt;
use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::thread::{self, JoinHandle};

/// After a failed save, save points and scheduled saves wait for this long.
const RETRY_MS: i64 = 5000;

/// Where the instance stands when it asks something of the saver.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    /// Unix time in milliseconds.
    pub now_ms: i64,
    /// All changes since the start (`db::Stats::dirty`); it only grows.
    pub dirty: u64,
}

/// How a save on the thread ended; hand it to [`Saver::finish`].
#[derive(Debug)]
pub struct SaveOutcome {
    /// The file that was written, or why none was.
    pub result: Result<Saved, SaveError>,
    run: u64,
}

/// Why no thread was started.
#[derive(Debug)]
pub enum StartError {
    /// One is running.
    AlreadyRunning,
    /// The system gave none.
    NoThread(io::Error),
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StartError::AlreadyRunning => f.write_str("Background save already in progress"),
            StartError::NoThread(fault) => write!(f, "cannot start the snapshot thread: {fault}"),
        }
    }
}

impl std::error::Error for StartError {}

struct Running {
    /// Tells its report from that of an earlier one that was not waited for.
    run: u64,
    control: Arc<SaveControl>,
    /// Absent once it was waited for.
    thread: Option<JoinHandle<()>>,
    started_ms: i64,
    dirty: u64,
    /// The most that writers had copied because of its snapshot, bytes. After the snapshot is gone that figure is 0,
    /// and the report may come later than that.
    preserved_bytes: u64,
}

/// When and how the data set is saved.
pub struct Saver {
    disk: Arc<dyn Disk>,
    delay: Arc<KeyDelay>,
    /// Stops a save on this thread.
    interrupt: Option<&'static AtomicBool>,
    running: Option<Running>,
    scheduled: bool,
    /// The count of changes that the file on disk contains.
    saved_dirty: u64,
    last_save_ms: i64,
    last_try_ms: Option<i64>,
    last_ok: bool,
    last_duration_ms: Option<i64>,
    last_preserved_bytes: u64,
    /// Saves begun: their numbers.
    saves: u64,
    /// Of these, how many INFO does not count any more.
    saves_forgotten: u64,
}

impl Saver {
    /// An idle saver. The start counts as a save, so that save points measure from it.
    pub fn new(disk: Arc<dyn Disk>, now_ms: i64) -> Saver {
        Saver {
            disk,
            delay: Arc::default(),
            interrupt: None,
            running: None,
            scheduled: false,
            saved_dirty: 0,
            last_save_ms: now_ms,
            last_try_ms: None,
            last_ok: true,
            last_duration_ms: None,
            last_preserved_bytes: 0,
            saves: 0,
            saves_forgotten: 0,
        }
    }

    /// Another idle saver on the same disk: for files that are no saves of the data set, like those for replicas.
    pub fn another(&self, now_ms: i64) -> Saver {
        let mut another = Saver::new(Arc::clone(&self.disk), now_ms);
        another.delay = Arc::clone(&self.delay);
        another
    }

    /// Where it saves to.
    pub fn disk(&self) -> Arc<dyn Disk> {
        Arc::clone(&self.disk)
    }

    /// Sets `rdb-key-save-delay`, see [`KeyDelay::set`]. A running save follows at once.
    pub fn set_key_delay(&self, micros: i64) {
        self.delay.set(micros);
    }

    /// The delay, for other writers of snapshots (AOF rewrite, replication).
    pub fn key_delay(&self) -> &Arc<KeyDelay> {
        &self.delay
    }

    /// Starts the snapshot thread. `done` is called on it when all is over: pass the outcome to [`Saver::finish`].
    pub fn start(
        &mut self,
        source: Box<dyn SnapshotSource>,
        settings: SaveSettings,
        at: Moment,
        done: impl FnOnce(SaveOutcome) + Send + 'static,
    ) -> Result<(), StartError> {
        if self.running.is_some() {
            return Err(StartError::AlreadyRunning);
        }
        self.scheduled = false;
        self.last_try_ms = Some(at.now_ms);
        self.saves += 1;
        let control = Arc::new(SaveControl::new(Arc::clone(&self.delay)));
        // Known to whoever asks before the thread has begun.
        control.set_total(source.databases().iter().map(|db| db.keys).sum());
        let (disk, shared) = (Arc::clone(&self.disk), Arc::clone(&control));
        let run = self.saves;
        let report = Report { run, done: Some(done) };
        let thread = thread::Builder::new().name("snapshot".to_owned()).spawn(move || {
            let background = Background::begin();
            let result = save::save_file(&*disk, &*source, &settings, &shared);
            drop(source);
            drop(background);
            report.send(result);
        });
        match thread {
            Ok(thread) => {
                self.running = Some(Running {
                    run,
                    control,
                    thread: Some(thread),
                    started_ms: at.now_ms,
                    dirty: at.dirty,
                    preserved_bytes: 0,
                });
                Ok(())
            }
            Err(fault) => {
                self.last_ok = false;
                Err(StartError::NoThread(fault))
            }
        }
    }

    /// Takes note of how the thread's save ended. `preserved_bytes` is what writers copied because of the snapshot.
    ///
    /// An aborted save is no failure: nothing is held against the disk, and the changes stay unsaved. False: it
    /// is of a save that [`Saver::abort_and_wait`] has settled already.
    pub fn finish(&mut self, outcome: &SaveOutcome, now_ms: i64, preserved_bytes: u64) -> bool {
        let Some(running) = self.running.take_if(|running| running.run == outcome.run) else { return false };
        // To report was its last act, so this does not wait.
        join(running.thread);
        self.last_duration_ms = Some((now_ms - running.started_ms).max(0));
        self.last_preserved_bytes = running.preserved_bytes.max(preserved_bytes);
        match &outcome.result {
            Ok(_) => {
                // A save on the main thread may have overtaken it.
                self.saved_dirty = self.saved_dirty.max(running.dirty);
                self.last_save_ms = self.last_save_ms.max(now_ms);
                self.last_ok = true;
            }
            Err(SaveError::Aborted) => {}
            Err(_) => self.last_ok = false,
        }
        true
    }

    /// From now on this flag stops saves on this thread.
    pub fn stop_at(&mut self, interrupt: &'static AtomicBool) {
        self.interrupt = Some(interrupt);
    }

    /// Saves on this thread: SAVE, SHUTDOWN, FLUSHALL with save points.
    ///
    /// A save on the snapshot thread is aborted, for its data is older; if it is too late for that, its file is put in
    /// place first, and then replaced.
    pub fn save_now(
        &mut self,
        source: &dyn SnapshotSource,
        settings: &SaveSettings,
        at: Moment,
    ) -> Result<Saved, SaveError> {
        if let Some(running) = &mut self.running
            && !running.control.abort()
        {
            join(running.thread.take());
        }
        self.saves += 1;
        // Without the delay: everybody waits for this one.
        let control = SaveControl::until(self.interrupt);
        let saved = save::save_file(&*self.disk, source, settings, &control)?;
        self.mark_saved(at);
        Ok(saved)
    }

    /// The file on disk has all changes made so far (after SAVE, or because the data set was loaded from it).
    pub fn mark_saved(&mut self, at: Moment) {
        self.saved_dirty = at.dirty;
        self.last_save_ms = at.now_ms;
        self.last_ok = true;
    }

    /// A save on the thread is under way.
    pub fn is_running(&self) -> bool {
        self.running.is_some()
    }

    /// Asks the running save to stop; it still reports. False if none is running, or if it is too late.
    pub fn abort(&self) -> bool {
        self.running.as_ref().is_some_and(|running| running.control.abort())
    }

    /// Stops the running save and waits until its file is gone: before the process ends.
    pub fn abort_and_wait(&mut self) {
        if let Some(running) = self.running.take() {
            running.control.abort();
            join(running.thread);
        }
    }

    /// BGSAVE SCHEDULE: to be started when nothing else is in its way.
    pub fn schedule(&mut self) {
        self.scheduled = true;
    }

    /// Whether a scheduled save waits.
    pub fn is_scheduled(&self) -> bool {
        self.scheduled
    }

    /// Whether a scheduled save may start now.
    pub fn scheduled_is_due(&self, now_ms: i64) -> bool {
        self.scheduled && self.running.is_none() && self.may_retry(now_ms)
    }

    /// The first save point that asks for a save now.
    pub fn due_point(&self, points: &[SavePoint], at: Moment) -> Option<SavePoint> {
        if self.running.is_some() || !self.may_retry(at.now_ms) {
            return None;
        }
        let seconds = at.now_ms / 1000 - self.last_save_ms / 1000;
        let changes = self.changes(at.dirty);
        let asks = |point: &&SavePoint| changes >= point.changes && seconds > point.seconds as i64;
        points.iter().find(asks).copied()
    }

    fn may_retry(&self, now_ms: i64) -> bool {
        self.last_ok || self.last_try_ms.is_none_or(|last| now_ms - last > RETRY_MS)
    }

    /// Changes that the file on disk does not have.
    pub fn changes(&self, dirty: u64) -> u64 {
        dirty.saturating_sub(self.saved_dirty)
    }

    /// The last save on the thread went well, or there was none: if not, writes may be refused (MISCONF).
    pub fn last_ok(&self) -> bool {
        self.last_ok
    }

    /// LASTSAVE: unix time in milliseconds.
    pub fn last_save_ms(&self) -> i64 {
        self.last_save_ms
    }

    /// CONFIG RESETSTAT: INFO counts saves from zero again.
    pub fn reset_count(&mut self) {
        self.saves_forgotten = self.saves;
    }

    /// What writers have copied so far because of the running snapshot.
    pub fn note_preserved(&mut self, bytes: u64) {
        if let Some(running) = &mut self.running {
            running.preserved_bytes = running.preserved_bytes.max(bytes);
        }
    }

    /// What INFO says. `preserved_bytes` is what writers have copied because of the running snapshot.
    pub fn status(&self, at: Moment, preserved_bytes: u64) -> SaveStatus {
        let running = self.running.as_ref();
        let whole_seconds = |ms: i64| ms / 1000;
        SaveStatus {
            changes_since_last_save: self.changes(at.dirty),
            bgsave_in_progress: running.is_some(),
            last_save_time: whole_seconds(self.last_save_ms),
            last_bgsave_ok: self.last_ok,
            last_bgsave_seconds: self.last_duration_ms.map_or(-1, whole_seconds),
            current_bgsave_seconds: running.map_or(-1, |r| whole_seconds(at.now_ms) - whole_seconds(r.started_ms)),
            saves: self.saves - self.saves_forgotten,
            last_cow_bytes: self.last_preserved_bytes,
            current_cow_bytes: running.map_or(0, |_| preserved_bytes),
            peak_cow_bytes: running.map_or(0, |r| r.preserved_bytes.max(preserved_bytes)),
            keys_processed: running.map_or(0, |r| r.control.keys()),
            keys_total: running.map_or(0, |r| r.control.keys_total()),
            bytes_written: running.map_or(0, |r| r.control.bytes()),
        }
    }
}

impl Drop for Saver {
    fn drop(&mut self) {
        self.abort_and_wait();
    }
}

fn join(thread: Option<JoinHandle<()>>) {
    if let Some(thread) = thread {
        // If it panicked, it has said so on stderr and in its report.
        let _ = thread.join();
    }
}

/// The callback of a thread: called once, even if the thread panics before it has an outcome.
struct Report<F: FnOnce(SaveOutcome)> {
    run: u64,
    done: Option<F>,
}

impl<F: FnOnce(SaveOutcome)> Report<F> {
    fn send(mut self, result: Result<Saved, SaveError>) {
        if let Some(done) = self.done.take() {
            done(SaveOutcome { result, run: self.run });
        }
    }
}

impl<F: FnOnce(SaveOutcome)> Drop for Report<F> {
    fn drop(&mut self) {
        if let Some(done) = self.done.take() {
            done(SaveOutcome { result: Err(SaveError::Thread), run: self.run });
        }
    }
}
