//! Inline requests: a line of words, as a person types them into telnet.
//!
//! Words are found in the query buffer itself when the line has no quoting. Quotes, and the bytes about which C's
//! `isspace` and Redis's word loop disagree, go through `split_args`, which copies.

use super::args::ArgSpan;
use super::large::LargeArg;
use super::protocol_error::ProtocolError;
use crate::util::quote;

/// Appends the words of `line`, which starts at `off` of the query slice; says how many there are. An empty line has no
/// words.
pub(super) fn words(
    line: &[u8],
    off: usize,
    spans: &mut Vec<ArgSpan>,
    larges: &mut Vec<LargeArg>,
) -> Result<usize, ProtocolError> {
    let before = spans.len();
    if memchr::memchr(0, line).is_some() {
        return Err(ProtocolError::NulInInline);
    }
    if line.iter().any(|b| matches!(b, b'"' | b'\'' | 0x0b | 0x0c)) {
        for word in quote::split_args(line).ok_or(ProtocolError::UnbalancedQuotes)? {
            spans.push(ArgSpan::outside(larges.len()));
            larges.push(word.into());
        }
        return Ok(spans.len() - before);
    }
    let mut at = 0;
    while at < line.len() {
        let len = line[at..].iter().position(|b| is_blank(*b)).unwrap_or(line.len() - at);
        if len > 0 {
            spans.push(ArgSpan::inside(off + at, len));
        }
        at += len + 1;
    }
    Ok(spans.len() - before)
}

fn is_blank(b: u8) -> bool {
    matches!(b, b' ' | b'\t' | b'\r' | b'\n')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resp::Args;

    fn check(line: &str, want: Result<&[&str], ProtocolError>) {
        let (mut spans, mut larges) = (Vec::new(), Vec::new());
        let query = format!("????{line}");
        let n = words(line.as_bytes(), 4, &mut spans, &mut larges);
        assert_eq!(n, want.map(<[&str]>::len), "{line:?}");
        if let Ok(want) = want {
            let args = Args::new(query.as_bytes(), &spans, &larges);
            assert!(args.iter().eq(want.iter().map(|w| w.as_bytes())), "{line:?}");
        }
    }

    #[test]
    fn words_and_quotes() {
        check("", Ok(&[]));
        check(" \t ", Ok(&[]));
        check("PING", Ok(&["PING"]));
        check("  SET  a\tb ", Ok(&["SET", "a", "b"]));
        check("a\\x41b", Ok(&["a\\x41b"]));
        check("SET k \"a \\x41\\n\"", Ok(&["SET", "k", "a A\n"]));
        check("SET k 'it\\'s'", Ok(&["SET", "k", "it's"]));
        check("SET k \"\"", Ok(&["SET", "k", ""]));
        check("SET k \"open", Err(ProtocolError::UnbalancedQuotes));
        check("SET k \"a\"b", Err(ProtocolError::UnbalancedQuotes));
        check("SET k \"a\\x00b\"", Ok(&["SET", "k", "a\0b"]));
        for line in ["DEL a\0b", "\0", "SET k \"a\0\"", "SET k 'open\0", "SET k v\0\"open"] {
            check(line, Err(ProtocolError::NulInInline));
        }
    }
}
