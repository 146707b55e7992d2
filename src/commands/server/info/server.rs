//! The sections about the program and its surroundings.

use super::row::{Row, Value, absent, counter, gauge, measure, total};
use super::{Facts, Line};
use crate::client::{Client, PushKind};

pub(super) static SERVER: &[Row] = &[
    gauge("redis_version", |f| f.inst.config.server.redis_version.to_lossy().into()),
    gauge("kvstash_version", |_| env!("CARGO_PKG_VERSION").into()),
    gauge("redis_git_sha1", |_| "00000000".into()),
    absent("redis_git_dirty"),
    absent("redis_build_id"),
    gauge("redis_mode", |_| "standalone".into()),
    gauge("os", |f| f.host.process().os().into()),
    gauge("arch_bits", |_| usize::BITS.into()),
    gauge("monotonic_clock", |f| f.host.clock_name().into()),
    gauge("multiplexing_api", |_| "epoll".into()),
    gauge("process_id", |f| f.host.process().pid().into()),
    gauge("process_supervised", |_| "no".into()),
    gauge("run_id", |f| f.inst.identity.run_id.clone().into()),
    gauge("tcp_port", |f| u64::from(f.inst.config.server.port).into()),
    gauge("server_time_usec", |f| f.host.wall_us().into()),
    gauge("uptime_in_seconds", |f| f.inst.uptime_s().into())
        .series("redis_uptime_in_seconds", "Seconds since the start"),
    gauge("uptime_in_days", |f| (f.inst.uptime_s() / 86_400).into()),
    gauge("hz", |f| Value::Integer(f.inst.config.server.hz.into())),
    gauge("configured_hz", |f| Value::Integer(f.inst.config.server.hz.into())),
    // 24 bits of seconds, as Redis keeps them.
    gauge("lru_clock", |f| ((f.inst.now_ms / 1000) & 0xff_ffff).into()),
    gauge("shutdown_in_milliseconds", |f| match f.inst.shutdown_deadline_ms {
        0 => Value::Nothing,
        at_ms => (at_ms - f.inst.now_ms).max(0).into(),
    }),
    gauge("executable", |f| f.host.process().executable().into()),
    gauge("config_file", |f| f.inst.sources.file().map(|path| path.display().to_string()).unwrap_or_default().into()),
    absent("io_threads_active"),
];

/// Where it listens: a line for each kind of socket.
pub(super) fn listeners(facts: &Facts<'_>, line: Line<'_>) {
    let config = &facts.inst.config.server;
    let mut listeners = Vec::new();
    if config.port != 0 {
        let addresses: String = config.bind.0.iter().map(|address| format!(",bind={}", address.to_lossy())).collect();
        listeners.push(format!("name=tcp{addresses},port={}", config.port));
    }
    if !config.unixsocket.is_empty() {
        listeners.push(format!("name=unix,bind={}", config.unixsocket.to_lossy()));
    }
    for (i, listener) in listeners.iter().enumerate() {
        line(&format!("listener{i}"), listener);
    }
}

pub(super) static CLIENTS: &[Row] = &[
    gauge("connected_clients", |f| (f.inst.clients.len() - f.inst.replication.replicas.len()).into())
        .series("redis_connected_clients", "Connected clients, replicas not counted"),
    absent("cluster_connections"),
    gauge("maxclients", |f| f.inst.config.limits.maxclients.into())
        .series("redis_config_maxclients", "The most clients that may be connected"),
    gauge("client_recent_max_input_buffer", |f| f.inst.recent_buffers.most().0.into()),
    gauge("client_recent_max_output_buffer", |f| f.inst.recent_buffers.most().1.into()),
    gauge("blocked_clients", |f| f.inst.blocked_clients().into())
        .series("redis_blocked_clients", "Clients that wait in a blocking command"),
    gauge("tracking_clients", |f| f.inst.tracking.clients().into())
        .series("redis_tracking_clients", "Clients that track keys"),
    gauge("pubsub_clients", |f| f.inst.pubsub.clients().into())
        .series("redis_pubsub_clients", "Clients that are subscribed to something"),
    gauge("watching_clients", |f| f.watching().0.into()).series("redis_watching_clients", "Clients that watch keys"),
    gauge("clients_in_timeout_table", |f| f.inst.blocked.totals().with_timeout.into()),
    gauge("total_watched_keys", |f| f.watching().1.into()),
    gauge("total_blocking_keys", |f| f.inst.blocked.totals().keys.into())
        .series("redis_total_blocking_keys", "Keys that blocked clients wait for"),
    gauge("total_blocking_keys_on_nokey", |f| f.inst.blocked.totals().keys_on_absence.into()),
];

/// One thread does it all.
pub(super) static THREADS: &[Row] = &[measure("io_thread_0", |f| {
    let stats = &f.inst.stats;
    format!("clients={},reads={},writes={}", f.inst.clients.len(), stats.reads, stats.writes).into()
})];

