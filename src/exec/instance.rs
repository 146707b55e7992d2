//! The instance: Redis without sockets.
//!
//! Everything a command can reach is here: databases, configuration, clients, statistics. What a command wants done
//! outside (a connection closed, replies of another client sent, the server stopped) it leaves as an [`Ask`], which
//! the server settles right after the batch.

use std::sync::Arc;

use crate::blocking::BlockedClients;
use crate::client::{Attention, BufferPools, ClientId, Clients, Outbox, RecentBuffers, Session};
use crate::config::{Config, Sources};
use crate::db::Keyspace;
use crate::exec::account::Thresholds;
use crate::exec::aof::Aof;
use crate::exec::debug::DebugSwitches;
use crate::exec::defrag::Defragmenter;
use crate::exec::eviction::Eviction;
use crate::exec::identity::{Identity, random_history};
use crate::exec::leftovers::Leftovers;
use crate::exec::memory::Memory;
use crate::exec::migrate::Migrations;
use crate::exec::persistence::{LoadState, Snapshots};
use crate::exec::readers::Readers;
use crate::exec::replication::Replication;
use crate::exec::script::Scripts;
use crate::exec::slowlog::SlowLog;
use crate::exec::spec::Flags;
use crate::exec::stats::Stats;
use crate::exec::table::CommandTable;
use crate::observe::latency::Latency;
use crate::observe::log::Logger;
use crate::observe::metrics::Metrics;
use crate::persist::Saver;
use crate::pubsub::PubSub;
use crate::reactor::ConnId;
use crate::tracking::Tracking;
use crate::util::bit_set::bit_set;
use crate::util::rng::Rng;

bit_set! {
    /// Reasons why the gates have to be asked about every request just now.
    Alert: u32 {
        /// The data set is being loaded.
        LOADING = 0;
        /// CLIENT PAUSE.
        PAUSED = 1;
        /// Somebody is in MONITOR mode.
        MONITORED = 2;
        /// Memory was over maxmemory when a command last asked.
        OVER_MEMORY = 3;
        /// The last save failed and writes are to stop.
        DISK_ERROR = 4;
        /// maxmemory is set. Alone, it is no reason while memory is within it.
        LIMITED_MEMORY = 5;
        /// There are fewer replicas than `min-replicas-to-write` asks for.
        FEW_REPLICAS = 6;
        /// DEBUG KEYSIZES-HIST-ASSERT: every command is followed by a look at the sizes of all values.
        SIZES_ASSERTED = 7;
        /// More keys are remembered for clients that cache than `tracking-table-max-keys` allows.
        TRACKING_TABLE_FULL = 8;
        /// The append-only file cannot take writes.
        AOF_ERROR = 9;
        /// MIGRATE sends keys that must be left alone until it is over.
        KEYS_ON_THEIR_WAY = 10;
        /// This is a replica, and refuses writes.
        READ_ONLY = 11;
        /// This is a replica that takes writes.
        WRITABLE_REPLICA = 14;
        /// A primary's data set is loaded, and the old one served meanwhile.
        ASYNC_LOADING = 13;
        /// `write-acks`: replies to writes wait for replicas.
        WRITE_ACKS = 16;
        /// `read-uncommitted no`: so do those to reads.
        READS_HELD = 17;
        /// `primary-lease-ms`: writes are refused when replicas have not answered lately.
        LEASE = 18;
        /// This is a replica without its primary, and does not serve what may be old.
        STALE = 12;
        /// A script runs for longer than `busy-reply-threshold`: others have turns in the middle of it.
        BUSY_SCRIPT = 15;
    }
}

/// CLIENT PAUSE.
#[derive(Clone, Copy, Default, Debug)]
pub struct Pause {
    /// Everything waits until then, ms since 1970.
    pub all_until_ms: i64,
    /// Writes wait until then.
    pub writes_until_ms: i64,
    /// Writes wait until FAILOVER is decided.
    pub for_failover: bool,
    /// Writes wait while a shutdown waits for replicas.
    pub for_shutdown: bool,
}

