//! Inline requests: a line of words, as a person types them into telnet.
//!
//! Words are found in the query buffer itself when the line has no quoting. Quotes, and the bytes about which C's
//! `isspace` and Redis's word loop disagree, go through `split_args`, which copies.

use super::args::ArgSpan;
use super::large::LargeArg;
use crate::util::quote;

/// Appends the words of `line`, which starts at `off` of the query slice; says how many there are, or `None` for
/// unbalanced quotes. An empty line has no words.
pub(super) fn words(line: &[u8], off: usize, spans: &mut Vec<ArgSpan>, larges: &mut Vec<LargeArg>) -> Option<usize> {
    let before = spans.len();
    if line.iter().any(|b| matches!(b, b'"' | b'\'' | 0 | 0x0b | 0x0c)) {
        for word in quote::split_args(line)? {
            spans.push(ArgSpan::outside(larges.len()));
            larges.push(word.into());
        }
        return Some(spans.len() - before);
    }
    let mut at = 0;
    while at < line.len() {
        let len = line[at..].iter().position(|b| is_blank(*b)).unwrap_or(line.len() - at);
        if len > 0 {
            spans.push(ArgSpan::inside(off + at, len));
        }
        at += len + 1;
    }
    Some(spans.len() - before)
}

fn is_blank(b: u8) -> bool {
    matches!(b, b' ' | b'\t' | b'\r' | b'\n')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resp::Args;

    fn check(line: &str, want: Option<&[&str]>) {
        let (mut spans, mut larges) = (Vec::new(), Vec::new());
        let query = format!("????{line}");
        let n = words(line.as_bytes(), 4, &mut spans, &mut larges);
        assert_eq!(n, want.map(<[&str]>::len), "{line:?}");
        if let Some(want) = want {
            let args = Args::new(query.as_bytes(), &spans, &larges);
            assert!(args.iter().eq(want.iter().map(|w| w.as_bytes())), "{line:?}");
        }
    }

    #[test]
    fn words_and_quotes() {
        check("", Some(&[]));
        check(" \t ", Some(&[]));
        check("PING", Some(&["PING"]));
        check("  SET  a\tb ", Some(&["SET", "a", "b"]));
        check("a\\x41b", Some(&["a\\x41b"]));
        check("SET k \"a \\x41\\n\"", Some(&["SET", "k", "a A\n"]));
        check("SET k 'it\\'s'", Some(&["SET", "k", "it's"]));
        check("SET k \"\"", Some(&["SET", "k", ""]));
        check("SET k \"open", None);
        check("SET k \"a\"b", None);
    }
}
