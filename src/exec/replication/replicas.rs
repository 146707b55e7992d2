//! Replication, as the primary sees it: who reads the feed, and from where.
//!
//! A client becomes a replica by SYNC or PSYNC. If the feed still has what comes after the offset that it names, it goes on
//! there. Otherwise it is sent a copy of the data set first (`sending.rs`): a snapshot of one moment, and so of one offset;
//! the feed is held from that offset on until the copy is sent, and then followed.
//!
//! ```text
//!                SYNC, PSYNC           begun          all of it sent        it says it has it
//!   client --> awaits the beginning -------> receives ------------> awaits ----------> follows
//!      |                                        |      with a file                        ^
//!      |                                        +-----------------------------------------+
//!      +---- PSYNC with an offset that the feed has --------------------------------------+
//! ```
//!
//! Here are no sockets and no files.

use bytes::Bytes;

use super::channels::Awaited;
use super::failover::Failover;
use super::lease::Lease;
use super::own_keys::OwnKeys;
use super::quorum::Quorum;
use super::sending::{Copying, Transfer};
use super::spilling::Spilling;
use super::upstream::{LastPrimary, Upstream};
use crate::client::{Attention, ClientId, Clients, ReplicaFacts, Session};
use crate::db::Keyspace;
use crate::exec::ctx::Host;
use crate::exec::instance::{Alert, CloseReason, Instance};
use crate::observe::keys;
use crate::observe::log::Level;
use crate::reactor::ConnId;
use crate::replication::{History, HistoryId};
use crate::stream::{Feed, Hold, PART_BYTES};

/// Where a replica is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum State {
    /// A copy is to be begun for it.
    AwaitsStart,
    /// It is being written to a file.
    AwaitsFile,
    /// It is on its way.
    Receives,
    /// It has all of it, and says so when it has loaded it. Until then it is sent nothing else.
    AwaitsAck,
    /// The copy is to come on another connection, which is not there yet, or waits.
    AwaitsChannel,
    /// The copy comes on another connection; on this one it is sent what comes.
    Streams {
        /// What is behind it was not given to its connection yet.
        sent: u64,
    },
    /// It has all up to an offset and is sent what comes.
    Follows {
        /// What is behind it was not given to its connection yet.
        sent: u64,
    },
}

/// A client that reads the feed.
pub struct Replica {
    /// Its client.
    pub id: ClientId,
    /// Its connection.
    pub conn: ConnId,
    /// What it has said.
    pub facts: ReplicaFacts,
    /// Where it is.
    pub state: State,
    /// The offset that the copy it is sent stands for.
    pub(super) copy_offset: u64,
    /// Since when more is kept for it than the soft output limit allows, ms; 0 when it is not.
    pub(super) soft_limit_since_ms: i64,
    /// What keeps the feed from where it has to be read for this replica. None while it awaits the beginning of a copy.
    pub(super) hold: Option<Hold>,
    /// The copy on its way to it.
    pub(super) transfer: Option<Transfer>,
    /// Asked by SYNC: it expects no answer but the copy.
    pub(super) is_plain: bool,
    /// All of the copy was given to its connection.
    pub(super) is_sent: bool,
    /// When it took anything last, or asked, ms since 1970.
    pub(super) moved_ms: i64,
    /// The offset that it last said to have.
    pub acknowledged: u64,
    /// When it said so, ms since 1970.
    pub acknowledged_ms: i64,
    /// It has said how far it is.
    pub(super) has_answered: bool,
    /// It has answered what it was asked then, on the monotonic clock.
    pub(super) heard_ns: Option<u64>,
    /// The offset up to which its own append-only file is on its disk, if it has one.
    pub synced: Option<u64>,
}

impl Replica {
    fn has_read(&mut self, feed: &mut Feed, next: u64) {
        match &mut self.state {
            State::Follows { sent } | State::Streams { sent } => *sent = next,
            _ => debug_assert!(false, "it reads"),
        }
        self.hold.iter().for_each(|hold| feed.advance(*hold, next));
    }

    /// Where it reads the feed, if it does.
    pub(super) fn reads_at(&self) -> Option<u64> {
        match self.state {
            State::Follows { sent } | State::Streams { sent } => Some(sent),
            _ => None,
        }
    }

    /// Whether it has the data set, and is sent what comes.
    pub fn follows(&self) -> bool {
        matches!(self.state, State::Follows { .. })
    }

