//! Several strings at once: MGET, MSET, MSETNX, MSETEX.
//!
//! Their keys are known together, so the memory of a whole block of them is fetched at once (see
//! [`each_key`]): a long MGET runs at the speed of the memory's bandwidth, not of its
//! latency.

use super::options::{Condition, Expiry, Options, Takes};
use super::{reply_value, store};
use crate::db::{ExpiryUpdate, KeyEvent};
use crate::exec::args::{each_key, int};
use crate::exec::ctx::DataCtx;
use crate::exec::error::{self, CommandError, CommandResult};
use crate::exec::spec::{Access, ArgSpec, Arity, CommandSpec, Flags, Group, Handler, KeySpec};
use crate::resp::Args;

pub(super) static MGET: CommandSpec = CommandSpec {
    name: "mget",
    summary: "Returns the strings stored at several keys.",
    complexity: "O(N), N the number of keys",
    group: Group::String,
    arity: Arity::AtLeast(2),
    flags: Flags::READONLY.or(Flags::FAST),
    keys: &[KeySpec::rest(1, 1, Access::READ_ONLY.or(Access::ACCESS))],
    args: &[ArgSpec::key("key").multiple()],
    tips: &["request_policy:multi_shard"],
    handler: Handler::Data(mget),
    ..CommandSpec::BASE
};

pub(super) static MSET: CommandSpec = CommandSpec {
    name: "mset",
    summary: "Sets several keys at once.",
    complexity: "O(N), N the number of keys",
    since: "1.0.1",
    group: Group::String,
    arity: Arity::AtLeast(3),
    flags: Flags::WRITE.or(Flags::DENYOOM),
    keys: &[KeySpec::rest(1, 2, Access::OVERWRITE.or(Access::UPDATE))],
    args: &[ArgSpec::block("data", &[ArgSpec::key("key"), ArgSpec::string("value")]).multiple()],
    tips: &["request_policy:multi_shard", "response_policy:all_succeeded"],
    handler: Handler::Data(mset),
    ..CommandSpec::BASE
};

pub(super) static MSETNX: CommandSpec = CommandSpec {
    name: "msetnx",
    summary: "Sets several keys at once, but only when none of them exists.",
    complexity: "O(N), N the number of keys",
    since: "1.0.1",
    group: Group::String,
    arity: Arity::AtLeast(3),
    flags: Flags::WRITE.or(Flags::DENYOOM),
    keys: &[KeySpec::rest(1, 2, Access::OVERWRITE.or(Access::INSERT))],
    args: &[ArgSpec::block("data", &[ArgSpec::key("key"), ArgSpec::string("value")]).multiple()],
    handler: Handler::Data(msetnx),
    ..CommandSpec::BASE
};

pub(super) static MSETEX: CommandSpec = CommandSpec {
    name: "msetex",
    summary: "Sets several keys at once, on conditions and with one expiry for all.",
    complexity: "O(N), N the number of keys",
    since: "8.4.0",
    group: Group::String,
    arity: Arity::AtLeast(4),
    flags: Flags::WRITE.or(Flags::DENYOOM),
    keys: &[KeySpec::counted(1, 2, Access::OVERWRITE.or(Access::UPDATE))],
    args: &[
        ArgSpec::integer("numkeys"),
        ArgSpec::block("data", &[ArgSpec::key("key"), ArgSpec::string("value")]).multiple(),
        ArgSpec::one_of("condition", &[ArgSpec::word("nx", "NX"), ArgSpec::word("xx", "XX")]).optional(),
        ArgSpec::one_of(
            "expiration",
            &[
                ArgSpec::integer("seconds").token("EX"),
                ArgSpec::integer("milliseconds").token("PX"),
                ArgSpec::unix_time("unix-time-seconds").token("EXAT"),
                ArgSpec::unix_time("unix-time-milliseconds").token("PXAT"),
                ArgSpec::word("keepttl", "KEEPTTL"),
            ],
        )
        .optional(),
    ],
    tips: &["request_policy:multi_shard", "response_policy:all_succeeded"],
    handler: Handler::Data(msetex),
    ..CommandSpec::BASE
};

