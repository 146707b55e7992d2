//! Replies out, buffers back to their pool, connections closed.

use std::collections::VecDeque;

use super::Server;
use super::notes;
use super::peer::Peer;
use crate::client::{Attention, Client, ClientFlags, ClientMut, Connection, Session};
use crate::config::{Config, OutputLimit};
use crate::exec::instance::{CloseReason, Instance};
use crate::reactor::{ConnId, WriteOutcome};

/// What a client that has not said who it is may leave unread, beyond what the socket took: a few errors.
const UNSENT_UNKNOWN_BYTES_MAX: usize = 1024;

/// As much of a reply does not count for client-output-buffer-limit before it was tried to be sent.
const REPLY_BYTES_FREE: usize = 16 * 1024;

/// A client gets so much of its replies in one turn: the kernel copies it meanwhile, a quarter of a millisecond long.
const WRITE_BYTES_MAX: usize = 512 * 1024;

/// Whether what is owed may be sent.
#[derive(Clone, Copy)]
enum Barrier {
    /// Nobody waits for anything.
    None,
    /// Somebody does. What is owed from now on must not be sent before the append-only file is safe up to here, if anywhere.
    Look { file: Option<u64> },
}

/// Lists a connection for flushing, unless it is listed already.
#[inline]
pub(super) fn list_once(connection: &mut Connection, to_flush: &mut VecDeque<ConnId>) {
    if !connection.flags.has(ClientFlags::FLUSH_PENDING) {
        connection.flags.put(ClientFlags::FLUSH_PENDING, true);
        to_flush.push_back(connection.conn);
    }
}

/// client-output-buffer-limit of the class that a client is in. What replicas have not read is in the feed, and counted
/// there.
pub(super) fn output_limit(config: &Config, session: &Session) -> OutputLimit {
    let limits = &config.limits.client_output_buffer_limit;
    match Peer::of(session) {
        Peer::Replica => OutputLimit { hard_bytes: 0, soft_bytes: 0, soft_seconds: 0 },
        _ if session.is_subscriber() => limits.pubsub,
        _ => limits.normal,
    }
}

impl Server {
    /// Lists a client for flushing, once.
    pub(super) fn flush_later(&mut self, inst: &mut Instance, conn: ConnId) {
        let Some(ClientMut { connection, .. }) = inst.clients.of_mut(conn) else { return };
        list_once(connection, &mut self.to_flush);
    }

    /// Sends what every listed client is owed: one write each. What is more than that is sent in the next turns.
    pub(super) fn flush_all(&mut self, inst: &mut Instance) {
        self.flush_up_to(inst, WRITE_BYTES_MAX);
    }

    /// The same for a last time: as much as the sockets take.
    pub(super) fn flush_all_now(&mut self, inst: &mut Instance) {
        self.flush_up_to(inst, usize::MAX);
    }

    fn flush_up_to(&mut self, inst: &mut Instance, most: usize) {
        let file = inst.aof_barrier();
        self.pass_barriers(inst);
        let mut barrier = Barrier::Look { file };
        if inst.replication.quorum.is_active() {
            self.release_held(inst, file);
        } else if file.is_none() && self.barriers.is_empty() {
            barrier = Barrier::None;
        }
        // Who is listed meanwhile is for the next turn. A turn within a command may have sent some of it already.
        for _ in 0..self.to_flush.len() {
            let Some(conn) = self.to_flush.pop_front() else { break };
            self.flush(inst, conn, most, barrier);
            let behind = inst.clients.of(conn).filter(|client| client.session.attention.has(Attention::BEHIND));
            if behind
                .map(|client| (client.session, client.session.reply.out.len() + client.session.held_bytes()))
                .is_some_and(|(session, owed)| owed <= self.owed_bytes_max(inst, session) / 2)
            {
                self.resume(inst, conn.index);
            }
            inst.clients.count(conn.index);
        }
    }

    /// Lists the clients whose replies may be sent now, because what they speak of is on the disk.
    fn pass_barriers(&mut self, inst: &mut Instance) {
        if self.barriers.is_empty() {
            return;
        }
        let safe = inst.aof_safe_end();
        let Server { barriers, to_flush, .. } = self;
        barriers.pass(safe, |conn| {
            if let Some(connection) = inst.clients.connection_mut(conn.index).filter(|c| c.conn == conn) {
                list_once(connection, to_flush);
            }
        });
    }

    /// Has what waited for replicas go to the clients, if they have it, or errors in its place, if they have not in time.
    fn release_held(&mut self, inst: &mut Instance, file: Option<u64>) {
        let (now_ns, ends) = (self.now_ns(), inst.ends(file));
        let Server { barriers, to_flush, .. } = self;
        inst.release_held(now_ns, ends, |client| {
            let owed = client.session.reply.out.len() as u64;
            barriers.set_free(client.connection.conn, client.connection.output_bytes + owed);
            list_once(client.connection, to_flush);
        });
    }

