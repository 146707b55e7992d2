//! Bits of byte strings: counting, finding, combining, and integers of any width at any bit.
//!
//! Bit 0 is the most significant bit of the first byte, as SETBIT numbers them. The loops run over words of eight bytes
//! or over plain slices, so that the compiler makes vector code of them.

use std::ops::Range;

/// How many bits are set.
pub fn count_ones(bytes: &[u8]) -> u64 {
    let (words, rest) = bytes.as_chunks::<8>();
    let in_words: u64 = words.iter().map(|word| u64::from(u64::from_ne_bytes(*word).count_ones())).sum();
    in_words + rest.iter().map(|byte| u64::from(byte.count_ones())).sum::<u64>()
}

/// The first bit with the value `bit`.
pub fn find(bytes: &[u8], bit: bool) -> Option<u64> {
    let (dull_word, dull_byte) = if bit { (0, 0) } else { (u64::MAX, u8::MAX) };
    let (words, rest) = bytes.as_chunks::<8>();
    let in_word = |word: u64| if bit { word.leading_zeros() } else { word.leading_ones() };
    if let Some(at) = words.iter().position(|word| u64::from_ne_bytes(*word) != dull_word) {
        return Some(at as u64 * 64 + u64::from(in_word(u64::from_be_bytes(words[at]))));
    }
    let at = rest.iter().position(|byte| *byte != dull_byte)?;
    let in_byte = if bit { rest[at].leading_zeros() } else { rest[at].leading_ones() };
    Some((words.len() * 8 + at) as u64 * 8 + u64::from(in_byte))
}

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

/// A way to combine strings, bit by bit. Strings that are too short go on with zeros.
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

impl Combine {
    /// Combines `sources`, each at most as long as `out`, into `out`. `room` is as long as `out`, for intermediate
    /// results.
    pub fn into<'s>(self, out: &mut [u8], room: &mut [u8], mut sources: impl Iterator<Item = &'s [u8]>) {
        let first = sources.next().unwrap_or(b"");
        match self {
            Combine::And => {
                assign(out, first);
                sources.for_each(|source| and(out, source));
            }
            Combine::Or => {
                assign(out, first);
                sources.for_each(|source| zip(out, source, |a, b| a | b));
            }
            Combine::Xor => {
                assign(out, first);
                sources.for_each(|source| zip(out, source, |a, b| a ^ b));
            }
            Combine::Not => {
                assign(out, first);
                out.iter_mut().for_each(|byte| *byte = !*byte);
            }
            Combine::Diff | Combine::Diff1 | Combine::AndOr => {
                out.fill(0);
                sources.for_each(|source| zip(out, source, |a, b| a | b));
                assign(room, first);
                match self {
                    Combine::Diff => zip(out, room, |any, x| x & !any),
                    Combine::Diff1 => zip(out, room, |any, x| any & !x),
                    _ => zip(out, room, |any, x| any & x),
                }
            }
            Combine::One => {
                assign(out, first); // those in one or more
                room.fill(0); // those in two or more
                for source in sources {
                    for ((one, two), byte) in out.iter_mut().zip(room.iter_mut()).zip(source) {
                        *two |= *one & byte;
                        *one |= byte;
                    }
                }
                zip(out, room, |one, two| one & !two);
            }
        }
    }
}

fn assign(out: &mut [u8], source: &[u8]) {
    let (now, rest) = out.split_at_mut(source.len());
    now.copy_from_slice(source);
    rest.fill(0);
}

fn and(out: &mut [u8], source: &[u8]) {
    zip(out, source, |a, b| a & b);
    out[source.len()..].fill(0);
}

#[inline]
fn zip(out: &mut [u8], source: &[u8], f: impl Fn(u8, u8) -> u8) {
    out.iter_mut().zip(source).for_each(|(a, b)| *a = f(*a, *b));
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
    fn counting_and_finding_agree_with_bit_by_bit() {
        let mut rng = Rng::from_seed(1);
        for len in 0..40 {
            let noise = random(&mut rng, len);
            assert_eq!(count_ones(&noise), (0..len as u64 * 8).filter(|at| bit(&noise, *at)).count() as u64);
            for wanted in [false, true] {
                let mut flat = vec![if wanted { 0 } else { 0xff }; len];
                assert_eq!(find(&flat, wanted), None);
                for at in 0..len as u64 * 8 {
                    flat[(at / 8) as usize] ^= 1 << (7 - at % 8);
                    assert_eq!(find(&flat, wanted), Some(at), "{len}");
                    flat[(at / 8) as usize] ^= 1 << (7 - at % 8);
                }
            }
        }
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

    #[test]
    fn combinations_agree_with_bit_by_bit() {
        let mut rng = Rng::from_seed(3);
        for ways in 1..5 {
            for _ in 0..20 {
                let sources: Vec<Vec<u8>> = (0..ways)
                    .map(|_| {
                        let len = rng.below(30) as usize;
                        random(&mut rng, len)
                    })
                    .collect();
                let len = sources.iter().map(Vec::len).max().unwrap_or(0);
                let others = |at| sources[1..].iter().any(|s| bit(s, at));
                for how in [
                    Combine::And,
                    Combine::Or,
                    Combine::Xor,
                    Combine::Not,
                    Combine::Diff,
                    Combine::Diff1,
                    Combine::AndOr,
                    Combine::One,
                ] {
                    let (mut out, mut room) = (vec![0x5a; len], vec![0x5a; len]);
                    how.into(&mut out, &mut room, sources.iter().map(|s| &s[..]));
                    for at in 0..len as u64 * 8 {
                        let set = sources.iter().filter(|s| bit(s, at)).count();
                        let first = bit(&sources[0], at);
                        let expected = match how {
                            Combine::And => set == sources.len(),
                            Combine::Or => set > 0,
                            Combine::Xor => set % 2 == 1,
                            Combine::Not => !first,
                            Combine::Diff => first && !others(at),
                            Combine::Diff1 => !first && others(at),
                            Combine::AndOr => first && others(at),
                            Combine::One => set == 1,
                        };
                        assert_eq!(bit(&out, at), expected, "{how:?} of {sources:?} at {at}");
                    }
                }
            }
        }
    }
}
