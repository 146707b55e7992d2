//! The end of a unit of work: what it left behind goes to those who read it.
//!
//! A unit is one outermost command, one transaction, one served blocked client, or one step of expiry or eviction. While
//! it runs, the keyspace collects its trace ([`crate::db::trace`]).
//!
//! When a command is over, also one within a transaction, those who follow what happens are told, so that they hear of it
//! between what the commands before and after it say ([`Instance::tell`]): events, to their subscribers, and among them,
//! in the order in which it all happened, names of changed keys, to clients that cache them.
//!
//! The rest is worked off when the unit is over:
//!
//! 1. propagation: the commands that repeat the change, events that are kept in a stream included, to the feed that files
//!    and replicas read;
//! 2. names of keys that a client has changed and caches itself, to that client.
//!
//! Clients that wait for a key are served after that, each as a unit of its own (`exec/blocked.rs`).

use crate::config::KeyspaceEvents;
use crate::db::{Event, Events, Op};
use crate::exec::aof::Aof;
use crate::exec::event_stream;
use crate::exec::instance::Instance;
use crate::exec::replication::Replication;
use crate::observe::keys;
use crate::observe::log::Shown;
use crate::reactor::ConnId;
use crate::util::num;

impl Instance {
    /// The unit at hand is over. Several commands of one unit are repeated as one transaction.
    #[inline]
    pub(super) fn end_unit(&mut self) {
        if !self.keyspace.trace().is_idle() {
            self.settle_unit();
        }
    }

    #[cold]
    #[inline(never)]
    fn settle_unit(&mut self) {
        // Nobody's command: keys that expired or were evicted; or one that waits.
        self.tell(None);
        let trace = self.keyspace.trace_mut();
        if trace.ops().len() > 0 {
            let timestamp = self.config.persistence.aof_timestamp_enabled.then_some(self.now_ms / 1000);
            match trace.only_op() {
                Some(op) => emit(&mut self.replication, &mut self.aof, std::iter::once(op), timestamp),
                None => emit(&mut self.replication, &mut self.aof, trace.ops(), timestamp),
            }
            trace.clear_ops();
            if self.aof.buffer.is_large() {
                self.hand_over_to_aof();
            }
        }
        if !self.tracking.own.is_empty() {
            self.tell_own_changes();
        }
    }

    /// Tells what has happened since this was last called, by `calling` unless it happened by itself.
    #[inline]
    pub(super) fn tell(&mut self, calling: Option<ConnId>) {
        let trace = self.keyspace.trace();
        if trace.has_events() || trace.has_touched() {
            self.tell_all(calling);
        }
    }

    fn tell_all(&mut self, calling: Option<ConnId>) {
        let trace = self.keyspace.trace_mut();
        let (events, touched) = (trace.take_events(), trace.take_touched());
        self.stats.events += events.iter().len() as u64;
        self.keep(&events);
        let mut told = 0;
        if self.pubsub.hears_events() {
            for event in events.iter() {
                self.invalidate(&touched, told..event.touched, calling);
                told = event.touched;
                self.publish_event(event);
            }
        }
        self.invalidate(&touched, told..touched.len(), calling);
        self.keyspace.trace_mut().give_back_events(events);
        // The stream that keeps events is a key, too, and may have been changed meanwhile.
        let kept = self.keyspace.trace_mut().take_touched();
        self.invalidate(&kept, 0..kept.len(), None);
        self.keyspace.trace_mut().give_back_touched(touched);
    }

    /// Events are kept in a stream, where that is wanted, as a part of the unit.
    fn keep(&mut self, events: &Events) {
        let stream = &self.config.storage.notify_keyspace_stream;
        if stream.key.is_empty() || events.is_empty() {
            return;
        }
        let (name, max_len, now_ms) = (stream.key.as_bytes(), stream.max_len, self.now_ms);
        let kept =
            self.keyspace.without_events(|keyspace| event_stream::append(keyspace, now_ms, name, max_len, events));
        if kept.is_err() && !std::mem::replace(&mut self.stats.events_refused, true) {
            self.log.warning("Keyspace events cannot be kept", &[(keys::KEY, &Shown(&String::from_utf8_lossy(name)))]);
        }
    }

    /// An event goes first to the channel of its key, then to its own.
    fn publish_event(&mut self, event: Event<'_>) {
        let wanted = self.config.storage.notify_keyspace_events;
        let mut channel = std::mem::take(&mut self.event_channel);
        if wanted.has(KeyspaceEvents::KEYSPACE) {
            name_channel(&mut channel, "__keyspace@", event.db, event.key);
            self.publish(&channel, event.name.as_bytes());
        }
        if wanted.has(KeyspaceEvents::KEYEVENT) {
            name_channel(&mut channel, "__keyevent@", event.db, event.name.as_bytes());
            self.publish(&channel, event.key);
        }
        channel.shrink_to(EVENT_CHANNEL_KEPT);
        self.event_channel = channel;
    }

    /// As [`Instance::end_unit`], for deletions that have nothing to do with each other: each is repeated by itself.
    pub(super) fn end_units(&mut self) {
        if self.keyspace.trace().is_idle() {
            return;
        }
        let timestamp = self.config.persistence.aof_timestamp_enabled.then_some(self.now_ms / 1000);
        let trace = self.keyspace.trace_mut();
        for op in trace.ops() {
            emit(&mut self.replication, &mut self.aof, std::iter::once(op), timestamp);
        }
        trace.clear_ops();
        self.settle_unit();
    }
}

/// One unit goes to replicas and to the append-only file, as far as there are any. Offsets advance in any case. Replicas
/// of a replica are sent what its primary has sent, and nothing else.
fn emit<'a>(
    replication: &mut Replication,
    aof: &mut Aof,
    ops: impl Iterator<Item = Op<'a>> + Clone,
    timestamp: Option<i64>,
) {
    if aof.is_on() {
        aof.buffer.emit(ops.clone(), timestamp);
    }
    let feed = &mut replication.feed;
    match feed.is_active() {
        _ if replication.upstream.is_some() => {}
        true => feed.emit(ops),
        false => feed.count_unit(),
    }
}

/// Room that is kept for the name of a channel.
const EVENT_CHANNEL_KEPT: usize = 1024;

fn name_channel(channel: &mut Vec<u8>, what: &str, db: u32, name: &[u8]) {
    channel.clear();
    channel.extend_from_slice(what.as_bytes());
    num::push_u64(channel, u64::from(db));
    channel.extend_from_slice(b"__:");
    channel.extend_from_slice(name);
}
