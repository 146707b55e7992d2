//! Copies for replicas: begun for all that wait and can be sent the same, written by the snapshot thread, and sent to each
//! at its own pace.
//!
//! With `repl-diskless-sync`, and a replica that can take it, the copy is sent while it is written ([`Outgoing`]): it is
//! never in memory as a whole, and a replica that is slow keeps neither the others nor the writer waiting. Others are sent
//! a file. A copy that goes to a file can be joined while it is written; one that is sent cannot.

use std::io::{self, Read};

use bytes::Bytes;

use super::replicas::{Replica, State};
use crate::client::ReplicaFacts;
use crate::exec::ctx::Host;
use crate::exec::instance::{CloseReason, Instance};
use crate::observe::keys;
use crate::observe::log::Level;
use crate::persist::{DatabaseSize, Item, Outgoing, SaveError, SaveOutcome, SnapshotSource, StartError, Taken};
use crate::reactor::ConnId;
use crate::stream::Hold;
use crate::sys::disk::DiskFile;

/// Of a file so much is read at once,
const PIECE_BYTES: usize = 64 * 1024;

/// while less than this waits to be sent.
const WAITING_BYTES_MAX: usize = 256 * 1024;

/// Of the feed a replica is given so much, if it is there, while less than that waits to be sent.
const WINDOW_BYTES: usize = 1 << 20;

/// What two replicas must have in common to be sent the same copy.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Kind {
    without_keys: bool,
    is_streamed: bool,
    /// On a connection of its own.
    is_channel: bool,
    version: Option<u32>,
}

/// A copy that is being made. It holds the feed itself, so that who asks for it later can follow it, too, even if those that
/// it was begun for have gone.
pub(super) struct Copying {
    offset: u64,
    hold: Hold,
    kind: Kind,
    stream: Option<Outgoing>,
}

/// A copy on its way to one replica.
pub(super) enum Transfer {
    File { file: Box<dyn DiskFile>, left: u64 },
    Stream { copy: Outgoing, at: u64, mark: Bytes, total: Option<u64> },
}

/// A data set without keys: what `rdb-filter-only` leaves of one that has no functions.
struct Nothing;

impl SnapshotSource for Nothing {
    fn databases(&self) -> Vec<DatabaseSize> {
        Vec::new()
    }

    fn visit(&self, _: u32, _: &mut dyn FnMut(Item<'_>) -> Result<(), SaveError>) -> Result<(), SaveError> {
        Ok(())
    }
}

impl Instance {
    fn kind_for(&self, facts: &ReplicaFacts) -> Kind {
        let is_streamed = facts.eof && (self.config.replication.repl_diskless_sync || facts.without_keys);
        let is_channel = is_streamed && facts.is_copy_channel;
        Kind { without_keys: facts.without_keys, is_streamed, is_channel, version: facts.rdb_version }
    }

    /// Begins the copy that replicas wait for, if it may begin now.
    fn start_copies(&mut self, host: &mut dyn Host) {
        let waiting = self.replication.replicas.iter().filter(|replica| replica.state == State::AwaitsStart);
        let Some(kind) = waiting.clone().map(|replica| self.kind_for(&replica.facts)).next() else { return };
        let same: Vec<&Replica> = waiting.filter(|replica| self.kind_for(&replica.facts) == kind).collect();
        let (count, latest_ms) = (same.len(), same.iter().map(|replica| replica.moved_ms).max().unwrap_or(0));
        match &self.replication.running {
            // What is written to a file can be read from its beginning at any time.
            Some(copying) if copying.kind == kind && !kind.is_streamed => {
                let offset = copying.offset;
                return self.begin_for(kind, offset, None);
            }
            Some(_) => return,
            None if self.copier.is_running() => return, // it was abandoned, and has not noticed yet
            None => {}
        }
        let config = &self.config.replication;
        if kind.is_streamed {
            let is_enough =
                config.repl_diskless_sync_max_replicas > 0 && count >= config.repl_diskless_sync_max_replicas as usize;
            let waited_ms = self.now_ms - latest_ms;
            if !is_enough && waited_ms < i64::from(config.repl_diskless_sync_delay) * 1000 {
                return;
            }
        }
        if let Err(error) = self.start_copy(kind, host) {
            self.log.warning("BGSAVE for replication failed", &[(keys::ERROR, &error.to_string())]);
            let closed = self.replication.in_state(|state| state == State::AwaitsStart);
            for conn in closed {
                if let Some(client) = self.clients.of_mut(conn) {
                    client.session.reply.error_bytes(b"ERR BGSAVE failed, replication can't continue");
                    client.session.close_after_reply();
                    self.replication.to_flush.push(conn);
                }
            }
        }
    }