    /// Where it can be reached, by its own word or by the address that it comes from.
    pub fn address(&self, clients: &Clients) -> Vec<u8> {
        if !self.facts.ip.is_empty() {
            return self.facts.ip.clone();
        }
        let from = clients.of(self.conn).map_or("", |client| &*client.connection.addr);
        from.rsplit_once(':').map_or(from, |(ip, _)| ip).trim_matches(['[', ']']).into()
    }

    /// How INFO calls its state.
    pub fn state_name(&self) -> &'static str {
        match self.state {
            State::AwaitsStart | State::AwaitsFile | State::AwaitsChannel => "wait_bgsave",
            // What is sent while it is written waits for the writer.
            State::Receives if matches!(self.transfer, Some(Transfer::Stream { total: None, .. })) => "wait_bgsave",
            State::Receives => "send_bulk",
            State::Streams { .. } => "send_bulk_and_stream",
            State::AwaitsAck | State::Follows { .. } => "online",
        }
    }
}

/// How syncs were answered.
#[derive(Clone, Copy, Default, Debug)]
pub struct SyncCounts {
    /// By a copy.
    pub full: u64,
    /// By what came after an offset.
    pub partial: u64,
    /// Of the full ones, those that had asked for less.
    pub refused: u64,
}

/// What the write stream takes, in bytes.
#[derive(Clone, Copy, Default, Debug)]
pub struct StreamMemory {
    /// Of what is kept in any case (`repl-backlog-size`).
    pub backlog: u64,
    /// Of what is kept beyond that, for replicas that are behind.
    pub beyond: u64,
}

/// The feed and its readers.
pub struct Replication {
    /// What they read.
    pub feed: Feed,
    /// The name of what it is.
    pub history: History,
    /// In order of arrival.
    pub replicas: Vec<Replica>,
    /// How syncs were answered.
    pub counts: SyncCounts,
    /// The copy that is being made for replicas.
    pub(super) running: Option<Copying>,
    /// Since when there is no replica, ms since 1970.
    pub(super) alone_since_ms: i64,
    /// The stream behind copies that were sent on a connection of their own.
    pub(super) awaited: Vec<Awaited>,
    /// The disk, where it is used.
    pub(super) spilling: Spilling,
    /// Connections that are to be flushed.
    pub to_flush: Vec<ConnId>,
    next_ping_ms: i64,
    next_newline_ms: i64,
    /// Somebody wants to know how far replicas are.
    pub asks_how_far: bool,
    /// Replies that wait for replicas.
    pub quorum: Quorum,
    /// `primary-lease-ms`.
    pub(super) lease: Lease,
    /// The primary that is followed; none while this instance is one.
    pub upstream: Option<Box<Upstream>>,
    /// What is left of the last primary.
    pub(super) last_primary: LastPrimary,
    /// A FAILOVER that goes on.
    pub(super) failover: Option<Failover>,
    /// Copies of a primary's data set that began to come.
    pub(super) copies_begun: u64,
    /// Keys with a deadline that were written here, while a primary is followed.
    pub(super) own_keys: OwnKeys,
    /// Data that was replaced, and is still read by snapshots.
    pub(super) retired: Vec<Keyspace>,
    /// When it was last noted that the disk does not take what is applied, ms since 1970.
    pub(super) disk_error_noted_ms: i64,
}

impl Replication {
    pub(in crate::exec) fn new(backlog: u64, history: HistoryId, now_ms: i64) -> Replication {
        Replication {
            feed: Feed::new(backlog),
            history: History::new(history),
            replicas: Vec::new(),
            counts: SyncCounts::default(),
            running: None,
            awaited: Vec::new(),
            spilling: Spilling::default(),
            to_flush: Vec::new(),
            alone_since_ms: now_ms,
            next_ping_ms: 0,
            next_newline_ms: 0,
            asks_how_far: false,
            quorum: Quorum::default(),
            lease: Lease::default(),
            upstream: None,
            last_primary: LastPrimary::default(),
            failover: None,
            copies_begun: 0,
            own_keys: OwnKeys::new(),
            retired: Vec::new(),
            disk_error_noted_ms: 0,
        }
    }

    /// There is no replica, since now.
    pub(super) fn now_alone(&mut self, now_ms: i64) {
        self.alone_since_ms = now_ms;
    }

