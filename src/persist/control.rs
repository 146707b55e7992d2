//! What the main thread and a snapshot thread share: a way to stop, a way to slow down, and how far it is.
//!
//! # The delay
//!
//! `rdb-key-save-delay` makes a save slow on purpose, for tests of what happens during one. Its value may change
//! while the thread sleeps for a key, and counts at once: the deadline is computed anew whenever somebody changes
//! it, and an abort ends the sleep too. Hence a condition variable and not `sleep`.

use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU8, AtomicU64, Ordering::*};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// The sleep after each key. One for the life of an instance; threads come and go.
#[derive(Debug, Default)]
pub struct KeyDelay {
    micros: AtomicI64,
    /// Guards nothing but the moment between a sleeper's look at the atomics and its sleep.
    gate: Mutex<()>,
    changed: Condvar,
}

impl KeyDelay {
    /// Microseconds per key; negative: one microsecond per that many keys; 0: none. Counts at once.
    pub fn set(&self, micros: i64) {
        self.micros.store(micros, Relaxed);
        self.wake();
    }

    /// The value last set.
    pub fn micros(&self) -> i64 {
        self.micros.load(Relaxed)
    }

    fn wake(&self) {
        drop(self.gate.lock().unwrap_or_else(PoisonError::into_inner));
        self.changed.notify_all();
    }

    /// Sleeps after the `nth` key.
    fn sleep(&self, nth: u64, phase: &AtomicU8) {
        let started = Instant::now();
        let mut gate = self.gate.lock().unwrap_or_else(PoisonError::into_inner);
        while phase.load(Acquire) != ABORTED {
            let micros = match self.micros() {
                every if every < 0 => u64::from(nth.is_multiple_of(every.unsigned_abs())),
                micros => micros.unsigned_abs(),
            };
            let left = Duration::from_micros(micros).saturating_sub(started.elapsed());
            if left.is_zero() {
                return;
            }
            (gate, _) = self.changed.wait_timeout(gate, left).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

/// Writing: may be aborted.
const WRITING: u8 = 0;
/// Was asked to stop, and will.
const ABORTED: u8 = 1;
/// Is about to put its file in place; too late to stop.
const COMMITTED: u8 = 2;

/// One save: how far it is, and whether it shall stop. The counters have one writer, the thread that saves.
///
/// An abort and the rename at the end exclude each other: the first of both to claim the phase wins. Otherwise a file
/// that was given up could still replace one that was saved after it.
#[derive(Debug, Default)]
pub struct SaveControl {
    delay: Arc<KeyDelay>,
    /// Stops it, too, unless its file is about to be put in place.
    interrupt: Option<&'static AtomicBool>,
    phase: AtomicU8,
    keys: AtomicU64,
    keys_total: AtomicU64,
    bytes: AtomicU64,
}

impl SaveControl {
    /// A control for one save.
    pub fn new(delay: Arc<KeyDelay>) -> SaveControl {
        SaveControl { delay, ..SaveControl::default() }
    }

    /// A control for one save that this flag stops.
    pub fn until(interrupt: Option<&'static AtomicBool>) -> SaveControl {
        SaveControl { interrupt, ..SaveControl::default() }
    }

    /// Asks the save to stop, and wakes it if it sleeps. False: it is too late, its file is being put in place.
    pub fn abort(&self) -> bool {
        let stopped = self.phase.compare_exchange(WRITING, ABORTED, AcqRel, Acquire);
        self.delay.wake();
        stopped != Err(COMMITTED)
    }

    /// Whether it was asked to stop in time.
    pub fn aborted(&self) -> bool {
        self.phase.load(Acquire) == ABORTED || self.interrupt.is_some_and(|flag| flag.load(Relaxed))
    }

    /// Claims the right to put the file in place. False: it was aborted.
    pub(super) fn commit(&self) -> bool {
        self.phase.compare_exchange(WRITING, COMMITTED, AcqRel, Acquire).is_ok()
    }

    /// Keys written so far.
    pub fn keys(&self) -> u64 {
        self.keys.load(Relaxed)
    }

    /// Keys to be written in all.
    pub fn keys_total(&self) -> u64 {
        self.keys_total.load(Relaxed)
    }

    /// Bytes handed to the file so far.
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Relaxed)
    }

    pub(super) fn set_total(&self, keys: u64) {
        self.keys_total.store(keys, Relaxed);
    }

    pub(super) fn set_bytes(&self, bytes: u64) {
        self.bytes.store(bytes, Relaxed);
    }

    /// A key was written: counts it and sleeps if it must.
    pub(super) fn key_done(&self) {
        let keys = self.keys.load(Relaxed) + 1;
        self.keys.store(keys, Relaxed);
        if self.delay.micros() != 0 {
            self.delay.sleep(keys, &self.phase);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sleeping(control: &Arc<SaveControl>) -> std::thread::JoinHandle<Duration> {
        let control = Arc::clone(control);
        std::thread::spawn(move || {
            let started = Instant::now();
            control.key_done();
            started.elapsed()
        })
    }

    #[test]
    fn a_changed_delay_counts_at_once() {
        let delay = Arc::new(KeyDelay::default());
        delay.set(60_000_000);
        let control = Arc::new(SaveControl::new(Arc::clone(&delay)));
        let thread = sleeping(&control);
        while control.keys() == 0 {
            std::thread::yield_now();
        }
        std::thread::sleep(Duration::from_millis(20));
        assert!(!thread.is_finished());
        delay.set(0);
        assert!(thread.join().unwrap() < Duration::from_secs(30));
    }

    #[test]
    fn an_abort_ends_the_sleep() {
        let delay = Arc::new(KeyDelay::default());
        delay.set(60_000_000);
        let control = Arc::new(SaveControl::new(delay));
        let thread = sleeping(&control);
        assert!(control.abort() && control.abort() && control.aborted());
        assert!(thread.join().unwrap() < Duration::from_secs(30));
        assert!(!control.commit());
    }

    #[test]
    fn who_commits_cannot_be_aborted() {
        let control = SaveControl::default();
        assert!(control.commit());
        assert!(!control.abort() && !control.aborted());
    }

    #[test]
    fn short_delays_are_slept() {
        let delay = Arc::new(KeyDelay::default());
        let control = SaveControl::new(Arc::clone(&delay));
        let started = Instant::now();
        delay.set(2000);
        (0..10).for_each(|_| control.key_done());
        assert!(started.elapsed() >= Duration::from_millis(20));
        delay.set(-3);
        (0..10).for_each(|_| control.key_done());
        assert_eq!(control.keys(), 20);
    }
}
