//! Active defragmentation: when memory is moved, and how much of a processor that may take.
//!
//! At each cron the allocator says how much of its pages is holes. Beyond `active-defrag-ignore-bytes` and
//! `active-defrag-threshold-lower` percent a pass over all data begins ([`crate::db::defrag`]). Its share of a processor
//! rises with the fragmentation, from `active-defrag-cycle-min` to `active-defrag-cycle-max` percent, and does not fall
//! before the pass is over. Steps are short, and so far apart that the share comes out.
//!
//! Memory that grows fills its holes itself, and memory that shrinks will have more of them: so a pass does not begin
//! while much less or much more is in use than a second before, unless that goes on. When one has moved something, the
//! lazy-free thread gives the emptied pages back.
//!
//! A pass that finds next to nothing to move has shown that the holes are where it cannot help: in buffers of clients,
//! say. The next one then waits, twice as long each time.

use crate::config::Config;
use crate::db::defrag::DefragPass;
use crate::exec::instance::{Alert, Instance};
use crate::sys::allocator::MemoryStats;
use crate::sys::defrag::{self, Mover};

/// A step takes no longer, ns, but for what is done between two looks at the clock.
const STEP_NS: u64 = 200_000;

/// Nodes looked at between two looks at the clock; a moved one counts for four.
const BATCH: usize = 128;

/// How long a pass waits that may not go on just now, ns: while a snapshot lives.
const POSTPONED_NS: u64 = 100_000_000;

/// The pause after a pass that moved little, ns: the first one, and the longest.
const PAUSE_NS: std::ops::RangeInclusive<u64> = 1_000_000_000..=64_000_000_000;

/// A pass moved little if it moved less than this part of what it looked at.
const LITTLE: u64 = 50;

/// What is in use is compared with what was so long before, ns.
const COMPARED_NS: u64 = 1_000_000_000;

/// It is much more, or less, if this part of it came or went.
const MUCH: u64 = 20;

/// A pass does not wait longer for memory to stand still, ns.
const RESTLESS_NS: u64 = 10_000_000_000;

/// Whether memory stands still.
#[derive(Clone, Copy, Default, Debug)]
struct Calm {
    /// In use when it was last compared, and then, monotonic ns.
    allocated: u64,
    at_ns: u64,
    /// Since when it has not stood still, monotonic ns; none if it does.
    restless_since_ns: Option<u64>,
}

impl Calm {
    fn note(&mut self, now_ns: u64, allocated: u64) {
        if now_ns.saturating_sub(self.at_ns) >= COMPARED_NS {
            let much = allocated.abs_diff(self.allocated) > self.allocated / MUCH;
            self.restless_since_ns = much.then(|| self.restless_since_ns.unwrap_or(now_ns));
            (self.allocated, self.at_ns) = (allocated, now_ns);
        }
    }

    fn is_enough(&self, now_ns: u64) -> bool {
        self.restless_since_ns.is_none_or(|since_ns| now_ns.saturating_sub(since_ns) >= RESTLESS_NS)
    }
}

/// The state of active defragmentation.
#[derive(Debug)]
pub struct Defragmenter {
    pass: DefragPass,
    /// The share of a processor, in percent, that the pass on its way may take; 0 while there is none.
    percent: u32,
    /// When the pass on its way began, monotonic ns.
    began_ns: u64,
    /// Time of all passes that are over, ns.
    total_ns: u64,
    /// When the next step is due, monotonic ns.
    next_ns: u64,
    /// Nodes that this pass has looked at, and those of them that it moved.
    looked: u64,
    moved: u64,
    /// No pass begins before, monotonic ns.
    rests_until_ns: u64,
    /// The last pause, ns; 0 if the last pass was worth it.
    pause_ns: u64,
    calm: Calm,
}

impl Default for Defragmenter {
    fn default() -> Self {
        Defragmenter {
            pass: DefragPass::default(),
            percent: 0,
            began_ns: 0,
            total_ns: 0,
            next_ns: u64::MAX,
            looked: 0,
            moved: 0,
            rests_until_ns: 0,
            pause_ns: 0,
            calm: Calm::default(),
        }
    }
}

impl Defragmenter {
    /// `active_defrag_running`: the share of a processor, in percent; 0 while no pass is on its way.
    pub fn percent(&self) -> u32 {
        self.percent
    }

