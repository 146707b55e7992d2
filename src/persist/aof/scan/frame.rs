//! One line that begins a request or an argument: `*3` or `$5`, as strict as redis-check-aof.

use super::batch::Why;

/// A header has no more bytes than this, its end included.
const HEADER_BYTES_MAX: usize = 127;

/// What became of a header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Header {
    /// Its number, and how many bytes it takes.
    Done(i64, usize),
    /// It is not all there yet.
    More,
    /// It is none.
    Bad(Why),
}

/// Reads the header at the beginning of `bytes`.
#[inline]
pub(super) fn header(bytes: &[u8], prefix: u8) -> Header {
    // Nearly all have one, two or three digits.
    match bytes {
        [first, d1 @ b'0'..=b'9', b'\r', b'\n', ..] if *first == prefix => Header::Done(i64::from(d1 - b'0'), 4),
        [first, d1 @ b'0'..=b'9', d2 @ b'0'..=b'9', b'\r', b'\n', ..] if *first == prefix => {
            Header::Done(i64::from(d1 - b'0') * 10 + i64::from(d2 - b'0'), 5)
        }
        _ => any_header(bytes, prefix),
    }
}

fn any_header(bytes: &[u8], prefix: u8) -> Header {
    match bytes.first() {
        None => return Header::More,
        Some(&first) if first != prefix => return Header::Bad(Why::Prefix { expected: prefix, got: first }),
        Some(_) => {}
    }
    let sign = usize::from(bytes.get(1) == Some(&b'-'));
    let digits = bytes[1 + sign..].iter().take_while(|digit| digit.is_ascii_digit()).count();
    let number = bytes[1 + sign..1 + sign + digits].iter().fold(0i64, |number, digit| {
        let digit = i64::from(digit - b'0');
        number.saturating_mul(10).saturating_add(if sign == 1 { -digit } else { digit })
    });
    // A number without digits is none, and its end is where it begins.
    let end = if digits == 0 { 1 } else { 1 + sign + digits };
    match &bytes[end..] {
        _ if end + 2 > HEADER_BYTES_MAX => Header::Bad(Why::LineEnd { got: [b'0'; 2] }),
        [b'\r', b'\n', ..] if digits > 0 => Header::Done(number, end + 2),
        [] | [_] => Header::More,
        [a, b, ..] => Header::Bad(Why::LineEnd { got: [*a, *b] }),
    }
}

/// What is wrong with a header that the file ends in.
pub(super) fn cut_header(bytes: &[u8]) -> Why {
    match bytes.split_first() {
        None => Why::End,
        Some((_, number)) => {
            let after = number.iter().find(|byte| !byte.is_ascii_digit() && **byte != b'-');
            Why::LineEnd { got: [after.copied().unwrap_or(0), 0] }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers() {
        use Header::*;
        let line_end = |got: &[u8; 2]| Bad(Why::LineEnd { got: *got });
        for (text, want) in [
            ("*3\r\n$3", Done(3, 4)),
            ("*12\r\n", Done(12, 5)),
            ("*123\r\n", Done(123, 6)),
            ("*-1\r\n", Done(-1, 5)),
            ("*007\r\n", Done(7, 6)),
            ("*9223372036854775807\r\n", Done(i64::MAX, 22)),
            ("*99999999999999999999999\r\n", Done(i64::MAX, 26)),
            ("*-99999999999999999999999\r\n", Done(i64::MIN, 27)),
            ("", More),
            ("*", More),
            ("*-", More),
            ("*-x", line_end(b"-x")),
            ("*1", More),
            ("*1\r", More),
            ("*1\rx", line_end(b"\rx")),
            ("*1\n", More),
            ("*1\n$", line_end(b"\n$")),
            ("*x\r\n", line_end(b"x\r")),
            ("*\r\n", line_end(b"\r\n")),
            ("* 1\r\n", line_end(b" 1")),
            ("$1\r\n", Bad(Why::Prefix { expected: b'*', got: b'$' })),
        ] {
            assert_eq!(header(text.as_bytes(), b'*'), want, "{text:?}");
        }
        for (text, got) in [("*", 0), ("*12", 0), ("*12\r", b'\r'), ("*x", b'x'), ("*-", 0)] {
            assert_eq!(cut_header(text.as_bytes()), Why::LineEnd { got: [got, 0] }, "{text:?}");
        }
        assert_eq!(cut_header(b""), Why::End);
        let long = format!("*{}", "0".repeat(200));
        assert_eq!(header(long.as_bytes(), b'*'), line_end(b"00"));
        // The short way is the long one.
        for number in 0..1200 {
            let text = format!("${number}\r\n");
            let want = Done(number, text.len());
            assert_eq!((header(text.as_bytes(), b'$'), any_header(text.as_bytes(), b'$')), (want, want));
            assert_eq!(header(&text.as_bytes()[..text.len() - 1], b'$'), More);
        }
    }
}
