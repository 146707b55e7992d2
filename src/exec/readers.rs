//! The main thread's side of long reads: who waits for one, what becomes of the reply, what is counted.
//!
//! ```text
//!   handler: too much -> blocked -> [ waiting, in order ] -> running, with a snapshot of its own
//!                            |             |                       | another thread is done: mail
//!                            |             |                       v
//!                            +-- the client goes: cancelled        reply, statistics, the client goes on
//! ```
//!
//! A snapshot is taken when the read can begin soon: at most [`RUNNING_MAX`] of them are alive for this. Whoever comes
//! later keeps its request, as clients do that wait for a key, and is tried again in its turn.
//!
//! A client that waits for its own read does what it would have done before, only later: CLIENT UNBLOCK does not concern
//! it, and it is no blocked client to INFO. One that has closed its sending half still gets its reply.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use crate::blocking::WaitFor;
use crate::client::{Attention, ClientId, Session};
use crate::config::Config;
use crate::exec::blocked;
use crate::exec::call::{self, Request};
use crate::exec::ctx::Host;
use crate::exec::instance::{Alert, Instance};
use crate::exec::long_read::{Here, ReadControl, ReadDone, ReadJob};
use crate::exec::room::ReplyRoom;
use crate::observe::keys;

/// Reads whose snapshots are alive.
const RUNNING_MAX: usize = 16;

/// Long reads.
#[derive(Default)]
pub struct Readers {
    /// By the number of the read.
    running: HashMap<u64, Running>,
    /// Clients whose read has not begun, in order of arrival.
    waiting: VecDeque<ClientId>,
    /// The configuration as the reads of the moment see it; made when one needs it.
    config: Option<Arc<Config>>,
    begun: u64,
    /// What reads took, when the allocator was last asked, whose clients have gone since: it may still say so.
    gone_bytes: u64,
    /// What is counted.
    pub counts: ReadCounts,
}

struct Running {
    client: ClientId,
    control: Arc<ReadControl>,
    /// What it took when the allocator was last asked.
    seen_bytes: u64,
}

/// What is counted of long reads, since the start or CONFIG RESETSTAT.
#[derive(Clone, Copy, Default, Debug)]
pub struct ReadCounts {
    /// Reads that were answered.
    pub done: u64,
    /// Reads whose clients have gone before.
    pub cancelled: u64,
    /// Bytes of their replies.
    pub reply_bytes: u64,
    /// Time that other threads took for them, ns.
    pub time_ns: u64,
}

impl Readers {
    /// Reads that another thread has been given.
    pub fn running(&self) -> usize {
        self.running.len()
    }

    /// Clients whose read has not begun.
    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// Clients that wait for a read.
    fn clients(&self) -> usize {
        self.waiting.len() + self.running.values().filter(|running| !running.control.is_cancelled()).count()
    }

    /// The configuration has changed.
    pub(super) fn config_changed(&mut self) {
        self.config = None;
    }

    /// The allocator is asked what is in use: its answer has what reads take now.
    pub(super) fn see_memory(&mut self) {
        self.gone_bytes = 0;
        for running in self.running.values_mut() {
            running.seen_bytes = running.control.bytes();
        }
    }

    /// Bytes that reads took when the allocator was last asked: no data, and not yet what clients are owed.
    pub fn seen_bytes(&self) -> u64 {
        self.gone_bytes + self.running.values().map(|running| running.seen_bytes).sum::<u64>()
    }

    /// A client does not wait any more.
    pub(super) fn forget(&mut self, client: ClientId) {
        self.waiting.retain(|waiting| *waiting != client);
        self.running.values().filter(|running| running.client == client).for_each(|running| running.control.cancel());
    }
}

impl Instance {
    /// Where a command that may read much asks how much is too much.
    #[inline]
    pub(super) fn read_pace(&self, may_block: bool) -> Here {
        match may_block && !self.alert.has(Alert::LOADING) {
            true => Here::up_to(self.config.limits.snapshot_reads_above),
            false => Here::ANYTHING,
        }
    }

