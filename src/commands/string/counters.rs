//! Counters: INCR, DECR, INCRBY, DECRBY, INCRBYFLOAT.
//!
//! A counter stays a number in its entry, changed in place; no text is made or read as long as it fits an `i64`. A
//! float's sum is computed in the 80 bits of [`LongDouble`], because that is what Redis stores and other programs
//! compare, and is kept as text: `14` that came out of INCRBYFLOAT is a text of two bytes until somebody counts on.

use crate::db::{IncrError, KeyEvent};
use crate::exec::args::int;
use crate::exec::ctx::DataCtx;
use crate::exec::error::{self, CommandError, CommandResult};
use crate::exec::spec::{Access, ArgSpec, Arity, CommandSpec, Flags, Group, Handler, KeySpec};
use crate::resp::Args;
use crate::types::string::{Flat, Spelling, StringRef};
use crate::util::long_double::LongDouble;

pub(super) static INCR: CommandSpec = CommandSpec {
    name: "incr",
    summary: "Adds one to the integer stored at a key.",
    group: Group::String,
    arity: Arity::Exactly(2),
    flags: Flags::WRITE.or(Flags::DENYOOM).or(Flags::FAST),
    keys: &[KeySpec::at(1, Access::READ_WRITE.or(Access::ACCESS).or(Access::UPDATE))],
    args: &[ArgSpec::key("key")],
    handler: Handler::Data(incr),
    ..CommandSpec::BASE
};

pub(super) static DECR: CommandSpec = CommandSpec {
    name: "decr",
    summary: "Subtracts one from the integer stored at a key.",
    group: Group::String,
    arity: Arity::Exactly(2),
    flags: Flags::WRITE.or(Flags::DENYOOM).or(Flags::FAST),
    keys: &[KeySpec::at(1, Access::READ_WRITE.or(Access::ACCESS).or(Access::UPDATE))],
    args: &[ArgSpec::key("key")],
    handler: Handler::Data(decr),
    ..CommandSpec::BASE
};

pub(super) static INCRBY: CommandSpec = CommandSpec {
    name: "incrby",
    summary: "Adds an integer to the number stored at a key.",
    group: Group::String,
    arity: Arity::Exactly(3),
    flags: Flags::WRITE.or(Flags::DENYOOM).or(Flags::FAST),
    keys: &[KeySpec::at(1, Access::READ_WRITE.or(Access::ACCESS).or(Access::UPDATE))],
    args: &[ArgSpec::key("key"), ArgSpec::integer("increment")],
    handler: Handler::Data(incrby),
    ..CommandSpec::BASE
};

pub(super) static DECRBY: CommandSpec = CommandSpec {
    name: "decrby",
    summary: "Subtracts an integer from the number stored at a key.",
    group: Group::String,
    arity: Arity::Exactly(3),
    flags: Flags::WRITE.or(Flags::DENYOOM).or(Flags::FAST),
    keys: &[KeySpec::at(1, Access::READ_WRITE.or(Access::ACCESS).or(Access::UPDATE))],
    args: &[ArgSpec::key("key"), ArgSpec::integer("decrement")],
    handler: Handler::Data(decrby),
    ..CommandSpec::BASE
};

pub(super) static INCRBYFLOAT: CommandSpec = CommandSpec {
    name: "incrbyfloat",
    summary: "Adds a floating-point number to the number stored at a key.",
    since: "2.6.0",
    group: Group::String,
    arity: Arity::Exactly(3),
    flags: Flags::WRITE.or(Flags::DENYOOM).or(Flags::FAST),
    keys: &[KeySpec::at(1, Access::READ_WRITE.or(Access::ACCESS).or(Access::UPDATE))],
    args: &[ArgSpec::key("key"), ArgSpec::double("increment")],
    handler: Handler::Data(incrbyfloat),
    ..CommandSpec::BASE
};

fn incr(ctx: &mut DataCtx<'_>, args: Args<'_>) -> CommandResult {
    count(ctx, args, 1)
}

fn decr(ctx: &mut DataCtx<'_>, args: Args<'_>) -> CommandResult {
    count(ctx, args, -1)
}

fn incrby(ctx: &mut DataCtx<'_>, args: Args<'_>) -> CommandResult {
    let delta = int(&args[2])?;
    count(ctx, args, delta)
}

fn decrby(ctx: &mut DataCtx<'_>, args: Args<'_>) -> CommandResult {
    // The lowest number has no opposite.
    let delta = int(&args[2])?.checked_neg().ok_or(DECREMENT_OVERFLOW)?;
    count(ctx, args, delta)
}

const DECREMENT_OVERFLOW: CommandError = CommandError::fixed("ERR decrement would overflow");

#[inline]
fn count(ctx: &mut DataCtx<'_>, args: Args<'_>, delta: i64) -> CommandResult {
    let key = ctx.key(args, 1);
    let sum = ctx.db.incr(key, delta).map_err(refusal)?;
    ctx.reply.int(sum);
    Ok(())
}

#[cold]
fn refusal(why: IncrError) -> CommandError {
    match why {
        IncrError::WrongType => error::WRONG_TYPE,
        IncrError::NotAnInteger => error::NOT_INTEGER,
        IncrError::Overflow => error::OVERFLOW,
    }
}

fn incrbyfloat(ctx: &mut DataCtx<'_>, args: Args<'_>) -> CommandResult {
    let key = ctx.key(args, 1);
    let slot = ctx.db.entry(key);
    let old = match slot.get() {
        Some(entry) => float(entry.string()?)?,
        None => LongDouble::from_i64(0),
    };
    let sum = old.add(LongDouble::parse(&args[2]).ok_or(error::NOT_FLOAT)?);
    if sum.is_nan() || sum.is_infinite() {
        return Err(error::NAN_OR_INFINITY);
    }
    let mut text = Vec::with_capacity(32);
    sum.push_human(&mut text);
    slot.update_bytes(&text, Spelling::Text, KeyEvent::string("incrbyfloat"));
    ctx.db.propagate(&[b"SET", &args[1], &text, b"KEEPTTL"]);
    ctx.reply.bulk(&text);
    Ok(())
}

fn float(value: StringRef<'_>) -> Result<LongDouble, CommandError> {
    match value {
        StringRef::Int(n) => Ok(LongDouble::from_i64(n)),
        // No number has so many digits, and a rope would have to be copied to see it.
        StringRef::Rope(_) => Err(error::NOT_FLOAT),
        text => LongDouble::parse(text.flat(&mut Flat::default())).ok_or(error::NOT_FLOAT),
    }
}
