//! Fatal signals, and the end of memory: a report is made, then the process ends by the signal as it would have anyway.
//!
//! Rust code does not fault, but `unsafe` blocks and C code can; and whoever finds a server that hangs ends it with
//! SIGSEGV or SIGABRT to learn where it was.
//!
//! The report is made on the faulting thread, inside the signal handler, where hardly anything is allowed: the fault may
//! have interrupted whoever holds the allocator's locks. So its memory comes from what was set aside (`reserve`), and
//! what it says goes to a descriptor, past all buffers and their locks. What is left of the risk is taken with open
//! eyes, as Redis takes it: the process is lost already. A fault inside the report ends the process, and so does an
//! alarm if the report hangs.
//!
//! The same report is made when the allocator has no memory left, before anybody learns of it: the standard library
//! would want memory, and a lock, to say so.

use super::reserve;
use std::io;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use nix::sys::mman::{MapFlags, ProtFlags, mmap_anonymous};
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};

/// Seconds that a report may take.
const REPORT_SECONDS_MAX: u32 = 20;

/// The same when memory is out: then the report is short, and nothing else of this process will ever get better.
const MEMORY_REPORT_SECONDS_MAX: u32 = 1;

/// Stack for the handler: the main one may be what has run out. A backtrace needs a good deal of it.
const STACK_BYTES: usize = 512 * 1024;

/// What ended the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The signal's number.
    pub signal: i32,
    /// The address that could not be accessed, for signals that are about memory.
    pub address: usize,
    /// Memory is out: how much was wanted.
    pub out_of_memory: Option<usize>,
}

type Report = Box<dyn Fn(Fault) + Send + Sync>;
type LastWord = Box<dyn Fn() + Send + Sync>;

static REPORT: OnceLock<(Report, LastWord)> = OnceLock::new();
static REPORTING: AtomicBool = AtomicBool::new(false);

const FATAL: [Signal; 5] = [Signal::SIGSEGV, Signal::SIGBUS, Signal::SIGFPE, Signal::SIGILL, Signal::SIGABRT];

