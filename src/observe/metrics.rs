//! Counters, gauges and histograms, and the table of all of them.
//!
//! # One writer
//!
//! Every number here is written by one thread, the main loop's, and read by any. So an increment is a relaxed load
//! and a relaxed store, which compile to plain moves: no locked instruction, no cache line fought over. (Two
//! writers would lose increments. Threads that have something to count tell the main loop.)
//!
//! # One row, two faces
//!
//! [`Metrics`] is declared once, in the table below: the field, the `INFO` field it is shown as, the Prometheus
//! series with its help text, and the unit. The names of the series are those of the exporter that everybody uses
//! for Redis, so that existing dashboards and alerts work without one.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// A number that only grows. One writer.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds one.
    #[inline]
    pub fn inc(&self) {
        self.add(1);
    }

    /// Adds `n`.
    #[inline]
    pub fn add(&self, n: u64) {
        self.0.store(self.0.load(Relaxed).wrapping_add(n), Relaxed);
    }

    /// The number now.
    #[inline]
    pub fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }

    /// Starts again from `value`: `CONFIG RESETSTAT`, or a number that is counted elsewhere.
    #[inline]
    pub fn set(&self, value: u64) {
        self.0.store(value, Relaxed);
    }
}

/// A number that goes up and down. One writer.
#[derive(Debug, Default)]
pub struct Gauge(AtomicU64);

impl Gauge {
    /// The number now.
    #[inline]
    pub fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }

    /// Makes it `value`.
    #[inline]
    pub fn set(&self, value: u64) {
        self.0.store(value, Relaxed);
    }

    /// Adds `n`.
    #[inline]
    pub fn add(&self, n: u64) {
        self.set(self.get().wrapping_add(n));
    }

    /// Takes `n` away; not below 0.
    #[inline]
    pub fn sub(&self, n: u64) {
        self.set(self.get().saturating_sub(n));
    }
}

/// How many durations fell into each power of two of microseconds. One writer.
#[derive(Debug, Default)]
pub struct Histogram {
    buckets: [Counter; Histogram::BUCKETS],
    sum_ns: Counter,
}

impl Histogram {
    /// Bucket `i` holds what took at most `2^i` microseconds and more than half of that; the last one the rest.
    pub const BUCKETS: usize = 32;

    /// The bound of bucket `i`, in microseconds.
    pub const fn bound_us(i: usize) -> u64 {
        1 << i
    }

    /// Counts a duration.
    #[inline]
    pub fn record_ns(&self, ns: u64) {
        let us = ns.div_ceil(1000);
        // 0 and 1 go to bucket 0; 2 to 1; 3 and 4 to 2.
        let bucket = (u64::BITS - us.saturating_sub(1).leading_zeros()) as usize;
        self.buckets[bucket.min(Histogram::BUCKETS - 1)].inc();
        self.sum_ns.add(ns);
    }

    /// The counts of the buckets.
    pub fn counts(&self) -> [u64; Histogram::BUCKETS] {
        std::array::from_fn(|i| self.buckets[i].get())
    }

    /// How many durations were counted.
    pub fn count(&self) -> u64 {
        self.counts().iter().sum()
    }

    /// The sum of them, in nanoseconds.
    pub fn sum_ns(&self) -> u64 {
        self.sum_ns.get()
    }

    /// The duration in microseconds that a part `q` (0 to 1) of all stayed within: by straight lines between the
    /// bounds of the buckets, so right to within a factor of two.
    pub fn quantile_us(&self, q: f64) -> f64 {
        let counts = self.counts();
        let mut wanted = q * counts.iter().sum::<u64>() as f64;
        for (i, &count) in counts.iter().enumerate().filter(|(_, c)| **c > 0) {
            if wanted <= count as f64 {
                let low = if i == 0 { 0.0 } else { Histogram::bound_us(i - 1) as f64 };
                return low + (Histogram::bound_us(i) as f64 - low) * (wanted / count as f64);
            }
            wanted -= count as f64;
        }
        0.0
    }

    /// Forgets everything.
    pub fn reset(&self) {
        self.buckets.iter().for_each(|b| b.set(0));
        self.sum_ns.set(0);
    }
}

/// What is known of one command.
#[derive(Debug, Default)]
pub struct CommandStats {
    /// Executions, failed ones included.
    pub calls: Counter,
    /// Time spent in them, in nanoseconds.
    pub nanos: Counter,
    /// Refused before they were executed: arity, permissions, memory.
    pub rejected: Counter,
    /// Executed with an error as their reply.
    pub failed: Counter,
    /// Their durations.
    pub histogram: Histogram,
}

