//! The sections with a line for each command, error, database.

use super::{Facts, Line};
use crate::db::sizes::SIZED;
use crate::observe::metrics::CommandStats;
use crate::types::contract::TypeName;

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
    for (code, count) in facts.inst.stats.errors.by_code() {
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
            let (keys, expires, ttl, fields) = (info.keys, info.expires, info.average_ttl_ms, info.field_expires);
            let value = format_args!("keys={keys},expires={expires},avg_ttl={ttl},subexpiry={fields}");
            line(&format!("db{db}"), &value);
        }
    }
}

/// How many values of each type have which size, in powers of two.
pub(super) fn keysizes(facts: &Facts<'_>, line: Line<'_>) {
    let keyspace = &facts.inst.keyspace;
    for db in 0..keyspace.databases() {
        for (name, sizes) in SIZED.iter().zip(keyspace.sizes(db)).filter(|(_, sizes)| !sizes.is_empty()) {
            let classes: Vec<String> =
                sizes.classes().map(|(size, count)| format!("{}={count}", ShortPower(size))).collect();
            let what = match name {
                TypeName::String => "strings_sizes",
                TypeName::List => "lists_items",
                TypeName::Set => "sets_items",
                TypeName::Zset => "zsets_items",
                TypeName::Hash => "hashes_items",
                TypeName::Stream => continue,
            };
            line(&format!("db{db}_distrib_{what}"), &classes.join(","));
        }
    }
}

/// A power of two, or 0: `512`, `1K`, `64M`.
struct ShortPower(u64);

impl std::fmt::Display for ShortPower {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        const UNITS: [(&str, u32); 6] = [("E", 60), ("P", 50), ("T", 40), ("G", 30), ("M", 20), ("K", 10)];
        match UNITS.iter().find(|(_, bits)| self.0 >> bits > 0) {
            None => write!(f, "{}", self.0),
            Some((unit, bits)) => write!(f, "{}{unit}", self.0 >> bits),
        }
    }
}
