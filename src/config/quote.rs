//! Stand-in until util::quote and util::glob land.
pub(super) fn split_args(line: &[u8]) -> Option<Vec<Vec<u8>>> {
    let mut out = Vec::new();
    let mut i = 0;
    loop {
        while i < line.len() && (line[i].is_ascii_whitespace() || line[i] == 0x0b) {
            i += 1;
        }
        if i >= line.len() {
            return Some(out);
        }
        let mut tok = Vec::new();
        let (mut dq, mut sq) = (false, false);
        loop {
            let c = line.get(i).copied();
            match c {
                None if dq || sq => return None,
                None => break,
                Some(c) if dq => match c {
                    b'\\' if line.get(i + 1) == Some(&b'x')
                        && line.get(i + 2).is_some_and(u8::is_ascii_hexdigit)
                        && line.get(i + 3).is_some_and(u8::is_ascii_hexdigit) =>
                    {
                        let h = |b: u8| (b as char).to_digit(16).expect("checked") as u8;
                        tok.push(h(line[i + 2]) << 4 | h(line[i + 3]));
                        i += 3;
                    }
                    b'\\' if i + 1 < line.len() => {
                        i += 1;
                        tok.push(match line[i] {
                            b'n' => b'\n',
                            b'r' => b'\r',
                            b't' => b'\t',
                            b'b' => 8,
                            b'a' => 7,
                            o => o,
                        });
                    }
                    b'"' => {
                        if line.get(i + 1).is_some_and(|b| !b.is_ascii_whitespace()) {
                            return None;
                        }
                        dq = false;
                        i += 1;
                        break;
                    }
                    o => tok.push(o),
                },
                Some(c) if sq => match c {
                    b'\\' if line.get(i + 1) == Some(&b'\'') => {
                        i += 1;
                        tok.push(b'\'');
                    }
                    b'\'' => {
                        if line.get(i + 1).is_some_and(|b| !b.is_ascii_whitespace()) {
                            return None;
                        }
                        sq = false;
                        i += 1;
                        break;
                    }
                    o => tok.push(o),
                },
                Some(b' ' | b'\n' | b'\r' | b'\t' | 0) => break,
                Some(b'"') => dq = true,
                Some(b'\'') => sq = true,
                Some(o) => tok.push(o),
            }
            i += 1;
        }
        out.push(tok);
    }
}

pub(super) fn push_repr(out: &mut Vec<u8>, s: &[u8]) {
    out.push(b'"');
    for &b in s {
        match b {
            b'\\' | b'"' => out.extend_from_slice(&[b'\\', b]),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            7 => out.extend_from_slice(b"\\a"),
            8 => out.extend_from_slice(b"\\b"),
            0x20..=0x7e => out.push(b),
            _ => out.extend_from_slice(format!("\\x{b:02x}").as_bytes()),
        }
    }
    out.push(b'"');
}

pub(super) fn glob_matches(p: &[u8], t: &[u8], nocase: bool) -> bool {
    let lower = |s: &[u8]| if nocase { s.to_ascii_lowercase() } else { s.to_vec() };
    fn go(p: &[u8], t: &[u8]) -> bool {
        match (p.first(), t.first()) {
            (None, None) => true,
            (Some(b'*'), _) => go(&p[1..], t) || (!t.is_empty() && go(p, &t[1..])),
            (Some(b'?'), Some(_)) => go(&p[1..], &t[1..]),
            (Some(a), Some(b)) if a == b => go(&p[1..], &t[1..]),
            _ => false,
        }
    }
    go(&lower(p), &lower(t))
}
