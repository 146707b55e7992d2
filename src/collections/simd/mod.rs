//! Loops over many bytes, in the widest form that the processor has.
//!
//! The release is built for any x86-64, whose common ground is sixteen bytes at a time and no instruction that counts
//! bits. What walks whole strings is therefore compiled several times, and which form runs is asked at the call:
//!
//! | width | needs | for |
//! | --- | --- | --- |
//! | portable | nothing; other architectures have only this | every loop, and the tests' measure of the others |
//! | AVX2 | AVX2, and PCLMULQDQ for checksums | since 2013 |
//! | AVX-512 | F, BW, VL, VBMI, VPOPCNTDQ, VPCLMULQDQ | since 2019 |
//!
//! The only `unsafe` there is: loads and stores through pointers, each from a chunk whose length is its type; and the
//! calls of functions that need a feature, each behind [`width`] saying that it is there. Every form is compared with
//! the portable one, or with the obvious loop, at all lengths and offsets. Miri has no such features, so it runs the
//! portable forms.

pub mod bits;
pub mod combine;
pub mod crc64;
pub mod registers;

/// The forms that there are, each a part of the next.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Width {
    Portable,
    Avx2,
    Avx512,
}

/// The widest form that runs here. The features were asked once; this reads a few bits of a static.
#[inline]
pub fn width() -> Width {
    #[cfg(target_arch = "x86_64")]
    {
        // One question for the common case: whatever has the last feature of a row has those before it, but a
        // hypervisor may hide any of them.
        if is_x86_feature_detected!("avx512vpopcntdq")
            && is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("avx512vl")
            && is_x86_feature_detected!("avx512vbmi")
            && is_x86_feature_detected!("vpclmulqdq")
            && is_x86_feature_detected!("pclmulqdq")
            && is_x86_feature_detected!("avx2")
        {
            return Width::Avx512;
        }
        if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("pclmulqdq") {
            return Width::Avx2;
        }
    }
    Width::Portable
}

/// Part `i` of `bytes`, in parts of `N`. Written out, and always inlined, because what iterators are made of is not
/// reliably inlined into functions that have features of their own.
///
/// # Panics
///
/// When `bytes` has no such part; where both sizes are known nothing of that is left.
#[inline(always)]
fn part<const N: usize>(bytes: &[u8], i: usize) -> &[u8; N] {
    assert!(i < bytes.len() / N, "a part within the bytes");
    // SAFETY: all of part `i` lies within the bytes, for there are at least `i + 1` parts; an array of bytes needs no
    // alignment.
    unsafe { &*bytes.as_ptr().add(i * N).cast() }
}

/// How far ahead of the loop memory is asked for: what takes a few hundred nanoseconds to come.
const AHEAD: usize = 1024;

/// Asks for the lines of what lies [`AHEAD`] of a chunk. Beyond the end of a string that is a wasted question; pieces
/// of a rope that was one buffer lie one behind the other, and there it is the right one.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
fn prefetch_ahead<const N: usize>(chunk: &[u8; N]) {
    use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
    let mut line = 0;
    while line < N {
        // SAFETY: a prefetch never faults, whatever the address.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(chunk.as_ptr().wrapping_add(AHEAD + line).cast()) }
        line += 64;
    }
}

/// Asks for the beginning of what will be walked next: as much as [`prefetch_ahead`] would have asked for, had it lain
/// behind what is walked now.
#[inline]
pub fn prefetch_start(next: &[u8]) {
    #[cfg(target_arch = "x86_64")]
    for line in next[..next.len().min(AHEAD)].chunks(64) {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: a prefetch never faults, whatever the address.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(line.as_ptr().cast()) }
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = next;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::util::rng::Rng;

    /// Every form that this processor can run.
    pub(super) fn widths() -> impl Iterator<Item = Width> {
        [Width::Portable, Width::Avx2, Width::Avx512].into_iter().filter(|width| *width <= super::width())
    }

    pub(super) fn random(rng: &mut Rng, len: usize) -> Vec<u8> {
        (0..len).map(|_| rng.below(256) as u8).collect()
    }

    #[test]
    fn the_portable_form_is_always_there() {
        assert_eq!(widths().next(), Some(Width::Portable));
        assert_eq!(widths().last(), Some(width()));
    }
}