impl Pause {
    /// Whether a command with these flags has to wait.
    pub fn holds(self, flags: Flags, now_ms: i64) -> bool {
        now_ms < self.all_until_ms
            || ((now_ms < self.writes_until_ms || self.for_failover || self.for_shutdown)
                && flags.has(Flags::WRITE.or(Flags::MAY_REPLICATE)))
    }

    /// Whether the pause is over.
    pub fn is_over(self, now_ms: i64) -> bool {
        now_ms >= self.all_until_ms.max(self.writes_until_ms) && !self.for_failover && !self.for_shutdown
    }
}

/// Why a client is closed against its will.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CloseReason {
    /// CLIENT KILL, or an administrative command.
    Killed,
    /// It sent more than client-query-buffer-limit without completing a request.
    QueryBufferFull,
    /// It does not read its replies: client-output-buffer-limit.
    OutputBufferFull,
    /// It took more memory than others when all together took too much: maxmemory-clients.
    Evicted,
    /// timeout.
    Idle,
    /// The connection broke.
    Broken,
    /// It asked to be closed, or broke the protocol, and has been told all it was owed.
    Served,
}

/// What a command asks of the server.
#[derive(Debug)]
pub enum Ask {
    /// Close a client at once.
    Close(ConnId, CloseReason),
    /// CLIENT PAUSE is over: run what was held back.
    Resume,
    /// A client's wait is over: send what it is owed, run what it sent meanwhile.
    GoOn(ConnId),
    /// A client's requests have to wait until CLIENT PAUSE is over.
    HoldBack(ConnId),
    /// Stop.
    Shutdown(ShutdownOptions),
    /// Give up stopping.
    AbortShutdown,
}

/// SHUTDOWN's options.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ShutdownOptions {
    /// SAVE: also without save points.
    pub save: bool,
    /// NOSAVE.
    pub nosave: bool,
    /// NOW: do not wait for anybody.
    pub now: bool,
    /// FORCE: stop even when saving fails.
    pub force: bool,
    /// A signal asks for it, not the command.
    pub by_signal: bool,
}

/// Redis without sockets.
pub struct Instance {
    /// All databases.
    pub keyspace: Keyspace,
    /// The running configuration.
    pub config: Config,
    /// Where it came from, for CONFIG REWRITE and SIGHUP.
    pub sources: Sources,
    /// The out-of-memory score that the process had before `oom-score-adj`, while that is on.
    pub oom_score_base: Option<i32>,
    /// All clients.
    pub clients: Clients,
    /// All commands.
    pub table: &'static CommandTable,
    /// Reasons why no request can take the short way.
    pub alert: Alert,
    /// Wall clock of this turn, ms since 1970.
    pub now_ms: i64,
    /// Monotonic time when the command at hand began, ns.
    pub stamp_ns: u64,
    /// CLIENT PAUSE.
    pub pause: Pause,
    /// Clients whose command waits.
    pub blocked: BlockedClients,
    /// Reads that other threads do.
    pub readers: Readers,
    /// What is on its way to other instances.
    pub migrations: Migrations,
    /// How many clients CLIENT PAUSE holds back.
    pub held_back: usize,
    /// Clients in MONITOR mode, in the order in which they entered it.
    pub monitors: Vec<ConnId>,
    /// Who is subscribed to what.
    pub pubsub: PubSub,
    /// Who has read which keys, and caches them.
    pub tracking: Tracking,
    /// Room for the name of the channel that an event is published on.
    pub(super) event_channel: Vec<u8>,
    /// Pushes that wait for the end of the requests at hand.
    pub outbox: Outbox,
    /// What the server is asked to do.
    pub asks: Vec<Ask>,
    /// The slow log.
    pub slowlog: SlowLog,
    /// The latency monitor.
    pub latency: Latency,
    /// Snapshots to disk.
    pub saver: Saver,
    /// Snapshots for replicas.
    pub copier: Saver,
    /// The write stream and its readers.
    pub replication: Replication,
    /// The append-only file.
    pub aof: Aof,
    /// Clients that wait until what they have written is on disks or replicas.
    pub copies_awaited: Vec<ClientId>,
    /// EXEC or a script has commands run just now.
    pub runs_transaction: bool,
    /// Scripts and functions.
    pub scripts: Scripts,
    /// What other threads see.
    pub metrics: Arc<Metrics>,
    /// What is counted of requests, connections and turns.
    pub stats: Stats,
    /// The log.
    pub log: Logger,
    /// Memory in use.
    pub memory: Memory,
    /// Buffers of clients between uses.
    pub pools: BufferPools,
    /// The largest buffers of clients lately.
    pub recent_buffers: RecentBuffers,
    /// Chance.
    pub rng: Rng,
    /// Who this is.
    pub identity: Identity,
    /// Switches that only DEBUG turns.
    pub debug: DebugSwitches,
    /// The load at the start, or the last DEBUG RELOAD.
    pub load: LoadState,
    /// Snapshots taken of the data set.
    pub snapshots: Snapshots,
    /// Memory at its limit.
    pub eviction: Eviction,
    /// Moving memory.
    pub defragmenter: Defragmenter,
    pub(super) leftovers: Leftovers,
    pub(super) crons: u64,
    /// When a shutdown that waits will stop waiting, ms since 1970; 0 when none does.
    pub shutdown_deadline_ms: i64,
    /// How long is long enough to be noted.
    pub(super) thresholds: Thresholds,
}