    fn start_copy(&mut self, kind: Kind, host: &mut dyn Host) -> Result<(), StartError> {
        let target = match (kind.is_streamed, kind.is_channel) {
            (true, true) => "replicas sockets (rdb-channel)",
            (true, false) => "replicas sockets",
            (false, _) => "disk",
        };
        self.log.log(Level::Notice, &format!("Starting BGSAVE for SYNC with target: {target}"), &[]);
        let (offset, began_ns) = (self.replication.feed.end(), host.now_ns());
        let source: Box<dyn SnapshotSource> =
            if kind.without_keys { Box::new(Nothing) } else { Box::new(self.source()) };
        let mut settings = self.copy_settings(offset);
        settings.version = settings.version.or(kind.version);
        let stream =
            kind.is_streamed.then(|| Outgoing::new(self.copier.disk(), settings.path.clone(), host.when_copy_grows()));
        settings.stream = stream.clone();
        let at = self.moment();
        self.copier.start(source, settings, at, host.when_copied())?;
        // Whoever reads from here on knows of no database yet; what a primary sends cannot be changed.
        if !self.is_replica() {
            self.replication.feed.forget_db();
        }
        let hold = self.replication.feed.hold(offset);
        let mark: Vec<u8> = (0..40).map(|_| b"0123456789abcdef"[self.rng.below(16) as usize]).collect();
        self.begin_for(kind, offset, stream.clone().zip(Some(Bytes::from(mark))));
        self.replication.running = Some(Copying { offset, hold, kind, stream });
        self.snapshot_is_taken(if kind.is_streamed { "RDB transfer" } else { "saving" }, began_ns, host);
        Ok(())
    }

    /// All who wait for a copy of this kind are told that it has begun, and what it stands for.
    fn begin_for(&mut self, kind: Kind, offset: u64, stream: Option<(Outgoing, Bytes)>) {
        for at in 0..self.replication.replicas.len() {
            let replica = &self.replication.replicas[at];
            if replica.state != State::AwaitsStart || self.kind_for(&replica.facts) != kind {
                continue;
            }
            // Who wants the copy alone reads nothing behind it.
            let is_read = !replica.facts.rdb_only || (replica.facts.is_copy_channel && replica.is_plain);
            let (head, main) = (self.head_of_copy(replica, offset), replica.facts.main_client);
            let hold = is_read.then(|| self.replication.feed.hold(offset));
            let replica = &mut self.replication.replicas[at];
            (replica.copy_offset, replica.hold, replica.moved_ms) = (offset, hold, self.now_ms);
            let Some(client) = self.clients.of_mut(replica.conn) else { continue };
            let out = client.session.reply.out.bytes_mut();
            out.extend_from_slice(head.as_bytes());
            replica.state = State::AwaitsFile;
            if let Some((copy, mark)) = &stream {
                out.extend_from_slice(b"$EOF:");
                out.extend_from_slice(mark);
                out.extend_from_slice(b"\r\n");
                let (copy, mark) = (copy.clone(), mark.clone());
                replica.transfer = Some(Transfer::Stream { copy, at: 0, mark, total: None });
                replica.state = State::Receives;
            }
            self.replication.to_flush.push(replica.conn);
            self.stream_beside(main, offset);
        }
    }

