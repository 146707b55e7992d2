//! Members one by one: SADD, SREM, SMOVE, SCARD, SISMEMBER, SMISMEMBER, SMEMBERS, SSCAN.

use super::{reply_member, reply_set};
use crate::blocking::Progress;
use crate::collections::listpack::Item;
use crate::db::{KeyEvent, KeySlot, Readable, Vacant};
use crate::exec::args::ELEMENTS_AHEAD;
use crate::exec::ctx::{Ctx, DataCtx, ReadResult};
use crate::exec::cursor::{self, Filter, Knows};
use crate::exec::error::CommandResult;
use crate::exec::long_read::{Pace, When};
use crate::exec::spec::{Access, ArgSpec, Arity, CommandSpec, Flags, Group, Handler, KeySpec};
use crate::resp::Args;
use crate::types::TypeName;
use crate::types::set::{self, NewSet};
use crate::types::value::NewValue;

pub(super) static SADD: CommandSpec = CommandSpec {
    name: "sadd",
    summary: "Adds members to a set, creating it when absent.",
    complexity: "O(1) a member",
    group: Group::Set,
    arity: Arity::AtLeast(3),
    flags: Flags::WRITE.or(Flags::DENYOOM).or(Flags::FAST),
    keys: &[KeySpec::at(1, Access::READ_WRITE.or(Access::INSERT))],
    args: &[ArgSpec::key("key"), ArgSpec::string("member").multiple()],
    element: 2,
    handler: Handler::Data(sadd),
    ..CommandSpec::BASE
};

pub(super) static SREM: CommandSpec = CommandSpec {
    name: "srem",
    summary: "Removes members from a set.",
    complexity: "O(N), N the members given",
    group: Group::Set,
    arity: Arity::AtLeast(3),
    flags: Flags::WRITE.or(Flags::FAST),
    keys: &[KeySpec::at(1, Access::READ_WRITE.or(Access::DELETE))],
    args: &[ArgSpec::key("key"), ArgSpec::string("member").multiple()],
    element: 2,
    handler: Handler::Data(srem),
    ..CommandSpec::BASE
};

pub(super) static SMOVE: CommandSpec = CommandSpec {
    name: "smove",
    summary: "Moves a member from one set to another.",
    group: Group::Set,
    arity: Arity::Exactly(4),
    flags: Flags::WRITE.or(Flags::FAST),
    keys: &[
        KeySpec::at(1, Access::READ_WRITE.or(Access::ACCESS).or(Access::DELETE)),
        KeySpec::at(2, Access::READ_WRITE.or(Access::INSERT)),
    ],
    args: &[ArgSpec::key("source"), ArgSpec::key_of("destination", 1), ArgSpec::string("member")],
    handler: Handler::Data(smove),
    ..CommandSpec::BASE
};

pub(super) static SCARD: CommandSpec = CommandSpec {
    name: "scard",
    summary: "Counts the members of a set.",
    group: Group::Set,
    arity: Arity::Exactly(2),
    flags: Flags::READONLY.or(Flags::FAST),
    keys: &[KeySpec::at(1, Access::READ_ONLY)],
    args: &[ArgSpec::key("key")],
    handler: Handler::Data(scard),
    ..CommandSpec::BASE
};

pub(super) static SISMEMBER: CommandSpec = CommandSpec {
    name: "sismember",
    summary: "Tells whether a member is in a set.",
    group: Group::Set,
    arity: Arity::Exactly(3),
    flags: Flags::READONLY.or(Flags::FAST),
    keys: &[KeySpec::at(1, Access::READ_ONLY)],
    args: &[ArgSpec::key("key"), ArgSpec::string("member")],
    element: 2,
    handler: Handler::Data(sismember),
    ..CommandSpec::BASE
};

