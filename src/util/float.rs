//! Floating point text: what Redis accepts for a double, and how it prints one.
//!
//! # Reading
//!
//! Redis gives the text to C's `strtod` and then objects to some of what C allows. The grammar is written down here
//! once, in [`scan`], for doubles and for long doubles:
//!
//! * a sign, plus or minus; digits with or without a point, at least one of them; an exponent;
//! * `0x`, hexadecimal digits with or without a point, a binary exponent `p3`;
//! * `inf` and `infinity` in any case;
//! * nothing else: no blanks, no `nan`, nothing after the number.
//!
//! What rounds to infinity, or to zero without being zero, is not a number that can be kept: refused.
//!
//! # Printing
//!
//! Whole numbers up to half the range of an `i64` print as integers. Everything else prints the digits that Redis finds
//! (`digits.rs`), laid out as Redis lays them out: plainly while the exponent is moderate, else `1.5e+25`.

use super::digits::Digits;
use rustc_apfloat::Float;
use rustc_apfloat::ieee::Double;

/// A text that is a number in shape.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Shape {
    pub(super) form: Form,
    /// Whether some digit of it is not zero: then a value of zero has lost everything.
    pub(super) nonzero: bool,
    /// Whether a binary exponent is written (hexadecimal only).
    pub(super) exponent: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    Decimal,
    Hex,
    Infinity { negative: bool },
}

/// Checks the grammar of the header, over the whole of `text`.
pub(super) fn scan(text: &[u8]) -> Option<Shape> {
    let (negative, body) = match text {
        [b'-', body @ ..] => (true, body),
        [b'+', body @ ..] => (false, body),
        body => (false, body),
    };
    if body.eq_ignore_ascii_case(b"inf") || body.eq_ignore_ascii_case(b"infinity") {
        return Some(Shape { form: Form::Infinity { negative }, nonzero: true, exponent: false });
    }
    match body {
        [b'0', b'x' | b'X', digits @ ..] => scan_digits(digits, u8::is_ascii_hexdigit, b'p', Form::Hex),
        digits => scan_digits(digits, u8::is_ascii_digit, b'e', Form::Decimal),
    }
}

fn scan_digits(text: &[u8], is_digit: fn(&u8) -> bool, marker: u8, form: Form) -> Option<Shape> {
    let (mut digits, mut points, mut nonzero) = (0, 0, false);
    let mut rest = text;
    while let [byte, tail @ ..] = rest {
        if is_digit(byte) {
            digits += 1;
            nonzero |= *byte != b'0';
        } else if *byte == b'.' && points == 0 {
            points = 1;
        } else {
            break;
        }
        rest = tail;
    }
    if digits == 0 {
        return None;
    }
    let exponent = match rest {
        [] => false,
        [m, b'+' | b'-', power @ ..] | [m, power @ ..] if m.eq_ignore_ascii_case(&marker) => {
            if power.is_empty() || !power.iter().all(u8::is_ascii_digit) {
                return None;
            }
            true
        }
        _ => return None,
    };
    Some(Shape { form, nonzero, exponent })
}

/// The double that `text` spells, in one of the forms that Redis takes; never a NaN.
pub fn parse_f64(text: &[u8]) -> Option<f64> {
    // The common case first: a short run of digits needs no grammar.
    if text.len() <= 15
        && let Some(integer) = super::num::parse_i64(text)
    {
        return Some(integer as f64);
    }
    let shape = scan(text)?;
    let value = match shape.form {
        Form::Infinity { negative } => return Some(if negative { f64::NEG_INFINITY } else { f64::INFINITY }),
        Form::Decimal => {
            let unsigned = text.strip_prefix(b"+").unwrap_or(text);
            fast_float2::parse(unsigned).ok()?
        }
        Form::Hex => f64::from_bits(parse_hex::<Double>(text, shape)?.to_bits() as u64),
    };
    (value.is_finite() && (value != 0.0 || !shape.nonzero)).then_some(value)
}