    /// When the next step is due, monotonic ns; `u64::MAX` while no pass is on its way.
    #[inline]
    pub fn next_ns(&self) -> u64 {
        self.next_ns
    }

    /// `current_active_defrag_time`
    pub fn current_ms(&self, now_ns: u64) -> u64 {
        if self.percent == 0 { 0 } else { now_ns.saturating_sub(self.began_ns) / 1_000_000 }
    }

    /// `total_active_defrag_time`
    pub fn total_ms(&self, now_ns: u64) -> u64 {
        self.total_ns / 1_000_000 + self.current_ms(now_ns)
    }

    /// CONFIG RESETSTAT.
    pub fn reset_time(&mut self, now_ns: u64) {
        self.total_ns = 0;
        self.began_ns = now_ns;
    }

    fn begin(&mut self, now_ns: u64) {
        defrag::flush_cache();
        self.pass = DefragPass::default();
        (self.looked, self.moved) = (0, 0);
        (self.began_ns, self.next_ns) = (now_ns, now_ns);
    }

    fn stop(&mut self, now_ns: u64) {
        if self.percent > 0 {
            self.total_ns += now_ns.saturating_sub(self.began_ns);
            (self.percent, self.next_ns) = (0, u64::MAX);
            self.pass = DefragPass::default();
        }
    }

    /// The pass is over; whether it was worth it.
    fn end(&mut self, now_ns: u64) -> bool {
        self.stop(now_ns);
        let little = self.moved < self.looked / LITTLE;
        self.pause_ns = if little { (self.pause_ns * 2).clamp(*PAUSE_NS.start(), *PAUSE_NS.end()) } else { 0 };
        self.rests_until_ns = now_ns.saturating_add(self.pause_ns);
        !little
    }
}

/// Holes in the allocator's pages.
#[derive(Clone, Copy, PartialEq, Debug)]
struct Holes {
    bytes: u64,
    percent: f64,
}

impl Holes {
    fn of(stats: &MemoryStats) -> Holes {
        let bytes = stats.active.saturating_sub(stats.allocated);
        Holes { bytes, percent: crate::exec::memory::percent(bytes, stats.allocated) }
    }

    fn are_worth_it(self, config: &Config) -> bool {
        let storage = &config.storage;
        self.bytes >= storage.active_defrag_ignore_bytes
            && self.percent >= f64::from(storage.active_defrag_threshold_lower)
    }

    /// The share of a processor that they deserve, in percent.
    fn effort(self, config: &Config) -> u32 {
        let storage = &config.storage;
        let (lower, upper) = (storage.active_defrag_threshold_lower, storage.active_defrag_threshold_upper);
        let (min, max) = (storage.active_defrag_cycle_min, storage.active_defrag_cycle_max.max(1));
        let min = min.min(max);
        if lower >= upper {
            return max;
        }
        let part = (self.percent - f64::from(lower)) / f64::from(upper - lower);
        min + (f64::from(max - min) * part.clamp(0.0, 1.0)) as u32
    }
}

impl Instance {
    /// For the cron: whether memory is to be moved, and with how much effort.
    pub(super) fn plan_defrag(&mut self, stats: &MemoryStats) {
        let now_ns = self.stamp_ns;
        let state = &mut self.defragmenter;
        if !self.config.storage.activedefrag || self.alert.has(Alert::LOADING) {
            return state.stop(now_ns);
        }
        state.calm.note(now_ns, stats.allocated);
        let holes = Holes::of(stats);
        if state.percent == 0 {
            let must_wait = now_ns < state.rests_until_ns || !state.calm.is_enough(now_ns);
            if must_wait || !holes.are_worth_it(&self.config) {
                return;
            }
            state.begin(now_ns);
        }
        let most = self.config.storage.active_defrag_cycle_max.max(1);
        state.percent = holes.effort(&self.config).max(state.percent).min(most);
    }

