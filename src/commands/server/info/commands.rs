//! The sections with a line for each command, error, database.

use super::{Facts, Line};
use crate::observe::metrics::CommandStats;

/// Commands and their statistics, without those that `has` has nothing to say about.
fn each(facts: &Facts<'_>, has: fn(&CommandStats) -> bool, mut f: impl FnMut(&str, &CommandStats)) {
    let inst = facts.inst;
    for command in inst.table.all() {
        let stats = &inst.metrics.commands[usize::from(command.id)];
        if has(stats) {
            f(&command.full_name, stats);
        }
    }
}

pub(super) fn commandstats(facts: &Facts<'_>, line: Line<'_>) {
    let seen = |s: &CommandStats| s.calls.get() + s.rejected.get() + s.failed.get() > 0;
    each(facts, seen, |name, stats| {
        let calls = stats.calls.get();
        let each_us = if calls == 0 { 0.0 } else { stats.nanos.get() as f64 / 1000.0 / calls as f64 };
        let value = format_args!(
            "calls={calls},usec={},usec_per_call={each_us:.2},rejected_calls={},failed_calls={}",
            stats.usec(),
            stats.rejected.get(),
            stats.failed.get()
        );
        line(&format!("cmdstat_{name}"), &value);
    });
}

pub(super) fn errorstats(facts: &Facts<'_>, line: Line<'_>) {
    for (code, count) in facts.inst.errors.by_code() {
        line(&format!("errorstat_{code}"), &format_args!("count={count}"));
    }
}

pub(super) fn latencystats(facts: &Facts<'_>, line: Line<'_>) {
    let config = &facts.inst.config.observability;
    if !config.latency_tracking {
        return;
    }
    let percentiles = &config.latency_tracking_info_percentiles.0;
    each(
        facts,
        |s| s.histogram.count() > 0,
        |name, stats| {
            let shown: Vec<String> =
                percentiles.iter().map(|p| format!("p{p}={:.3}", stats.histogram.quantile_us(p / 100.0))).collect();
            line(&format!("latency_percentiles_usec_{name}"), &shown.join(","));
        },
    );
}

pub(super) fn keyspace(facts: &Facts<'_>, line: Line<'_>) {
    let inst = facts.inst;
    for db in 0..inst.keyspace.databases() {
        let info = inst.keyspace.info(db, inst.now_ms);
        if info.keys > 0 {
            let (keys, expires, ttl) = (info.keys, info.expires, info.average_ttl_ms);
            let value = format_args!("keys={keys},expires={expires},avg_ttl={ttl},subexpiry=0");
            line(&format!("db{db}"), &value);
        }
    }
}