/// The double that `text` spells in decimal, as SORT reads it: what is too large or too small for a double becomes
/// infinite or zero. Never a NaN.
pub fn parse_decimal_f64(text: &[u8]) -> Option<f64> {
    let unsigned = match text {
        [b'+', b'+' | b'-', ..] => return None,
        [b'+', rest @ ..] => rest,
        _ => text,
    };
    fast_float2::parse(unsigned).ok().filter(|value: &f64| !value.is_nan())
}

/// Reads a hexadecimal number whose grammar was checked.
pub(super) fn parse_hex<F: Float>(text: &[u8], shape: Shape) -> Option<F> {
    let mut text = String::from_utf8(text.to_vec()).ok()?;
    if !shape.exponent {
        text.push_str("p0");
    }
    Some(F::from_str_r(&text, rustc_apfloat::Round::NearestTiesToEven).ok()?.value)
}

/// Appends `value` as Redis 8 prints doubles: `3`, `0.1`, `1e+21`, `-0`, `inf`, `nan`.
pub fn push_f64(out: &mut Vec<u8>, value: f64) {
    if !value.is_finite() {
        out.extend_from_slice(match value {
            v if v.is_nan() => b"nan",
            v if v > 0.0 => b"inf",
            _ => b"-inf",
        });
        return;
    }
    if value == 0.0 {
        out.extend_from_slice(if value.is_sign_negative() { b"-0" } else { b"0" });
        return;
    }
    // Half the range of i64: beyond it the cast would have to be checked for more than equality.
    if value.abs() <= (i64::MAX / 2) as f64 && (value as i64) as f64 == value {
        super::num::push_i64(out, value as i64);
        return;
    }
    push_digits(out, value);
}

/// Appends `value` by its digits alone: above 2^53 it may differ from [`push_f64`], which prints whole numbers in full.
/// Redis digests scores in this form.
pub fn push_f64_by_digits(out: &mut Vec<u8>, value: f64) {
    if value.is_finite() && value != 0.0 { push_digits(out, value) } else { push_f64(out, value) }
}

fn push_digits(out: &mut Vec<u8>, value: f64) {
    if value < 0.0 {
        out.push(b'-');
    }
    let found = Digits::of(value.abs());
    let (digits, count, power) = (found.text(), found.text().len(), found.power);
    // The value is 0.d1d2d3... times 10 to `point`: where the point stands among the digits.
    let point = power + count as i32;
    let magnitude = (point - 1).unsigned_abs() as usize;
    if power >= 0 && magnitude < count + 7 {
        out.extend_from_slice(digits);
        out.resize(out.len() + power as usize, b'0');
    } else if power < 0 && (power > -7 || magnitude < 4) {
        if point <= 0 {
            out.extend_from_slice(b"0.");
            out.resize(out.len() + point.unsigned_abs() as usize, b'0');
            out.extend_from_slice(digits);
        } else {
            let (whole, fraction) = digits.split_at(point as usize);
            out.extend_from_slice(whole);
            out.push(b'.');
            out.extend_from_slice(fraction);
        }
    } else {
        out.push(digits[0]);
        if count > 1 {
            out.push(b'.');
            out.extend_from_slice(&digits[1..]);
        }
        out.extend_from_slice(if point - 1 < 0 { b"e-" } else { b"e+" });
        super::num::push_u64(out, magnitude as u64);
    }
}

/// Appends `value` with 17 significant digits at most, as C's `%.17g` prints it: digests are made of such texts.
pub fn push_f64_17(out: &mut Vec<u8>, value: f64) {
    if !value.is_finite() {
        return push_f64(out, value);
    }
    let spelled = format!("{value:.16e}");
    let (digits, power) = spelled.split_once('e').expect("the format has an exponent");
    let power: i32 = power.parse().expect("an exponent is a small number");
    if (-4..17).contains(&power) {
        let decimals = (16 - power) as usize;
        let plain = format!("{value:.decimals$}");
        out.extend_from_slice(without_zeros(&plain).as_bytes());
    } else {
        let sign = if power < 0 { '-' } else { '+' };
        out.extend_from_slice(format!("{}e{sign}{:02}", without_zeros(digits), power.abs()).as_bytes());
    }
}