/// What an instance is made of.
pub struct Parts {
    /// All databases.
    pub keyspace: Keyspace,
    /// The configuration.
    pub config: Config,
    /// Where it came from.
    pub sources: Sources,
    /// All commands.
    pub table: &'static CommandTable,
    /// Snapshots to disk.
    pub saver: Saver,
    /// What other threads see.
    pub metrics: Arc<Metrics>,
    /// The log.
    pub log: Logger,
    /// Chance.
    pub rng: Rng,
    /// Wall clock, ms since 1970.
    pub now_ms: i64,
}

impl Instance {
    /// An instance without clients.
    pub fn new(parts: Parts) -> Instance {
        let Parts { keyspace, config, sources, table, saver, metrics, log, mut rng, now_ms } = parts;
        let identity = Identity::new(&mut rng, now_ms);
        let copier = saver.another(now_ms);
        let rewriter = saver.another(now_ms);
        let tracking = Tracking::new(keyspace.seed());
        let replication = Replication::new(config.replication.repl_backlog_size, random_history(&mut rng), now_ms);
        let mut inst = Instance {
            keyspace,
            config,
            sources,
            oom_score_base: None,
            clients: Clients::default(),
            table,
            alert: Alert::default(),
            now_ms,
            stamp_ns: 0,
            pause: Pause::default(),
            blocked: BlockedClients::default(),
            readers: Readers::default(),
            migrations: Migrations::default(),
            held_back: 0,
            monitors: Vec::new(),
            pubsub: PubSub::default(),
            tracking,
            event_channel: Vec::new(),
            outbox: Outbox::default(),
            asks: Vec::new(),
            slowlog: SlowLog::default(),
            latency: Latency::default(),
            saver,
            copier,
            replication,
            aof: Aof::new(rewriter),
            copies_awaited: Vec::new(),
            runs_transaction: false,
            scripts: Scripts::default(),
            metrics,
            stats: Stats::default(),
            log,
            memory: Memory::new(now_ms),
            pools: BufferPools::default(),
            recent_buffers: RecentBuffers::default(),
            rng,
            identity,
            debug: DebugSwitches::default(),
            load: LoadState::default(),
            snapshots: Snapshots::default(),
            eviction: Eviction::default(),
            defragmenter: Defragmenter::default(),
            leftovers: Leftovers::default(),
            crons: 0,
            shutdown_deadline_ms: 0,
            thresholds: Thresholds::default(),
        };
        inst.config_changed();
        inst
    }

