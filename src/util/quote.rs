//! Quoted text: how a line becomes arguments (inline requests, redis.conf), and how bytes become readable.

/// Splits a line at blanks. `"..."` understands `\n \r \t \b \a \xHH` and takes any other escaped byte as it is;
/// `'...'` knows `\'` only. A closing quote must be followed by a blank or the end. `None` when the quotes do not
/// close. A NUL is a byte like others: a line is never cut.
pub fn split_args(line: &[u8]) -> Option<Vec<Vec<u8>>> {
    let mut args = Vec::new();
    let mut at = 0;
    loop {
        while at < line.len() && is_blank(line[at]) {
            at += 1;
        }
        if at == line.len() {
            return Some(args);
        }
        let (arg, end) = next_arg(line, at)?;
        args.push(arg);
        at = end;
    }
}

/// What C calls space.
fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t'..=b'\r')
}

fn next_arg(line: &[u8], mut at: usize) -> Option<(Vec<u8>, usize)> {
    let mut arg = Vec::new();
    loop {
        match line.get(at) {
            // Vertical tab and form feed separate arguments but do not end one: so it is in Redis.
            None | Some(b' ' | b'\n' | b'\r' | b'\t') => return Some((arg, at)),
            Some(b'"') => return double_quoted(line, at + 1, arg),
            Some(b'\'') => return single_quoted(line, at + 1, arg),
            Some(&byte) => {
                arg.push(byte);
                at += 1;
            }
        }
    }
}

fn double_quoted(line: &[u8], mut at: usize, mut arg: Vec<u8>) -> Option<(Vec<u8>, usize)> {
    loop {
        match &line[at..] {
            [b'"', rest @ ..] => return closes_before(rest).then_some((arg, at + 1)),
            [b'\\', b'x', high, low, ..] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
                arg.push(hex(*high) << 4 | hex(*low));
                at += 4;
            }
            [b'\\', escaped, ..] => {
                arg.push(match escaped {
                    b'n' => b'\n',
                    b'r' => b'\r',
                    b't' => b'\t',
                    b'b' => 8,
                    b'a' => 7,
                    other => *other,
                });
                at += 2;
            }
            [byte, ..] => {
                arg.push(*byte);
                at += 1;
            }
            [] => return None,
        }
    }
}

fn single_quoted(line: &[u8], mut at: usize, mut arg: Vec<u8>) -> Option<(Vec<u8>, usize)> {
    loop {
        match &line[at..] {
            [b'\'', rest @ ..] => return closes_before(rest).then_some((arg, at + 1)),
            [b'\\', b'\'', ..] => {
                arg.push(b'\'');
                at += 2;
            }
            [byte, ..] => {
                arg.push(*byte);
                at += 1;
            }
            [] => return None,
        }
    }
}

fn closes_before(rest: &[u8]) -> bool {
    rest.first().is_none_or(|&b| is_blank(b))
}

fn hex(digit: u8) -> u8 {
    match digit {
        b'0'..=b'9' => digit - b'0',
        b'a'..=b'f' => digit - b'a' + 10,
        _ => digit - b'A' + 10,
    }
}

/// Appends `bytes` in double quotes, everything that is not printable ASCII escaped: [`split_args`] reads it back.
pub fn push_repr(out: &mut Vec<u8>, bytes: &[u8]) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    out.push(b'"');
    for &byte in bytes {
        match byte {
            b'\\' | b'"' => out.extend([b'\\', byte]),
            b'\n' => out.extend(b"\\n"),
            b'\r' => out.extend(b"\\r"),
            b'\t' => out.extend(b"\\t"),
            7 => out.extend(b"\\a"),
            8 => out.extend(b"\\b"),
            b' '..=b'~' => out.push(byte),
            _ => out.extend([b'\\', b'x', HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]]),
        }
    }
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(line: &str, want: Option<&[&str]>) {
        let got = split_args(line.as_bytes());
        let want = want.map(|w| w.iter().map(|a| a.as_bytes().to_vec()).collect::<Vec<_>>());
        assert_eq!(got, want, "{line:?}");
    }

    #[test]
    fn splitting() {
        check("", Some(&[]));
        check("  \t\r\n", Some(&[]));
        check("set  a b\r\n", Some(&["set", "a", "b"]));
        check(r#"set "a b" 'c d'"#, Some(&["set", "a b", "c d"]));
        check(r#""" ''"#, Some(&["", ""]));
        check(r#""\n\r\t\b\a\x41\q\"\\" "#, Some(&["\n\r\t\x08\x07Aq\"\\"]));
        check(r#"'\n\''"#, Some(&["\\n'"]));
        check(r#"ab"cd""#, Some(&["abcd"]));
        check(r#""\x4g""#, Some(&["x4g"]));
        check("a\0b c", Some(&["a\0b", "c"]));
        check("a\x0bb \x0bc", Some(&["a\x0bb", "c"]));
        for bad in [r#""a"#, "'a", r#""a"b"#, "'a'b", r#""a\"#, r#""a\""#, "'a\\'"] {
            check(bad, None);
        }
    }

    #[test]
    fn representation() {
        let mut out = b"> ".to_vec();
        push_repr(&mut out, b"a\"\\\n\r\t\x07\x08\x00\xff~");
        assert_eq!(out, br#"> "a\"\\\n\r\t\a\b\x00\xff~""#);
    }
}
