//! Glob patterns as `KEYS`, `SCAN MATCH`, `PSUBSCRIBE` and `CONFIG GET` understand them.
//!
//! `*` any bytes, `?` any byte, `[abc]` `[a-z]` `[^a]` a class, `\x` the byte x. Bytes, not characters.
//!
//! # Bounded time
//!
//! The obvious matcher calls itself at every `*`, and a pattern such as `a*a*a*a*b` then takes time exponential in
//! the number of stars, on a thread that everybody waits for. But when a later star was reached, an earlier one
//! need never take more: whatever it could give the rest, the later star can give as well. So there is one place to
//! go back to, the last star, and the time is bounded by the product of the two lengths.
//!
//! # Redis's peculiarities, kept
//!
//! * A class without its `]` ends at the pattern's end. In `[a-]` the `]` is the end of a range.
//! * A range may be written backwards. Without regard to case, its ends are folded after they were put in order.
//! * An escaped byte in a class is compared as it is, even when case does not matter.
//! * An empty text matches the empty pattern only: not even `*`. (Commands that take `*` to mean "everything" do not
//!   ask here.)

/// Whether `text` matches `pattern`; with `nocase`, ASCII letters match in both cases.
pub fn matches(pattern: &[u8], text: &[u8], nocase: bool) -> bool {
    if text.is_empty() {
        return pattern.is_empty();
    }
    let (mut p, mut t) = (0, 0);
    // Where the last star stands (the pattern after it), and where the text it has not taken begins.
    let mut star: Option<(usize, usize)> = None;
    while t < text.len() {
        if pattern.get(p) == Some(&b'*') {
            p += 1;
            if p == pattern.len() {
                return true;
            }
            star = Some((p, t));
            continue;
        }
        if let Some(next) = match_one(pattern, p, text[t], nocase) {
            p = next;
            t += 1;
            continue;
        }
        let Some((after, taken)) = &mut star else { return false };
        *taken += 1;
        (p, t) = (*after, *taken);
    }
    pattern[p..].iter().all(|&b| b == b'*')
}

/// Matches one byte against the element of the pattern at `p`, which is not a star; gives where the next begins.
#[inline]
fn match_one(pattern: &[u8], p: usize, byte: u8, nocase: bool) -> Option<usize> {
    match *pattern.get(p)? {
        b'?' => Some(p + 1),
        b'[' => {
            let (matched, next) = match_class(pattern, p + 1, byte, nocase);
            matched.then_some(next)
        }
        b'\\' if p + 1 < pattern.len() => equal(pattern[p + 1], byte, nocase).then_some(p + 2),
        literal => equal(literal, byte, nocase).then_some(p + 1),
    }
}

/// Matches `byte` against the class whose inside begins at `p`; gives the answer and the place after the class.
fn match_class(pattern: &[u8], mut p: usize, byte: u8, nocase: bool) -> (bool, usize) {
    let negated = pattern.get(p) == Some(&b'^');
    p += usize::from(negated);
    let mut found = false;
    let end = loop {
        match pattern[p.min(pattern.len())..] {
            [] => break pattern.len(),
            [b'\\', escaped, ..] => {
                found |= escaped == byte;
                p += 2;
            }
            [b']', ..] => break p + 1,
            [from, b'-', to, ..] => {
                let (mut low, mut high, mut byte) = (from.min(to), from.max(to), byte);
                if nocase {
                    (low, high, byte) =
                        (low.to_ascii_lowercase(), high.to_ascii_lowercase(), byte.to_ascii_lowercase());
                }
                found |= (low..=high).contains(&byte);
                p += 3;
            }
            [literal, ..] => {
                found |= equal(literal, byte, nocase);
                p += 1;
            }
        }
    };
    (found != negated, end)
}

#[inline]
fn equal(a: u8, b: u8, nocase: bool) -> bool {
    a == b || nocase && a.eq_ignore_ascii_case(&b)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(pattern: &str, yes: &[&str], no: &[&str]) {
        for text in yes {
            assert!(matches(pattern.as_bytes(), text.as_bytes(), false), "{pattern} should match {text}");
        }
        for text in no {
            assert!(!matches(pattern.as_bytes(), text.as_bytes(), false), "{pattern} should not match {text}");
        }
    }

    #[test]
    fn elements() {
        check("", &[""], &["a"]);
        check("*", &["a", "ab"], &[""]);
        check("h?llo", &["hello", "hxllo"], &["hllo", "heello"]);
        check("h*llo", &["hllo", "heeello"], &["hell"]);
        check("a**", &["a", "abc"], &["b"]);
        check("*b*", &["b", "abc", "bb"], &["ac"]);
        check("h[ae]llo", &["hello", "hallo"], &["hillo"]);
        check("h[^e]llo", &["hallo"], &["hello"]);
        check("h[a-b]llo", &["hallo", "hbllo"], &["hcllo"]);
        check("h[b-a]llo", &["hallo", "hbllo"], &["hcllo"]);
        check("a\\*b", &["a*b"], &["axb"]);
        check("a\\", &["a\\"], &["a"]);
        check("[\\]]", &["]"], &["\\"]);
    }

    #[test]
    fn peculiar_classes() {
        check("[", &[], &["[", "a"]);
        check("[^", &["a"], &["ab"]);
        check("[abc", &["a", "c"], &["[abc", "d"]);
        check("[]", &[], &["]", "a"]);
        check("[a-]", &["a", "_"], &["b"]); // the range from ']' to 'a', never closed
        check("x[\\", &["x\\"], &["xy"]);
        check("[^]a]", &["xa]"], &["a"]); // the class [^] is any byte
    }

    #[test]
    fn case() {
        assert!(matches(b"MaxMemory*", b"maxmemory-policy", true));
        assert!(matches(b"[A-C]x", b"bX", true));
        assert!(!matches(b"[\\A]", b"a", true));
        assert!(matches(b"\\A", b"a", true));
    }

    #[test]
    fn hostile_patterns_end_soon() {
        let text = vec![b'a'; 20_000];
        let pattern = [b"a*".repeat(100), b"b".to_vec()].concat();
        let start = std::time::Instant::now();
        assert!(!matches(&pattern, &text, false));
        assert!(!matches(&[b"*?".repeat(100), b"[b-z]".to_vec()].concat(), &text, false));
        assert!(start.elapsed().as_secs() < 5);
    }
}
