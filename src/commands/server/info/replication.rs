//! The section `Replication`.

use super::row::{Row, Value, absent, gauge};
use super::{Facts, Line};
use crate::exec::replication::State;
use crate::replication::HistoryId;

/// One line for each replica.
pub(super) fn replicas(facts: &Facts<'_>, line: Line<'_>) {
    for (at, replica) in facts.inst.replication.replicas.iter().enumerate() {
        let ip = String::from_utf8_lossy(&replica.address(&facts.inst.clients)).into_owned();
        let lag = match replica.state {
            State::Follows { .. } => (facts.inst.now_ms - replica.acknowledged_ms).max(0) / 1000,
            State::AwaitsSnapshot | State::Receives => 0,
        };
        let (port, state, offset) = (replica.facts.port, replica.state_name(), replica.acknowledged);
        let text = format!("ip={ip},port={port},state={state},offset={offset},lag={lag},type=replica");
        line(&format!("slave{at}"), &text);
    }
}

/// A server that follows nobody.
pub(super) static REPLICATION: &[Row] = &[
    gauge("role", |_| "master".into()),
    gauge("connected_slaves", |f| f.inst.replication.replicas.len().into())
        .series("redis_connected_slaves", "Replicas, those that are still being sent a copy included"),
    absent("master_failover_state").says(|_| "no-failover".into()),
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
];
