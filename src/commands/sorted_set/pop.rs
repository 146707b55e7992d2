//! ZPOPMIN, ZPOPMAX, ZMPOP take elements from one end of a sorted set; BZPOPMIN, BZPOPMAX, BZMPOP wait for some.

use super::{reply_element, reply_member};
use crate::blocking::{Progress, Wait, WaitFor};
use crate::collections::listpack::Item;
use crate::db::{Key, KeyEvent, KeySlot};
use crate::exec::args;
use crate::exec::ctx::DataCtx;
use crate::exec::error::{self, CommandError, CommandResult};
use crate::exec::spec::{Access, ArgSpec, Arity, Begin, CommandSpec, Find, Flags, Group, Handler, KeySpec};
use crate::resp::{Args, Proto, Reply};
use crate::types::contract::DataType;
use crate::types::zset::{self, End};
use crate::util::num;

pub(super) static ZPOPMIN: CommandSpec = CommandSpec {
    name: "zpopmin",
    summary: "Removes and returns the members with the lowest scores.",
    complexity: "O(log(N)*M), M the members",
    since: "5.0.0",
    group: Group::SortedSet,
    arity: Arity::AtLeast(2),
    flags: Flags::WRITE.or(Flags::FAST),
    keys: &[KeySpec::at(1, Access::READ_WRITE.or(Access::ACCESS).or(Access::DELETE))],
    args: &[ArgSpec::key("key"), ArgSpec::integer("count").optional()],
    handler: Handler::Data(zpopmin),
    ..CommandSpec::BASE
};

pub(super) static ZPOPMAX: CommandSpec = CommandSpec {
    name: "zpopmax",
    summary: "Removes and returns the members with the highest scores.",
    complexity: "O(log(N)*M), M the members",
    since: "5.0.0",
    group: Group::SortedSet,
    arity: Arity::AtLeast(2),
    flags: Flags::WRITE.or(Flags::FAST),
    keys: &[KeySpec::at(1, Access::READ_WRITE.or(Access::ACCESS).or(Access::DELETE))],
    args: &[ArgSpec::key("key"), ArgSpec::integer("count").optional()],
    handler: Handler::Data(zpopmax),
    ..CommandSpec::BASE
};

pub(super) static ZMPOP: CommandSpec = CommandSpec {
    name: "zmpop",
    summary: "Removes and returns the first or last members of the first sorted set that has any.",
    complexity: "O(K)+O(M*log(N)), K the keys, M the members",
    since: "7.0.0",
    group: Group::SortedSet,
    arity: Arity::AtLeast(4),
    flags: Flags::WRITE,
    keys: &[KeySpec::counted(1, 1, Access::READ_WRITE.or(Access::ACCESS).or(Access::DELETE))],
    args: &[
        ArgSpec::integer("numkeys"),
        ArgSpec::key("key").multiple(),
        ArgSpec::one_of("where", &[ArgSpec::word("min", "MIN"), ArgSpec::word("max", "MAX")]),
        ArgSpec::integer("count").token("COUNT").optional(),
    ],
    handler: Handler::Data(zmpop),
    ..CommandSpec::BASE
};

pub(super) static BZPOPMIN: CommandSpec = CommandSpec {
    name: "bzpopmin",
    summary: "Removes and returns the member with the lowest score, or waits for one.",
    complexity: "O(log(N))",
    since: "5.0.0",
    group: Group::SortedSet,
    arity: Arity::AtLeast(3),
    flags: Flags::WRITE.or(Flags::BLOCKING).or(Flags::FAST),
    keys: &[KeySpec {
        access: Access::READ_WRITE.or(Access::ACCESS).or(Access::DELETE),
        access_of: None,
        begin: Begin::Index(1),
        find: Find::Range { last: -2, step: 1, limit: 0 },
        notes: "",
    }],
    args: &[ArgSpec::key("key").multiple(), ArgSpec::double("timeout")],
    handler: Handler::Blocking(bzpopmin),
    ..CommandSpec::BASE
};