    /// The replica that a connection is.
    pub fn of(&mut self, conn: ConnId) -> Option<&mut Replica> {
        self.replicas.iter_mut().find(|replica| replica.conn == conn)
    }

    /// The replicas that others are told of: second connections are none of their own.
    pub fn counted(&self) -> impl Iterator<Item = &Replica> {
        self.replicas.iter().filter(|replica| !replica.facts.is_copy_channel)
    }

    /// The connections of replicas that are in this state.
    pub fn in_state(&self, is: impl Fn(State) -> bool) -> Vec<ConnId> {
        self.replicas.iter().filter(|replica| is(replica.state)).map(|replica| replica.conn).collect()
    }

    /// Hands out what was not given yet to the connection of the replica with this index, at least `most` bytes if there are
    /// so many: they are its connection's then. False if there was nothing.
    pub fn read_for(&mut self, at: usize, most: usize, take: impl FnMut(Bytes)) -> bool {
        let Replication { feed, replicas, .. } = self;
        let (replica, end) = (&mut replicas[at], feed.end());
        match replica.reads_at() {
            Some(sent) if sent < end && most > 0 => {
                let next = feed.read(sent, most, take).expect("it is held");
                replica.has_read(feed, next);
                next > sent
            }
            _ => false,
        }
    }

    /// All before an offset was given to a connection.
    pub(super) fn has_read(&mut self, conn: ConnId, next: u64) {
        let Replication { feed, replicas, .. } = self;
        if let Some(replica) = replicas.iter_mut().find(|replica| replica.conn == conn) {
            replica.has_read(feed, next);
        }
    }

    /// The oldest offset that a replica still has to be sent, or was last known to have.
    pub fn slowest(&self) -> Option<u64> {
        let at = |replica: &Replica| match replica.state {
            State::Follows { sent } | State::Streams { sent } if replica.acknowledged == 0 => sent,
            State::Follows { .. } => replica.acknowledged,
            _ => replica.copy_offset,
        };
        self.replicas.iter().filter(|replica| replica.hold.is_some()).map(at).min()
    }
}

impl Instance {
    /// What the write stream takes: it is there once, for the backlog and for all replicas.
    pub fn stream_memory(&self) -> StreamMemory {
        let feed = &self.replication.feed;
        // For those that do not read yet the feed itself is held.
        let oldest = self.replication.replicas.iter().filter_map(|replica| {
            let client = self.clients.of(replica.conn)?;
            Some(replica.reads_at()?.saturating_sub(client.session.reply.out.len() as u64))
        });
        let oldest = oldest.fold(feed.start(), u64::min);
        // What is on the disk takes no memory.
        let bytes = feed.end() - oldest.max(feed.memory_start());
        let backlog = bytes.min(feed.backlog());
        // It is given up in parts.
        let beyond = (bytes - backlog).saturating_sub(PART_BYTES as u64);
        StreamMemory { backlog: if beyond > 0 { backlog } else { bytes }, beyond }
    }

    /// PSYNC: goes on from `offset`, the first one that the client does not have, if the feed has it and `id` names its
    /// history. What to answer then.
    pub fn resume_replica(&mut self, session: &mut Session, id: &[u8], offset: u64) -> Option<String> {
        let replication = &mut self.replication;
        let feed = &replication.feed;
        let is_known = replication.history.continues(id, offset)
            && feed.is_active()
            && (feed.start()..=feed.end()).contains(&(offset.checked_sub(1)?));
        if !is_known {
            if id != b"?" {
                replication.counts.refused += 1;
            }
            return None;
        }
        replication.counts.partial += 1;
        let facts = session.replica_facts();
        let answer = match facts.psync2 {
            true => format!("CONTINUE {}", self.replication.history.id()),
            false => "CONTINUE".to_owned(),
        };
        let sent = offset - 1;
        let copy = facts.copy_client;
        self.add_replica(session, facts, State::Follows { sent }, sent);
        if self.takes_stream(copy)
            && let Some(replica) = self.replication.replicas.last_mut()
        {
            replica.state = State::Streams { sent };
        }
        let bytes = self.replication.feed.end() - (offset - 1);
        self.log.log(
            Level::Notice,
            &format!(
                "Partial resynchronization request accepted. Sending {bytes} bytes of backlog starting from offset {offset}."
            ),
            &[(keys::CLIENT, &session.id)],
        );
        self.count_good_replicas();
        Some(answer)
    }

