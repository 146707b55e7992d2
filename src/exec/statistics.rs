//! Statistics that are numbers of the whole instance, and their new beginning.

use crate::exec::instance::{Instance, Turns};
use crate::exec::rates::Rates;

impl Instance {
    /// Time in commands, ns. What EXEC ran counts once.
    pub fn commands_ns(&self) -> u64 {
        self.metrics.commands_ns().saturating_sub(self.turns.nested_ns)
    }

    /// CONFIG RESETSTAT: whatever counts begins at zero again. What is a state (clients, memory, changes since the
    /// last save) stays, and so do the peak of memory and the outcome of saves.
    pub fn reset_statistics(&mut self) {
        self.metrics.reset();
        self.errors.reset();
        self.commands_total = 0;
        self.input_bytes = 0;
        self.output_bytes = 0;
        self.rates = Rates::default();
        self.turns = Turns::default();
        self.snapshot_ns = 0;
        self.snapshots = 0;
        self.expire_stopped_early = 0;
        self.eviction.reset();
        self.defragmenter.reset_time(self.stamp_ns);
        let stats = self.keyspace.stats_mut();
        stats.hits = 0;
        stats.misses = 0;
        stats.expired_keys = 0;
        stats.expired_fields = 0;
        stats.evicted_keys = 0;
        self.saver.reset_count();
        self.keyspace.lazyfree().reset_freed_objects();
    }
}
