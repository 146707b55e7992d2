//! Giving fields deadlines, or taking them away: HEXPIRE, HPEXPIRE, HEXPIREAT, HPEXPIREAT, HPERSIST.
//!
//! The four of the family are one command with another unit. A deadline that has passed already deletes the field now.
//! For the conditions GT and LT, a field without a deadline lives forever.

use super::{HDEL_EVENT, HEXPIRE_EVENT, HPERSIST_EVENT, named_fields, remove_if_empty};
use crate::db::{DbMut, Key, KeySlot};
use crate::exec::args::{ExpiryUnit, int};
use crate::exec::ctx::DataCtx;
use crate::exec::error::{self, CommandError, CommandResult};
use crate::exec::spec::{Access, ArgSpec, Arity, CommandSpec, Flags, Group, Handler, KeySpec};
use crate::resp::{Args, Reply};
use crate::types::TypeName;
use crate::types::hash::{self, DEADLINE_MAX};

const CONDITION: ArgSpec = ArgSpec::one_of(
    "condition",
    &[ArgSpec::word("nx", "NX"), ArgSpec::word("xx", "XX"), ArgSpec::word("gt", "GT"), ArgSpec::word("lt", "LT")],
)
.optional();

/// `FIELDS numfields field [field ...]`
pub(super) const FIELDS: ArgSpec =
    ArgSpec::block("fields", &[ArgSpec::integer("numfields"), ArgSpec::string("field").multiple()]).token("FIELDS");

/// What the commands of this file have in common.
const FAMILY: CommandSpec = CommandSpec {
    complexity: "O(N), N the fields given",
    since: "7.4.0",
    group: Group::Hash,
    arity: Arity::AtLeast(6),
    flags: Flags::WRITE.or(Flags::FAST),
    keys: &[KeySpec::at(1, Access::READ_WRITE.or(Access::UPDATE))],
    ..CommandSpec::BASE
};

pub(super) static HEXPIRE: CommandSpec = CommandSpec {
    name: "hexpire",
    summary: "Sets the time to live of fields in seconds.",
    args: &[ArgSpec::key("key"), ArgSpec::integer("seconds"), CONDITION, FIELDS],
    handler: Handler::Data(hexpire),
    ..FAMILY
};

pub(super) static HPEXPIRE: CommandSpec = CommandSpec {
    name: "hpexpire",
    summary: "Sets the time to live of fields in milliseconds.",
    args: &[ArgSpec::key("key"), ArgSpec::integer("milliseconds"), CONDITION, FIELDS],
    handler: Handler::Data(hpexpire),
    ..FAMILY
};

pub(super) static HEXPIREAT: CommandSpec = CommandSpec {
    name: "hexpireat",
    summary: "Sets the deadline of fields, in seconds since 1970.",
    args: &[ArgSpec::key("key"), ArgSpec::unix_time("unix-time-seconds"), CONDITION, FIELDS],
    handler: Handler::Data(hexpireat),
    ..FAMILY
};

pub(super) static HPEXPIREAT: CommandSpec = CommandSpec {
    name: "hpexpireat",
    summary: "Sets the deadline of fields, in milliseconds since 1970.",
    args: &[ArgSpec::key("key"), ArgSpec::unix_time("unix-time-milliseconds"), CONDITION, FIELDS],
    handler: Handler::Data(hpexpireat),
    ..FAMILY
};

pub(super) static HPERSIST: CommandSpec = CommandSpec {
    name: "hpersist",
    summary: "Takes the deadlines of fields away.",
    arity: Arity::AtLeast(5),
    args: &[ArgSpec::key("key"), FIELDS],
    handler: Handler::Data(hpersist),
    ..FAMILY
};

const NEGATIVE: CommandError = CommandError::fixed("ERR invalid expire time, must be >= 0");
const NOT_MANY_FIELDS: CommandError = CommandError::fixed("ERR Parameter `numFields` should be greater than 0");

/// There is no such field.
pub(super) const NO_FIELD: i64 = -2;
/// It has no deadline.
pub(super) const NO_DEADLINE: i64 = -1;
const CONDITION_NOT_MET: i64 = 0;
const SET: i64 = 1;
const DELETED: i64 = 2;

fn hexpire(ctx: &mut DataCtx<'_>, args: Args<'_>) -> CommandResult {
    expire(ctx, args, ExpiryUnit::Seconds)
}

fn hpexpire(ctx: &mut DataCtx<'_>, args: Args<'_>) -> CommandResult {
    expire(ctx, args, ExpiryUnit::Millis)
}

fn hexpireat(ctx: &mut DataCtx<'_>, args: Args<'_>) -> CommandResult {
    expire(ctx, args, ExpiryUnit::UnixSeconds)
}

fn hpexpireat(ctx: &mut DataCtx<'_>, args: Args<'_>) -> CommandResult {
    expire(ctx, args, ExpiryUnit::UnixMillis)
}

/// The deadline that `text` says; it is positive, and no more than a field can have.
pub(super) fn deadline(ctx: &DataCtx<'_>, text: &[u8], unit: ExpiryUnit) -> Result<i64, CommandError> {
    let count = int(text)?;
    if count < 0 {
        return Err(NEGATIVE);
    }
    let deadline = unit.deadline_ms(count, ctx.db.clock_ms()).filter(|&deadline| deadline <= DEADLINE_MAX);
    deadline.ok_or_else(|| error::invalid_expire(&ctx.command.full_name))
}

