//! The section `Replication`.

use super::row::{Row, Value, counter, gauge};
use super::{Facts, Line};
use crate::exec::replication::{State, Upstream};
use crate::replication::HistoryId;

/// One line for each replica.
pub(super) fn replicas(facts: &Facts<'_>, line: Line<'_>) {
    for (at, replica) in facts.inst.replication.counted().enumerate() {
        let ip = String::from_utf8_lossy(&replica.address(&facts.inst.clients)).into_owned();
        let lag = match replica.state {
            State::Follows { .. } => (facts.inst.now_ms - replica.acknowledged_ms).max(0) / 1000,
            _ => 0,
        };
        let (port, state, offset) = (replica.facts.port, replica.state_name(), replica.acknowledged);
        let text = format!("ip={ip},port={port},state={state},offset={offset},lag={lag},type=replica");
        line(&format!("slave{at}"), &text);
    }
}

/// What a replica says of its primary; a primary says nothing.
fn upstream(facts: &Facts<'_>, value: impl FnOnce(&Upstream) -> Value) -> Value {
    facts.inst.replication.upstream.as_deref().map_or(Value::Nothing, value)
}

/// What it says while a copy comes.
fn copy(facts: &Facts<'_>, value: impl FnOnce(Option<u64>, u64) -> Value) -> Value {
    upstream(facts, |upstream| match upstream.is_syncing() {
        true => {
            let (total, read) = upstream.copy_progress();
            value(total, read)
        }
        false => Value::Nothing,
    })
}

/// The part that a server plays.
pub(super) static REPLICATION: &[Row] = &[
    gauge("role", |f| f.inst.role_name().into()),
    gauge("master_host", |f| upstream(f, |up| String::from_utf8_lossy(&up.primary.host).into_owned().into())),
    gauge("master_port", |f| upstream(f, |up| u64::from(up.primary.port).into())),
    gauge("master_link_status", |f| upstream(f, |up| if up.is_up() { "up" } else { "down" }.into())),
    gauge("master_last_io_seconds_ago", |f| upstream(f, |up| up.silent_s(f.inst.now_ms).unwrap_or(-1).into())),
    gauge("master_sync_in_progress", |f| upstream(f, |up| up.is_syncing().into()))
        .series("redis_master_sync_in_progress", "1 while a replica receives or loads a copy of its primary's data"),
    gauge("slave_read_repl_offset", |f| upstream(f, |up| (f.inst.replication.feed.end() + up.waiting_bytes()).into())),
    gauge("slave_repl_offset", |f| upstream(f, |_| f.inst.replication.feed.end().into()))
        .series("redis_slave_repl_offset", "How much of its primary's write stream a replica has applied, in bytes"),
    gauge("master_sync_total_bytes", |f| copy(f, |total, _| total.unwrap_or(0).into())),
    gauge("master_sync_read_bytes", |f| copy(f, |_, read| read.into())),
    gauge("master_sync_left_bytes", |f| copy(f, |total, read| total.unwrap_or(0).saturating_sub(read).into())),
    gauge("master_sync_perc", |f| {
        copy(f, |total, read| Value::Fixed(total.map_or(0.0, |total| read as f64 * 100.0 / total.max(1) as f64), 2))
    }),
    gauge("master_sync_last_io_seconds_ago", |f| copy(f, |_, _| upstream(f, |up| up.heard_s(f.inst.now_ms).into()))),
    gauge("master_link_down_since_seconds", |f| {
        upstream(f, |up| up.down_s(f.inst.now_ms).map_or(Value::Nothing, Value::Integer))
    })
    .series("redis_master_link_down_since_seconds", "For how long a replica has not followed its primary"),
    gauge("slave_priority", |f| upstream(f, |_| f.inst.config.replication.replica_priority.into())),
    gauge("slave_read_only", |f| upstream(f, |_| f.inst.config.replication.replica_read_only.into())),
    gauge("replica_announced", |f| upstream(f, |_| f.inst.config.replication.replica_announced.into())),
    gauge("connected_slaves", |f| f.inst.replication.counted().count().into())
        .series("redis_connected_slaves", "Replicas, those that are still being sent a copy included"),
    gauge("min_slaves_good_slaves", |f| {
        let config = &f.inst.config.replication;
        match config.min_replicas_to_write > 0 && config.min_replicas_max_lag > 0 && !f.inst.is_replica() {
            true => f.inst.good_replicas().into(),
            false => Value::Nothing,
        }
    }),
    gauge("write_acks_waiting_clients", |f| f.inst.replication.quorum.waiting().into())
        .series("kvstash_write_acks_waiting_clients", "Clients of whom replies wait for replicas"),
    counter("write_acks_acknowledged", |f| f.inst.replication.quorum.counts.acknowledged.into()).series(
        "kvstash_write_acks_acknowledged_total",
        "Replies to writes that were sent once enough replicas had them",
    ),
    counter("write_acks_refused", |f| f.inst.replication.quorum.counts.refused.into()).series(
        "kvstash_write_acks_refused_total",
        "Replies that were NOQUORUM, because too few replicas answered in time",
    ),
    gauge("primary_lease", |f| match f.inst.lease_is_held() {
        Some(is_held) => if is_held { "held" } else { "lost" }.into(),
        None => Value::Nothing,
    }),
    gauge("master_failover_state", |f| f.inst.failover_state().into()),
    gauge("master_replid", |f| f.inst.replication.history.id().to_string().into()),
    gauge("master_replid2", |f| {
        f.inst.replication.history.before().map_or(HistoryId::NONE, |before| before.id).to_string().into()
    }),
    gauge("master_repl_offset", |f| f.inst.replication.feed.end().into())
        .series("redis_master_repl_offset", "Where the write stream ends, in bytes since its start"),
    gauge("second_repl_offset", |f| {
        f.inst.replication.history.before().map_or(Value::Integer(-1), |before| before.until.into())
    }),
    gauge("repl_backlog_active", |f| f.inst.replication.feed.is_active().into()),
    gauge("repl_backlog_size", |f| f.inst.config.replication.repl_backlog_size.into()),
    gauge("repl_backlog_first_byte_offset", |f| match f.inst.replication.feed.is_active() {
        true => (f.inst.replication.feed.start() + 1).into(),
        false => Value::Count(0),
    }),
    gauge("repl_backlog_histlen", |f| (f.inst.replication.feed.end() - f.inst.replication.feed.start()).into()),
    gauge("repl_backlog_spilled_bytes", |f| f.inst.replication.feed.spilled().into()).series(
        "kvstash_repl_backlog_spilled_bytes",
        "Bytes of the write stream that are on the disk, for slow replicas",
    ),
];