fn mget(ctx: &mut DataCtx<'_>, args: Args<'_>) -> CommandResult {
    ctx.reply.array(args.len() - 1);
    each_key(ctx, args, 1, args.len(), 1, |ctx, key, _| {
        // What is no string is nothing to MGET.
        match ctx.db.lookup_read(key).map(|entry| entry.string()) {
            Some(Ok(value)) => reply_value(ctx.reply, value),
            Some(Err(_)) | None => ctx.reply.null(),
        }
    });
    Ok(())
}

fn mset(ctx: &mut DataCtx<'_>, args: Args<'_>) -> CommandResult {
    pairs(ctx, args)?;
    set_all(ctx, args, 1, args.len(), ExpiryUpdate::Clear);
    ctx.reply.ok();
    Ok(())
}

fn msetnx(ctx: &mut DataCtx<'_>, args: Args<'_>) -> CommandResult {
    pairs(ctx, args)?;
    let allowed = holds(ctx, args, 1, args.len(), Condition::Missing);
    if allowed {
        set_all(ctx, args, 1, args.len(), ExpiryUpdate::Clear);
    }
    ctx.reply.int(i64::from(allowed));
    Ok(())
}

const BAD_COUNT: CommandError = CommandError::fixed("ERR invalid numkeys value");
const BAD_PAIRS: CommandError = CommandError::fixed("ERR wrong number of key-value pairs");

fn msetex(ctx: &mut DataCtx<'_>, args: Args<'_>) -> CommandResult {
    let count = int(&args[1]).ok().and_then(|n| i32::try_from(n).ok()).filter(|n| *n > 0).ok_or(BAD_COUNT)?;
    let end = 2 + 2 * count as usize;
    if end > args.len() {
        return Err(BAD_PAIRS);
    }
    let options = Options::parse(args, end, Takes::MSETEX)?;
    let expiry = options.expiry.update(ctx.db.clock_ms(), &ctx.command.full_name)?.unwrap_or(ExpiryUpdate::Clear);
    let allowed = holds(ctx, args, 2, end, options.condition);
    if allowed {
        set_all(ctx, args, 2, end, expiry);
        if let (Expiry::Time(_, _), ExpiryUpdate::At(deadline)) = (options.expiry, expiry)
            && ctx.db.propagates()
        {
            let (deadline, pairs) = (deadline.to_string(), args.iter().take(end));
            let rest: Vec<&[u8]> = pairs.chain([&b"PXAT"[..], deadline.as_bytes()]).collect();
            ctx.db.propagate(&rest);
        }
    }
    ctx.reply.int(i64::from(allowed));
    Ok(())
}

/// Each key has its value.
fn pairs(ctx: &DataCtx<'_>, args: Args<'_>) -> CommandResult {
    if args.len().is_multiple_of(2) { Err(error::wrong_arity(&ctx.command.full_name)) } else { Ok(()) }
}

fn set_all(ctx: &mut DataCtx<'_>, args: Args<'_>, first: usize, end: usize, expiry: ExpiryUpdate) {
    each_key(ctx, args, first, end, 2, |ctx, key, at| store(ctx.db.entry(key), args, at + 1, expiry, KeyEvent::SET));
}

/// The condition holds for every key.
fn holds(ctx: &mut DataCtx<'_>, args: Args<'_>, first: usize, end: usize, condition: Condition<'_>) -> bool {
    let wanted = match condition {
        Condition::Missing => false,
        Condition::Exists => true,
        Condition::Always | Condition::Equals(_) => return true,
    };
    let mut holds = true;
    each_key(ctx, args, first, end, 2, |ctx, key, _| {
        holds = holds && ctx.db.lookup_write(key).is_some() == wanted;
    });
    holds
}