    /// SYNC, and PSYNC that cannot be resumed: the client is sent a copy of the data set, when it can be begun.
    pub fn copy_to_replica(&mut self, session: &mut Session, is_plain: bool) {
        self.begin_stream();
        self.replication.counts.full += 1;
        let facts = session.replica_facts();
        let channel = if facts.is_copy_channel { " (rdb-channel)" } else { "" };
        self.log.log(
            Level::Notice,
            &format!("Full resync requested by replica{channel}"),
            &[(keys::CLIENT, &session.id)],
        );
        self.add_replica(session, facts, State::AwaitsStart, 0);
        if let Some(replica) = self.replication.replicas.last_mut() {
            replica.is_plain = is_plain;
        }
    }

    /// Somebody is to follow: the feed is kept from now on.
    pub(super) fn begin_stream(&mut self) {
        if self.replication.feed.activate() {
            // What others knew under the old name is not told by these offsets.
            let id = self.new_history_id();
            self.replication.history.replace(id);
            self.follow_propagation();
            self.log.log(
                Level::Notice,
                &format!("Replication backlog created, my new replication IDs are '{id}' and '{}'", HistoryId::NONE),
                &[("bytes", &self.replication.feed.backlog())],
            );
        }
    }

    pub(super) fn add_replica(&mut self, session: &mut Session, facts: ReplicaFacts, state: State, copy_offset: u64) {
        session.attention.put(Attention::REPLICA, true);
        let Some(conn) = session.conn else { return };
        let (id, acknowledged_ms) = (session.id, self.now_ms);
        let is_held = !matches!(state, State::AwaitsStart | State::AwaitsChannel);
        let hold = is_held.then(|| self.replication.feed.hold(copy_offset));
        let replica = Replica {
            id,
            conn,
            facts,
            state,
            copy_offset,
            soft_limit_since_ms: 0,
            hold,
            transfer: None,
            is_plain: false,
            is_sent: false,
            moved_ms: acknowledged_ms,
            acknowledged: 0,
            acknowledged_ms,
            has_answered: false,
            heard_ns: None,
            synced: None,
        };
        self.replication.replicas.push(replica);
    }

    /// REPLCONF ACK, FACK.
    pub fn acknowledge(&mut self, conn: ConnId, offset: u64, synced: Option<u64>, host: &mut dyn Host) {
        let (now_ms, heard_ns) = (self.now_ms, self.replication.lease.asked_before(offset));
        if let Some(replica) = self.replication.of(conn) {
            replica.acknowledged = replica.acknowledged.max(offset);
            (replica.has_answered, replica.heard_ns) = (true, replica.heard_ns.max(heard_ns));
            replica.acknowledged_ms = now_ms;
            replica.synced = replica.synced.max(synced);
            if replica.state == State::AwaitsAck {
                replica.state = State::Follows { sent: replica.copy_offset };
                self.follows_now(conn);
            }
            self.serve_copies(host);
            self.count_good_replicas();
        }
    }

    /// What replicas have is of a history that is ours no more: they are closed, and ask anew.
    pub(super) fn drop_replicas(&mut self) {
        for mut replica in std::mem::take(&mut self.replication.replicas) {
            replica.hold.take().into_iter().for_each(|hold| self.replication.feed.release(hold));
            self.close_later(replica.conn, CloseReason::Killed);
        }
        self.forget_all_awaited();
        self.abandon_copying();
        self.count_good_replicas();
    }

    /// A client is gone that may have been a replica.
    pub(in crate::exec) fn forget_replica(&mut self, session: &Session) {
        if !session.attention.has(Attention::REPLICA) {
            return;
        }
        let Some(at) = self.replication.replicas.iter().position(|replica| replica.id == session.id) else { return };
        let gone = self.replication.replicas.remove(at);
        gone.hold.iter().copied().for_each(|hold| self.replication.feed.release(hold));
        self.replication.alone_since_ms = self.now_ms;
        let channel = if gone.facts.is_copy_channel { "(rdbchannel) " } else { "" };
        self.log.log(Level::Notice, &format!("Connection with replica {channel}lost."), &[(keys::CLIENT, &session.id)]);
        self.reader_is_gone();
        self.channel_is_gone(&gone);
        self.count_good_replicas();
    }

