//! Lua's patterns, with a bound on the work: `string.find` and its kin.
//!
//! Lua's own matcher tries all ways to match, and a pattern such as `.-.-.-.-x` has as many as the fourth power of the text's
//! length; meanwhile no instruction of the script is executed, so that nobody could stop it. This one counts its steps, and
//! asks now and then whether to go on. A text and a pattern match here exactly when they do there (Lua 5.1 manual, 5.4.1).

/// The most captures of a pattern.
pub(super) const CAPTURES_MAX: usize = 32;

/// How deep a match may lie in another: one for each `?`, `*`, `+`, `-` and capture of the pattern.
const DEPTH_MAX: usize = 500;

/// After so many steps it is asked whether to go on.
const STEPS: u32 = 1_000_000;

const ESCAPE: u8 = b'%';

/// Why there is no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// The pattern is none.
    Malformed(&'static str),
    /// The script has to end.
    Stopped(&'static str),
}

/// A part of the text that a pattern has captured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Capture {
    /// It begins here, and its end is yet to come.
    Open(usize),
    /// From here, so many bytes.
    Text(usize, usize),
    /// A place: `()`.
    Place(usize),
}

/// One text and one pattern.
pub(super) struct Matcher<'a, F> {
    text: &'a [u8],
    pattern: &'a [u8],
    captures: [Capture; CAPTURES_MAX],
    count: usize,
    depth: usize,
    steps: u32,
    /// Why to stop, if so.
    must_stop: F,
}

type Matched = Result<Option<usize>, Fault>;