    /// What of a client's replies waits for replicas is put aside. One that leaves too much there is held back.
    fn hold(&mut self, inst: &mut Instance, conn: ConnId, file: Option<u64>) {
        let ends = inst.ends(file);
        let Some(client) = inst.clients.of_mut(conn) else { return };
        inst.replication.quorum.hold(client, ends);
        let Some(client) = inst.clients.of(conn) else { return };
        let owed = client.session.held_bytes();
        if owed > 0 && owed > self.owed_bytes_max(inst, client.session) {
            inst.clients.of_mut(conn).expect("just now").session.attention.put(Attention::BEHIND, true);
        }
    }

    /// How much of what a client is owed may be sent now.
    #[inline]
    fn sendable(&mut self, session: &Session, connection: &Connection, barrier: Barrier, most: usize) -> usize {
        let Barrier::Look { file } = barrier else { return most };
        if file.is_none() && self.barriers.is_empty() {
            return most;
        }
        let sent = connection.output_bytes;
        if let Some(at) = file {
            self.barriers.hold(connection.conn, sent, sent + session.reply.out.len() as u64, at);
        }
        let allowed = self.barriers.allowed(connection.conn);
        allowed.map_or(most, |allowed| most.min(usize::try_from(allowed - sent).unwrap_or(usize::MAX)))
    }

    fn flush(&mut self, inst: &mut Instance, conn: ConnId, most: usize, barrier: Barrier) {
        if let Barrier::Look { file } = barrier
            && inst.replication.quorum.is_active()
        {
            self.hold(inst, conn, file);
        }
        let Some(ClientMut { session, connection }) = inst.clients.of_mut(conn) else {
            // In the middle of a command: listed again when that is over.
            if let Some(connection) = inst.clients.connection_mut(conn.index).filter(|c| c.conn == conn) {
                connection.flags.put(ClientFlags::FLUSH_PENDING, false);
            }
            return;
        };
        connection.flags.put(ClientFlags::FLUSH_PENDING, false);
        if !session.reply.out.is_empty() {
            let owed = session.reply.out.len();
            let limit = output_limit(&inst.config, session).hard_bytes;
            if limit > 0 && owed > REPLY_BYTES_FREE && owed as u64 > limit {
                return self.close(inst, conn, CloseReason::OutputBufferFull);
            }
            let may_send = self.sendable(session, connection, barrier, most);
            let outcome = match may_send {
                0 => WriteOutcome::More,
                _ => self.reactor.write(conn, &mut session.reply.out, may_send),
            };
            let sent = (owed - session.reply.out.len()) as u64;
            connection.output_bytes += sent;
            inst.stats.output_bytes += sent;
            inst.stats.writes += 1;
            match outcome {
                WriteOutcome::Drained => {}
                WriteOutcome::Blocked => return self.check_output(inst, conn),
                WriteOutcome::More => {
                    self.check_output(inst, conn);
                    // What is left behind a barrier is listed again when that is passed.
                    if may_send < most && self.barriers.allowed(conn).is_some() {
                        return;
                    }
                    return self.flush_later(inst, conn);
                }
                WriteOutcome::Failed(_) => return self.close(inst, conn, CloseReason::Broken),
            }
        }
        inst.pools.replies.put(session.reply.out.take_buffer());
        let is_held = matches!(barrier, Barrier::Look { .. }) && session.held_bytes() > 0;
        if is_held || !session.about.late.is_empty() {
            // It waits for a reply, or for replicas, and what it was sent since then waits behind that.
            return self.check_output(inst, conn);
        }
        connection.soft_limit_since_ms = 0;
        if session.attention.has(Attention::CLOSING) {
            return self.close(inst, conn, CloseReason::Served);
        }
        if connection.flags.has(ClientFlags::MORE_PARSEABLE) || !connection.flags.has(ClientFlags::DRAINED) {
            self.make_ready(inst, conn); // it may have waited for room
        }
    }

    /// client-output-buffer-limit, for a client that does not take all it is owed.
    pub(super) fn check_output(&mut self, inst: &mut Instance, conn: ConnId) {
        let now_ms = inst.now_ms;
        let Some(ClientMut { session, connection }) = inst.clients.of_mut(conn) else { return };
        let limit = output_limit(&inst.config, session);
        let owed = (session.reply.out.memory() + session.about.late.memory() + session.held_memory()) as u64;
        let over_limit = limit.is_exceeded(owed, &mut connection.soft_limit_since_ms, now_ms);
        let is_unknown = session.attention.has(Attention::UNAUTHENTICATED);
        if over_limit || (is_unknown && session.reply.out.len() > UNSENT_UNKNOWN_BYTES_MAX) {
            self.close(inst, conn, CloseReason::OutputBufferFull);
        }
    }

    /// Closes a connection and forgets its client.
    pub(super) fn close(&mut self, inst: &mut Instance, conn: ConnId, reason: CloseReason) {
        let Some((mut session, connection)) = inst.clients.remove(conn) else { return };
        if session.attention.has(Attention::PAUSED) {
            self.let_go(inst, conn);
        }
        notes::closed(inst, Client { session: &session, connection: &connection }, reason);
        inst.forget(&mut session, reason);
        self.reactor.close(conn);
        inst.pools.queries.put(connection.query);
        for owed in [&mut session.reply.out, &mut session.about.late] {
            inst.discard_reply(std::mem::take(owed));
        }
    }
}