/// Microseconds, shown as seconds with six digits.
fn seconds(us: u64) -> Value {
    Value::Fixed(us as f64 / 1e6, 6)
}

pub(super) static CPU: &[Row] = &[
    total("used_cpu_sys", |f| seconds(f.cpu.system_us))
        .series("redis_cpu_sys_seconds_total", "Processor time in the kernel"),
    total("used_cpu_user", |f| seconds(f.cpu.user_us))
        .series("redis_cpu_user_seconds_total", "Processor time in the program"),
    total("used_cpu_sys_children", |f| seconds(f.cpu.children_system_us)),
    total("used_cpu_user_children", |f| seconds(f.cpu.children_user_us)),
    total("used_cpu_sys_main_thread", |f| seconds(f.cpu.thread_system_us)),
    total("used_cpu_user_main_thread", |f| seconds(f.cpu.thread_user_us)),
];

pub(super) static CLUSTER: &[Row] = &[absent("cluster_enabled")];

/// What only this server has: snapshots without fork, and what they hold back.
pub(super) static KVSTASH: &[Row] = &[
    gauge("snapshots_live", |f| f.inst.keyspace.heap_stats().live_snapshots.into()),
    counter("snapshots_taken", |f| f.inst.snapshots.taken.into()),
    measure("snapshot_start_usec", |f| (f.inst.snapshots.last_ns / 1000).into()),
    gauge("snapshot_cloned_bytes", |f| f.inst.keyspace.heap_stats().cloned_bytes.into()),
    gauge("retired_nodes", |f| f.inst.keyspace.heap_stats().retired_nodes.into()),
    gauge("retired_bytes", |f| f.inst.keyspace.heap_stats().retired_bytes.into()),
    gauge("table_segments", |f| f.tables().0.into()),
    gauge("table_slots", |f| f.tables().1.into()),
    gauge("clients_memory_max", |f| most_memory(f).into()),
    gauge("slowlog_len", |f| f.inst.slowlog.len().into()).series("redis_slowlog_length", "Entries of the slow log"),
    gauge("feed_parts", |f| f.inst.replication.feed.parts().into())
        .series("kvstash_feed_parts", "Parts that the write stream is kept in"),
    gauge("feed_slowest_lag", |f| {
        let feed = &f.inst.replication.feed;
        f.inst.replication.slowest().map_or(0, |offset| feed.end().saturating_sub(offset)).into()
    })
    .series("kvstash_feed_slowest_lag_bytes", "Bytes of the write stream that the slowest replica does not have yet"),
    counter("keyspace_events", |f| f.inst.stats.events.into())
        .series("kvstash_keyspace_events_total", "Keyspace events that somebody could hear of"),
    counter("pubsub_published", |f| f.inst.stats.published.into())
        .series("kvstash_pubsub_published_total", "Messages published to channels"),
    counter("pubsub_published_shard", |f| f.inst.stats.published_shard.into())
        .series("kvstash_pubsub_published_shard_total", "Messages published to shard channels"),
    counter("pubsub_delivered", |f| f.inst.stats.pushes.delivered[PushKind::Message as usize].into())
        .series("kvstash_pubsub_delivered_total", "Messages given to subscribers of their channel"),
    counter("pubsub_delivered_pattern", |f| f.inst.stats.pushes.delivered[PushKind::PatternMessage as usize].into())
        .series("kvstash_pubsub_delivered_pattern_total", "Messages given to subscribers of a pattern"),
    counter("pubsub_delivered_shard", |f| f.inst.stats.pushes.delivered[PushKind::ShardMessage as usize].into())
        .series("kvstash_pubsub_delivered_shard_total", "Messages given to subscribers of their shard channel"),
    counter("pubsub_dropped", |f| f.inst.stats.pushes.dropped_messages().into())
        .series("kvstash_pubsub_dropped_total", "Messages not given to a subscriber that was being closed"),
    counter("tracking_invalidations", |f| f.inst.stats.pushes.delivered_invalidations().into())
        .series("kvstash_tracking_invalidations_total", "Messages about changed keys given to clients that cache"),
    counter("pubsub_output_limit_disconnections", |f| f.inst.stats.subscribers_closed.into()).series(
        "kvstash_pubsub_output_limit_disconnections_total",
        "Subscribers closed because they did not read their messages",
    ),
    measure("eventloop_longest_usec", |f| f.inst.stats.turns.longest_us.into()),
    measure("eventloop_commands_max", |f| f.inst.stats.turns.commands_max.into()),
];

/// Memory of the client that has most.
fn most_memory(facts: &Facts<'_>) -> usize {
    facts.inst.clients.iter().chain(facts.caller).map(Client::memory).max().unwrap_or(0)
}
