//! Fatal signals: a report is made, then the process ends by the signal as it would have anyway.
//!
//! Rust code does not fault, but `unsafe` blocks and C code can; and whoever finds a server that hangs ends it with
//! SIGSEGV or SIGABRT to learn where it was.
//!
//! The report is made on the faulting thread, inside the signal handler, where hardly anything is allowed: it may
//! allocate or lock what the fault interrupted. That is a risk taken with open eyes, as Redis takes it: the process
//! is lost already, and a report that comes nine times out of ten is worth the tenth. An alarm ends a report that
//! hangs.

use std::io;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use nix::sys::mman::{MapFlags, ProtFlags, mmap_anonymous};
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};

/// Seconds that a report may take.
const REPORT_SECONDS_MAX: u32 = 20;

/// Stack for the handler: the main one may be what has run out. A backtrace needs a good deal of it.
const STACK_BYTES: usize = 512 * 1024;

/// What ended the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The signal's number.
    pub signal: i32,
    /// The address that could not be accessed, for signals that are about memory.
    pub address: usize,
}

type Report = Box<dyn Fn(Fault) + Send + Sync>;

static REPORT: OnceLock<Report> = OnceLock::new();
static REPORTING: AtomicBool = AtomicBool::new(false);

const FATAL: [Signal; 5] = [Signal::SIGSEGV, Signal::SIGBUS, Signal::SIGFPE, Signal::SIGILL, Signal::SIGABRT];

/// Calls `report` when a fatal signal arrives; then the signal does what it always does. Once a process; later calls
/// change nothing. To be called on the main thread, whose stack overflows are reported too.
pub fn on_fatal(report: impl Fn(Fault) + Send + Sync + 'static) -> io::Result<()> {
    if REPORT.set(Box::new(report)).is_err() {
        return Ok(());
    }
    use_own_stack()?;
    let flags = SaFlags::SA_SIGINFO | SaFlags::SA_ONSTACK | SaFlags::SA_RESETHAND | SaFlags::SA_NODEFER;
    let action = SigAction::new(SigHandler::SigAction(handle), flags, SigSet::empty());
    for signal in FATAL {
        // SAFETY: the handler has the signature that SA_SIGINFO asks for and does not unwind. That it does more than
        // a signal handler safely can is explained at the head of this file.
        unsafe { sigaction(signal, &action) }?;
    }
    Ok(())
}

/// Gives this thread's signal handlers a stack that is large enough for a backtrace.
fn use_own_stack() -> io::Result<()> {
    let memory = vec![0_u8; STACK_BYTES].leak(); // for as long as the process lives
    let stack = libc::stack_t { ss_sp: memory.as_mut_ptr().cast(), ss_flags: 0, ss_size: memory.len() };
    // SAFETY: the memory is leaked, so it stays valid, and nothing else uses it.
    match unsafe { libc::sigaltstack(&stack, std::ptr::null_mut()) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

extern "C" fn handle(number: libc::c_int, info: *mut libc::siginfo_t, _context: *mut libc::c_void) {
    // A fault inside the report finds the default action, because of SA_RESETHAND, unless it is of another kind.
    if !REPORTING.swap(true, Ordering::SeqCst) {
        // SAFETY: alarm() has no preconditions; nobody else uses SIGALRM.
        unsafe { libc::alarm(REPORT_SECONDS_MAX) };
        let about_memory = number == libc::SIGSEGV || number == libc::SIGBUS;
        let address = match about_memory && !info.is_null() {
            // SAFETY: with SA_SIGINFO the kernel passes a valid siginfo, whose address is set for these signals.
            true => unsafe { (*info).si_addr() as usize },
            false => 0,
        };
        if let Some(report) = REPORT.get() {
            report(Fault { signal: number, address });
        }
    }
    // SAFETY: raise() has no preconditions. The default action was restored on entry, so this ends the process.
    unsafe { libc::raise(number) };
}

/// Writes to memory that may not be written to. Returns only if there is no memory left to do that with.
pub fn provoke() {
    let Some(page) = std::num::NonZeroUsize::new(4096) else { return };
    // SAFETY: a fresh anonymous mapping, at an address of the kernel's choice, touches nothing that exists.
    let Ok(at) = (unsafe { mmap_anonymous(None, page, ProtFlags::PROT_NONE, MapFlags::MAP_PRIVATE) }) else { return };
    // SAFETY: none: the page is inaccessible, which is the purpose. The processor faults before anything is written,
    // and the signal ends the process, so no code runs that could see a state the language does not define.
    unsafe { at.cast::<u8>().as_ptr().write_volatile(1) };
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::process::ExitStatusExt;
    use std::process::Command;

    /// The test faults in a process of its own: this program, called for this test alone.
    #[test]
    fn a_fault_is_reported_and_ends_the_process() {
        const ROLE: &str = "KVSTASH_TEST_FAULT";
        if std::env::var_os(ROLE).is_some() {
            on_fatal(|fault| eprintln!("signal {} at {:#x}", fault.signal, fault.address)).unwrap();
            provoke();
            unreachable!("the process has ended");
        }
        let name = "sys::fault::tests::a_fault_is_reported_and_ends_the_process";
        let out = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", name, "--nocapture", "--test-threads=1"])
            .env(ROLE, "1")
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&out.stderr).into_owned();
        assert_eq!(out.status.signal(), Some(Signal::SIGSEGV as i32), "{text}");
        assert!(text.contains("signal 11 at 0x"), "{text}");
    }
}
