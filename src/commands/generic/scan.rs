//! Walking over the keys: SCAN, KEYS, RANDOMKEY.
//!
//! SCAN's cursor is a place in the order of hashes, and the table is kept in that order however it grows and shrinks:
//! a key that is there from the beginning of an iteration to its end is returned, and, unlike in Redis, none is
//! returned twice because the table was resized meanwhile (see [`crate::dict`]).
//!
//! A pattern is matched before anything else is asked about an entry, so that an iteration for a few keys among many
//! reads nothing of the others but their names.

use crate::db::DbMut;
use crate::exec::args::int;
use crate::exec::ctx::DataCtx;
use crate::exec::error::{self, CommandError, CommandResult};
use crate::exec::spec::{ArgSpec, Arity, Categories, CommandSpec, Flags, Group, Handler};
use crate::resp::{Args, Reply};
use crate::types::TypeName;
use crate::util::{glob, num};

pub(super) static SCAN: CommandSpec = CommandSpec {
    name: "scan",
    summary: "Iterates over the keys of a database, a few at a call.",
    complexity: "O(1) a call, O(N) for the whole iteration",
    since: "2.8.0",
    group: Group::Generic,
    arity: Arity::AtLeast(2),
    flags: Flags::READONLY,
    args: &[
        ArgSpec::integer("cursor"),
        ArgSpec::pattern("pattern").token("MATCH").optional(),
        ArgSpec::integer("count").token("COUNT").optional(),
        ArgSpec::string("type").token("TYPE").optional().since("6.0.0"),
    ],
    tips: &["nondeterministic_output", "request_policy:special", "response_policy:special"],
    handler: Handler::Data(scan),
    ..CommandSpec::BASE
};

pub(super) static KEYS: CommandSpec = CommandSpec {
    name: "keys",
    summary: "Lists all keys that match a pattern.",
    complexity: "O(N), N the keys in the database",
    group: Group::Generic,
    arity: Arity::Exactly(2),
    flags: Flags::READONLY,
    categories: Categories::DANGEROUS,
    args: &[ArgSpec::pattern("pattern")],
    tips: &["request_policy:all_shards", "nondeterministic_output_order"],
    handler: Handler::Data(keys),
    ..CommandSpec::BASE
};

pub(super) static RANDOMKEY: CommandSpec = CommandSpec {
    name: "randomkey",
    summary: "Returns a key chosen at random.",
    group: Group::Generic,
    arity: Arity::Exactly(1),
    flags: Flags::READONLY,
    tips: &["request_policy:all_shards", "response_policy:special", "nondeterministic_output"],
    handler: Handler::Data(randomkey),
    ..CommandSpec::BASE
};

fn scan(ctx: &mut DataCtx<'_>, args: Args<'_>) -> CommandResult {
    let cursor = parse_cursor(&args[1]).ok_or(error::INVALID_CURSOR)?;
    let filter = Filter::parse(args)?;
    // The next cursor stands before the keys and is known after them.
    let mut keys = Reply::with_proto(ctx.reply.proto);
    let mut found = 0;
    let next = ctx.db.scan(
        cursor,
        filter.count,
        |entry| filter.pattern.matches(entry.key()) && filter.kind.is_none_or(|kind| kind == Some(entry.type_name())),
        |entry| {
            keys.bulk(entry.key());
            found += 1;
        },
    );
    ctx.reply.array(2);
    let mut text = Vec::with_capacity(20);
    num::push_u64(&mut text, next);
    ctx.reply.bulk(&text);
    ctx.reply.array(found);
    ctx.reply.raw(keys.out.bytes_mut());
    Ok(())
}

/// A cursor that SCAN returned, or the 0 to begin with. Redis also takes what C's strtoull takes: blanks before the
/// number, a plus, zeros, a negative number that is not spelled the usual way, and anything behind a NUL.
fn parse_cursor(text: &[u8]) -> Option<u64> {
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

/// What an iteration returns.
struct Filter<'a> {
    pattern: Pattern<'a>,
    count: usize,
    /// `Some(None)` is a type that nothing has.
    kind: Option<Option<TypeName>>,
}

impl<'a> Filter<'a> {
    fn parse(args: Args<'a>) -> Result<Filter<'a>, CommandError> {
        let mut filter = Filter { pattern: Pattern::All, count: 10, kind: None };
        let mut rest = args.skip(2).iter();
        while let Some(word) = rest.next() {
            let operand = rest.next().ok_or(error::SYNTAX)?;
            match word {
                _ if word.eq_ignore_ascii_case(b"COUNT") => {
                    let count = int(operand)?;
                    filter.count = usize::try_from(count).ok().filter(|n| *n > 0).ok_or(error::SYNTAX)?;
                }
                _ if word.eq_ignore_ascii_case(b"MATCH") => filter.pattern = Pattern::new(operand),
                _ if word.eq_ignore_ascii_case(b"TYPE") => filter.kind = Some(TypeName::from_name(operand)),
                _ => return Err(error::SYNTAX),
            }
        }
        Ok(filter)
    }
}

/// Which names are wanted.
#[derive(Clone, Copy)]
enum Pattern<'a> {
    /// `*`, which here also matches the empty name.
    All,
    /// A pattern that only one name matches.
    Name(&'a [u8]),
    Glob(&'a [u8]),
}

impl<'a> Pattern<'a> {
    fn new(text: &'a [u8]) -> Pattern<'a> {
        if text == b"*" {
            Pattern::All
        } else if text.iter().any(|byte| b"*?[\\".contains(byte)) {
            Pattern::Glob(text)
        } else {
            Pattern::Name(text)
        }
    }

    fn matches(self, name: &[u8]) -> bool {
        match self {
            Pattern::All => true,
            Pattern::Name(text) => text == name,
            Pattern::Glob(text) => glob::matches(text, name, false),
        }
    }
}

fn keys(ctx: &mut DataCtx<'_>, args: Args<'_>) -> CommandResult {
    let pattern = Pattern::new(&args[1]);
    let mut found = 0;
    let len = ctx.reply.array_deferred();
    each_name(&ctx.db, pattern, |name| {
        ctx.reply.bulk(name);
        found += 1;
    });
    ctx.reply.set_array_len(len, found);
    Ok(())
}

fn each_name(db: &DbMut<'_>, pattern: Pattern<'_>, mut f: impl FnMut(&[u8])) {
    match pattern {
        // No need to look at all names for one.
        Pattern::Name(name) => {
            if db.peek(db.key(name)).is_some() {
                f(name);
            }
        }
        Pattern::All | Pattern::Glob(_) => db.for_each(|entry| {
            if pattern.matches(entry.key()) {
                f(entry.key());
            }
        }),
    }
}

fn randomkey(ctx: &mut DataCtx<'_>, _args: Args<'_>) -> CommandResult {
    match ctx.db.random_key() {
        Some(name) => ctx.reply.bulk(&name),
        None => ctx.reply.null(),
    }
    Ok(())
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
            ("1\0x", Some(1)),
            ("\0", None),
        ] {
            assert_eq!(parse_cursor(text.as_bytes()), expected, "{text:?}");
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
