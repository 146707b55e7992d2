//! Fields and their deadlines in one request: HGETDEL, HGETEX, HSETEX.

use super::expire::{FIELDS, deadline, no_hash, propagate_deadline, propagate_removals};
use super::fields::open;
use super::{
    COUNT_NOT_POSITIVE, HDEL_EVENT, HEXPIRE_EVENT, HPERSIST_EVENT, HSET_EVENT, named_fields, remove_if_empty,
    reply_item,
};
use crate::db::KeySlot;
use crate::exec::args::{ELEMENTS_AHEAD, ExpiryUnit};
use crate::exec::ctx::DataCtx;
use crate::exec::error::{self, CommandError, CommandResult};
use crate::exec::spec::{Access, ArgSpec, Arity, CommandSpec, Flags, Group, Handler, KeySpec};
use crate::resp::Args;
use crate::types::hash;
use crate::util::num;

pub(super) static HGETDEL: CommandSpec = CommandSpec {
    name: "hgetdel",
    summary: "Returns the values of fields, and removes them.",
    complexity: "O(N), N the fields given",
    since: "8.0.0",
    group: Group::Hash,
    arity: Arity::AtLeast(5),
    flags: Flags::WRITE.or(Flags::FAST),
    keys: &[KeySpec::at(1, Access::READ_WRITE.or(Access::ACCESS).or(Access::DELETE))],
    args: &[ArgSpec::key("key"), FIELDS],
    handler: Handler::Data(hgetdel),
    ..CommandSpec::BASE
};

pub(super) static HGETEX: CommandSpec = CommandSpec {
    name: "hgetex",
    summary: "Returns the values of fields, and sets their deadlines or takes them away.",
    complexity: "O(N), N the fields given",
    since: "8.0.0",
    group: Group::Hash,
    arity: Arity::AtLeast(5),
    flags: Flags::WRITE.or(Flags::FAST),
    keys: &[KeySpec::at(1, Access::READ_WRITE.or(Access::ACCESS).or(Access::UPDATE))],
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
        FIELDS,
    ],
    handler: Handler::Data(hgetex),
    ..CommandSpec::BASE
};

pub(super) static HSETEX: CommandSpec = CommandSpec {
    name: "hsetex",
    summary: "Sets fields to values, and sets their deadlines.",
    complexity: "O(N), N the fields given",
    since: "8.0.0",
    group: Group::Hash,
    arity: Arity::AtLeast(6),
    flags: Flags::WRITE.or(Flags::DENYOOM).or(Flags::FAST),
    keys: &[KeySpec::at(1, Access::READ_WRITE.or(Access::UPDATE))],
    args: &[
        ArgSpec::key("key"),
        ArgSpec::one_of("condition", &[ArgSpec::word("fnx", "FNX"), ArgSpec::word("fxx", "FXX")]).optional(),
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
        ArgSpec::block(
            "fields",
            &[
                ArgSpec::integer("numfields"),
                ArgSpec::block("data", &[ArgSpec::string("field"), ArgSpec::string("value")]).multiple(),
            ],
        )
        .token("FIELDS"),
    ],
    handler: Handler::Data(hsetex),
    ..CommandSpec::BASE
};

fn unit(word: &[u8]) -> Option<ExpiryUnit> {
    Some(match word {
        _ if word.eq_ignore_ascii_case(b"ex") => ExpiryUnit::Seconds,
        _ if word.eq_ignore_ascii_case(b"px") => ExpiryUnit::Millis,
        _ if word.eq_ignore_ascii_case(b"exat") => ExpiryUnit::UnixSeconds,
        _ if word.eq_ignore_ascii_case(b"pxat") => ExpiryUnit::UnixMillis,
        _ => return None,
    })
}

fn hgetdel(ctx: &mut DataCtx<'_>, args: Args<'_>) -> CommandResult {
    no_hash(ctx, args)?;
    let fields = named_fields(args, 2, COUNT_NOT_POSITIVE)?;
    let key = ctx.key(args, 1);
    let now_ms = ctx.db.now_ms();
    ctx.db.forget_expired(key, fields.iter());
    ctx.reply.array(fields.len());
    let KeySlot::Occupied(mut place) = ctx.db.entry(key) else {
        fields.iter().for_each(|_| ctx.reply.null());
        return Ok(());
    };
    let reply = &mut *ctx.reply;
    let mut removed = 0;
    place.edit_hash(|place| {
        for (at, name) in fields.iter().enumerate() {
            if let Some(later) = fields.get(at + ELEMENTS_AHEAD) {
                place.prefetch(later);
            }
            match place.get().hash().ok().and_then(|hash| hash.get(name, now_ms)) {
                Some(field) => reply_item(reply, field.value),
                None => {
                    reply.null();
                    continue;
                }
            }
            removed += usize::from(hash::remove(place, name));
        }
    });
    if removed > 0 {
        place.removed(removed, HDEL_EVENT);
        if ctx.db.propagates() {
            let command: Vec<&[u8]> = [b"HDEL", key.bytes].into_iter().chain(fields.iter()).collect();
            ctx.db.propagate(&command);
        }
    }
    Ok(())
}

