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

/// The line that closes a report.
pub const END: &str = "=== REDIS BUG REPORT END. Make sure to include from START to END. ===";

/// Logs a report for every panic from now on. `facts` gives what the server knows of itself (version, memory, the
/// command being executed) as lines; it is called inside the panic, so it must not lock what the panicking thread
/// may hold, and must not panic.
pub fn report_panics(log: Logger, facts: impl Fn() -> String + Send + Sync + 'static) {
    std::panic::set_hook(Box::new(move |panic| write_report(&log, panic, &facts)));
}

/// Whether a report has been written: a panic that ends in an abort needs no second one.
static REPORTED: AtomicBool = AtomicBool::new(false);

const SIGABRT: i32 = 6;

/// Logs a report for a fatal signal, from inside its handler. `address` is what could not be accessed, 0 if the signal
/// is not about memory.
pub fn report_signal(log: &Logger, signal: i32, address: usize, facts: &str) {
    if REPORTED.swap(true, Ordering::SeqCst) && signal == SIGABRT {
        return;
    }
    let mut headline = format!("crashed by signal: {signal}");
    if address != 0 {
        // Writing to a String does not fail.
        let _ = write!(headline, "\nAccessing address: {address:#x}");
    }
    // Said first, in case that walking the stack fails.
    log.raw(&format!("\n\n{BEGIN}\nkvstash {} {headline}\n", env!("CARGO_PKG_VERSION")));
    log.raw(&body(facts, &Backtrace::force_capture().to_string()));
}

fn write_report(log: &Logger, panic: &PanicHookInfo<'_>, facts: impl Fn() -> String) {
    REPORTED.store(true, Ordering::SeqCst);
    let trace = Backtrace::force_capture();
    log.raw(&report(&panic_text(panic), &facts(), &trace.to_string()));
}

fn panic_text(panic: &PanicHookInfo<'_>) -> String {
    let mut text = panic.payload_as_str().unwrap_or("a panic without a message").to_owned();
    if let Some(at) = panic.location() {
        // Writing to a String does not fail.
        let _ = write!(text, " ({}:{}:{})", at.file(), at.line(), at.column());
    }
    text
}

/// The text of a report on a panic.
fn report(what: &str, facts: &str, trace: &str) -> String {
    let thread = std::thread::current();
    format!(
        "\n\n{BEGIN}\n\
         kvstash {} crashed in thread {}: {what}\n\
         Guru Meditation: {what}\n{}",
        env!("CARGO_PKG_VERSION"),
        thread.name().unwrap_or("without a name"),
        body(facts, trace)
    )
}

/// What all reports have.
fn body(facts: &str, trace: &str) -> String {
    format!(
        "\n------ FACTS ------\n{}\n\n------ STACK TRACE ------\n{}\n------ STACK TRACE DONE ------\n\n{END}\n\n",
        facts.trim_end(),
        trace.trim_end(),
    )
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
            Some("unlucky") => write_report(&log, panic, || "used_memory:1".to_owned()),
            _ => former(panic),
        }));
        let _ = std::thread::Builder::new().name("unlucky".into()).spawn(|| panic!("number {}", 13)).unwrap().join();
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        let lines: Vec<&str> = text.lines().filter(|l| !l.is_empty()).collect();
        assert_eq!(lines[0], BEGIN);
        assert!(lines[1].contains("in thread unlucky: number 13 (src/observe/crash.rs:"), "{}", lines[1]);
        assert!(text.contains("used_memory:1") && text.contains("a_panic_is_reported"));
        assert_eq!(*lines.last().unwrap(), END);
    }
}
