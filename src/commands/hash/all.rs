//! All fields at once, or a few at a time: HGETALL, HKEYS, HVALS, HSCAN.

use super::reply_item;
use crate::blocking::Progress;
use crate::collections::listpack::Item;
use crate::db::Readable;
use crate::exec::ctx::{Ctx, DataCtx, ReadResult};
use crate::exec::cursor::{self, Filter, Knows};
use crate::exec::error::CommandResult;
use crate::exec::long_read::{Pace, When};
use crate::exec::spec::{Access, ArgSpec, Arity, CommandSpec, Flags, Group, Handler, KeySpec};
use crate::resp::Args;
use crate::types::hash::Field;

pub(super) static HGETALL: CommandSpec = CommandSpec {
    name: "hgetall",
    summary: "Returns all fields with their values.",
    complexity: "O(N), N the fields",
    since: "2.0.0",
    group: Group::Hash,
    arity: Arity::Exactly(2),
    flags: Flags::READONLY,
    keys: &[KeySpec::at(1, Access::READ_ONLY.or(Access::ACCESS))],
    args: &[ArgSpec::key("key")],
    tips: &["nondeterministic_output_order"],
    handler: Handler::Read { now: hgetall, past: hgetall },
    ..CommandSpec::BASE
};

pub(super) static HKEYS: CommandSpec = CommandSpec {
    name: "hkeys",
    summary: "Returns the names of all fields.",
    complexity: "O(N), N the fields",
    since: "2.0.0",
    group: Group::Hash,
    arity: Arity::Exactly(2),
    flags: Flags::READONLY,
    keys: &[KeySpec::at(1, Access::READ_ONLY.or(Access::ACCESS))],
    args: &[ArgSpec::key("key")],
    tips: &["nondeterministic_output_order"],
    handler: Handler::Read { now: hkeys, past: hkeys },
    ..CommandSpec::BASE
};

pub(super) static HVALS: CommandSpec = CommandSpec {
    name: "hvals",
    summary: "Returns the values of all fields.",
    complexity: "O(N), N the fields",
    since: "2.0.0",
    group: Group::Hash,
    arity: Arity::Exactly(2),
    flags: Flags::READONLY,
    keys: &[KeySpec::at(1, Access::READ_ONLY.or(Access::ACCESS))],
    args: &[ArgSpec::key("key")],
    tips: &["nondeterministic_output_order"],
    handler: Handler::Read { now: hvals, past: hvals },
    ..CommandSpec::BASE
};

pub(super) static HSCAN: CommandSpec = CommandSpec {
    name: "hscan",
    summary: "Iterates over the fields of a hash, a few at a call.",
    complexity: "O(1) a call, O(N) for the whole iteration",
    since: "2.8.0",
    group: Group::Hash,
    arity: Arity::AtLeast(3),
    flags: Flags::READONLY,
    keys: &[KeySpec::at(1, Access::READ_ONLY.or(Access::ACCESS))],
    args: &[
        ArgSpec::key("key"),
        ArgSpec::integer("cursor"),
        ArgSpec::pattern("pattern").token("MATCH").optional(),
        ArgSpec::integer("count").token("COUNT").optional(),
        ArgSpec::word("novalues", "NOVALUES").optional(),
    ],
    tips: &["nondeterministic_output"],
    handler: Handler::Data(hscan),
    ..CommandSpec::BASE
};

fn hgetall<W: When>(ctx: &mut Ctx<'_, W>, args: Args<'_>) -> ReadResult {
    let key = ctx.key(args, 1);
    let now_ms = ctx.db.now_ms();
    let Some(entry) = ctx.db.lookup_read(key) else {
        ctx.reply.map(0);
        return Ok(Progress::Done);
    };
    let (hash, reply) = (entry.hash()?, &mut *ctx.reply);
    if ctx.pace.is_long(hash.len()) {
        return Ok(Progress::long_read());
    }
    reply.map(hash.live(now_ms));
    hash.while_live(now_ms, |field| {
        reply_item(reply, field.name);
        reply_item(reply, field.value);
        ctx.pace.goes_on(reply)
    });
    Ok(Progress::Done)
}

fn hkeys<W: When>(ctx: &mut Ctx<'_, W>, args: Args<'_>) -> ReadResult {
    show(ctx, args, |field| field.name)
}

fn hvals<W: When>(ctx: &mut Ctx<'_, W>, args: Args<'_>) -> ReadResult {
    show(ctx, args, |field| field.value)
}

/// One thing of each field, in an array.
#[inline(always)]
fn show<W: When>(ctx: &mut Ctx<'_, W>, args: Args<'_>, what: impl Fn(Field<'_>) -> Item<'_>) -> ReadResult {
    let key = ctx.key(args, 1);
    let now_ms = ctx.db.now_ms();
    let Some(entry) = ctx.db.lookup_read(key) else {
        ctx.reply.array(0);
        return Ok(Progress::Done);
    };
    let (hash, reply) = (entry.hash()?, &mut *ctx.reply);
    if ctx.pace.is_long(hash.len()) {
        return Ok(Progress::long_read());
    }
    reply.array(hash.live(now_ms));
    hash.while_live(now_ms, |field| {
        reply_item(reply, what(field));
        ctx.pace.goes_on(reply)
    });
    Ok(Progress::Done)
}

fn hscan(ctx: &mut DataCtx<'_>, args: Args<'_>) -> CommandResult {
    let cursor = cursor::parse(&args[2])?;
    let key = ctx.key(args, 1);
    let now_ms = ctx.db.now_ms();
    let hash = ctx.db.lookup_read(key).map(|entry| entry.hash()).transpose()?;
    let Some(hash) = hash else {
        cursor::reply(ctx.reply, |_, _| 0);
        return Ok(());
    };
    let filter = Filter::parse(args.skip(3), Knows::NoValues)?;
    cursor::reply(ctx.reply, |reply, found| {
        hash.scan(cursor, filter.count, |field| {
            if filter.pattern.matches(field.name.text(&mut itoa::Buffer::new())) && !field.is_expired(now_ms) {
                reply_item(reply, field.name);
                *found += 1;
                if !filter.no_values {
                    reply_item(reply, field.value);
                    *found += 1;
                }
            }
        })
    });
    Ok(())
}
