//! When was a key last used, or how often: the 29 bits an entry has for it.
//!
//! ```text
//! LRU policies, and no policy   second of the last access, modulo 2^24 (194 days): 24            | class 5
//! LFU policies                  minute of the last decay, modulo 2^16: 16 | logarithmic counter 8 | class 5
//! ```
//!
//! * The counter is raised by each access with a probability that falls as it grows (Morris's counter), and lowered by
//!   one by each `decay_minutes` without access.
//! * The class is what eviction chooses by ([`super::density`]); under all policies alike.
//!
//! Seconds, minutes and counter are Redis's, including the fresh key's counter of 5, so that OBJECT IDLETIME and OBJECT
//! FREQ agree.

use super::density::{CLASS_BITS, class_of_uses, used};
use crate::util::rng::Rng;

/// The counter of a new key, so that it is not the first to be evicted.
const LFU_FRESH: u32 = 5;
const CLOCK_MASK: u32 = (1 << 24) - 1;
const MINUTES_SHIFT: u32 = CLASS_BITS + 8;

/// What the access bits of an entry mean. Follows `maxmemory-policy`, `lfu-log-factor` and `lfu-decay-time`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum AccessPolicy {
    Lru,
    Lfu { log_factor: u32, decay_minutes: u32 },
}

impl AccessPolicy {
    /// The bits of an entry made at `now_ms`.
    #[inline]
    pub fn fresh(self, now_ms: i64) -> u32 {
        match self {
            AccessPolicy::Lru => lru_seconds(now_ms) << CLASS_BITS,
            AccessPolicy::Lfu { .. } => lfu_bits(now_ms, LFU_FRESH),
        }
    }

    /// The bits after an access at `now_ms`.
    pub fn touched(self, bits: u32, now_ms: i64, rng: &mut Rng) -> u32 {
        match self {
            AccessPolicy::Lru => lru_seconds(now_ms) << CLASS_BITS | used(bits),
            AccessPolicy::Lfu { .. } => self.counted(bits, self.fresh(now_ms), rng),
        }
    }

    /// The same under LFU, when `now` are bits made at that time.
    #[inline(always)]
    pub(super) fn counted(self, bits: u32, now: u32, rng: &mut Rng) -> u32 {
        let AccessPolicy::Lfu { log_factor, decay_minutes } = self else { return bits };
        let minutes = now >> MINUTES_SHIFT;
        let counter = raise(decayed(bits, minutes, decay_minutes), log_factor, rng);
        minutes << MINUTES_SHIFT | counter << CLASS_BITS | used(bits)
    }

    /// Seconds since the last access: OBJECT IDLETIME. Meaningful under LRU only.
    pub fn idle_seconds(self, bits: u32, now_ms: i64) -> u32 {
        lru_seconds(now_ms).wrapping_sub(bits >> CLASS_BITS) & CLOCK_MASK
    }

    /// The counter after its decay: OBJECT FREQ. Meaningful under LFU only.
    pub fn frequency(self, bits: u32, now_ms: i64) -> u32 {
        let AccessPolicy::Lfu { decay_minutes, .. } = self else { return 0 };
        decayed(bits, lfu_minutes(now_ms), decay_minutes)
    }

    /// The 24 bits that Redis has: seconds, or minutes and counter (DEBUG OBJECT).
    pub fn redis_bits(bits: u32) -> u32 {
        bits >> CLASS_BITS
    }

    /// The bits of an entry that was idle for so many seconds (RESTORE IDLETIME, and RDB files).
    pub fn idle_for(self, seconds: u64, now_ms: i64) -> u32 {
        match self {
            AccessPolicy::Lru => {
                let idle = seconds.min(u64::from(CLOCK_MASK)) as u32;
                (lru_seconds(now_ms).wrapping_sub(idle) & CLOCK_MASK) << CLASS_BITS
            }
            AccessPolicy::Lfu { .. } => self.fresh(now_ms),
        }
    }

    /// The bits of an entry with this counter (RESTORE FREQ, and RDB files).
    pub fn with_frequency(self, counter: u8, now_ms: i64) -> u32 {
        match self {
            AccessPolicy::Lru => self.fresh(now_ms),
            AccessPolicy::Lfu { .. } => {
                let counter = u32::from(counter);
                lfu_bits(now_ms, counter) | class_of_uses(counter.saturating_sub(LFU_FRESH))
            }
        }
    }
}

#[inline]
fn lru_seconds(now_ms: i64) -> u32 {
    (now_ms as u64 / 1000) as u32 & CLOCK_MASK
}

#[inline]
fn lfu_minutes(now_ms: i64) -> u32 {
    (now_ms as u64 / 60_000) as u32 & 0xffff
}

#[inline]
fn lfu_bits(now_ms: i64, counter: u32) -> u32 {
    lfu_minutes(now_ms) << MINUTES_SHIFT | counter << CLASS_BITS
}

#[inline(always)]
fn decayed(bits: u32, minutes: u32, decay_minutes: u32) -> u32 {
    let passed = minutes.wrapping_sub(bits >> MINUTES_SHIFT) & 0xffff;
    // Most keys are used again within the minute, and a division takes longer than the rest.
    let periods = if passed == 0 { 0 } else { passed.checked_div(decay_minutes).unwrap_or(0) };
    (bits >> CLASS_BITS & 0xff).saturating_sub(periods)
}

/// Raises the counter with a probability of 1 in `above * log_factor + 1`.
#[inline(always)]
fn raise(counter: u32, log_factor: u32, rng: &mut Rng) -> u32 {
    // What is above the start is below 2^8 and the factor below 2^32, so that 24 random bits times both fit.
    const DRAWN: u32 = 24;
    let above = u64::from(counter.saturating_sub(LFU_FRESH)) * u64::from(log_factor);
    let raises = above == 0 || (rng.next_u64() >> (64 - DRAWN)) * (above + 1) < 1 << DRAWN;
    (counter + u32::from(raises)).min(255)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn idle_time_counts_from_the_last_access_and_wraps() {
        let lru = AccessPolicy::Lru;
        let start = 1_700_000_000_000;
        assert_eq!(lru.idle_seconds(lru.fresh(start), start + 42_000), 42);
        assert_eq!(lru.idle_seconds(lru.idle_for(100, start), start), 100);
        let wrap = (1i64 << 24) * 1000;
        assert_eq!(lru.idle_seconds(lru.fresh(wrap - 1000), wrap + 1000), 2);
    }

    #[test]
    fn frequency_rises_slowly_and_decays() {
        let lfu = AccessPolicy::Lfu { log_factor: 10, decay_minutes: 1 };
        let mut rng = Rng::from_seed(1);
        let now = 1_700_000_000_000;
        let mut bits = lfu.fresh(now);
        assert_eq!(lfu.frequency(bits, now), 5);
        for _ in 0..1000 {
            bits = lfu.touched(bits, now, &mut rng);
        }
        let busy = lfu.frequency(bits, now);
        assert!((10..40).contains(&busy), "about 18 after a thousand accesses, as Redis documents: {busy}");
        assert_eq!(lfu.frequency(bits, now + 3 * 60_000), busy - 3);
        assert_eq!(lfu.frequency(bits, now + 3_000 * 60_000), 0);
        let undying = AccessPolicy::Lfu { log_factor: 10, decay_minutes: 0 };
        assert_eq!(undying.frequency(bits, now + 3_000 * 60_000), busy);
    }
}
