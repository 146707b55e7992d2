//! What happens on signals that nobody waits for.
//!
//! The signals that mean something to the server (SIGTERM, SIGINT, SIGHUP) reach its loop as events through the
//! reactor. What is left for this file is to switch off what would kill the process without cause, and to keep
//! signals away from worker threads.

use std::io;

use nix::sys::signal::{SigHandler, SigSet, Signal, signal};

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

/// Lets a fatal signal end the process at its next arrival, whatever was installed for it; for the second SIGINT
/// of an impatient operator and for a crash handler that has said what it had to say.
pub fn restore_default(which: i32) -> io::Result<()> {
    let which = Signal::try_from(which)?;
    // SAFETY: SIG_DFL installs no code of ours.
    unsafe { signal(which, SigHandler::SigDfl) }?;
    Ok(())
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
        assert!(restore_default(9999).is_err());
        restore_default(Signal::SIGWINCH as i32).unwrap();
    }
}
