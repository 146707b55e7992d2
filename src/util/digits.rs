//! The digits of a double, as Redis finds them.
//!
//! Redis prints doubles with Grisu2 (Florian Loitsch, *Printing floating-point numbers quickly and accurately with
//! integers*, PLDI 2010). Its digits always read back as the same double, and they are nearly always the fewest that do.
//! Where they are not (one double in a thousand), or where two texts of the same length are equally good, clients,
//! files and digests have what this very algorithm gives. So it is written down here with its roundings, and not
//! replaced by one that finds the fewest always.
//!
//! # The algorithm
//!
//! A double stands for an interval: all numbers nearer to it than to its neighbors. The double and both ends of the
//! interval are multiplied by a power of ten, known to 64 bits, which brings them to where the whole part has up to 32
//! bits. All three products are off by a little, so one unit is taken from either end. Then digits of the upper end are
//! written, from the first, until what is left out is smaller than the interval; and the last digit goes down as long as
//! that leads nearer to the double.
//!
//! Nearly all intervals are smaller than one. Then the whole part is written at once, and several digits of the
//! fraction: if what is left out after eight digits is not smaller than the interval, it was not after one to seven,
//! either.

use std::ops::Range;

/// Enough for the digits that are ever found: 17, and one block of eight that is begun behind the sixteenth.
const ROOM: usize = 32;

/// The digits of a positive double, and the power of ten of the last one.
pub(super) struct Digits {
    room: [u8; ROOM],
    count: usize,
    /// What the last digit counts.
    pub(super) power: i32,
}

impl Digits {
    /// The digits as text; the first one is not zero.
    pub(super) fn text(&self) -> &[u8] {
        &self.room[..self.count]
    }

    /// The digits of a double that is finite and greater than zero.
    #[inline]
    pub(super) fn of(value: f64) -> Digits {
        let scaled = Scaled::new(value);
        let mut digits = Digits { room: [b'0'; ROOM], count: 0, power: scaled.power };
        if scaled.width < scaled.one() {
            digits.narrow(scaled)
        } else {
            digits.wide(scaled)
        }
        digits
    }

    /// The interval is smaller than one.
    #[inline]
    fn narrow(&mut self, scaled: Scaled) {
        let Scaled { upper, mut width, mut to_value, shift, .. } = scaled;
        let (one, mask) = (scaled.one(), scaled.one() - 1);
        let (whole, mut rest) = ((upper >> shift) as u32, upper & mask);
        let mut text = itoa::Buffer::new();
        let text = text.format(whole).as_bytes();
        self.room[..text.len()].copy_from_slice(text);
        self.count = text.len();
        if rest <= width {
            // Nothing but the fraction is left out, and perhaps zeros before it.
            let zeros = text.iter().rev().take_while(|&&digit| digit == b'0').count();
            self.count -= zeros;
            self.power += zeros as i32;
            return;
        }
        for (block, ten) in [(8, 100_000_000), (4, 10_000)] {
            while width <= one / ten {
                let product = u128::from(rest) * u128::from(ten);
                let left = product as u64 & mask;
                if left < width * ten {
                    break;
                }
                self.push_block((product >> shift) as u32, block);
                (rest, width, to_value) = (left, width * ten, to_value * ten);
            }
        }
        loop {
            (rest, width, to_value) = (rest * 10, width * 10, to_value * 10);
            self.push((rest >> shift) as u8);
            self.power -= 1;
            rest &= mask;
            if rest < width {
                return self.approach(rest, one, width, to_value);
            }
        }
    }

    /// The interval is at least as large as one: the smallest of doubles only.
    #[cold]
    fn wide(&mut self, scaled: Scaled) {
        let Scaled { upper, width, to_value, shift, .. } = scaled;
        let (mut whole, rest) = (upper >> shift, upper & (scaled.one() - 1));
        for exponent in (0..10).rev() {
            let ten = 10u64.pow(exponent);
            if whole >= ten || self.count > 0 {
                self.push((whole / ten) as u8);
            }
            whole %= ten;
            let left = (whole << shift) + rest;
            if left <= width {
                self.power += exponent as i32;
                return self.approach(left, ten << shift, width, to_value);
            }
        }
        unreachable!("with the whole part written, less than one is left out");
    }

    /// Lowers the last digit, which counts `unit`, while that leads from the upper end nearer to the value and stays in
    /// the interval. `left` is how far below the upper end the digits are now.
    #[inline]
    fn approach(&mut self, mut left: u64, unit: u64, width: u64, to_value: u64) {
        while left < to_value
            && width - left >= unit
            && (left + unit < to_value || to_value - left > left + unit - to_value)
        {
            self.room[self.count - 1] -= 1;
            left += unit;
        }
    }