    /// The snapshot thread has made a copy, or has failed to.
    pub fn copy_is_made(&mut self, outcome: &SaveOutcome) {
        let preserved_bytes = self.keyspace.heap_stats().cloned_bytes;
        if !self.copier.finish(outcome, self.now_ms, preserved_bytes) {
            return;
        }
        let Some(copying) = self.replication.running.take() else {
            // It was finished before it could be stopped, and nobody wants it.
            let _ = self.copier.disk().remove(&self.copy_path());
            return;
        };
        self.replication.feed.release(copying.hold);
        match &outcome.result {
            Ok(saved) => {
                self.log
                    .notice("The copy for replicas is made", &[(keys::KEYS, &saved.keys), (keys::BYTES, &saved.bytes)]);
                if copying.stream.is_none() {
                    self.send_files();
                    return;
                }
                let mut receivers = 0;
                for replica in &mut self.replication.replicas {
                    if let Some(Transfer::Stream { total: total @ None, .. }) = &mut replica.transfer {
                        *total = Some(saved.bytes);
                        receivers += 1;
                    }
                }
                self.log.log(
                    Level::Notice,
                    &format!("Diskless rdb transfer, done reading from pipe, {receivers} replicas still up."),
                    &[],
                );
                self.log.notice("Background RDB transfer terminated with success", &[]);
            }
            Err(error) => {
                let what =
                    if copying.stream.is_some() { "Background transfer error" } else { "Background saving error" };
                self.log.warning(what, &[(keys::ERROR, &error.to_string())]);
                let concerned = |replica: &&Replica| match &replica.transfer {
                    Some(Transfer::Stream { total, .. }) => total.is_none(),
                    Some(Transfer::File { .. }) => false,
                    None => replica.state == State::AwaitsFile,
                };
                let conns: Vec<ConnId> =
                    self.replication.replicas.iter().filter(concerned).map(|replica| replica.conn).collect();
                conns.into_iter().for_each(|conn| self.close_later(conn, CloseReason::Killed));
            }
        }
    }

    /// The file is there: it is sent to all who wait for it.
    fn send_files(&mut self) {
        let (disk, path) = (self.copier.disk(), self.copy_path());
        for at in 0..self.replication.replicas.len() {
            let replica = &self.replication.replicas[at];
            if replica.state != State::AwaitsFile {
                continue;
            }
            let conn = replica.conn;
            match disk.open(&path).and_then(|file| Ok((file.len()?, file))) {
                Ok((left, file)) => {
                    let replica = &mut self.replication.replicas[at];
                    (replica.state, replica.moved_ms) = (State::Receives, self.now_ms);
                    replica.transfer = Some(Transfer::File { file, left });
                    if let Some(client) = self.clients.of_mut(conn) {
                        client.session.reply.out.bytes_mut().extend_from_slice(format!("${left}\r\n").as_bytes());
                    }
                }
                Err(error) => self.cannot_send(conn, &error),
            }
        }
        // It stays readable for those who have opened it.
        let _ = disk.remove(&path);
    }

    fn cannot_send(&mut self, conn: ConnId, error: &io::Error) {
        self.log.warning("Can't read the copy for a replica", &[(keys::ERROR, &error.to_string())]);
        self.close_later(conn, CloseReason::Broken);
    }

    /// Before sleep: every replica gets what there is for it. Who is to be flushed is listed.
    pub fn feed_replicas(&mut self, host: &mut dyn Host) {
        self.start_copies(host);
        self.continue_failover(host);
        self.ask_how_far();
        self.close_slow_replicas();
        for at in 0..self.replication.replicas.len() {
            let replica = &self.replication.replicas[at];
            let conn = replica.conn;
            if replica.transfer.is_some() {
                self.send_piece(at);
            }
            let Some(client) = self.clients.of_mut(conn) else { continue };
            let out = &mut client.session.reply.out;
            let most = WINDOW_BYTES.saturating_sub(out.len());
            if self.replication.read_for(at, most, |bytes| out.share(bytes)) {
                self.replication.to_flush.push(conn);
            }
        }
        self.use_disk(host);
        self.let_go_of_copies();
    }

    /// Takes more of the copy, as far as its receiver keeps up.
    fn send_piece(&mut self, at: usize) {
        let replica = &mut self.replication.replicas[at];
        let (conn, now_ms) = (replica.conn, self.now_ms);
        let (Some(client), Some(transfer)) = (self.clients.of_mut(conn), &mut replica.transfer) else { return };
        let out = &mut client.session.reply.out;
        if out.is_empty() {
            // It has taken all there was: if nothing comes, that is not its fault.
            replica.moved_ms = now_ms;
        }
        let mut is_done = false;
        let mut moved = false;
        let result = loop {
            if out.len() >= WAITING_BYTES_MAX {
                break Ok(());
            }
            match transfer {
                Transfer::File { left: 0, .. } => {
                    is_done = true;
                    break Ok(());
                }
                Transfer::File { file, left } => {
                    let mut piece = vec![0; PIECE_BYTES.min(usize::try_from(*left).unwrap_or(PIECE_BYTES))];
                    if let Err(error) = file.read_exact(&mut piece) {
                        break Err(error);
                    }
                    *left -= piece.len() as u64;
                    out.share(Bytes::from(piece));
                }
                Transfer::Stream { copy, at, mark, total } => match copy.take(*at) {
                    Ok(Taken::Bytes(bytes)) => {
                        *at += bytes.len() as u64;
                        out.share(bytes);
                    }
                    Ok(Taken::Waits) => {
                        if *total == Some(*at) {
                            out.share(mark.clone());
                            is_done = true;
                        }
                        break Ok(());
                    }
                    Err(error) => break Err(error),
                },
            }
            moved = true;
        };
        if moved {
            replica.moved_ms = now_ms;
        }
        if moved || is_done {
            self.replication.to_flush.push(conn);
        }
        if let Err(error) = result {
            self.replication.replicas[at].transfer = None;
            return self.cannot_send(conn, &error);
        }
        if is_done {
            self.copy_is_sent(at);
        }
    }

