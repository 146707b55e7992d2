//! The end of a unit of work: what it left behind goes to those who read it.
//!
//! A unit is one outermost command, one transaction, one served blocked client, or one step of expiry or eviction. While
//! it runs, the keyspace collects its trace ([`crate::db::trace`]). Here it is worked off, in this order:
//!
//! 1. propagation: the commands that repeat the change, events that are kept in a stream included, to the feed that files
//!    and replicas read;
//! 2. events, to their subscribers;
//! 3. names of keys that a client has changed and caches itself, to that client. Others that cache heard of each change
//!    when its command was over (`exec/invalidate.rs`).
//!
//! Clients that wait for a key are served after that, each as a unit of its own (`exec/blocked.rs`).

use crate::config::KeyspaceEvents;
use crate::db::{Event, Op};
use crate::exec::aof::Aof;
use crate::exec::event_stream;
use crate::exec::instance::Instance;
use crate::observe::keys;
use crate::observe::log::Shown;
use crate::stream::Feed;
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
        if self.keyspace.trace().has_events() {
            self.tell_events();
        }
        let trace = self.keyspace.trace_mut();
        if trace.ops().len() > 0 {
            let timestamp = self.config.persistence.aof_timestamp_enabled.then_some(self.now_ms / 1000);
            match trace.only_op() {
                Some(op) => emit(&mut self.replication.feed, &mut self.aof, std::iter::once(op), timestamp),
                None => emit(&mut self.replication.feed, &mut self.aof, trace.ops(), timestamp),
            }
            trace.clear_ops();
            if self.aof.buffer.is_large() {
                self.hand_over_to_aof();
            }
        }
        if self.keyspace.trace().has_touched() {
            // Nobody's command: keys that expired or were evicted.
            self.invalidate(None);
        }
        if !self.tracking.own.is_empty() {
            self.tell_own_changes();
        }
    }

    /// Events are kept, where that is wanted, as a part of the unit, and published.
    fn tell_events(&mut self) {
        let events = self.keyspace.trace_mut().take_events();
        self.stats.events += events.len() as u64;
        let stream = &self.config.storage.notify_keyspace_stream;
        if !stream.key.is_empty() {
            let (name, max_len, now_ms) = (stream.key.as_bytes(), stream.max_len, self.now_ms);
            let kept =
                self.keyspace.without_events(|keyspace| event_stream::append(keyspace, now_ms, name, max_len, &events));
            if kept.is_err() && !std::mem::replace(&mut self.stats.events_refused, true) {
                self.log
                    .warning("Keyspace events cannot be kept", &[(keys::KEY, &Shown(&String::from_utf8_lossy(name)))]);
            }
        }
        if !self.pubsub.is_silent() {
            self.publish_events(events);
        }
    }

    /// Each event, first on the channel of its key, then on its own.
    fn publish_events(&mut self, events: Vec<Event>) {
        let wanted = self.config.storage.notify_keyspace_events;
        let mut channel = Vec::new();
        for event in events {
            if wanted.has(KeyspaceEvents::KEYSPACE) {
                name_channel(&mut channel, "__keyspace@", event.db, &event.key);
                self.publish(&channel, event.name.as_bytes());
            }
            if wanted.has(KeyspaceEvents::KEYEVENT) {
                name_channel(&mut channel, "__keyevent@", event.db, event.name.as_bytes());
                self.publish(&channel, &event.key);
            }
        }
    }

    /// As [`Instance::end_unit`], for deletions that have nothing to do with each other: each is repeated by itself.
    pub(super) fn end_units(&mut self) {
        if self.keyspace.trace().is_idle() {
            return;
        }
        let timestamp = self.config.persistence.aof_timestamp_enabled.then_some(self.now_ms / 1000);
        let trace = self.keyspace.trace_mut();
        for op in trace.ops() {
            emit(&mut self.replication.feed, &mut self.aof, std::iter::once(op), timestamp);
        }
        trace.clear_ops();
        self.settle_unit();
    }
}

/// One unit goes to replicas and to the append-only file, as far as there are any. Offsets advance in any case.
fn emit<'a>(feed: &mut Feed, aof: &mut Aof, ops: impl Iterator<Item = Op<'a>> + Clone, timestamp: Option<i64>) {
    if aof.is_on() {
        aof.buffer.emit(ops.clone(), timestamp);
    }
    match feed.is_active() {
        true => feed.emit(ops),
        false => feed.count_unit(),
    }
}

fn name_channel(channel: &mut Vec<u8>, what: &str, db: u32, name: &[u8]) {
    channel.clear();
    channel.extend_from_slice(what.as_bytes());
    num::push_u64(channel, u64::from(db));
    channel.extend_from_slice(b"__:");
    channel.extend_from_slice(name);
}
