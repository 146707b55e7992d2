//! What SCAN, SSCAN, HSCAN and ZSCAN have in common: cursors, patterns, options, and the shape of the reply.
//!
//! A pattern is matched before anything else is asked about an element, so that an iteration for a few among many reads
//! nothing of the others but their names.

use crate::exec::args::int;
use crate::exec::error::{self, CommandError};
use crate::resp::{Args, Reply};
use crate::types::TypeName;
use crate::util::{glob, num};

/// A cursor that was returned before, or the 0 to begin with. Redis also takes what C's strtoull takes: blanks before
/// the number, a plus, zeros, a negative number that is not spelled the usual way, and anything behind a NUL.
pub fn parse(text: &[u8]) -> Result<u64, CommandError> {
    parse_number(text).ok_or(error::INVALID_CURSOR)
}

fn parse_number(text: &[u8]) -> Option<u64> {
    let text = error::until_nul(text);
    if let Some(n) = num::parse_i64(text) {
        return u64::try_from(n).ok();
    }
    let digits = text.trim_ascii_start();
    let (negative, digits) = match digits {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        _ => (false, digits),
    };
    let spelled = !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
    let n: u64 = std::str::from_utf8(digits).ok().filter(|_| spelled)?.parse().ok()?;
    Some(if negative { n.wrapping_neg() } else { n })
}

/// Which options a command knows besides MATCH and COUNT.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Knows {
    /// SSCAN, ZSCAN.
    Nothing,
    /// SCAN: TYPE.
    Type,
    /// HSCAN: NOVALUES.
    NoValues,
}

const NO_VALUES: CommandError = CommandError::fixed("ERR NOVALUES option can only be used in HSCAN");

/// What an iteration returns.
pub struct Filter<'a> {
    pub pattern: Pattern<'a>,
    pub count: usize,
    /// `Some(None)` is a type that nothing has.
    pub kind: Option<Option<TypeName>>,
    pub no_values: bool,
}

impl<'a> Filter<'a> {
    /// The options in `args`, which begin there.
    pub fn parse(args: Args<'a>, knows: Knows) -> Result<Filter<'a>, CommandError> {
        let mut filter = Filter { pattern: Pattern::All, count: 10, kind: None, no_values: false };
        let mut rest = args.iter();
        while let Some(word) = rest.next() {
            if word.eq_ignore_ascii_case(b"NOVALUES") {
                if knows != Knows::NoValues {
                    return Err(NO_VALUES);
                }
                filter.no_values = true;
                continue;
            }
            let operand = rest.next().ok_or(error::SYNTAX)?;
            match word {
                _ if word.eq_ignore_ascii_case(b"COUNT") => {
                    let count = int(operand)?;
                    filter.count = usize::try_from(count).ok().filter(|n| *n > 0).ok_or(error::SYNTAX)?;
                }
                _ if word.eq_ignore_ascii_case(b"MATCH") => filter.pattern = Pattern::new(operand),
                _ if knows == Knows::Type && word.eq_ignore_ascii_case(b"TYPE") => {
                    filter.kind = Some(TypeName::from_name(operand));
                }
                _ => return Err(error::SYNTAX),
            }
        }
        Ok(filter)
    }
}

/// Which names are wanted.
#[derive(Clone, Copy)]
pub enum Pattern<'a> {
    /// `*`, which here also matches the empty name.
    All,
    /// A pattern that only one name matches.
    Name(&'a [u8]),
    Glob(&'a [u8]),
}

impl<'a> Pattern<'a> {
    pub fn new(text: &'a [u8]) -> Pattern<'a> {
        if text == b"*" {
            Pattern::All
        } else if text.iter().any(|byte| b"*?[\\".contains(byte)) {
            Pattern::Glob(text)
        } else {
            Pattern::Name(text)
        }
    }

    pub fn matches(self, name: &[u8]) -> bool {
        match self {
            Pattern::All => true,
            Pattern::Name(text) => text == name,
            Pattern::Glob(text) => glob::matches(text, name, false),
        }
    }
}

/// The reply of an iteration's step: the cursor, and an array of what `emit` writes and counts. The cursor stands before
/// the elements and is known after them.
pub fn reply(out: &mut Reply, emit: impl FnOnce(&mut Reply, &mut usize) -> u64) {
    let mut elements = Reply::with_proto(out.proto);
    let mut count = 0;
    let next = emit(&mut elements, &mut count);
    out.array(2);
    let mut text = Vec::with_capacity(20);
    num::push_u64(&mut text, next);
    out.bulk(&text);
    out.array(count);
    out.raw(elements.out.bytes_mut());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cursors() {
        for (text, expected) in [
            ("0", Some(0)),
            ("18446744073709551615", Some(u64::MAX)),
            ("9223372036854775807", Some(i64::MAX as u64)),
            ("18446744073709551616", None),
            ("", None),
            ("x", None),
            ("1x", None),
            ("1 ", None),
            ("-1", None),
            ("-", None),
            (" 1", Some(1)),
            ("+1", Some(1)),
            ("01", Some(1)),
            ("-01", Some(u64::MAX)),
            ("--1", None),
        ] {
            assert_eq!(parse_number(text.as_bytes()), expected, "{text:?}");
        }
    }

    #[test]
    fn patterns() {
        assert!(Pattern::new(b"*").matches(b""));
        assert!(Pattern::new(b"").matches(b""));
        assert!(Pattern::new(b"abc").matches(b"abc"));
        assert!(!Pattern::new(b"abc").matches(b"abcd"));
        assert!(Pattern::new(b"a]c").matches(b"a]c"));
        assert!(Pattern::new(b"a\\*c").matches(b"a*c"));
        assert!(Pattern::new(b"h?l*").matches(b"hello"));
    }
}
