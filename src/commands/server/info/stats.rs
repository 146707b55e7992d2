//! The sections that count: persistence, stats, debug.

use super::{Facts, Line};
use crate::exec::instance::Alert;

pub(super) fn persistence(facts: &Facts<'_>, line: Line<'_>) {
    let inst = facts.inst;
    let loading = inst.alert.has(Alert::LOADING);
    let status = inst.save_status();
    line("loading", &u8::from(loading));
    line("async_loading", &0);
    status.progress_fields(&mut |name, value| line(name, value));
    status.rdb_fields(&inst.loaded, &mut |name, value| line(name, value));
    line("aof_enabled", &0);
    line("aof_rewrite_in_progress", &0);
    line("aof_rewrite_scheduled", &0);
    line("aof_last_rewrite_time_sec", &-1);
    line("aof_current_rewrite_time_sec", &-1);
    line("aof_last_bgrewrite_status", &"ok");
    line("aof_rewrites", &0);
    line("aof_rewrites_consecutive_failures", &0);
    line("aof_last_write_status", &"ok");
    line("aof_last_cow_size", &0);
    line("module_fork_in_progress", &0);
    line("module_fork_last_cow_size", &0);
    if loading {
        inst.load_progress.fields(inst.loading_started_ms, inst.now_ms, &mut |name, value| line(name, value));
    }
}

pub(super) fn stats(facts: &Facts<'_>, line: Line<'_>) {
    traffic(facts, line);
    keys(facts, line);
    line("pubsub_channels", &facts.inst.metrics.pubsub_channels.get());
    line("pubsub_patterns", &facts.inst.metrics.pubsub_patterns.get());
    line("pubsubshard_channels", &0);
    line("latest_fork_usec", &(facts.inst.snapshot_ns / 1000));
    line("total_forks", &facts.inst.snapshots);
    line("migrate_cached_sockets", &0);
    line("slave_expires_tracked_keys", &0);
    defrag(facts, line);
    line("tracking_total_keys", &0);
    line("tracking_total_items", &0);
    line("tracking_total_prefixes", &0);
    line("unexpected_error_replies", &0);
    line("total_error_replies", &facts.inst.errors.total());
    line("dump_payload_sanitizations", &0);
    events(facts, line);
    line("acl_access_denied_auth", &0);
    line("acl_access_denied_cmd", &0);
    line("acl_access_denied_key", &0);
    line("acl_access_denied_channel", &0);
}

/// What was moved.
fn defrag(facts: &Facts<'_>, line: Line<'_>) {
    let (metrics, state, now_ns) = (&facts.inst.metrics, &facts.inst.defragmenter, facts.inst.stamp_ns);
    line("active_defrag_hits", &metrics.defrag_hits.get());
    line("active_defrag_misses", &metrics.defrag_misses.get());
    line("active_defrag_key_hits", &metrics.defrag_key_hits.get());
    line("active_defrag_key_misses", &metrics.defrag_key_misses.get());
    line("total_active_defrag_time", &state.total_ms(now_ns));
    line("current_active_defrag_time", &state.current_ms(now_ns));
}

/// Connections, commands, bytes.
fn traffic(facts: &Facts<'_>, line: Line<'_>) {
    let inst = facts.inst;
    let metrics = &inst.metrics;
    let rates = inst.rates.mean();
    let kilobytes = |bytes: f64| format!("{:.2}", bytes / 1024.0);
    line("total_connections_received", &metrics.connections_received.get());
    line("total_commands_processed", &inst.commands_total);
    line("instantaneous_ops_per_sec", &(rates.commands as u64));
    line("total_net_input_bytes", &inst.input_bytes);
    line("total_net_output_bytes", &inst.output_bytes);
    line("total_net_repl_input_bytes", &0);
    line("total_net_repl_output_bytes", &0);
    line("instantaneous_input_kbps", &kilobytes(rates.input_bytes));
    line("instantaneous_output_kbps", &kilobytes(rates.output_bytes));
    line("instantaneous_input_repl_kbps", &"0.00");
    line("instantaneous_output_repl_kbps", &"0.00");
    line("rejected_connections", &metrics.connections_rejected.get());
    line("sync_full", &metrics.sync_full.get());
    line("sync_partial_ok", &metrics.sync_partial_ok.get());
    line("sync_partial_err", &metrics.sync_partial_err.get());
}

/// What happened to keys.
fn keys(facts: &Facts<'_>, line: Line<'_>) {
    let inst = facts.inst;
    let stats = inst.keyspace.stats();
    line("expired_subkeys", &stats.expired_fields);
    line("expired_keys", &stats.expired_keys);
    line("expired_stale_perc", &format_args!("{:.2}", inst.keyspace.stale_percent(inst.now_ms)));
    line("expired_time_cap_reached_count", &inst.expire_stopped_early);
    line("expire_cycle_cpu_milliseconds", &(inst.turns.expire_ns / 1_000_000));
    line("evicted_keys", &stats.evicted_keys);
    line("evicted_clients", &inst.metrics.evicted_clients.get());
    line("evicted_scripts", &0);
    line("total_eviction_exceeded_time", &inst.eviction.exceeded_total_ms(inst.stamp_ns));
    line("current_eviction_exceeded_time", &inst.eviction.exceeded_now_ms(inst.stamp_ns));
    line("keyspace_hits", &stats.hits);
    line("keyspace_misses", &stats.misses);
}

/// Reads, writes, and the loop.
fn events(facts: &Facts<'_>, line: Line<'_>) {
    let inst = facts.inst;
    let metrics = &inst.metrics;
    let rates = inst.rates.mean();
    line("total_reads_processed", &metrics.reads_processed.get());
    line("total_writes_processed", &metrics.writes_processed.get());
    line("io_threaded_reads_processed", &0);
    line("io_threaded_writes_processed", &0);
    line("io_threaded_total_prefetch_batches", &0);
    line("io_threaded_total_prefetch_entries", &0);
    line("client_query_buffer_limit_disconnections", &metrics.query_limit_closed.get());
    line("client_output_buffer_limit_disconnections", &metrics.output_limit_closed.get());
    line("reply_buffer_shrinks", &0);
    line("reply_buffer_expands", &0);
    line("eventloop_cycles", &inst.turns.count);
    line("eventloop_busy_polls", &metrics.busy_polls.get());
    line("eventloop_busy_polls_found", &metrics.busy_polls_found.get());
    line("eventloop_duration_sum", &inst.turns.total_us);
    line("eventloop_duration_cmd_sum", &(inst.commands_ns() / 1000));
    line("instantaneous_eventloop_cycles_per_sec", &(rates.turns as u64));
    line("instantaneous_eventloop_duration_usec", &(rates.turn_us as u64));
}

/// What Redis shows under this name of its loop; the tests of that project read it.
pub(super) fn debug(facts: &Facts<'_>, line: Line<'_>) {
    let turns = &facts.inst.turns;
    line("eventloop_duration_aof_sum", &0);
    line("eventloop_duration_cron_sum", &(turns.cron_ns / 1000));
    line("eventloop_duration_max", &turns.longest_us);
    line("eventloop_cmd_per_cycle_max", &turns.commands_max);
    line("allocator_allocated_lua", &0);
    line("allocator_active_lua", &0);
    line("allocator_resident_lua", &0);
    line("allocator_frag_bytes_lua", &0);
}
