//! One turn: wait, then do everything that is ready, in phases.
//!
//! ```text
//! wait -> events -> [ READ all -> PARSE all -> PREFETCH all -> EXECUTE all ] per group -> SETTLE -> BEFORE SLEEP
//! ```
//!
//! # Fairness
//!
//! A connection gets one read and at most [`QUANTUM`] requests a round, in rounds until its
//! budget of the turn is used; what is left stays in its buffer or its socket, and the next turn does not wait. So a
//! client with a million pipelined requests delays another one by one group's work, not by its own.

use std::io;
use std::time::Duration;

use super::batch::QUANTUM;
use super::deadlines::Due;
use super::notes;
use super::{Mail, Server};
use crate::client::{Attention, BUFFER_BYTES, ClientFlags, ClientMut, Connection};
use crate::exec::instance::{Alert, CloseReason, Instance};
use crate::reactor::{ConnId, Event, ReadOutcome};

/// Connections whose requests are read, prefetched and executed together. More would let the lines that prefetch
/// brought in fall out of the cache before they are used.
const GROUP: usize = 64;

/// The most one read asks for while a long argument comes in.
const LONG_READ_BYTES: usize = 4 * BUFFER_BYTES;

/// Of a long argument that is received to where it stays as much is read at once.
const DIRECT_READ_BYTES: usize = 8 * BUFFER_BYTES;

/// A client with so much of an unfinished request is read as much at once.
const UNFINISHED_BYTES: usize = BUFFER_BYTES / 4;

impl Server {
    /// One turn. `Some(code)` when the server is to end with that exit code.
    pub(super) fn turn(&mut self, inst: &mut Instance) -> Option<i32> {
        let mut events = std::mem::take(&mut self.events);
        self.reactor.set_accept_budget(inst.config.limits.max_new_connections_per_cycle as usize);
        if let Err(error) = self.wait(inst, &mut events) {
            notes::poll_failed(inst, &error);
        }
        let began_ns = self.tell_time(inst);
        inst.metrics.turn_started_us.set(inst.now_ms as u64 * 1000);
        self.route(inst, &mut events);
        self.events = events;
        let commands_before = inst.stats.commands;
        self.serve_ready(inst);
        // CONFIG RESETSTAT may have come in between.
        let commands = inst.stats.commands.saturating_sub(commands_before);
        self.serve_links();
        self.finish_links(inst);
        inst.follow_primary(self);
        self.before_sleep(inst);
        self.do_what_is_due(inst);
        if self.now_ns() >= inst.defragmenter.next_ns() {
            self.defrag(inst);
        }
        let duration_ns = self.now_ns().saturating_sub(began_ns);
        self.busy_poll.turned(duration_ns, commands > 0);
        inst.account_turn(duration_ns, commands);
        inst.metrics.turn_started_us.set(0);
        self.load_step(inst).or_else(|| self.shutdown_step(inst))
    }

    /// Waits for events, at first awake if that promises to be short.
    fn wait(&mut self, inst: &mut Instance, events: &mut Vec<Event<Mail>>) -> io::Result<()> {
        let wait = self.wait_max(inst);
        let most_ns = u64::from(inst.config.server.busy_poll_us) * 1000;
        let awake_ns = self.busy_poll.time_ns(most_ns);
        let mut now_ns = self.now_ns();
        if awake_ns > 0 && wait != Some(Duration::ZERO) && self.busy_poll.is_worth_it() {
            let until_ns = now_ns + awake_ns;
            while events.is_empty() && now_ns < until_ns {
                self.reactor.turn(now_ns, Some(Duration::ZERO), events)?;
                now_ns = self.now_ns();
            }
            let found = !events.is_empty();
            self.busy_poll.learn(found);
            inst.stats.busy_polls += 1;
            if found {
                inst.stats.busy_polls_found += 1;
                return Ok(());
            }
        }
        self.reactor.turn(now_ns, wait, events)
    }

    /// How long the wait may last.
    fn wait_max(&self, inst: &Instance) -> Option<Duration> {
        // What comes from a primary is loaded as it comes.
        if inst.alert.has(Alert::LOADING) && !inst.is_replica() {
            return Some(Duration::ZERO);
        }
        let has_work = !self.ready.is_empty() || !self.to_flush.is_empty() || !self.asks.is_empty();
        let has_work = has_work || inst.has_leftovers() || self.links.have_work(inst) || inst.has_primary_work();
        if has_work || inst.has_due_keys() || inst.eviction.pending || inst.has_idle_transfer() {
            return Some(Duration::ZERO);
        }
        let now_ns = self.now_ns();
        let until_ns = self.deadlines.next_ns().min(inst.next_deadline_ns(now_ns, || self.wall_ms()));
        Some(Duration::from_nanos(until_ns.saturating_sub(now_ns)))
    }

    /// Does what it is time for. What has become due meanwhile is for the next turn.
    fn do_what_is_due(&mut self, inst: &mut Instance) {
        let now_ns = self.now_ns();
        while let Some(due) = self.deadlines.take_due(now_ns) {
            match due {
                Due::Cron => self.cron(inst),
                Due::Link(number) => self.link_timer(number),
            }
        }
    }

