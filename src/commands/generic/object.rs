//! OBJECT: what is known about a key besides its value.
//!
//! Looking is no access, or nobody could see how long a key was left alone. The reference count is always 1: values
//! are not shared between keys.

use crate::db::{AccessPolicy, EntryRef};
use crate::exec::ctx::DataCtx;
use crate::exec::error::{CommandError, CommandResult};
use crate::exec::help;
use crate::exec::spec::{Access, ArgSpec, Arity, CommandSpec, Flags, Group, Handler, KeySpec};
use crate::resp::Args;

pub(super) static OBJECT: CommandSpec = CommandSpec {
    name: "object",
    summary: "Container of commands that look inside a key.",
    complexity: "see the subcommands",
    since: "2.2.3",
    group: Group::Generic,
    arity: Arity::AtLeast(2),
    subcommands: &[&OBJECT_ENCODING, &OBJECT_FREQ, &OBJECT_HELP, &OBJECT_IDLETIME, &OBJECT_REFCOUNT],
    ..CommandSpec::BASE
};

pub(super) static OBJECT_ENCODING: CommandSpec = CommandSpec {
    name: "encoding",
    summary: "Names the memory form of the value at a key.",
    since: "2.2.3",
    group: Group::Generic,
    arity: Arity::Exactly(3),
    flags: Flags::READONLY,
    keys: &[KeySpec::at(2, Access::READ_ONLY)],
    args: &[ArgSpec::key("key")],
    tips: &["nondeterministic_output"],
    handler: Handler::Data(object_encoding),
    ..CommandSpec::BASE
};

pub(super) static OBJECT_FREQ: CommandSpec = CommandSpec {
    name: "freq",
    summary: "Returns the logarithmic access frequency of a key.",
    since: "4.0.0",
    group: Group::Generic,
    arity: Arity::Exactly(3),
    flags: Flags::READONLY,
    keys: &[KeySpec::at(2, Access::READ_ONLY)],
    args: &[ArgSpec::key("key")],
    tips: &["nondeterministic_output"],
    handler: Handler::Data(object_freq),
    ..CommandSpec::BASE
};

pub(super) static OBJECT_IDLETIME: CommandSpec = CommandSpec {
    name: "idletime",
    summary: "Returns the seconds since a key was last accessed.",
    since: "2.2.3",
    group: Group::Generic,
    arity: Arity::Exactly(3),
    flags: Flags::READONLY,
    keys: &[KeySpec::at(2, Access::READ_ONLY)],
    args: &[ArgSpec::key("key")],
    tips: &["nondeterministic_output"],
    handler: Handler::Data(object_idletime),
    ..CommandSpec::BASE
};

pub(super) static OBJECT_REFCOUNT: CommandSpec = CommandSpec {
    name: "refcount",
    summary: "Returns the reference count of the value at a key.",
    since: "2.2.3",
    group: Group::Generic,
    arity: Arity::Exactly(3),
    flags: Flags::READONLY,
    keys: &[KeySpec::at(2, Access::READ_ONLY)],
    args: &[ArgSpec::key("key")],
    tips: &["nondeterministic_output"],
    handler: Handler::Data(object_refcount),
    ..CommandSpec::BASE
};

pub(super) static OBJECT_HELP: CommandSpec = CommandSpec {
    name: "help",
    summary: "Describes the OBJECT subcommands.",
    since: "6.2.0",
    group: Group::Generic,
    arity: Arity::Exactly(2),
    flags: Flags::LOADING.or(Flags::STALE),
    handler: Handler::Data(object_help),
    ..CommandSpec::BASE
};

const NOT_LFU: CommandError = CommandError::fixed(
    "ERR An LFU maxmemory policy is not selected, access frequency not tracked. Please note that when switching \
     between policies at runtime LRU and LFU data will take some time to adjust.",
);
const NOT_LRU: CommandError = CommandError::fixed(
    "ERR An LFU maxmemory policy is selected, idle time not tracked. Please note that when switching between \
     policies at runtime LRU and LFU data will take some time to adjust.",
);

/// The entry at argument 2.
fn entry<'c>(ctx: &'c mut DataCtx<'_>, args: Args<'_>) -> Option<EntryRef<'c>> {
    let key = ctx.key(args, 2);
    ctx.db.lookup_unnoticed(key)
}

fn object_encoding(ctx: &mut DataCtx<'_>, args: Args<'_>) -> CommandResult {
    match entry(ctx, args).map(EntryRef::encoding) {
        Some(encoding) => ctx.reply.bulk(encoding.name().as_bytes()),
        None => ctx.reply.null(),
    }
    Ok(())
}

fn object_refcount(ctx: &mut DataCtx<'_>, args: Args<'_>) -> CommandResult {
    match entry(ctx, args).is_some() {
        true => ctx.reply.int(1),
        false => ctx.reply.null(),
    }
    Ok(())
}

fn object_idletime(ctx: &mut DataCtx<'_>, args: Args<'_>) -> CommandResult {
    let policy = ctx.db.keyspace().options().access;
    let now_ms = ctx.db.now_ms();
    let Some(clock) = entry(ctx, args).map(EntryRef::clock) else {
        ctx.reply.null();
        return Ok(());
    };
    match policy {
        AccessPolicy::Lru => ctx.reply.int(i64::from(policy.idle_seconds(clock, now_ms))),
        AccessPolicy::Lfu { .. } => return Err(NOT_LRU),
    }
    Ok(())
}

fn object_freq(ctx: &mut DataCtx<'_>, args: Args<'_>) -> CommandResult {
    let policy = ctx.db.keyspace().options().access;
    let now_ms = ctx.db.now_ms();
    let Some(clock) = entry(ctx, args).map(EntryRef::clock) else {
        ctx.reply.null();
        return Ok(());
    };
    match policy {
        AccessPolicy::Lfu { .. } => ctx.reply.int(i64::from(policy.frequency(clock, now_ms))),
        AccessPolicy::Lru => return Err(NOT_LFU),
    }
    Ok(())
}

fn object_help(ctx: &mut DataCtx<'_>, _args: Args<'_>) -> CommandResult {
    help::reply(ctx.reply, &OBJECT);
    Ok(())
}