/// Drops zeros at the end of a fraction, and its point if nothing is left.
fn without_zeros(number: &str) -> &str {
    if number.contains('.') { number.trim_end_matches('0').trim_end_matches('.') } else { number }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(value: f64) -> String {
        let mut out = Vec::new();
        push_f64(&mut out, value);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn accepted() {
        for (text, value) in [
            ("0", 0.0),
            ("3", 3.0),
            ("-3.5", -3.5),
            ("+1", 1.0),
            ("00012", 12.0),
            ("1.", 1.0),
            (".5", 0.5),
            ("1e3", 1000.0),
            ("1E+3", 1000.0),
            ("1e-3", 0.001),
            ("0x10", 16.0),
            ("-0X1.8p1", -3.0),
            ("0x.8", 0.5),
            ("inf", f64::INFINITY),
            ("-Infinity", f64::NEG_INFINITY),
            ("+INF", f64::INFINITY),
            ("0e999999", 0.0),
            ("4.9e-324", 5e-324),
            ("17976931348623157e292", f64::MAX),
            ("9007199254740993", 9007199254740992.0),
        ] {
            assert_eq!(parse_f64(text.as_bytes()), Some(value), "{text}");
        }
        assert!(parse_f64(b"-0").unwrap().is_sign_negative());
        assert_eq!(parse_f64(&[b'9'; 5000]), None);
    }

    #[test]
    fn refused() {
        for text in [
            "",
            "-",
            "+",
            ".",
            "e3",
            "1e",
            "1e+",
            "nan",
            "-nan",
            "nan(1)",
            " 1",
            "1 ",
            "1\0",
            "1x",
            "0x",
            "0xg",
            "0x1p",
            "1e400",
            "-1e400",
            "1e-400",
            "0x1p-2000",
            "1,5",
            "--1",
            "+-1",
            "infin",
            "1.2.3",
            "1p3",
            "١",
        ] {
            assert_eq!(parse_f64(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn printed() {
        for (value, want) in [
            (0.0, "0"),
            (-0.0, "-0"),
            (3.0, "3"),
            (-17.0, "-17"),
            (0.1, "0.1"),
            (3.25, "3.25"),
            (-0.000015, "-0.000015"),
            (0.00001234, "1.234e-5"),
            (1e-7, "1e-7"),
            (1.5e-8, "1.5e-8"),
            (1e15, "1000000000000000"),
            (1e18, "1000000000000000000"),
            (4.6e18, "4600000000000000000"),
            (1e19, "1e+19"),
            (1e21, "1e+21"),
            (1.2345e25, "1.2345e+25"),
            (1e23, "99999999999999990000000"),
            (-1501200421007884.8, "-1501200421007884.7"),
            (123456789012345678901.0, "123456789012345680000"),
            (1152921504606846976.0, "1152921504606846976"),
            (9223372036854775807.0, "9223372036854776000"),
            (123456789.125, "123456789.125"),
            (f64::MAX, "1.7976931348623157e+308"),
            (5e-324, "5e-324"),
            (f64::INFINITY, "inf"),
            (f64::NEG_INFINITY, "-inf"),
            (f64::NAN, "nan"),
            (100000.5, "100000.5"),
        ] {
            assert_eq!(text(value), want);
        }
    }

    #[test]
    fn seventeen_digits() {
        let cases = [
            (0.0, "0"),
            (-0.0, "-0"),
            (3.0, "3"),
            (0.1, "0.10000000000000001"),
            (1.5, "1.5"),
            (-2.25, "-2.25"),
            (1e16, "10000000000000000"),
            (1e17, "1e+17"),
            (1.5e300, "1.5000000000000001e+300"),
            (0.0001, "0.0001"),
            (0.00001, "1.0000000000000001e-05"),
            (f64::INFINITY, "inf"),
            (123456789012345680.0, "1.2345678901234568e+17"),
            (3.3, "3.2999999999999998"),
        ];
        for (value, text) in cases {
            let mut out = vec![];
            push_f64_17(&mut out, value);
            assert_eq!(String::from_utf8(out).unwrap(), text);
        }
    }
}