    /// A step of the pass, which is due. `clock` reads the monotonic clock, ns.
    pub fn defrag_step(&mut self, clock: impl Fn() -> u64) {
        let began_ns = clock();
        if self.debug.cron_paused || self.keyspace.has_snapshot() {
            self.defragmenter.next_ns = began_ns + POSTPONED_NS;
            return;
        }
        let elements_max = usize::try_from(self.config.storage.active_defrag_max_scan_fields).unwrap_or(usize::MAX);
        let state = &mut self.defragmenter;
        let mut mover = Mover::new(0);
        let (mut now_ns, mut done) = (began_ns, false);
        while !done && now_ns < began_ns + STEP_NS {
            mover.allow(BATCH);
            done = self.keyspace.defrag(&mut state.pass, &mut mover, elements_max);
            now_ns = clock();
        }
        let tally = mover.tally();
        state.looked += tally.moved + tally.left;
        state.moved += tally.moved;
        let metrics = &self.metrics;
        metrics.defrag_hits.add(tally.moved);
        metrics.defrag_misses.add(tally.left);
        metrics.defrag_key_hits.add(std::mem::take(&mut state.pass.keys_moved));
        metrics.defrag_key_misses.add(std::mem::take(&mut state.pass.keys_left));
        if done {
            if state.end(now_ns) {
                self.keyspace.give_pages_back();
            }
        } else {
            let rest = u64::from(100 - state.percent.min(99)) * (now_ns - began_ns);
            state.next_ns = now_ns + rest / u64::from(state.percent.max(1));
        }
        self.note_latency("active-defrag-cycle", now_ns - began_ns);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stats(allocated: u64, active: u64) -> MemoryStats {
        MemoryStats { allocated, active, ..MemoryStats::default() }
    }

    #[test]
    fn holes_are_weighed_as_configured() {
        let mut config = Config::default();
        config.storage.active_defrag_ignore_bytes = 1000;
        config.storage.active_defrag_threshold_lower = 10;
        config.storage.active_defrag_threshold_upper = 100;
        config.storage.active_defrag_cycle_min = 5;
        config.storage.active_defrag_cycle_max = 25;
        let worth = |config: &Config, active| Holes::of(&stats(5000, active)).are_worth_it(config);
        assert!(!worth(&config, 5999), "less than ignore-bytes");
        assert!(worth(&config, 6000));
        config.storage.active_defrag_threshold_lower = 21;
        assert!(!worth(&config, 6000), "less than threshold-lower");
        assert!(!worth(&config, 0), "the allocator's numbers are not of one moment");
        config.storage.active_defrag_threshold_lower = 10;
        let effort = |config: &Config, active| Holes::of(&stats(1000, active)).effort(config);
        assert_eq!([1000, 1100, 1550, 2000, 9000].map(|active| effort(&config, active)), [5, 5, 15, 25, 25]);
        config.storage.active_defrag_threshold_upper = 10;
        assert_eq!(effort(&config, 1100), 25);
        config.storage.active_defrag_cycle_max = 3;
        config.storage.active_defrag_threshold_upper = 100;
        assert_eq!(effort(&config, 1100), 3, "the greatest effort bounds the least one");
    }

    #[test]
    fn a_pass_waits_for_memory_to_stand_still() {
        const S: u64 = 1_000_000_000;
        let mut calm = Calm::default();
        let mut see = |tenths: u64, allocated| {
            calm.note(tenths * S / 10, allocated);
            calm.is_enough(tenths * S / 10)
        };
        assert!(!see(100, 1000), "there was nothing before");
        assert!(!see(105, 1000), "not a second ago");
        assert!(see(110, 1049));
        assert!(see(115, 2000), "it was still a second ago");
        assert!(!see(120, 2000));
        assert!(see(130, 2000));
        assert!(!see(140, 1500), "it shrinks");
        assert!((15..24).all(|s| !see(s * 10, s * s * 1000)), "it grows and grows");
        assert!(see(240, 576_000), "it has done so for ten seconds");
    }

    #[test]
    fn passes_that_find_nothing_become_rare() {
        let mut state = Defragmenter::default();
        let mut pauses = vec![];
        for _ in 0..9 {
            state.begin(0);
            state.percent = 5;
            (state.looked, state.moved) = (1000, 3);
            state.end(7_000_000);
            pauses.push(state.rests_until_ns / 1_000_000_000);
        }
        assert_eq!(pauses, [1, 2, 4, 8, 16, 32, 64, 64, 64]);
        assert_eq!((state.percent(), state.next_ns(), state.total_ms(0)), (0, u64::MAX, 9 * 7));
        state.begin(0);
        state.percent = 5;
        (state.looked, state.moved) = (1000, 300);
        state.end(7);
        assert_eq!((state.rests_until_ns, state.pause_ns), (7, 0));
    }
}
