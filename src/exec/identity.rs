//! Who this instance is: the name of the run, and since when it runs.

use crate::exec::ctx::Host;
use crate::exec::instance::Instance;
use crate::replication::HistoryId;
use crate::util::rng::Rng;

/// Who an instance is.
pub struct Identity {
    /// 40 hex digits that name this run.
    pub run_id: String,
    /// Wall clock at the start, ms.
    pub started_ms: i64,
}

/// A random name of 40 hex digits.
fn hex_id(rng: &mut Rng) -> String {
    (0..40).map(|_| char::from(b"0123456789abcdef"[rng.below(16) as usize])).collect()
}

/// A random name of a history.
pub(super) fn random_history(rng: &mut Rng) -> HistoryId {
    HistoryId::random(|| rng.below(16) as u8)
}

impl Identity {
    /// New names.
    pub(super) fn new(rng: &mut Rng, now_ms: i64) -> Identity {
        Identity { run_id: hex_id(rng), started_ms: now_ms }
    }
}

impl Instance {
    /// Its part in replication, as INFO has it.
    pub fn role_name(&self) -> &'static str {
        if self.is_replica() { "slave" } else { "master" }
    }

    /// What the metrics say this server is.
    pub fn tell_identity(&self, host: &dyn Host) {
        self.metrics.set_instance_info(vec![
            ("redis_version", self.config.server.redis_version.to_lossy()),
            ("kvstash_version", env!("CARGO_PKG_VERSION").to_owned()),
            ("redis_mode", "standalone".to_owned()),
            ("role", self.role_name().to_owned()),
            ("os", host.process().os()),
            ("run_id", self.identity.run_id.clone()),
        ]);
    }

    /// DEBUG CHANGE-REPL-ID: the replication history begins anew.
    pub fn change_replication_id(&mut self) {
        let id = self.new_history_id();
        self.replication.history.replace(id);
        self.log.notice("Changing replication IDs after receiving DEBUG change-repl-id", &[]);
    }

    /// A name for a history that begins.
    pub(super) fn new_history_id(&mut self) -> HistoryId {
        random_history(&mut self.rng)
    }

    /// The time as whole seconds since the start.
    pub fn uptime_s(&self) -> i64 {
        (self.now_ms - self.identity.started_ms).max(0) / 1000
    }
}
