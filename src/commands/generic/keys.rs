//! Whether keys are there, and deleting them: DEL, UNLINK, EXISTS, TOUCH, TYPE.
//!
//! DEL and UNLINK differ in who frees a large value, this thread or another; both answer when the keys are gone. A key
//! named twice is deleted once, but exists twice.

use crate::exec::args::each_key;
use crate::exec::ctx::DataCtx;
use crate::exec::error::CommandResult;
use crate::exec::spec::{Access, ArgSpec, Arity, CommandSpec, Flags, Group, Handler, KeySpec};
use crate::resp::Args;

pub(super) static DEL: CommandSpec = CommandSpec {
    name: "del",
    summary: "Deletes keys.",
    complexity: "O(N), N the number of keys",
    group: Group::Generic,
    arity: Arity::AtLeast(2),
    flags: Flags::WRITE,
    keys: &[KeySpec::rest(1, 1, Access::REMOVE.or(Access::DELETE))],
    args: &[ArgSpec::key("key").multiple()],
    tips: &["request_policy:multi_shard", "response_policy:agg_sum"],
    handler: Handler::Data(del),
    ..CommandSpec::BASE
};

pub(super) static UNLINK: CommandSpec = CommandSpec {
    name: "unlink",
    summary: "Removes keys now and frees their memory in the background.",
    complexity: "O(1) a key; the memory is freed elsewhere",
    since: "4.0.0",
    group: Group::Generic,
    arity: Arity::AtLeast(2),
    flags: Flags::WRITE.or(Flags::FAST),
    keys: &[KeySpec::rest(1, 1, Access::REMOVE.or(Access::DELETE))],
    args: &[ArgSpec::key("key").multiple()],
    tips: &["request_policy:multi_shard", "response_policy:agg_sum"],
    handler: Handler::Data(unlink),
    ..CommandSpec::BASE
};

pub(super) static EXISTS: CommandSpec = CommandSpec {
    name: "exists",
    summary: "Counts how many of the given keys exist.",
    complexity: "O(N), N the number of keys",
    group: Group::Generic,
    arity: Arity::AtLeast(2),
    flags: Flags::READONLY.or(Flags::FAST),
    keys: &[KeySpec::rest(1, 1, Access::READ_ONLY)],
    args: &[ArgSpec::key("key").multiple()],
    tips: &["request_policy:multi_shard", "response_policy:agg_sum"],
    handler: Handler::Data(exists),
    ..CommandSpec::BASE
};

pub(super) static TOUCH: CommandSpec = CommandSpec {
    name: "touch",
    summary: "Counts existing keys and marks them as just accessed.",
    complexity: "O(N), N the number of keys",
    since: "3.2.1",
    group: Group::Generic,
    arity: Arity::AtLeast(2),
    flags: Flags::READONLY.or(Flags::FAST).or(Flags::ALWAYS_TOUCHES),
    keys: &[KeySpec::rest(1, 1, Access::READ_ONLY)],
    args: &[ArgSpec::key("key").multiple()],
    tips: &["request_policy:multi_shard", "response_policy:agg_sum"],
    handler: Handler::Data(touch),
    ..CommandSpec::BASE
};

pub(super) static TYPE: CommandSpec = CommandSpec {
    name: "type",
    summary: "Tells the type of the value at a key.",
    group: Group::Generic,
    arity: Arity::Exactly(2),
    flags: Flags::READONLY.or(Flags::FAST),
    keys: &[KeySpec::at(1, Access::READ_ONLY)],
    args: &[ArgSpec::key("key")],
    handler: Handler::Data(type_),
    ..CommandSpec::BASE
};

fn del(ctx: &mut DataCtx<'_>, args: Args<'_>) -> CommandResult {
    let mut deleted = 0;
    each_key(ctx, args, 1, args.len(), 1, |ctx, key, _| deleted += i64::from(ctx.db.remove(key)));
    ctx.reply.int(deleted);
    Ok(())
}

fn unlink(ctx: &mut DataCtx<'_>, args: Args<'_>) -> CommandResult {
    let mut deleted = 0;
    each_key(ctx, args, 1, args.len(), 1, |ctx, key, _| deleted += i64::from(ctx.db.unlink(key)));
    ctx.reply.int(deleted);
    Ok(())
}

fn exists(ctx: &mut DataCtx<'_>, args: Args<'_>) -> CommandResult {
    let mut found = 0;
    each_key(ctx, args, 1, args.len(), 1, |ctx, key, _| found += i64::from(ctx.db.exists(key)));
    ctx.reply.int(found);
    Ok(())
}

fn touch(ctx: &mut DataCtx<'_>, args: Args<'_>) -> CommandResult {
    let mut found = 0;
    each_key(ctx, args, 1, args.len(), 1, |ctx, key, _| found += i64::from(ctx.db.lookup_read(key).is_some()));
    ctx.reply.int(found);
    Ok(())
}

fn type_(ctx: &mut DataCtx<'_>, args: Args<'_>) -> CommandResult {
    let key = ctx.key(args, 1);
    let name = ctx.db.lookup_untouched(key).map_or("none", |entry| entry.type_name().name());
    ctx.reply.simple(name);
    Ok(())
}
