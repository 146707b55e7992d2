//! Fields by their names: HSET, HMSET, HSETNX, HGET, HMGET, HDEL, HEXISTS, HSTRLEN, HLEN.
//!
//! A reader that meets a field whose time is over deletes it, as Redis does; a writer treats it as there (HSET, HDEL) or
//! as missing (HSETNX), as Redis does, too. It is gone by itself a moment later anyway.

use super::{HDEL_EVENT, HSET_EVENT, reply_item};
use crate::db::{DbMut, Key, KeySlot, Occupied};
use crate::exec::args::ELEMENTS_AHEAD;
use crate::exec::ctx::DataCtx;
use crate::exec::error::{self, CommandError, CommandResult};
use crate::exec::spec::{Access, ArgSpec, Arity, CommandSpec, Flags, Group, Handler, KeySpec};
use crate::resp::{Args, Reply};
use crate::types::TypeName;
use crate::types::hash::{self, Field, NewHash};
use crate::types::value::NewValue;

const PAIR: &[ArgSpec] = &[ArgSpec::string("field"), ArgSpec::string("value")];

pub(super) static HSET: CommandSpec = CommandSpec {
    name: "hset",
    summary: "Sets fields of a hash to values, creating it when absent.",
    complexity: "O(1) a field",
    since: "2.0.0",
    group: Group::Hash,
    arity: Arity::AtLeast(4),
    flags: Flags::WRITE.or(Flags::DENYOOM).or(Flags::FAST),
    keys: &[KeySpec::at(1, Access::READ_WRITE.or(Access::UPDATE))],
    args: &[ArgSpec::key("key"), ArgSpec::block("data", PAIR).multiple()],
    element: 2,
    handler: Handler::Data(hset),
    ..CommandSpec::BASE
};

pub(super) static HMSET: CommandSpec = CommandSpec {
    name: "hmset",
    summary: "Sets fields of a hash to values; HSET does the same and tells more.",
    complexity: "O(1) a field",
    since: "2.0.0",
    group: Group::Hash,
    arity: Arity::AtLeast(4),
    flags: Flags::WRITE.or(Flags::DENYOOM).or(Flags::FAST),
    keys: &[KeySpec::at(1, Access::READ_WRITE.or(Access::UPDATE))],
    args: &[ArgSpec::key("key"), ArgSpec::block("data", PAIR).multiple()],
    element: 2,
    handler: Handler::Data(hmset),
    ..CommandSpec::BASE
};

pub(super) static HSETNX: CommandSpec = CommandSpec {
    name: "hsetnx",
    summary: "Sets a field of a hash to a value unless the field exists.",
    since: "2.0.0",
    group: Group::Hash,
    arity: Arity::Exactly(4),
    flags: Flags::WRITE.or(Flags::DENYOOM).or(Flags::FAST),
    keys: &[KeySpec::at(1, Access::READ_WRITE.or(Access::INSERT))],
    args: &[ArgSpec::key("key"), ArgSpec::string("field"), ArgSpec::string("value")],
    element: 2,
    handler: Handler::Data(hsetnx),
    ..CommandSpec::BASE
};

pub(super) static HGET: CommandSpec = CommandSpec {
    name: "hget",
    summary: "Returns the value of a field.",
    since: "2.0.0",
    group: Group::Hash,
    arity: Arity::Exactly(3),
    flags: Flags::READONLY.or(Flags::FAST),
    keys: &[KeySpec::at(1, Access::READ_ONLY.or(Access::ACCESS))],
    args: &[ArgSpec::key("key"), ArgSpec::string("field")],
    element: 2,
    handler: Handler::Data(hget),
    ..CommandSpec::BASE
};

pub(super) static HMGET: CommandSpec = CommandSpec {
    name: "hmget",
    summary: "Returns the values of several fields.",
    complexity: "O(N), N the fields asked for",
    since: "2.0.0",
    group: Group::Hash,
    arity: Arity::AtLeast(3),
    flags: Flags::READONLY.or(Flags::FAST),
    keys: &[KeySpec::at(1, Access::READ_ONLY.or(Access::ACCESS))],
    args: &[ArgSpec::key("key"), ArgSpec::string("field").multiple()],
    element: 2,
    handler: Handler::Data(hmget),
    ..CommandSpec::BASE
};

