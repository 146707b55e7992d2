//! The metrics in Prometheus's text format: what [`super::metrics`] has at the moment of a scrape.
//!
//! A [`Collector`] over the shared [`Metrics`] instead of prometheus's own counters: those pay a locked
//! instruction for every increment, on the hot path, so that a scrape every fifteen seconds may read them.

use std::collections::HashMap;
use std::sync::Arc;

use prometheus::core::{Collector, Desc};
use prometheus::proto::{Bucket, Counter, Gauge, Histogram, LabelPair, Metric, MetricFamily, MetricType};
use prometheus::{Registry, TEXT_FORMAT, TextEncoder};

use super::metrics::{Histogram as Durations, Kind, Metrics, Series};

/// What the `Content-Type` of the text is.
pub const CONTENT_TYPE: &str = TEXT_FORMAT;

/// Renders metrics. Usable from any thread.
pub struct Exporter {
    registry: Registry,
}

impl Exporter {
    /// An exporter of `metrics`.
    pub fn new(metrics: Arc<Metrics>) -> Exporter {
        let registry = Registry::new();
        let source = Source { descriptions: descriptions(&metrics), metrics };
        registry.register(Box::new(source)).expect("the table has every series once, under a valid name");
        Exporter { registry }
    }

    /// All series, as text.
    pub fn render(&self) -> String {
        // What is collected below is well-formed, so encoding does not fail; if it did, a scrape should see nothing
        // rather than half.
        TextEncoder::new().encode_to_string(&self.registry.gather()).unwrap_or_default()
    }
}

struct Source {
    metrics: Arc<Metrics>,
    descriptions: Vec<Desc>,
}

impl Collector for Source {
    fn desc(&self) -> Vec<&Desc> {
        self.descriptions.iter().collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let mut out = Families::default();
        let metrics = &*self.metrics;
        for (series, value) in metrics.rows() {
            out.one(series.name, series.help, series.kind, value * series.scale);
        }
        computed(metrics, &mut out);
        databases(metrics, &mut out);
        commands(metrics, &mut out);
        out.0
    }
}

/// One for each series that is always there: what registration checks.
fn descriptions(metrics: &Metrics) -> Vec<Desc> {
    let describe = |(series, _): (&Series, f64)| {
        Desc::new(series.name.to_owned(), series.help.to_owned(), Vec::new(), HashMap::new())
            .expect("the table's names are valid")
    };
    metrics.rows().map(describe).collect()
}

/// Series that are no published number.
fn computed(metrics: &Metrics, out: &mut Families) {
    out.one("redis_up", "1: this instance answers", Kind::Gauge, 1.0);
    let help = "When the present turn of the main loop began; 0 while it waits";
    let started = metrics.turn_started_us.get() as f64 / 1e6;
    out.one("kvstash_eventloop_turn_started_seconds", help, Kind::Gauge, started);
    let help = "Seconds that the main loop has spent in its present turn; 0 while it waits";
    out.one("kvstash_eventloop_turn_seconds", help, Kind::Gauge, metrics.turn_seconds());
    let build = [("version", env!("CARGO_PKG_VERSION").to_owned())];
    out.labelled("kvstash_build_info", "The program's version", Kind::Gauge, &build, 1.0);
    let facts = metrics.instance_info();
    if !facts.is_empty() {
        out.labelled("redis_instance_info", "Facts about this instance", Kind::Gauge, &facts, 1.0);
    }
}

fn databases(metrics: &Metrics, out: &mut Families) {
    for (i, db) in metrics.dbs.iter().enumerate() {
        let label = [("db", format!("db{i}"))];
        let (keys, expiring) = (db.keys.get() as f64, db.expiring.get() as f64);
        out.labelled("redis_db_keys", "Keys of a database", Kind::Gauge, &label, keys);
        out.labelled("redis_db_keys_expiring", "Keys of a database that expire", Kind::Gauge, &label, expiring);
        if keys > 0.0 {
            let ttl = db.avg_ttl_ms.get() as f64 / 1000.0;
            out.labelled("redis_db_avg_ttl_seconds", "Mean time to live in a database", Kind::Gauge, &label, ttl);
        }
    }
}

/// Commands that were ever called or refused: the others would only be noise.
fn commands(metrics: &Metrics, out: &mut Families) {
    for (i, stats) in metrics.commands.iter().enumerate() {
        let (calls, rejected) = (stats.calls.get(), stats.rejected.get());
        if calls + rejected == 0 {
            continue;
        }
        let label = [("cmd", metrics.command_name(i).to_owned())];
        let seconds = stats.nanos.get() as f64 / 1e9;
        let failed = stats.failed.get() as f64;
        for (series, help, value) in [
            ("redis_commands_total", "Executions of a command", calls as f64),
            ("redis_commands_duration_seconds_total", "Time in a command", seconds),
            ("redis_commands_failed_calls_total", "Executions of a command that failed", failed),
            ("redis_commands_rejected_calls_total", "Times a command was refused", rejected as f64),
        ] {
            out.labelled(series, help, Kind::Counter, &label, value);
        }
        let help = "Durations of a command in microseconds";
        out.durations("redis_commands_latencies_usec", help, &label, &stats.histogram);
    }
}