    #[inline]
    fn push(&mut self, digit: u8) {
        self.room[self.count] = b'0' + digit;
        self.count += 1;
    }

    /// Appends a number of that many digits, zeros at its front included.
    #[inline]
    fn push_block(&mut self, mut number: u32, digits: usize) {
        let block = &mut self.room[self.count..self.count + digits];
        for place in block.iter_mut().rev() {
            *place = b'0' + (number % 10) as u8;
            number /= 10;
        }
        self.count += digits;
        self.power -= digits as i32;
    }
}

/// An interval, multiplied by a power of ten, as integers with the point `shift` bits from the right.
struct Scaled {
    /// Its upper end.
    upper: u64,
    /// How far its lower end is from the upper one.
    width: u64,
    /// How far the double itself is from the upper end.
    to_value: u64,
    /// 32 to 60.
    shift: u32,
    /// The power of ten that takes it back.
    power: i32,
}

/// Bits of a double's fraction, without the leading one.
const FRACTION_BITS: u32 = f64::MANTISSA_DIGITS - 1;

impl Scaled {
    #[inline]
    fn new(value: f64) -> Scaled {
        let bits = value.to_bits();
        let hidden = 1u64 << FRACTION_BITS;
        let (fraction, biased) = (bits & (hidden - 1), (bits >> FRACTION_BITS) as i32);
        let (fraction, exponent) = if biased == 0 { (fraction, -1074) } else { (fraction | hidden, biased - 1075) };

        // All three with their leading bit, or what would be it, at the left.
        let zeros = fraction.leading_zeros();
        let middle = fraction << zeros;
        let half = 1u64 << (zeros - 1);
        // Below a power of two the neighbor is nearer.
        let lower = middle - if fraction == hidden { half / 2 } else { half };
        let exponent = exponent - zeros as i32;

        let (index, shift) = choose(exponent);
        let ten = TENS[index];
        let upper = round_up_high(middle + half, ten) - 1;
        Scaled {
            upper,
            width: upper - (round_up_high(lower, ten) + 1),
            to_value: upper - round_up_high(middle, ten),
            shift,
            power: -(TENS_FROM + TENS_STEP * index as i32),
        }
    }

    #[inline]
    fn one(&self) -> u64 {
        1 << self.shift
    }
}

/// The upper half of a product, rounded.
#[inline]
fn round_up_high(a: u64, b: u64) -> u64 {
    ((u128::from(a) * u128::from(b) + (1 << 63)) >> 64) as u64
}

/// Where the point may come to stand.
const SHIFT: Range<i32> = 32..61;

/// The power of ten for numbers with this exponent, and where the point stands in the product. Of two that would do,
/// it is the smaller one.
#[inline]
fn choose(exponent: i32) -> (usize, u32) {
    // The least power of two that does, then the least power of ten at or above it: 78913 / 2^18 is log10(2).
    let two = -SHIFT.end - exponent;
    let ten = -((-two * 78913) >> 18);
    let index = (ten - TENS_FROM + TENS_STEP - 1) / TENS_STEP;
    let shift = -(exponent + exponent_of_ten(TENS_FROM + TENS_STEP * index) + 64);
    debug_assert!(SHIFT.contains(&shift), "{exponent}: {shift}");
    (index as usize, shift as u32)
}

/// The exponent of a power of ten whose leading bit is at the left of 64: 217706 / 2^16 is log2(10).
#[inline]
fn exponent_of_ten(power: i32) -> i32 {
    ((power * 217706) >> 16) - 63
}

const TENS_FROM: i32 = -348;
const TENS_STEP: i32 = 8;

