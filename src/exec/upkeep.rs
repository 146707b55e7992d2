//! What the instance does between commands: expire, count, notice.

use crate::config::Config;
use crate::config::choice::MaxmemoryPolicy;
use crate::db::{AccessPolicy, Options};
use crate::exec::instance::Instance;

/// Keys expired between two looks at the clock.
const EXPIRE_BATCH: usize = 64;

impl Instance {
    /// What of the configuration decides how the keyspace works.
    pub fn keyspace_options(config: &Config) -> Options {
        Options {
            access: access_policy(config),
            lazy_expire: config.ttl.lazyfree_lazy_expire,
            lazy_server_del: config.storage.lazyfree_lazy_server_del,
            lazy_user_del: config.storage.lazyfree_lazy_user_del,
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

    /// True while keys are due: the next turn does not wait.
    pub fn has_due_keys(&self) -> bool {
        self.keyspace.options().active_expire && self.keyspace.next_deadline().is_some_and(|at| at < self.now_ms)
    }

    /// Ten times a second, or as `hz` says.
    pub fn cron(&mut self) {
        self.crons += 1;
        self.memory.refresh();
        self.check_memory();
        self.rates.sample(self.now_ms, self.commands_total, self.input_bytes, self.output_bytes);
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

fn access_policy(config: &Config) -> AccessPolicy {
    match config.storage.maxmemory_policy {
        MaxmemoryPolicy::AllkeysLfu | MaxmemoryPolicy::VolatileLfu => AccessPolicy::Lfu {
            log_factor: config.storage.lfu_log_factor,
            decay_minutes: config.storage.lfu_decay_time,
        },
        _ => AccessPolicy::Lru,
    }
}