/// A key without a hash has none of the fields; one with another type is refused.
pub(super) fn no_hash(ctx: &mut DataCtx<'_>, args: Args<'_>) -> Result<bool, CommandError> {
    let key = ctx.key(args, 1);
    match ctx.db.lookup_write(key) {
        Some(entry) => entry.expect(TypeName::Hash).map(|()| false).map_err(Into::into),
        None => Ok(true),
    }
}

fn reply_each(reply: &mut Reply, fields: Args<'_>, code: i64) {
    reply.array(fields.len());
    fields.iter().for_each(|_| reply.int(code));
}

fn holds(condition: Option<&[u8]>, old: Option<i64>, new: i64) -> bool {
    match condition {
        None => true,
        Some(word) if word.eq_ignore_ascii_case(b"nx") => old.is_none(),
        Some(word) if word.eq_ignore_ascii_case(b"xx") => old.is_some(),
        Some(word) if word.eq_ignore_ascii_case(b"gt") => old.is_some_and(|old| new > old),
        Some(_) => old.is_none_or(|old| new < old),
    }
}

fn expire(ctx: &mut DataCtx<'_>, args: Args<'_>, unit: ExpiryUnit) -> CommandResult {
    let missing = no_hash(ctx, args)?;
    let deadline = deadline(ctx, &args[2], unit)?;
    let is_condition = |word: &[u8]| [&b"nx"[..], b"xx", b"gt", b"lt"].iter().any(|c| word.eq_ignore_ascii_case(c));
    let condition = Some(&args[3]).filter(|word| is_condition(word));
    let at = 3 + usize::from(condition.is_some());
    let fields = named_fields(args, at, NOT_MANY_FIELDS)?;
    if missing {
        reply_each(ctx.reply, fields, NO_FIELD);
        return Ok(());
    }
    let key = ctx.key(args, 1);
    let now_ms = ctx.db.now_ms();
    let KeySlot::Occupied(mut place) = ctx.db.entry(key) else { unreachable!("it was just seen to be there") };
    let reply = &mut *ctx.reply;
    reply.array(fields.len());
    let is_past = deadline <= now_ms;
    let mut changed = Vec::new();
    place.edit_hash(|place| {
        hash::expect_deadlines(place);
        for name in fields.iter() {
            let found = place.get().hash().ok().and_then(|hash| hash.find(name));
            let code = match found {
                None => NO_FIELD,
                Some(field) if !holds(condition, field.deadline, deadline) => CONDITION_NOT_MET,
                Some(_) if is_past => {
                    hash::remove(place, name);
                    DELETED
                }
                Some(_) => {
                    hash::set_deadline(place, name, Some(deadline));
                    SET
                }
            };
            if code > 0 {
                changed.push(name);
            }
            reply.int(code);
        }
    });
    if changed.is_empty() {
        return Ok(());
    }
    place.changed(changed.len(), if is_past { HDEL_EVENT } else { HEXPIRE_EVENT });
    remove_if_empty(place);
    if is_past {
        propagate_removals(&mut ctx.db, key, changed.into_iter());
    } else {
        propagate_deadline(&mut ctx.db, key, deadline, condition, &changed);
    }
    Ok(())
}

/// Fields that were given a deadline in the past are deleted elsewhere, one by one as those whose time ran out.
pub(super) fn propagate_removals<'n>(db: &mut DbMut<'_>, key: Key<'_>, names: impl Iterator<Item = &'n [u8]>) {
    if db.propagates() {
        names.for_each(|name| db.propagate(&[b"HDEL", key.bytes, name]));
    }
}

/// The deadline of fields, as a point in time.
pub(super) fn propagate_deadline(
    db: &mut DbMut<'_>,
    key: Key<'_>,
    deadline: i64,
    condition: Option<&[u8]>,
    names: &[&[u8]],
) {
    if db.propagates() {
        let (deadline, count) = (deadline.to_string(), names.len().to_string());
        let mut command = vec![&b"HPEXPIREAT"[..], key.bytes, deadline.as_bytes()];
        command.extend(condition);
        command.extend([b"FIELDS", count.as_bytes()]);
        command.extend(names);
        db.propagate(&command);
    }
}

fn hpersist(ctx: &mut DataCtx<'_>, args: Args<'_>) -> CommandResult {
    let missing = no_hash(ctx, args)?;
    let fields = named_fields(args, 2, super::COUNT_NOT_POSITIVE)?;
    if missing {
        reply_each(ctx.reply, fields, NO_FIELD);
        return Ok(());
    }
    let key = ctx.key(args, 1);
    let now_ms = ctx.db.now_ms();
    let KeySlot::Occupied(mut place) = ctx.db.entry(key) else { unreachable!("it was just seen to be there") };
    let reply = &mut *ctx.reply;
    reply.array(fields.len());
    let mut changes = 0;
    place.edit_hash(|place| {
        for name in fields.iter() {
            let found = place.get().hash().ok().and_then(|hash| hash.get(name, now_ms));
            reply.int(match found.map(|field| field.deadline) {
                None => NO_FIELD,
                Some(None) => NO_DEADLINE,
                Some(Some(_)) => {
                    hash::set_deadline(place, name, None);
                    changes += 1;
                    SET
                }
            });
        }
    });
    if changes > 0 {
        place.changed(changes, HPERSIST_EVENT.first());
    }
    Ok(())
}
