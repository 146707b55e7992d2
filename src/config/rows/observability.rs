//! The group `observability`: logs, the slow log, latency, metrics.

use super::{I32, I64, group};
use crate::config::choice::{LogFormat, LogLevel, SyslogFacility};
use crate::config::row::{Apply, Spec};
use crate::config::special::Percentiles;
use crate::config::value::Text;

const NO_SYSLOG: &str = "the log goes to standard output or a file; journald or a log shipper takes it from there";

fn an_address(text: &[u8]) -> Result<(), String> {
    if text.is_empty() {
        return Ok(());
    }
    let text = std::str::from_utf8(text).ok();
    match text.and_then(|t| t.parse::<std::net::SocketAddr>().ok()) {
        Some(_) => Ok(()),
        None => Err("argument must be an address and a port, like 127.0.0.1:9121, or empty".to_owned()),
    }
}

fn a_word(text: &[u8]) -> Result<(), String> {
    match text.iter().all(u8::is_ascii_graphic) {
        true => Ok(()),
        false => Err("argument must be a word of printable ASCII, or empty".to_owned()),
    }
}

group! {
    /// Logs, the slow log, latency, metrics.
    Observability in observability of Observability {
        /// How much is logged.
        loglevel: LogLevel = LogLevel::Notice => Spec::choice("loglevel", LogLevel::WORDS).apply(Apply::Log);

        /// The file that the log is appended to. Empty: standard output.
        logfile: Text = Text::default() => Spec::file("logfile").at_start();

        /// The form of a log line: Redis's, or JSON.
        log_format: LogFormat = LogFormat::Line => Spec::choice("log-format", LogFormat::WORDS).apply(Apply::Log);

        /// Keep keys and values out of the log.
        hide_user_data_from_log: bool = false => Spec::bool("hide-user-data-from-log").no_effect("keys and values are never logged");

        /// Log to syslog.
        syslog_enabled: bool = false => Spec::bool("syslog-enabled").at_start().no_effect(NO_SYSLOG);

        /// The name used in syslog.
        syslog_ident: Text = Text::from("redis") => Spec::text("syslog-ident").at_start().no_effect(NO_SYSLOG);

        /// The facility used in syslog.
        syslog_facility: SyslogFacility = SyslogFacility::Local0
            => Spec::choice("syslog-facility", SyslogFacility::WORDS).at_start().no_effect(NO_SYSLOG);

        /// The address that metrics and health are served on by HTTP. Empty: none.
        http_listen: Text = Text::default() => Spec::checked_text("http-listen", an_address).apply(Apply::Observer);

        /// Commands that take longer than so many microseconds go to the slow log. Negative: none do.
        slowlog_log_slower_than: i64 = 10000
            => Spec::int("slowlog-log-slower-than", -1, I64).alias(&["commandlog-execution-slower-than"]);

        /// How many commands the slow log remembers.
        slowlog_max_len: u64 = 128
            => Spec::int("slowlog-max-len", 0, I64).alias(&["commandlog-slow-execution-max-len"]);

        /// Events that take at least so many milliseconds go to the latency monitor. 0 turns it off.
        latency_monitor_threshold: i64 = 0 => Spec::int("latency-monitor-threshold", 0, I64);

        /// Keep a histogram of the time each command takes.
        latency_tracking: bool = true => Spec::bool("latency-tracking").apply(Apply::LatencyTracking);

        /// The percentiles that INFO shows of it.
        latency_tracking_info_percentiles: Percentiles = Percentiles(vec![50.0, 99.0, 99.9])
            => Spec::special("latency-tracking-info-percentiles", "numbers from 0 to 100").multi();

        /// The mem_allocator that INFO gives. Empty: the name of the allocator. Redis's own test suite tries jemalloc's
        /// controls where it finds that word, and those are not offered here.
        info_mem_allocator: Text = Text::default() => Spec::checked_text("info-mem-allocator", a_word).hidden();

        /// Write a report when the process crashes.
        crash_log_enabled: bool = true => Spec::bool("crash-log-enabled").no_effect("a crash is always reported");

        /// Test the memory after a crash.
        crash_memcheck_enabled: bool = true
            => Spec::bool("crash-memcheck-enabled").no_effect("a crash report does not test the memory");

        /// Log where the process is when the loop takes longer than so many milliseconds. 0 does not. For debugging.
        watchdog_period: u32 = 0
            => Spec::int("watchdog-period", 0, I32).hidden().no_effect("the metrics show the duration of every turn");
    }
}