pub(super) static HDEL: CommandSpec = CommandSpec {
    name: "hdel",
    summary: "Removes fields, and the hash with the last of them.",
    complexity: "O(N), N the fields given",
    since: "2.0.0",
    group: Group::Hash,
    arity: Arity::AtLeast(3),
    flags: Flags::WRITE.or(Flags::FAST),
    keys: &[KeySpec::at(1, Access::READ_WRITE.or(Access::DELETE))],
    args: &[ArgSpec::key("key"), ArgSpec::string("field").multiple()],
    element: 2,
    handler: Handler::Data(hdel),
    ..CommandSpec::BASE
};

pub(super) static HEXISTS: CommandSpec = CommandSpec {
    name: "hexists",
    summary: "Tells whether a hash has a field.",
    since: "2.0.0",
    group: Group::Hash,
    arity: Arity::Exactly(3),
    flags: Flags::READONLY.or(Flags::FAST),
    keys: &[KeySpec::at(1, Access::READ_ONLY)],
    args: &[ArgSpec::key("key"), ArgSpec::string("field")],
    element: 2,
    handler: Handler::Data(hexists),
    ..CommandSpec::BASE
};

pub(super) static HSTRLEN: CommandSpec = CommandSpec {
    name: "hstrlen",
    summary: "Returns the length of a field's value in bytes.",
    since: "3.2.0",
    group: Group::Hash,
    arity: Arity::Exactly(3),
    flags: Flags::READONLY.or(Flags::FAST),
    keys: &[KeySpec::at(1, Access::READ_ONLY)],
    args: &[ArgSpec::key("key"), ArgSpec::string("field")],
    element: 2,
    handler: Handler::Data(hstrlen),
    ..CommandSpec::BASE
};

pub(super) static HLEN: CommandSpec = CommandSpec {
    name: "hlen",
    summary: "Counts the fields of a hash.",
    since: "2.0.0",
    group: Group::Hash,
    arity: Arity::Exactly(2),
    flags: Flags::READONLY.or(Flags::FAST),
    keys: &[KeySpec::at(1, Access::READ_ONLY)],
    args: &[ArgSpec::key("key")],
    handler: Handler::Data(hlen),
    ..CommandSpec::BASE
};

/// The hash at a key, to be changed, made for `count` fields when it is missing. What the fields and values measure
/// decides whether it stays small.
pub(super) fn open<'s>(db: &'s mut DbMut<'_>, key: Key<'s>, pairs: Args<'_>) -> Result<Occupied<'s>, CommandError> {
    let count = pairs.len() / 2;
    let (mut longest, mut bytes) = (0, 0);
    for len in (0..pairs.len()).map(|i| pairs.len_of(i)) {
        longest = longest.max(len);
        bytes += len;
    }
    let mut place = match db.entry(key) {
        KeySlot::Occupied(place) => {
            place.get().expect(TypeName::Hash)?;
            place
        }
        KeySlot::Vacant(mut place) => {
            let hash = NewHash::for_fields(count, &place.maker());
            place.insert_value(NewValue::Hash(hash))
        }
    };
    place.edit_hash(|place| hash::convert_for(place, count, longest, bytes));
    Ok(place)
}

/// Sets the pairs that begin at argument 2; how many fields are new.
fn set_all(ctx: &mut DataCtx<'_>, args: Args<'_>) -> Result<usize, CommandError> {
    let pairs = args.skip(2);
    if !pairs.len().is_multiple_of(2) {
        return Err(error::wrong_arity(&ctx.command.full_name));
    }
    let key = ctx.key(args, 1);
    let mut place = open(&mut ctx.db, key, pairs)?;
    let new = place.edit_hash(|place| {
        let each = (0..pairs.len()).step_by(2);
        if pairs.has_long() {
            return each.filter(|&i| hash::set(place, pairs.text(i), pairs.text(i + 1), false)).count();
        }
        each.filter(|&i| hash::set(place, &pairs[i], &pairs[i + 1], false)).count()
    });
    place.changed(pairs.len() / 2, HSET_EVENT);
    Ok(new)
}

fn hset(ctx: &mut DataCtx<'_>, args: Args<'_>) -> CommandResult {
    let new = set_all(ctx, args)?;
    ctx.reply.int(new as i64);
    Ok(())
}