impl CommandStats {
    /// Counts an execution; its duration also in the histogram if `in_histogram`.
    #[inline]
    pub fn record(&self, ns: u64, failed: bool, in_histogram: bool) {
        self.calls.inc();
        self.nanos.add(ns);
        if in_histogram {
            self.histogram.record_ns(ns);
        }
        if failed {
            self.failed.inc();
        }
    }

    /// Time spent in executions, in microseconds.
    pub fn usec(&self) -> u64 {
        self.nanos.get() / 1000
    }

    /// Forgets everything.
    pub fn reset(&self) {
        for counter in [&self.calls, &self.nanos, &self.rejected, &self.failed] {
            counter.set(0);
        }
        self.histogram.reset();
    }
}

/// What is known of one database.
#[derive(Debug, Default)]
pub struct DbStats {
    /// Keys.
    pub keys: Gauge,
    /// Keys that expire.
    pub expiring: Gauge,
    /// The mean time to live of those, in milliseconds.
    pub avg_ttl_ms: Gauge,
}

/// How a number behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It only grows, but for a reset.
    Counter,
    /// It goes up and down.
    Gauge,
}

/// A row of the table, with its value at one moment.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// The field of [`Metrics`], by name.
    pub field: &'static str,
    /// The field of `INFO`; empty when it has none of this name and unit.
    pub info: &'static str,
    /// The Prometheus series.
    pub series: &'static str,
    /// What it says.
    pub help: &'static str,
    /// How it behaves.
    pub kind: Kind,
    /// What the value is multiplied with to come to the unit of the series.
    pub scale: f64,
    /// The value as it is kept, and as `INFO` shows it.
    pub value: u64,
}

