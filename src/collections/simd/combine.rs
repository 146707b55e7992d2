//! Combining strings bit by bit: what BITOP does to parts of its sources that are equally long.

use super::{Width, width};
use std::mem::MaybeUninit;

/// A way to combine strings. Those that are too short go on with zeros.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Combine {
    And,
    Or,
    Xor,
    Not,
    /// In the first and in none of the others.
    Diff,
    /// In one of the others and not in the first.
    Diff1,
    /// In the first and in one of the others.
    AndOr,
    /// In exactly one.
    One,
}

/// Writes all of `room`: what becomes of `sources`, of which there is at least one, and which are as long.
///
/// # Panics
///
/// When they are not, or there is none.
pub fn combine(how: Combine, sources: &[&[u8]], room: &mut [MaybeUninit<u8>]) {
    combine_with(width(), how, sources, room)
}

fn combine_with(width: Width, how: Combine, sources: &[&[u8]], room: &mut [MaybeUninit<u8>]) {
    assert!(!sources.is_empty() && sources.iter().all(|source| source.len() == room.len()), "parts are equally long");
    match width {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: this width says that the processor has AVX2.
        Width::Avx2 => unsafe { avx2::combine(how, sources, room) },
        #[cfg(target_arch = "x86_64")]
        // SAFETY: this width says that the processor has AVX-512.
        Width::Avx512 => unsafe { avx512::combine(how, sources, room) },
        _ => portable::combine(how, sources, room),
    }
}