/// Every eighth power of ten from -348 on: its leading 64 bits, rounded.
#[rustfmt::skip]
const TENS: [u64; 87] = [
    0xfa8f_d5a0_081c_0288, 0xbaae_e17f_a23e_bf76, 0x8b16_fb20_3055_ac76, 0xcf42_894a_5dce_35ea,
    0x9a6b_b0aa_5565_3b2d, 0xe61a_cf03_3d1a_45df, 0xab70_fe17_c79a_c6ca, 0xff77_b1fc_bebc_dc4f,
    0xbe56_91ef_416b_d60c, 0x8dd0_1fad_907f_fc3c, 0xd351_5c28_3155_9a83, 0x9d71_ac8f_ada6_c9b5,
    0xea9c_2277_23ee_8bcb, 0xaecc_4991_4078_536d, 0x823c_1279_5db6_ce57, 0xc210_9436_4dfb_5637,
    0x9096_ea6f_3848_984f, 0xd774_85cb_2582_3ac7, 0xa086_cfcd_97bf_97f4, 0xef34_0a98_172a_ace5,
    0xb238_67fb_2a35_b28e, 0x84c8_d4df_d2c6_3f3b, 0xc5dd_4427_1ad3_cdba, 0x936b_9fce_bb25_c996,
    0xdbac_6c24_7d62_a584, 0xa3ab_6658_0d5f_daf6, 0xf3e2_f893_dec3_f126, 0xb5b5_ada8_aaff_80b8,
    0x8762_5f05_6c7c_4a8b, 0xc9bc_ff60_34c1_3053, 0x964e_858c_91ba_2655, 0xdff9_7724_7029_7ebd,
    0xa6df_bd9f_b8e5_b88f, 0xf8a9_5fcf_8874_7d94, 0xb944_7093_8fa8_9bcf, 0x8a08_f0f8_bf0f_156b,
    0xcdb0_2555_6531_31b6, 0x993f_e2c6_d07b_7fac, 0xe45c_10c4_2a2b_3b06, 0xaa24_2499_6973_92d3,
    0xfd87_b5f2_8300_ca0e, 0xbce5_0864_9211_1aeb, 0x8cbc_cc09_6f50_88cc, 0xd1b7_1758_e219_652c,
    0x9c40_0000_0000_0000, 0xe8d4_a510_0000_0000, 0xad78_ebc5_ac62_0000, 0x813f_3978_f894_0984,
    0xc097_ce7b_c907_15b3, 0x8f7e_32ce_7bea_5c70, 0xd5d2_38a4_abe9_8068, 0x9f4f_2726_179a_2245,
    0xed63_a231_d4c4_fb27, 0xb0de_6538_8cc8_ada8, 0x83c7_088e_1aab_65db, 0xc45d_1df9_4271_1d9a,
    0x924d_692c_a61b_e758, 0xda01_ee64_1a70_8dea, 0xa26d_a399_9aef_774a, 0xf209_787b_b47d_6b85,
    0xb454_e4a1_79dd_1877, 0x865b_8692_5b9b_c5c2, 0xc835_53c5_c896_5d3d, 0x952a_b45c_fa97_a0b3,
    0xde46_9fbd_99a0_5fe3, 0xa59b_c234_db39_8c25, 0xf6c6_9a72_a398_9f5c, 0xb7dc_bf53_54e9_bece,
    0x88fc_f317_f222_41e2, 0xcc20_ce9b_d35c_78a5, 0x9816_5af3_7b21_53df, 0xe2a0_b5dc_971f_303a,
    0xa8d9_d153_5ce3_b396, 0xfb9b_7cd9_a4a7_443c, 0xbb76_4c4c_a7a4_4410, 0x8bab_8eef_b640_9c1a,
    0xd01f_ef10_a657_842c, 0x9b10_a4e5_e991_3129, 0xe710_9bfb_a19c_0c9d, 0xac28_20d9_623b_f429,
    0x8044_4b5e_7aa7_cf85, 0xbf21_e440_03ac_dd2d, 0x8e67_9c2f_5e44_ff8f, 0xd433_179d_9c8c_b841,
    0x9e19_db92_b4e3_1ba9, 0xeb96_bf6e_badf_77d9, 0xaf87_023b_9bf0_ee6b,
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::util::rng::Rng;

    fn spelled(value: f64) -> String {
        let digits = Digits::of(value);
        format!("{}e{}", std::str::from_utf8(digits.text()).unwrap(), digits.power)
    }

    /// The algorithm of the paper, one digit after the other.
    fn slowly(value: f64) -> Digits {
        let scaled = Scaled::new(value);
        let one = scaled.one();
        let mut digits = Digits { room: [b'0'; ROOM], count: 0, power: scaled.power };
        let (mut whole, mut rest) = (scaled.upper >> scaled.shift, scaled.upper & (one - 1));
        for exponent in (0..10).rev() {
            let ten = 10u64.pow(exponent);
            if whole >= ten || digits.count > 0 {
                digits.push((whole / ten) as u8);
            }
            whole %= ten;
            let left = (whole << scaled.shift) + rest;
            if left <= scaled.width {
                digits.power += exponent as i32;
                digits.approach(left, ten << scaled.shift, scaled.width, scaled.to_value);
                return digits;
            }
        }
        let (mut width, mut to_value) = (scaled.width, scaled.to_value);
        loop {
            (rest, width, to_value) = (rest * 10, width * 10, to_value * 10);
            digits.push((rest >> scaled.shift) as u8);
            digits.power -= 1;
            rest &= one - 1;
            if rest < width {
                digits.approach(rest, one, width, to_value);
                return digits;
            }
        }
    }

    #[test]
    fn what_redis_prints() {
        for (value, digits) in [
            (1.0, "1e0"),
            (0.1, "1e-1"),
            (3.25, "325e-2"),
            // As near to one as to the other: Grisu2 takes the smaller one, others the even one.
            (1501200421007884.8, "15012004210078847e-1"),
            // One digit more than is needed.
            (1e23, "9999999999999999e7"),
            (1e22, "1e22"),
            (9007199254740992.0, "9007199254740992e0"),
            (f64::MAX, "17976931348623157e292"),
            (f64::MIN_POSITIVE, "22250738585072014e-324"),
            (5e-324, "5e-324"),
            (1e-323, "1e-323"),
        ] {
            assert_eq!(spelled(value), digits, "{value}");
        }
    }

    #[test]
    fn they_read_back() {
        let mut rng = Rng::from_seed(1);
        for round in 0..200_000 {
            let value = f64::from_bits(match round % 4 {
                0 => rng.next_u64() >> 1,
                1 => rng.next_u64() >> 12, // subnormal
                2 => (rng.below(100_000) as f64 / 100.0 + 1.0).to_bits(),
                _ => ((1u64 << 53) as f64 + rng.next_u64() as f64).to_bits(),
            });
            if value.is_finite() && value > 0.0 {
                assert_eq!(spelled(value).parse(), Ok(value), "{value}");
                let (fast, slow) = (Digits::of(value), slowly(value));
                assert_eq!((fast.text(), fast.power), (slow.text(), slow.power), "{value}");
            }
        }
    }

    #[test]
    fn powers_of_two_and_ten_and_what_is_beside_them() {
        let twos = (0..2046u64).map(|exponent| f64::from_bits(exponent << 52));
        let tens = (-323..309).map(|power| format!("1e{power}").parse::<f64>().unwrap());
        for value in twos.chain(tens).flat_map(|value| [value, value.next_up(), value.next_down()]) {
            if value > 0.0 {
                assert_eq!(spelled(value).parse(), Ok(value), "{value}");
                let (fast, slow) = (Digits::of(value), slowly(value));
                assert_eq!((fast.text(), fast.power), (slow.text(), slow.power), "{value}");
            }
        }
    }

    #[test]
    fn the_least_power_of_ten_is_chosen() {
        for exponent in -1137..=960 {
            let does = |index: i32| exponent + exponent_of_ten(TENS_FROM + TENS_STEP * index) + 64 > -SHIFT.end;
            let first = (0..TENS.len() as i32).find(|&index| does(index)).unwrap();
            let (index, shift) = choose(exponent);
            assert_eq!(index, first as usize, "{exponent}");
            assert!(SHIFT.contains(&(shift as i32)), "{exponent}");
        }
    }

    /// Long division by hand: the leading 64 bits of a power of ten, rounded, and their exponent.
    fn ten_to(power: i32) -> (u64, i32) {
        // A number of 1300 bits as limbs of 32, the lowest first; below zero, 2^1300 is divided by the power.
        const SPARE: usize = 1300 / 32;
        let mut limbs = vec![0u32; 2 * SPARE];
        limbs[if power < 0 { 2 * SPARE - 1 } else { 0 }] = 1;
        let below = power < 0;
        let mut inexact = false;
        for _ in 0..power.unsigned_abs() {
            if below {
                let mut rest = 0u64;
                for limb in limbs.iter_mut().rev() {
                    let here = rest << 32 | u64::from(*limb);
                    *limb = (here / 10) as u32;
                    rest = here % 10;
                }
                inexact |= rest != 0;
            } else {
                let mut carry = 0u64;
                for limb in &mut limbs {
                    let here = u64::from(*limb) * 10 + carry;
                    *limb = here as u32;
                    carry = here >> 32;
                }
                assert_eq!(carry, 0);
            }
        }
        let bit = |at: i32| u64::from(at >= 0 && limbs[at as usize / 32] >> (at % 32) & 1 == 1);
        let top = (0..limbs.len() as i32 * 32).rev().find(|&at| bit(at) == 1).unwrap();
        let leading = (0..64).fold(0u64, |bits, place| bits << 1 | bit(top - place));
        let scale = if below { 32 * (2 * SPARE as i32 - 1) } else { 0 };
        assert!(!below || inexact);
        (leading + bit(top - 64), top - 63 - scale)
    }

    #[test]
    fn the_table_is_right() {
        for (index, &ten) in TENS.iter().enumerate() {
            let power = TENS_FROM + TENS_STEP * index as i32;
            assert_eq!((ten, exponent_of_ten(power)), ten_to(power), "{power}");
        }
    }
}
