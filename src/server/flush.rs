//! Replies out, buffers back to their pool, connections closed.

use super::Server;
use super::notes;
use crate::client::{Attention, Client, ClientFlags};
use crate::exec::instance::CloseReason;
use crate::reactor::{ConnId, WriteOutcome};

/// What a client that has not said who it is may leave unread, beyond what the socket took: a few errors.
const UNSENT_UNKNOWN_BYTES_MAX: usize = 1024;

/// As much of a reply does not count for client-output-buffer-limit before it was tried to be sent.
const REPLY_BYTES_FREE: usize = 16 * 1024;

/// A client gets so much of its replies in one turn: the kernel copies it meanwhile, a quarter of a millisecond long.
const WRITE_BYTES_MAX: usize = 512 * 1024;

impl Server {
    /// Lists a client for flushing, once.
    pub(super) fn flush_later(&mut self, conn: ConnId) {
        let Some(client) = self.inst.clients.of_mut(conn) else { return };
        if !client.flags.has(ClientFlags::FLUSH_PENDING) {
            client.flags.put(ClientFlags::FLUSH_PENDING, true);
            self.to_flush.push(conn);
        }
    }

    /// Sends what every listed client is owed: one write each. What is more than that is sent in the next turns.
    pub(super) fn flush_all(&mut self) {
        self.flush_up_to(WRITE_BYTES_MAX);
    }

    /// The same for a last time: as much as the sockets take.
    pub(super) fn flush_all_now(&mut self) {
        self.flush_up_to(usize::MAX);
    }

    fn flush_up_to(&mut self, most: usize) {
        let mut list = std::mem::take(&mut self.to_flush);
        for conn in list.drain(..) {
            self.flush(conn, most);
            let behind = self.inst.clients.of(conn).filter(|client| client.attention.has(Attention::BEHIND));
            if behind.is_some_and(|client| client.reply.out.len() <= self.owed_bytes_max() / 2) {
                self.resume(conn.index);
            }
            self.inst.clients.count(conn.index);
        }
        if self.to_flush.is_empty() {
            self.to_flush = list; // keep the allocation
        }
    }

    fn flush(&mut self, conn: ConnId, most: usize) {
        let Some(client) = self.inst.clients.of_mut(conn) else { return };
        client.flags.put(ClientFlags::FLUSH_PENDING, false);
        if !client.reply.out.is_empty() {
            let owed = client.reply.out.len();
            let limit = self.inst.config.limits.client_output_buffer_limit.normal.hard_bytes;
            if limit > 0 && owed > REPLY_BYTES_FREE && owed as u64 > limit {
                return self.close(conn, CloseReason::OutputBufferFull);
            }
            let outcome = self.host.reactor.write(conn, &mut client.reply.out, most);
            let sent = (owed - client.reply.out.len()) as u64;
            client.output_bytes += sent;
            self.inst.stats.output_bytes += sent;
            self.inst.stats.writes += 1;
            match outcome {
                WriteOutcome::Drained => {}
                WriteOutcome::Blocked => return self.check_output(conn),
                WriteOutcome::More => {
                    self.check_output(conn);
                    return self.flush_later(conn);
                }
                WriteOutcome::Failed(_) => return self.close(conn, CloseReason::Broken),
            }
        }
        self.replies.put(client.reply.out.take_buffer());
        client.soft_limit_since_ms = 0;
        if client.attention.has(Attention::CLOSING) {
            return self.close(conn, CloseReason::Served);
        }
        if client.flags.has(ClientFlags::MORE_PARSEABLE) || !client.flags.has(ClientFlags::DRAINED) {
            self.make_ready(conn); // it may have waited for room
        }
    }

    /// client-output-buffer-limit, for a client that does not take all it is owed.
    pub(super) fn check_output(&mut self, conn: ConnId) {
        let limit = self.inst.config.limits.client_output_buffer_limit.normal;
        let now_ms = self.inst.now_ms;
        let Some(client) = self.inst.clients.of_mut(conn) else { return };
        let owed = client.reply.out.memory() as u64;
        let over_hard = limit.hard_bytes > 0 && owed > limit.hard_bytes;
        let over_hard = over_hard
            || (client.attention.has(Attention::UNAUTHENTICATED) && client.reply.out.len() > UNSENT_UNKNOWN_BYTES_MAX);
        let over_soft = limit.soft_bytes > 0 && owed > limit.soft_bytes;
        if !over_soft {
            client.soft_limit_since_ms = 0;
        } else if client.soft_limit_since_ms == 0 {
            client.soft_limit_since_ms = now_ms;
        }
        let soft_ms = i64::try_from(limit.soft_seconds).unwrap_or(i64::MAX).saturating_mul(1000);
        let soft_over_time = over_soft && now_ms - client.soft_limit_since_ms > soft_ms;
        if over_hard || soft_over_time {
            self.close(conn, CloseReason::OutputBufferFull);
        }
    }

    /// Closes a connection and forgets its client.
    pub(super) fn close(&mut self, conn: ConnId, reason: CloseReason) {
        let Some(client) = self.inst.clients.of_mut(conn) else { return };
        let slot = client.conn.index;
        let mut client = self.inst.clients.remove(slot).expect("it was found a line above");
        if client.attention.has(Attention::PAUSED) {
            self.let_go(conn);
        }
        notes::closed(&self.inst, &client, reason);
        self.inst.forget(&mut client, reason);
        self.host.reactor.close(conn);
        self.recycle(*client);
    }

    fn recycle(&mut self, mut client: Client) {
        self.queries.put(std::mem::take(&mut client.query));
        client.reply.out.clear();
        self.replies.put(client.reply.out.take_buffer());
    }
}
