//! Storing a string: SET, SETNX, SETEX, PSETEX; and DELIFEQ, the counterpart of SET's IFEQ.
//!
//! A SET without options is decided by its number of arguments alone and never meets the option parser. All of them
//! find the key's place once, look at what is there, and write or leave it there.
//!
//! IFEQ and DELIFEQ are Valkey's. They make a lock that is freed, or prolonged, by its holder only, without a script.

use super::options::{Condition, Expiry, Options, Takes};
use super::{reply_value, store};
use crate::db::{ExpiryUpdate, KeyEvent, KeySlot};
use crate::exec::args::{ExpiryUnit, deadline_ms};
use crate::exec::ctx::DataCtx;
use crate::exec::error::{CommandError, CommandResult};
use crate::exec::spec::{Access, ArgSpec, Arity, CommandSpec, Flags, Group, Handler, KeySpec};
use crate::resp::Args;
use crate::types::string::StringRef;

pub(super) static SET: CommandSpec = CommandSpec {
    name: "set",
    summary: "Stores a string at a key, on conditions and with an expiry where asked for.",
    group: Group::String,
    arity: Arity::AtLeast(3),
    flags: Flags::WRITE.or(Flags::DENYOOM),
    keys: &[KeySpec::at(1, Access::READ_WRITE.or(Access::ACCESS).or(Access::UPDATE))
        .varying(access_of_set)
        .note("RW and ACCESS for the option GET, UPDATE for all")],
    args: &[
        ArgSpec::key("key"),
        ArgSpec::string("value"),
        ArgSpec::one_of(
            "condition",
            &[
                ArgSpec::word("nx", "NX"),
                ArgSpec::word("xx", "XX"),
                ArgSpec::string("comparison-value").token("IFEQ").since("8.1.0"),
            ],
        )
        .optional()
        .since("2.6.12"),
        ArgSpec::word("get", "GET").optional().since("6.2.0"),
        ArgSpec::one_of(
            "expiration",
            &[
                ArgSpec::integer("seconds").token("EX").since("2.6.12"),
                ArgSpec::integer("milliseconds").token("PX").since("2.6.12"),
                ArgSpec::unix_time("unix-time-seconds").token("EXAT").since("6.2.0"),
                ArgSpec::unix_time("unix-time-milliseconds").token("PXAT").since("6.2.0"),
                ArgSpec::word("keepttl", "KEEPTTL").since("6.0.0"),
            ],
        )
        .optional(),
    ],
    handler: Handler::Data(set),
    ..CommandSpec::BASE
};

pub(super) static SETNX: CommandSpec = CommandSpec {
    name: "setnx",
    summary: "Sets a key unless it exists.",
    group: Group::String,
    arity: Arity::Exactly(3),
    flags: Flags::WRITE.or(Flags::DENYOOM).or(Flags::FAST),
    keys: &[KeySpec::at(1, Access::OVERWRITE.or(Access::INSERT))],
    args: &[ArgSpec::key("key"), ArgSpec::string("value")],
    deprecated: Some(("2.6.12", "SET with the NX argument")),
    handler: Handler::Data(setnx),
    ..CommandSpec::BASE
};

pub(super) static SETEX: CommandSpec = CommandSpec {
    name: "setex",
    summary: "Sets a key together with its time to live in seconds.",
    since: "2.0.0",
    group: Group::String,
    arity: Arity::Exactly(4),
    flags: Flags::WRITE.or(Flags::DENYOOM),
    keys: &[KeySpec::at(1, Access::OVERWRITE.or(Access::UPDATE))],
    args: &[ArgSpec::key("key"), ArgSpec::integer("seconds"), ArgSpec::string("value")],
    deprecated: Some(("2.6.12", "SET with the EX argument")),
    handler: Handler::Data(setex),
    ..CommandSpec::BASE
};

pub(super) static PSETEX: CommandSpec = CommandSpec {
    name: "psetex",
    summary: "Sets a key together with its time to live in milliseconds.",
    since: "2.6.0",
    group: Group::String,
    arity: Arity::Exactly(4),
    flags: Flags::WRITE.or(Flags::DENYOOM),
    keys: &[KeySpec::at(1, Access::OVERWRITE.or(Access::UPDATE))],
    args: &[ArgSpec::key("key"), ArgSpec::integer("milliseconds"), ArgSpec::string("value")],
    deprecated: Some(("2.6.12", "SET with the PX argument")),
    handler: Handler::Data(psetex),
    ..CommandSpec::BASE
};

pub(super) static DELIFEQ: CommandSpec = CommandSpec {
    name: "delifeq",
    summary: "Deletes a key if it holds the given string.",
    since: "9.0.0",
    group: Group::String,
    arity: Arity::Exactly(3),
    flags: Flags::WRITE.or(Flags::FAST),
    keys: &[KeySpec::at(1, Access::REMOVE.or(Access::DELETE))],
    args: &[ArgSpec::key("key"), ArgSpec::string("value")],
    handler: Handler::Data(delifeq),
    ..CommandSpec::BASE
};

