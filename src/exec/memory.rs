//! Where memory goes: for INFO memory, MEMORY STATS and MEMORY DOCTOR.

use crate::client::{Client, Session};
use crate::exec::ctx::Host;
use crate::exec::instance::Instance;
use crate::exec::replication::StreamMemory;
use crate::sys::allocator::{MemoryStats, UsedMemory};

/// Memory in use, and what is remembered of it.
pub struct Memory {
    used: UsedMemory,
    /// Allocated when the start was done, bytes.
    startup_bytes: u64,
    peak_noted: u64,
    /// When memory had its peak, ms since 1970.
    peak_ms: i64,
    /// What the allocator last said.
    allocator: MemoryStats,
    /// What a look around last found, for those who look often.
    survey: Option<Survey>,
}

/// What takes a walk over all clients, or a system call.
#[derive(Clone, Copy)]
struct Survey {
    at_ms: i64,
    clients: u64,
    rss: u64,
}

/// A survey will do for a millisecond for each so many clients, but no longer than a second: so the walk costs the same
/// however many there are.
const SURVEY_CLIENTS_PER_MS: usize = 10;

/// The longest that a survey will do, in ms.
const SURVEY_MS_MAX: usize = 1000;

impl Memory {
    /// Before the start is done.
    pub(super) fn new(now_ms: i64) -> Memory {
        let mut used = UsedMemory::new();
        let allocator = used.refresh();
        Memory { used, startup_bytes: 0, peak_noted: 0, peak_ms: now_ms, allocator, survey: None }
    }

    /// Bytes allocated now, as well as this thread can know.
    #[inline]
    pub fn now(&self) -> u64 {
        self.used.now()
    }

    /// The most that was allocated at any refresh.
    pub fn peak(&self) -> u64 {
        self.used.peak()
    }
}

/// What one database takes besides its entries, in bytes.
#[derive(Clone, Copy, Debug)]
pub struct DbMemory {
    /// Its number.
    pub index: usize,
    /// The table.
    pub table: usize,
    /// The index of deadlines.
    pub expiries: usize,
}

/// The memory of the process at one moment, in bytes.
#[derive(Clone, Debug)]
pub struct MemoryReport {
    /// The allocator's view.
    pub allocator: MemoryStats,
    /// Allocated, and shared by long strings: [`Instance::used_memory`].
    pub used: u64,
    /// Of that, what is shared.
    pub shared: u64,
    /// The most that was allocated.
    pub peak: u64,
    /// When that was, seconds since 1970.
    pub peak_s: i64,
    /// Allocated when the start was done.
    pub startup: u64,
    /// Resident.
    pub rss: u64,
    /// State and buffers of clients, those of replicas excepted.
    pub clients: u64,
    /// The write stream.
    pub stream: StreamMemory,
    /// What waits to be written to the append-only file.
    pub aof: u64,
    /// The scripts that are known.
    pub scripts: u64,
    /// The libraries of functions.
    pub functions: u64,
    /// The states of Lua.
    pub engines: u64,
    /// The databases that hold keys.
    pub dbs: Vec<DbMemory>,
    /// All that is not data.
    pub overhead: u64,
    /// Keys of all databases.
    pub keys: u64,
}

/// How much larger one figure is than another.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Share {
    /// The quotient.
    pub ratio: f64,
    /// The difference.
    pub bytes: i64,
}

fn share(whole: u64, part: u64) -> Share {
    let ratio = if part == 0 { 0.0 } else { whole as f64 / part as f64 };
    Share { ratio, bytes: whole as i64 - part as i64 }
}

/// `part` in hundredths of `whole`.
pub fn percent(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 * 100.0 / whole as f64 }
}

impl MemoryReport {
    /// What is data.
    pub fn dataset(&self) -> u64 {
        self.used.saturating_sub(self.overhead)
    }

    /// What is data, of all that was allocated since the start.
    pub fn dataset_percent(&self) -> f64 {
        percent(self.dataset(), self.used.saturating_sub(self.startup))
    }

    /// Allocated since the start, per key.
    pub fn bytes_per_key(&self) -> u64 {
        self.used.saturating_sub(self.startup).checked_div(self.keys).unwrap_or(0)
    }

    /// Pages that hold something, over what they hold.
    pub fn allocator_fragmentation(&self) -> Share {
        share(self.allocator.active, self.allocator.allocated)
    }

