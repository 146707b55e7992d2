//! XLEN, XRANGE and XREVRANGE.

use super::{ids, replies};
use crate::exec::args::int;
use crate::exec::ctx::DataCtx;
use crate::exec::error::{self, CommandResult};
use crate::exec::spec::{Access, ArgSpec, Arity, CommandSpec, Flags, Group, Handler, KeySpec};
use crate::resp::Args;

pub(super) static XLEN: CommandSpec = CommandSpec {
    name: "xlen",
    summary: "Counts the entries of a stream.",
    since: "5.0.0",
    group: Group::Stream,
    arity: Arity::Exactly(2),
    flags: Flags::READONLY.or(Flags::FAST),
    keys: &[KeySpec::at(1, Access::READ_ONLY)],
    args: &[ArgSpec::key("key")],
    handler: Handler::Data(xlen),
    ..CommandSpec::BASE
};

pub(super) static XRANGE: CommandSpec = CommandSpec {
    name: "xrange",
    summary: "Returns the entries whose ids lie in a range.",
    complexity: "O(log N + M), M the entries returned",
    since: "5.0.0",
    group: Group::Stream,
    arity: Arity::AtLeast(4),
    flags: Flags::READONLY,
    keys: &[KeySpec::at(1, Access::READ_ONLY.or(Access::ACCESS))],
    args: &[
        ArgSpec::key("key"),
        ArgSpec::string("start"),
        ArgSpec::string("end"),
        ArgSpec::integer("count").token("COUNT").optional(),
    ],
    handler: Handler::Data(xrange),
    ..CommandSpec::BASE
};

pub(super) static XREVRANGE: CommandSpec = CommandSpec {
    name: "xrevrange",
    summary: "Returns the entries whose ids lie in a range, last one first.",
    complexity: "O(log N + M), M the entries returned",
    since: "5.0.0",
    group: Group::Stream,
    arity: Arity::AtLeast(4),
    flags: Flags::READONLY,
    keys: &[KeySpec::at(1, Access::READ_ONLY.or(Access::ACCESS))],
    args: &[
        ArgSpec::key("key"),
        ArgSpec::string("end"),
        ArgSpec::string("start"),
        ArgSpec::integer("count").token("COUNT").optional(),
    ],
    handler: Handler::Data(xrevrange),
    ..CommandSpec::BASE
};

fn xlen(ctx: &mut DataCtx<'_>, args: Args<'_>) -> CommandResult {
    let key = ctx.key(args, 1);
    let len = match ctx.db.lookup_read(key) {
        Some(entry) => entry.stream()?.entries().len(),
        None => 0,
    };
    ctx.reply.int(len as i64);
    Ok(())
}

fn xrange(ctx: &mut DataCtx<'_>, args: Args<'_>) -> CommandResult {
    range(ctx, args, false)
}

fn xrevrange(ctx: &mut DataCtx<'_>, args: Args<'_>) -> CommandResult {
    range(ctx, args, true)
}

fn range(ctx: &mut DataCtx<'_>, args: Args<'_>, back: bool) -> CommandResult {
    let (first, last) = if back { (&args[3], &args[2]) } else { (&args[2], &args[3]) };
    let (start, end) = (ids::start(first)?, ids::end(last)?);
    let mut count = None;
    let mut at = 4;
    while at < args.len() {
        if !args[at].eq_ignore_ascii_case(b"COUNT") || at + 1 == args.len() {
            return Err(error::SYNTAX);
        }
        count = Some(usize::try_from(int(&args[at + 1])?).unwrap_or(0));
        at += 2;
    }
    let key = ctx.key(args, 1);
    let Some(found) = ctx.db.lookup_read(key) else {
        ctx.reply.array(0);
        return Ok(());
    };
    let stream = found.stream()?.get();
    let entries = stream.entries();
    match count {
        Some(0) => ctx.reply.null_array(),
        _ => {
            let range = if back { entries.range_back(start, end) } else { entries.range(start, end) };
            replies::entries(ctx.reply, range, count.unwrap_or(usize::MAX), |_| {});
        }
    }
    Ok(())
}