    /// Takes over what the hot path keeps of the configuration. To be called after every change of it.
    pub fn config_changed(&mut self) {
        self.thresholds.follow(&self.config);
        self.readers.config_changed();
        self.scripts.limit_memory(self.config.limits.lua_memory_limit);
        // What DEBUG has switched stays as it is.
        let crate::db::Options { active_expire, keep_expired, payload_checksums, .. } = *self.keyspace.options();
        *self.keyspace.options_mut() = crate::db::Options {
            active_expire,
            keep_expired,
            payload_checksums,
            ..Self::keyspace_options(&self.config)
        };
        self.slowlog.trim(self.config.observability.slowlog_max_len as usize);
        self.check_memory_limit();
        self.check_disk();
        self.aof_config_changed();
        self.count_good_replicas();
        self.follow_backlog_size();
        self.quorum_config_changed();
        self.upstream_config_changed();
        self.check_tracking_table();
        self.listen_for_events();
        self.saver.set_key_delay(i64::from(self.config.persistence.rdb_key_save_delay));
    }

    /// Has memory looked at before every command, or never.
    pub(super) fn check_memory_limit(&mut self) {
        // A replica leaves it to its primary.
        let left = self.is_replica() && self.config.replication.replica_ignore_maxmemory;
        let limited = self.config.storage.maxmemory > 0 && !left;
        self.alert.put(Alert::LIMITED_MEMORY, limited);
        if !limited {
            self.alert.put(Alert::OVER_MEMORY, false);
            self.eviction.end(self.stamp_ns);
        }
    }

    /// Has a client closed after this batch.
    pub fn close_later(&mut self, conn: ConnId, reason: CloseReason) {
        self.asks.push(Ask::Close(conn, reason));
    }

    /// Has the connection of a session closed at once, whatever is still to be sent.
    pub fn close_session(&mut self, session: &mut Session, reason: CloseReason) {
        session.attention.put(Attention::CLOSE_NOW, true);
        self.asks.extend(session.conn.map(|conn| Ask::Close(conn, reason)));
    }

    /// Drops what the rest of the instance holds for a client that is closed.
    pub fn forget(&mut self, session: &mut Session, reason: CloseReason) {
        self.end_transaction(session);
        self.stop_waiting(session);
        self.set_monitor(session, false);
        self.forget_replica(session);
        self.forget_demand(session);
        let was_subscriber = session.is_subscriber();
        self.forget_subscriber(session);
        self.forget_tracker(session);
        match reason {
            CloseReason::QueryBufferFull => self.stats.query_limit_closed += 1,
            CloseReason::OutputBufferFull => {
                self.stats.output_limit_closed += 1;
                self.stats.subscribers_closed += u64::from(was_subscriber);
            }
            CloseReason::Evicted => self.stats.evicted_clients += 1,
            CloseReason::Killed | CloseReason::Idle | CloseReason::Broken | CloseReason::Served => {}
        }
    }

    /// MONITOR, and its end.
    pub fn set_monitor(&mut self, session: &mut Session, on: bool) {
        if session.attention.has(Attention::MONITOR) == on {
            return;
        }
        session.attention.put(Attention::MONITOR, on);
        match on {
            true => {
                session.receives = true;
                self.monitors.extend(session.conn);
            }
            false => self.monitors.retain(|conn| Some(*conn) != session.conn),
        }
        self.alert.put(Alert::MONITORED, !self.monitors.is_empty());
    }

    /// Sets or clears the alert of CLIENT PAUSE by the clock.
    pub fn refresh_pause(&mut self) {
        let paused = !self.pause.is_over(self.now_ms);
        self.alert.put(Alert::PAUSED, paused);
        // What has expired is deleted by the primary.
        self.keyspace.options_mut().keep_expired = paused || self.is_replica();
    }

    /// Ends a transaction: its queue, and what it watched.
    pub fn end_transaction(&mut self, session: &mut Session) {
        if let Some(mut transaction) = session.transaction.take()
            && !transaction.drop_some()
        {
            self.leftovers.transactions.push(*transaction);
        }
        session.attention.put(Attention::IN_MULTI, false);
        self.unwatch(session);
    }

    /// Forgets all that a client watches.
    pub fn unwatch(&mut self, session: &mut Session) {
        if session.watching > 0 {
            self.keyspace.unwatch(session.id);
            session.watching = 0;
        }
    }
}
