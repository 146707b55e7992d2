//! What is done now and then, and what is done before every wait.
//!
//! # Before sleep, in this order
//!
//! 1. Keys whose time is over go, within a time budget, so that a reader of the next turn does not pay for them.
//! 2. Keys that memory has no room for go, if a command before had no time for it.
//! 3. Clients whose wait is over are told, and those that waited for one of these keys are served.
//! 4. Memory that ended snapshots and lazy deletions left is freed, in slices, and so are forgotten keys of caches.
//! 5. Clients that cache keys by prefix are told what has changed since the last turn.
//! 6. Replicas get what was written, and so does the thread that writes the append-only file.
//! 7. Replies are sent: last, because everything above may still write or owe somebody a reply. Where
//!    `appendfsync always` is set, those wait until the file is on the disk (`barriers.rs`).
//! 8. Clients that take too much memory even so are closed.

use super::Server;
use super::deadlines::Due;
use super::peer::Peer;
use crate::client::{Attention, ClientMut};
use crate::commands::info;
use crate::exec::instance::{CloseReason, Instance};

/// Divided by `hz`, the time between two runs of the cron.
const NS_PER_S: u64 = 1_000_000_000;

/// Share of a turn that active expiry may take at effort 1, ns.
const EXPIRE_BUDGET_NS: u64 = 500_000;

/// A client that has sent nothing for so long will not finish its request at once: its buffer is cut to what is in it.
const STALLED_MS: i64 = 2_000;

/// So often a second numbers are copied to where other threads read them, if the cron runs so often.
const PUBLISH_HZ: u64 = 10;

/// Buffers are given back to the allocator once in so many runs.
const SHRINK_EVERY: u64 = 100;

/// And the room for arguments that was not used meanwhile.
const BATCH_SHRINK_EVERY: u64 = 10;

impl Server {
    pub(super) fn before_sleep(&mut self, inst: &mut Instance) {
        let effort = u64::from(inst.config.ttl.active_expire_effort);
        let began_ns = self.now_ns();
        let until_ns = began_ns + EXPIRE_BUDGET_NS * effort;
        let clock = self.clock;
        inst.expire_due(|| clock.mono_ns() < until_ns);
        let expire_ns = self.now_ns().saturating_sub(began_ns);
        inst.stats.turns.expire_ns += expire_ns;
        inst.note_latency("expire-cycle", expire_ns);
        inst.continue_eviction(self);
        inst.look_for_syncs(self);
        inst.serve_waits(self);
        inst.note_preserved();
        inst.keyspace.reap_snapshots();
        inst.tracking.keys_mut().free_some();
        inst.leave_topics(false);
        inst.broadcast_invalidations();
        self.settle(inst);
        self.feed_replicas(inst);
        inst.hand_over_to_aof();
        self.flush_all(inst);
        self.evict_clients(inst);
        self.settle(inst);
    }

    pub(super) fn cron(&mut self, inst: &mut Instance) {
        let began_ns = self.tell_time(inst);
        let hz = u64::from(inst.config.server.hz.max(1));
        self.deadlines.set(self.now_ns() + NS_PER_S / hz, Due::Cron);
        if inst.debug.cron_paused {
            return;
        }
        inst.cron();
        inst.save_when_due(self);
        inst.aof_cron(self);
        self.end_pause(inst);
        self.check_clients(inst, hz);
        self.replication_cron(inst);
        self.close_kept(inst);
        self.settle(inst);
        if inst.cron_runs().is_multiple_of((hz / PUBLISH_HZ).max(1)) {
            info::publish(inst, self);
        }
        if inst.cron_runs().is_multiple_of(BATCH_SHRINK_EVERY) {
            self.idle_batch().shrink();
        }
        if inst.cron_runs().is_multiple_of(SHRINK_EVERY) {
            inst.pools.queries.shrink();
            if !inst.debug.buffers_kept {
                inst.pools.replies.shrink();
            }
        }
        inst.stats.turns.cron_ns += self.now_ns().saturating_sub(began_ns);
    }

    /// Moves memory for a fraction of a millisecond.
    pub(super) fn defrag(&mut self, inst: &mut Instance) {
        let clock = self.clock;
        let began_ns = clock.mono_ns();
        inst.defrag_step(|| clock.mono_ns());
        inst.stats.turns.cron_ns += clock.mono_ns().saturating_sub(began_ns);
    }

    /// Looks at every client about once a second, a slice at a time: `timeout`, soft output limits of clients that take
    /// nothing, and the buffers of those that stopped in the middle of a request.
    fn check_clients(&mut self, inst: &mut Instance, hz: u64) {
        let timeout_ms = i64::from(inst.config.server.timeout) * 1000;
        let slots = inst.clients.slots();
        if slots == 0 {
            return;
        }
        let now_ms = inst.now_ms;
        let slice = slots.div_ceil(hz as usize).max(16).min(slots);
        let mut late = Vec::new();
        let mut owing = Vec::new();
        for _ in 0..slice {
            self.cron_slot = (self.cron_slot + 1) % slots;
            let Some(client) = inst.clients.at_mut(self.cron_slot as u32) else { continue };
            let ClientMut { session, connection } = client;
            inst.recent_buffers.note(now_ms, connection.query.capacity(), session.reply.out.len());
            let waits = session.attention.has(Attention::MONITOR.or(Attention::HELD).or(Attention::AWAITS_SHUTDOWN))
                || session.is_subscriber()
                || Peer::of(session) == Peer::Replica;
            if timeout_ms > 0 && now_ms - connection.last_active_ms > timeout_ms && !waits {
                late.push(connection.conn);
            }
            if now_ms - connection.last_active_ms > STALLED_MS {
                connection.fit_query();
            }
            if connection.soft_limit_since_ms != 0 {
                owing.push(connection.conn);
            }
        }
        late.into_iter().for_each(|conn| inst.close_later(conn, CloseReason::Idle));
        owing.into_iter().for_each(|conn| self.check_output(inst, conn));
    }
}
