//! What the instance does between commands: expire, count, notice.

use crate::config::Config;
use crate::config::choice::MaxmemoryPolicy;
use crate::db::{AccessPolicy, Options};
use crate::exec::instance::Instance;
use crate::exec::rates::Totals;
use crate::sys::process;
use crate::types::Limits;

/// What costs a walk over all clients, or a system call, is done once in so many crons.
const SLOWLY: u64 = 10;

/// Keys expired between two looks at the clock.
const EXPIRE_BATCH: usize = 64;

impl Instance {
    /// What of the configuration decides how the keyspace works.
    pub fn keyspace_options(config: &Config) -> Options {
        Options {
            access: access_policy(config),
            lazy_expire: config.ttl.lazyfree_lazy_expire,
            lazy_evict: config.storage.lazyfree_lazy_eviction,
            lazy_server_del: config.storage.lazyfree_lazy_server_del,
            lazy_user_del: config.storage.lazyfree_lazy_user_del,
            limits: type_limits(config),
            ..Options::default()
        }
    }

    /// Deletes keys whose time is over, as long as `may_go_on` says so. The earliest go first, whichever database
    /// they are in, so a budget that is too small delays keys and forgets none.
    pub fn expire_due(&mut self, may_go_on: impl Fn() -> bool) {
        while self.keyspace.expire_due(self.now_ms, EXPIRE_BATCH) == EXPIRE_BATCH {
            if !may_go_on() {
                self.expire_stopped_early += 1;
                break;
            }
        }
    }

    /// When the next key expires by itself; none while keys do not.
    pub fn next_expiry_ms(&self) -> Option<i64> {
        let options = self.keyspace.options();
        if options.active_expire && !options.keep_lapsed { self.keyspace.next_deadline() } else { None }
    }

    /// True while keys are due: the next turn does not wait.
    pub fn has_due_keys(&self) -> bool {
        self.next_expiry_ms().is_some_and(|at| at < self.now_ms)
    }

    /// Ten times a second, or as `hz` says.
    pub fn cron(&mut self) {
        self.crons += 1;
        let allocator = self.refresh_memory();
        self.metrics.allocator_allocated_bytes.set(allocator.allocated);
        self.metrics.allocator_active_bytes.set(allocator.active);
        self.metrics.allocator_resident_bytes.set(allocator.resident);
        self.plan_defrag(&allocator);
        let totals = Totals {
            commands: self.commands_total,
            input: self.input_bytes,
            output: self.output_bytes,
            turns: self.turns.count,
            turns_us: self.turns.total_us,
        };
        self.rates.sample(self.now_ms, totals);
    }

    /// Copies what only the main thread knows into the shared metrics, for INFO's readers on other threads.
    /// `pooled_bytes` is memory of buffers that no client uses just now.
    pub fn publish(&mut self, pooled_bytes: usize) {
        let m = &self.metrics;
        m.connected_clients.set(self.clients.len() as u64);
        m.max_clients.set(u64::from(self.config.limits.maxclients));
        m.commands_processed.set(self.commands_total);
        m.net_input_bytes.set(self.input_bytes);
        m.net_output_bytes.set(self.output_bytes);
        m.error_replies.set(self.errors.total());
        m.eventloop_cmd_ns.set(self.commands_ns());
        let stats = self.keyspace.stats();
        m.keyspace_hits.set(stats.hits);
        m.keyspace_misses.set(stats.misses);
        m.expired_keys.set(stats.expired_keys);
        m.expired_subkeys.set(stats.expired_fields);
        m.evicted_keys.set(stats.evicted_keys);
        m.lazyfreed_objects.set(self.keyspace.lazyfree().freed_objects());
        m.lazyfree_pending.set(self.keyspace.lazyfree().pending_objects());
        m.defrag_running.set(u64::from(self.defragmenter.percent()));
        m.defrag_ms.set(self.defragmenter.total_ms(self.stamp_ns));
        m.memory_used_bytes.set(self.used_memory());
        m.memory_peak_bytes.set(self.memory.peak());
        m.memory_max_bytes.set(self.config.storage.maxmemory);
        m.slowlog_length.set(self.slowlog.len() as u64);
        for (i, db) in m.dbs.iter().enumerate() {
            let info = self.keyspace.info(i, self.now_ms);
            db.keys.set(info.keys as u64);
            db.expiring.set(info.expires as u64);
            db.avg_ttl_ms.set(info.average_ttl_ms.max(0) as u64);
        }
        let status = self.save_status();
        m.rdb_changes.set(status.changes_since_last_save);
        m.rdb_save_in_progress.set(u64::from(status.bgsave_in_progress));
        m.rdb_last_save_seconds.set(status.last_save_time.max(0) as u64);
        m.rdb_last_save_ok.set(u64::from(status.last_bgsave_ok));
        m.rdb_saves.set(status.saves);
        m.rdb_last_duration_ms.set(status.last_bgsave_seconds.max(0) as u64 * 1000);
        if self.crons % SLOWLY == 1 {
            let watching = self.clients.iter().filter(|c| c.watching > 0).count();
            m.watching_clients.set(watching as u64);
            m.memory_clients_bytes.set((self.clients_memory() + pooled_bytes) as u64);
            m.memory_rss_bytes.set(process::rss_bytes());
            let cpu = process::cpu_time();
            m.cpu_sys_us.set(cpu.system_us);
            m.cpu_user_us.set(cpu.user_us);
            let dataset_bytes = self.memory_report(0).dataset();
            self.metrics.memory_dataset_bytes.set(dataset_bytes);
        }
    }

    /// Memory of all clients' buffers and state, in bytes.
    pub fn clients_memory(&self) -> usize {
        self.clients.iter().map(|c| c.memory()).sum()
    }

    /// The data set has just been loaded: what is in memory is what is on disk.
    pub fn loaded_from_disk(&mut self) {
        let at = self.moment();
        self.saver.mark_saved(at);
    }

    /// How often the cron has run.
    pub fn cron_runs(&self) -> u64 {
        self.crons
    }
}

/// Where values change their form.
fn type_limits(config: &Config) -> Limits {
    let storage = &config.storage;
    Limits {
        hash_entries: storage.hash_max_listpack_entries,
        hash_value: storage.hash_max_listpack_value,
        list_size: storage.list_max_listpack_size,
        list_compress_depth: storage.list_compress_depth,
        intset_entries: storage.set_max_intset_entries,
        set_entries: storage.set_max_listpack_entries,
        set_value: storage.set_max_listpack_value,
        zset_entries: storage.zset_max_listpack_entries,
        zset_value: storage.zset_max_listpack_value,
        hll_sparse_bytes: storage.hll_sparse_max_bytes,
        stream_bytes: storage.stream_node_max_bytes,
        stream_entries: storage.stream_node_max_entries,
    }
}

fn access_policy(config: &Config) -> AccessPolicy {
    match config.storage.maxmemory_policy {
        MaxmemoryPolicy::AllkeysLfu | MaxmemoryPolicy::VolatileLfu => AccessPolicy::Lfu {
            log_factor: config.storage.lfu_log_factor,
            decay_minutes: config.storage.lfu_decay_time,
        },
        _ => AccessPolicy::Lru,
    }
}
