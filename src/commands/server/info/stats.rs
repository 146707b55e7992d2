//! The sections that count: stats, debug.

use super::row::{Row, Value, absent, counter, gauge, measure};
use crate::pubsub::Kind;

pub(super) static STATS: &[Row] = &[
    // Connections, commands, bytes.
    counter("total_connections_received", |f| f.inst.stats.connections.into())
        .series("redis_connections_received_total", "Connections accepted"),
    counter("total_commands_processed", |f| f.inst.stats.commands.into())
        .series("redis_commands_processed_total", "Commands executed"),
    measure("instantaneous_ops_per_sec", |f| (f.rates.commands as u64).into()),
    counter("total_net_input_bytes", |f| f.inst.stats.input_bytes.into())
        .series("redis_net_input_bytes_total", "Bytes received from clients"),
    counter("total_net_output_bytes", |f| f.inst.stats.output_bytes.into())
        .series("redis_net_output_bytes_total", "Bytes sent to clients"),
    absent("total_net_repl_input_bytes"),
    absent("total_net_repl_output_bytes"),
    measure("instantaneous_input_kbps", |f| Value::Fixed(f.rates.input_bytes / 1024.0, 2)),
    measure("instantaneous_output_kbps", |f| Value::Fixed(f.rates.output_bytes / 1024.0, 2)),
    absent("instantaneous_input_repl_kbps").says(|_| Value::Fixed(0.0, 2)),
    absent("instantaneous_output_repl_kbps").says(|_| Value::Fixed(0.0, 2)),
    counter("rejected_connections", |f| f.inst.stats.connections_rejected.into())
        .series("redis_rejected_connections_total", "Connections refused because of maxclients"),
    counter("sync_full", |f| f.inst.replication.counts.full.into()),
    counter("sync_partial_ok", |f| f.inst.replication.counts.partial.into()),
    counter("sync_partial_err", |f| f.inst.replication.counts.refused.into()),
    // What happened to keys.
    counter("expired_subkeys", |f| f.inst.keyspace.stats().expired_fields.into())
        .series("redis_expired_subkeys_total", "Fields of hashes removed because their time was over"),
    counter("expired_keys", |f| f.inst.keyspace.stats().expired_keys.into())
        .series("redis_expired_keys_total", "Keys removed because their time was over"),
    gauge("expired_stale_perc", |f| Value::Fixed(f.inst.keyspace.stale_percent(f.inst.now_ms), 2)),
    counter("expired_time_cap_reached_count", |f| f.inst.stats.expire_stopped_early.into()),
    counter("expire_cycle_cpu_milliseconds", |f| (f.inst.stats.turns.expire_ns / 1_000_000).into()),
    counter("evicted_keys", |f| f.inst.keyspace.stats().evicted_keys.into())
        .series("redis_evicted_keys_total", "Keys removed because of maxmemory"),
    counter("evicted_clients", |f| f.inst.stats.evicted_clients.into())
        .series("redis_evicted_clients_total", "Clients closed because of maxmemory-clients"),
    counter("evicted_scripts", |f| f.inst.scripts.cache.evicted.into())
        .series("redis_evicted_scripts_total", "Scripts of EVAL forgotten because there were more than 500"),
    counter("scripts_rolled_back", |f| f.inst.stats.rollbacks.into())
        .series("kvstash_scripts_rolled_back_total", "Scripts whose writes were taken back"),
    counter("total_eviction_exceeded_time", |f| f.inst.eviction.exceeded_total_ms(f.inst.stamp_ns).into()),
    measure("current_eviction_exceeded_time", |f| f.inst.eviction.exceeded_now_ms(f.inst.stamp_ns).into()),
    counter("keyspace_hits", |f| f.inst.keyspace.stats().hits.into())
        .series("redis_keyspace_hits_total", "Reads that found their key"),
    counter("keyspace_misses", |f| f.inst.keyspace.stats().misses.into())
        .series("redis_keyspace_misses_total", "Reads that did not find their key"),
    gauge("pubsub_channels", |f| f.inst.pubsub.count(Kind::Channel).into())
        .series("redis_pubsub_channels", "Channels that have subscribers"),
    gauge("pubsub_patterns", |f| f.inst.pubsub.count(Kind::Pattern).into())
        .series("redis_pubsub_patterns", "Patterns that have subscribers"),
    gauge("pubsubshard_channels", |f| f.inst.pubsub.count(Kind::Shard).into())
        .series("redis_pubsubshard_channels", "Shard channels that have subscribers"),
    measure("latest_fork_usec", |f| (f.inst.snapshots.last_ns / 1000).into()),
    counter("total_forks", |f| f.inst.snapshots.taken.into()),
    // Commands that another thread answered from a snapshot.
    counter("snapshot_reads", |f| f.inst.readers.counts.done.into())
        .series("kvstash_snapshot_reads_total", "Commands that another thread answered from a snapshot"),
    counter("snapshot_reads_cancelled", |f| f.inst.readers.counts.cancelled.into())
        .series("kvstash_snapshot_reads_cancelled_total", "Commands whose client went before they were answered so"),
    counter("snapshot_reads_time_us", |f| (f.inst.readers.counts.time_ns / 1000).into())
        .series("kvstash_snapshot_reads_seconds_total", "Time that another thread took for that")
        .scale(1e-6),
    counter("snapshot_reads_reply_bytes", |f| f.inst.readers.counts.reply_bytes.into())
        .series("kvstash_snapshot_reads_reply_bytes_total", "Bytes of these replies"),
    gauge("snapshot_reads_running", |f| f.inst.readers.running().into())
        .series("kvstash_snapshot_reads_running", "Commands that another thread is to answer, with a snapshot each"),
    gauge("snapshot_reads_waiting", |f| f.inst.readers.waiting().into())
        .series("kvstash_snapshot_reads_waiting", "Commands that wait for one of these to be answered"),
    gauge("migrate_cached_sockets", |f| f.inst.migrations.kept_connections.into())
        .series("redis_migrate_cached_sockets_total", "Connections that are kept for the next MIGRATE"),
    absent("slave_expires_tracked_keys"),
    counter("active_defrag_hits", |f| f.inst.defragmenter.counts.hits.into())
        .series("redis_defrag_hits", "Allocations that were moved"),
    counter("active_defrag_misses", |f| f.inst.defragmenter.counts.misses.into())
        .series("redis_defrag_misses", "Allocations that were looked at and not moved"),
    counter("active_defrag_key_hits", |f| f.inst.defragmenter.counts.key_hits.into())
        .series("redis_defrag_key_hits", "Keys of which something was moved"),
    counter("active_defrag_key_misses", |f| f.inst.defragmenter.counts.key_misses.into())
        .series("redis_defrag_key_misses", "Keys that were looked at and of which nothing was moved"),
    counter("total_active_defrag_time", |f| f.inst.defragmenter.total_ms(f.inst.stamp_ns).into())
        .series("redis_active_defrag_seconds_total", "Time during which memory was moved, now and then")
        .scale(1e-3),
    measure("current_active_defrag_time", |f| f.inst.defragmenter.current_ms(f.inst.stamp_ns).into()),
    gauge("tracking_total_keys", |f| f.inst.tracking.keys().len().into())
        .series("redis_tracking_total_keys", "Keys that are remembered for clients that cache"),
    gauge("tracking_total_items", |f| f.inst.tracking.keys().items().into())
        .series("redis_tracking_total_items", "The same, each as often as there are clients that have read it"),
    gauge("tracking_total_prefixes", |f| f.inst.tracking.prefixes().len().into())
        .series("redis_tracking_total_prefixes", "Prefixes of keys that clients want to hear of"),
    counter("unexpected_error_replies", |f| f.inst.stats.unexpected_errors.into()),
    counter("total_error_replies", |f| f.inst.stats.errors.total().into())
        .series("redis_total_error_replies", "Error replies sent"),
    absent("dump_payload_sanitizations"),
    // Reads, writes, and the loop.
    counter("total_reads_processed", |f| f.inst.stats.reads.into())
        .series("redis_total_reads_processed", "Reads from clients"),
    counter("total_writes_processed", |f| f.inst.stats.writes.into())
        .series("redis_total_writes_processed", "Writes to clients"),
    absent("io_threaded_reads_processed"),
    absent("io_threaded_writes_processed"),
    absent("io_threaded_total_prefetch_batches"),
    absent("io_threaded_total_prefetch_entries"),
    counter("client_query_buffer_limit_disconnections", |f| f.inst.stats.query_limit_closed.into())
        .series("redis_client_query_buffer_limit_disconnections_total", "Clients closed because of too long a request"),
    counter("client_output_buffer_limit_disconnections", |f| f.inst.stats.output_limit_closed.into()).series(
        "redis_client_output_buffer_limit_disconnections_total",
        "Clients closed because they did not read their replies",
    ),
    absent("reply_buffer_shrinks"),
    absent("reply_buffer_expands"),
    counter("eventloop_cycles", |f| f.inst.stats.turns.count.into())
        .series("redis_eventloop_cycles_total", "Turns of the main loop"),
    counter("eventloop_busy_polls", |f| f.inst.stats.busy_polls.into())
        .series("kvstash_eventloop_busy_polls_total", "Times the main loop looked for work once more before it slept"),
    counter("eventloop_busy_polls_found", |f| f.inst.stats.busy_polls_found.into())
        .series("kvstash_eventloop_busy_polls_found_total", "Times it found some"),
    counter("eventloop_duration_sum", |f| (f.inst.stats.turns.total_ns / 1000).into())
        .series("redis_eventloop_duration_seconds_total", "Time in turns of the main loop, waiting not counted")
        .scale(1e-6),
    counter("eventloop_duration_cmd_sum", |f| (f.inst.commands_ns() / 1000).into())
        .series("redis_eventloop_cmd_duration_seconds_total", "Time in commands")
        .scale(1e-6),
    measure("instantaneous_eventloop_cycles_per_sec", |f| (f.rates.turns as u64).into()),
    measure("instantaneous_eventloop_duration_usec", |f| (f.rates.turn_us as u64).into()),
    absent("acl_access_denied_auth"),
    absent("acl_access_denied_cmd"),
    absent("acl_access_denied_key"),
    absent("acl_access_denied_channel"),
];

/// What Redis shows under this name of its loop; the tests of that project read it.
pub(super) static DEBUG: &[Row] = &[
    absent("eventloop_duration_aof_sum"),
    counter("eventloop_duration_cron_sum", |f| (f.inst.stats.turns.cron_ns / 1000).into()),
    measure("eventloop_duration_max", |f| f.inst.stats.turns.longest_us.into()),
    measure("eventloop_cmd_per_cycle_max", |f| f.inst.stats.turns.commands_max.into()),
    absent("allocator_allocated_lua"),
    absent("allocator_active_lua"),
    absent("allocator_resident_lua"),
    absent("allocator_frag_bytes_lua"),
];
