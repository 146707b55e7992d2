//! Walking over the keys: SCAN, KEYS, RANDOMKEY.
//!
//! SCAN's cursor is a place in the order of hashes, and the table is kept in that order however it grows and shrinks:
//! a key that is there from the beginning of an iteration to its end is returned, and, unlike in Redis, none is
//! returned twice because the table was resized meanwhile (see [`crate::dict`]).

use std::ops::ControlFlow;

use crate::blocking::Progress;
use crate::db::Readable;
use crate::exec::ctx::{Ctx, DataCtx, ReadResult};
use crate::exec::cursor::{self, Filter, Knows, Pattern};
use crate::exec::error::CommandResult;
use crate::exec::long_read::{Pace, When};
use crate::exec::spec::{ArgSpec, Arity, Categories, CommandSpec, Flags, Group, Handler};
use crate::resp::Args;

pub(super) static SCAN: CommandSpec = CommandSpec {
    name: "scan",
    summary: "Iterates over the keys of a database, a few at a call.",
    complexity: "O(1) a call, O(N) for the whole iteration",
    since: "2.8.0",
    group: Group::Generic,
    arity: Arity::AtLeast(2),
    flags: Flags::READONLY.or(Flags::EXPIRES_APART),
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
    flags: Flags::READONLY.or(Flags::UNDECLARED_KEYS),
    categories: Categories::DANGEROUS,
    args: &[ArgSpec::pattern("pattern")],
    tips: &["request_policy:all_shards", "nondeterministic_output_order"],
    handler: Handler::Read { now: keys, past: keys },
    ..CommandSpec::BASE
};

pub(super) static RANDOMKEY: CommandSpec = CommandSpec {
    name: "randomkey",
    summary: "Returns a key chosen at random.",
    group: Group::Generic,
    arity: Arity::Exactly(1),
    flags: Flags::READONLY.or(Flags::EXPIRES_APART),
    tips: &["request_policy:all_shards", "response_policy:special", "nondeterministic_output"],
    handler: Handler::Data(randomkey),
    ..CommandSpec::BASE
};

fn scan(ctx: &mut DataCtx<'_>, args: Args<'_>) -> CommandResult {
    let cursor = cursor::parse(&args[1])?;
    let filter = Filter::parse(args.skip(2), Knows::Type)?;
    let db = &mut ctx.db;
    cursor::reply(ctx.reply, |keys, found| {
        db.scan(
            cursor,
            filter.count,
            |entry| filter.pattern.matches(entry.key()),
            |entry| {
                if filter.kind.is_none_or(|kind| kind == Some(entry.type_name())) {
                    keys.bulk(entry.key());
                    *found += 1;
                }
            },
        )
    });
    Ok(())
}

fn keys<W: When>(ctx: &mut Ctx<'_, W>, args: Args<'_>) -> ReadResult {
    let pattern = Pattern::new(&args[1]);
    if !matches!(pattern, Pattern::Name(_)) && ctx.pace.is_long(ctx.db.size()) {
        return Ok(Progress::long_read());
    }
    let mut found = 0;
    let len = ctx.reply.array_deferred();
    let (reply, pace) = (&mut *ctx.reply, &mut ctx.pace);
    match pattern {
        // No need to look at all names for one.
        Pattern::Name(name) => {
            if ctx.db.peek(ctx.db.key(name)).is_some() {
                reply.bulk(name);
                found = 1;
            }
        }
        Pattern::All | Pattern::Glob(_) => ctx.db.each(|entry| {
            let wanted = pattern.matches(entry.key());
            if wanted {
                reply.bulk(entry.key());
                found += 1;
            }
            let goes_on = if wanted { pace.goes_on(reply) } else { pace.works_on() };
            if goes_on { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        }),
    }
    ctx.reply.set_array_len(len, found);
    Ok(Progress::Done)
}

fn randomkey(ctx: &mut DataCtx<'_>, _args: Args<'_>) -> CommandResult {
    match ctx.db.random_key() {
        Some(name) => ctx.reply.bulk(&name),
        None => ctx.reply.null(),
    }
    Ok(())
}
