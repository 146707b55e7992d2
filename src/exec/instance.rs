//! The instance: Redis without sockets.
//!
//! Everything a command can reach is here: databases, configuration, clients, statistics. What a command wants done
//! outside (a connection closed, replies of another client sent, the server stopped) it leaves as an [`Ask`], which
//! the server settles right after the batch.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::blocking::Waiting;
use crate::client::{Attention, Client, Clients, Outbox, RecentBuffers};
use crate::config::{Config, Sources};
use crate::db::Keyspace;
use crate::exec::debug::DebugSwitches;
use crate::exec::defrag::Defragmenter;
use crate::exec::eviction::Eviction;
use crate::exec::rates::Rates;
use crate::exec::slowlog::SlowLog;
use crate::exec::spec::Flags;
use crate::exec::table::{Command, CommandTable};
use crate::observe::latency::Latency;
use crate::observe::log::Logger;
use crate::observe::metrics::Metrics;
use crate::persist::{LoadCounts, LoadProgress, Saver};
use crate::reactor::ConnId;
use crate::resp::Args;
use crate::sys::allocator::UsedMemory;
use crate::util::rng::Rng;

/// Reasons why no request can take the short way just now.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Alert(u32);

impl Alert {
    /// The data set is being loaded.
    pub const LOADING: Alert = Alert(1);
    /// CLIENT PAUSE.
    pub const PAUSED: Alert = Alert(1 << 1);
    /// Somebody is in MONITOR mode.
    pub const MONITORED: Alert = Alert(1 << 2);
    /// Memory was over maxmemory when a command last asked.
    pub const OVER_MEMORY: Alert = Alert(1 << 3);
    /// The last save failed and writes are to stop.
    pub const DISK_ERROR: Alert = Alert(1 << 4);
    /// maxmemory is set. Alone, it is no reason while memory is within it.
    pub const LIMITED_MEMORY: Alert = Alert(1 << 5);
    /// There are fewer replicas than `min-replicas-to-write` asks for.
    pub const FEW_REPLICAS: Alert = Alert(1 << 6);
    /// DEBUG KEYSIZES-HIST-ASSERT: every command is followed by a look at the sizes of all values.
    pub const SIZES_ASSERTED: Alert = Alert(1 << 7);

    /// No reason.
    #[inline]
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Whether any of `other` is set.
    #[inline]
    pub fn has(self, other: Alert) -> bool {
        self.0 & other.0 != 0
    }

    /// Sets or clears a reason.
    pub fn put(&mut self, other: Alert, on: bool) {
        if on { self.0 |= other.0 } else { self.0 &= !other.0 }
    }
}

/// CLIENT PAUSE.
#[derive(Clone, Copy, Default, Debug)]
pub struct Pause {
    /// Everything waits until then, ms since 1970.
    pub all_until_ms: i64,
    /// Writes wait until then.
    pub writes_until_ms: i64,
}

impl Pause {
    /// Whether a command with these flags has to wait.
    pub fn holds(self, flags: Flags, now_ms: i64) -> bool {
        now_ms < self.all_until_ms
            || (now_ms < self.writes_until_ms && flags.has(Flags::WRITE.or(Flags::MAY_REPLICATE)))
    }

    /// Whether the pause is over.
    pub fn is_over(self, now_ms: i64) -> bool {
        now_ms >= self.all_until_ms.max(self.writes_until_ms)
    }
}

/// Why a client is closed against its will.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CloseReason {
    /// CLIENT KILL, or an administrative command.
    Killed,
    /// It sent more than client-query-buffer-limit without completing a request.
    QueryBufferFull,
    /// It does not read its replies: client-output-buffer-limit.
    OutputBufferFull,
    /// It took more memory than others when all together took too much: maxmemory-clients.
    Evicted,
    /// timeout.
    Idle,
    /// The connection broke.
    Broken,
    /// It asked to be closed, or broke the protocol, and has been told all it was owed.
    Served,
}

