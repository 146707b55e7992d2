//! Fields that count: HINCRBY, HINCRBYFLOAT. A field keeps its deadline; one whose time is over begins anew, without.

use super::fields::open;
use crate::db::KeyEvent;
use crate::exec::args::int;
use crate::exec::ctx::DataCtx;
use crate::exec::error::{self, CommandError, CommandResult};
use crate::exec::spec::{Access, ArgSpec, Arity, CommandSpec, Flags, Group, Handler, KeySpec};
use crate::resp::Args;
use crate::types::hash;
use crate::util::long_double::LongDouble;
use crate::util::num;
use crate::util::text::Source;

pub(super) static HINCRBY: CommandSpec = CommandSpec {
    name: "hincrby",
    summary: "Adds an integer to the number in a field.",
    since: "2.0.0",
    group: Group::Hash,
    arity: Arity::Exactly(4),
    flags: Flags::WRITE.or(Flags::DENYOOM).or(Flags::FAST),
    keys: &[KeySpec::at(1, Access::READ_WRITE.or(Access::ACCESS).or(Access::UPDATE))],
    args: &[ArgSpec::key("key"), ArgSpec::string("field"), ArgSpec::integer("increment")],
    element: 2,
    handler: Handler::Data(hincrby),
    ..CommandSpec::BASE
};

pub(super) static HINCRBYFLOAT: CommandSpec = CommandSpec {
    name: "hincrbyfloat",
    summary: "Adds a floating-point number to the number in a field.",
    since: "2.6.0",
    group: Group::Hash,
    arity: Arity::Exactly(4),
    flags: Flags::WRITE.or(Flags::DENYOOM).or(Flags::FAST),
    keys: &[KeySpec::at(1, Access::READ_WRITE.or(Access::ACCESS).or(Access::UPDATE))],
    args: &[ArgSpec::key("key"), ArgSpec::string("field"), ArgSpec::double("increment")],
    element: 2,
    handler: Handler::Data(hincrbyfloat),
    ..CommandSpec::BASE
};

const VALUE_NOT_INTEGER: CommandError = CommandError::fixed("ERR hash value is not an integer");
const VALUE_NOT_FLOAT: CommandError = CommandError::fixed("ERR hash value is not a float");
const NAN_OR_INFINITY: CommandError = CommandError::fixed("ERR value is NaN or Infinity");

/// Stores what was counted. The field keeps its deadline, if it has time left.
fn store(
    ctx: &mut DataCtx<'_>,
    args: Args<'_>,
    name: Source<'_>,
    text: &[u8],
    lives: bool,
    event: KeyEvent,
) -> CommandResult {
    let key = ctx.key(args, 1);
    let mut place = open(&mut ctx.db, key, args.skip(args.len()))?;
    place.edit_hash(|place| hash::set(place, name, text, lives));
    place.changed(1, event);
    Ok(())
}

fn hincrby(ctx: &mut DataCtx<'_>, args: Args<'_>) -> CommandResult {
    let delta = int(&args[3])?;
    let key = ctx.key(args, 1);
    let now_ms = ctx.db.now_ms();
    let name = args.text(2);
    ctx.db.forget_if_expired(key, name.as_ref());
    let old = match ctx.db.lookup_write(key) {
        Some(entry) => entry.hash()?.get(name.as_ref(), now_ms),
        None => None,
    };
    let lives = old.is_some();
    let old = old.map_or(Ok(0), |field| field.value.as_i64().ok_or(VALUE_NOT_INTEGER))?;
    let sum = old.checked_add(delta).ok_or(error::OVERFLOW)?;
    let mut text = Vec::with_capacity(20);
    num::push_i64(&mut text, sum);
    store(ctx, args, name, &text, lives, KeyEvent::hash("hincrby"))?;
    ctx.reply.int(sum);
    Ok(())
}

fn hincrbyfloat(ctx: &mut DataCtx<'_>, args: Args<'_>) -> CommandResult {
    let delta = LongDouble::parse(&args[3]).ok_or(error::NOT_FLOAT)?;
    if delta.is_nan() || delta.is_infinite() {
        return Err(NAN_OR_INFINITY);
    }
    let key = ctx.key(args, 1);
    let now_ms = ctx.db.now_ms();
    let name = args.text(2);
    ctx.db.forget_if_expired(key, name.as_ref());
    let old = match ctx.db.lookup_write(key) {
        Some(entry) => entry.hash()?.get(name.as_ref(), now_ms),
        None => None,
    };
    let lives = old.is_some();
    let old = match old {
        Some(field) => {
            let mut room = itoa::Buffer::new();
            LongDouble::parse(field.value.text(&mut room)).ok_or(VALUE_NOT_FLOAT)?
        }
        None => LongDouble::from_i64(0),
    };
    let sum = old.add(delta);
    if sum.is_nan() || sum.is_infinite() {
        return Err(error::NAN_OR_INFINITY);
    }
    let mut text = Vec::with_capacity(32);
    sum.push_human(&mut text);
    store(ctx, args, name, &text, lives, KeyEvent::hash("hincrbyfloat"))?;
    // Elsewhere the sum might be another one; a deadline stays there, too.
    if ctx.db.propagates() {
        ctx.db.propagate(&[b"HSETEX", &args[1], b"KEEPTTL", b"FIELDS", b"1", &args[2], &text]);
    }
    ctx.reply.bulk(&text);
    Ok(())
}
