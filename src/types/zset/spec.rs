//! What part of a sorted set is meant: ranges of scores, of members, and of ranks.

use crate::util::num;
use std::ops::Range;

/// An end as C reads it: no text is 0, and what is too large is infinite.
fn score(text: &[u8]) -> Option<f64> {
    if text.is_empty() { Some(0.0) } else { num::parse_decimal_f64(text) }
}

/// Scores between two ends.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct ScoreRange {
    pub min: f64,
    pub max: f64,
    pub above_min: bool,
    pub below_max: bool,
}

impl ScoreRange {
    /// `(1.5`, `-inf`, `3`: ends as clients write them. None if one is not a number.
    pub fn parse(min: &[u8], max: &[u8]) -> Option<ScoreRange> {
        // Redis reads them with C's functions, which stop at a NUL.
        let end = |text: &[u8]| match &text[..text.iter().position(|&byte| byte == 0).unwrap_or(text.len())] {
            [b'(', number @ ..] => Some((score(number)?, true)),
            number => Some((score(number)?, false)),
        };
        let ((min, above_min), (max, below_max)) = (end(min)?, end(max)?);
        Some(ScoreRange { min, max, above_min, below_max })
    }

    /// Whether a score is below the range.
    #[inline]
    pub fn is_after(&self, score: f64) -> bool {
        if self.above_min { score <= self.min } else { score < self.min }
    }

    /// Whether a score is not above the range.
    #[inline]
    pub fn reaches(&self, score: f64) -> bool {
        if self.below_max { score < self.max } else { score <= self.max }
    }
}

/// One end of a range of members.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LexEnd<'a> {
    /// `-`
    First,
    /// `[text`
    At(&'a [u8]),
    /// `(text`
    Beyond(&'a [u8]),
    /// `+`
    Last,
}

/// Members between two ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LexRange<'a> {
    pub min: LexEnd<'a>,
    pub max: LexEnd<'a>,
}

impl<'a> LexRange<'a> {
    /// None if an end is none of `-`, `+`, `[text` and `(text`.
    pub fn parse(min: &'a [u8], max: &'a [u8]) -> Option<LexRange<'a>> {
        let end = |text: &'a [u8]| match text {
            b"-" => Some(LexEnd::First),
            b"+" => Some(LexEnd::Last),
            [b'[', text @ ..] => Some(LexEnd::At(text)),
            [b'(', text @ ..] => Some(LexEnd::Beyond(text)),
            _ => None,
        };
        Some(LexRange { min: end(min)?, max: end(max)? })
    }

    /// Whether no member at all can be in it.
    pub fn is_empty(&self) -> bool {
        match (self.min, self.max) {
            (LexEnd::First, LexEnd::First) | (LexEnd::Last, LexEnd::Last) => false, // as Redis compares them
            (LexEnd::Last, _) | (_, LexEnd::First) => true,
            (LexEnd::At(min), LexEnd::At(max)) => min > max,
            (LexEnd::At(min) | LexEnd::Beyond(min), LexEnd::At(max) | LexEnd::Beyond(max)) => min >= max,
            (LexEnd::First, _) | (_, LexEnd::Last) => false,
        }
    }

    /// Whether a member is below the range.
    #[inline]
    pub fn is_after(&self, member: &[u8]) -> bool {
        match self.min {
            LexEnd::First => false,
            LexEnd::At(min) => member < min,
            LexEnd::Beyond(min) => member <= min,
            LexEnd::Last => true,
        }
    }

    /// Whether a member is not above the range.
    #[inline]
    pub fn reaches(&self, member: &[u8]) -> bool {
        match self.max {
            LexEnd::First => false,
            LexEnd::At(max) => member <= max,
            LexEnd::Beyond(max) => member < max,
            LexEnd::Last => true,
        }
    }
}

/// Ranks from `start` to `stop`, both included and negative ones counted from the end, as a range within `len`.
pub fn ranks(start: i64, stop: i64, len: usize) -> Range<usize> {
    let len = len as i64;
    let from_end = |at: i64| if at < 0 { at.saturating_add(len) } else { at };
    let start = from_end(start).max(0);
    let stop = from_end(stop).min(len - 1);
    if start > stop || start >= len { 0..0 } else { start as usize..stop as usize + 1 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_of_ranges() {
        let range = ScoreRange::parse(b"(1", b"3.5").unwrap();
        assert!(range.is_after(1.0) && !range.is_after(1.5) && range.reaches(3.5) && !range.reaches(3.6));
        let all = ScoreRange::parse(b"-inf", b"+inf").unwrap();
        assert!(!all.is_after(f64::NEG_INFINITY) && all.reaches(f64::INFINITY));
        assert_eq!(
            ScoreRange::parse(b"(", b"").map(|range| (range.min, range.above_min, range.max)),
            Some((0.0, true, 0.0))
        );
        for bad in [&b"x"[..], b" 1", b"nan", b"[1", b"((1"] {
            assert_eq!(ScoreRange::parse(bad, b"1"), None);
        }
        let lex = LexRange::parse(b"[b", b"(d").unwrap();
        assert!(lex.is_after(b"a") && !lex.is_after(b"b") && lex.reaches(b"czz") && !lex.reaches(b"d"));
        assert!(LexRange::parse(b"+", b"-").is_some_and(|lex| lex.is_after(b"zz") && !lex.reaches(b"")));
        for bad in [&b"x"[..], b"", b"++", b"-a"] {
            assert_eq!(LexRange::parse(bad, b"+"), None);
        }
    }

    #[test]
    fn ranks_count_from_both_ends() {
        assert_eq!(ranks(0, -1, 5), 0..5);
        assert_eq!(ranks(-2, -1, 5), 3..5);
        assert_eq!(ranks(-100, 1, 5), 0..2);
        assert_eq!(ranks(1, 100, 5), 1..5);
        assert_eq!(ranks(3, 2, 5), 0..0);
        assert_eq!(ranks(5, 9, 5), 0..0);
        assert_eq!(ranks(0, -1, 0), 0..0);
        assert_eq!(ranks(i64::MIN, i64::MAX, 2), 0..2);
    }
}