/// What a command asks of the server.
#[derive(Debug)]
pub enum Ask {
    /// Send what this client is owed.
    Flush(ConnId),
    /// Close a client at once.
    Close(ConnId, CloseReason),
    /// CLIENT PAUSE is over: run what was held back.
    Resume,
    /// A client's wait is over: send what it is owed, run what it sent meanwhile.
    GoOn(ConnId),
    /// A client's requests have to wait until CLIENT PAUSE is over.
    HoldBack(ConnId),
    /// Stop.
    Shutdown(ShutdownOptions),
    /// Give up stopping.
    AbortShutdown,
}

/// SHUTDOWN's options.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ShutdownOptions {
    /// SAVE: also without save points.
    pub save: bool,
    /// NOSAVE.
    pub nosave: bool,
    /// NOW: do not wait for anybody.
    pub now: bool,
    /// FORCE: stop even when saving fails.
    pub force: bool,
}

/// Counts of error replies by code.
#[derive(Default)]
pub struct ErrorCounts {
    total: u64,
    by_code: BTreeMap<String, u64>,
    disabled: bool,
}

/// Beyond so many codes nothing is told apart any more until CONFIG RESETSTAT: scripts can make up any number of
/// them, and then the list says nothing.
const ERROR_CODES_MAX: usize = 128;

impl ErrorCounts {
    /// Counts one error reply.
    pub fn count(&mut self, code: &str) {
        self.total += 1;
        if self.disabled {
            return;
        }
        if let Some(n) = self.by_code.get_mut(code) {
            *n += 1;
        } else if self.by_code.len() < ERROR_CODES_MAX {
            self.by_code.insert(code.to_owned(), 1);
        } else {
            self.disabled = true;
            self.by_code = BTreeMap::from([("ERRORSTATS_DISABLED".to_owned(), 1)]);
        }
    }

    /// All error replies.
    pub fn total(&self) -> u64 {
        self.total
    }

    /// Error replies by code.
    pub fn by_code(&self) -> impl Iterator<Item = (&str, u64)> {
        self.by_code.iter().map(|(c, n)| (c.as_str(), *n))
    }

    /// Back to zero.
    pub fn reset(&mut self) {
        *self = ErrorCounts::default();
    }
}

/// Extremes of the loop's turns, for INFO.
#[derive(Default, Clone, Copy)]
pub struct Turns {
    /// The longest one, µs.
    pub longest_us: u64,
    /// The most commands in one.
    pub commands_max: u64,
    /// Turns so far.
    pub count: u64,
    /// Their durations, µs.
    pub total_us: u64,
    /// Time in crons, ns.
    pub cron_ns: u64,
    /// Time in active expiry, ns.
    pub expire_ns: u64,
    /// Time in commands that other commands ran (EXEC), which counts for both, ns.
    pub nested_ns: u64,
}

impl Turns {
    fn note(&mut self, duration_ns: u64, commands: u64) {
        let us = duration_ns / 1000;
        self.longest_us = self.longest_us.max(us);
        self.commands_max = self.commands_max.max(commands);
        self.count += 1;
        self.total_us += us;
    }
}