/// Calls `report` when a fatal signal arrives or memory is out; then the process ends by the signal, or by SIGABRT.
/// Once a process; later calls change nothing. To be called on the main thread, whose stack overflows are reported too.
///
/// While `report` runs, what it allocates comes from memory set aside. When that is used up, `cut_short` says the last
/// word instead.
pub fn on_fatal(
    report: impl Fn(Fault) + Send + Sync + 'static,
    cut_short: impl Fn() + Send + Sync + 'static,
) -> io::Result<()> {
    if REPORT.set((Box::new(report), Box::new(cut_short))).is_err() {
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

/// Begins the one report of this process; false when there is one already, or nobody makes any.
fn begin_report(seconds_max: u32) -> bool {
    if REPORT.get().is_none() || REPORTING.swap(true, Ordering::SeqCst) {
        return false;
    }
    // SAFETY: alarm() has no preconditions; nobody else uses SIGALRM.
    unsafe { libc::alarm(seconds_max) };
    reserve::open();
    true
}

extern "C" fn handle(number: libc::c_int, info: *mut libc::siginfo_t, _context: *mut libc::c_void) {
    // A fault inside the report finds the default action, because of SA_RESETHAND, unless it is of another kind.
    if begin_report(REPORT_SECONDS_MAX) {
        let about_memory = number == libc::SIGSEGV || number == libc::SIGBUS;
        let address = match about_memory && !info.is_null() {
            // SAFETY: with SA_SIGINFO the kernel passes a valid siginfo, whose address is set for these signals.
            true => unsafe { (*info).si_addr() as usize },
            false => 0,
        };
        if let Some((report, _)) = REPORT.get() {
            report(Fault { signal: number, address, out_of_memory: None });
        }
    }
    // SAFETY: raise() has no preconditions. The default action was restored on entry, so this ends the process.
    unsafe { libc::raise(number) };
}

/// The allocator has no `bytes` left. Does not return when there is somebody to report to; in a program that has not
/// called [`on_fatal`], the caller learns of it in the usual way.
#[cold]
pub(super) fn out_of_memory(bytes: usize) {
    /// A panic of the report must not find its way through the allocator.
    struct End;
    impl Drop for End {
        fn drop(&mut self) {
            end();
        }
    }
    let Some((report, _)) = REPORT.get() else { return };
    let _end = End;
    if begin_report(MEMORY_REPORT_SECONDS_MAX) {
        report(Fault { signal: libc::SIGABRT, address: 0, out_of_memory: Some(bytes) });
    } else if !reserve::is_mine() {
        // Another thread is about to end the process.
        loop {
            // SAFETY: pause() has no preconditions.
            unsafe { libc::pause() };
        }
    }
}

/// The report has used up the memory set aside for it.
#[cold]
pub(super) fn reserve_exhausted() -> ! {
    // What it says must need no memory; if it does, this is not the first call.
    static ONCE: AtomicBool = AtomicBool::new(false);
    if !ONCE.swap(true, Ordering::SeqCst)
        && let Some((_, cut_short)) = REPORT.get()
    {
        cut_short();
    }
    end()
}

/// Ends the process by SIGABRT. Its handler, if it is still ours, finds that there is a report and does the rest.
fn end() -> ! {
    // SAFETY: abort() has no preconditions.
    unsafe { libc::abort() }
}

/// Writes to a descriptor without buffers and locks, as far as it takes it: for reports.
pub fn write(descriptor: i32, mut bytes: &[u8]) {
    while !bytes.is_empty() {
        // SAFETY: the bytes are readable for the length that is passed; a descriptor that is closed is an error.
        let written = unsafe { libc::write(descriptor, bytes.as_ptr().cast(), bytes.len()) };
        match usize::try_from(written) {
            Ok(written @ 1..) => bytes = &bytes[written..],
            Err(_) if io::Error::last_os_error().kind() == io::ErrorKind::Interrupted => {}
            _ => return, // nobody is left to be told
        }
    }
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

    /// Runs one test of this file in a process of its own, where it has a role to play: this program, called for this
    /// test alone.
    fn in_own_process(name: &str, role: &str) -> (Option<i32>, String) {
        let out = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", &format!("sys::fault::tests::{name}"), "--nocapture", "--test-threads=1"])
            .env(ROLE, role)
            .env("RUST_BACKTRACE", "1")
            .output()
            .unwrap();
        (out.status.signal(), String::from_utf8_lossy(&out.stderr).into_owned())
    }

    const ROLE: &str = "KVSTASH_TEST_FAULT";

    #[test]
    fn a_fault_is_reported_and_ends_the_process() {
        if std::env::var_os(ROLE).is_some() {
            on_fatal(|fault| eprintln!("signal {} at {:#x}", fault.signal, fault.address), || {}).unwrap();
            provoke();
            unreachable!("the process has ended");
        }
        let (signal, text) = in_own_process("a_fault_is_reported_and_ends_the_process", "");
        assert_eq!(signal, Some(Signal::SIGSEGV as i32), "{text}");
        assert!(text.contains("signal 11 at 0x"), "{text}");
    }

    /// A report that wants more memory than there is, one that faults, and one that wants what nobody has: the process
    /// ends, and what could be said was said.
    #[test]
    #[cfg(not(any(miri, system_allocator)))]
    fn a_report_ends_whatever_it_does() {
        if let Some(role) = std::env::var_os(ROLE) {
            let report = move |fault: Fault| {
                write(2, format!("memory {:?}\n", fault.out_of_memory).as_bytes());
                match role.to_str() {
                    Some("greedy") => drop(std::hint::black_box(vec![1_u8; 1 << 30])),
                    Some("faulty") => provoke(),
                    Some("panicking") => panic!("in the report"),
                    _ => {}
                }
            };
            on_fatal(report, || write(2, b"cut short\n")).unwrap();
            // More than any address space has.
            drop(std::hint::black_box(Vec::<u8>::with_capacity(1 << 62)));
            unreachable!("the process has ended");
        }
        for (role, signal, last) in [
            ("plain", Signal::SIGABRT, "memory Some(4611686018427387904)\n"),
            ("greedy", Signal::SIGABRT, "cut short\n"),
            ("faulty", Signal::SIGSEGV, "memory Some(4611686018427387904)\n"),
            ("panicking", Signal::SIGABRT, ""),
        ] {
            let (ended, text) = in_own_process("a_report_ends_whatever_it_does", role);
            assert_eq!(ended, Some(signal as i32), "{role}: {text}");
            assert!(text.contains("memory Some(4611686018427387904)\n") && text.ends_with(last), "{role}: {text}");
        }
    }
}
