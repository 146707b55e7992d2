//! The 80-bit `long double` of x86, for `INCRBYFLOAT` and `HINCRBYFLOAT`.
//!
//! Redis adds these increments in `long double` and prints the sum with `%.17Lf`, so that `0.1` and `0.2` make `0.3`
//! and not `0.30000000000000004`. The results are stored, replicated and compared by clients, so they must be the
//! same bytes. Rust has no such type: the arithmetic is `rustc_apfloat`'s (a port of LLVM's, exact), and the printer
//! is below.
//!
//! # Printing
//!
//! A value is `m · 2^e` with a 64-bit `m`. What must come out is the nearest multiple of 10^-17, ties to even.
//!
//! * `e >= 0`: a whole number, up to 2^16384. Long multiplication in base 10^9.
//! * `e < 0`: the bits of `m` above the point are the whole part, at most 64 of them. Those below, `f`, make the
//!   fraction `f / 2^-e`; the digits wanted are `f · 10^17 / 2^-e`, rounded. `f < 2^64` and `10^17 < 2^57`, so the
//!   product fits 128 bits, and the division is a shift.

use rustc_apfloat::ieee::X87DoubleExtended;
use rustc_apfloat::{Float, Round};

use super::float::{Form, parse_hex, scan};
use super::num::push_u64;

/// Redis refuses longer texts without looking at them.
const TEXT_BYTES_MAX: usize = 5 * 1024;

/// Digits after the point.
const PLACES: usize = 17;
const ONE: u64 = 10u64.pow(PLACES as u32);

/// A `long double`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LongDouble(X87DoubleExtended);

impl LongDouble {
    /// The number that `text` spells, under the same rules as [`super::num::parse_f64`]; never a NaN.
    pub fn parse(text: &[u8]) -> Option<LongDouble> {
        if text.len() >= TEXT_BYTES_MAX {
            return None;
        }
        let shape = scan(text)?;
        let value = match shape.form {
            Form::Infinity { negative } => {
                let infinity = X87DoubleExtended::INFINITY;
                return Some(LongDouble(if negative { -infinity } else { infinity }));
            }
            Form::Hex => parse_hex(text, shape)?,
            Form::Decimal => {
                let text = std::str::from_utf8(text).ok()?;
                X87DoubleExtended::from_str_r(text, Round::NearestTiesToEven).ok()?.value
            }
        };
        let kept = !value.is_infinite() && (!value.is_zero() || !shape.nonzero);
        kept.then_some(LongDouble(value))
    }

    /// An integer, exactly: 64 bits are what the format has.
    pub fn from_i64(value: i64) -> LongDouble {
        LongDouble(X87DoubleExtended::from_i128(i128::from(value)).value)
    }

    /// The sum, rounded to nearest, ties to even.
    pub fn add(&self, other: LongDouble) -> LongDouble {
        LongDouble(self.0.add_r(other.0, Round::NearestTiesToEven).value)
    }

    /// Whether this is no number: infinity less infinity.
    pub fn is_nan(self) -> bool {
        self.0.is_nan()
    }

    /// Whether this is an infinity.
    pub fn is_infinite(self) -> bool {
        self.0.is_infinite()
    }

    /// Appends the value with 17 digits after the point, less the zeros at the end: `3`, `0.3`, `-1.5`.
    pub fn push_human(&self, out: &mut Vec<u8>) {
        if self.0.is_nan() {
            return out.extend_from_slice(b"nan");
        }
        let bits = self.0.to_bits();
        let (negative, biased, m) = (bits >> 79 & 1 == 1, (bits >> 64 & 0x7fff) as i32, bits as u64);
        if self.0.is_infinite() {
            return out.extend_from_slice(if negative { b"-inf" } else { b"inf" });
        }
        let start = out.len();
        if negative {
            out.push(b'-');
        }
        let digits = out.len();
        // A biased exponent of 0 means the same scale as 1, without the leading bit.
        let exponent = biased.max(1) - 16383 - 63;
        if exponent >= 0 {
            push_scaled(out, m, exponent as u32);
        } else {
            push_point(out, m, exponent.unsigned_abs());
        }
        if negative && out[digits..] == *b"0" {
            out.remove(start); // what rounds to zero has no sign
        }
    }
}

/// Appends `m / 2^shift`.
fn push_point(out: &mut Vec<u8>, m: u64, shift: u32) {
    let (mut whole, fraction) = match shift {
        0..64 => (m >> shift, m & ((1 << shift) - 1)),
        _ => (0, m),
    };
    let product = u128::from(fraction) * u128::from(ONE);
    // Below a quarter of the last place from here on; a shift by 128 or more would not be defined.
    let mut places = 0;
    if shift < 123 {
        places = (product >> shift) as u64;
        let (rest, half) = (product & ((1 << shift) - 1), 1u128 << (shift - 1));
        if rest > half || rest == half && places & 1 == 1 {
            places += 1;
        }
    }
    if places == ONE {
        places = 0;
        whole += 1; // cannot overflow: with shift >= 1 the whole part has at most 63 bits
    }
    push_u64(out, whole);
    if places > 0 {
        out.push(b'.');
        let mut text = itoa::Buffer::new();
        let text = text.format(places).as_bytes();
        out.resize(out.len() + PLACES - text.len(), b'0');
        let end = text.iter().rposition(|&b| b != b'0').map_or(0, |last| last + 1);
        out.extend_from_slice(&text[..end]);
    }
}

