//! The first word of a bucket: seven tags and a count, compared all at once.
//!
//! ```text
//! byte   0     1     2     3     4     5     6     7
//!      | tag | tag | tag | tag | tag | tag | tag | overflow |
//! ```
//!
//! A tag is the low byte of the hash (0 becomes 1; the position uses the high bits), and 0 says that the slot is
//! empty. `overflow` counts the elements that wanted this bucket or passed it, and live further on: a lookup that
//! meets a zero may stop. It saturates and then sticks at 255 until the segment is rebuilt.
//!
//! # Why the exact test
//!
//! The common trick to find a zero byte, `(x - 0x01..) & !x & 0x80..`, lets a borrow run into the next byte, and then
//! reports a byte of 1 as a zero too. As a filter before comparing keys that would do; but here a hit is a pointer
//! that is read, and the false hit could be an empty slot. `((x & 0x7f..) + 0x7f..) | x` has bit 7 set exactly in the
//! bytes that are not zero: the sum can not carry out of a byte.

/// Slots of a bucket.
pub(super) const SLOTS: usize = 7;

const TAGS: u64 = 0x00ff_ffff_ffff_ffff;
const LOW7: u64 = 0x007f_7f7f_7f7f_7f7f;
const HIGH: u64 = 0x0080_8080_8080_8080;
const ONES: u64 = 0x0001_0101_0101_0101;
const OVERFLOW_ONE: u64 = 1 << 56;
const OVERFLOW_MAX: u64 = 0xff << 56;

/// The tag of a hash: never 0.
#[inline(always)]
pub(super) fn tag_of(hash: u64) -> u8 {
    let tag = hash as u8;
    tag + u8::from(tag == 0)
}

/// A set of slots of one bucket: bit 7 of each slot's byte.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Slots(u64);

impl Iterator for Slots {
    type Item = usize;

    #[inline(always)]
    fn next(&mut self) -> Option<usize> {
        if self.0 == 0 {
            return None;
        }
        let slot = self.0.trailing_zeros() as usize >> 3;
        self.0 &= self.0 - 1;
        Some(slot)
    }
}

/// The slots with this tag (or, for tag 0, the empty ones).
#[inline(always)]
pub(super) fn slots_with(word: u64, tag: u8) -> Slots {
    let x = (word & TAGS) ^ (ONES * tag as u64);
    Slots(!(((x & LOW7) + LOW7) | x) & HIGH)
}

/// The slots that hold an element.
#[inline(always)]
pub(super) fn occupied(word: u64) -> Slots {
    Slots((((word & LOW7) + LOW7) | word) & HIGH)
}

#[inline(always)]
pub(super) fn first_empty(word: u64) -> Option<usize> {
    slots_with(word, 0).next()
}

#[inline(always)]
pub(super) fn is_occupied(word: u64, slot: usize) -> bool {
    word >> (8 * slot) & 0xff != 0
}

#[inline(always)]
pub(super) fn with_tag(word: u64, slot: usize, tag: u8) -> u64 {
    debug_assert!(!is_occupied(word, slot) && tag != 0);
    word | (tag as u64) << (8 * slot)
}

#[inline(always)]
pub(super) fn without_tag(word: u64, slot: usize) -> u64 {
    word & !(0xff << (8 * slot))
}

#[inline(always)]
pub(super) fn overflow(word: u64) -> u8 {
    (word >> 56) as u8
}

#[inline(always)]
pub(super) fn overflow_up(word: u64) -> u64 {
    if word >= OVERFLOW_MAX { word } else { word + OVERFLOW_ONE }
}

#[inline(always)]
pub(super) fn overflow_down(word: u64) -> u64 {
    debug_assert!(overflow(word) != 0);
    if word >= OVERFLOW_MAX { word } else { word - OVERFLOW_ONE }
}

/// A lookup never stops at this bucket.
#[inline(always)]
pub(super) fn overflow_stuck(word: u64) -> u64 {
    word | OVERFLOW_MAX
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exactly_the_equal_bytes_are_found() {
        // Every tag against words full of its neighbours, with the borrow trick's false positives among them.
        let mut state = 1u64;
        for _ in 0..if cfg!(miri) { 50 } else { 2_000 } {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            let mut bytes = state.to_le_bytes();
            for (at, byte) in bytes.iter_mut().enumerate().take(7) {
                if (state >> (8 * at)) & 3 == 0 {
                    *byte = 0;
                }
            }
            let word = u64::from_le_bytes(bytes);
            for tag in [0, 1, 2, 0x7f, 0x80, 0xff, bytes[3]] {
                let expected: Vec<usize> = (0..7).filter(|&at| bytes[at] == tag).collect();
                assert_eq!(slots_with(word, tag).collect::<Vec<_>>(), expected, "{word:x} {tag:x}");
            }
            let full: Vec<usize> = (0..7).filter(|&at| bytes[at] != 0).collect();
            assert_eq!(occupied(word).collect::<Vec<_>>(), full);
        }
    }

    #[test]
    fn overflow_saturates_and_sticks() {
        let mut word = with_tag(0, 3, 9);
        for n in 1..=300u32 {
            word = overflow_up(word);
            assert_eq!(u32::from(overflow(word)), n.min(255));
        }
        assert_eq!(overflow(overflow_down(word)), 255);
        let word = overflow_up(overflow_up(0));
        assert_eq!(overflow(overflow_down(word)), 1);
    }
}