    /// Clients that wait for a key, for memory, for a shutdown, or until CLIENT PAUSE is over: those that only read are
    /// not among them.
    pub fn blocked_clients(&self) -> usize {
        let for_shutdown = match self.shutdown_deadline_ms {
            0 => 0, // nobody can wait for what was not asked for
            _ => self.clients.iter().filter(|c| c.session.attention.has(Attention::AWAITS_SHUTDOWN)).count(),
        };
        self.blocked.len() - self.readers.clients() + self.held_back + for_shutdown
    }

    /// What another thread was to read is read.
    pub fn read_is_done(&mut self, host: &mut dyn Host, done: ReadDone, duration_ns: u64) {
        let Some(running) = self.readers.running.remove(&done.number) else { return };
        if running.control.is_cancelled() {
            self.readers.counts.cancelled += 1;
            self.readers.gone_bytes += running.seen_bytes;
            self.discard_reply(done.reply);
        } else {
            self.readers.counts.done += 1;
            self.answer(done, duration_ns);
        }
        while self.readers.running.len() < RUNNING_MAX
            && let Some(next) = self.readers.waiting.pop_front()
        {
            blocked::again(self, host, next);
        }
    }

    /// Puts the reply where it belongs, and lets the client go on.
    fn answer(&mut self, done: ReadDone, duration_ns: u64) {
        let waits = self.blocked.client(done.client).filter(|blocked| blocked.wait.what == WaitFor::Reader);
        let Some(blocked) = waits else { return };
        let Some(mut session) = self.clients.take_by_id(done.client) else { return };
        let stats = self.keyspace.stats_mut();
        stats.hits += done.counts.hits;
        stats.misses += done.counts.misses;
        self.readers.counts.reply_bytes += done.reply.len() as u64;
        self.readers.counts.time_ns += duration_ns;
        self.log.debug(
            "Answered from a snapshot",
            &[
                (keys::COMMAND, &self.table.by_id(blocked.command).full_name),
                (keys::BYTES, &done.reply.len()),
                ("read_us", &(duration_ns / 1000)),
            ],
        );
        let before = session.reply.out.mark();
        let failed = done.result.is_err();
        match done.result {
            Ok(()) => session.reply.out.append(done.reply),
            Err(error) => call::reply_error(self, &mut session, &error),
        }
        let (command, args) = (self.table.by_id(blocked.command), blocked.request.view());
        self.account_read(&session, command, args, (blocked.spent_ns.get() + duration_ns, duration_ns), failed);
        let told = self.tells(&session, command);
        blocked::unblock(self, &mut session, before, told);
        let conn = session.conn;
        self.clients.put_back(session);
        if let Some(conn) = conn {
            // It is the client's now, and must not evict keys for the next request.
            self.clients.count(conn.index);
        }
    }
}

/// A client is blocked because its request reads too much: gives it to another thread, if that has time to.
pub(super) fn begin(inst: &mut Instance, host: &mut dyn Host, session: &Session, request: &Request<'_>) {
    if inst.readers.running.len() >= RUNNING_MAX {
        inst.readers.waiting.push_back(session.id);
        return;
    }
    let readers = &mut inst.readers;
    readers.begun += 1;
    let control = Arc::new(ReadControl::default());
    let running = Running { client: session.id, control: Arc::clone(&control), seen_bytes: 0 };
    readers.running.insert(readers.begun, running);
    let config = Arc::clone(readers.config.get_or_insert_with(|| Arc::new(inst.config.clone())));
    host.read_elsewhere(ReadJob {
        number: readers.begun,
        client: session.id,
        command: request.command,
        request: request.args.into(),
        snapshot: inst.keyspace.snapshot(),
        db: session.db as usize,
        now_ms: inst.now_ms,
        proto: session.reply.proto,
        room: ReplyRoom::elsewhere(&session.reply, &inst.config),
        config,
        log: inst.log.for_worker(),
        control,
    });
}
