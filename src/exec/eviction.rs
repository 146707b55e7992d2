//! Memory at its limit: what is done before a command runs, and between commands.
//!
//! # The three answers
//!
//! [`Instance::make_room`] is asked before every command that is not refused for another reason:
//!
//! * [`Room::Enough`]: memory is within `maxmemory`, perhaps because keys were evicted just now.
//! * [`Room::Running`]: there is more to evict than the time allows (`maxmemory-eviction-tenacity`). The command runs
//!   all the same, whatever it needs, and eviction goes on before the next sleep and with the next command.
//! * [`Room::None`]: nothing may be evicted. Commands that need memory are refused with `-OOM`.
//!
//! # What it costs
//!
//! Without a limit the request path sees an empty [`Alert`] and nothing of this. With one, it compares two figures
//! ([`Instance::is_within_memory`]); what is used is two loads away ([`UsedMemory`](crate::sys::allocator::UsedMemory)).
//!
//! # What counts
//!
//! The data, as the allocator counts it, with all that long strings share counted for each of them (`db/charge.rs`). So
//! it is what the allocator has given out, and what is shared ([`Instance::used_memory`]), less
//!
//! * [`uncounted_bytes`](crate::db::Keyspace::uncounted_bytes): see `db/evict.rs` for why eviction under a snapshot
//!   would otherwise not end;
//! * what clients have sent and are owed, what is yet to be told them included: see
//!   `docs/adr/0005-what-clients-are-owed.md` for why that must not evict data. So it is with what long reads take for
//!   replies that are not finished. What the request at hand has sent of a long value counts, for it is about to be
//!   stored;
//! * what waits to be written to the append-only file, and what of the write stream is kept for replicas that are
//!   behind, as in Redis. (A replica's own commands do not ask for room: while one runs, it is not known how far it is.)

use crate::config::Config;
use crate::config::choice::MaxmemoryPolicy;
use crate::db::evict::{Choice, Preference, Scope};
use crate::exec::ctx::Host;
use crate::exec::instance::{Alert, Instance};

/// Keys evicted between two looks at the clock.
const BATCH: u64 = 16;

/// Whether there is memory for a command.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Room {
    /// There is.
    Enough,
    /// There will be.
    Running,
    /// There is none, and no key may go.
    None,
}

/// What is known of the request that room is made for.
#[derive(Clone, Copy, Default, Debug)]
pub struct Demand {
    /// Bytes that it may be about to store, and that are not data yet.
    pub stores_bytes: u64,
    /// What its client's buffers have grown by since they were counted, or shrunk.
    pub uncounted_buffers: i64,
}

/// What eviction remembers from one time to the next.
#[derive(Clone, Copy, Default, Debug)]
pub struct Eviction {
    /// There is more to do before the next sleep.
    pub pending: bool,
    /// Since when memory has been over the limit, monotonic ns; 0 when it is not.
    exceeded_since_ns: u64,
    /// How long it was over the limit before that, ns.
    exceeded_total_ns: u64,
}

impl Eviction {
    /// How long memory has been over the limit now, ms.
    pub fn exceeded_now_ms(&self, now_ns: u64) -> u64 {
        self.exceeded_now_ns(now_ns) / 1_000_000
    }

    /// How long it has been in all, ms.
    pub fn exceeded_total_ms(&self, now_ns: u64) -> u64 {
        (self.exceeded_total_ns + self.exceeded_now_ns(now_ns)) / 1_000_000
    }

    fn exceeded_now_ns(&self, now_ns: u64) -> u64 {
        if self.exceeded_since_ns == 0 { 0 } else { now_ns.saturating_sub(self.exceeded_since_ns) }
    }

    fn note(&mut self, room: Room, now_ns: u64) {
        match (room, self.exceeded_since_ns) {
            (Room::Enough, _) => {
                self.exceeded_total_ns += self.exceeded_now_ns(now_ns);
                self.exceeded_since_ns = 0;
            }
            (Room::Running | Room::None, 0) => self.exceeded_since_ns = now_ns.max(1),
            (Room::Running | Room::None, _) => {}
        }
    }

