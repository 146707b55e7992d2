//! What happens on signals that nobody waits for.
//!
//! The signals that mean something to the server (SIGTERM, SIGINT, SIGHUP) reach its loop as events through the
//! reactor. What is left for this file is to switch off what would kill the process without cause, and to keep
//! signals away from worker threads.

use std::io;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;

use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction, signal};

/// Ignores SIGPIPE: a write to a connection that the peer closed must be an error, not the end.
///
/// The Rust runtime does the same before `main`; a program that embeds this one may not.
pub fn ignore_broken_pipes() -> io::Result<()> {
    ignore(Signal::SIGPIPE)
}

/// Ignores SIGHUP: a daemon survives its terminal. For instances that have nothing to reload.
pub fn ignore_hangups() -> io::Result<()> {
    ignore(Signal::SIGHUP)
}

fn ignore(which: Signal) -> io::Result<()> {
    // SAFETY: SIG_IGN installs no code of ours.
    unsafe { signal(which, SigHandler::SigIgn) }?;
    Ok(())
}

/// Keeps all signals from the calling thread: a worker's system calls are then never interrupted, and a signal
/// always finds the main thread.
pub fn block_in_this_thread() -> io::Result<()> {
    SigSet::all().thread_block()?;
    Ok(())
}

static INTERRUPTED: AtomicBool = AtomicBool::new(false);

extern "C" fn note_interrupt(_: i32) {
    INTERRUPTED.store(true, Relaxed);
}

/// While it lives, SIGINT does nothing but be noted: for the main thread while it is busy and waits for no events.
pub struct Interrupts {
    before: SigAction,
}

impl Interrupts {
    /// Begins to note them.
    pub fn watch() -> io::Result<Interrupts> {
        INTERRUPTED.store(false, Relaxed);
        let action = SigAction::new(SigHandler::Handler(note_interrupt), SaFlags::SA_RESTART, SigSet::empty());
        // SAFETY: the handler does nothing but store to an atomic.
        let before = unsafe { sigaction(Signal::SIGINT, &action) }?;
        Ok(Interrupts { before })
    }

    /// True once there was one.
    pub fn flag(&self) -> &'static AtomicBool {
        &INTERRUPTED
    }
}

impl Drop for Interrupts {
    fn drop(&mut self) {
        // SAFETY: it is what was installed before.
        let _ = unsafe { sigaction(Signal::SIGINT, &self.before) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::os::unix::net::UnixStream;

    #[test]
    fn a_broken_pipe_is_an_error() {
        ignore_broken_pipes().unwrap();
        let (mut a, b) = UnixStream::pair().unwrap();
        drop(b);
        assert_eq!(a.write(b"x").unwrap_err().kind(), io::ErrorKind::BrokenPipe);
    }

    #[test]
    fn a_worker_can_refuse_signals() {
        std::thread::spawn(|| {
            block_in_this_thread().unwrap();
            assert!(SigSet::thread_get_mask().unwrap().contains(Signal::SIGTERM));
        })
        .join()
        .unwrap();
        assert!(!SigSet::thread_get_mask().unwrap().contains(Signal::SIGTERM));
    }

    #[test]
    fn interrupts_are_noted() {
        let interrupts = Interrupts::watch().unwrap();
        assert!(!interrupts.flag().load(Relaxed));
        nix::sys::signal::raise(Signal::SIGINT).unwrap();
        assert!(interrupts.flag().load(Relaxed));
    }
}