pub(super) static SMISMEMBER: CommandSpec = CommandSpec {
    name: "smismember",
    summary: "Tells for each of several members whether it is in a set.",
    complexity: "O(N), N the members asked for",
    since: "6.2.0",
    group: Group::Set,
    arity: Arity::AtLeast(3),
    flags: Flags::READONLY.or(Flags::FAST),
    keys: &[KeySpec::at(1, Access::READ_ONLY.or(Access::ACCESS))],
    args: &[ArgSpec::key("key"), ArgSpec::string("member").multiple()],
    element: 2,
    handler: Handler::Data(smismember),
    ..CommandSpec::BASE
};

pub(super) static SMEMBERS: CommandSpec = CommandSpec {
    name: "smembers",
    summary: "Returns all members of a set.",
    complexity: "O(N), N the members",
    group: Group::Set,
    arity: Arity::Exactly(2),
    flags: Flags::READONLY,
    keys: &[KeySpec::at(1, Access::READ_ONLY.or(Access::ACCESS))],
    args: &[ArgSpec::key("key")],
    tips: &["nondeterministic_output_order"],
    handler: Handler::Read { now: smembers, past: smembers },
    ..CommandSpec::BASE
};

pub(super) static SSCAN: CommandSpec = CommandSpec {
    name: "sscan",
    summary: "Iterates over the members of a set, a few at a call.",
    complexity: "O(1) a call, O(N) for the whole iteration",
    since: "2.8.0",
    group: Group::Set,
    arity: Arity::AtLeast(3),
    flags: Flags::READONLY,
    keys: &[KeySpec::at(1, Access::READ_ONLY.or(Access::ACCESS))],
    args: &[
        ArgSpec::key("key"),
        ArgSpec::integer("cursor"),
        ArgSpec::pattern("pattern").token("MATCH").optional(),
        ArgSpec::integer("count").token("COUNT").optional(),
    ],
    tips: &["nondeterministic_output"],
    handler: Handler::Data(sscan),
    ..CommandSpec::BASE
};

const SADD_EVENT: KeyEvent = KeyEvent::set("sadd");
const SREM_EVENT: KeyEvent = KeyEvent::set("srem");

fn sadd(ctx: &mut DataCtx<'_>, args: Args<'_>) -> CommandResult {
    let key = ctx.key(args, 1);
    let mut slot = ctx.db.entry(key);
    let added = match &mut slot {
        KeySlot::Occupied(place) => {
            place.get().expect(TypeName::Set)?;
            let count = args.len() - 2;
            if count > 1 {
                set::prepare(place, count);
            }
            let added = if args.has_long() {
                args.skip(2).texts().filter_map(|member| set::add(place, member).then_some(())).count()
            } else {
                args.skip(2).iter().filter(|member| set::add(place, *member)).count()
            };
            if added > 0 {
                place.changed(added, SADD_EVENT);
            }
            added
        }
        KeySlot::Vacant(_) => match slot {
            KeySlot::Vacant(place) => make(place, args.skip(2)),
            KeySlot::Occupied(_) => unreachable!("matched above"),
        },
    };
    ctx.reply.int(added as i64);
    Ok(())
}

/// Makes a set of members; returns how many it has.
fn make(mut place: Vacant<'_>, members: Args<'_>) -> usize {
    let maker = &mut place.maker();
    let mut set = NewSet::for_members(&members.start_of(0, 32), members.len(), maker);
    let added = if members.has_long() {
        members.texts().filter_map(|member| set.add_text(member, maker).then_some(())).count()
    } else {
        members.iter().filter(|member| set.add(Item::of(member), maker)).count()
    };
    place.insert_value(NewValue::Set(set)).changed(added, SADD_EVENT);
    added
}

fn srem(ctx: &mut DataCtx<'_>, args: Args<'_>) -> CommandResult {
    let key = ctx.key(args, 1);
    let mut removed = 0;
    if let KeySlot::Occupied(mut place) = ctx.db.entry(key) {
        let mut left = place.get().set()?.len();
        for (at, member) in (2..).zip(args.skip(2).iter()) {
            if let Some(later) = args.get(at + ELEMENTS_AHEAD) {
                place.prefetch(later);
            }
            if set::remove(&mut place, member) {
                removed += 1;
                left -= 1;
                if left == 0 {
                    break;
                }
            }
        }
        if removed > 0 {
            place.removed(removed, SREM_EVENT);
        }
    }
    ctx.reply.int(removed as i64);
    Ok(())
}