    /// All of the copy is given to the connection.
    fn copy_is_sent(&mut self, at: usize) {
        let replica = &mut self.replication.replicas[at];
        let was_streamed = matches!(replica.transfer.take(), Some(Transfer::Stream { .. }));
        let conn = replica.conn;
        replica.is_sent = true;
        if replica.facts.is_copy_channel {
            self.channel_is_done(at);
        }
        let replica = &mut self.replication.replicas[at];
        if replica.facts.rdb_only {
            if let Some(client) = self.clients.of_mut(conn) {
                client.session.close_after_reply();
            }
            return;
        }
        replica.acknowledged_ms = self.now_ms;
        if was_streamed {
            replica.state = State::AwaitsAck;
            self.log.notice("Streamed replica, waiting for REPLCONF ACK from replica to enable streaming", &[]);
        } else {
            replica.state = State::Follows { sent: replica.copy_offset };
            self.follows_now(conn);
        }
    }

    /// A replica has the copy, and follows.
    pub(super) fn follows_now(&mut self, conn: ConnId) {
        let Some(replica) = self.replication.of(conn) else { return };
        let id = replica.id;
        self.log.notice("Synchronization with replica succeeded", &[(keys::CLIENT, &id)]);
        self.count_good_replicas();
    }

    /// What every receiver of a copy has taken need not be held any more.
    fn let_go_of_copies(&mut self) {
        let mut slowest: Option<(&Outgoing, u64)> = None;
        for replica in &self.replication.replicas {
            if let Some(Transfer::Stream { copy, at, .. }) = &replica.transfer {
                slowest = Some(match slowest {
                    Some((other, least)) if other.is(copy) => (other, least.min(*at)),
                    _ => (copy, *at),
                });
            }
        }
        if let Some((copy, at)) = slowest {
            copy.release(at);
        }
    }

    /// One that received a copy, or waited for one, is gone.
    pub(super) fn reader_is_gone(&mut self) {
        let Some(copying) = &self.replication.running else { return };
        let stream = copying.stream.as_ref();
        let reads = |replica: &Replica| match (&replica.transfer, stream) {
            (Some(Transfer::Stream { copy, .. }), Some(stream)) => copy.is(stream),
            (_, None) => replica.state == State::AwaitsFile,
            _ => false,
        };
        if self.replication.replicas.iter().any(reads) {
            return;
        }
        if stream.is_some() {
            self.log.notice("Diskless rdb transfer, last replica dropped, killing fork child.", &[]);
        }
        self.abandon_copying();
    }

    /// Nobody wants the copy that is being made.
    pub(super) fn abandon_copying(&mut self) {
        if let Some(copying) = self.replication.running.take() {
            self.replication.feed.release(copying.hold);
            copying.stream.iter().for_each(Outgoing::abandon);
            self.copier.abort();
        }
    }

    /// A copy, or the feed, could be read on, because all that was read of it is sent.
    pub fn has_idle_transfer(&self) -> bool {
        let feed = &self.replication.feed;
        self.replication.replicas.iter().any(|replica| {
            let is_ready = match &replica.transfer {
                None => replica.reads_at().is_some_and(|at| at >= feed.memory_start() && at < feed.end()),
                Some(Transfer::File { .. }) => true,
                Some(Transfer::Stream { copy, at, total, .. }) => *total == Some(*at) || copy.written() > *at,
            };
            is_ready && self.clients.of(replica.conn).is_some_and(|client| client.session.reply.out.is_empty())
        })
    }
}
