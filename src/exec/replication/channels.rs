//! A full resync on two connections: the copy on one of them, the stream on the other, at the same time. The replica keeps
//! what comes of the stream while it loads, so that the primary need not.
//!
//! ```text
//!   Redis 8                                      Valkey
//!   main: PSYNC ? -1                             main: PSYNC ? -1
//!         +RDBCHANNELSYNC <client of main>             +DUALCHANNELSYNC
//!   copy: REPLCONF main-ch-client-id <that>      copy: REPLCONF rdb-channel 1
//!         PSYNC ? -1                                   SYNC
//!         +FULLRESYNC <id> <offset>                    $ENDOFF:<offset> <id> <db> <client of copy>
//!         the copy                                     the copy
//!   main: the stream, from that offset           main: REPLCONF set-rdb-client-id <that>, PSYNC <id> <offset + 1>
//!                                                      +CONTINUE, the stream
//! ```
//!
//! The main connection is the replica; the other one is closed when the copy was sent, and is in no count.

use super::replicas::{Replica, State};
use crate::client::{ClientId, Session};
use crate::exec::instance::{CloseReason, Instance};
use crate::observe::keys;
use crate::stream::Hold;

/// After a copy was sent the stream behind it is kept for so long, until the replica asks for it.
const STREAM_AWAITED_MS: i64 = 60_000;

/// The stream behind a copy that was sent, for a replica that has not asked for it yet.
pub(super) struct Awaited {
    /// The client that the copy was sent to.
    copy: ClientId,
    hold: Hold,
    until_ms: i64,
}

impl Instance {
    /// PSYNC that cannot be resumed, from a replica that can do it on two connections: what it is told, if the copy is to
    /// come on another one.
    pub fn offer_channel(&mut self, session: &mut Session) -> Option<String> {
        let facts = session.replica_facts();
        let config = &self.config.replication;
        let can = facts.rdb_channel_repl || facts.dual_channel;
        if !can || facts.is_copy_channel || !config.repl_rdb_channel || !config.repl_diskless_sync {
            return None;
        }
        self.begin_stream();
        self.log.notice(
            "Replica is capable of rdb channel synchronization, and partial sync isn't possible. Full sync will continue \
             with dedicated rdb channel.",
            &[(keys::CLIENT, &session.id)],
        );
        if !facts.rdb_channel_repl {
            // It is a replica when it asks for the stream.
            return Some("DUALCHANNELSYNC".to_owned());
        }
        let id = session.id;
        self.add_replica(session, facts, State::AwaitsChannel, 0);
        Some(format!("RDBCHANNELSYNC {id}"))
    }

    /// `main-ch-client-id`: whether that is a client that waits for a copy on another connection.
    pub fn awaits_channel(&self, id: ClientId) -> bool {
        self.replication.replicas.iter().any(|replica| replica.id == id && replica.state == State::AwaitsChannel)
    }

    /// What is sent in front of the copy, which stands for this offset.
    pub(super) fn head_of_copy(&self, replica: &Replica, offset: u64) -> String {
        let id = self.replication.history.id();
        match (replica.is_plain, replica.facts.is_copy_channel) {
            (false, _) => format!("+FULLRESYNC {id} {offset}\r\n"),
            // The next command names its database.
            (true, true) => format!("$ENDOFF:{offset} {id} -1 {}\r\n", replica.id),
            (true, false) => String::new(),
        }
    }

    /// A copy is begun: the main connection of the replica that receives it is sent the stream from there on.
    pub(super) fn stream_beside(&mut self, main: Option<ClientId>, offset: u64) {
        let awaits = |replica: &&mut Replica| Some(replica.id) == main && replica.state == State::AwaitsChannel;
        let Some(replica) = self.replication.replicas.iter_mut().find(awaits) else { return };
        replica.hold = Some(self.replication.feed.hold(offset));
        (replica.copy_offset, replica.state) = (offset, State::Streams { sent: offset });
        let id = replica.id;
        self.log.notice("Starting to deliver RDB and replication stream to replica", &[(keys::CLIENT, &id)]);
    }

    /// A replica asks for the stream behind the copy that another connection receives, or has received. Whether that is
    /// still on its way.
    pub(super) fn takes_stream(&mut self, copy: Option<ClientId>) -> bool {
        let Some(copy) = copy else { return false };
        if let Some(at) = self.replication.awaited.iter().position(|awaited| awaited.copy == copy) {
            let awaited = self.replication.awaited.swap_remove(at);
            self.replication.feed.release(awaited.hold);
        }
        let receives = |replica: &&mut Replica| replica.id == copy && replica.facts.is_copy_channel;
        let Some(replica) = self.replication.replicas.iter_mut().find(receives) else { return false };
        // From now on it is held for the stream's own reader.
        replica.hold.take().into_iter().for_each(|hold| self.replication.feed.release(hold));
        !replica.is_sent
    }

    /// The copy was sent on a connection of its own: the replica follows.
    pub(super) fn channel_is_done(&mut self, at: usize) {
        let now_ms = self.now_ms;
        let copy = &mut self.replication.replicas[at];
        let (id, main) = (copy.id, copy.facts.main_client);
        if let Some(hold) = copy.hold.take() {
            self.replication.awaited.push(Awaited { copy: id, hold, until_ms: now_ms + STREAM_AWAITED_MS });
        }
        for at in 0..self.replication.replicas.len() {
            let replica = &mut self.replication.replicas[at];
            if let State::Streams { sent } = replica.state
                && replica.belongs_to(id, main)
            {
                (replica.state, replica.acknowledged_ms) = (State::Follows { sent }, now_ms);
                let conn = replica.conn;
                self.follows_now(conn);
            }
        }
        self.log.notice("RDB transfer completed, rdb only replica should be disconnected asap", &[(keys::CLIENT, &id)]);
    }

    /// A connection that a copy was sent on is gone. If it was not all of it, the stream alone is of no use.
    pub(super) fn channel_is_gone(&mut self, gone: &Replica) {
        if !gone.facts.is_copy_channel || gone.is_sent {
            return;
        }
        for at in 0..self.replication.replicas.len() {
            let replica = &self.replication.replicas[at];
            if matches!(replica.state, State::Streams { .. }) && replica.belongs_to(gone.id, gone.facts.main_client) {
                self.close_later(replica.conn, CloseReason::Killed);
            }
        }
    }

    /// The client with this id waits for a copy on another connection, which has not come.
    pub(super) fn has_no_channel(&self, id: ClientId) -> bool {
        !self.replication.replicas.iter().any(|replica| replica.facts.main_client == Some(id))
    }

    /// Gives up what was kept of the stream for replicas that did not come for it.
    pub(super) fn forget_awaited_streams(&mut self) {
        self.keep_awaited(|awaited, now_ms| awaited.until_ms > now_ms);
    }

    /// The same for all of it: it is of another history.
    pub(super) fn forget_all_awaited(&mut self) {
        self.keep_awaited(|_, _| false);
    }

    fn keep_awaited(&mut self, is_kept: impl Fn(&Awaited, i64) -> bool) {
        let now_ms = self.now_ms;
        let replication = &mut self.replication;
        replication.awaited.retain(|awaited| {
            let keep = is_kept(awaited, now_ms);
            if !keep {
                replication.feed.release(awaited.hold);
            }
            keep
        });
    }
}

impl Replica {
    /// Whether the copy that `copy` receives is for this one: it says so, or `copy` says that it is for `main`.
    fn belongs_to(&self, copy: ClientId, main: Option<ClientId>) -> bool {
        Some(self.id) == main || self.facts.copy_client == Some(copy)
    }
}
