//! The checksum of RDB files and DUMP payloads, many bytes at a time.
//!
//! A table of bytes is as fast as its lookups. Folding (Gopal and others, "Fast CRC Computation for Generic Polynomials
//! Using PCLMULQDQ Instruction", Intel 2009) multiplies instead: a block of sixteen bytes that lies `d` bits before
//! another one has the same remainder as the block times x^d mod P, and adding that product to the other block takes
//! the first out of the message. Several blocks are carried along at once; when the message is used up they are folded
//! into one another, and what is left is a message of sixteen bytes and a rest with the checksum of the whole. The table
//! ([`crate::util::crc64`]) does those, and everything that is too short to fold.

use super::{Width, width};
use crate::util::crc64 as table;

/// Shorter than this, and the table is as fast.
const FOLD_FROM: usize = 128;

/// Continues the checksum `crc` over `bytes`; start with 0. `crc64(crc64(0, a), b)` is that of `a` and `b` joined.
#[inline]
pub fn crc64(crc: u64, bytes: &[u8]) -> u64 {
    if bytes.len() < FOLD_FROM { table::crc64(crc, bytes) } else { with(width(), crc, bytes) }
}

fn with(width: Width, crc: u64, bytes: &[u8]) -> u64 {
    #[cfg(target_arch = "x86_64")]
    {
        let folded = match width {
            Width::Portable => None,
            // SAFETY: this width says that the processor has AVX2 and PCLMULQDQ.
            Width::Avx2 => unsafe { x86::fold_128(crc, bytes) },
            // SAFETY: this width says that the processor has AVX-512F and VPCLMULQDQ.
            Width::Avx512 => unsafe { x86::fold_512(crc, bytes) },
        };
        if let Some((block, rest)) = folded {
            return table::crc64(table::crc64(0, &block), rest);
        }
    }
    let _ = width;
    table::crc64(crc, bytes)
}

#[cfg(target_arch = "x86_64")]
#[allow(clippy::needless_range_loop, reason = "see `part`: iterators are not reliably inlined here")]
mod x86 {
    use super::super::{part, prefetch_ahead};
    use std::arch::x86_64::*;

    /// The polynomial of Redis's CRC-64 (Jones), lowest power first as everything here: bit 63 is x^0.
    const POLYNOMIAL: u64 = 0x95ac_9329_ac4b_c9b5;

    /// x^n mod P.
    const fn power(n: usize) -> u64 {
        let mut x = 1 << 63;
        let mut i = 0;
        while i < n {
            x = (x >> 1) ^ (if x & 1 == 1 { POLYNOMIAL } else { 0 });
            i += 1;
        }
        x
    }

    /// What the halves of a block are multiplied by to get `bytes` further. The first half has 64 bits more to go; and
    /// one power less each, for a product of two reflected numbers comes out one place too high.
    const fn shift(bytes: usize) -> [i64; 2] {
        [power(8 * bytes + 63) as i64, power(8 * bytes - 1) as i64]
    }

