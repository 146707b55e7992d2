//! The options of SET, GETEX and MSETEX.
//!
//! They are one language of which each command takes a part. Words come in any order and any case. A word that the
//! command does not take, or that contradicts an earlier one, is a syntax error; the same word again is none, and its
//! last number counts (`EX 1 EX 2`), as clients that build their requests in layers have come to rely on.
//!
//! The number of an expiry is looked at only after the whole request was read: `SET k v EX x BAD` is a syntax error.

use crate::db::ExpiryUpdate;
use crate::exec::args::{ExpiryUnit, deadline_ms};
use crate::exec::error::{self, CommandError};
use crate::resp::{Args, ArgsIter};

/// Which part of the language a command takes, beyond EX, PX, EXAT and PXAT.
#[derive(Clone, Copy)]
pub(super) struct Takes {
    /// NX, XX.
    presence: bool,
    /// GET and IFEQ.
    old_value: bool,
    /// KEEPTTL.
    keep: bool,
    /// PERSIST.
    persist: bool,
}

impl Takes {
    pub(super) const SET: Takes = Takes { presence: true, old_value: true, keep: true, persist: false };
    pub(super) const GETEX: Takes = Takes { presence: false, old_value: false, keep: false, persist: true };
    pub(super) const MSETEX: Takes = Takes { presence: true, old_value: false, keep: true, persist: false };
}

/// On what the write depends.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) enum Condition<'a> {
    #[default]
    Always,
    /// NX
    Missing,
    /// XX
    Exists,
    /// IFEQ
    Equals(&'a [u8]),
}

/// What was asked about the deadline.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) enum Expiry<'a> {
    #[default]
    Unsaid,
    /// KEEPTTL
    Keep,
    /// PERSIST
    Persist,
    /// EX, PX, EXAT, PXAT, and their number.
    Time(ExpiryUnit, &'a [u8]),
}

impl Expiry<'_> {
    /// What is to be done; none if nothing was said. Refuses a number that is no deadline.
    #[inline]
    pub(super) fn update(self, now_ms: i64, full_name: &str) -> Result<Option<ExpiryUpdate>, CommandError> {
        Ok(match self {
            Expiry::Unsaid => None,
            Expiry::Keep => Some(ExpiryUpdate::Keep),
            Expiry::Persist => Some(ExpiryUpdate::Clear),
            Expiry::Time(unit, text) => Some(ExpiryUpdate::At(deadline_ms(unit, text, now_ms, full_name)?)),
        })
    }
}

/// The options of one request.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Options<'a> {
    pub(super) condition: Condition<'a>,
    /// GET: reply with the old value.
    pub(super) get: bool,
    pub(super) expiry: Expiry<'a>,
}

impl<'a> Options<'a> {
    /// Reads the arguments from `first` on.
    pub(super) fn parse(args: Args<'a>, first: usize, takes: Takes) -> Result<Options<'a>, CommandError> {
        let mut options = Options::default();
        let mut rest = args.skip(first).iter();
        while let Some(word) = rest.next() {
            options.take(word, &mut rest, takes).ok_or(error::SYNTAX)?;
        }
        Ok(options)
    }

    /// One word, with its operand if it has one. None where it does not belong.
    #[inline]
    fn take(&mut self, word: &[u8], rest: &mut ArgsIter<'a>, takes: Takes) -> Option<()> {
        let mut folded = [0; LONGEST_WORD];
        let folded = folded.get_mut(..word.len())?;
        folded.copy_from_slice(word);
        folded.make_ascii_lowercase();
        match &*folded {
            b"ex" => self.expires(Expiry::Time(ExpiryUnit::Seconds, rest.next()?)),
            b"px" => self.expires(Expiry::Time(ExpiryUnit::Millis, rest.next()?)),
            b"exat" => self.expires(Expiry::Time(ExpiryUnit::UnixSeconds, rest.next()?)),
            b"pxat" => self.expires(Expiry::Time(ExpiryUnit::UnixMillis, rest.next()?)),
            b"keepttl" if takes.keep => self.expires(Expiry::Keep),
            b"persist" if takes.persist => self.expires(Expiry::Persist),
            b"nx" if takes.presence => self.on(Condition::Missing),
            b"xx" if takes.presence => self.on(Condition::Exists),
            b"ifeq" if takes.old_value && self.condition == Condition::Always => {
                self.on(Condition::Equals(rest.next()?))
            }
            b"get" if takes.old_value => {
                self.get = true;
                Some(())
            }
            _ => None,
        }
    }

    fn on(&mut self, condition: Condition<'a>) -> Option<()> {
        if self.condition != Condition::Always && self.condition != condition {
            return None;
        }
        self.condition = condition;
        Some(())
    }

    #[inline]
    fn expires(&mut self, expiry: Expiry<'a>) -> Option<()> {
        let agrees = match (self.expiry, expiry) {
            (Expiry::Unsaid, _) => true,
            (Expiry::Time(before, _), Expiry::Time(now, _)) => before == now,
            (before, now) => before == now,
        };
        if agrees {
            self.expiry = expiry;
        }
        agrees.then_some(())
    }
}

/// Bytes of `keepttl` and `persist`.
const LONGEST_WORD: usize = 7;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resp::OwnedArgs;

    fn check(takes: Takes, request: &str, expected: Option<Options<'_>>) {
        let args = OwnedArgs::from_parts(request.split_whitespace());
        assert_eq!(Options::parse(args.view(), 0, takes).ok(), expected, "{request}");
    }

    #[test]
    fn words_in_any_order_and_case() {
        let expiry = Expiry::Time(ExpiryUnit::Seconds, b"10");
        check(Takes::SET, "", Some(Options::default()));
        check(Takes::SET, "eX 10 get Nx", Some(Options { condition: Condition::Missing, get: true, expiry }));
        check(Takes::SET, "XX EX 10", Some(Options { condition: Condition::Exists, get: false, expiry }));
        check(Takes::SET, "EX 5 EX 10", Some(Options { expiry, ..Options::default() }));
        let equals = Options { condition: Condition::Equals(b"nx"), ..Options::default() };
        check(Takes::SET, "IFEQ nx", Some(equals));
        let persist = Options { expiry: Expiry::Persist, ..Options::default() };
        check(Takes::GETEX, "persist PERSIST", Some(persist));
        let keep = Options { expiry: Expiry::Keep, ..Options::default() };
        check(Takes::MSETEX, "KEEPTTL keepttl", Some(keep));
    }

    #[test]
    fn contradictions_and_strangers() {
        for request in [
            "NX XX",
            "XX NX",
            "EX 1 PX 1",
            "EX 1 EXAT 1",
            "KEEPTTL EX 1",
            "EX 1 KEEPTTL",
            "EX",
            "PERSIST",
            "BAD",
            "NXX",
            "IFEQ",
            "IFEQ 1 NX",
            "XX IFEQ 1",
            "IFEQ 1 IFEQ 1",
            "GET KEEPTTLX",
            "",
        ] {
            let expected = request.is_empty().then(Options::default);
            check(Takes::SET, request, expected);
        }
        for request in ["NX", "GET", "KEEPTTL", "PERSIST EX 1", "EX 1 PERSIST"] {
            check(Takes::GETEX, request, None);
        }
        for request in ["GET", "IFEQ 1", "PERSIST"] {
            check(Takes::MSETEX, request, None);
        }
    }
}
