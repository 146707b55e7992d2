//! Counting bits, and finding the first byte that is not as dull as the others.

use super::{Width, width};

/// How many bits are set.
#[inline]
pub fn count_ones(bytes: &[u8]) -> u64 {
    count_with(width(), bytes)
}

/// Where the first byte is that is not `dull`.
#[inline]
pub fn find_other(bytes: &[u8], dull: u8) -> Option<usize> {
    find_with(width(), bytes, dull)
}

/// The first bit with the value `bit`; bit 0 is the highest of the first byte.
pub fn find_bit(bytes: &[u8], bit: bool) -> Option<u64> {
    let at = find_other(bytes, if bit { 0 } else { u8::MAX })?;
    let in_byte = if bit { bytes[at].leading_zeros() } else { bytes[at].leading_ones() };
    Some(at as u64 * 8 + u64::from(in_byte))
}

#[inline]
fn count_with(width: Width, bytes: &[u8]) -> u64 {
    #[cfg(target_arch = "x86_64")]
    match width {
        Width::Portable => {}
        // SAFETY: this width says that the processor has AVX2.
        Width::Avx2 => return unsafe { x86::count_256(bytes) },
        // SAFETY: this width says that the processor has AVX-512 with VPOPCNTDQ.
        Width::Avx512 => return unsafe { x86::count_512(bytes) },
    }
    let _ = width;
    count_portable(bytes)
}

#[inline]
fn find_with(width: Width, bytes: &[u8], dull: u8) -> Option<usize> {
    #[cfg(target_arch = "x86_64")]
    match width {
        Width::Portable => {}
        // SAFETY: this width says that the processor has AVX2.
        Width::Avx2 => return unsafe { x86::find_256(bytes, dull) },
        // SAFETY: this width says that the processor has AVX-512.
        Width::Avx512 => return unsafe { x86::find_512(bytes, dull) },
    }
    let _ = width;
    find_portable(bytes, dull)
}

fn count_portable(bytes: &[u8]) -> u64 {
    let (words, rest) = bytes.as_chunks::<8>();
    let in_words: u64 = words.iter().map(|word| u64::from(u64::from_ne_bytes(*word).count_ones())).sum();
    in_words + rest.iter().map(|byte| u64::from(byte.count_ones())).sum::<u64>()
}