    /// Reads the clocks: the instance sees one time for the whole turn. Returns the monotonic one.
    pub(super) fn tell_time(&mut self, inst: &mut Instance) -> u64 {
        let now_ns = self.now_ns();
        inst.now_ms = self.wall_ms();
        inst.stamp_ns = now_ns;
        now_ns
    }

    /// A client may have sent something. One in the middle of its command is looked at when that is over.
    pub(super) fn note_readable(&mut self, inst: &mut Instance, conn: ConnId) {
        let connection = inst.clients.connection_mut(conn.index).filter(|connection| connection.conn == conn);
        let Some(connection) = connection else { return };
        connection.flags.put(ClientFlags::DRAINED, false);
        if !connection.flags.has(ClientFlags::READY) {
            self.make_ready(inst, conn);
        }
    }

    /// Lists a client whose buffer may hold requests that were held back.
    pub(super) fn make_ready(&mut self, inst: &mut Instance, conn: ConnId) {
        let Some(ClientMut { connection, .. }) = inst.clients.of_mut(conn) else { return };
        if !connection.flags.has(ClientFlags::READY) {
            connection.flags.put(ClientFlags::READY, true);
            self.ready.push_back(conn.index);
        }
    }

    pub(super) fn serve_ready(&mut self, inst: &mut Instance) {
        let rounds = (inst.config.limits.max_pipeline_depth as usize).div_ceil(QUANTUM);
        // Who is listed from now on is for the next turn.
        let mut listed = self.ready.len();
        while listed > 0 && !self.ready.is_empty() {
            let size = GROUP.min(listed).min(self.ready.len());
            listed -= size;
            self.group.slots.extend(self.ready.drain(..size));
            for i in 0..size {
                let slot = self.group.slots[i];
                if self.read(inst, slot) {
                    self.group.active.push(slot);
                }
                inst.clients.count(slot);
            }
            self.evict_clients(inst);
            for _ in 0..rounds {
                if self.group.active.is_empty() {
                    break;
                }
                self.parse_group(inst);
                self.prefetch(inst);
                self.execute(inst);
                self.settle(inst);
            }
            self.group.active.clear();
            let mut slots = std::mem::take(&mut self.group.slots);
            for slot in slots.drain(..) {
                self.leave_group(inst, slot);
            }
            self.group.slots = slots; // keep the allocation
        }
    }

    /// READ: one receive. True when the client is to be parsed.
    fn read(&mut self, inst: &mut Instance, slot: u32) -> bool {
        let Some(ClientMut { session, connection }) = inst.clients.at_mut(slot) else { return false };
        let stopped = Attention::CLOSING.or(Attention::CLOSE_NOW);
        if session.attention.has(stopped) {
            return false;
        }
        let query_bytes_max = inst.config.limits.client_query_buffer_limit;
        let behind = session.attention.has(Attention::BEHIND);
        if behind && connection.is_far_ahead(query_bytes_max) {
            return false;
        }
        // A client held back is read a little, to notice when it goes away; nothing of it is parsed.
        if session.attention.has(Attention::HELD) && connection.query.len() > BUFFER_BYTES {
            return false;
        }
        // What the last round left unparsed comes first. An unfinished request does not count: it needs more bytes.
        let parse_first = connection.flags.has(ClientFlags::MORE_PARSEABLE) && !behind;
        if connection.flags.has(ClientFlags::DRAINED) || parse_first {
            return true;
        }
        if connection.query.capacity() < BUFFER_BYTES {
            let rest = std::mem::replace(&mut connection.query, inst.pools.queries.get());
            connection.query.extend_from_slice(&rest);
        }
        let (waiting, remaining) = (connection.query.len(), connection.parser.large_remaining());
        let held_back = Attention::HELD.or(Attention::BEHIND);
        let outcome = if waiting == 0 && remaining > BUFFER_BYTES && !session.attention.has(held_back) {
            // A long argument goes straight to where it stays.
            const MISSING: &str = "some of it is missing";
            let Connection { conn, parser, .. } = &mut *connection;
            let most = parser.receive(|pieces, left| pieces.fitting(left.min(DIRECT_READ_BYTES))).expect(MISSING);
            self.reactor.read_with(*conn, most, |socket| {
                parser.receive(|pieces, _| pieces.receive(socket, most)).expect(MISSING)
            })
        } else {
            let mut most = BUFFER_BYTES;
            if remaining > BUFFER_BYTES || (UNFINISHED_BYTES..LONG_READ_BYTES - BUFFER_BYTES).contains(&waiting) {
                // Its requests are long: more of them at once, in a buffer that is still one to be kept.
                most = LONG_READ_BYTES;
                connection.query.reserve_exact(LONG_READ_BYTES.saturating_sub(waiting));
            }
            connection.query.reserve(BUFFER_BYTES / 2);
            let room = (connection.query.capacity() - waiting).min(most);
            self.reactor.read(connection.conn, &mut connection.query, room)
        };
        match outcome {
            ReadOutcome::Data { n, drained } => {
                connection.input_bytes += n as u64;
                connection.last_active_ms = inst.now_ms;
                connection.flags.put(ClientFlags::DRAINED, drained);
                inst.stats.input_bytes += n as u64;
                inst.stats.reads += 1;
                let queued = session.transaction.as_ref().map_or(0, |transaction| transaction.memory());
                let held = connection.unread().len() + connection.parser.held_bytes() + queued;
                if held as u64 > query_bytes_max {
                    let conn = connection.conn;
                    inst.close_later(conn, CloseReason::QueryBufferFull);
                    return false;
                }
                true
            }
            ReadOutcome::WouldBlock => {
                connection.flags.put(ClientFlags::DRAINED, true);
                true
            }
            ReadOutcome::Eof => {
                connection.flags.put(ClientFlags::DRAINED.or(ClientFlags::INPUT_ENDED), true);
                true
            }
            ReadOutcome::Failed(_) => {
                session.attention.put(Attention::CLOSE_NOW, true);
                let conn = connection.conn;
                inst.close_later(conn, CloseReason::Broken);
                false
            }
        }
    }