/// What HGETEX does to deadlines.
#[derive(Clone, Copy)]
enum Change {
    Nothing,
    Persist,
    Set(i64),
}

fn hgetex(ctx: &mut DataCtx<'_>, args: Args<'_>) -> CommandResult {
    no_hash(ctx, args)?;
    let (change, at) = match unit(&args[2]) {
        Some(unit) => (Change::Set(deadline(ctx, &args[3], unit)?), 4),
        None if args[2].eq_ignore_ascii_case(b"persist") => (Change::Persist, 3),
        None => (Change::Nothing, 2),
    };
    let fields = named_fields(args, at, COUNT_NOT_POSITIVE)?;
    let key = ctx.key(args, 1);
    let now_ms = ctx.db.now_ms();
    ctx.db.forget_expired(key, fields.iter());
    ctx.reply.array(fields.len());
    let KeySlot::Occupied(mut place) = ctx.db.entry(key) else {
        fields.iter().for_each(|_| ctx.reply.null());
        return Ok(());
    };
    let reply = &mut *ctx.reply;
    let mut removed = Vec::new();
    let mut changes = 0;
    place.edit_hash(|place| {
        // PERSIST makes the form with deadlines, too, as it does in Redis.
        if !matches!(change, Change::Nothing) {
            hash::expect_deadlines(place);
        }
        for name in fields.iter() {
            let found = place.get().hash().ok().and_then(|hash| hash.find(name));
            let Some(field) = found.filter(|field| !field.is_expired(now_ms)) else {
                reply.null();
                continue;
            };
            reply_item(reply, field.value);
            let had = field.deadline.is_some();
            match change {
                Change::Nothing => continue,
                Change::Persist if !had => continue,
                Change::Persist => hash::set_deadline(place, name, None),
                Change::Set(deadline) if deadline <= now_ms => {
                    hash::remove(place, name);
                    removed.push(name);
                }
                Change::Set(deadline) => hash::set_deadline(place, name, Some(deadline)),
            }
            changes += 1;
        }
    });
    if changes == 0 {
        return Ok(());
    }
    let event = match change {
        Change::Persist => HPERSIST_EVENT,
        _ if removed.is_empty() => HEXPIRE_EVENT,
        _ => HDEL_EVENT,
    };
    place.changed(changes, event);
    remove_if_empty(place);
    if !ctx.db.propagates() {
        return Ok(());
    }
    match change {
        Change::Set(_) if !removed.is_empty() => propagate_removals(&mut ctx.db, key, removed.into_iter()),
        Change::Set(deadline) => {
            let names: Vec<&[u8]> = fields.iter().collect();
            propagate_deadline(&mut ctx.db, key, deadline, None, &names);
        }
        Change::Persist | Change::Nothing => {
            // From the word FIELDS on, as they were given.
            let command: Vec<&[u8]> = [b"HPERSIST", key.bytes].into_iter().chain(args.skip(at).iter()).collect();
            ctx.db.propagate(&command);
        }
    }
    Ok(())
}

#[derive(Clone, Copy, PartialEq)]
enum Condition {
    /// FNX: none of the fields is there.
    AllNew,
    /// FXX: all of them are.
    AllKnown,
}

#[derive(Clone, Copy)]
enum Expiration {
    Clear,
    Keep,
    At(i64),
}

const ONE_CONDITION: CommandError = CommandError::fixed("ERR Only one of FXX or FNX arguments can be specified");
const ONE_EXPIRATION: CommandError =
    CommandError::fixed("ERR Only one of EX, PX, EXAT, PXAT or KEEPTTL arguments can be specified");
const BAD_COUNT: CommandError = CommandError::fixed("ERR invalid number of fields");

