//! Walking over the keys: SCAN, KEYS, RANDOMKEY.
//!
//! SCAN's cursor is a place in the order of hashes, and the table is kept in that order however it grows and shrinks:
//! a key that is there from the beginning of an iteration to its end is returned, and, unlike in Redis, none is
//! returned twice because the table was resized meanwhile (see [`crate::dict`]).

use crate::db::DbMut;
use crate::exec::ctx::DataCtx;
use crate::exec::cursor::{self, Filter, Knows, Pattern};
use crate::exec::error::CommandResult;
use crate::exec::spec::{ArgSpec, Arity, Categories, CommandSpec, Flags, Group, Handler};
use crate::resp::Args;

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
    flags: Flags::READONLY.or(Flags::UNDECLARED_KEYS),
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
