//! Commands that wait for an element: BLPOP, BRPOP, BLMPOP, BLMOVE, BRPOPLPUSH.
//!
//! Each tries as its namesake without the B does; what there is not, it waits for, and is run again when one of its
//! keys has become a list.

use super::ends::{Several, pop_into};
use super::moves::move_element;
use super::{pop_name, side_of};
use crate::blocking::{Progress, Wait, WaitFor};
use crate::db::Key;
use crate::exec::args::timeout_seconds;
use crate::exec::ctx::DataCtx;
use crate::exec::error::CommandError;
use crate::exec::spec::{Access, ArgSpec, Arity, Begin, CommandSpec, Find, Flags, Group, Handler, KeySpec};
use crate::resp::{Args, Reply};
use crate::types::list::Side;
use std::time::Duration;

/// BLPOP and BRPOP: every argument but the last is a key.
const ALL_BUT_TIMEOUT: KeySpec = KeySpec {
    access: Access::READ_WRITE.or(Access::ACCESS).or(Access::DELETE),
    access_of: None,
    begin: Begin::Index(1),
    find: Find::Range { last: -2, step: 1, limit: 0 },
    notes: "",
};

pub(super) static BLPOP: CommandSpec = CommandSpec {
    name: "blpop",
    summary: "Takes the first element of the first list that has any, and waits if none has.",
    complexity: "O(N), N the keys",
    since: "2.0.0",
    group: Group::List,
    arity: Arity::AtLeast(3),
    flags: Flags::WRITE.or(Flags::BLOCKING),
    keys: &[ALL_BUT_TIMEOUT],
    args: &[ArgSpec::key("key").multiple(), ArgSpec::double("timeout")],
    handler: Handler::Blocking(blpop),
    ..CommandSpec::BASE
};

pub(super) static BRPOP: CommandSpec = CommandSpec {
    name: "brpop",
    summary: "Takes the last element of the first list that has any, and waits if none has.",
    complexity: "O(N), N the keys",
    since: "2.0.0",
    group: Group::List,
    arity: Arity::AtLeast(3),
    flags: Flags::WRITE.or(Flags::BLOCKING),
    keys: &[ALL_BUT_TIMEOUT],
    args: &[ArgSpec::key("key").multiple(), ArgSpec::double("timeout")],
    handler: Handler::Blocking(brpop),
    ..CommandSpec::BASE
};

pub(super) static BLMPOP: CommandSpec = CommandSpec {
    name: "blmpop",
    summary: "Takes elements off an end of the first list that has any, and waits if none has.",
    complexity: "O(N+M), N the keys, M the elements returned",
    since: "7.0.0",
    group: Group::List,
    arity: Arity::AtLeast(5),
    flags: Flags::WRITE.or(Flags::BLOCKING),
    keys: &[KeySpec::counted(2, 1, Access::READ_WRITE.or(Access::ACCESS).or(Access::DELETE))],
    args: &[
        ArgSpec::double("timeout"),
        ArgSpec::integer("numkeys"),
        ArgSpec::key("key").multiple(),
        ArgSpec::one_of("where", &[ArgSpec::word("left", "LEFT"), ArgSpec::word("right", "RIGHT")]),
        ArgSpec::integer("count").token("COUNT").optional(),
    ],
    handler: Handler::Blocking(blmpop),
    ..CommandSpec::BASE
};

pub(super) static BLMOVE: CommandSpec = CommandSpec {
    name: "blmove",
    summary: "Moves an element between two lists, and waits for one if there is none.",
    since: "6.2.0",
    group: Group::List,
    arity: Arity::Exactly(6),
    flags: Flags::WRITE.or(Flags::DENYOOM).or(Flags::BLOCKING),
    keys: &[
        KeySpec::at(1, Access::READ_WRITE.or(Access::ACCESS).or(Access::DELETE)),
        KeySpec::at(2, Access::READ_WRITE.or(Access::INSERT)),
    ],
    args: &[
        ArgSpec::key("source"),
        ArgSpec::key_of("destination", 1),
        ArgSpec::one_of("wherefrom", &[ArgSpec::word("left", "LEFT"), ArgSpec::word("right", "RIGHT")]),
        ArgSpec::one_of("whereto", &[ArgSpec::word("left", "LEFT"), ArgSpec::word("right", "RIGHT")]),
        ArgSpec::double("timeout"),
    ],
    handler: Handler::Blocking(blmove),
    ..CommandSpec::BASE
};

