//! Reading a key's deadline: TTL, PTTL, EXPIRETIME, PEXPIRETIME.
//!
//! -2 says that there is no such key, -1 that it has no deadline. Seconds are rounded to the nearest, so that a TTL
//! right after EXPIRE is the number that was given.

use crate::exec::ctx::DataCtx;
use crate::exec::error::CommandResult;
use crate::exec::spec::{Access, ArgSpec, Arity, CommandSpec, Flags, Group, Handler, KeySpec};
use crate::resp::Args;

pub(super) static TTL: CommandSpec = CommandSpec {
    name: "ttl",
    summary: "Returns a key's remaining time to live in seconds.",
    group: Group::Generic,
    arity: Arity::Exactly(2),
    flags: Flags::READONLY.or(Flags::FAST),
    keys: &[KeySpec::at(1, Access::READ_ONLY.or(Access::ACCESS))],
    args: &[ArgSpec::key("key")],
    tips: &["nondeterministic_output"],
    handler: Handler::Data(ttl),
    ..CommandSpec::BASE
};

pub(super) static PTTL: CommandSpec = CommandSpec {
    name: "pttl",
    summary: "Returns a key's remaining time to live in milliseconds.",
    since: "2.6.0",
    group: Group::Generic,
    arity: Arity::Exactly(2),
    flags: Flags::READONLY.or(Flags::FAST),
    keys: &[KeySpec::at(1, Access::READ_ONLY.or(Access::ACCESS))],
    args: &[ArgSpec::key("key")],
    tips: &["nondeterministic_output"],
    handler: Handler::Data(pttl),
    ..CommandSpec::BASE
};

pub(super) static EXPIRETIME: CommandSpec = CommandSpec {
    name: "expiretime",
    summary: "Returns the unix time, in seconds, at which a key expires.",
    since: "7.0.0",
    group: Group::Generic,
    arity: Arity::Exactly(2),
    flags: Flags::READONLY.or(Flags::FAST),
    keys: &[KeySpec::at(1, Access::READ_ONLY.or(Access::ACCESS))],
    args: &[ArgSpec::key("key")],
    handler: Handler::Data(expiretime),
    ..CommandSpec::BASE
};

pub(super) static PEXPIRETIME: CommandSpec = CommandSpec {
    name: "pexpiretime",
    summary: "Returns the unix time, in milliseconds, at which a key expires.",
    since: "7.0.0",
    group: Group::Generic,
    arity: Arity::Exactly(2),
    flags: Flags::READONLY.or(Flags::FAST),
    keys: &[KeySpec::at(1, Access::READ_ONLY.or(Access::ACCESS))],
    args: &[ArgSpec::key("key")],
    handler: Handler::Data(pexpiretime),
    ..CommandSpec::BASE
};

const NO_KEY: i64 = -2;
const NO_DEADLINE: i64 = -1;

fn ttl(ctx: &mut DataCtx<'_>, args: Args<'_>) -> CommandResult {
    let now_ms = ctx.db.now_ms();
    reply_deadline(ctx, args, |deadline| seconds((deadline - now_ms).max(0)))
}

fn pttl(ctx: &mut DataCtx<'_>, args: Args<'_>) -> CommandResult {
    let now_ms = ctx.db.now_ms();
    reply_deadline(ctx, args, |deadline| (deadline - now_ms).max(0))
}

fn expiretime(ctx: &mut DataCtx<'_>, args: Args<'_>) -> CommandResult {
    reply_deadline(ctx, args, seconds)
}

fn pexpiretime(ctx: &mut DataCtx<'_>, args: Args<'_>) -> CommandResult {
    reply_deadline(ctx, args, |deadline| deadline)
}

fn seconds(millis: i64) -> i64 {
    millis.saturating_add(500) / 1000
}

fn reply_deadline(ctx: &mut DataCtx<'_>, args: Args<'_>, shown: impl FnOnce(i64) -> i64) -> CommandResult {
    let key = ctx.key(args, 1);
    let n = match ctx.db.lookup_untouched(key) {
        None => NO_KEY,
        Some(entry) => entry.expiry_ms().map_or(NO_DEADLINE, shown),
    };
    ctx.reply.int(n);
    Ok(())
}