/// SET overwrites without looking, unless an option makes it read the value.
fn access_of_set(args: Args<'_>) -> Access {
    let reads = args.skip(3).iter().any(|arg| arg.eq_ignore_ascii_case(b"get") || arg.eq_ignore_ascii_case(b"ifeq"));
    if reads { Access::READ_WRITE.or(Access::ACCESS).or(Access::UPDATE) } else { Access::OVERWRITE.or(Access::UPDATE) }
}

fn set(ctx: &mut DataCtx<'_>, args: Args<'_>) -> CommandResult {
    if args.len() > 3 {
        return set_with_options(ctx, args);
    }
    let key = ctx.key(args, 1);
    store(ctx.db.entry(key), args, 2, ExpiryUpdate::Clear, KeyEvent::SET);
    ctx.reply.ok();
    Ok(())
}

#[inline(never)]
fn set_with_options(ctx: &mut DataCtx<'_>, args: Args<'_>) -> CommandResult {
    let options = Options::parse(args, 3, Takes::SET)?;
    let expiry = options.expiry.update(ctx.db.clock_ms(), &ctx.command.full_name)?.unwrap_or(ExpiryUpdate::Clear);
    let key = ctx.key(args, 1);
    let mut slot = ctx.db.entry(key);
    let allowed = allows(options.condition, &slot)?;
    if options.get {
        slot.count_lookup();
        match slot.get() {
            Some(entry) => reply_value(ctx.reply, entry.string()?),
            None => ctx.reply.null(),
        }
    } else if allowed {
        ctx.reply.ok();
    } else {
        ctx.reply.null();
    }
    if allowed {
        store(slot, args, 2, expiry, KeyEvent::SET);
        if ctx.db.propagates() {
            propagate(ctx, args, options, expiry);
        }
    }
    Ok(())
}

/// A time that depends on the clock becomes a point in time, and nobody elsewhere wants the old value. The rest goes as it
/// came.
fn propagate(ctx: &mut DataCtx<'_>, args: Args<'_>, options: Options<'_>, expiry: ExpiryUpdate) {
    match (options.expiry, expiry) {
        (Expiry::Time(unit, _), ExpiryUpdate::At(deadline)) if unit != ExpiryUnit::UnixMillis => {
            ctx.db.propagate(&[b"SET", &args[1], &args[2], b"PXAT", deadline.to_string().as_bytes()]);
        }
        _ if options.get => {
            let is_kept = |(at, word): &(usize, &[u8])| *at < 3 || !word.eq_ignore_ascii_case(b"get");
            let rest: Vec<&[u8]> = args.iter().enumerate().filter(is_kept).map(|(_, word)| word).collect();
            ctx.db.propagate(&rest);
        }
        _ => {}
    }
}

fn allows(condition: Condition<'_>, slot: &KeySlot<'_>) -> Result<bool, CommandError> {
    Ok(match (condition, slot.get()) {
        (Condition::Always, _) => true,
        (Condition::Missing, there) => there.is_none(),
        (Condition::Exists, there) => there.is_some(),
        (Condition::Equals(_), None) => false,
        (Condition::Equals(text), Some(entry)) => entry.string()? == StringRef::Bytes(text),
    })
}

fn setnx(ctx: &mut DataCtx<'_>, args: Args<'_>) -> CommandResult {
    let key = ctx.key(args, 1);
    let slot = ctx.db.entry(key);
    let missing = slot.get().is_none();
    if missing {
        store(slot, args, 2, ExpiryUpdate::Clear, KeyEvent::SET);
    }
    ctx.reply.int(i64::from(missing));
    Ok(())
}

fn setex(ctx: &mut DataCtx<'_>, args: Args<'_>) -> CommandResult {
    set_expiring(ctx, args, ExpiryUnit::Seconds)
}

fn psetex(ctx: &mut DataCtx<'_>, args: Args<'_>) -> CommandResult {
    set_expiring(ctx, args, ExpiryUnit::Millis)
}

fn set_expiring(ctx: &mut DataCtx<'_>, args: Args<'_>, unit: ExpiryUnit) -> CommandResult {
    let deadline = deadline_ms(unit, &args[2], ctx.db.clock_ms(), &ctx.command.full_name)?;
    let key = ctx.key(args, 1);
    store(ctx.db.entry(key), args, 3, ExpiryUpdate::At(deadline), KeyEvent::SET);
    if ctx.db.propagates() {
        ctx.db.propagate(&[b"SET", &args[1], &args[3], b"PXAT", deadline.to_string().as_bytes()]);
    }
    ctx.reply.ok();
    Ok(())
}

fn delifeq(ctx: &mut DataCtx<'_>, args: Args<'_>) -> CommandResult {
    let key = ctx.key(args, 1);
    let deleted = match ctx.db.entry(key) {
        KeySlot::Occupied(entry) if entry.string()? == StringRef::Bytes(&args[2]) => {
            entry.remove();
            true
        }
        KeySlot::Occupied(_) | KeySlot::Vacant(_) => false,
    };
    if deleted {
        ctx.db.propagate(&[b"DEL", &args[1]]);
    }
    ctx.reply.int(i64::from(deleted));
    Ok(())
}
