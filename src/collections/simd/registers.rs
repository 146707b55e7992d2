//! HyperLogLogs' registers: six bits each, packed four to three bytes; unpacked, a byte each.

use super::{Width, width};

/// Packed bytes of a group, and registers in it.
const PACKED: usize = 48;
const GROUP: usize = 64;

/// Raises each of `into` to what `packed` has. Three bytes for four registers; what is odd at the end is left out.
pub fn merge(into: &mut [u8], packed: &[u8]) {
    merge_with(width(), into, packed)
}

/// Packs registers, each of which must be below 64.
pub fn pack(into: &mut [u8], registers: &[u8]) {
    pack_with(width(), into, registers)
}

fn pack_with(width: Width, into: &mut [u8], registers: &[u8]) {
    let (mut into, mut registers) = (into, registers);
    #[cfg(target_arch = "x86_64")]
    if width > Width::Portable {
        let groups = (registers.len() / GROUP).min(into.len() / PACKED);
        let (bytes, rest) = into.split_at_mut(groups * PACKED);
        // SAFETY: these widths say that the processor has AVX2.
        unsafe { x86::pack_256(bytes.as_chunks_mut::<PACKED>().0, registers.as_chunks::<GROUP>().0) };
        (into, registers) = (rest, &registers[groups * GROUP..]);
    }
    let _ = width;
    for (bytes, four) in into.as_chunks_mut::<3>().0.iter_mut().zip(registers.as_chunks::<4>().0) {
        let word = u32::from_le_bytes(*four);
        let word = word & 0x3f | word >> 2 & 0xfc0 | word >> 4 & 0x3_f000 | word >> 6 & 0xfc_0000;
        let [a, b, c, _] = word.to_le_bytes();
        *bytes = [a, b, c];
    }
}

/// How many registers have which value (its lowest six bits).
pub fn histogram(registers: &[u8]) -> [u32; 64] {
    histogram_with(width(), registers)
}

fn merge_with(width: Width, into: &mut [u8], packed: &[u8]) {
    let (mut into, mut packed) = (into, packed);
    #[cfg(target_arch = "x86_64")]
    if width > Width::Portable {
        let groups = (into.len() / GROUP).min(packed.len() / PACKED);
        let (registers, rest) = into.split_at_mut(groups * GROUP);
        let (registers, bytes) = (registers.as_chunks_mut::<GROUP>().0, packed.as_chunks::<PACKED>().0);
        match width {
            // SAFETY: this width says that the processor has AVX-512 with VBMI.
            Width::Avx512 => unsafe { x86::merge_512(registers, bytes) },
            // SAFETY: this width says that the processor has AVX2.
            _ => unsafe { x86::merge_256(registers, bytes) },
        }
        (into, packed) = (rest, &packed[groups * PACKED..]);
    }
    let _ = width;
    for (four, bytes) in into.as_chunks_mut::<4>().0.iter_mut().zip(packed.as_chunks::<3>().0) {
        let word = u32::from_le_bytes([bytes[0], bytes[1], bytes[2], 0]);
        for (i, register) in four.iter_mut().enumerate() {
            *register = (*register).max((word >> (6 * i)) as u8 & 0x3f);
        }
    }
}

fn histogram_with(width: Width, registers: &[u8]) -> [u32; 64] {
    #[cfg(target_arch = "x86_64")]
    match width {
        Width::Portable => {}
        // SAFETY: this width says that the processor has AVX2.
        Width::Avx2 => return unsafe { x86::histogram_256(registers) },
        // SAFETY: this width says that the processor has AVX-512.
        Width::Avx512 => return unsafe { x86::histogram_512(registers) },
    }
    let _ = width;
    histogram_by_one(registers)
}

/// In four tables, for a counter that was just written can not be read at once.
fn histogram_by_one(registers: &[u8]) -> [u32; 64] {
    let mut tables = [[0_u32; 64]; 4];
    let (fours, rest) = registers.as_chunks::<4>();
    for four in fours {
        for (table, value) in tables.iter_mut().zip(four) {
            table[usize::from(value & 0x3f)] += 1;
        }
    }
    rest.iter().for_each(|value| tables[0][usize::from(value & 0x3f)] += 1);
    std::array::from_fn(|value| tables.iter().map(|table| table[value]).sum())
}