/// Redis without sockets.
pub struct Instance {
    /// All databases.
    pub keyspace: Keyspace,
    /// The running configuration.
    pub config: Config,
    /// Where it came from, for CONFIG REWRITE and SIGHUP.
    pub sources: Sources,
    /// The out-of-memory score that the process had before `oom-score-adj`, while that is on.
    pub oom_score_base: Option<i32>,
    /// All clients.
    pub clients: Clients,
    /// All commands.
    pub table: &'static CommandTable,
    /// Reasons why no request can take the short way.
    pub alert: Alert,
    /// Wall clock of this turn, ms since 1970.
    pub now_ms: i64,
    /// Monotonic time when the command at hand began, ns.
    pub stamp_ns: u64,
    /// CLIENT PAUSE.
    pub pause: Pause,
    /// Clients whose command waits.
    pub waiting: Waiting,
    /// How many clients CLIENT PAUSE holds back.
    pub held_back: usize,
    /// Clients in MONITOR mode, in the order in which they entered it.
    pub monitors: Vec<ConnId>,
    /// Pushes that wait for the end of the request at hand.
    pub outbox: Outbox,
    /// What the server is asked to do.
    pub asks: Vec<Ask>,
    /// The slow log.
    pub slowlog: SlowLog,
    /// The latency monitor.
    pub latency: Latency,
    /// Snapshots to disk.
    pub saver: Saver,
    /// Counters that other threads may read.
    pub metrics: Arc<Metrics>,
    /// Error replies.
    pub errors: ErrorCounts,
    /// The log.
    pub log: Logger,
    /// Memory in use.
    pub memory: UsedMemory,
    /// Memory allocated when the start was done, bytes.
    pub startup_bytes: u64,
    pub(super) peak_noted: u64,
    /// When memory had its peak, ms since 1970.
    pub(super) peak_ms: i64,
    /// The largest buffers of clients lately.
    pub recent_buffers: RecentBuffers,
    /// Chance.
    pub rng: Rng,
    /// 40 hex digits that name this run.
    pub run_id: String,
    /// 40 hex digits that name the history of writes.
    pub replication_id: String,
    /// Switches that only DEBUG turns.
    pub debug: DebugSwitches,
    /// Wall clock at the start, ms.
    pub started_ms: i64,
    /// Commands executed: what was refused or queued does not count, what EXEC runs does.
    pub commands_total: u64,
    /// Bytes received.
    pub input_bytes: u64,
    /// Bytes sent.
    pub output_bytes: u64,
    /// Rates of the recent past.
    pub rates: Rates,
    /// The loop's turns.
    pub turns: Turns,
    /// What the load at the start brought.
    pub loaded: LoadCounts,
    /// How far a load is.
    pub load_progress: LoadProgress,
    /// When the load began, ms since 1970.
    pub loading_started_ms: i64,
    /// What taking the last snapshot cost this thread, ns.
    pub snapshot_ns: u64,
    /// Snapshots taken.
    pub snapshots: u64,
    /// How often active expiry ran out of its budget.
    pub expire_stopped_early: u64,
    /// Memory at its limit.
    pub eviction: Eviction,
    /// Moving memory.
    pub defragmenter: Defragmenter,
    pub(super) crons: u64,
    /// When a shutdown that waits will stop waiting, ms since 1970; 0 when none does.
    pub shutdown_deadline_ms: i64,
    /// `slowlog-log-slower-than` in ns, `u64::MAX` when off: what [`Instance::account`] compares with.
    slow_ns: u64,
    /// `latency-monitor-threshold` in ns, `u64::MAX` when off.
    latency_ns: u64,
    /// Time of this turn that the latency monitor has noted already, ns.
    slow_in_turn_ns: u64,
    /// `latency-tracking`.
    track_latency: bool,
}

/// What an instance is made of.
pub struct Parts {
    /// All databases.
    pub keyspace: Keyspace,
    /// The configuration.
    pub config: Config,
    /// Where it came from.
    pub sources: Sources,
    /// All commands.
    pub table: &'static CommandTable,
    /// Snapshots to disk.
    pub saver: Saver,
    /// Counters.
    pub metrics: Arc<Metrics>,
    /// The log.
    pub log: Logger,
    /// Chance.
    pub rng: Rng,
    /// Wall clock, ms since 1970.
    pub now_ms: i64,
}

/// A random name of 40 hex digits.
pub fn hex_id(rng: &mut Rng) -> String {
    (0..40).map(|_| char::from(b"0123456789abcdef"[rng.below(16) as usize])).collect()
}