    /// Something about replicas has changed: counts those that are there, for `min-replicas-to-write`, and what they have,
    /// for those who wait for it.
    pub(in crate::exec) fn count_good_replicas(&mut self) {
        let config = &self.config.replication;
        let (wanted, lag_s) = (config.min_replicas_to_write, config.min_replicas_max_lag);
        let is_asked = wanted > 0 && lag_s > 0;
        let few = is_asked && self.good_replicas() < wanted as usize;
        self.alert.put(Alert::FEW_REPLICAS, few && !self.is_replica());
        self.count_acknowledgements();
    }

    /// How many replicas follow, and have said so lately.
    pub fn good_replicas(&self) -> usize {
        let lag_ms = i64::from(self.config.replication.min_replicas_max_lag) * 1000;
        let is_good = |replica: &&Replica| replica.follows() && self.now_ms - replica.acknowledged_ms <= lag_ms + 999;
        self.replication.replicas.iter().filter(is_good).count()
    }

    /// `repl-timeout`: those that have said nothing for too long, or take nothing of their copy.
    fn close_silent_replicas(&mut self) {
        let timeout_ms = i64::from(self.config.replication.repl_timeout) * 1000;
        let now_ms = self.now_ms;
        let mut late = Vec::new();
        for replica in &self.replication.replicas {
            let why = match replica.state {
                // One that asked by SYNC says nothing.
                State::Follows { .. } if !replica.is_plain && now_ms - replica.acknowledged_ms > timeout_ms => {
                    "Disconnecting timedout replica (streaming sync)"
                }
                State::Receives if now_ms - replica.moved_ms > timeout_ms => {
                    "Disconnecting timedout replica (full sync)"
                }
                State::AwaitsChannel if now_ms - replica.moved_ms > timeout_ms && self.has_no_channel(replica.id) => {
                    "Disconnecting timedout replica (full sync)"
                }
                _ => continue,
            };
            late.push((replica.conn, replica.id, why));
        }
        for (conn, id, why) in late {
            self.log.warning(why, &[(keys::CLIENT, &id)]);
            self.close_later(conn, CloseReason::Killed);
        }
    }

    /// Several times a second: pings for replicas, signs of life for those that wait for a copy, the end of a backlog that
    /// nobody comes back for. The connections that have something to be sent.
    pub fn replication_cron(&mut self, host: &mut dyn Host) -> Vec<ConnId> {
        self.continue_failover(host);
        self.close_silent_replicas();
        self.forget_awaited_streams();
        self.expire_own_keys();
        self.count_good_replicas();
        self.ask_for_lease();
        let config = &self.config.replication;
        let (period_ms, ttl_ms) =
            (i64::from(config.repl_ping_replica_period) * 1000, config.repl_backlog_ttl.saturating_mul(1000));
        let now_ms = self.now_ms;
        let replication = &mut self.replication;
        if !replication.feed.is_active() {
            return Vec::new();
        }
        if replication.replicas.is_empty() {
            if replication.upstream.is_none() && ttl_ms > 0 && now_ms - replication.alone_since_ms > ttl_ms {
                replication.feed.deactivate();
                self.follow_propagation();
                // Offsets go on, and nobody must think that these are the ones he knows.
                let id = self.new_history_id();
                self.replication.history.replace(id);
                self.log.log(
                    Level::Notice,
                    &format!(
                        "Replication backlog freed after {} seconds without connected replicas.",
                        self.config.replication.repl_backlog_ttl
                    ),
                    &[],
                );
            }
            return Vec::new();
        }
        if replication.upstream.is_none()
            && replication.failover.is_none()
            && now_ms >= replication.next_ping_ms
            && now_ms - replication.alone_since_ms > period_ms
        {
            replication.next_ping_ms = now_ms + period_ms;
            replication.feed.emit_ping();
        }
        if now_ms < replication.next_newline_ms {
            return Vec::new();
        }
        replication.next_newline_ms = now_ms + 1000;
        replication.in_state(|state| matches!(state, State::AwaitsStart | State::AwaitsFile))
    }

    /// Takes over what configuration says of the feed.
    pub(in crate::exec) fn follow_backlog_size(&mut self) {
        let bytes = self.config.replication.repl_backlog_size;
        self.replication.feed.set_spill(self.config.replication.repl_backlog_spill_size);
        if self.replication.feed.backlog() != bytes {
            self.replication.feed.set_backlog(bytes);
        }
    }
}
