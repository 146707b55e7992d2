//! Asking for the deadlines of fields: HTTL, HPTTL, HEXPIRETIME, HPEXPIRETIME.

use super::expire::{FIELDS, NO_DEADLINE, NO_FIELD};
use super::{COUNT_NOT_POSITIVE, named_fields};
use crate::exec::ctx::DataCtx;
use crate::exec::error::CommandResult;
use crate::exec::spec::{Access, ArgSpec, Arity, CommandSpec, Flags, Group, Handler, KeySpec};
use crate::resp::Args;

/// What the four have in common.
const FAMILY: CommandSpec = CommandSpec {
    complexity: "O(N), N the fields asked for",
    since: "7.4.0",
    group: Group::Hash,
    arity: Arity::AtLeast(5),
    flags: Flags::READONLY.or(Flags::FAST),
    keys: &[KeySpec::at(1, Access::READ_ONLY.or(Access::ACCESS))],
    args: &[ArgSpec::key("key"), FIELDS],
    ..CommandSpec::BASE
};

pub(super) static HTTL: CommandSpec = CommandSpec {
    name: "httl",
    summary: "Returns the time that fields have left, in seconds.",
    tips: &["nondeterministic_output"],
    handler: Handler::Data(httl),
    ..FAMILY
};

pub(super) static HPTTL: CommandSpec = CommandSpec {
    name: "hpttl",
    summary: "Returns the time that fields have left, in milliseconds.",
    tips: &["nondeterministic_output"],
    handler: Handler::Data(hpttl),
    ..FAMILY
};

pub(super) static HEXPIRETIME: CommandSpec = CommandSpec {
    name: "hexpiretime",
    summary: "Returns the deadlines of fields, in seconds since 1970.",
    handler: Handler::Data(hexpiretime),
    ..FAMILY
};

pub(super) static HPEXPIRETIME: CommandSpec = CommandSpec {
    name: "hpexpiretime",
    summary: "Returns the deadlines of fields, in milliseconds since 1970.",
    handler: Handler::Data(hpexpiretime),
    ..FAMILY
};

fn httl(ctx: &mut DataCtx<'_>, args: Args<'_>) -> CommandResult {
    let now_ms = ctx.db.now_ms();
    tell(ctx, args, |deadline| (deadline - now_ms + 500) / 1000)
}

fn hpttl(ctx: &mut DataCtx<'_>, args: Args<'_>) -> CommandResult {
    let now_ms = ctx.db.now_ms();
    tell(ctx, args, |deadline| deadline - now_ms)
}

fn hexpiretime(ctx: &mut DataCtx<'_>, args: Args<'_>) -> CommandResult {
    tell(ctx, args, |deadline| (deadline + 500) / 1000)
}

fn hpexpiretime(ctx: &mut DataCtx<'_>, args: Args<'_>) -> CommandResult {
    tell(ctx, args, |deadline| deadline)
}

fn tell(ctx: &mut DataCtx<'_>, args: Args<'_>, f: impl Fn(i64) -> i64) -> CommandResult {
    let key = ctx.key(args, 1);
    let now_ms = ctx.db.now_ms();
    let hash = ctx.db.lookup_read(key).map(|entry| entry.hash()).transpose()?;
    let fields = named_fields(args, 2, COUNT_NOT_POSITIVE)?;
    ctx.reply.array(fields.len());
    for name in fields.iter() {
        let field = hash.and_then(|hash| hash.get(name, now_ms));
        ctx.reply.int(match field {
            None => NO_FIELD,
            Some(field) => field.deadline.map_or(NO_DEADLINE, &f),
        });
    }
    Ok(())
}