type Labels<'a> = &'a [(&'static str, String)];

/// Families in the making. A family's metrics are added one after the other, so the last families are the ones to
/// look through.
#[derive(Default)]
struct Families(Vec<MetricFamily>);

impl Families {
    fn one(&mut self, name: &str, help: &str, kind: Kind, value: f64) {
        self.labelled(name, help, kind, &[], value);
    }

    fn labelled(&mut self, name: &str, help: &str, kind: Kind, labels: Labels<'_>, value: f64) {
        let mut metric = Metric::from_label(pairs(labels));
        let shape = match kind {
            Kind::Counter => {
                let mut counter = Counter::default();
                counter.set_value(value);
                metric.set_counter(counter);
                MetricType::COUNTER
            }
            Kind::Gauge => {
                let mut gauge = Gauge::default();
                gauge.set_value(value);
                metric.set_gauge(gauge);
                MetricType::GAUGE
            }
        };
        self.push(name, help, shape, metric);
    }

    fn durations(&mut self, name: &str, help: &str, labels: Labels<'_>, from: &Durations) {
        // All buckets but the last, which is everything beyond: the encoder adds it as +Inf.
        const SHOWN: usize = Durations::BUCKETS - 1;
        let counts = from.counts();
        let mut sum = 0;
        let bucket = |i: usize| {
            sum += counts[i];
            let mut bucket = Bucket::default();
            bucket.set_upper_bound(Durations::bound_us(i) as f64);
            bucket.set_cumulative_count(sum);
            bucket
        };
        let mut histogram = Histogram::default();
        histogram.set_bucket((0..SHOWN).map(bucket).collect());
        histogram.set_sample_count(counts.iter().sum());
        histogram.set_sample_sum(from.sum_ns() as f64 / 1000.0);
        let mut metric = Metric::from_label(pairs(labels));
        metric.set_histogram(histogram);
        self.push(name, help, MetricType::HISTOGRAM, metric);
    }

    fn push(&mut self, name: &str, help: &str, shape: MetricType, metric: Metric) {
        if let Some(family) = self.0.iter_mut().rev().take(8).find(|f| f.name() == name) {
            family.mut_metric().push(metric);
            return;
        }
        let mut family = MetricFamily::default();
        family.set_name(name.to_owned());
        family.set_help(help.to_owned());
        family.set_field_type(shape);
        family.set_metric(vec![metric]);
        self.0.push(family);
    }
}

fn pairs(labels: Labels<'_>) -> Vec<LabelPair> {
    let pair = |(name, value): &(&'static str, String)| {
        let mut pair = LabelPair::default();
        pair.set_name((*name).to_owned());
        pair.set_value(value.clone());
        pair
    };
    labels.iter().map(pair).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_has_what_dashboards_ask_for() {
        let series = vec![
            Series { name: "redis_a", help: "A", kind: Kind::Gauge, info: "a", scale: 1.0 },
            Series { name: "redis_b_total", help: "B", kind: Kind::Counter, info: "b_ms", scale: 0.001 },
        ];
        let metrics = Arc::new(Metrics::new(series, 2, &["get", "set", "never"]));
        metrics.publish(0, 3.0);
        metrics.publish(1, 1500.0);
        metrics.dbs[1].keys.set(10);
        metrics.commands[0].record(3_000, false, true);
        metrics.commands[0].record(3_000_000_000, true, true);
        metrics.commands[1].rejected.inc();
        metrics.set_instance_info(vec![("role", "master".to_owned())]);
        let text = Exporter::new(metrics).render();
        for line in [
            "redis_up 1",
            "redis_a 3",
            "# HELP redis_b_total B",
            "# TYPE redis_b_total counter",
            "redis_b_total 1.5",
            "redis_db_keys{db=\"db0\"} 0",
            "redis_db_keys{db=\"db1\"} 10",
            "redis_commands_total{cmd=\"get\"} 2",
            "redis_commands_duration_seconds_total{cmd=\"get\"} 3.000003",
            "redis_commands_failed_calls_total{cmd=\"get\"} 1",
            "redis_commands_rejected_calls_total{cmd=\"set\"} 1",
            "# TYPE redis_commands_latencies_usec histogram",
            "redis_commands_latencies_usec_bucket{cmd=\"get\",le=\"2\"} 0",
            "redis_commands_latencies_usec_bucket{cmd=\"get\",le=\"4\"} 1",
            "redis_commands_latencies_usec_bucket{cmd=\"get\",le=\"+Inf\"} 2",
            "redis_commands_latencies_usec_count{cmd=\"get\"} 2",
            "redis_instance_info{role=\"master\"} 1",
        ] {
            assert!(text.lines().any(|l| l == line), "{line} is missing in\n{text}");
        }
        assert!(text.contains("kvstash_build_info{version=\""));
        assert!(!text.contains("never"));
        // Every family once.
        let types: Vec<_> = text.lines().filter(|l| l.starts_with("# TYPE")).collect();
        let mut unique = types.clone();
        unique.sort_unstable();
        unique.dedup();
        assert_eq!(types.len(), unique.len());
    }
}
