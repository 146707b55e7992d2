//! Numbers as C's `printf` writes them with `%.14g` (or fewer digits), and as its `strtod` reads them.

use std::io::Write;

use crate::util::num::{parse_decimal_f64, parse_f64, push_i64};

/// Appends `value` with so many significant digits at most. `value` is finite.
pub(super) fn push_number(out: &mut Vec<u8>, value: f64, precision: i32) {
    // Whole numbers are the common case, and 10^14 is exact.
    const POWERS: [f64; 15] = [1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14];
    if value.abs() < POWERS[precision.clamp(0, 14) as usize] && value as i64 as f64 == value {
        if value == 0.0 && value.is_sign_negative() {
            out.push(b'-');
        }
        return push_i64(out, value as i64);
    }
    // The digits come from the one form that has exactly as many as asked for: d.ddde-5.
    let mut buffer = [0u8; 32];
    let mut rest = &mut buffer[..];
    write!(rest, "{value:.*e}", precision as usize - 1).expect("14 digits, a sign and an exponent fit");
    let length = 32 - rest.len();
    let text = &buffer[..length];
    let text = text.strip_prefix(b"-").map_or(text, |magnitude| {
        out.push(b'-');
        magnitude
    });
    let split = memchr::memchr(b'e', text).expect("the form has an exponent");
    let power: i32 = std::str::from_utf8(&text[split + 1..])
        .ok()
        .and_then(|exponent| exponent.parse().ok())
        .expect("an exponent is a small number");
    let mut digits = [0u8; 16];
    let mut count = 0;
    for byte in text[..split].iter().filter(|byte| **byte != b'.') {
        digits[count] = *byte;
        count += 1;
    }
    // Zeros at the end of a fraction are not written.
    while count > 1 && digits[count - 1] == b'0' {
        count -= 1;
    }
    let digits = &digits[..count];
    if (-4..precision).contains(&power) {
        if power < 0 {
            out.extend_from_slice(&b"0.000"[..1 + power.unsigned_abs() as usize]);
            out.extend_from_slice(digits);
            return;
        }
        let whole = power as usize + 1;
        out.extend_from_slice(&digits[..whole.min(count)]);
        out.resize(out.len() + whole.saturating_sub(count), b'0');
        if whole < count {
            out.push(b'.');
            out.extend_from_slice(&digits[whole..]);
        }
        return;
    }
    out.push(digits[0]);
    if count > 1 {
        out.push(b'.');
        out.extend_from_slice(&digits[1..]);
    }
    out.extend_from_slice(if power < 0 { b"e-" } else { b"e+" });
    if power.abs() < 10 {
        out.push(b'0');
    }
    push_i64(out, i64::from(power.abs()));
}

/// The number at the start of `text`, and how many bytes it takes; nothing if there is none. Besides decimal ones,
/// hexadecimal numbers, infinities and NaN are read, and what is too large is infinite.
pub(super) fn leading_number(text: &[u8]) -> Option<(f64, usize)> {
    let sign = usize::from(matches!(text.first(), Some(b'+' | b'-')));
    let negative = text.first() == Some(&b'-');
    let body = &text[sign..];
    let (magnitude, length) = match body {
        [b'0', b'x' | b'X', rest @ ..] => match hexadecimal_length(rest) {
            0 => (0.0, 1),
            length => (hexadecimal(&body[..2 + length]), 2 + length),
        },
        [b'0'..=b'9' | b'.', ..] => decimal(body)?,
        _ => word(body)?,
    };
    Some((if negative { -magnitude } else { magnitude }, sign + length))
}

fn digits_at(text: &[u8], from: usize) -> usize {
    text[from..].iter().take_while(|byte| byte.is_ascii_digit()).count()
}

fn decimal(text: &[u8]) -> Option<(f64, usize)> {
    let whole = digits_at(text, 0);
    let mut length = whole;
    if text.get(length) == Some(&b'.') {
        let fraction = digits_at(text, length + 1);
        if whole + fraction == 0 {
            return None;
        }
        length += 1 + fraction;
    }
    let has_exponent = exponent_length(&text[length..], b'e');
    length += has_exponent;
    if length == whole && whole <= 15 {
        let value = text[..whole].iter().fold(0u64, |value, digit| value * 10 + u64::from(digit - b'0'));
        return Some((value as f64, length));
    }
    let value = parse_decimal_f64(&text[..length]).expect("digits, perhaps a point, perhaps an exponent");
    Some((value, length))
}

/// How long the exponent is that starts here: a mark, perhaps a sign, and digits; 0 if it is none.
fn exponent_length(text: &[u8], mark: u8) -> usize {
    if text.first().is_none_or(|byte| byte.to_ascii_lowercase() != mark) {
        return 0;
    }
    let sign = usize::from(matches!(text.get(1), Some(b'+' | b'-')));
    match digits_at(text, (1 + sign).min(text.len())) {
        0 => 0,
        digits => 1 + sign + digits,
    }
}

fn hexadecimal_length(text: &[u8]) -> usize {
    let count = |from: usize| text[from..].iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
    let whole = count(0);
    let mut length = whole;
    if text.get(length) == Some(&b'.') {
        let fraction = count(length + 1);
        if whole + fraction == 0 {
            return 0;
        }
        length += 1 + fraction;
    }
    if length == 0 { 0 } else { length + exponent_length(&text[length..], b'p') }
}

/// The value of a hexadecimal number; out of the range of doubles it is infinite, or zero.
fn hexadecimal(text: &[u8]) -> f64 {
    parse_f64(text).unwrap_or_else(|| {
        let (digits, exponent) = match text.iter().position(|byte| byte.eq_ignore_ascii_case(&b'p')) {
            Some(mark) => (&text[2..mark], &text[mark + 1..]),
            None => (&text[2..], &b"0"[..]),
        };
        let whole = digits.split(|byte| *byte == b'.').next().unwrap_or_default();
        let bits = 4 * whole.iter().skip_while(|byte| **byte == b'0').count() as i64;
        let magnitude = exponent
            .iter()
            .filter(|byte| byte.is_ascii_digit())
            .fold(0i64, |n, digit| n.saturating_mul(10).saturating_add(i64::from(digit - b'0')));
        let exponent = if exponent.first() == Some(&b'-') { -magnitude } else { magnitude };
        if bits.saturating_add(exponent) > 0 { f64::INFINITY } else { 0.0 }
    })
}

/// Infinity and NaN, by name.
fn word(text: &[u8]) -> Option<(f64, usize)> {
    let starts = |name: &[u8]| text.get(..name.len()).is_some_and(|start| start.eq_ignore_ascii_case(name));
    if starts(b"infinity") {
        return Some((f64::INFINITY, 8));
    }
    if starts(b"inf") {
        return Some((f64::INFINITY, 3));
    }
    if !starts(b"nan") {
        return None;
    }
    // It may be followed by a note in parentheses.
    let note = match text.get(3) {
        Some(b'(') => {
            let inside = text[4..].iter().take_while(|byte| byte.is_ascii_alphanumeric() || **byte == b'_').count();
            if text.get(4 + inside) == Some(&b')') { inside + 2 } else { 0 }
        }
        _ => 0,
    };
    Some((f64::NAN, 3 + note))
}
