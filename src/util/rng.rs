//! A small, seeded random number generator: xoshiro256++ by David Blackman and Sebastiano Vigna (public domain).
//!
//! Randomness comes from outside everywhere in this house, so that one seed reproduces a whole run: a simulation,
//! a property test, an eviction decision. This generator is for such choices (samples, RANDOMKEY, jitter). It is
//! *not* for secrets: run ids and hash seeds take their entropy from the operating system.

/// The state of one generator: 32 bytes, no sharing, no locks.
#[derive(Clone, Debug)]
pub struct Rng {
    state: [u64; 4],
}

impl Rng {
    /// The generator that always gives the same sequence for the same seed.
    pub fn from_seed(seed: u64) -> Rng {
        // A seed with few set bits would take xoshiro a while to spread; splitmix64 is the authors' own remedy, and
        // it can not produce the one forbidden state, all zero.
        let mut x = seed;
        let mut next = || {
            x = x.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut z = x;
            z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            z ^ (z >> 31)
        };
        Rng { state: [next(), next(), next(), next()] }
    }

    /// A generator seeded by the operating system.
    pub fn from_os() -> Rng {
        Rng::from_seed(os_u64())
    }

    /// The next 64 random bits.
    #[inline]
    pub fn next_u64(&mut self) -> u64 {
        let s = &mut self.state;
        let result = s[0].wrapping_add(s[3]).rotate_left(23).wrapping_add(s[0]);
        let t = s[1] << 17;
        s[2] ^= s[0];
        s[3] ^= s[1];
        s[1] ^= s[2];
        s[0] ^= s[3];
        s[2] ^= t;
        s[3] = s[3].rotate_left(45);
        result
    }

    /// A uniform number in `0..n`, without the bias of a remainder.
    ///
    /// # Panics
    ///
    /// When `n` is 0: there is nothing to choose from.
    #[inline]
    pub fn below(&mut self, n: u64) -> u64 {
        assert!(n > 0, "a choice among nothing");
        // Lemire's method: the high half of a 128-bit product is uniform unless the low half falls into a small
        // zone, which is computed (by the one division) only when it might have happened.
        let mut product = u128::from(self.next_u64()) * u128::from(n);
        if (product as u64) < n {
            let zone = n.wrapping_neg() % n;
            while (product as u64) < zone {
                product = u128::from(self.next_u64()) * u128::from(n);
            }
        }
        (product >> 64) as u64
    }

    /// A uniform index in `0..n`.
    #[inline]
    pub fn index(&mut self, n: usize) -> usize {
        self.below(n as u64) as usize
    }

    /// A uniform number in `0.0..1.0` with 53 random bits.
    pub fn unit(&mut self) -> f64 {
        (self.next_u64() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Fills `out` with random bytes.
    pub fn fill(&mut self, out: &mut [u8]) {
        for chunk in out.chunks_mut(8) {
            let bytes = self.next_u64().to_le_bytes();
            chunk.copy_from_slice(&bytes[..chunk.len()]);
        }
    }
}

/// 64 bits from the operating system.
pub(super) fn os_u64() -> u64 {
    getrandom::u64().expect("the operating system has an entropy source; nothing can start without one")
}

/// Fills `out` with bytes fit for secrets, from the operating system: run ids, generated passwords.
pub fn os_fill(out: &mut [u8]) {
    getrandom::fill(out).expect("the operating system has an entropy source; nothing can start without one");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reference_sequence() {
        // State 1, 2, 3, 4: the first outputs of the authors' C program, worked out by hand for the first two.
        let mut rng = Rng { state: [1, 2, 3, 4] };
        assert_eq!(rng.next_u64(), 41943041);
        assert_eq!(rng.next_u64(), 58720359);
    }

    #[test]
    fn one_seed_one_sequence() {
        let (mut a, mut b) = (Rng::from_seed(7), Rng::from_seed(7));
        assert!((0..100).all(|_| a.next_u64() == b.next_u64()));
        let mut c = Rng::from_seed(8);
        assert_ne!(a.next_u64(), c.next_u64());
    }

    #[test]
    fn below_is_uniform_enough() {
        let mut rng = Rng::from_seed(1);
        let mut seen = [0u32; 7];
        for _ in 0..70_000 {
            seen[rng.index(7)] += 1;
        }
        assert!(seen.iter().all(|&n| (9_500..10_500).contains(&n)), "{seen:?}");
        assert_eq!(rng.below(1), 0);
        assert!(rng.below(u64::MAX) < u64::MAX);
    }

    #[test]
    fn fill_reaches_every_byte() {
        let mut rng = Rng::from_seed(3);
        for len in 0..40 {
            let mut or = vec![0u8; len];
            for _ in 0..64 {
                let mut out = vec![0u8; len];
                rng.fill(&mut out);
                or.iter_mut().zip(out).for_each(|(o, b)| *o |= b);
            }
            assert!(or.iter().all(|&b| b == 0xff), "{or:?}");
        }
        assert!((0..1000).map(|_| rng.unit()).all(|u| (0.0..1.0).contains(&u)));
    }
}