fn hmset(ctx: &mut DataCtx<'_>, args: Args<'_>) -> CommandResult {
    set_all(ctx, args)?;
    ctx.reply.ok();
    Ok(())
}

fn hsetnx(ctx: &mut DataCtx<'_>, args: Args<'_>) -> CommandResult {
    let key = ctx.key(args, 1);
    let now_ms = ctx.db.now_ms();
    let name = args.text(2);
    ctx.db.forget_if_expired(key, name.as_ref());
    let known = match ctx.db.lookup_write(key) {
        Some(entry) => entry.hash()?.get(name.as_ref(), now_ms).is_some(),
        None => false,
    };
    if !known {
        let mut place = open(&mut ctx.db, key, args.skip(2))?;
        place.edit_hash(|place| hash::set(place, name, args.text(3), false));
        place.changed(1, HSET_EVENT);
    }
    ctx.reply.int(i64::from(!known));
    Ok(())
}

/// A field of the hash at a key, shown to `f` if it is there and has time left.
#[inline]
fn with_field<R>(
    ctx: &mut DataCtx<'_>,
    args: Args<'_>,
    f: impl FnOnce(&mut Reply, Option<Field<'_>>) -> R,
) -> Result<R, CommandError> {
    let key = ctx.key(args, 1);
    let now_ms = ctx.db.now_ms();
    let field = match ctx.db.lookup_read(key) {
        Some(entry) => entry.hash()?.find(&args[2]),
        None => None,
    };
    if field.is_some_and(|field| field.is_expired(now_ms)) {
        ctx.db.delete_expired_among(key, std::iter::once(&args[2]));
        return Ok(f(ctx.reply, None));
    }
    Ok(f(ctx.reply, field))
}

fn hget(ctx: &mut DataCtx<'_>, args: Args<'_>) -> CommandResult {
    with_field(ctx, args, |reply, field| match field {
        Some(field) => reply_item(reply, field.value),
        None => reply.null(),
    })
}

fn hexists(ctx: &mut DataCtx<'_>, args: Args<'_>) -> CommandResult {
    with_field(ctx, args, |reply, field| reply.int(i64::from(field.is_some())))
}

fn hstrlen(ctx: &mut DataCtx<'_>, args: Args<'_>) -> CommandResult {
    with_field(ctx, args, |reply, field| reply.int(field.map_or(0, |field| field.value.len()) as i64))
}

fn hmget(ctx: &mut DataCtx<'_>, args: Args<'_>) -> CommandResult {
    let key = ctx.key(args, 1);
    let now_ms = ctx.db.now_ms();
    let hash = ctx.db.lookup_read(key).map(|entry| entry.hash()).transpose()?;
    ctx.reply.array(args.len() - 2);
    let mut expired = Vec::new();
    for (i, name) in args.skip(2).iter().enumerate() {
        match hash.and_then(|hash| hash.find(name)) {
            Some(field) if field.is_expired(now_ms) => {
                expired.push(i + 2);
                ctx.reply.null();
            }
            Some(field) => reply_item(ctx.reply, field.value),
            None => ctx.reply.null(),
        }
    }
    if !expired.is_empty() {
        ctx.db.delete_expired_among(key, expired.into_iter().map(|i| &args[i]));
    }
    Ok(())
}

fn hdel(ctx: &mut DataCtx<'_>, args: Args<'_>) -> CommandResult {
    let key = ctx.key(args, 1);
    let mut removed = 0;
    if let KeySlot::Occupied(mut place) = ctx.db.entry(key) {
        let mut left = place.get().hash()?.len();
        place.edit_hash(|place| {
            for (at, name) in (2..).zip(args.skip(2).iter()) {
                if let Some(later) = args.get(at + ELEMENTS_AHEAD) {
                    place.prefetch(later);
                }
                if hash::remove(place, name) {
                    removed += 1;
                    left -= 1;
                    if left == 0 {
                        break;
                    }
                }
            }
        });
        if removed > 0 {
            place.removed(removed, HDEL_EVENT);
        }
    }
    ctx.reply.int(removed as i64);
    Ok(())
}

fn hlen(ctx: &mut DataCtx<'_>, args: Args<'_>) -> CommandResult {
    let key = ctx.key(args, 1);
    let count = match ctx.db.lookup_read(key) {
        Some(entry) => entry.hash()?.len(),
        None => 0,
    };
    ctx.reply.int(count as i64);
    Ok(())
}
