//! WAIT, WAITAOF: until what a client has written is on replicas, or on disks.
//!
//! The client waits for the offset of its own last write. One that has written nothing waits for nothing.

use std::time::Duration;

use crate::blocking::{Progress, Wait, WaitFor};
use crate::exec::args::timeout_millis;
use crate::exec::ctx::AdminCtx;
use crate::exec::error::CommandError;
use crate::exec::spec::{ArgSpec, Arity, Categories, CommandSpec, Flags, Group, Handler};
use crate::resp::Args;
use crate::util::num;

pub(super) static WAIT: CommandSpec = CommandSpec {
    name: "wait",
    summary: "Waits until so many replicas have what this client has written.",
    since: "3.0.0",
    group: Group::Generic,
    arity: Arity::Exactly(3),
    flags: Flags::BLOCKING,
    categories: Categories::CONNECTION,
    tips: &["request_policy:all_shards", "response_policy:agg_min"],
    args: &[ArgSpec::integer("numreplicas"), ArgSpec::integer("timeout")],
    handler: Handler::AdminBlocking(wait),
    ..CommandSpec::BASE
};

pub(super) static WAITAOF: CommandSpec = CommandSpec {
    name: "waitaof",
    summary: "Waits until what this client has written is on the disk, here and on so many replicas.",
    since: "7.2.0",
    group: Group::Generic,
    arity: Arity::Exactly(4),
    flags: Flags::BLOCKING,
    categories: Categories::CONNECTION,
    tips: &["request_policy:all_shards", "response_policy:agg_min"],
    args: &[ArgSpec::integer("numlocal"), ArgSpec::integer("numreplicas"), ArgSpec::integer("timeout")],
    handler: Handler::AdminBlocking(waitaof),
    ..CommandSpec::BASE
};

fn count(text: &[u8], most: i64, range: &'static str) -> Result<usize, CommandError> {
    let number = num::parse_i64(text).filter(|number| (0..=most).contains(number));
    number.and_then(|number| usize::try_from(number).ok()).ok_or(CommandError::fixed(range))
}

fn replicas(text: &[u8]) -> Result<usize, CommandError> {
    count(text, i64::MAX, "ERR value is out of range, must be positive")
}

fn wait(ctx: &mut AdminCtx<'_>, args: Args<'_>) -> Result<Progress, CommandError> {
    // Redis reads the number as any integer: one below zero is there at once.
    let wanted = num::parse_i64(&args[1]).ok_or(crate::exec::error::NOT_INTEGER)?;
    let timeout = timeout_millis(&args[2], ctx.inst.now_ms)?;
    let have = ctx.inst.replicas_with(ctx.session.about.wrote_offset);
    if have as i64 >= wanted || !ctx.origin.may_block() {
        ctx.reply().int(have as i64);
        return Ok(Progress::Done);
    }
    Ok(wait_for_copies(ctx, WaitFor::Replicas, timeout))
}

fn waitaof(ctx: &mut AdminCtx<'_>, args: Args<'_>) -> Result<Progress, CommandError> {
    let local = count(&args[1], 1, "ERR value is out of range, must be between 0 and 1")?;
    let remote = replicas(&args[2])?;
    let timeout = timeout_millis(&args[3], ctx.inst.now_ms)?;
    if local > 0 && !ctx.inst.aof.is_kept() {
        return Err(CommandError::fixed("ERR WAITAOF cannot be used when numlocal is set but appendonly is disabled."));
    }
    let (have_local, have_remote) = ctx.inst.synced_copies(ctx.session.about.wrote_offset);
    if (have_local >= local && have_remote >= remote) || !ctx.origin.may_block() {
        ctx.reply().array(2);
        ctx.reply().int(have_local as i64);
        ctx.reply().int(have_remote as i64);
        return Ok(Progress::Done);
    }
    Ok(wait_for_copies(ctx, WaitFor::Disks, timeout))
}

fn wait_for_copies(ctx: &mut AdminCtx<'_>, what: WaitFor, timeout: Option<Duration>) -> Progress {
    ctx.inst.await_copies(ctx.session.id);
    Wait::on(what, [], timeout).blocked()
}