impl<'a, F: FnMut() -> Option<&'static str>> Matcher<'a, F> {
    /// `must_stop` is asked every million steps.
    pub fn new(text: &'a [u8], pattern: &'a [u8], must_stop: F) -> Self {
        let captures = [Capture::Open(0); CAPTURES_MAX];
        Matcher { text, pattern, captures, count: 0, depth: 0, steps: STEPS, must_stop }
    }

    /// Where the match that begins at `at` ends, if there is one. The pattern is looked at from `from` on.
    pub fn match_at(&mut self, at: usize, from: usize) -> Matched {
        (self.count, self.depth) = (0, 0);
        self.run(at, from)
    }

    /// How many values a match gives: its captures, or the whole.
    pub fn values(&self) -> usize {
        self.count.max(1)
    }

    /// How many captures there are.
    pub fn captures(&self) -> usize {
        self.count
    }

    /// Capture `index`, of a match that begins and ends there. Without captures the first is the whole.
    pub fn capture(&self, index: usize, begin: usize, end: usize) -> Result<Capture, Fault> {
        match self.captures[..self.count].get(index) {
            None if index == 0 => Ok(Capture::Text(begin, end - begin)),
            None => Err(Fault::Malformed("invalid capture index")),
            Some(Capture::Open(_)) => Err(Fault::Malformed("unfinished capture")),
            Some(capture) => Ok(*capture),
        }
    }

    #[inline]
    fn step(&mut self) -> Result<(), Fault> {
        self.steps -= 1;
        if self.steps > 0 {
            return Ok(());
        }
        self.steps = STEPS;
        match (self.must_stop)() {
            Some(why) => Err(Fault::Stopped(why)),
            None => Ok(()),
        }
    }

    fn deeper(&mut self, at: usize, from: usize) -> Matched {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err(Fault::Malformed("pattern too complex"));
        }
        let matched = self.run(at, from);
        self.depth -= 1;
        matched
    }

    fn run(&mut self, mut at: usize, mut from: usize) -> Matched {
        loop {
            self.step()?;
            let Some(&first) = self.pattern.get(from) else { return Ok(Some(at)) };
            match (first, self.pattern.get(from + 1)) {
                (b'(', Some(b')')) => return self.begin_capture(at, from + 2, Capture::Place(at)),
                (b'(', _) => return self.begin_capture(at, from + 1, Capture::Open(at)),
                (b')', _) => return self.end_capture(at, from + 1),
                (b'$', None) => return Ok((at == self.text.len()).then_some(at)),
                (ESCAPE, Some(b'b')) => match self.balanced(at, from + 2)? {
                    Some(end) => (at, from) = (end, from + 4),
                    None => return Ok(None),
                },
                (ESCAPE, Some(b'f')) => {
                    let set = from + 2;
                    if self.pattern.get(set) != Some(&b'[') {
                        return Err(Fault::Malformed("missing '[' after '%f' in pattern"));
                    }
                    let end = self.class_end(set)?;
                    let before = at.checked_sub(1).map_or(0, |before| self.text[before]);
                    let behind = self.text.get(at).copied().unwrap_or(0);
                    if self.in_set(before, set, end - 1) || !self.in_set(behind, set, end - 1) {
                        return Ok(None);
                    }
                    from = end;
                }
                (ESCAPE, Some(digit)) if digit.is_ascii_digit() => match self.again(at, *digit)? {
                    Some(end) => (at, from) = (end, from + 2),
                    None => return Ok(None),
                },
                _ => {
                    let end = self.class_end(from)?;
                    match self.pattern.get(end) {
                        Some(b'?') => {
                            if self.single(at, from, end)
                                && let Some(found) = self.deeper(at + 1, end + 1)?
                            {
                                return Ok(Some(found));
                            }
                            from = end + 1;
                        }
                        Some(b'*') => return self.most(at, from, end, 0),
                        Some(b'+') => return self.most(at, from, end, 1),
                        Some(b'-') => return self.least(at, from, end),
                        _ if self.single(at, from, end) => (at, from) = (at + 1, end),
                        _ => return Ok(None),
                    }
                }
            }
        }
    }

    /// Where the class, or the character, at `from` ends.
    fn class_end(&self, from: usize) -> Result<usize, Fault> {
        let pattern = self.pattern;
        let mut at = from + 1;
        match pattern[from] {
            ESCAPE if at >= pattern.len() => Err(Fault::Malformed("malformed pattern (ends with '%')")),
            ESCAPE => Ok(at + 1),
            b'[' => {
                const MISSING: Fault = Fault::Malformed("malformed pattern (missing ']')");
                if pattern.get(at) == Some(&b'^') {
                    at += 1;
                }
                // The first one is an element.
                loop {
                    let element = *pattern.get(at).ok_or(MISSING)?;
                    at += 1;
                    if element == ESCAPE && at < pattern.len() {
                        at += 1;
                    }
                    match pattern.get(at) {
                        None => return Err(MISSING),
                        Some(b']') => return Ok(at + 1),
                        Some(_) => {}
                    }
                }
            }
            _ => Ok(at),
        }
    }

    /// Whether the character of the text is of the class at `from`, which ends at `end`.
    #[inline]
    fn single(&self, at: usize, from: usize, end: usize) -> bool {
        let Some(&byte) = self.text.get(at) else { return false };
        match self.pattern[from] {
            b'.' => true,
            ESCAPE => is_of_class(byte, self.pattern[from + 1]),
            b'[' => self.in_set(byte, from, end - 1),
            other => other == byte,
        }
    }

    /// Whether a byte is in the set whose brackets are there.
    fn in_set(&self, byte: u8, open: usize, close: usize) -> bool {
        let pattern = self.pattern;
        let mut at = open + 1;
        let is_wanted = pattern[at] != b'^';
        if !is_wanted {
            at += 1;
        }
        while at < close {
            if pattern[at] == ESCAPE {
                at += 1;
                if is_of_class(byte, pattern[at]) {
                    return is_wanted;
                }
                at += 1;
            } else if pattern[at + 1] == b'-' && at + 2 < close {
                if (pattern[at]..=pattern[at + 2]).contains(&byte) {
                    return is_wanted;
                }
                at += 3;
            } else {
                if pattern[at] == byte {
                    return is_wanted;
                }
                at += 1;
            }
        }
        !is_wanted
    }

    fn most(&mut self, at: usize, from: usize, end: usize, least: usize) -> Matched {
        let mut count = 0;
        while self.single(at + count, from, end) {
            self.step()?;
            count += 1;
        }
        loop {
            if count < least {
                return Ok(None);
            }
            if let Some(found) = self.deeper(at + count, end + 1)? {
                return Ok(Some(found));
            }
            if count == 0 {
                return Ok(None);
            }
            count -= 1;
        }
    }

    fn least(&mut self, mut at: usize, from: usize, end: usize) -> Matched {
        loop {
            if let Some(found) = self.deeper(at, end + 1)? {
                return Ok(Some(found));
            }
            if !self.single(at, from, end) {
                return Ok(None);
            }
            at += 1;
        }
    }

    fn begin_capture(&mut self, at: usize, from: usize, capture: Capture) -> Matched {
        if self.count >= CAPTURES_MAX {
            return Err(Fault::Malformed("too many captures"));
        }
        self.captures[self.count] = capture;
        self.count += 1;
        let matched = self.deeper(at, from)?;
        if matched.is_none() {
            self.count -= 1;
        }
        Ok(matched)
    }

    fn end_capture(&mut self, at: usize, from: usize) -> Matched {
        let open = self.captures[..self.count].iter().rposition(|capture| matches!(capture, Capture::Open(_)));
        let Some(index) = open else { return Err(Fault::Malformed("invalid pattern capture")) };
        let Capture::Open(begin) = self.captures[index] else { return Ok(None) };
        self.captures[index] = Capture::Text(begin, at - begin);
        let matched = self.deeper(at, from)?;
        if matched.is_none() {
            self.captures[index] = Capture::Open(begin);
        }
        Ok(matched)
    }

    /// `%bxy`
    fn balanced(&mut self, at: usize, from: usize) -> Matched {
        let (Some(&open), Some(&close)) = (self.pattern.get(from), self.pattern.get(from + 1)) else {
            return Err(Fault::Malformed("unbalanced pattern"));
        };
        if self.text.get(at) != Some(&open) {
            return Ok(None);
        }
        let mut depth = 1usize;
        for (further, byte) in self.text[at + 1..].iter().enumerate() {
            self.step()?;
            if *byte == close {
                depth -= 1;
                if depth == 0 {
                    return Ok(Some(at + further + 2));
                }
            } else if *byte == open {
                depth += 1;
            }
        }
        Ok(None)
    }

    /// `%1`: what a capture has, once more.
    fn again(&mut self, at: usize, digit: u8) -> Matched {
        let index = usize::from(digit).wrapping_sub(usize::from(b'1'));
        match self.captures[..self.count].get(index) {
            Some(&Capture::Text(begin, len)) => {
                let captured = &self.text[begin..begin + len];
                Ok(self.text[at..].starts_with(captured).then_some(at + len))
            }
            // A place has no length that fits.
            Some(Capture::Place(_)) => Ok(None),
            _ => Err(Fault::Malformed("invalid capture index")),
        }
    }
}