    /// After its group's rounds: what a client has left decides whether the next turn looks at it again.
    pub(super) fn leave_group(&mut self, inst: &mut Instance, slot: u32) {
        self.leave(inst, slot);
        inst.clients.count(slot);
    }

    fn leave(&mut self, inst: &mut Instance, slot: u32) {
        let Some(ClientMut { session, connection }) = inst.clients.at_mut(slot) else { return };
        if connection.consumed == connection.query.len() {
            connection.consumed = 0;
            let buffer = std::mem::take(&mut connection.query);
            inst.pools.queries.put(buffer);
        } else if connection.waits_for_little() {
            let rest = connection.query[connection.consumed..].to_vec();
            connection.consumed = 0;
            let buffer = std::mem::replace(&mut connection.query, rest);
            inst.pools.queries.put(buffer);
        } else if connection.consumed > 0
            && (connection.consumed >= connection.query.len() / 2 || !session.attention.has(Attention::BEHIND))
        {
            // The long queue of one that does not read is not moved for every few requests.
            connection.query.drain(..connection.consumed);
            connection.consumed = 0;
        }
        let stopped = Attention::CLOSING.or(Attention::CLOSE_NOW).or(Attention::HELD);
        let behind = session.attention.has(Attention::BEHIND);
        let waiting = session.attention.has(stopped.or(Attention::BEHIND));
        // Nobody will read what is left before the end, and the end is not announced again.
        if session.attention.has(Attention::HELD) && self.reactor.has_hung_up(connection.conn) {
            connection.flags.put(ClientFlags::INPUT_ENDED, true);
        }
        let more = connection.flags.has(ClientFlags::MORE_PARSEABLE) || !connection.flags.has(ClientFlags::DRAINED);
        let parseable = connection.flags.has(ClientFlags::MORE_PARSEABLE) && !session.attention.has(Attention::HELD);
        // One that reads nothing may yet send all it has: only then would some clients begin to read.
        let query_bytes_max = inst.config.limits.client_query_buffer_limit;
        let sends_on =
            behind && !connection.flags.has(ClientFlags::DRAINED) && !connection.is_far_ahead(query_bytes_max);
        // It may have closed only the half that it sends with: what it has asked for is answered all the same.
        let elsewhere = session.attention.has(Attention::ELSEWHERE);
        if connection.flags.has(ClientFlags::INPUT_ENDED) && !parseable && !behind && !elsewhere {
            session.close_after_reply();
            let conn = connection.conn;
            connection.flags.put(ClientFlags::READY, false);
            self.flush_later(inst, conn);
        } else if (more && !waiting) || sends_on {
            self.ready.push_back(slot); // stays READY
        } else {
            connection.flags.put(ClientFlags::READY, false);
        }
    }
}

/// An unfinished request of at most so many bytes waits for the rest in memory of its own size.
const LITTLE_BYTES: usize = 1024;

impl Connection {
    /// It is owed replies, and has sent so much more that it must read before it can send the rest. Closing it for a
    /// query buffer that is too long would punish it for our holding its requests back.
    fn is_far_ahead(&self, query_bytes_max: u64) -> bool {
        (self.unread().len() + self.parser.held_bytes()) as u64 > query_bytes_max / 2
    }

    /// It has sent a small part of a request, and nothing more is there: a thousand such clients should not hold a
    /// thousand buffers. While bytes keep coming the buffer stays, so that a cut in a pipeline costs no copies.
    fn waits_for_little(&self) -> bool {
        let quiet = self.flags.has(ClientFlags::DRAINED) && !self.flags.has(ClientFlags::MORE_PARSEABLE);
        quiet && self.query.capacity() >= BUFFER_BYTES && self.query.len() - self.consumed <= LITTLE_BYTES
    }
}