pub(super) static BZPOPMAX: CommandSpec = CommandSpec {
    name: "bzpopmax",
    summary: "Removes and returns the member with the highest score, or waits for one.",
    complexity: "O(log(N))",
    since: "5.0.0",
    group: Group::SortedSet,
    arity: Arity::AtLeast(3),
    flags: Flags::WRITE.or(Flags::BLOCKING).or(Flags::FAST),
    keys: &[KeySpec {
        access: Access::READ_WRITE.or(Access::ACCESS).or(Access::DELETE),
        access_of: None,
        begin: Begin::Index(1),
        find: Find::Range { last: -2, step: 1, limit: 0 },
        notes: "",
    }],
    args: &[ArgSpec::key("key").multiple(), ArgSpec::double("timeout")],
    handler: Handler::Blocking(bzpopmax),
    ..CommandSpec::BASE
};

pub(super) static BZMPOP: CommandSpec = CommandSpec {
    name: "bzmpop",
    summary: "Removes and returns the first or last members of a sorted set, or waits for some.",
    complexity: "O(K)+O(M*log(N)), K the keys, M the members",
    since: "7.0.0",
    group: Group::SortedSet,
    arity: Arity::AtLeast(5),
    flags: Flags::WRITE.or(Flags::BLOCKING),
    keys: &[KeySpec::counted(2, 1, Access::READ_WRITE.or(Access::ACCESS).or(Access::DELETE))],
    args: &[
        ArgSpec::double("timeout"),
        ArgSpec::integer("numkeys"),
        ArgSpec::key("key").multiple(),
        ArgSpec::one_of("where", &[ArgSpec::word("min", "MIN"), ArgSpec::word("max", "MAX")]),
        ArgSpec::integer("count").token("COUNT").optional(),
    ],
    handler: Handler::Blocking(bzmpop),
    ..CommandSpec::BASE
};

/// Takes up to `count` elements: their number goes to `head`, and each of them to `one`, before they are gone. False
/// if the key is missing.
#[inline(always)]
fn take(
    ctx: &mut DataCtx<'_>,
    key: Key<'_>,
    end: End,
    count: usize,
    head: impl FnOnce(&mut Reply, usize),
    mut one: impl FnMut(&mut Reply, Item<'_>, f64),
) -> Result<bool, CommandError> {
    let event = KeyEvent::zset(if end == End::First { "zpopmin" } else { "zpopmax" }).first();
    let KeySlot::Occupied(mut entry) = ctx.db.entry(key) else { return Ok(false) };
    let reply = &mut *ctx.reply;
    let set = entry.get().zset()?;
    let len = set.len();
    let count = count.min(len);
    head(reply, count);
    if count == 1 && len > 1 {
        zset::pop(&mut entry, end, |member, score| one(reply, member, score));
        entry.changed(1, event);
        return Ok(true);
    }
    let ranks = if end == End::First { 0..count } else { len - count..len };
    set.walk(ranks.clone(), end == End::Last, |member, score| one(reply, member, score));
    if count == len {
        entry.emptied(count, event);
    } else if count > 0 {
        zset::remove_ranks(&mut entry, ranks);
        entry.changed(count, event);
    }
    Ok(true)
}

/// The command that takes elements from one end.
fn pop_name(end: End) -> &'static [u8] {
    if end == End::First { b"ZPOPMIN" } else { b"ZPOPMAX" }
}

fn zpopmin(ctx: &mut DataCtx<'_>, args: Args<'_>) -> CommandResult {
    pop(ctx, args, End::First)
}

fn zpopmax(ctx: &mut DataCtx<'_>, args: Args<'_>) -> CommandResult {
    pop(ctx, args, End::Last)
}

fn pop(ctx: &mut DataCtx<'_>, args: Args<'_>, end: End) -> CommandResult {
    let count = match args.len() {
        2 => None,
        3 => {
            let count = num::parse_i64(&args[2]).and_then(|n| usize::try_from(n).ok());
            Some(count.ok_or(error::MUST_BE_POSITIVE)?)
        }
        _ => return Err(error::SYNTAX),
    };
    let key = ctx.key(args, 1);
    // Without a count, what was taken is a flat pair in both protocols.
    let nested = count.is_some() && ctx.reply.proto != Proto::Resp2;
    let head = |reply: &mut Reply, taken: usize| reply.array(if nested { taken } else { 2 * taken });
    let found = take(ctx, key, end, count.unwrap_or(1), head, |reply, member, score| {
        if nested {
            reply.array(2);
        }
        reply_member(reply, member);
        reply.double(score);
    })?;
    if !found {
        ctx.reply.array(0);
    }
    Ok(())
}

