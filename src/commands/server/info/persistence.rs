//! The section about saving and loading.

use super::Facts;
use super::row::{Row, Value, absent, counter, gauge, measure, total};
use crate::exec::aof::AofStatus;
use crate::exec::instance::Alert;
use crate::exec::persistence::LoadState;

pub(super) static PERSISTENCE: &[Row] = &[
    gauge("loading", |f| f.inst.alert.has(Alert::LOADING).into())
        .series("redis_loading_dump_file", "1 while the data is loaded at the start"),
    gauge("async_loading", |f| f.inst.alert.has(Alert::ASYNC_LOADING).into()),
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
    gauge("aof_enabled", |f| f.aof.is_on.into())
        .series("redis_aof_enabled", "1 while every write is appended to a file"),
    gauge("aof_rewrite_in_progress", |f| f.aof.rewrites_now.into())
        .series("redis_aof_rewrite_in_progress", "1 while the append-only file is rewritten"),
    gauge("aof_rewrite_scheduled", |f| f.aof.is_scheduled.into())
        .series("redis_aof_rewrite_scheduled", "1 while a rewrite waits until it can begin"),
    gauge("aof_last_rewrite_time_sec", |f| f.aof.snapshot.last_bgsave_seconds.into())
        .series("redis_aof_last_rewrite_duration_sec", "How long the last rewrite took; -1 before there was one"),
    gauge("aof_current_rewrite_time_sec", |f| f.aof.snapshot.current_bgsave_seconds.into())
        .series("redis_aof_current_rewrite_duration_sec", "How long the rewrite takes so far; -1 while there is none"),
    gauge("aof_last_bgrewrite_status", |f| Value::Outcome(f.aof.last_rewrite_ok))
        .series("redis_aof_last_bgrewrite_status", "1 when the last rewrite succeeded"),
    measure("aof_rewrites", |f| f.aof.rewrites.into()).series("redis_aof_rewrites_total", "Rewrites since the start"),
    gauge("aof_rewrites_consecutive_failures", |f| u64::from(f.aof.failures).into()),
    gauge("aof_last_write_status", |f| Value::Outcome(f.aof.writes_ok))
        .series("redis_aof_last_write_status", "1 while writes to the append-only file succeed"),
    gauge("aof_last_cow_size", |f| f.aof.snapshot.last_cow_bytes.into()),
    absent("module_fork_in_progress"),
    absent("module_fork_last_cow_size"),
    gauge("aof_current_size", |f| of_aof(f, |aof| aof.writer.sizes.total.into()))
        .series("redis_aof_current_size_bytes", "Size of the append-only file, base and increments"),
    gauge("aof_base_size", |f| of_aof(f, |aof| aof.writer.sizes.base.into()))
        .series("redis_aof_base_size_bytes", "What of it was there at the start or after the last rewrite"),
    gauge("aof_pending_rewrite", |f| of_aof(f, |_| Value::Integer(0))),
    gauge("aof_buffer_length", |f| of_aof(f, |aof| aof.buffer_bytes.into()))
        .series("redis_aof_buffer_bytes", "What waits to be written to the append-only file"),
    gauge("aof_pending_bio_fsync", |f| of_aof(f, |aof| aof.writer.is_syncing.into())),
    measure("aof_delayed_fsync", |f| of_aof(f, |aof| aof.writer.delayed_syncs.into()))
        .series("redis_aof_delayed_fsync_total", "Syncs that kept writes from the file for two seconds or more"),
    total("aof_fsyncs", |f| of_aof(f, |aof| aof.writer.syncs.into()))
        .series("redis_aof_fsyncs_total", "Syncs of the append-only file"),
    total("aof_groups", |f| of_aof(f, |aof| aof.writer.groups.into()))
        .series("redis_aof_groups_total", "Groups of writes, each written at once"),
    gauge("aof_synced_offset", |f| of_aof(f, |aof| aof.synced_offset.into()))
        .series("redis_aof_synced_offset", "Replication offset up to which the file is on the disk"),
    gauge("backup_in_progress", |f| f.aof.backup_runs.into())
        .series("redis_backup_in_progress", "1 between BACKUP START and the end of that backup"),
    gauge("backup_last_status", |f| Value::Outcome(f.aof.backup_ok))
        .series("redis_backup_last_status", "0 after a backup has failed or was given up, until the next one"),
    gauge("backup_last_seal_time", |f| (f.aof.backup_sealed_ms / 1000).into()).series(
        "redis_backup_last_sealed_timestamp_seconds",
        "When a backup was last completed; 0 before there was one",
    ),
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

/// What is said only while there is an append-only file.
fn of_aof(facts: &Facts<'_>, value: impl Fn(&AofStatus) -> Value) -> Value {
    if facts.aof.is_on { value(&facts.aof) } else { Value::Nothing }
}

/// What is said only while a load goes on.
fn of_load(facts: &Facts<'_>, value: impl Fn(&LoadState) -> Value) -> Value {
    if facts.inst.alert.has(Alert::LOADING) { value(&facts.inst.load) } else { Value::Nothing }
}
