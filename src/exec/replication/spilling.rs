//! How much replicas may leave unread, in memory and on the disk.
//!
//! Nobody is given more of the feed than his connection takes: what is unread is in the feed, once, held from where the
//! slowest replica reads. With `repl-backlog-spill-size` the oldest of it is moved to the disk and read back from there, so
//! that one who is slow for long enough to leave more unread than `client-output-buffer-limit replica` allows catches up
//! in the end, instead of being closed and sent all over again. What is on the disk does not count for that limit; when
//! there is no more room, memory fills up, and the limit is what it was.

use crate::exec::ctx::Host;
use crate::exec::instance::{CloseReason, Instance};
use crate::observe::keys;
use crate::persist::{SpillThread, temp_path};
use crate::reactor::ConnId;
use crate::stream::{SpillJob, SpillReport};

/// So much is kept in memory beyond the backlog before the oldest is moved to the disk; less if the limit is near.
const MEMORY_BYTES: u64 = 16 << 20;

/// A disk that has failed is left alone for so long.
const RETRY_MS: i64 = 10_000;

/// The disk, as far as the feed uses it.
#[derive(Default)]
pub(super) struct Spilling {
    thread: Option<SpillThread>,
    /// The disk has failed, and is left alone until then, ms since 1970.
    pauses_until_ms: i64,
}

impl Instance {
    /// `client-output-buffer-limit replica`: closes those that have left too much unread. It counts from where they read, and
    /// is never below the backlog, which is there in any case.
    pub(super) fn close_slow_replicas(&mut self) {
        let mut limit = self.config.limits.client_output_buffer_limit.replica;
        let feed = &self.replication.feed;
        if limit.hard_bytes > 0 {
            limit.hard_bytes = limit.hard_bytes.max(feed.backlog());
        }
        let (end, memory_start) = (feed.end(), feed.memory_start());
        // Where there is a disk, only what is beyond the backlog could be somewhere else.
        let free = if self.config.replication.repl_backlog_spill_size > 0 { feed.backlog() } else { 0 };
        let (clients, now_ms) = (&self.clients, self.now_ms);
        let reads = self.replication.replicas.iter_mut().filter(|replica| replica.hold.is_some());
        let late = reads.filter_map(|replica| {
            let owed = || clients.of(replica.conn).map_or(0, |client| client.session.reply.out.len());
            let position = replica.reads_at().map(|sent| sent.saturating_sub(owed() as u64));
            let position = position.unwrap_or(replica.copy_offset);
            let unread = (end - position.max(memory_start)).saturating_sub(free);
            limit.is_exceeded(unread, &mut replica.soft_limit_since_ms, now_ms).then_some(replica.conn)
        });
        let late: Vec<ConnId> = late.collect();
        late.into_iter().for_each(|conn| self.close_later(conn, CloseReason::OutputBufferFull));
    }

    /// Moves what is too much for memory to the disk, and has what readers need read back.
    pub(super) fn use_disk(&mut self, host: &dyn Host) {
        if self.config.replication.repl_backlog_spill_size > 0
            && self.now_ms >= self.replication.spilling.pauses_until_ms
        {
            let limit = self.config.limits.client_output_buffer_limit.replica;
            let set = [limit.hard_bytes, limit.soft_bytes].into_iter().filter(|bytes| *bytes > 0).min();
            self.replication.feed.spill(set.map_or(MEMORY_BYTES, |bytes| MEMORY_BYTES.min(bytes / 2)));
        }
        while let Some(job) = self.replication.feed.next_spill_job() {
            self.ask_disk(job, host);
        }
    }

    fn ask_disk(&mut self, job: SpillJob, host: &dyn Host) {
        if self.replication.spilling.thread.is_none() {
            match SpillThread::start(self.copier.disk(), host.when_spilled()) {
                Ok(thread) => self.replication.spilling.thread = Some(thread),
                // Nothing was written yet, so nothing can be asked for but that.
                Err(error) => return self.spill_reports(SpillReport::Written(Err(error))),
            }
        }
        let path = temp_path(&self.rdb_path(), "spill-");
        if let Some(thread) = &self.replication.spilling.thread {
            thread.ask(job, path);
        }
    }

    /// The thread that keeps a part of the feed on the disk has done something, or could not.
    pub fn spill_reports(&mut self, report: SpillReport) {
        match report {
            SpillReport::Written(result) => {
                if let Err(error) = &result {
                    self.replication.spilling.pauses_until_ms = self.now_ms + RETRY_MS;
                    self.log.warning(
                        "Can't keep the replication stream for slow replicas on the disk",
                        &[(keys::ERROR, &error.to_string())],
                    );
                }
                self.replication.feed.is_spilled(result.is_ok());
            }
            SpillReport::Read { offset, result } => {
                self.replication.feed.is_fetched(offset);
                let waits = self.replication.replicas.iter().filter(|replica| replica.reads_at() == Some(offset));
                let waits: Vec<ConnId> = waits.map(|replica| replica.conn).collect();
                if let Err(error) = &result {
                    self.log.warning(
                        "Can't read the replication stream for slow replicas from the disk",
                        &[(keys::ERROR, &error.to_string())],
                    );
                }
                for conn in waits {
                    match &result {
                        Ok(bytes) => {
                            let next = offset + bytes.len() as u64;
                            let Some(client) = self.clients.of_mut(conn) else { continue };
                            client.session.reply.out.share(bytes.clone());
                            self.replication.has_read(conn, next);
                            self.replication.to_flush.push(conn);
                        }
                        Err(_) => self.close_later(conn, CloseReason::Broken),
                    }
                }
            }
        }
    }
}
