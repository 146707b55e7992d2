//! What is noted of each command and each turn: statistics, the slow log, the latency monitor.

use std::collections::BTreeMap;

use crate::client::Session;
use crate::config::Config;
use crate::exec::instance::Instance;
use crate::exec::spec::Flags;
use crate::exec::table::Command;
use crate::observe::log::Level;
use crate::resp::Args;

/// How long something takes that is noted: the configuration, in the units that the hot path compares with.
pub(super) struct Thresholds {
    /// `slowlog-log-slower-than` in ns, `u64::MAX` when off: what [`Instance::account`] compares with.
    slow_ns: u64,
    /// `latency-monitor-threshold` in ns, `u64::MAX` when off.
    latency_ns: u64,
    /// Time of this turn that the latency monitor has noted already, ns.
    noted_ns: u64,
    /// `latency-tracking`.
    track_latency: bool,
}

impl Default for Thresholds {
    fn default() -> Thresholds {
        Thresholds { slow_ns: u64::MAX, latency_ns: u64::MAX, noted_ns: 0, track_latency: true }
    }
}

impl Thresholds {
    /// Takes over what the configuration says.
    pub(super) fn follow(&mut self, config: &Config) {
        let slower_us = config.observability.slowlog_log_slower_than;
        self.slow_ns = u64::try_from(slower_us).map_or(u64::MAX, |us| us.saturating_mul(1000));
        let threshold_ms = config.observability.latency_monitor_threshold as u64;
        self.latency_ns = if threshold_ms == 0 { u64::MAX } else { threshold_ms.saturating_mul(1_000_000) };
        self.track_latency = config.observability.latency_tracking;
    }
}

impl Instance {
    /// Statistics of one executed command.
    #[inline]
    pub(super) fn account(
        &mut self,
        session: &Session,
        command: &'static Command,
        args: Args<'_>,
        duration_ns: u64,
        failed: bool,
    ) {
        let stats = &self.metrics.commands[usize::from(command.id)];
        stats.record(duration_ns, failed, self.thresholds.track_latency);
        self.stats.commands += 1;
        if duration_ns >= self.thresholds.slow_ns.min(self.thresholds.latency_ns) {
            self.account_slow(session, command, args, duration_ns);
        }
    }

    /// The same of one that another thread has read for: `reading_ns` of its duration did not keep anybody waiting.
    pub(super) fn account_read(
        &mut self,
        session: &Session,
        command: &'static Command,
        args: Args<'_>,
        (duration_ns, reading_ns): (u64, u64),
        failed: bool,
    ) {
        let stats = &self.metrics.commands[usize::from(command.id)];
        stats.record(duration_ns, failed, self.thresholds.track_latency);
        self.stats.commands += 1;
        self.log_slow(session, command, args, duration_ns);
        self.note_latency("long-read", reading_ns);
    }

    #[cold]
    fn account_slow(&mut self, session: &Session, command: &'static Command, args: Args<'_>, duration_ns: u64) {
        self.log_slow(session, command, args, duration_ns);
        let event = if command.flags.has(Flags::FAST) { "fast-command" } else { "command" };
        if self.note_latency(event, duration_ns) {
            self.thresholds.noted_ns += duration_ns;
        }
    }

    /// The slow log.
    fn log_slow(&mut self, session: &Session, command: &'static Command, args: Args<'_>, duration_ns: u64) {
        if duration_ns >= self.thresholds.slow_ns && !command.flags.has(Flags::SKIP_SLOWLOG) {
            let len_max = self.config.observability.slowlog_max_len as usize;
            let request = (command.spec, args);
            let who = (self.clients.addr_of(session), session.about.name.as_slice());
            self.slowlog.add(self.now_ms / 1000, duration_ns / 1000, request, who, len_max);
        }
    }

    /// There are too many codes of errors: none is told apart any more.
    #[cold]
    pub(super) fn drop_error_codes(&mut self, codes: BTreeMap<String, u64>) {
        let count = codes.len();
        let text =
            format!("Errorstats stopped adding new errors because the number of errors reached the limit ({count})");
        self.log.log(Level::Warning, &text, &[]);
        let head: Vec<&str> = codes.keys().take(16).map(String::as_str).collect();
        self.log.log(Level::Warning, &format!("Current errors code list (head): {}", head.join(", ")), &[]);
        self.keyspace.free_other_elsewhere(Box::new(codes), count as u64, 0);
    }

    /// Tells the latency monitor how long something took; true if that was long enough to be noted.
    pub fn note_latency(&mut self, event: &'static str, duration_ns: u64) -> bool {
        let is_slow = duration_ns >= self.thresholds.latency_ns;
        if is_slow {
            let threshold_ms = self.config.observability.latency_monitor_threshold as u64;
            self.latency.note(event, duration_ns / 1_000_000, threshold_ms, self.now_ms / 1000);
        }
        is_slow
    }

    /// Statistics of one turn of the loop.
    pub fn account_turn(&mut self, duration_ns: u64, commands: u64) {
        self.stats.turns.note(duration_ns, commands);
        // Slow for a reason that is not noted yet.
        let slow_ns = std::mem::take(&mut self.thresholds.noted_ns);
        self.note_latency("eventloop", duration_ns.saturating_sub(slow_ns));
    }
}
