//! The report on a panic or a fatal signal: what happened, where, and what the server was doing, in one block in the log.
//!
//! The block begins and ends with the lines that tools which watch Redis's logs look for. It goes to the log as
//! plain text whatever the log's format, because a half-written object would be worth less.

use std::backtrace::Backtrace;
use std::fmt::Write as _;
use std::panic::PanicHookInfo;
use std::sync::atomic::{AtomicBool, Ordering};

use super::log::Logger;

/// The line a report begins with.
pub const BEGIN: &str = "=== REDIS BUG REPORT START: Cut & paste starting from here ===";

/// Logs a report for every panic from now on. `facts` gives what the server knows of itself (version, memory, the
/// command being executed) as lines; it is called inside the panic, so it must not lock what the panicking thread
/// may hold, and must not panic.
pub fn report_panics(log: Logger, facts: impl Fn() -> String + Send + Sync + 'static) {
    std::panic::set_hook(Box::new(move |panic| write_report(&|text| log.raw(text), panic, &facts)));
}

/// Whether a report has been written: a panic that ends in an abort needs no second one.
static REPORTED: AtomicBool = AtomicBool::new(false);

/// Whether a stack is being walked. That takes a lock, which a crash meanwhile would wait for in vain.
static TRACING: AtomicBool = AtomicBool::new(false);

const SIGABRT: i32 = 6;

/// What ended the process without a panic.
#[derive(Clone, Copy, Debug)]
pub enum Cause {
    /// A fatal signal, and what could not be accessed: 0 if the signal is not about memory.
    Signal(i32, usize),
    /// No memory is left; so many bytes were wanted.
    OutOfMemory(usize),
}

/// Reports what ends the process, from inside of a signal's handler or of the allocator. `write` must take no lock.
///
/// It is written piece by piece: what comes later may fail.
pub fn report_end(write: &dyn Fn(&str), cause: Cause, facts: impl Fn() -> String) {
    let headline = match cause {
        Cause::Signal(SIGABRT, _) if REPORTED.swap(true, Ordering::SeqCst) => return,
        Cause::Signal(signal, 0) => format!("crashed by signal: {signal}"),
        Cause::Signal(signal, address) => format!("crashed by signal: {signal}\nAccessing address: {address:#x}"),
        Cause::OutOfMemory(bytes) => format!("Redis aborting for OUT OF MEMORY. Allocating {bytes} bytes!"),
    };
    REPORTED.store(true, Ordering::SeqCst);
    write(&format!("\n\n{BEGIN}\nkvstash {} {headline}\n", env!("CARGO_PKG_VERSION")));
    write(&format!("\n------ FACTS ------\n{}\n\n------ STACK TRACE ------\n", facts().trim_end()));
    match cause {
        Cause::Signal(..) => write(&trace()),
        // Symbols take much memory to read, and time; whoever asked for the last bytes is rarely who took the others.
        Cause::OutOfMemory(_) => write("none: memory is out"),
    }
    write(TRACE_END);
}

/// The end of a report that has no memory to be completed.
pub fn cut_short(write: &dyn Fn(&str)) {
    write("\n(no memory for more)");
    write(TRACE_END);
}

/// What follows the stack trace; its last line closes a report.
const TRACE_END: &str = "\n------ STACK TRACE DONE ------\n\n\
    === REDIS BUG REPORT END. Make sure to include from START to END. ===\n\n";

fn trace() -> String {
    if TRACING.swap(true, Ordering::SeqCst) {
        return "none: a stack was being walked".to_owned();
    }
    let trace = Backtrace::force_capture().to_string();
    TRACING.store(false, Ordering::SeqCst);
    trace.trim_end().to_owned()
}

fn write_report(write: &dyn Fn(&str), panic: &PanicHookInfo<'_>, facts: impl Fn() -> String) {
    REPORTED.store(true, Ordering::SeqCst);
    let (what, thread) = (panic_text(panic), std::thread::current());
    write(&format!(
        "\n\n{BEGIN}\nkvstash {} crashed in thread {}: {what}\nGuru Meditation: {what}\n",
        env!("CARGO_PKG_VERSION"),
        thread.name().unwrap_or("without a name"),
    ));
    let (facts, trace) = (facts(), trace());
    write(&format!("\n------ FACTS ------\n{}\n\n------ STACK TRACE ------\n{trace}{TRACE_END}", facts.trim_end()));
}

fn panic_text(panic: &PanicHookInfo<'_>) -> String {
    let mut text = panic.payload_as_str().unwrap_or("a panic without a message").to_owned();
    if let Some(at) = panic.location() {
        // Writing to a String does not fail.
        let _ = write!(text, " ({}:{}:{})", at.file(), at.line(), at.column());
    }
    text
}

#[cfg(test)]
mod tests {
    use super::super::log::{Options, Output};
    use super::*;

    #[test]
    fn a_panic_is_reported() {
        let path = std::env::temp_dir().join(format!("kvstash-crash-{}", std::process::id()));
        let log = Logger::new(Options { output: Output::File(path.clone()), ..Options::default() }).unwrap();
        // The hook is the process's, and other tests may fail meanwhile: theirs go where they went.
        let former = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| match std::thread::current().name() {
            Some("unlucky") => write_report(&|text| log.raw(text), panic, || "used_memory:1".to_owned()),
            _ => former(panic),
        }));
        let _ = std::thread::Builder::new().name("unlucky".into()).spawn(|| panic!("number {}", 13)).unwrap().join();
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        let lines: Vec<&str> = text.lines().filter(|l| !l.is_empty()).collect();
        assert_eq!(lines[0], BEGIN);
        assert!(lines[1].contains("in thread unlucky: number 13 (src/observe/crash.rs:"), "{}", lines[1]);
        assert!(text.contains("used_memory:1") && text.contains("a_panic_is_reported"));
        assert!(lines.last().unwrap().starts_with("=== REDIS BUG REPORT END"));
    }

    #[test]
    fn the_end_of_memory_is_reported_without_a_trace() {
        let said = std::cell::RefCell::new(String::new());
        let write = |text: &str| said.borrow_mut().push_str(text);
        report_end(&write, Cause::OutOfMemory(77), || "used_memory:1\n".to_owned());
        let text = said.borrow().clone();
        assert!(text.starts_with(&format!("\n\n{BEGIN}\n")) && text.ends_with(TRACE_END), "{text}");
        assert!(text.contains("OUT OF MEMORY. Allocating 77 bytes!\n") && text.contains("\nused_memory:1\n"), "{text}");
        // A report that has been cut short has its end, too.
        said.borrow_mut().clear();
        cut_short(&write);
        assert!(said.borrow().ends_with(TRACE_END));
    }
}