fn smove(ctx: &mut DataCtx<'_>, args: Args<'_>) -> CommandResult {
    let (from, to, member) = (ctx.key(args, 1), ctx.key(args, 2), args.text(3));
    let Some(source) = ctx.db.lookup_write(from) else {
        ctx.reply.int(0);
        return Ok(());
    };
    let is_member = source.set()?.contains(member.as_ref());
    if let Some(target) = ctx.db.lookup_write(to) {
        target.expect(TypeName::Set)?;
    }
    if is_member && from.bytes != to.bytes {
        if let KeySlot::Occupied(mut place) = ctx.db.entry(from) {
            set::remove(&mut place, member.as_ref());
            place.removed(1, SREM_EVENT);
        }
        match ctx.db.entry(to) {
            KeySlot::Occupied(mut place) => {
                if set::add(&mut place, member) {
                    place.changed(1, SADD_EVENT);
                }
            }
            KeySlot::Vacant(mut place) => {
                let maker = &mut place.maker();
                let mut set = NewSet::for_members(member.as_ref(), 1, maker);
                set.add_text(member, maker);
                place.insert_value(NewValue::Set(set)).changed(1, SADD_EVENT);
            }
        }
    }
    ctx.reply.int(i64::from(is_member));
    Ok(())
}

fn scard(ctx: &mut DataCtx<'_>, args: Args<'_>) -> CommandResult {
    let key = ctx.key(args, 1);
    let count = match ctx.db.lookup_read(key) {
        Some(entry) => entry.set()?.len(),
        None => 0,
    };
    ctx.reply.int(count as i64);
    Ok(())
}

fn sismember(ctx: &mut DataCtx<'_>, args: Args<'_>) -> CommandResult {
    let key = ctx.key(args, 1);
    let is_member = match ctx.db.lookup_read(key) {
        Some(entry) => entry.set()?.contains(&args[2]),
        None => false,
    };
    ctx.reply.int(i64::from(is_member));
    Ok(())
}

fn smismember(ctx: &mut DataCtx<'_>, args: Args<'_>) -> CommandResult {
    let key = ctx.key(args, 1);
    let set = ctx.db.lookup_read(key).map(|entry| entry.set()).transpose()?;
    ctx.reply.array(args.len() - 2);
    for member in args.skip(2).iter() {
        ctx.reply.int(i64::from(set.is_some_and(|set| set.contains(member))));
    }
    Ok(())
}

fn smembers<W: When>(ctx: &mut Ctx<'_, W>, args: Args<'_>) -> ReadResult {
    let key = ctx.key(args, 1);
    let Some(entry) = ctx.db.lookup_read(key) else {
        ctx.reply.set(0);
        return Ok(Progress::Done);
    };
    let set = entry.set()?;
    if ctx.pace.is_long(set.len()) {
        return Ok(Progress::long_read());
    }
    reply_set(ctx.reply, set, &mut ctx.pace);
    Ok(Progress::Done)
}

fn sscan(ctx: &mut DataCtx<'_>, args: Args<'_>) -> CommandResult {
    let cursor = cursor::parse(&args[2])?;
    let key = ctx.key(args, 1);
    let set = ctx.db.lookup_read(key).map(|entry| entry.set()).transpose()?;
    // Redis looks at the options of an iteration only if there is something to iterate over.
    let Some(set) = set else {
        cursor::reply(ctx.reply, |_, _| 0);
        return Ok(());
    };
    let filter = Filter::parse(args.skip(3), Knows::Nothing)?;
    cursor::reply(ctx.reply, |reply, found| {
        set.scan(cursor, filter.count, |member| {
            if filter.pattern.matches(member.text(&mut itoa::Buffer::new())) {
                reply_member(reply, member);
                *found += 1;
            }
        })
    });
    Ok(())
}