    /// What remains of a message: one block, and bytes that were too few for one.
    type Folded<'b> = ([u8; 16], &'b [u8]);

    #[inline]
    #[target_feature(enable = "pclmulqdq,sse4.1")]
    fn constants([first, second]: [i64; 2]) -> __m128i {
        _mm_set_epi64x(second, first)
    }

    #[inline]
    #[target_feature(enable = "pclmulqdq,sse4.1")]
    fn load(block: &[u8; 16]) -> __m128i {
        // SAFETY: the block has sixteen bytes, and an unaligned load asks for nothing more.
        unsafe { _mm_loadu_si128(block.as_ptr().cast()) }
    }

    /// `block`, moved by what `by` stands for, and joined with `next`.
    #[inline]
    #[target_feature(enable = "pclmulqdq,sse4.1")]
    fn onto(block: __m128i, by: __m128i, next: __m128i) -> __m128i {
        let (low, high) = (_mm_clmulepi64_si128::<0x00>(block, by), _mm_clmulepi64_si128::<0x11>(block, by));
        _mm_xor_si128(_mm_xor_si128(low, high), next)
    }

    /// Folds the blocks that are left one by one onto `block`.
    #[inline]
    #[target_feature(enable = "pclmulqdq,sse4.1")]
    fn finish(mut block: __m128i, bytes: &[u8]) -> Folded<'_> {
        let (blocks, rest) = bytes.as_chunks::<16>();
        for next in blocks {
            block = onto(block, constants(const { shift(16) }), load(next));
        }
        let mut out = [0; 16];
        // SAFETY: `out` has sixteen bytes.
        unsafe { _mm_storeu_si128(out.as_mut_ptr().cast(), block) };
        (out, rest)
    }

    /// Eight blocks at a time. `None` when there are not as many.
    #[target_feature(enable = "pclmulqdq,sse4.1")]
    pub fn fold_128(crc: u64, bytes: &[u8]) -> Option<Folded<'_>> {
        const STRIDE: usize = 128;
        let (strides, rest) = bytes.as_chunks::<STRIDE>();
        let (first, strides) = strides.split_first()?;
        let by = constants(const { shift(STRIDE) });
        let mut carried = [_mm_setzero_si128(); STRIDE / 16];
        for i in 0..STRIDE / 16 {
            carried[i] = load(part(first, i));
        }
        carried[0] = _mm_xor_si128(carried[0], _mm_set_epi64x(0, crc as i64));
        for stride in strides {
            prefetch_ahead(stride);
            for i in 0..STRIDE / 16 {
                carried[i] = onto(carried[i], by, load(part(stride, i)));
            }
        }
        let one_further = constants(const { shift(16) });
        let [mut block, others @ ..] = carried;
        for next in others {
            block = onto(block, one_further, next);
        }
        Some(finish(block, rest))
    }

    /// Sixteen blocks at a time, in four registers. `None` when there are not as many.
    #[target_feature(enable = "avx512f,avx512vl,vpclmulqdq,pclmulqdq")]
    pub fn fold_512(crc: u64, bytes: &[u8]) -> Option<Folded<'_>> {
        const STRIDE: usize = 256;
        let (strides, rest) = bytes.as_chunks::<STRIDE>();
        let Some((first, strides)) = strides.split_first() else { return fold_128(crc, bytes) };
        let by = _mm512_broadcast_i32x4(constants(const { shift(STRIDE) }));
        let mut carried = [_mm512_setzero_si512(); STRIDE / 64];
        for i in 0..STRIDE / 64 {
            carried[i] = load_512(part(first, i));
        }
        carried[0] = _mm512_xor_si512(carried[0], _mm512_zextsi128_si512(_mm_set_epi64x(0, crc as i64)));
        for stride in strides {
            prefetch_ahead(stride);
            for i in 0..STRIDE / 64 {
                carried[i] = onto_512(carried[i], by, load_512(part(stride, i)));
            }
        }
        let one_further = _mm512_broadcast_i32x4(constants(const { shift(64) }));
        let [mut four, others @ ..] = carried;
        for next in others {
            four = onto_512(four, one_further, next);
        }
        let one_further = constants(const { shift(16) });
        let mut block = _mm512_extracti32x4_epi32::<0>(four);
        block = onto(block, one_further, _mm512_extracti32x4_epi32::<1>(four));
        block = onto(block, one_further, _mm512_extracti32x4_epi32::<2>(four));
        block = onto(block, one_further, _mm512_extracti32x4_epi32::<3>(four));
        Some(finish(block, rest))
    }

    #[inline]
    #[target_feature(enable = "avx512f")]
    fn load_512(bytes: &[u8; 64]) -> __m512i {
        // SAFETY: there are 64 bytes, and an unaligned load asks for nothing more.
        unsafe { _mm512_loadu_si512(bytes.as_ptr().cast()) }
    }

    #[inline]
    #[target_feature(enable = "avx512f,vpclmulqdq")]
    fn onto_512(four: __m512i, by: __m512i, next: __m512i) -> __m512i {
        const XOR_OF_THREE: i32 = 0x96;
        let (low, high) = (_mm512_clmulepi64_epi128::<0x00>(four, by), _mm512_clmulepi64_epi128::<0x11>(four, by));
        _mm512_ternarylogic_epi64::<XOR_OF_THREE>(low, high, next)
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{random, widths};
    use super::*;
    use crate::util::rng::Rng;

    #[test]
    fn every_width_agrees_with_the_table() {
        let mut rng = Rng::from_seed(1);
        let bytes = random(&mut rng, 4096);
        for width in widths() {
            for len in (0..300).chain([511, 512, 513, 1024, 2047, 4000]) {
                for from in [0, 1, 7, 63] {
                    let part = &bytes[from..from + len];
                    let crc = if len % 3 == 0 { 0 } else { rng.below(u64::MAX) };
                    assert_eq!(with(width, crc, part), table::crc64(crc, part), "{width:?}, {len} bytes from {from}");
                }
            }
        }
    }

    #[test]
    fn check_value_and_joining() {
        assert_eq!(crc64(0, b"123456789"), 0xe9c6_d914_c4b8_d9ca);
        let bytes = random(&mut Rng::from_seed(2), 1000);
        for cut in [0, 1, 128, 500, 999, 1000] {
            assert_eq!(crc64(crc64(0, &bytes[..cut]), &bytes[cut..]), table::crc64(0, &bytes), "{cut}");
        }
    }
}
