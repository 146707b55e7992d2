//! Counters, gauges and histograms, and what the observer's thread sees of the server's numbers.
//!
//! # Where a number lives
//!
//! In the part of the server that counts it, as a plain integer of the main thread. Ten times a second the main
//! thread copies those that have a series into [`Metrics`], from where any thread reads them, also while the main
//! thread is busy. What a number is called, in INFO and as a series, stands in one row of the room that owns INFO.
//!
//! Shared at once, not copied, are only: statistics by command, which are too many to copy; and whether the main
//! thread is ready and since when it is in its present turn, which must be right while it is stuck.
//!
//! # One writer
//!
//! All of this is written by one thread, the main loop's, and read by any. So an increment is a relaxed load
//! and a relaxed store, which compile to plain moves: no locked instruction, no cache line fought over. (Two
//! writers would lose increments. Threads that have something to count tell the main loop.)

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{SystemTime, UNIX_EPOCH};

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

    /// Starts again from zero.
    #[inline]
    pub fn reset(&self) {
        self.0.store(0, Relaxed);
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
        self.buckets.iter().for_each(Counter::reset);
        self.sum_ns.reset();
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
            counter.reset();
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

/// A number that has a series: what there is to know of it besides its value.
#[derive(Clone, Copy, Debug)]
pub struct Series {
    /// The Prometheus series. The names are those of the exporter that everybody uses for Redis, so that existing
    /// dashboards and alerts work without one.
    pub name: &'static str,
    /// What it says.
    pub help: &'static str,
    /// How it behaves.
    pub kind: Kind,
    /// The field of INFO.
    pub info: &'static str,
    /// What INFO's number is multiplied with to come to the unit of the series.
    pub scale: f64,
}

/// What other threads see of the server.
#[derive(Debug)]
pub struct Metrics {
    series: Box<[Series]>,
    /// As INFO shows them, in the order of `series`; the bits of floating point numbers.
    values: Box<[AtomicU64]>,
    /// When the present turn of the main loop began, µs since 1970; 0 while it waits.
    pub turn_started_us: Gauge,
    /// 1 when the data set is loaded.
    pub ready: Gauge,
    /// By number of the database.
    pub dbs: Box<[DbStats]>,
    /// By number of the command, in the order of the names given at the start.
    pub commands: Box<[CommandStats]>,
    command_names: Box<[&'static str]>,
    info: Mutex<Vec<(&'static str, String)>>,
}

impl Metrics {
    /// All zero. `commands` are the names under which commands are counted (`get`, `config|set`).
    pub fn new(series: Vec<Series>, databases: usize, commands: &[&'static str]) -> Metrics {
        Metrics {
            values: series.iter().map(|_| AtomicU64::default()).collect(),
            series: series.into(),
            turn_started_us: Gauge::default(),
            ready: Gauge::default(),
            dbs: (0..databases).map(|_| DbStats::default()).collect(),
            commands: commands.iter().map(|_| CommandStats::default()).collect(),
            command_names: commands.into(),
            info: Mutex::new(Vec::new()),
        }
    }

    /// Makes `value` what other threads see of series `i`.
    pub fn publish(&self, i: usize, value: f64) {
        self.values[i].store(value.to_bits(), Relaxed);
    }

    /// Every series, and its number as INFO shows it.
    pub fn rows(&self) -> impl Iterator<Item = (&Series, f64)> {
        self.series.iter().zip(&self.values).map(|(series, value)| (series, f64::from_bits(value.load(Relaxed))))
    }

    /// The name under which command `i` is counted.
    pub fn command_name(&self, i: usize) -> &'static str {
        self.command_names[i]
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
        let started_us = self.turn_started_us.get();
        let now_us = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_micros() as u64);
        if started_us == 0 { 0.0 } else { now_us.saturating_sub(started_us) as f64 / 1e6 }
    }

    /// Time in all commands, in nanoseconds.
    pub fn commands_ns(&self) -> u64 {
        self.commands.iter().map(|stats| stats.nanos.get()).sum()
    }

    /// CONFIG RESETSTAT, for the statistics by command.
    pub fn reset_commands(&self) {
        self.commands.iter().for_each(CommandStats::reset);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_and_gauges() {
        let counter = Counter::default();
        counter.inc();
        counter.add(4);
        assert_eq!(counter.get(), 5);
        counter.reset();
        assert_eq!(counter.get(), 0);
        let gauge = Gauge::default();
        gauge.set(3);
        assert_eq!(gauge.get(), 3);
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
    fn what_is_published_is_read() {
        let series = |name| Series { name, help: "for a test", kind: Kind::Gauge, info: name, scale: 1.0 };
        let metrics = Metrics::new(vec![series("a"), series("b")], 16, &["get", "config|set"]);
        metrics.publish(1, -2.5);
        let rows: Vec<_> = metrics.rows().map(|(series, value)| (series.name, value)).collect();
        assert_eq!(rows, [("a", 0.0), ("b", -2.5)]);
        assert_eq!(metrics.command_name(1), "config|set");
        assert_eq!(metrics.dbs.len(), 16);
    }

    #[test]
    fn a_reset_forgets_commands() {
        let metrics = Metrics::new(Vec::new(), 1, &["get"]);
        metrics.commands[0].record(5_500, true, true);
        assert_eq!((metrics.commands[0].usec(), metrics.commands[0].failed.get()), (5, 1));
        metrics.reset_commands();
        assert_eq!((metrics.commands[0].calls.get(), metrics.commands[0].histogram.count()), (0, 0));
        assert_eq!(metrics.turn_seconds(), 0.0);
    }
}
