//! Reading a string, and reading it on the way to something else: GET, STRLEN, GETDEL, GETEX, GETSET.
//!
//! GET is the command that every other cost is compared with: one probe, and the bytes go from the entry into the
//! reply buffer. A string above 64 KiB is not copied there either; the reply holds on to its pieces until they are
//! sent.

use super::options::{Options, Takes};
use super::{reply_value, store};
use crate::db::{ExpiryUpdate, KeyEvent, KeySlot};
use crate::exec::ctx::DataCtx;
use crate::exec::error::CommandResult;
use crate::exec::spec::{Access, ArgSpec, Arity, CommandSpec, Flags, Group, Handler, KeySpec};
use crate::resp::Args;

pub(super) static GET: CommandSpec = CommandSpec {
    name: "get",
    summary: "Returns the string stored at a key.",
    group: Group::String,
    arity: Arity::Exactly(2),
    flags: Flags::READONLY.or(Flags::FAST),
    keys: &[KeySpec::at(1, Access::READ_ONLY.or(Access::ACCESS))],
    args: &[ArgSpec::key("key")],
    handler: Handler::Data(get),
    ..CommandSpec::BASE
};

pub(super) static STRLEN: CommandSpec = CommandSpec {
    name: "strlen",
    summary: "Returns the length of the string stored at a key.",
    since: "2.2.0",
    group: Group::String,
    arity: Arity::Exactly(2),
    flags: Flags::READONLY.or(Flags::FAST),
    keys: &[KeySpec::at(1, Access::READ_ONLY)],
    args: &[ArgSpec::key("key")],
    handler: Handler::Data(strlen),
    ..CommandSpec::BASE
};

pub(super) static GETDEL: CommandSpec = CommandSpec {
    name: "getdel",
    summary: "Returns the string stored at a key and deletes the key.",
    since: "6.2.0",
    group: Group::String,
    arity: Arity::Exactly(2),
    flags: Flags::WRITE.or(Flags::FAST),
    keys: &[KeySpec::at(1, Access::READ_WRITE.or(Access::ACCESS).or(Access::DELETE))],
    args: &[ArgSpec::key("key")],
    handler: Handler::Data(getdel),
    ..CommandSpec::BASE
};

pub(super) static GETEX: CommandSpec = CommandSpec {
    name: "getex",
    summary: "Returns the string stored at a key and changes its expiry.",
    since: "6.2.0",
    group: Group::String,
    arity: Arity::AtLeast(2),
    flags: Flags::WRITE.or(Flags::FAST),
    keys: &[KeySpec::at(1, Access::READ_WRITE.or(Access::ACCESS).or(Access::UPDATE))
        .note("RW and UPDATE because it changes the expiry")],
    args: &[
        ArgSpec::key("key"),
        ArgSpec::one_of(
            "expiration",
            &[
                ArgSpec::integer("seconds").token("EX"),
                ArgSpec::integer("milliseconds").token("PX"),
                ArgSpec::unix_time("unix-time-seconds").token("EXAT"),
                ArgSpec::unix_time("unix-time-milliseconds").token("PXAT"),
                ArgSpec::word("persist", "PERSIST"),
            ],
        )
        .optional(),
    ],
    handler: Handler::Data(getex),
    ..CommandSpec::BASE
};

pub(super) static GETSET: CommandSpec = CommandSpec {
    name: "getset",
    summary: "Replaces the string stored at a key and returns the one before.",
    group: Group::String,
    arity: Arity::Exactly(3),
    flags: Flags::WRITE.or(Flags::DENYOOM).or(Flags::FAST),
    keys: &[KeySpec::at(1, Access::READ_WRITE.or(Access::ACCESS).or(Access::UPDATE))],
    args: &[ArgSpec::key("key"), ArgSpec::string("value")],
    deprecated: Some(("6.2.0", "SET with the !GET argument")),
    handler: Handler::Data(getset),
    ..CommandSpec::BASE
};

fn get(ctx: &mut DataCtx<'_>, args: Args<'_>) -> CommandResult {
    let key = ctx.key(args, 1);
    match ctx.db.lookup_read(key) {
        Some(entry) => reply_value(ctx.reply, entry.string()?),
        None => ctx.reply.null(),
    }
    Ok(())
}

fn strlen(ctx: &mut DataCtx<'_>, args: Args<'_>) -> CommandResult {
    let key = ctx.key(args, 1);
    let len = match ctx.db.lookup_read(key) {
        Some(entry) => entry.string()?.len(),
        None => 0,
    };
    ctx.reply.int(len as i64);
    Ok(())
}

fn getdel(ctx: &mut DataCtx<'_>, args: Args<'_>) -> CommandResult {
    let key = ctx.key(args, 1);
    let found = match ctx.db.entry(key) {
        KeySlot::Occupied(entry) => {
            reply_value(ctx.reply, entry.string()?);
            entry.remove();
            true
        }
        KeySlot::Vacant(_) => {
            ctx.reply.null();
            false
        }
    };
    if found {
        ctx.db.propagate(&[b"DEL", &args[1]]);
    }
    ctx.db.count_lookup(key, found);
    Ok(())
}

fn getex(ctx: &mut DataCtx<'_>, args: Args<'_>) -> CommandResult {
    let options = Options::parse(args, 2, Takes::GETEX)?;
    let (now_ms, clock_ms) = (ctx.db.now_ms(), ctx.db.clock_ms());
    let key = ctx.key(args, 1);
    let KeySlot::Occupied(mut entry) = ctx.db.entry(key) else {
        ctx.reply.null();
        ctx.db.count_lookup(key, false);
        return Ok(());
    };
    let value = entry.string()?;
    let mut update = options.expiry.update(clock_ms, &ctx.command.full_name)?;
    reply_value(ctx.reply, value);
    match update {
        None | Some(ExpiryUpdate::Keep) => {}
        Some(ExpiryUpdate::Clear) if entry.expiry_ms().is_none() => update = None,
        Some(ExpiryUpdate::Clear) => entry.set_expiry(None),
        // What is given a deadline of the past is deleted rather than left to be found overdue.
        Some(ExpiryUpdate::At(deadline)) if deadline <= now_ms => entry.remove(),
        Some(ExpiryUpdate::At(deadline)) => entry.set_expiry(Some(deadline)),
    }
    match update {
        Some(ExpiryUpdate::Clear) => ctx.db.propagate(&[b"PERSIST", key.bytes]),
        Some(ExpiryUpdate::At(deadline)) if deadline <= now_ms => ctx.db.propagate_expiry(key),
        Some(ExpiryUpdate::At(deadline)) => ctx.db.propagate_deadline(key, deadline),
        None | Some(ExpiryUpdate::Keep) => {}
    }
    ctx.db.count_lookup(key, true);
    Ok(())
}

fn getset(ctx: &mut DataCtx<'_>, args: Args<'_>) -> CommandResult {
    let key = ctx.key(args, 1);
    let mut slot = ctx.db.entry(key);
    slot.count_lookup();
    match slot.get() {
        Some(entry) => reply_value(ctx.reply, entry.string()?),
        None => ctx.reply.null(),
    }
    store(slot, args, 2, ExpiryUpdate::Clear, KeyEvent::SET);
    if ctx.db.propagates() {
        ctx.db.propagate(&[b"SET", &args[1], &args[2]]);
    }
    Ok(())
}