    /// There is no limit any more.
    pub(super) fn end(&mut self, now_ns: u64) {
        self.pending = false;
        self.note(Room::Enough, now_ns);
    }

    /// CONFIG RESETSTAT.
    pub fn reset(&mut self) {
        *self = Eviction { pending: self.pending, ..Eviction::default() };
    }
}

/// Buffers of clients count up to here, as everything else does that is in use: `used_memory` stays below `maxmemory`, as
/// people expect. Only what goes beyond it must not drive keys out.
const BUFFERS_COUNTED_BYTES: u64 = 64 << 10;

impl Instance {
    /// There is a limit on memory, nothing else is remarkable, and memory is within the limit.
    #[inline]
    pub(super) fn is_within_memory(&self) -> bool {
        self.alert == Alert::LIMITED_MEMORY && self.used_memory() <= self.config.storage.maxmemory
    }

    /// Bytes in use, with what long strings share counted for each of them. What only snapshots and replies have of such
    /// strings is in use too.
    #[inline]
    pub fn used_memory(&self) -> u64 {
        self.memory.now() + self.shared_memory()
    }

    /// Bytes that would be in use as well if long strings shared nothing.
    #[inline]
    pub fn shared_memory(&self) -> u64 {
        self.keyspace.shared_bytes().max(0) as u64
    }

    /// Bytes in use that `maxmemory` is not about.
    pub fn uncounted_memory(&self) -> u64 {
        self.uncounted_beside(0)
    }

    /// The same, if clients' buffers have grown by so many bytes since they were counted.
    fn uncounted_beside(&self, grown: i64) -> u64 {
        let told = self.outbox.memory() + self.tracking.prefixes().collected_bytes();
        let buffers = (self.clients.buffers() + self.pools.bytes() + told) as u64;
        let buffers = buffers.saturating_add_signed(grown);
        self.keyspace.uncounted_bytes()
            + buffers.saturating_sub(BUFFERS_COUNTED_BYTES)
            + self.readers.seen_bytes()
            + self.stream_memory().beyond
            + self.aof.waiting_memory()
    }

    /// Bytes in use as far as `maxmemory` is concerned.
    pub fn counted_memory(&self) -> u64 {
        self.used_memory().saturating_sub(self.uncounted_memory())
    }

    fn is_over_memory(&self, demand: Demand) -> bool {
        let (used, max) = (self.used_memory() + demand.stores_bytes, self.config.storage.maxmemory);
        used > max && used.saturating_sub(self.uncounted_beside(demand.uncounted_buffers)) > max
    }

    /// Evicts until memory is within the limit, as far as policy and time allow.
    pub fn make_room(&mut self, host: &dyn Host, demand: Demand) -> Room {
        let room = if !self.may_evict() || !self.is_over_memory(demand) {
            Room::Enough
        } else {
            match choice(&self.config) {
                Some(choice) => self.evict(choice, host, demand),
                None => Room::None,
            }
        };
        self.alert.put(Alert::OVER_MEMORY, room != Room::Enough);
        self.eviction.note(room, self.stamp_ns);
        room
    }

    /// Goes on evicting when there was not enough time for it. Before the loop sleeps.
    pub fn continue_eviction(&mut self, host: &dyn Host) {
        if self.eviction.pending {
            self.eviction.pending = false;
            self.make_room(host, Demand::default());
        }
    }

    /// Keys go now; at other times memory may be what it is.
    fn may_evict(&self) -> bool {
        // While the data set is loaded, what is there is not all there is. And CLIENT PAUSE means that data does not
        // change, not by itself either.
        self.config.storage.maxmemory > 0 && !self.alert.has(Alert::LOADING) && self.pause.is_over(self.now_ms)
    }

