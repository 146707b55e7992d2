//! When was a key last used, or how often: the 24 bits an entry has for it.
//!
//! * Under LRU policies (and without a policy) they are the second of the last access, modulo 2^24 (194 days).
//! * Under LFU policies, the upper 16 are the minute of the last decay, modulo 2^16, and the lower 8 a logarithmic
//!   counter: each access raises it with a probability that falls as it grows (Morris's counter), each `decay_minutes`
//!   without access lowers it by one.
//!
//! Both are Redis's, including the fresh key's counter of 5, so that OBJECT IDLETIME and OBJECT FREQ agree.

use crate::util::rng::Rng;

/// The counter of a new key, so that it is not the first to be evicted.
const LFU_FRESH: u32 = 5;
const CLOCK_MASK: u32 = (1 << 24) - 1;

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
            AccessPolicy::Lru => lru_seconds(now_ms),
            AccessPolicy::Lfu { .. } => lfu_minutes(now_ms) << 8 | LFU_FRESH,
        }
    }

    /// The bits after an access at `now_ms`.
    #[inline]
    pub fn touched(self, bits: u32, now_ms: i64, rng: &mut Rng) -> u32 {
        match self {
            AccessPolicy::Lru => lru_seconds(now_ms),
            AccessPolicy::Lfu { log_factor, .. } => {
                lfu_minutes(now_ms) << 8 | raise(self.frequency(bits, now_ms), log_factor, rng)
            }
        }
    }

    /// Seconds since the last access: OBJECT IDLETIME. Meaningful under LRU only.
    pub fn idle_seconds(self, bits: u32, now_ms: i64) -> u32 {
        lru_seconds(now_ms).wrapping_sub(bits) & CLOCK_MASK
    }

    /// The counter after its decay: OBJECT FREQ. Meaningful under LFU only.
    pub fn frequency(self, bits: u32, now_ms: i64) -> u32 {
        let AccessPolicy::Lfu { decay_minutes, .. } = self else { return 0 };
        let passed = lfu_minutes(now_ms).wrapping_sub(bits >> 8) & 0xffff;
        let periods = passed.checked_div(decay_minutes).unwrap_or(0);
        (bits & 0xff).saturating_sub(periods)
    }

    /// The bits of an entry that was idle for so many seconds (RESTORE IDLETIME, and RDB files).
    pub fn idle_for(self, seconds: u64, now_ms: i64) -> u32 {
        match self {
            AccessPolicy::Lru => lru_seconds(now_ms).wrapping_sub(seconds.min(CLOCK_MASK as u64) as u32) & CLOCK_MASK,
            AccessPolicy::Lfu { .. } => self.fresh(now_ms),
        }
    }

    /// The bits of an entry with this counter (RESTORE FREQ, and RDB files).
    pub fn with_frequency(self, counter: u8, now_ms: i64) -> u32 {
        match self {
            AccessPolicy::Lru => self.fresh(now_ms),
            AccessPolicy::Lfu { .. } => lfu_minutes(now_ms) << 8 | counter as u32,
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

fn raise(counter: u32, log_factor: u32, rng: &mut Rng) -> u32 {
    if counter >= 255 {
        return 255;
    }
    let above = counter.saturating_sub(LFU_FRESH) as f64;
    if rng.unit() < 1.0 / (above * log_factor as f64 + 1.0) { counter + 1 } else { counter }
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
