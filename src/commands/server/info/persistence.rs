//! The section about saving and loading.

use super::Facts;
use super::row::{Row, Value, absent, counter, gauge};
use crate::exec::instance::Alert;
use crate::exec::persistence::LoadState;

pub(super) static PERSISTENCE: &[Row] = &[
    gauge("loading", |f| f.inst.alert.has(Alert::LOADING).into())
        .series("redis_loading_dump_file", "1 while the data is loaded at the start"),
    absent("async_loading"),
    gauge("current_cow_peak", |f| f.save.peak_cow_bytes.into()),
    gauge("current_cow_size", |f| f.save.current_cow_bytes.into()),
    gauge("current_cow_size_age", |f| {
        if f.save.bgsave_in_progress { f.save.current_bgsave_seconds.into() } else { Value::Integer(0) }
    }),
    gauge("current_fork_perc", |f| Value::Fixed(f.save.percent(), 2)),
    gauge("current_save_keys_processed", |f| f.save.keys_processed.into()),
    gauge("current_save_keys_total", |f| f.save.keys_total.into()),
    gauge("rdb_changes_since_last_save", |f| f.save.changes_since_last_save.into())
        .series("redis_rdb_changes_since_last_save", "Changes since the last save"),
    gauge("rdb_bgsave_in_progress", |f| f.save.bgsave_in_progress.into())
        .series("redis_rdb_bgsave_in_progress", "1 while a snapshot is saved"),
    gauge("rdb_last_save_time", |f| f.save.last_save_time.into())
        .series("redis_rdb_last_save_timestamp_seconds", "When a save last succeeded"),
    gauge("rdb_last_bgsave_status", |f| Value::Outcome(f.save.last_bgsave_ok))
        .series("redis_rdb_last_bgsave_status", "1 when the last save succeeded"),
    gauge("rdb_last_bgsave_time_sec", |f| f.save.last_bgsave_seconds.into())
        .series("redis_rdb_last_bgsave_duration_sec", "How long the last save took; -1 before there was one"),
    gauge("rdb_current_bgsave_time_sec", |f| f.save.current_bgsave_seconds.into()),
    counter("rdb_saves", |f| f.save.saves.into()).series("redis_rdb_saves_total", "Saves since the start"),
    gauge("rdb_last_cow_size", |f| f.save.last_cow_bytes.into()),
    gauge("rdb_last_load_keys_expired", |f| f.inst.load.counts.expired.into()),
    gauge("rdb_last_load_keys_loaded", |f| f.inst.load.counts.loaded.into()),
    absent("aof_enabled"),
    absent("aof_rewrite_in_progress"),
    absent("aof_rewrite_scheduled"),
    absent("aof_last_rewrite_time_sec").says(|_| Value::Integer(-1)),
    absent("aof_current_rewrite_time_sec").says(|_| Value::Integer(-1)),
    absent("aof_last_bgrewrite_status").says(|_| Value::Outcome(true)),
    absent("aof_rewrites"),
    absent("aof_rewrites_consecutive_failures"),
    absent("aof_last_write_status").says(|_| Value::Outcome(true)),
    absent("aof_last_cow_size"),
    absent("module_fork_in_progress"),
    absent("module_fork_last_cow_size"),
    gauge("loading_start_time", |f| of_load(f, |load| (load.started_ms / 1000).into())),
    gauge("loading_total_bytes", |f| of_load(f, |load| load.progress.total_bytes.into())),
    gauge("loading_rdb_used_mem", |f| of_load(f, |load| load.progress.used_memory.into())),
    gauge("loading_loaded_bytes", |f| of_load(f, |load| load.progress.bytes.into())),
    gauge("loading_loaded_perc", |f| of_load(f, |load| Value::Fixed(load.progress.share() * 100.0, 2))),
    gauge("loading_eta_seconds", |f| {
        let elapsed = (f.inst.now_ms - f.inst.load.started_ms).max(0) / 1000;
        of_load(f, |load| load.progress.seconds_left(elapsed).into())
    }),
];

/// What is said only while a load goes on.
fn of_load(facts: &Facts<'_>, value: impl Fn(&LoadState) -> Value) -> Value {
    if facts.inst.alert.has(Alert::LOADING) { value(&facts.inst.load) } else { Value::Nothing }
}
