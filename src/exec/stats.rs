//! What is counted of requests, connections and turns of the loop, and its new beginning: CONFIG RESETSTAT.

use std::collections::BTreeMap;

use crate::client::PushCounts;
use crate::exec::instance::Instance;
use crate::exec::persistence::Snapshots;
use crate::exec::rates::Rates;
use crate::exec::readers::ReadCounts;
use crate::exec::replication::{QuorumCounts, SyncCounts};

/// Counts of the whole instance, all since the start or the last CONFIG RESETSTAT.
#[derive(Default)]
pub struct Stats {
    /// Commands executed: what was refused or queued does not count, what EXEC runs does.
    pub commands: u64,
    /// Bytes received.
    pub input_bytes: u64,
    /// Bytes sent.
    pub output_bytes: u64,
    /// Reads from clients.
    pub reads: u64,
    /// Writes to clients.
    pub writes: u64,
    /// Commands of a primary that failed here.
    pub unexpected_errors: u64,
    /// Connections accepted.
    pub connections: u64,
    /// Of those, turned away because of maxclients.
    pub connections_rejected: u64,
    /// Clients closed because of client-query-buffer-limit.
    pub query_limit_closed: u64,
    /// Clients closed because of client-output-buffer-limit.
    pub output_limit_closed: u64,
    /// Clients closed because of maxmemory-clients.
    pub evicted_clients: u64,
    /// Times the loop looked for work once more before it slept.
    pub busy_polls: u64,
    /// Times it found some.
    pub busy_polls_found: u64,
    /// How often active expiry ran out of its budget.
    pub expire_stopped_early: u64,
    /// Keyspace events that somebody could hear of.
    pub events: u64,
    /// An event could not be kept in its stream: that is logged once.
    pub events_refused: bool,
    /// Messages published to channels.
    pub published: u64,
    /// Messages published to shard channels.
    pub published_shard: u64,
    /// What clients were sent without having asked for it just then.
    pub pushes: PushCounts,
    /// Subscribers closed because of client-output-buffer-limit.
    pub subscribers_closed: u64,
    /// Scripts whose writes were taken back.
    pub rollbacks: u64,
    /// Error replies.
    pub errors: ErrorCounts,
    /// Rates of the recent past.
    pub rates: Rates,
    /// The loop's turns.
    pub turns: Turns,
}

/// Counts of error replies by code.
#[derive(Default)]
pub struct ErrorCounts {
    total: u64,
    by_code: BTreeMap<String, u64>,
    disabled: bool,
    /// What was told apart until there were too many codes.
    dropped: Option<BTreeMap<String, u64>>,
}

/// Beyond so many codes nothing is told apart any more until CONFIG RESETSTAT: scripts can make up any number of
/// them, and then the list says nothing.
const ERROR_CODES_MAX: usize = 128;

impl ErrorCounts {
    /// An error reply that was counted will be counted again by whoever passes it on.
    pub fn uncount(&mut self, code: &str) {
        self.total = self.total.saturating_sub(1);
        if let Some(count) = self.by_code.get_mut(code) {
            *count = count.saturating_sub(1);
        }
    }

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
            let disabled = BTreeMap::from([("ERRORSTATS_DISABLED".to_owned(), 1)]);
            self.dropped = Some(std::mem::replace(&mut self.by_code, disabled));
        }
    }

    /// The counts of all codes, once, when there have come to be too many.
    #[inline]
    pub fn take_dropped(&mut self) -> Option<BTreeMap<String, u64>> {
        if self.disabled { self.dropped.take() } else { None }
    }

    /// All error replies.
    pub fn total(&self) -> u64 {
        self.total
    }

    /// Error replies by code.
    pub fn by_code(&self) -> impl Iterator<Item = (&str, u64)> {
        self.by_code.iter().map(|(c, n)| (c.as_str(), *n))
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
    /// Their durations, ns.
    pub total_ns: u64,
    /// Time in crons, ns.
    pub cron_ns: u64,
    /// Time in active expiry, ns.
    pub expire_ns: u64,
    /// Time in commands that other commands ran (EXEC), which counts for both, ns.
    pub nested_ns: u64,
}

impl Turns {
    pub(super) fn note(&mut self, duration_ns: u64, commands: u64) {
        let us = duration_ns / 1000;
        self.longest_us = self.longest_us.max(us);
        self.commands_max = self.commands_max.max(commands);
        self.count += 1;
        self.total_ns += duration_ns;
    }
}

impl Instance {
    /// Time in commands, ns. What EXEC ran counts once, and what other threads did not at all.
    pub fn commands_ns(&self) -> u64 {
        self.metrics.commands_ns().saturating_sub(self.stats.turns.nested_ns + self.readers.counts.time_ns)
    }

    /// CONFIG RESETSTAT: whatever counts begins at zero again. What is a state (clients, memory, changes since the
    /// last save) stays, and so do the peak of memory and the outcome of saves.
    pub fn reset_statistics(&mut self) {
        self.metrics.reset_commands();
        self.stats = Stats::default();
        self.snapshots = Snapshots::default();
        self.readers.counts = ReadCounts::default();
        self.eviction.reset();
        self.scripts.cache.evicted = 0;
        self.defragmenter.reset(self.stamp_ns);
        self.keyspace.stats_mut().reset();
        self.replication.counts = SyncCounts::default();
        self.replication.quorum.counts = QuorumCounts::default();
        self.saver.reset_count();
        self.aof.reset_counts();
        self.keyspace.lazyfree().reset_freed_objects();
    }
}
