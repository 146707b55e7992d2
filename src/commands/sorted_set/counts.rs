//! ZCOUNT and ZLEXCOUNT count a part of a sorted set; ZREMRANGEBYRANK, BYSCORE and BYLEX remove it.

use super::{BAD_MEMBERS, BAD_SCORES, zset_of};
use crate::db::{KeyEvent, KeySlot};
use crate::exec::args::int;
use crate::exec::ctx::DataCtx;
use crate::exec::error::CommandResult;
use crate::exec::spec::{Access, ArgSpec, Arity, CommandSpec, Flags, Group, Handler, KeySpec};
use crate::resp::Args;
use crate::types::contract::DataType;
use crate::types::zset::spec::{LexRange, ScoreRange, ranks};
use crate::types::zset::{self, ZsetRef};
use std::ops::Range;

pub(super) static ZCOUNT: CommandSpec = CommandSpec {
    name: "zcount",
    summary: "Counts the members with scores in a range.",
    complexity: "O(log(N))",
    since: "2.0.0",
    group: Group::SortedSet,
    arity: Arity::Exactly(4),
    flags: Flags::READONLY.or(Flags::FAST),
    keys: &[KeySpec::at(1, Access::READ_ONLY.or(Access::ACCESS))],
    args: &[ArgSpec::key("key"), ArgSpec::double("min"), ArgSpec::double("max")],
    handler: Handler::Data(zcount),
    ..CommandSpec::BASE
};

pub(super) static ZLEXCOUNT: CommandSpec = CommandSpec {
    name: "zlexcount",
    summary: "Counts the members between two others, all scores being equal.",
    complexity: "O(log(N))",
    since: "2.8.9",
    group: Group::SortedSet,
    arity: Arity::Exactly(4),
    flags: Flags::READONLY.or(Flags::FAST),
    keys: &[KeySpec::at(1, Access::READ_ONLY.or(Access::ACCESS))],
    args: &[ArgSpec::key("key"), ArgSpec::string("min"), ArgSpec::string("max")],
    handler: Handler::Data(zlexcount),
    ..CommandSpec::BASE
};

pub(super) static ZREMRANGEBYRANK: CommandSpec = CommandSpec {
    name: "zremrangebyrank",
    summary: "Removes members by rank.",
    complexity: "O(log(N)+M), M the members removed",
    since: "2.0.0",
    group: Group::SortedSet,
    arity: Arity::Exactly(4),
    flags: Flags::WRITE,
    keys: &[KeySpec::at(1, Access::READ_WRITE.or(Access::DELETE))],
    args: &[ArgSpec::key("key"), ArgSpec::integer("start"), ArgSpec::integer("stop")],
    handler: Handler::Data(zremrangebyrank),
    ..CommandSpec::BASE
};

pub(super) static ZREMRANGEBYSCORE: CommandSpec = CommandSpec {
    name: "zremrangebyscore",
    summary: "Removes the members with scores in a range.",
    complexity: "O(log(N)+M), M the members removed",
    since: "1.2.0",
    group: Group::SortedSet,
    arity: Arity::Exactly(4),
    flags: Flags::WRITE,
    keys: &[KeySpec::at(1, Access::READ_WRITE.or(Access::DELETE))],
    args: &[ArgSpec::key("key"), ArgSpec::double("min"), ArgSpec::double("max")],
    handler: Handler::Data(zremrangebyscore),
    ..CommandSpec::BASE
};

pub(super) static ZREMRANGEBYLEX: CommandSpec = CommandSpec {
    name: "zremrangebylex",
    summary: "Removes the members between two others, all scores being equal.",
    complexity: "O(log(N)+M), M the members removed",
    since: "2.8.9",
    group: Group::SortedSet,
    arity: Arity::Exactly(4),
    flags: Flags::WRITE,
    keys: &[KeySpec::at(1, Access::READ_WRITE.or(Access::DELETE))],
    args: &[ArgSpec::key("key"), ArgSpec::string("min"), ArgSpec::string("max")],
    handler: Handler::Data(zremrangebylex),
    ..CommandSpec::BASE
};

fn zcount(ctx: &mut DataCtx<'_>, args: Args<'_>) -> CommandResult {
    let range = ScoreRange::parse(&args[2], &args[3]).ok_or(BAD_SCORES)?;
    let count = zset_of(ctx, args, 1)?.map_or(0, |set| set.ranks_of_scores(&range).len());
    ctx.reply.int(count as i64);
    Ok(())
}

fn zlexcount(ctx: &mut DataCtx<'_>, args: Args<'_>) -> CommandResult {
    let range = LexRange::parse(&args[2], &args[3]).ok_or(BAD_MEMBERS)?;
    let count = zset_of(ctx, args, 1)?.map_or(0, |set| set.ranks_of_members(&range, false).len());
    ctx.reply.int(count as i64);
    Ok(())
}

fn zremrangebyrank(ctx: &mut DataCtx<'_>, args: Args<'_>) -> CommandResult {
    let (start, stop) = (int(&args[2])?, int(&args[3])?);
    remove(ctx, args, KeyEvent::zset("zremrangebyrank"), |set| ranks(start, stop, set.len()))
}

fn zremrangebyscore(ctx: &mut DataCtx<'_>, args: Args<'_>) -> CommandResult {
    let range = ScoreRange::parse(&args[2], &args[3]).ok_or(BAD_SCORES)?;
    remove(ctx, args, KeyEvent::zset("zremrangebyscore"), |set| set.ranks_of_scores(&range))
}

fn zremrangebylex(ctx: &mut DataCtx<'_>, args: Args<'_>) -> CommandResult {
    let range = LexRange::parse(&args[2], &args[3]).ok_or(BAD_MEMBERS)?;
    remove(ctx, args, KeyEvent::zset("zremrangebylex"), |set| set.ranks_of_members(&range, false))
}

fn remove(
    ctx: &mut DataCtx<'_>,
    args: Args<'_>,
    event: KeyEvent,
    part: impl Fn(ZsetRef<'_>) -> Range<usize>,
) -> CommandResult {
    let key = ctx.key(args, 1);
    let mut removed = 0;
    if let KeySlot::Occupied(mut entry) = ctx.db.entry(key) {
        let set = entry.get().zset()?;
        let (len, ranks) = (set.len(), part(set));
        removed = ranks.len();
        if removed == len {
            entry.emptied(removed, event);
        } else if removed > 0 {
            zset::remove_ranks(&mut entry, ranks);
            entry.changed(removed, event);
        }
    }
    ctx.reply.int(removed as i64);
    Ok(())
}