fn find_portable(bytes: &[u8], dull: u8) -> Option<usize> {
    let dull_word = u64::from_ne_bytes([dull; 8]);
    let (words, rest) = bytes.as_chunks::<8>();
    let before = words.iter().position(|word| u64::from_ne_bytes(*word) != dull_word).unwrap_or(words.len()) * 8;
    let tail = if before == words.len() * 8 { rest } else { &bytes[before..before + 8] };
    tail.iter().position(|byte| *byte != dull).map(|at| before + at)
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use super::super::{part, prefetch_ahead};
    use super::find_portable;
    use std::arch::x86_64::*;

    /// Bytes looked at in one turn of each loop.
    const TURN: usize = 256;

    #[inline]
    #[target_feature(enable = "avx2")]
    fn load_256(bytes: &[u8; 32]) -> __m256i {
        // SAFETY: there are 32 bytes, and an unaligned load asks for nothing more.
        unsafe { _mm256_loadu_si256(bytes.as_ptr().cast()) }
    }

    #[inline]
    #[target_feature(enable = "avx512f")]
    fn load_512(bytes: &[u8; 64]) -> __m512i {
        // SAFETY: there are 64 bytes, and an unaligned load asks for nothing more.
        unsafe { _mm512_loadu_si512(bytes.as_ptr().cast()) }
    }

    /// Eight lanes of counts: those of half bytes come from a table in a register (Mula, Kurz and Lemire, "Faster
    /// population counts using AVX2 instructions", 2016), and are added up byte by byte first.
    #[target_feature(enable = "avx2,popcnt")]
    pub fn count_256(bytes: &[u8]) -> u64 {
        let of_half = _mm256_setr_epi8(
            0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4, 0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4,
        );
        let half = _mm256_set1_epi8(0x0f);
        let (turns, rest) = bytes.as_chunks::<TURN>();
        let mut sum = _mm256_setzero_si256();
        for turn in turns {
            prefetch_ahead(turn);
            // At most 8 a byte in each of eight rounds: a byte has room for them.
            let mut in_bytes = _mm256_setzero_si256();
            for i in 0..TURN / 32 {
                let bytes = load_256(part(turn, i));
                let low = _mm256_shuffle_epi8(of_half, _mm256_and_si256(bytes, half));
                let high = _mm256_shuffle_epi8(of_half, _mm256_and_si256(_mm256_srli_epi16::<4>(bytes), half));
                in_bytes = _mm256_add_epi8(in_bytes, _mm256_add_epi8(low, high));
            }
            sum = _mm256_add_epi64(sum, _mm256_sad_epu8(in_bytes, _mm256_setzero_si256()));
        }
        let lanes = [
            _mm256_extract_epi64::<0>(sum),
            _mm256_extract_epi64::<1>(sum),
            _mm256_extract_epi64::<2>(sum),
            _mm256_extract_epi64::<3>(sum),
        ];
        lanes.iter().sum::<i64>() as u64 + super::count_portable(rest)
    }

    #[target_feature(enable = "avx512f,avx512bw,avx512vpopcntdq,popcnt")]
    pub fn count_512(bytes: &[u8]) -> u64 {
        let (turns, rest) = bytes.as_chunks::<TURN>();
        let mut sums = [_mm512_setzero_si512(); TURN / 64];
        for turn in turns {
            prefetch_ahead(turn);
            sums[0] = _mm512_add_epi64(sums[0], _mm512_popcnt_epi64(load_512(part(turn, 0))));
            sums[1] = _mm512_add_epi64(sums[1], _mm512_popcnt_epi64(load_512(part(turn, 1))));
            sums[2] = _mm512_add_epi64(sums[2], _mm512_popcnt_epi64(load_512(part(turn, 2))));
            sums[3] = _mm512_add_epi64(sums[3], _mm512_popcnt_epi64(load_512(part(turn, 3))));
        }
        let (lines, rest) = rest.as_chunks::<64>();
        for bytes in lines {
            sums[0] = _mm512_add_epi64(sums[0], _mm512_popcnt_epi64(load_512(bytes)));
        }
        // SAFETY: the mask leaves out what lies beyond `rest`, and what is left out is not read.
        let last = unsafe { _mm512_maskz_loadu_epi8((1 << rest.len()) - 1, rest.as_ptr().cast()) };
        sums[1] = _mm512_add_epi64(sums[1], _mm512_popcnt_epi64(last));
        let [a, b, c, d] = sums;
        _mm512_reduce_add_epi64(_mm512_add_epi64(_mm512_add_epi64(a, b), _mm512_add_epi64(c, d))) as u64
    }

    #[target_feature(enable = "avx2")]
    pub fn find_256(bytes: &[u8], dull: u8) -> Option<usize> {
        let dulls = _mm256_set1_epi8(dull as i8);
        let (turns, rest) = bytes.as_chunks::<TURN>();
        for (i, turn) in turns.iter().enumerate() {
            prefetch_ahead(turn);
            let mut others = _mm256_setzero_si256();
            for i in 0..TURN / 32 {
                others = _mm256_or_si256(others, _mm256_xor_si256(load_256(part(turn, i)), dulls));
            }
            if _mm256_testz_si256(others, others) == 0 {
                return find_portable(turn, dull).map(|at| i * TURN + at);
            }
        }
        find_portable(rest, dull).map(|at| turns.len() * TURN + at)
    }

    #[target_feature(enable = "avx512f")]
    pub fn find_512(bytes: &[u8], dull: u8) -> Option<usize> {
        let dulls = _mm512_set1_epi8(dull as i8);
        let (turns, rest) = bytes.as_chunks::<TURN>();
        for (i, turn) in turns.iter().enumerate() {
            prefetch_ahead(turn);
            let mut others = _mm512_setzero_si512();
            for i in 0..TURN / 64 {
                others = _mm512_or_si512(others, _mm512_xor_si512(load_512(part(turn, i)), dulls));
            }
            if _mm512_test_epi64_mask(others, others) != 0 {
                return find_portable(turn, dull).map(|at| i * TURN + at);
            }
        }
        find_portable(rest, dull).map(|at| turns.len() * TURN + at)
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{random, widths};
    use super::*;
    use crate::util::rng::Rng;

    const LENGTHS: [usize; 6] = [0, 64, 300, 512, 700, 1024];

    #[test]
    fn counts_at_every_length_and_offset() {
        let bytes = random(&mut Rng::from_seed(1), 1200);
        let full = vec![0xff; 1200];
        for width in widths() {
            for from in 0..64 {
                for len in if from % 9 == 0 { (0..=300).collect::<Vec<_>>() } else { LENGTHS.to_vec() } {
                    let part = &bytes[from..from + len];
                    let expected: u64 = part.iter().map(|byte| u64::from(byte.count_ones())).sum();
                    assert_eq!(count_with(width, part), expected, "{width:?}, {len} bytes from {from}");
                    assert_eq!(count_with(width, &full[from..from + len]), len as u64 * 8);
                }
            }
        }
    }

    #[test]
    fn finds_at_every_length_and_offset() {
        for (dull, other) in [(0, 1), (0xff, 0x7f), (0, 0x80), (0xff, 0xfe)] {
            let mut bytes = vec![dull; 1200];
            for width in widths() {
                for len in if cfg!(miri) { vec![0, 9, 300] } else { (0..=300).collect() } {
                    let from = len % 64;
                    assert_eq!(find_with(width, &bytes[from..from + len], dull), None);
                    // What lies around it is not seen.
                    (bytes[from + len], bytes[from.saturating_sub(1)]) = (other, if from > 0 { other } else { dull });
                    assert_eq!(find_with(width, &bytes[from..from + len], dull), None, "{width:?} {len}");
                    (bytes[from + len], bytes[from.saturating_sub(1)]) = (dull, dull);
                    for at in (0..len).step_by(if len < 80 { 1 } else { 7 }) {
                        bytes[from + at] = other;
                        assert_eq!(find_with(width, &bytes[from..from + len], dull), Some(at), "{width:?} {len}");
                        bytes[from + at] = dull;
                    }
                }
            }
        }
    }

    #[test]
    fn finds_bits() {
        for wanted in [false, true] {
            let mut bytes = [if wanted { 0 } else { 0xff }; 40];
            assert_eq!(find_bit(&bytes, wanted), None);
            for at in 0..320 {
                bytes[at / 8] ^= 1 << (7 - at % 8);
                assert_eq!(find_bit(&bytes, wanted), Some(at as u64));
                bytes[at / 8] ^= 1 << (7 - at % 8);
            }
        }
    }
}