    fn evict(&mut self, choice: Choice, host: &dyn Host, demand: Demand) -> Room {
        // With the limit just set nobody has counted yet, and what clients are told of keys that go must not count.
        self.clients.count_all(true);
        let began_ns = host.now_ns();
        let until_ns = began_ns.saturating_add(time_limit_ns(self.config.storage.maxmemory_eviction_tenacity));
        let is_monitored = self.config.observability.latency_monitor_threshold > 0;
        let mut evicted = 0;
        let room = loop {
            // Whether there is room is looked at after each key, the time after each batch; and no less than a batch
            // goes, or a command that adds more than it may evict would let memory grow without end.
            if !self.is_over_memory(demand) {
                break Room::Enough;
            }
            if evicted == BATCH && host.now_ns() > until_ns {
                self.eviction.pending = true;
                break Room::Running;
            }
            evicted %= BATCH;
            let key_began_ns = if is_monitored { host.now_ns() } else { 0 };
            if !self.keyspace.evict_one(choice, self.now_ms) {
                break Room::None;
            }
            if is_monitored {
                self.note_latency("eviction-del", host.now_ns().saturating_sub(key_began_ns));
            }
            // What is to be told of it takes memory: told later, it would make more keys go.
            self.end_units();
            if self.outbox.is_full() {
                self.deliver(None);
            }
            evicted += 1;
        };
        self.note_latency("eviction-cycle", host.now_ns().saturating_sub(began_ns));
        room
    }
}

/// Which key the configured policy wants to go; `None` when none may.
fn choice(config: &Config) -> Option<Choice> {
    let (scope, preference) = match config.storage.maxmemory_policy {
        MaxmemoryPolicy::Noeviction => return None,
        MaxmemoryPolicy::AllkeysLru | MaxmemoryPolicy::AllkeysLfu => (Scope::All, Preference::LeastUsed),
        MaxmemoryPolicy::AllkeysRandom => (Scope::All, Preference::Random),
        MaxmemoryPolicy::VolatileLru | MaxmemoryPolicy::VolatileLfu => (Scope::Volatile, Preference::LeastUsed),
        MaxmemoryPolicy::VolatileRandom => (Scope::Volatile, Preference::Random),
        MaxmemoryPolicy::VolatileTtl => (Scope::Volatile, Preference::EarliestDeadline),
    };
    Some(Choice { scope, preference, samples: config.storage.maxmemory_samples as usize })
}

/// How long one eviction may last, as Redis reads `maxmemory-eviction-tenacity`: up to 500 µs at 10, then 15 % more
/// for each step, which is two minutes at 99; 100 sets no limit.
fn time_limit_ns(tenacity: u32) -> u64 {
    match tenacity {
        0..=10 => u64::from(tenacity) * 50_000,
        11..100 => (500_000.0 * 1.15f64.powi(tenacity as i32 - 10)) as u64,
        _ => u64::MAX,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tenacity_is_time() {
        assert_eq!([0, 1, 10, 11, 20].map(|tenacity| time_limit_ns(tenacity) / 1000), [0, 50, 500, 575, 2_022]);
        assert_eq!(time_limit_ns(99) / 1_000_000_000, 126);
        assert_eq!(time_limit_ns(100), u64::MAX);
    }

    #[test]
    fn time_over_the_limit_adds_up() {
        let mut eviction = Eviction::default();
        let ms = 1_000_000;
        let both = |e: &Eviction, now_ms: u64| (e.exceeded_now_ms(now_ms * ms), e.exceeded_total_ms(now_ms * ms));
        eviction.note(Room::None, 10 * ms);
        eviction.note(Room::Running, 15 * ms);
        assert_eq!(both(&eviction, 20), (10, 10));
        eviction.note(Room::Enough, 30 * ms);
        assert_eq!(both(&eviction, 40), (0, 20));
        eviction.note(Room::None, 50 * ms);
        assert_eq!(both(&eviction, 51), (1, 21));
        eviction.reset();
        assert_eq!(both(&eviction, 60), (0, 0));
    }
}
