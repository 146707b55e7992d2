//! Numbers as Redis reads and writes them.
//!
//! Redis is strict about integers because it stores them: a value that is kept as a number must print back as the
//! very bytes the client sent. So there is exactly one accepted text per number: no sign but a minus, no leading
//! zero, no blanks, no `-0`. Floats are read generously and printed in one way: see `float.rs`.

pub use super::float::{parse_decimal_f64, parse_f64, push_f64, push_f64_17, push_f64_by_digits};

/// The integer that `text` spells, if `text` is the one way to spell it.
#[inline]
pub fn parse_i64(text: &[u8]) -> Option<i64> {
    match text {
        [b'-', digits @ ..] => {
            let magnitude = parse_u64(digits)?;
            // -0 is not how zero is spelled; i64::MIN has a magnitude one above i64::MAX.
            if magnitude == 0 || magnitude > i64::MIN.unsigned_abs() {
                return None;
            }
            Some(magnitude.wrapping_neg() as i64)
        }
        digits => i64::try_from(parse_u64(digits)?).ok(),
    }
}

/// The unsigned integer that `text` spells, under the rules of [`parse_i64`].
#[inline]
pub fn parse_u64(text: &[u8]) -> Option<u64> {
    match text {
        [b'0'] => Some(0),
        [b'1'..=b'9', ..] if text.len() <= 20 => {
            // 19 digits always fit; only a twentieth can overflow.
            let (sure, last) = text.split_at(text.len().min(19));
            let mut value = 0u64;
            for &byte in sure {
                let digit = byte.wrapping_sub(b'0');
                if digit > 9 {
                    return None;
                }
                value = value * 10 + u64::from(digit);
            }
            match last {
                [] => Some(value),
                [byte @ b'0'..=b'9'] => value.checked_mul(10)?.checked_add(u64::from(byte - b'0')),
                _ => None,
            }
        }
        _ => None,
    }
}

/// Appends `value` in decimal.
#[inline]
pub fn push_i64(out: &mut Vec<u8>, value: i64) {
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
}

/// Appends `value` in decimal.
#[inline]
pub fn push_u64(out: &mut Vec<u8>, value: u64) {
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
}

/// The bytes that a memory size means: digits and a unit, `512`, `100k` (thousands), `64kb` (times 1024), `1gb`.
pub fn parse_memory(text: &[u8]) -> Option<u64> {
    let digits = text.iter().take_while(|b| b.is_ascii_digit()).count();
    let (number, unit) = text.split_at(digits);
    let scale: u64 = match unit.to_ascii_lowercase().as_slice() {
        b"" | b"b" => 1,
        b"k" => 1000,
        b"kb" => 1 << 10,
        b"m" => 1_000_000,
        b"mb" => 1 << 20,
        b"g" => 1_000_000_000,
        b"gb" => 1 << 30,
        _ => return None,
    };
    // Leading zeros are fine here: this is read, never printed back.
    let number = number.iter().try_fold(0u64, |n, b| n.checked_mul(10)?.checked_add(u64::from(b - b'0')))?;
    if digits == 0 { None } else { number.checked_mul(scale) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_have_one_spelling() {
        for (text, value) in [
            ("0", Some(0)),
            ("1", Some(1)),
            ("-1", Some(-1)),
            ("9223372036854775807", Some(i64::MAX)),
            ("-9223372036854775808", Some(i64::MIN)),
            ("9223372036854775808", None),
            ("-9223372036854775809", None),
            ("18446744073709551616", None),
            ("99999999999999999999", None),
            ("100000000000000000000", None),
            ("", None),
            ("-", None),
            ("-0", None),
            ("00", None),
            ("01", None),
            ("-01", None),
            ("+1", None),
            (" 1", None),
            ("1 ", None),
            ("1.0", None),
            ("1e3", None),
            ("--1", None),
            ("123456789012345678x0", None),
            ("1234567890123456789x", None),
        ] {
            assert_eq!(parse_i64(text.as_bytes()), value, "{text:?}");
        }
        assert_eq!(parse_u64(b"18446744073709551615"), Some(u64::MAX));
        assert_eq!(parse_u64(b"18446744073709551616"), None);
        assert_eq!(parse_u64(b"-1"), None);
    }

    #[test]
    fn integers_print_back() {
        for value in [0, 1, -1, 10, -10, i64::MAX, i64::MIN, 1 << 40] {
            let mut out = b"x".to_vec();
            push_i64(&mut out, value);
            assert_eq!(parse_i64(&out[1..]), Some(value));
        }
        let mut out = Vec::new();
        push_u64(&mut out, u64::MAX);
        assert_eq!(out, b"18446744073709551615");
    }

    #[test]
    fn memory_sizes() {
        for (text, bytes) in [
            ("0", Some(0)),
            ("1024", Some(1024)),
            ("100b", Some(100)),
            ("1k", Some(1000)),
            ("1Kb", Some(1024)),
            ("3m", Some(3_000_000)),
            ("3MB", Some(3 << 20)),
            ("1g", Some(1_000_000_000)),
            ("2gb", Some(2 << 30)),
            ("007", Some(7)),
            ("", None),
            ("kb", None),
            ("-1", None),
            ("1.5gb", None),
            ("1tb", None),
            ("1 gb", None),
            ("18446744073709551615", Some(u64::MAX)),
            ("18446744073709551616", None),
            ("99999999999gb", None),
        ] {
            assert_eq!(parse_memory(text.as_bytes()), bytes, "{text:?}");
        }
    }
}