/// Appends `m · 2^shift`, a whole number of up to 4933 digits.
fn push_scaled(out: &mut Vec<u8>, m: u64, mut shift: u32) {
    const BASE: u64 = 1_000_000_000;
    let mut limbs = vec![m % BASE, m / BASE % BASE, m / BASE / BASE]; // the least significant first
    while shift > 0 {
        let step = shift.min(32);
        let mut carry = 0;
        for limb in &mut limbs {
            let value = (*limb << step) + carry;
            (*limb, carry) = (value % BASE, value / BASE);
        }
        while carry > 0 {
            limbs.push(carry % BASE);
            carry /= BASE;
        }
        shift -= step;
    }
    while limbs.len() > 1 && limbs.last() == Some(&0) {
        limbs.pop();
    }
    let mut text = itoa::Buffer::new();
    for (i, limb) in limbs.iter().rev().enumerate() {
        let text = text.format(*limb).as_bytes();
        if i > 0 {
            out.resize(out.len() + 9 - text.len(), b'0');
        }
        out.extend_from_slice(text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> LongDouble {
        LongDouble::parse(text.as_bytes()).unwrap_or_else(|| panic!("{text} is a number"))
    }

    fn text(value: LongDouble) -> String {
        let mut out = b"x".to_vec();
        value.push_human(&mut out);
        String::from_utf8(out.split_off(1)).unwrap()
    }

    #[test]
    fn sums_people_expect() {
        for (a, b, sum) in [
            ("0.1", "0.2", "0.3"),
            ("10.50", "0.1", "10.6"),
            ("5.0e3", "2.0e2", "5200"),
            ("3", "-5.5", "-2.5"),
            ("0", "-0", "0"),
            ("-0", "-0", "0"),
            ("1e-18", "0", "0"),
            ("-1e-18", "0", "0"),
            ("5e-18", "0", "0"),
            ("6e-18", "0", "0.00000000000000001"),
            ("0.99999999999999999999", "0", "1"),
            ("1", "0x10", "17"),
            ("9223372036854775807", "0", "9223372036854775807"),
            ("18446744073709551615", "1", "18446744073709551616"),
            ("1e20", "0", "100000000000000000000"),
        ] {
            assert_eq!(text(parse(a).add(parse(b))), sum, "{a} + {b}");
        }
    }

    #[test]
    fn extremes() {
        let max = parse("1.18973149535723176502e+4932");
        let printed = text(max);
        assert_eq!(printed.len(), 4933);
        assert!(printed.starts_with("118973149535723176502126385303097"), "{printed}");
        assert!(max.add(max).is_infinite());
        assert_eq!(text(max.add(max)), "inf");
        assert!(parse("inf").add(parse("-inf")).is_nan());
        assert_eq!(text(parse("-inf")), "-inf");
        assert_eq!(text(parse("3.6e-4951")), "0");
        assert_eq!(text(parse("0x1p64")), "18446744073709551616");
        assert_eq!(text(LongDouble::from_i64(i64::MIN)), i64::MIN.to_string());
        assert_eq!(text(LongDouble::from_i64(0)), "0");
    }

    #[test]
    fn refused() {
        for text in ["", "nan", "1e5000", "1e-5000", " 1", "1 ", "abc", "0x", "1e"] {
            assert!(LongDouble::parse(text.as_bytes()).is_none(), "{text}");
        }
        assert!(LongDouble::parse(&[b'1'; TEXT_BYTES_MAX]).is_none());
        assert!(LongDouble::parse(&[b'1'; 4900]).is_some());
        assert!(LongDouble::parse(&[b'1'; 5000]).is_none()); // above the largest
    }

    #[test]
    fn absurd_texts_do_no_harm() {
        let long = format!("0.{}1", "0".repeat(5000));
        let many = format!("{}.{}e-{}", "9".repeat(2000), "9".repeat(2000), "9".repeat(500));
        for text in [
            &long,
            &many,
            "1e99999999999999999999",
            "1e-99999999999999999999",
            "0e99999999999999999999",
            "0x1p99999999999999999999",
            "0x0p9",
            "0x00000000000000000000000000000000000000000001p-16500",
        ] {
            let _ = LongDouble::parse(text.as_bytes());
            let _ = super::super::num::parse_f64(text.as_bytes());
        }
    }
}
