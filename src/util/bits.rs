//! Bits of byte strings: parts of bytes, and integers of any width at any bit.
//!
//! Bit 0 is the most significant bit of the first byte, as SETBIT numbers them. Counting, finding and combining, which
//! walk whole strings, are in `collections/simd/`.

use std::ops::Range;

/// What `byte`, which holds the bits `8 * index ..`, has of the bits in `range`; the others are `outside`.
#[inline]
pub fn within(byte: u8, index: u64, range: &Range<u64>, outside: bool) -> u8 {
    let first = index * 8;
    let mut mask = 0xff_u8;
    if range.start > first {
        mask &= 0xff_u16.unbounded_shr((range.start - first) as u32) as u8;
    }
    if range.end < first + 8 {
        mask &= !(0xff_u16.unbounded_shr(range.end.saturating_sub(first) as u32) as u8);
    }
    if outside { byte | !mask } else { byte & mask }
}

/// An integer's place in a string of bits.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Field {
    /// Its first bit.
    pub offset: u64,
    /// How many bits, 1 to 64.
    pub width: u32,
}

impl Field {
    /// Bytes that any field fits in, wherever in its first byte it begins.
    pub const WINDOW: usize = 9;

    /// The byte it begins in.
    pub fn byte(self) -> u64 {
        self.offset / 8
    }

    /// How many bytes it has a part in.
    pub fn bytes(self) -> usize {
        ((self.offset % 8) as usize + self.width as usize).div_ceil(8)
    }

    fn shift(self) -> u32 {
        128 - (self.offset % 8) as u32 - self.width
    }

    fn mask(self) -> u128 {
        u128::from(u64::MAX >> (64 - self.width)) << self.shift()
    }

    /// Its bits, read from the bytes that start at [`Field::byte`]; zero bytes follow those that are there.
    pub fn read(self, window: &[u8; Field::WINDOW]) -> u64 {
        ((wide(window) & self.mask()) >> self.shift()) as u64
    }

    /// Puts the lower bits of `value` in.
    pub fn write(self, window: &mut [u8; Field::WINDOW], value: u64) {
        let bits = (u128::from(value) << self.shift()) & self.mask();
        let wide = (wide(window) & !self.mask()) | bits;
        window.copy_from_slice(&wide.to_be_bytes()[..Field::WINDOW]);
    }
}

fn wide(window: &[u8; Field::WINDOW]) -> u128 {
    let mut bytes = [0; 16];
    bytes[..Field::WINDOW].copy_from_slice(window);
    u128::from_be_bytes(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::util::rng::Rng;

    fn bit(bytes: &[u8], at: u64) -> bool {
        bytes.get((at / 8) as usize).is_some_and(|byte| byte >> (7 - at % 8) & 1 == 1)
    }

    fn random(rng: &mut Rng, len: usize) -> Vec<u8> {
        (0..len).map(|_| rng.below(256) as u8).collect()
    }

    #[test]
    fn parts_of_a_byte() {
        for start in 16..24 {
            for end in start..=24 {
                for byte in [0x00, 0xff, 0xa5] {
                    for outside in [false, true] {
                        let got = within(byte, 2, &(start..end), outside);
                        let expected = (16..24).fold(0, |acc, at| {
                            let set = if (start..end).contains(&at) { bit(&[0, 0, byte], at) } else { outside };
                            acc << 1 | u8::from(set)
                        });
                        assert_eq!(got, expected, "{start}..{end} of {byte:x}");
                    }
                }
            }
        }
        assert_eq!(within(0xa5, 1, &(0..100), false), 0xa5);
        assert_eq!(within(0xa5, 9, &(0..10), true), 0xff);
    }

    #[test]
    fn fields_of_every_width_at_every_bit() {
        let mut rng = Rng::from_seed(2);
        for width in 1..=64 {
            for offset in 24..32 {
                let field = Field { offset, width };
                assert_eq!(field.byte(), 3);
                let mut window: [u8; Field::WINDOW] = random(&mut rng, 9).try_into().expect("nine");
                let before = window;
                let value = rng.below(u64::MAX) & (u64::MAX >> (64 - width));
                field.write(&mut window, u64::MAX);
                assert_eq!(field.read(&window), u64::MAX >> (64 - width));
                field.write(&mut window, value);
                assert_eq!(field.read(&window), value);
                for at in (0..72).filter(|at| !(offset - 24..offset - 24 + u64::from(width)).contains(at)) {
                    assert_eq!(bit(&window, at), bit(&before, at), "{width} bits at {offset}");
                }
                assert!(window[field.bytes()..] == before[field.bytes()..]);
            }
        }
    }
}
