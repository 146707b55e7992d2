//! The hash of keys: foldhash (Orson Peters) in its *quality* variant, under a seed.
//!
//! The dictionary uses the top bits of a hash for its directory and the low bits for its tags, so both ends must be
//! good; the *fast* variant is weak in places, the quality variant is not. A client chooses the keys, so the seed of
//! a server comes from the operating system and is never shown: neither the per-table word nor the process-wide
//! multipliers. foldhash claims no more than resistance in practice; it costs a sixth of what SipHash costs for a
//! short key, and the dictionary bounds the damage of a collision to one bucket run.
//!
//! [`HashSeed::fixed`] depends on its number alone, the same in every process of one build on one platform: tests
//! and simulations use it. Nothing on disk or on a wire may depend on any hash from here.

use std::fmt;
use std::hash::{BuildHasher, Hasher};
use std::sync::OnceLock;

use foldhash::SharedSeed;
use foldhash::quality::FoldHasher;

use super::rng::os_u64;

/// Which of the 2^64 (times the process's own) hash functions a table uses. Two words, copied freely.
#[derive(Clone, Copy)]
pub struct HashSeed {
    word: u64,
    shared: &'static SharedSeed,
}

impl HashSeed {
    /// A seed nobody outside this process can know.
    pub fn random() -> HashSeed {
        static SHARED: OnceLock<SharedSeed> = OnceLock::new();
        HashSeed { word: os_u64(), shared: SHARED.get_or_init(|| SharedSeed::from_u64(os_u64())) }
    }

    /// The same function for the same number in every run.
    pub const fn fixed(seed: u64) -> HashSeed {
        HashSeed { word: seed, shared: SharedSeed::global_fixed() }
    }

    /// The hash of `bytes`. All 64 bits are usable, from either end.
    #[inline]
    pub fn hash(self, bytes: &[u8]) -> u64 {
        let mut hasher = FoldHasher::with_seed(self.word, self.shared);
        hasher.write(bytes);
        hasher.finish()
    }
}

/// For sets and maps of the standard library whose keys clients choose.
impl BuildHasher for HashSeed {
    type Hasher = FoldHasher<'static>;

    #[inline]
    fn build_hasher(&self) -> FoldHasher<'static> {
        FoldHasher::with_seed(self.word, self.shared)
    }
}

impl fmt::Debug for HashSeed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HashSeed(hidden)") // a seed in a log is a seed an attacker has
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn fixed_repeats_and_seeds_differ() {
        let (a, b) = (HashSeed::fixed(1), HashSeed::fixed(2));
        assert_eq!(a.hash(b"key:1"), HashSeed::fixed(1).hash(b"key:1"));
        assert_ne!(a.hash(b"key:1"), b.hash(b"key:1"));
        let (r, s) = (HashSeed::random(), HashSeed::random());
        assert_eq!(r.hash(b""), r.hash(b""));
        assert_ne!(r.hash(b"x"), s.hash(b"x"));
    }

    #[test]
    fn length_counts() {
        let seed = HashSeed::fixed(9);
        let zeros = [0u8; 300];
        let all: HashSet<u64> = (0..=300).map(|n| seed.hash(&zeros[..n])).collect();
        assert_eq!(all.len(), 301);
    }

    #[test]
    fn both_ends_are_spread() {
        // 2^16 sequential keys into 4096 cells by the top bits, and 256 by the low ones: chi-squared near its mean.
        let seed = HashSeed::fixed(0);
        let (mut top, mut low) = (vec![0f64; 4096], vec![0f64; 256]);
        for i in 0..65536 {
            let h = seed.hash(format!("key:{i}").as_bytes());
            top[(h >> 52) as usize] += 1.0;
            low[(h & 255) as usize] += 1.0;
        }
        let chi = |cells: &[f64]| {
            let mean = 65536.0 / cells.len() as f64;
            cells.iter().map(|c| (c - mean).powi(2) / mean).sum::<f64>() / cells.len() as f64
        };
        assert!((0.8..1.2).contains(&chi(&top)), "{}", chi(&top));
        assert!((0.6..1.5).contains(&chi(&low)), "{}", chi(&low));
    }
}
