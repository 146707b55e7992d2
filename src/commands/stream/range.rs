//! XLEN, XRANGE and XREVRANGE.

use super::{ids, replies};
use crate::blocking::Progress;
use crate::db::Readable;
use crate::exec::args::int;
use crate::exec::ctx::{Ctx, DataCtx, ReadResult};
use crate::exec::error::{self, CommandResult};
use crate::exec::long_read::{Pace, When};
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
    handler: Handler::Read { now: xrange, past: xrange },
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
    handler: Handler::Read { now: xrevrange, past: xrevrange },
    ..CommandSpec::BASE
};

/// What sending an entry costs, in elements of a set: an id, and at least one field with its value.
const ENTRY_COST: usize = 4;

fn xlen(ctx: &mut DataCtx<'_>, args: Args<'_>) -> CommandResult {
    let key = ctx.key(args, 1);
    let len = match ctx.db.lookup_read(key) {
        Some(entry) => entry.stream()?.entries().len(),
        None => 0,
    };
    ctx.reply.int(len as i64);
    Ok(())
}

fn xrange<W: When>(ctx: &mut Ctx<'_, W>, args: Args<'_>) -> ReadResult {
    range(ctx, args, false)
}

fn xrevrange<W: When>(ctx: &mut Ctx<'_, W>, args: Args<'_>) -> ReadResult {
    range(ctx, args, true)
}

fn range<W: When>(ctx: &mut Ctx<'_, W>, args: Args<'_>, back: bool) -> ReadResult {
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
        return Ok(Progress::Done);
    };
    let stream = found.stream()?.get();
    let (entries, count) = (stream.entries(), count.unwrap_or(usize::MAX));
    if count == 0 {
        ctx.reply.null_array();
        return Ok(Progress::Done);
    }
    let elements = entries.at_most(start, end).min(count);
    if ctx.pace.is_long(elements.saturating_mul(ENTRY_COST)) {
        return Ok(Progress::long_read());
    }
    let range = if back { entries.range_back(start, end) } else { entries.range(start, end) };
    let head = ctx.reply.array_deferred();
    let (reply, mut shown) = (&mut *ctx.reply, 0);
    for entry in range.take(count) {
        replies::entry(reply, &entry);
        shown += 1;
        if !ctx.pace.goes_on(reply) {
            break;
        }
    }
    reply.set_array_len(head, shown);
    Ok(Progress::Done)
}