/// What ZMPOP and BZMPOP ask for: the keys' arguments, the end, and how many.
fn many(args: Args<'_>, at: usize) -> Result<(std::ops::Range<usize>, End, usize), CommandError> {
    let at_least_one = |text: &[u8], what: &'static str| {
        num::parse_i64(text).filter(|n| *n > 0).map(|n| n as usize).ok_or(CommandError::fixed(what))
    };
    let keys = at_least_one(&args[at], "ERR numkeys should be greater than 0")?;
    let end_at = at.checked_add(keys).and_then(|n| n.checked_add(1)).ok_or(error::SYNTAX)?;
    let end = match args.get(end_at) {
        Some(word) if word.eq_ignore_ascii_case(b"min") => End::First,
        Some(word) if word.eq_ignore_ascii_case(b"max") => End::Last,
        _ => return Err(error::SYNTAX),
    };
    let mut count = None;
    let mut next = end_at + 1;
    while let Some(word) = args.get(next) {
        match args.get(next + 1) {
            Some(number) if count.is_none() && word.eq_ignore_ascii_case(b"count") => {
                count = Some(at_least_one(number, "ERR count should be greater than 0")?);
            }
            _ => return Err(error::SYNTAX),
        }
        next += 2;
    }
    Ok((at + 1..end_at, end, count.unwrap_or(1)))
}

/// Serves from the first of these keys that has anything. False if none has.
fn pop_many(
    ctx: &mut DataCtx<'_>,
    args: Args<'_>,
    keys: std::ops::Range<usize>,
    end: End,
    count: usize,
) -> Result<bool, CommandError> {
    for at in keys {
        let key = ctx.key(args, at);
        let head = |reply: &mut Reply, taken: usize| {
            reply.array(2);
            reply.bulk(&args[at]);
            reply.array(taken);
        };
        let mut taken = 0;
        let found = take(ctx, key, end, count, head, |reply, member, score| {
            taken += 1;
            if reply.proto == Proto::Resp2 {
                reply.array(2);
            }
            reply_element(reply, member, Some(score));
        })?;
        if found {
            ctx.db.propagate(&[pop_name(end), key.bytes, taken.to_string().as_bytes()]);
            return Ok(true);
        }
    }
    Ok(false)
}

fn zmpop(ctx: &mut DataCtx<'_>, args: Args<'_>) -> CommandResult {
    let (keys, end, count) = many(args, 1)?;
    if !pop_many(ctx, args, keys, end, count)? {
        ctx.reply.null_array();
    }
    Ok(())
}

fn bzmpop(ctx: &mut DataCtx<'_>, args: Args<'_>) -> Result<Progress, CommandError> {
    let (keys, end, count) = many(args, 2)?;
    let timeout = args::timeout_seconds(&args[1], ctx.db.now_ms())?;
    if pop_many(ctx, args, keys.clone(), end, count)? {
        return Ok(Progress::Done);
    }
    let names = keys.map(|at| args.get(at).expect("they were just looked at"));
    Ok(Wait::on(WaitFor::Zset, names, timeout).blocked())
}

fn bzpopmin(ctx: &mut DataCtx<'_>, args: Args<'_>) -> Result<Progress, CommandError> {
    wait_and_pop(ctx, args, End::First)
}

fn bzpopmax(ctx: &mut DataCtx<'_>, args: Args<'_>) -> Result<Progress, CommandError> {
    wait_and_pop(ctx, args, End::Last)
}

fn wait_and_pop(ctx: &mut DataCtx<'_>, args: Args<'_>, end: End) -> Result<Progress, CommandError> {
    let keys = 1..args.len() - 1;
    let timeout = args::timeout_seconds(&args[keys.end], ctx.db.now_ms())?;
    for at in keys.clone() {
        let key = ctx.key(args, at);
        let head = |reply: &mut Reply, _| {
            reply.array(3);
            reply.bulk(&args[at]);
        };
        let found = take(ctx, key, end, 1, head, |reply, member, score| {
            reply_member(reply, member);
            reply.double(score);
        })?;
        if found {
            ctx.db.propagate(&[pop_name(end), key.bytes]);
            return Ok(Progress::Done);
        }
    }
    let names = keys.map(|at| args.get(at).expect("they were just looked at"));
    Ok(Wait::on(WaitFor::Zset, names, timeout).blocked())
}
