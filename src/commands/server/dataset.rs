//! The data set as a whole: DBSIZE, FLUSHDB, FLUSHALL, SWAPDB; and the time.

use crate::blocking::{Progress, Wait};
use crate::db::{FlushMode, Target};
use crate::exec::ctx::AdminCtx;
use crate::exec::error::{self, CommandError, CommandResult};
use crate::exec::spec::{ArgSpec, Arity, Categories, CommandSpec, Flags, Group, Handler};
use crate::resp::Args;
use crate::util::num;
use std::ops::Range;

pub(super) static DBSIZE: CommandSpec = CommandSpec {
    name: "dbsize",
    summary: "Counts the keys of the database.",
    group: Group::Server,
    arity: Arity::Exactly(1),
    flags: Flags::READONLY.or(Flags::FAST),
    categories: Categories::KEYSPACE,
    tips: &["request_policy:all_shards", "response_policy:agg_sum"],
    handler: Handler::Admin(dbsize),
    ..CommandSpec::BASE
};

pub(super) static FLUSHALL: CommandSpec = CommandSpec {
    name: "flushall",
    summary: "Removes all keys of all databases.",
    complexity: "O(1); the memory is freed in the background, or O(N) with SYNC",
    group: Group::Server,
    arity: Arity::AtLeast(1),
    flags: Flags::WRITE,
    categories: Categories::KEYSPACE.or(Categories::DANGEROUS),
    args: &[ArgSpec::one_of(
        "flush-type",
        &[ArgSpec::word("async", "ASYNC").since("4.0.0"), ArgSpec::word("sync", "SYNC").since("6.2.0")],
    )
    .optional()],
    tips: &["request_policy:all_shards", "response_policy:all_succeeded"],
    handler: Handler::AdminBlocking(flushall),
    ..CommandSpec::BASE
};

pub(super) static FLUSHDB: CommandSpec = CommandSpec {
    name: "flushdb",
    summary: "Removes all keys of the database.",
    complexity: "O(1); the memory is freed in the background, or O(N) with SYNC",
    group: Group::Server,
    arity: Arity::AtLeast(1),
    flags: Flags::WRITE,
    categories: Categories::KEYSPACE.or(Categories::DANGEROUS),
    args: &[ArgSpec::one_of(
        "flush-type",
        &[ArgSpec::word("async", "ASYNC").since("4.0.0"), ArgSpec::word("sync", "SYNC").since("6.2.0")],
    )
    .optional()],
    tips: &["request_policy:all_shards", "response_policy:all_succeeded"],
    handler: Handler::AdminBlocking(flushdb),
    ..CommandSpec::BASE
};

pub(super) static SWAPDB: CommandSpec = CommandSpec {
    name: "swapdb",
    summary: "Exchanges two databases.",
    complexity: "O(N), N the clients that watch keys in them",
    since: "4.0.0",
    group: Group::Server,
    arity: Arity::Exactly(3),
    flags: Flags::WRITE.or(Flags::FAST),
    categories: Categories::KEYSPACE.or(Categories::DANGEROUS),
    args: &[ArgSpec::integer("index1"), ArgSpec::integer("index2")],
    handler: Handler::Admin(swapdb),
    ..CommandSpec::BASE
};

pub(super) static TIME: CommandSpec = CommandSpec {
    name: "time",
    summary: "Returns the server's time.",
    since: "2.6.0",
    group: Group::Server,
    arity: Arity::Exactly(1),
    flags: Flags::LOADING.or(Flags::STALE).or(Flags::FAST),
    tips: &["nondeterministic_output"],
    handler: Handler::Admin(time),
    ..CommandSpec::BASE
};

fn dbsize(ctx: &mut AdminCtx<'_>, _args: Args<'_>) -> CommandResult {
    let keys = ctx.db().size();
    ctx.reply().int(keys as i64);
    Ok(())
}

/// SYNC, ASYNC, or what `lazyfree-lazy-user-flush` says.
fn flush_mode(ctx: &AdminCtx<'_>, args: Args<'_>) -> Result<FlushMode, CommandError> {
    match args.get(1) {
        _ if args.len() > 2 => Err(error::SYNTAX),
        None if ctx.inst.config.storage.lazyfree_lazy_user_flush => Ok(FlushMode::Async),
        None => Ok(FlushMode::Sync),
        Some(word) if word.eq_ignore_ascii_case(b"sync") => Ok(FlushMode::Sync),
        Some(word) if word.eq_ignore_ascii_case(b"async") => Ok(FlushMode::Async),
        Some(_) => Err(error::SYNTAX),
    }
}

fn flushdb(ctx: &mut AdminCtx<'_>, args: Args<'_>) -> Result<Progress, CommandError> {
    let mode = flush_mode(ctx, args)?;
    let db = ctx.session.db as usize;
    Ok(flush(ctx, args, mode, db..db + 1))
}

/// Removes all keys of these databases. Where SYNC would keep everybody waiting for the memory to be freed, only the
/// client that asked for it waits; in a transaction nobody can, but all do.
fn flush(ctx: &mut AdminCtx<'_>, args: Args<'_>, mode: FlushMode, dbs: Range<usize>) -> Progress {
    let AdminCtx { inst, session, host, origin, .. } = ctx;
    let long = mode == FlushMode::Sync && dbs.clone().any(|db| inst.keyspace.takes_long_to_free(db));
    let waits = long && origin.may_block();
    let mode = if waits { FlushMode::Async } else { mode };
    for db in dbs {
        inst.keyspace.flush_db(db, mode, inst.now_ms);
    }
    // Also of what was empty: a copy may not be.
    inst.keyspace.propagate_always(Target::All, session.db as usize, args.iter());
    if waits {
        inst.keyspace.when_freed(host.when_freed(session.id));
        return Wait::for_memory().blocked();
    }
    session.reply.ok();
    Progress::Done
}

/// Also ends a running BGSAVE: its snapshot is of data nobody wants any more. When there are save points, the file
/// is replaced at once, so that a crash does not bring the data back.
fn flushall(ctx: &mut AdminCtx<'_>, args: Args<'_>) -> Result<Progress, CommandError> {
    let mode = flush_mode(ctx, args)?;
    let dbs = 0..ctx.inst.keyspace.databases();
    let progress = flush(ctx, args, mode, dbs);
    ctx.inst.after_flushall();
    Ok(progress)
}

fn swapdb(ctx: &mut AdminCtx<'_>, args: Args<'_>) -> CommandResult {
    let index = |i: usize, which: &'static str| {
        num::parse_i64(&args[i]).and_then(|index| i32::try_from(index).ok()).ok_or(CommandError::fixed(which))
    };
    let first = index(1, "ERR invalid first DB index")?;
    let second = index(2, "ERR invalid second DB index")?;
    let databases = ctx.inst.keyspace.databases();
    let checked = |i: i32| usize::try_from(i).ok().filter(|i| *i < databases).ok_or(error::DB_OUT_OF_RANGE);
    let (first, second) = (checked(first)?, checked(second)?);
    ctx.inst.keyspace.swap_dbs(first, second, ctx.inst.now_ms);
    ctx.reply().ok();
    Ok(())
}

fn time(ctx: &mut AdminCtx<'_>, _args: Args<'_>) -> CommandResult {
    let us = ctx.inst.scripts.began_us.unwrap_or_else(|| ctx.host.wall_us());
    let mut text = Vec::new();
    let reply = ctx.reply();
    reply.array(2);
    for number in [us / 1_000_000, us % 1_000_000] {
        text.clear();
        num::push_i64(&mut text, number);
        reply.bulk(&text);
    }
    Ok(())
}