pub(super) static BRPOPLPUSH: CommandSpec = CommandSpec {
    name: "brpoplpush",
    summary: "Moves the last element of one list before the first of another, and waits for one if there is none.",
    since: "2.2.0",
    group: Group::List,
    arity: Arity::Exactly(4),
    flags: Flags::WRITE.or(Flags::DENYOOM).or(Flags::BLOCKING),
    keys: &[
        KeySpec::at(1, Access::READ_WRITE.or(Access::ACCESS).or(Access::DELETE)),
        KeySpec::at(2, Access::READ_WRITE.or(Access::INSERT)),
    ],
    args: &[ArgSpec::key("source"), ArgSpec::key_of("destination", 1), ArgSpec::double("timeout")],
    deprecated: Some(("6.2.0", "BLMOVE with the RIGHT and LEFT arguments")),
    handler: Handler::Blocking(brpoplpush),
    ..CommandSpec::BASE
};

fn blpop(ctx: &mut DataCtx<'_>, args: Args<'_>) -> Result<Progress, CommandError> {
    pop_or_wait(ctx, args, Side::Head)
}

fn brpop(ctx: &mut DataCtx<'_>, args: Args<'_>) -> Result<Progress, CommandError> {
    pop_or_wait(ctx, args, Side::Tail)
}

fn pop_or_wait(ctx: &mut DataCtx<'_>, args: Args<'_>, side: Side) -> Result<Progress, CommandError> {
    let last = args.len() - 1;
    let timeout = timeout_seconds(&args[last], ctx.db.now_ms())?;
    for at in 1..last {
        let key = ctx.key(args, at);
        let open = |reply: &mut Reply, _: usize| {
            reply.array(2);
            reply.bulk(key.bytes);
        };
        if pop_into(ctx, key, side, 1, open)? {
            ctx.db.propagate(&[pop_name(side), key.bytes]);
            return Ok(Progress::Done);
        }
    }
    let keys = (1..last).map(|at| &args[at]);
    Ok(Wait::on(WaitFor::List, keys, timeout).blocked())
}

fn blmpop(ctx: &mut DataCtx<'_>, args: Args<'_>) -> Result<Progress, CommandError> {
    let request = Several::parse(args, 2)?;
    let timeout = timeout_seconds(&args[1], ctx.db.now_ms())?;
    if request.pop(ctx, args)? {
        return Ok(Progress::Done);
    }
    let keys = request.keys.clone().map(|at| &args[at]);
    Ok(Wait::on(WaitFor::List, keys, timeout).blocked())
}

fn blmove(ctx: &mut DataCtx<'_>, args: Args<'_>) -> Result<Progress, CommandError> {
    let (from, to) = (side_of(&args[3])?, side_of(&args[4])?);
    let timeout = timeout_seconds(&args[5], ctx.db.now_ms())?;
    let written = Written::Lmove(&args[3], &args[4]);
    move_or_wait(ctx, (ctx.key(args, 1), ctx.key(args, 2)), (from, to), timeout, written)
}

fn brpoplpush(ctx: &mut DataCtx<'_>, args: Args<'_>) -> Result<Progress, CommandError> {
    let timeout = timeout_seconds(&args[3], ctx.db.now_ms())?;
    move_or_wait(ctx, (ctx.key(args, 1), ctx.key(args, 2)), (Side::Tail, Side::Head), timeout, Written::Rpoplpush)
}

/// What becomes of it in the write stream: the command that does not wait.
enum Written<'a> {
    Rpoplpush,
    /// The ends as the client has called them.
    Lmove(&'a [u8], &'a [u8]),
}

fn move_or_wait(
    ctx: &mut DataCtx<'_>,
    (source, target): (Key<'_>, Key<'_>),
    (from, to): (Side, Side),
    timeout: Option<Duration>,
    written: Written<'_>,
) -> Result<Progress, CommandError> {
    if move_element(ctx, source, target, from, to)? {
        match written {
            Written::Rpoplpush => ctx.db.propagate(&[b"RPOPLPUSH", source.bytes, target.bytes]),
            Written::Lmove(from, to) => ctx.db.propagate(&[b"LMOVE", source.bytes, target.bytes, from, to]),
        }
        return Ok(Progress::Done);
    }
    Ok(Wait::on(WaitFor::List, [source.bytes], timeout).or_null_bulk().blocked())
}