fn is_of_class(byte: u8, class: u8) -> bool {
    let is = match class.to_ascii_lowercase() {
        b'a' => byte.is_ascii_alphabetic(),
        b'c' => byte.is_ascii_control(),
        b'd' => byte.is_ascii_digit(),
        b'l' => byte.is_ascii_lowercase(),
        b'p' => byte.is_ascii_punctuation(),
        b's' => matches!(byte, b' ' | b'\t'..=b'\r'),
        b'u' => byte.is_ascii_uppercase(),
        b'w' => byte.is_ascii_alphanumeric(),
        b'x' => byte.is_ascii_hexdigit(),
        b'z' => byte == 0,
        _ => return class == byte,
    };
    is != class.is_ascii_uppercase()
}

/// Whether a pattern has no character with a meaning of its own.
pub(super) fn is_plain(pattern: &[u8]) -> bool {
    !pattern.iter().any(|byte| b"^$*+?.([%-".contains(byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whole(text: &str, pattern: &str) -> Result<Option<usize>, Fault> {
        Matcher::new(text.as_bytes(), pattern.as_bytes(), || None).match_at(0, 0)
    }

    #[test]
    fn a_pattern_that_never_ends_is_stopped() {
        let text = "a".repeat(3000);
        let mut asked = 0;
        let mut matcher = Matcher::new(text.as_bytes(), b".-.-.-.-.-b", || {
            asked += 1;
            (asked == 3).then_some("enough")
        });
        assert_eq!(matcher.match_at(0, 0), Err(Fault::Stopped("enough")));
    }

    #[test]
    fn depth_has_a_limit() {
        assert_eq!(whole("", &"a?".repeat(DEPTH_MAX - 1)), Ok(Some(0)));
        let text = "a".repeat(DEPTH_MAX + 10);
        assert_eq!(whole(&text, &"a?".repeat(DEPTH_MAX + 1)), Err(Fault::Malformed("pattern too complex")));
        assert_eq!(whole("x", &"(".repeat(33)), Err(Fault::Malformed("too many captures")));
    }

    #[test]
    fn sets_and_classes() {
        for (text, pattern, end) in [
            ("abc", "[a-c]+", Some(3)),
            ("]x", "[]]", Some(1)),
            ("x", "[^]]", Some(1)),
            ("a-", "[a-]+", Some(2)),
            ("%", "[%%]", Some(1)),
            ("a.b", "%a%.%a", Some(3)),
            ("\u{b}", "%s", Some(1)),
            ("0", "%D", None),
            ("(a(b)c)d", "%b()", Some(7)),
            ("THE", "%f[%a]%a+%f[%A]", Some(3)),
            ("abab", "(ab)%1", Some(4)),
            ("aab", "a-b", Some(3)),
            ("aaa", "a*a", Some(3)),
            ("ab", "ab$", Some(2)),
            ("a$b", "a$b", Some(3)),
        ] {
            assert_eq!(whole(text, pattern), Ok(end), "{text} {pattern}");
        }
        for (pattern, error) in [
            ("%", "malformed pattern (ends with '%')"),
            ("[a", "malformed pattern (missing ']')"),
            ("[]", "malformed pattern (missing ']')"),
            ("[%", "malformed pattern (missing ']')"),
            ("%b", "unbalanced pattern"),
            ("%f", "missing '[' after '%f' in pattern"),
            (")", "invalid pattern capture"),
            ("%1", "invalid capture index"),
            ("(%1)", "invalid capture index"),
        ] {
            assert_eq!(whole("a", pattern), Err(Fault::Malformed(error)), "{pattern}");
        }
    }
}
