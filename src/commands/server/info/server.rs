//! The sections about the program and its surroundings.

use std::fmt::Display;

use super::{Facts, Line};
use crate::client::Client;
use crate::exec::instance::Instance;
use crate::sys::process;

/// Microseconds, shown as seconds with six digits.
struct Seconds(u64);

impl Display for Seconds {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{:06}", self.0 / 1_000_000, self.0 % 1_000_000)
    }
}

pub(super) fn server(facts: &Facts<'_>, line: Line<'_>) {
    let inst = facts.inst;
    let config = &inst.config.server;
    line("redis_version", &config.redis_version.to_lossy());
    line("kvstash_version", &env!("CARGO_PKG_VERSION"));
    line("redis_git_sha1", &"00000000");
    line("redis_git_dirty", &0);
    line("redis_build_id", &"0");
    line("redis_mode", &"standalone");
    line("os", &process::os());
    line("arch_bits", &usize::BITS);
    line("monotonic_clock", &facts.host.clock_name());
    line("multiplexing_api", &"epoll");
    line("process_id", &process::pid());
    line("process_supervised", &"no");
    line("run_id", &inst.run_id);
    line("tcp_port", &config.port);
    line("server_time_usec", &facts.host.wall_us());
    line("uptime_in_seconds", &inst.uptime_s());
    line("uptime_in_days", &(inst.uptime_s() / 86_400));
    line("hz", &config.hz);
    line("configured_hz", &config.hz);
    // 24 bits of seconds, as Redis keeps them.
    line("lru_clock", &((inst.now_ms / 1000) & 0xff_ffff));
    line("executable", &process::executable());
    line("config_file", &inst.sources.file().map(|path| path.display().to_string()).unwrap_or_default());
    line("io_threads_active", &0);
    listeners(inst, line);
}

fn listeners(inst: &Instance, line: Line<'_>) {
    let config = &inst.config.server;
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

pub(super) fn clients(facts: &Facts<'_>, line: Line<'_>) {
    let inst = facts.inst;
    let metrics = &inst.metrics;
    let (watching, watched) = inst.keyspace.watch().totals();
    let waits = inst.waiting.totals();
    let (input_bytes, output_bytes) = inst.recent_buffers.most();
    line("connected_clients", &inst.clients.len());
    line("cluster_connections", &0);
    line("maxclients", &inst.config.limits.maxclients);
    line("client_recent_max_input_buffer", &input_bytes);
    line("client_recent_max_output_buffer", &output_bytes);
    line("blocked_clients", &metrics.blocked_clients.get());
    line("tracking_clients", &metrics.tracking_clients.get());
    line("pubsub_clients", &metrics.pubsub_clients.get());
    line("watching_clients", &watching);
    line("clients_in_timeout_table", &waits.with_timeout);
    line("total_watched_keys", &watched);
    line("total_blocking_keys", &waits.keys);
    line("total_blocking_keys_on_nokey", &waits.keys_on_absence);
}

/// One thread does it all.
pub(super) fn threads(facts: &Facts<'_>, line: Line<'_>) {
    let metrics = &facts.inst.metrics;
    let (reads, writes) = (metrics.reads_processed.get(), metrics.writes_processed.get());
    line("io_thread_0", &format_args!("clients={},reads={reads},writes={writes}", facts.inst.clients.len()));
}

/// A server that neither follows nor is followed.
pub(super) fn replication(facts: &Facts<'_>, line: Line<'_>) {
    let inst = facts.inst;
    line("role", &"master");
    line("connected_slaves", &0);
    line("master_failover_state", &"no-failover");
    line("master_replid", &inst.replication_id);
    line("master_replid2", &"0000000000000000000000000000000000000000");
    line("master_repl_offset", &0);
    line("second_repl_offset", &-1);
    line("repl_backlog_active", &0);
    line("repl_backlog_size", &inst.config.replication.repl_backlog_size);
    line("repl_backlog_first_byte_offset", &0);
    line("repl_backlog_histlen", &0);
}

pub(super) fn cpu(_facts: &Facts<'_>, line: Line<'_>) {
    let cpu = process::cpu_time();
    line("used_cpu_sys", &Seconds(cpu.system_us));
    line("used_cpu_user", &Seconds(cpu.user_us));
    line("used_cpu_sys_children", &Seconds(cpu.children_system_us));
    line("used_cpu_user_children", &Seconds(cpu.children_user_us));
    line("used_cpu_sys_main_thread", &Seconds(cpu.thread_system_us));
    line("used_cpu_user_main_thread", &Seconds(cpu.thread_user_us));
}

/// There are none.
pub(super) fn modules(_facts: &Facts<'_>, _line: Line<'_>) {}

pub(super) fn cluster(_facts: &Facts<'_>, line: Line<'_>) {
    line("cluster_enabled", &0);
}

/// What only this server has: snapshots without fork, and what they hold back.
pub(super) fn kvstash(facts: &Facts<'_>, line: Line<'_>) {
    let inst = facts.inst;
    let heap = inst.keyspace.heap_stats();
    let tables = (0..inst.keyspace.databases()).map(|db| inst.keyspace.table_stats(db));
    let (segments, slots) = tables.fold((0, 0), |(s, n), t| (s + t.segments, n + t.slots));
    line("snapshots_live", &heap.live_snapshots);
    line("snapshots_taken", &inst.snapshots);
    line("snapshot_start_usec", &(inst.snapshot_ns / 1000));
    line("snapshot_cloned_bytes", &heap.cloned_bytes);
    line("retired_nodes", &heap.retired_nodes);
    line("retired_bytes", &heap.retired_bytes);
    line("table_segments", &segments);
    line("table_slots", &slots);
    line("clients_memory_max", &most_memory(inst, facts.caller));
    line("slowlog_len", &inst.slowlog.len());
    line("eventloop_longest_usec", &inst.turns.longest_us);
    line("eventloop_commands_max", &inst.turns.commands_max);
}

/// Memory of the client that has most.
fn most_memory(inst: &Instance, caller: &Client) -> usize {
    inst.clients.iter().map(Client::memory).fold(caller.memory(), usize::max)
}