macro_rules! metrics {
    ($($kind:ident $field:ident, $info:literal, $series:literal, $scale:literal, $help:literal;)*) => {
        /// All the server's numbers. The server writes them, exporters and `INFO` read them.
        #[derive(Debug)]
        pub struct Metrics {
            $(#[doc = $help] pub $field: $kind,)*
            /// By number of the database.
            pub dbs: Box<[DbStats]>,
            /// By number of the command, in the order of the names given at the start.
            pub commands: Box<[CommandStats]>,
            command_names: Box<[&'static str]>,
            info: Mutex<Vec<(&'static str, String)>>,
            started: Instant,
        }

        impl Metrics {
            /// All zero. `commands` are the names under which commands are counted (`get`, `config|set`).
            pub fn new(databases: usize, commands: &[&'static str]) -> Metrics {
                Metrics {
                    $($field: $kind::default(),)*
                    dbs: (0..databases).map(|_| DbStats::default()).collect(),
                    commands: commands.iter().map(|_| CommandStats::default()).collect(),
                    command_names: commands.into(),
                    info: Mutex::new(Vec::new()),
                    started: Instant::now(),
                }
            }

            /// The table, with the values of this moment.
            pub fn rows(&self) -> Vec<Row> {
                vec![$(Row {
                    field: stringify!($field),
                    info: $info,
                    series: $series,
                    help: $help,
                    kind: Kind::$kind,
                    scale: $scale,
                    value: self.$field.get(),
                },)*]
            }

            fn reset_counters(&self) {
                $(metrics!(@reset $kind self.$field);)*
            }
        }
    };
    (@reset Counter $counter:expr) => { $counter.set(0) };
    (@reset Gauge $gauge:expr) => {};
}

metrics! {
    // kind   field                   INFO field                 series                                   scale  help
    Gauge   connected_clients,       "connected_clients",       "redis_connected_clients",               1.0,   "Connected clients, replicas not counted";
    Gauge   max_clients,             "maxclients",              "redis_config_maxclients",               1.0,   "The most clients that may be connected";
    Gauge   blocked_clients,         "blocked_clients",         "redis_blocked_clients",                 1.0,   "Clients that wait in a blocking command";
    Gauge   blocking_keys,           "total_blocking_keys",     "redis_total_blocking_keys",             1.0,   "Keys that blocked clients wait for";
    Gauge   tracking_clients,        "tracking_clients",        "redis_tracking_clients",                1.0,   "Clients with client-side caching on";
    Gauge   pubsub_clients,          "pubsub_clients",          "redis_pubsub_clients",                  1.0,   "Clients in subscriber mode";
    Gauge   pubsub_channels,         "pubsub_channels",         "redis_pubsub_channels",                 1.0,   "Channels with subscribers";
    Gauge   pubsub_patterns,         "pubsub_patterns",         "redis_pubsub_patterns",                 1.0,   "Patterns with subscribers";
    Gauge   watching_clients,        "watching_clients",        "redis_watching_clients",                1.0,   "Clients that watch keys";
    Counter commands_processed,      "total_commands_processed", "redis_commands_processed_total",       1.0,   "Commands executed";
    Counter connections_received,    "total_connections_received", "redis_connections_received_total",   1.0,   "Connections accepted";
    Counter connections_rejected,    "rejected_connections",    "redis_rejected_connections_total",      1.0,   "Connections refused because of maxclients";
    Counter net_input_bytes,         "total_net_input_bytes",   "redis_net_input_bytes_total",           1.0,   "Bytes received from clients";
    Counter net_output_bytes,        "total_net_output_bytes",  "redis_net_output_bytes_total",          1.0,   "Bytes sent to clients";
    Counter reads_processed,         "total_reads_processed",   "redis_total_reads_processed",           1.0,   "Reads from clients";
    Counter writes_processed,        "total_writes_processed",  "redis_total_writes_processed",          1.0,   "Writes to clients";
    Counter output_limit_closed,     "client_output_buffer_limit_disconnections", "redis_client_output_buffer_limit_disconnections_total", 1.0, "Clients closed because they did not read their replies";
    Counter query_limit_closed,      "client_query_buffer_limit_disconnections", "redis_client_query_buffer_limit_disconnections_total", 1.0, "Clients closed because of too long a request";
    Counter error_replies,           "total_error_replies",     "redis_total_error_replies",             1.0,   "Error replies sent";
    Counter keyspace_hits,           "keyspace_hits",           "redis_keyspace_hits_total",             1.0,   "Reads that found their key";
    Counter keyspace_misses,         "keyspace_misses",         "redis_keyspace_misses_total",           1.0,   "Reads that did not find their key";
    Counter expired_subkeys,         "expired_subkeys",         "redis_expired_subkeys_total",           1.0,   "Fields of hashes removed because their time was over";
    Counter expired_keys,            "expired_keys",            "redis_expired_keys_total",              1.0,   "Keys removed because their time was over";
    Counter evicted_keys,            "evicted_keys",            "redis_evicted_keys_total",              1.0,   "Keys removed because of maxmemory";
    Counter evicted_clients,         "evicted_clients",         "redis_evicted_clients_total",           1.0,   "Clients closed because of maxmemory-clients";
    Counter lazyfreed_objects,       "lazyfreed_objects",       "redis_lazyfreed_objects_total",         1.0,   "Values freed in the background";
    Gauge   lazyfree_pending,        "lazyfree_pending_objects", "redis_lazyfree_pending_objects",       1.0,   "Values that wait to be freed in the background";
    Gauge   defrag_running,          "active_defrag_running",   "redis_active_defrag_running",           1.0,   "Share of a processor that moving memory may take just now, in percent";
    Counter defrag_hits,             "active_defrag_hits",      "redis_defrag_hits",                     1.0,   "Allocations that were moved";
    Counter defrag_misses,           "active_defrag_misses",    "redis_defrag_misses",                   1.0,   "Allocations that were looked at and not moved";
    Counter defrag_key_hits,         "active_defrag_key_hits",  "redis_defrag_key_hits",                 1.0,   "Keys of which something was moved";
    Counter defrag_key_misses,       "active_defrag_key_misses", "redis_defrag_key_misses",              1.0,   "Keys that were looked at and of which nothing was moved";
    Counter defrag_ms,               "total_active_defrag_time", "redis_active_defrag_seconds_total",    0.001, "Time during which memory was moved, now and then";
    Gauge   memory_used_bytes,       "used_memory",             "redis_memory_used_bytes",               1.0,   "Memory allocated";
    Gauge   memory_rss_bytes,        "used_memory_rss",         "redis_memory_used_rss_bytes",           1.0,   "Memory resident, as the system counts it";
    Gauge   memory_peak_bytes,       "used_memory_peak",        "redis_memory_used_peak_bytes",          1.0,   "The most memory that was allocated";
    Gauge   memory_startup_bytes,    "used_memory_startup",     "redis_memory_used_startup_bytes",       1.0,   "Memory allocated when the start was done";
    Gauge   memory_dataset_bytes,    "used_memory_dataset",     "redis_memory_used_dataset_bytes",       1.0,   "Memory allocated less what is not data";
    Gauge   memory_clients_bytes,    "mem_clients_normal",      "redis_mem_clients_normal",              1.0,   "Memory of clients' buffers";
    Gauge   memory_max_bytes,        "maxmemory",               "redis_memory_max_bytes",                1.0,   "The bound maxmemory; 0 is none";
    Gauge   allocator_active_bytes,  "allocator_active",        "redis_allocator_active_bytes",          1.0,   "Bytes in the allocator's active pages";
    Gauge   allocator_allocated_bytes, "allocator_allocated",   "redis_allocator_allocated_bytes",       1.0,   "Bytes the allocator gave out";
    Gauge   allocator_resident_bytes, "allocator_resident",     "redis_allocator_resident_bytes",        1.0,   "Bytes of the allocator's resident pages";
    Gauge   loading,                 "loading",                 "redis_loading_dump_file",               1.0,   "1 while the data is loaded at the start";
    Gauge   rdb_changes,             "rdb_changes_since_last_save", "redis_rdb_changes_since_last_save", 1.0,   "Changes since the last save";
    Gauge   rdb_save_in_progress,    "rdb_bgsave_in_progress",  "redis_rdb_bgsave_in_progress",          1.0,   "1 while a snapshot is saved";
    Gauge   rdb_last_save_seconds,   "rdb_last_save_time",      "redis_rdb_last_save_timestamp_seconds", 1.0,   "When a save last succeeded";
    Gauge   rdb_last_save_ok,        "",                        "redis_rdb_last_bgsave_status",          1.0,   "1 when the last save succeeded";
    Gauge   rdb_last_duration_ms,    "",                        "redis_rdb_last_bgsave_duration_sec",    0.001, "How long the last save took";
    Counter rdb_saves,               "rdb_saves",               "redis_rdb_saves_total",                 1.0,   "Saves since the start";
    Gauge   aof_enabled,             "aof_enabled",             "redis_aof_enabled",                     1.0,   "1 when writes are appended to a file";
    Gauge   aof_rewrite_in_progress, "aof_rewrite_in_progress", "redis_aof_rewrite_in_progress",         1.0,   "1 while the append-only file is rewritten";
    Gauge   aof_last_write_ok,       "",                        "redis_aof_last_write_status",           1.0,   "1 when the last append succeeded";
    Gauge   aof_last_rewrite_ok,     "",                        "redis_aof_last_bgrewrite_status",       1.0,   "1 when the last rewrite succeeded";
    Gauge   aof_size_bytes,          "aof_current_size",        "redis_aof_current_size_bytes",          1.0,   "Size of the append-only file";
    Gauge   connected_replicas,      "connected_slaves",        "redis_connected_slaves",                1.0,   "Replicas that are connected";
    Gauge   replication_offset,      "master_repl_offset",      "redis_master_repl_offset",              1.0,   "Position in the replication stream";
    Counter sync_full,               "sync_full",               "redis_replica_resyncs_full",            1.0,   "Full synchronisations with replicas";
    Counter sync_partial_ok,         "sync_partial_ok",         "redis_replica_partial_resync_accepted", 1.0,   "Partial synchronisations with replicas";
    Counter sync_partial_err,        "sync_partial_err",        "redis_replica_partial_resync_denied",   1.0,   "Partial synchronisations that were not possible";
    Gauge   cluster_enabled,         "cluster_enabled",         "redis_cluster_enabled",                 1.0,   "1 in a cluster";
    Gauge   slowlog_length,          "",                        "redis_slowlog_length",                  1.0,   "Entries of the slow log";
    Counter eventloop_cycles,        "eventloop_cycles",        "redis_eventloop_cycles_total",          1.0,   "Turns of the main loop";
    Counter busy_polls,              "eventloop_busy_polls",       "kvstash_eventloop_busy_polls_total",       1.0,   "Times the main loop looked for work once more before it slept";
    Counter busy_polls_found,        "eventloop_busy_polls_found", "kvstash_eventloop_busy_polls_found_total", 1.0,   "Times it found some";
    Counter eventloop_ns,            "",                        "redis_eventloop_duration_seconds_total", 0.000000001, "Time in turns of the main loop, waiting not counted";
    Counter eventloop_cmd_ns,        "",                        "redis_eventloop_cmd_duration_seconds_total", 0.000000001, "Time in commands";
    Gauge   eventloop_turn_us,       "",                        "kvstash_eventloop_turn_started_seconds", 0.000001, "When the present turn of the main loop began; 0 while it waits";
    Counter cpu_sys_us,              "",                        "redis_cpu_sys_seconds_total",           0.000001, "Processor time in the kernel";
    Counter cpu_user_us,             "",                        "redis_cpu_user_seconds_total",          0.000001, "Processor time in the program";
}

impl Metrics {
    /// The name under which command `i` is counted.
    pub fn command_name(&self, i: usize) -> &'static str {
        self.command_names[i]
    }

    /// Since when this process counts, in whole seconds of age.
    pub fn uptime_seconds(&self) -> u64 {
        self.started.elapsed().as_secs()
    }

    /// Facts that are text (role, version, mode), shown as labels of `redis_instance_info`.
    pub fn set_instance_info(&self, facts: Vec<(&'static str, String)>) {
        *self.info.lock().unwrap_or_else(|poisoned| poisoned.into_inner()) = facts;
    }

    /// The facts of [`Metrics::set_instance_info`].
    pub fn instance_info(&self) -> Vec<(&'static str, String)> {
        self.info.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).clone()
    }

    /// Seconds that the main loop is in its present turn; 0 while it waits. More than a fraction of a second means
    /// that it is stuck in something.
    pub fn turn_seconds(&self) -> f64 {
        let started_us = self.eventloop_turn_us.get();
        let now_us = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_micros() as u64);
        if started_us == 0 { 0.0 } else { now_us.saturating_sub(started_us) as f64 / 1e6 }
    }

    /// Time in all commands, in nanoseconds.
    pub fn commands_ns(&self) -> u64 {
        self.commands.iter().map(|stats| stats.nanos.get()).sum()
    }

    /// Starts counting again (`CONFIG RESETSTAT`): counters and commands, not gauges.
    pub fn reset(&self) {
        self.reset_counters();
        self.commands.iter().for_each(CommandStats::reset);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn counters_and_gauges() {
        let counter = Counter::default();
        counter.inc();
        counter.add(4);
        assert_eq!(counter.get(), 5);
        let gauge = Gauge::default();
        gauge.add(3);
        gauge.sub(5);
        assert_eq!(gauge.get(), 0);
    }

    #[test]
    fn buckets_hold_what_their_bounds_say() {
        let histogram = Histogram::default();
        for (us, bucket) in
            [(0, 0), (1, 0), (2, 1), (3, 2), (4, 2), (5, 3), (1024, 10), (1025, 11), (u64::MAX / 1000, 31)]
        {
            histogram.reset();
            histogram.record_ns(us * 1000);
            assert_eq!(histogram.counts().iter().position(|&c| c == 1), Some(bucket), "{us}");
        }
        histogram.reset();
        histogram.record_ns(1001); // more than one microsecond, if only just
        assert_eq!(histogram.counts()[1], 1);
    }

    #[test]
    fn quantiles_are_within_a_factor_of_two() {
        let histogram = Histogram::default();
        assert_eq!(histogram.quantile_us(0.5), 0.0);
        for us in 1..=1000 {
            histogram.record_ns(us * 1000);
        }
        assert_eq!(histogram.count(), 1000);
        assert_eq!(histogram.sum_ns(), 500_500_000);
        for (q, true_us) in [(0.5, 500.0), (0.99, 990.0), (0.999, 999.0), (0.1, 100.0)] {
            let us = histogram.quantile_us(q);
            assert!(us >= true_us / 2.0 && us <= true_us * 2.0, "{q}: {us}");
        }
        assert!(histogram.quantile_us(1.0) <= 1024.0);
    }

    #[test]
    fn the_table_is_sound() {
        let metrics = Metrics::new(16, &["get", "config|set"]);
        let rows = metrics.rows();
        let series: HashSet<_> = rows.iter().map(|r| r.series).collect();
        assert_eq!(series.len(), rows.len());
        let info: Vec<_> = rows.iter().map(|r| r.info).filter(|i| !i.is_empty()).collect();
        assert_eq!(info.iter().collect::<HashSet<_>>().len(), info.len());
        assert!(rows.iter().all(|r| !r.help.is_empty() && r.scale > 0.0));
        assert_eq!(metrics.command_name(1), "config|set");
        assert_eq!(metrics.dbs.len(), 16);
    }

    #[test]
    fn a_reset_keeps_gauges() {
        let metrics = Metrics::new(1, &["get"]);
        metrics.connected_clients.set(3);
        metrics.keyspace_hits.add(7);
        metrics.commands[0].record(5_500, true, true);
        assert_eq!((metrics.commands[0].usec(), metrics.commands[0].failed.get()), (5, 1));
        metrics.reset();
        assert_eq!((metrics.connected_clients.get(), metrics.keyspace_hits.get()), (3, 0));
        assert_eq!((metrics.commands[0].calls.get(), metrics.commands[0].histogram.count()), (0, 0));
        assert_eq!(metrics.turn_seconds(), 0.0);
    }
}