/// Value by value: real HyperLogLogs have few different ones, next to each other, and comparing with one is what wide
/// instructions do best. Inlined into functions that have them.
#[cfg(target_arch = "x86_64")]
#[allow(clippy::needless_range_loop, reason = "see `part`: iterators are not reliably inlined here")]
#[inline(always)]
fn histogram_by_value(registers: &[u8]) -> [u32; 64] {
    let mut out = [0; 64];
    let (mut least, mut most) = (0x3f, 0);
    for value in registers {
        least = least.min(value & 0x3f);
        most = most.max(value & 0x3f);
    }
    let mut left = registers.len() as u32;
    for value in least..=most {
        let mut count = 0;
        // A byte counts a lane of 64 turns; then all lanes are added.
        for part in registers.chunks(64 * 128) {
            let mut lanes = [0_u8; 64];
            let (groups, rest) = part.as_chunks::<64>();
            for group in groups {
                for i in 0..64 {
                    lanes[i] += u8::from(group[i] & 0x3f == value);
                }
            }
            count += lanes.iter().map(|lane| u32::from(*lane)).sum::<u32>();
            count += rest.iter().filter(|register| *register & 0x3f == value).count() as u32;
        }
        out[usize::from(value)] = count;
        left -= count;
        if left == 0 {
            break;
        }
    }
    out
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use super::{GROUP, PACKED, histogram_by_value};
    use std::arch::x86_64::*;

    /// 24 packed bytes become 32 registers: each three go to a lane of four, and there each six bits to a byte.
    #[target_feature(enable = "avx2")]
    pub fn merge_256(into: &mut [[u8; GROUP]], packed: &[[u8; PACKED]]) {
        let spread = _mm256_setr_epi8(
            0, 1, 2, -1, 3, 4, 5, -1, 6, 7, 8, -1, 9, 10, 11, -1, 4, 5, 6, -1, 7, 8, 9, -1, 10, 11, 12, -1, 13, 14, 15,
            -1,
        );
        for (registers, bytes) in into.iter_mut().zip(packed) {
            let (at, registers) = (bytes.as_ptr(), registers.as_mut_ptr());
            for i in 0..2 {
                // SAFETY: sixteen bytes from 0 and 8 (or 24 and 32) lie within the 48; the registers are 32.
                unsafe {
                    let low = _mm_loadu_si128(at.add(24 * i).cast());
                    let high = _mm_loadu_si128(at.add(24 * i + 8).cast());
                    let words = _mm256_shuffle_epi8(_mm256_set_m128i(high, low), spread);
                    let first = _mm256_and_si256(words, _mm256_set1_epi32(0x3f));
                    let second = _mm256_and_si256(_mm256_slli_epi32::<2>(words), _mm256_set1_epi32(0x3f00));
                    let third = _mm256_and_si256(_mm256_slli_epi32::<4>(words), _mm256_set1_epi32(0x3f_0000));
                    let fourth = _mm256_and_si256(_mm256_slli_epi32::<6>(words), _mm256_set1_epi32(0x3f00_0000));
                    let all = _mm256_or_si256(_mm256_or_si256(first, second), _mm256_or_si256(third, fourth));
                    let to = registers.add(32 * i).cast();
                    _mm256_storeu_si256(to, _mm256_max_epu8(_mm256_loadu_si256(to), all));
                }
            }
        }
    }

    /// 48 packed bytes become 64 registers: six bytes go to each lane of eight, which then picks bits from everywhere.
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vbmi")]
    pub fn merge_512(into: &mut [[u8; GROUP]], packed: &[[u8; PACKED]]) {
        const SPREAD: [u8; 64] = {
            let mut spread = [0; 64];
            let mut i = 0;
            while i < 64 {
                // The last two of each eight are not looked at.
                spread[i] = (i / 8 * 6 + i % 8 % 6) as u8;
                i += 1;
            }
            spread
        };
        // SAFETY: an array of 64 bytes.
        let spread = unsafe { _mm512_loadu_si512(SPREAD.as_ptr().cast()) };
        // The bit of the lane at which each of its eight registers begins.
        let places = _mm512_set1_epi64(i64::from_le_bytes([0, 6, 12, 18, 24, 30, 36, 42]));
        let register = _mm512_set1_epi8(0x3f);
        for (registers, bytes) in into.iter_mut().zip(packed) {
            // SAFETY: the mask leaves all but the 48 bytes out, and what is left out is not read; the registers are 64.
            unsafe {
                let bytes = _mm512_maskz_loadu_epi8((1 << PACKED) - 1, bytes.as_ptr().cast());
                let lanes = _mm512_permutexvar_epi8(spread, bytes);
                let all = _mm512_and_si512(_mm512_multishift_epi64_epi8(places, lanes), register);
                let to = registers.as_mut_ptr().cast::<__m512i>();
                _mm512_storeu_si512(to, _mm512_max_epu8(_mm512_loadu_si512(to), all));
            }
        }
    }

    /// The way back of [`merge_256`].
    #[target_feature(enable = "avx2")]
    pub fn pack_256(into: &mut [[u8; PACKED]], registers: &[[u8; GROUP]]) {
        let gather = _mm256_setr_epi8(
            0, 1, 2, 4, 5, 6, 8, 9, 10, 12, 13, 14, -1, -1, -1, -1, 0, 1, 2, 4, 5, 6, 8, 9, 10, 12, 13, 14, -1, -1, -1,
            -1,
        );
        let together = _mm256_setr_epi32(0, 1, 2, 4, 5, 6, 7, 7);
        let six_words = _mm256_setr_epi32(-1, -1, -1, -1, -1, -1, 0, 0);
        for (bytes, registers) in into.iter_mut().zip(registers) {
            let to = bytes.as_mut_ptr();
            for i in 0..2 {
                // SAFETY: twice 32 of 64 registers are read; the mask leaves all but 24 bytes out, twice of 48, and what
                // is left out is not written.
                unsafe {
                    let words = _mm256_loadu_si256(registers.as_ptr().add(32 * i).cast());
                    let first = _mm256_and_si256(words, _mm256_set1_epi32(0x3f));
                    let second = _mm256_and_si256(_mm256_srli_epi32::<2>(words), _mm256_set1_epi32(0xfc0));
                    let third = _mm256_and_si256(_mm256_srli_epi32::<4>(words), _mm256_set1_epi32(0x3_f000));
                    let fourth = _mm256_and_si256(_mm256_srli_epi32::<6>(words), _mm256_set1_epi32(0xfc_0000));
                    let all = _mm256_or_si256(_mm256_or_si256(first, second), _mm256_or_si256(third, fourth));
                    let packed = _mm256_permutevar8x32_epi32(_mm256_shuffle_epi8(all, gather), together);
                    _mm256_maskstore_epi32(to.add(24 * i).cast(), six_words, packed);
                }
            }
        }
    }

    #[target_feature(enable = "avx2")]
    pub fn histogram_256(registers: &[u8]) -> [u32; 64] {
        histogram_by_value(registers)
    }

    #[target_feature(enable = "avx512f,avx512bw,avx512vl")]
    pub fn histogram_512(registers: &[u8]) -> [u32; 64] {
        histogram_by_value(registers)
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{random, widths};
    use super::*;
    use crate::util::rng::Rng;

    fn register(packed: &[u8], i: usize) -> u8 {
        (0..6).fold(0, |value, bit| {
            let at = i * 6 + bit;
            value | (packed[at / 8] >> (at % 8) & 1) << bit
        })
    }

    #[test]
    fn merging_is_the_larger_of_each() {
        let mut rng = Rng::from_seed(1);
        for width in widths() {
            for groups in (0..70).chain([320]) {
                let packed = random(&mut rng, groups * 3);
                let before: Vec<u8> = random(&mut rng, groups * 4).into_iter().map(|value| value & 0x3f).collect();
                let mut into = before.clone();
                merge_with(width, &mut into, &packed);
                for (i, value) in into.iter().enumerate() {
                    assert_eq!(
                        *value,
                        before[i].max(register(&packed, i)),
                        "{width:?}, register {i} of {groups} groups"
                    );
                }
            }
        }
    }

    #[test]
    fn packing_is_the_way_back() {
        let mut rng = Rng::from_seed(2);
        for width in widths() {
            for groups in (0..70).chain([100]) {
                let packed = random(&mut rng, 3 * groups);
                let mut registers = vec![0; 4 * groups];
                merge_with(width, &mut registers, &packed);
                let mut again = vec![0x55; 3 * groups];
                pack_with(width, &mut again, &registers);
                assert_eq!(again, packed, "{width:?}, {groups} groups");
            }
        }
    }

    #[test]
    fn histograms() {
        let mut rng = Rng::from_seed(3);
        for width in widths() {
            for (len, values) in [(0, 1), (5, 64), (64, 3), (1000, 64), (16384, 20), (16384, 256), (16383, 1)] {
                let registers: Vec<u8> = (0..len).map(|_| rng.below(values) as u8).collect();
                let mut expected = [0; 64];
                registers.iter().for_each(|value| expected[usize::from(value & 0x3f)] += 1);
                assert_eq!(histogram_with(width, &registers), expected, "{width:?}: {len} below {values}");
            }
        }
    }
}
