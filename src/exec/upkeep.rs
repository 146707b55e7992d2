//! What the instance does between commands: expire, count, notice.

use crate::config::Config;
use crate::config::choice::MaxmemoryPolicy;
use crate::db::{AccessPolicy, Options};
use crate::exec::instance::Instance;
use crate::exec::rates::Totals;
use crate::types::Limits;

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
        loop {
            let is_over = self.keyspace.expire_due(self.now_ms, EXPIRE_BATCH) < EXPIRE_BATCH;
            self.end_units();
            if is_over {
                break;
            }
            if self.outbox.is_full() {
                self.deliver(None);
            }
            if !may_go_on() {
                self.stats.expire_stopped_early += 1;
                break;
            }
        }
    }

    /// When the next key expires by itself; none while keys do not.
    pub fn next_expiry_ms(&self) -> Option<i64> {
        let options = self.keyspace.options();
        if options.active_expire && !options.keep_expired { self.keyspace.next_deadline() } else { None }
    }

    /// When there is something to do for the instance though nothing happens, on the monotonic clock; `u64::MAX` for
    /// never. The arguments are the time now on both clocks; the wall clock is asked only for keys.
    pub fn next_deadline_ns(&self, now_ns: u64, wall_ms: impl FnOnce() -> i64) -> u64 {
        let keys = self.next_expiry_ms().map_or(u64::MAX, |deadline_ms| {
            // The wall clock may be set: it is looked at again after a second.
            let left_ms = (deadline_ms - wall_ms()).clamp(0, 1000) as u64 + 1;
            now_ns + left_ms * 1_000_000
        });
        let waits = self.blocked.next_deadline_ns().unwrap_or(u64::MAX);
        keys.min(waits).min(self.defragmenter.next_ns()).min(self.replication.quorum.next_deadline_ns())
    }

    /// True while keys are due: the next turn does not wait.
    pub fn has_due_keys(&self) -> bool {
        self.next_expiry_ms().is_some_and(|at| at < self.now_ms)
    }

    /// Ten times a second, or as `hz` says.
    pub fn cron(&mut self) {
        self.crons += 1;
        let allocator = self.refresh_memory();
        self.plan_defrag(&allocator);
        self.reap_retired();
        let totals = Totals {
            commands: self.stats.commands,
            input: self.stats.input_bytes,
            output: self.stats.output_bytes,
            turns: self.stats.turns.count,
            turns_us: self.stats.turns.total_ns / 1000,
        };
        self.stats.rates.sample(self.now_ms, totals);
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