fn hsetex(ctx: &mut DataCtx<'_>, args: Args<'_>) -> CommandResult {
    let (mut condition, mut expiration) = (None, None);
    let mut at = 2;
    let pairs = loop {
        let Some(word) = args.get(at) else { return Err(CommandError::fixed("ERR missing FIELDS argument")) };
        at += 1;
        if word.eq_ignore_ascii_case(b"fields") {
            if args.len() - at < 3 {
                return Err(error::wrong_arity(&ctx.command.full_name));
            }
            let count = args.get(at).and_then(num::parse_i64).and_then(|count| i32::try_from(count).ok());
            let count = count.and_then(|count| usize::try_from(count).ok()).filter(|count| *count > 0);
            if count.ok_or(BAD_COUNT)? * 2 == args.len() - at - 1 {
                break args.skip(at + 1);
            }
            return Err(error::wrong_arity(&ctx.command.full_name));
        } else if word.eq_ignore_ascii_case(b"fnx") || word.eq_ignore_ascii_case(b"fxx") {
            let new = if word.eq_ignore_ascii_case(b"fnx") { Condition::AllNew } else { Condition::AllKnown };
            if condition.replace(new).is_some() {
                return Err(ONE_CONDITION);
            }
        } else if word.eq_ignore_ascii_case(b"keepttl") {
            if expiration.replace(Expiration::Keep).is_some() {
                return Err(ONE_EXPIRATION);
            }
        } else if let Some(unit) = unit(word) {
            if expiration.is_some() {
                return Err(ONE_EXPIRATION);
            }
            let text = args.get(at).ok_or(CommandError::fixed("ERR missing expire time"))?;
            expiration = Some(Expiration::At(deadline(ctx, text, unit)?));
            at += 1;
        } else {
            return Err(CommandError::quoting("ERR unknown argument: ", word, ""));
        }
    };
    let stored = set(ctx, args, pairs, condition, expiration.unwrap_or(Expiration::Clear))?;
    ctx.reply.int(i64::from(stored));
    Ok(())
}

/// False if the condition does not hold, and nothing is set.
fn set(
    ctx: &mut DataCtx<'_>,
    args: Args<'_>,
    pairs: Args<'_>,
    condition: Option<Condition>,
    expiration: Expiration,
) -> Result<bool, CommandError> {
    no_hash(ctx, args)?;
    let key = ctx.key(args, 1);
    let now_ms = ctx.db.now_ms();
    let names = || (0..pairs.len()).step_by(2).map(|i| &pairs[i]);
    if condition.is_some() {
        ctx.db.forget_expired(key, names());
    }
    let hash = ctx.db.peek(key).map(|entry| entry.hash()).transpose()?;
    let known = |name: &[u8]| hash.is_some_and(|hash| hash.get(name, now_ms).is_some());
    match condition {
        Some(Condition::AllNew) if names().any(known) => return Ok(false),
        Some(Condition::AllKnown) if !names().all(known) => return Ok(false),
        _ => {}
    }
    let past = matches!(expiration, Expiration::At(deadline) if deadline <= now_ms);
    let mut place = open(&mut ctx.db, key, pairs)?;
    place.edit_hash(|place| {
        if let Expiration::At(_) = expiration {
            hash::expect_deadlines(place);
        }
        for i in (0..pairs.len()).step_by(2) {
            let name = &pairs[i];
            if past {
                hash::remove(place, name);
                continue;
            }
            hash::set(place, name, pairs.text(i + 1), matches!(expiration, Expiration::Keep));
            if let Expiration::At(deadline) = expiration {
                hash::set_deadline(place, name, Some(deadline));
            }
        }
    });
    place.changed(pairs.len() / 2, HSET_EVENT);
    if past {
        place.notify(HDEL_EVENT);
    } else if let Expiration::At(_) = expiration {
        place.notify(HEXPIRE_EVENT);
    }
    remove_if_empty(place);
    match expiration {
        Expiration::At(_) if past => propagate_removals(&mut ctx.db, key, names()),
        Expiration::At(deadline) if ctx.db.propagates() => propagate_set(ctx, args, deadline),
        _ => {}
    }
    Ok(true)
}

/// HSETEX as it came, but with a point in time.
fn propagate_set(ctx: &mut DataCtx<'_>, args: Args<'_>, deadline: i64) {
    let deadline = deadline.to_string();
    let mut command: Vec<&[u8]> = args.iter().collect();
    command[0] = b"HSETEX";
    let is_unit = |at: &usize| unit(&args[*at]).is_some();
    // Behind the condition, if there is one: nothing else stands before the fields.
    if let Some(at) = (2..args.len()).take_while(|at| !args[*at].eq_ignore_ascii_case(b"fields")).find(is_unit) {
        command[at] = b"PXAT";
        command[at + 1] = deadline.as_bytes();
    }
    ctx.db.propagate(&command);
}