impl Instance {
    /// An instance without clients.
    pub fn new(parts: Parts) -> Instance {
        let Parts { keyspace, config, sources, table, saver, metrics, log, mut rng, now_ms } = parts;
        let run_id = hex_id(&mut rng);
        let replication_id = hex_id(&mut rng);
        let mut inst = Instance {
            keyspace,
            config,
            sources,
            oom_score_base: None,
            clients: Clients::default(),
            table,
            alert: Alert::default(),
            now_ms,
            stamp_ns: 0,
            pause: Pause::default(),
            waiting: Waiting::default(),
            held_back: 0,
            monitors: Vec::new(),
            outbox: Outbox::default(),
            asks: Vec::new(),
            slowlog: SlowLog::default(),
            latency: Latency::default(),
            saver,
            metrics,
            errors: ErrorCounts::default(),
            log,
            memory: UsedMemory::new(),
            startup_bytes: 0,
            peak_noted: 0,
            peak_ms: now_ms,
            recent_buffers: RecentBuffers::default(),
            rng,
            run_id,
            replication_id,
            debug: DebugSwitches::default(),
            started_ms: now_ms,
            commands_total: 0,
            input_bytes: 0,
            output_bytes: 0,
            rates: Rates::default(),
            turns: Turns::default(),
            loaded: LoadCounts::default(),
            load_progress: LoadProgress::default(),
            loading_started_ms: 0,
            snapshot_ns: 0,
            snapshots: 0,
            expire_stopped_early: 0,
            eviction: Eviction::default(),
            defragmenter: Defragmenter::default(),
            crons: 0,
            shutdown_deadline_ms: 0,
            slow_ns: u64::MAX,
            latency_ns: u64::MAX,
            slow_in_turn_ns: 0,
            track_latency: true,
        };
        // Nothing is appended or rewritten, so nothing of it has failed.
        inst.metrics.aof_last_write_ok.set(1);
        inst.metrics.aof_last_rewrite_ok.set(1);
        inst.config_changed();
        inst
    }

    /// Takes over what the hot path keeps of the configuration. To be called after every change of it.
    pub fn config_changed(&mut self) {
        let slower_us = self.config.observability.slowlog_log_slower_than;
        self.slow_ns = u64::try_from(slower_us).map_or(u64::MAX, |us| us.saturating_mul(1000));
        let threshold_ms = self.config.observability.latency_monitor_threshold as u64;
        self.latency_ns = if threshold_ms == 0 { u64::MAX } else { threshold_ms.saturating_mul(1_000_000) };
        self.track_latency = self.config.observability.latency_tracking;
        // What DEBUG has switched stays as it is.
        let crate::db::Options { active_expire, keep_lapsed, payload_checksums, .. } = *self.keyspace.options();
        *self.keyspace.options_mut() = crate::db::Options {
            active_expire,
            keep_lapsed,
            payload_checksums,
            ..Self::keyspace_options(&self.config)
        };
        self.slowlog.trim(self.config.observability.slowlog_max_len as usize);
        self.check_memory_limit();
        self.check_disk();
        let replication = &self.config.replication;
        // There are none yet; a lag of 0 switches the condition off.
        let few = replication.min_replicas_to_write > 0 && replication.min_replicas_max_lag > 0;
        self.alert.put(Alert::FEW_REPLICAS, few);
        self.saver.set_key_delay(i64::from(self.config.persistence.rdb_key_save_delay));
    }

    /// Has memory looked at before every command, or never.
    fn check_memory_limit(&mut self) {
        let limited = self.config.storage.maxmemory > 0;
        self.alert.put(Alert::LIMITED_MEMORY, limited);
        if !limited {
            self.alert.put(Alert::OVER_MEMORY, false);
            self.eviction.end(self.stamp_ns);
        }
    }

    /// Statistics of one executed command.
    #[inline]
    pub(super) fn account(
        &mut self,
        client: &Client,
        command: &'static Command,
        args: Args<'_>,
        duration_ns: u64,
        failed: bool,
    ) {
        let stats = &self.metrics.commands[usize::from(command.id)];
        stats.record(duration_ns, failed, self.track_latency);
        self.commands_total += 1;
        if duration_ns >= self.slow_ns.min(self.latency_ns) {
            self.account_slow(client, command, args, duration_ns);
        }
    }