    /// Pages that the system has assigned, over those that hold something.
    pub fn allocator_rss(&self) -> Share {
        share(self.allocator.resident, self.allocator.active)
    }

    /// Resident memory over the allocator's part of it.
    pub fn rss_overhead(&self) -> Share {
        share(self.rss, self.allocator.resident)
    }

    /// Resident memory over what is allocated.
    pub fn fragmentation(&self) -> Share {
        share(self.rss, self.used - self.shared)
    }
}

impl Instance {
    /// Asks the allocator again, and notes a new peak.
    pub fn refresh_memory(&mut self) -> MemoryStats {
        self.keyspace.memory_is_counted();
        let stats = self.memory.used.refresh();
        // Afterwards, so that it is rather more than the allocator knows of.
        self.readers.see_memory();
        self.memory.allocator = stats;
        self.memory.used.note(self.used_memory());
        if self.memory.peak() > self.memory.peak_noted {
            self.memory.peak_noted = self.memory.peak();
            self.memory.peak_ms = self.now_ms;
        }
        stats
    }

    /// The start is done: what is allocated now is what an empty server takes.
    pub fn note_startup_memory(&mut self) {
        self.memory.startup_bytes = self.refresh_memory().used();
    }

    /// Memory now. The caller's session is not among the others, because its request is being executed.
    pub fn memory_report(&mut self, host: &dyn Host, caller: Option<&Session>) -> MemoryReport {
        self.refresh_memory();
        let survey = self.survey_memory(host, caller);
        self.report(survey)
    }

    /// Memory as the last refresh found it; with many clients, what a walk over them finds is up to a second old.
    pub fn recent_memory_report(&mut self, host: &dyn Host) -> MemoryReport {
        let lasts_ms = (self.clients.len() / SURVEY_CLIENTS_PER_MS).min(SURVEY_MS_MAX) as i64;
        let is_recent = |survey: &Survey| (0..lasts_ms).contains(&(self.now_ms - survey.at_ms));
        let survey = self.memory.survey.filter(is_recent).unwrap_or_else(|| self.survey_memory(host, None));
        self.memory.survey = Some(survey);
        self.report(survey)
    }

    fn survey_memory(&self, host: &dyn Host, caller: Option<&Session>) -> Survey {
        let caller = caller.and_then(|session| self.clients.with(session));
        let clients = self.clients.iter().chain(caller).filter(|client| !client.session.is_replica());
        let clients = clients.map(Client::memory).sum::<usize>() as u64;
        Survey { at_ms: self.now_ms, clients, rss: host.process().rss_bytes() }
    }

    fn report(&self, survey: Survey) -> MemoryReport {
        let Survey { clients, rss, .. } = survey;
        let allocator = self.memory.allocator;
        let keyspace = &self.keyspace;
        let dbs: Vec<DbMemory> = (0..keyspace.databases())
            .filter(|&db| keyspace.size(db) > 0)
            .map(|db| DbMemory {
                index: db,
                table: keyspace.table_stats(db).bytes,
                expiries: keyspace.expiry_bytes(db),
            })
            .collect();
        let indexes: usize = dbs.iter().map(|db| db.table + db.expiries).sum();
        let (stream, aof) = (self.stream_memory(), self.aof.waiting_memory());
        MemoryReport {
            allocator,
            used: self.used_memory(),
            shared: self.shared_memory(),
            peak: self.memory.peak(),
            peak_s: self.memory.peak_ms / 1000,
            startup: self.memory.startup_bytes,
            rss,
            clients,
            stream,
            aof,
            overhead: self.memory.startup_bytes
                + clients
                + stream.backlog
                + stream.beyond
                + aof
                + self.scripts.memory() as u64
                + indexes as u64,
            scripts: self.scripts.cache.memory() as u64,
            functions: self.scripts.libraries.memory() as u64,
            engines: {
                let (eval, functions) = self.scripts.engine_memory();
                (eval + functions) as u64
            },
            keys: (0..keyspace.databases()).map(|db| keyspace.size(db) as u64).sum(),
            dbs,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_divided_by_zero() {
        assert_eq!(percent(5, 0), 0.0);
        assert_eq!(percent(1, 4), 25.0);
        assert_eq!(share(3, 0), Share { ratio: 0.0, bytes: 3 });
        assert_eq!(share(1, 4), Share { ratio: 0.25, bytes: -3 });
    }
}