/// The loop, for one kind of vector. It needs `Vector`, `load` from and `store` to an array of `BYTES`, `and`, `or`,
/// `xor`, `and_not` (the second and not the first), `ahead`.
macro_rules! form {
    ($($feature:literal)?) => {
        use super::super::part;
        use super::Combine;
        use std::mem::MaybeUninit;

        const BYTES: usize = size_of::<Vector>();

        /// Vectors of each source that are worked on at once: the loop below names each of them.
        const AT_ONCE: usize = 4;

        const TURN: usize = BYTES * AT_ONCE;

        $(#[target_feature(enable = $feature)])?
        pub fn combine(how: Combine, sources: &[&[u8]], out: &mut [MaybeUninit<u8>]) {
            let ones = load(&[0xff; BYTES]);
            match how {
                Combine::And => each(sources, out, |a, b, x| (and(a, x), b), |a, _| a),
                Combine::Or => each(sources, out, |a, b, x| (or(a, x), b), |a, _| a),
                Combine::Xor => each(sources, out, |a, b, x| (xor(a, x), b), |a, _| a),
                Combine::Not => each(sources, out, |a, b, _| (a, b), |a, _| and_not(a, ones)),
                Combine::Diff => each(sources, out, |a, b, x| (a, or(b, x)), |a, b| and_not(b, a)),
                Combine::Diff1 => each(sources, out, |a, b, x| (a, or(b, x)), |a, b| and_not(a, b)),
                Combine::AndOr => each(sources, out, |a, b, x| (a, or(b, x)), |a, b| and(a, b)),
                // What is in one or more, and in two or more.
                Combine::One => each(sources, out, |a, b, x| (or(a, x), or(b, and(a, x))), |a, b| and_not(b, a)),
            }
        }

        /// `a` begins as what the first source has, `b` as nothing; `step` takes the next source in, `last` says what
        /// the result is.
        $(#[target_feature(enable = $feature)])?
        #[inline]
        fn each(
            sources: &[&[u8]],
            out: &mut [MaybeUninit<u8>],
            step: impl Fn(Vector, Vector, Vector) -> (Vector, Vector),
            last: impl Fn(Vector, Vector) -> Vector,
        ) {
            let zeros = load(&[0; BYTES]);
            let (first, others) = sources.split_first().expect("there is a source");
            let (turns, out_rest) = out.as_chunks_mut::<TURN>();
            let done = turns.len() * TURN;
            for (i, to) in turns.iter_mut().enumerate() {
                let bytes: &[u8; TURN] = part(first, i);
                ahead(bytes);
                let (mut a, mut b) = ([zeros; AT_ONCE], [zeros; AT_ONCE]);
                a[0] = load(part(bytes, 0));
                a[1] = load(part(bytes, 1));
                a[2] = load(part(bytes, 2));
                a[3] = load(part(bytes, 3));
                for source in others {
                    let bytes: &[u8; TURN] = part(source, i);
                    ahead(bytes);
                    (a[0], b[0]) = step(a[0], b[0], load(part(bytes, 0)));
                    (a[1], b[1]) = step(a[1], b[1], load(part(bytes, 1)));
                    (a[2], b[2]) = step(a[2], b[2], load(part(bytes, 2)));
                    (a[3], b[3]) = step(a[3], b[3], load(part(bytes, 3)));
                }
                let [to_0, to_1, to_2, to_3] = to.as_chunks_mut().0 else { unreachable!("a turn is four vectors") };
                store(to_0, last(a[0], b[0]));
                store(to_1, last(a[1], b[1]));
                store(to_2, last(a[2], b[2]));
                store(to_3, last(a[3], b[3]));
            }
            // What is left, a vector at a time; the last of them is padded.
            for (i, to) in out_rest.chunks_mut(BYTES).enumerate() {
                let part = |source: &[u8]| {
                    let bytes = &source[done + i * BYTES..][..to.len()];
                    let mut padded = [0; BYTES];
                    padded[..bytes.len()].copy_from_slice(bytes);
                    load(&padded)
                };
                let (mut a, mut b) = (part(first), zeros);
                for source in others {
                    (a, b) = step(a, b, part(source));
                }
                let mut padded = [MaybeUninit::new(0); BYTES];
                store(&mut padded, last(a, b));
                let len = to.len();
                to.copy_from_slice(&padded[..len]);
            }
        }
    };
}

mod portable {
    type Vector = u64;

    form!();

    #[inline]
    fn load(bytes: &[u8; BYTES]) -> u64 {
        u64::from_ne_bytes(*bytes)
    }

    #[inline]
    fn store(to: &mut [MaybeUninit<u8>; BYTES], vector: u64) {
        *to = vector.to_ne_bytes().map(MaybeUninit::new);
    }

    #[inline]
    fn and(a: u64, b: u64) -> u64 {
        a & b
    }

    #[inline]
    fn or(a: u64, b: u64) -> u64 {
        a | b
    }

    #[inline]
    fn xor(a: u64, b: u64) -> u64 {
        a ^ b
    }

    #[inline]
    fn and_not(a: u64, b: u64) -> u64 {
        !a & b
    }

    #[inline]
    fn ahead<const N: usize>(_: &[u8; N]) {}
}

#[cfg(target_arch = "x86_64")]
mod avx2 {
    use super::super::prefetch_ahead as ahead;
    use std::arch::x86_64::{
        __m256i as Vector, _mm256_and_si256 as and, _mm256_andnot_si256 as and_not, _mm256_loadu_si256,
        _mm256_or_si256 as or, _mm256_storeu_si256, _mm256_xor_si256 as xor,
    };

    form!("avx2");

    #[inline]
    #[target_feature(enable = "avx2")]
    fn load(bytes: &[u8; BYTES]) -> Vector {
        // SAFETY: as many bytes as the load asks for.
        unsafe { _mm256_loadu_si256(bytes.as_ptr().cast()) }
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    fn store(to: &mut [MaybeUninit<u8>; BYTES], vector: Vector) {
        // SAFETY: as many bytes as are written.
        unsafe { _mm256_storeu_si256(to.as_mut_ptr().cast(), vector) }
    }
}

#[cfg(target_arch = "x86_64")]
mod avx512 {
    use super::super::prefetch_ahead as ahead;
    use std::arch::x86_64::{
        __m512i as Vector, _mm512_and_si512 as and, _mm512_andnot_si512 as and_not, _mm512_loadu_si512,
        _mm512_or_si512 as or, _mm512_storeu_si512, _mm512_xor_si512 as xor,
    };

    form!("avx512f");

    #[inline]
    #[target_feature(enable = "avx512f")]
    fn load(bytes: &[u8; BYTES]) -> Vector {
        // SAFETY: as many bytes as the load asks for.
        unsafe { _mm512_loadu_si512(bytes.as_ptr().cast()) }
    }

    #[inline]
    #[target_feature(enable = "avx512f")]
    fn store(to: &mut [MaybeUninit<u8>; BYTES], vector: Vector) {
        // SAFETY: as many bytes as are written.
        unsafe { _mm512_storeu_si512(to.as_mut_ptr().cast(), vector) }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{random, widths};
    use super::*;
    use crate::util::rng::Rng;

    const ALL: [Combine; 8] = [
        Combine::And,
        Combine::Or,
        Combine::Xor,
        Combine::Not,
        Combine::Diff,
        Combine::Diff1,
        Combine::AndOr,
        Combine::One,
    ];

    /// One byte of the result, bit by bit.
    fn expected(how: Combine, bytes: &[u8]) -> u8 {
        (0..8).fold(0, |result, bit| {
            let set = |byte: &u8| byte >> bit & 1 == 1;
            let (first, count) = (set(&bytes[0]), bytes.iter().filter(|byte| set(byte)).count());
            let others = count - usize::from(first);
            let set = match how {
                Combine::And => count == bytes.len(),
                Combine::Or => count > 0,
                Combine::Xor => count % 2 == 1,
                Combine::Not => !first,
                Combine::Diff => first && others == 0,
                Combine::Diff1 => !first && others > 0,
                Combine::AndOr => first && others > 0,
                Combine::One => count == 1,
            };
            result | u8::from(set) << bit
        })
    }

    #[test]
    fn every_width_agrees_with_bit_by_bit() {
        let mut rng = Rng::from_seed(1);
        let lengths: Vec<usize> = if cfg!(miri) { vec![0, 3, 40, 65] } else { (0..=300).chain([511, 1030]).collect() };
        for width in widths() {
            for len in &lengths {
                let ways = 1 + (len % 8);
                let texts: Vec<Vec<u8>> = (0..ways).map(|_| random(&mut rng, len + 64)).collect();
                let parts: Vec<&[u8]> =
                    texts.iter().enumerate().map(|(i, text)| &text[(i * 13 + len) % 64..][..*len]).collect();
                for how in ALL {
                    let mut out = Vec::with_capacity(*len);
                    combine_with(width, how, &parts, &mut out.spare_capacity_mut()[..*len]);
                    // SAFETY: all of it was written.
                    unsafe { out.set_len(*len) };
                    for at in 0..*len {
                        let bytes: Vec<u8> = parts.iter().map(|part| part[at]).collect();
                        assert_eq!(out[at], expected(how, &bytes), "{width:?} {how:?}, {ways} of {len} bytes, at {at}");
                    }
                }
            }
        }
    }
}