    #[cold]
    fn account_slow(&mut self, client: &Client, command: &'static Command, args: Args<'_>, duration_ns: u64) {
        if duration_ns >= self.slow_ns && !command.flags.has(Flags::SKIP_SLOWLOG) {
            let about = &client.about;
            let len_max = self.config.observability.slowlog_max_len as usize;
            let request = (command.spec, args);
            let who = (about.addr.as_str(), about.name.as_slice());
            self.slowlog.add(self.now_ms / 1000, duration_ns / 1000, request, who, len_max);
        }
        let event = if command.flags.has(Flags::FAST) { "fast-command" } else { "command" };
        if self.note_latency(event, duration_ns) {
            self.slow_in_turn_ns += duration_ns;
        }
    }

    /// Tells the latency monitor how long something took; true if that was long enough to be noted.
    pub fn note_latency(&mut self, event: &'static str, duration_ns: u64) -> bool {
        let is_slow = duration_ns >= self.latency_ns;
        if is_slow {
            let threshold_ms = self.config.observability.latency_monitor_threshold as u64;
            self.latency.note(event, duration_ns / 1_000_000, threshold_ms, self.now_ms / 1000);
        }
        is_slow
    }

    /// Statistics of one turn of the loop.
    pub fn account_turn(&mut self, duration_ns: u64, commands: u64) {
        self.metrics.eventloop_cycles.inc();
        self.metrics.eventloop_ns.add(duration_ns);
        self.turns.note(duration_ns, commands);
        // Slow for a reason that is not noted yet.
        let slow_ns = std::mem::take(&mut self.slow_in_turn_ns);
        self.note_latency("eventloop", duration_ns.saturating_sub(slow_ns));
    }

    /// Has a client closed after this batch.
    pub fn close_later(&mut self, conn: ConnId, reason: CloseReason) {
        self.asks.push(Ask::Close(conn, reason));
    }

    /// Drops what the rest of the instance holds for a client that is closed.
    pub fn forget(&mut self, client: &mut Client, reason: CloseReason) {
        self.end_transaction(client);
        self.stop_waiting(client);
        self.set_monitor(client, false);
        match reason {
            CloseReason::QueryBufferFull => self.metrics.query_limit_closed.inc(),
            CloseReason::OutputBufferFull => self.metrics.output_limit_closed.inc(),
            CloseReason::Evicted => self.metrics.evicted_clients.inc(),
            CloseReason::Killed | CloseReason::Idle | CloseReason::Broken | CloseReason::Served => {}
        }
    }

    /// MONITOR, and its end.
    pub fn set_monitor(&mut self, client: &mut Client, on: bool) {
        if client.attention.has(Attention::MONITOR) == on {
            return;
        }
        client.attention.put(Attention::MONITOR, on);
        match on {
            true => self.monitors.push(client.conn),
            false => self.monitors.retain(|conn| *conn != client.conn),
        }
        self.alert.put(Alert::MONITORED, !self.monitors.is_empty());
    }

    /// Sets or clears the alert of CLIENT PAUSE by the clock.
    pub fn refresh_pause(&mut self) {
        let paused = !self.pause.is_over(self.now_ms);
        self.alert.put(Alert::PAUSED, paused);
        self.keyspace.options_mut().keep_lapsed = paused;
    }

    /// Ends a transaction: its queue, and what it watched.
    pub fn end_transaction(&mut self, client: &mut Client) {
        client.transaction = None;
        client.attention.put(Attention::IN_MULTI, false);
        self.unwatch(client);
    }

    /// Forgets all that a client watches.
    pub fn unwatch(&mut self, client: &mut Client) {
        if client.watching > 0 {
            self.keyspace.unwatch(client.id);
            client.watching = 0;
        }
    }

    /// The time as whole seconds since the start.
    pub fn uptime_s(&self) -> i64 {
        (self.now_ms - self.started_ms).max(0) / 1000
    }
}
