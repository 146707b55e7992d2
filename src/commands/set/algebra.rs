//! Several sets at once: SINTER, SUNION, SDIFF, what stores their results, and SINTERCARD.
//!
//! A key that is missing is an empty set. Every key is looked at before anything is computed, so that one of another
//! type is an error whatever the others are.

use super::{reply_member, reply_set};
use crate::blocking::Progress;
use crate::collections::listpack::Item;
use crate::db::{Key, KeyEvent, Readable, Reading};
use crate::exec::args::{each_key, int};
use crate::exec::ctx::{Ctx, DataCtx, ReadResult};
use crate::exec::error::{self, CommandError, CommandResult};
use crate::exec::long_read::{Here, Pace, When};
use crate::exec::spec::{Access, ArgSpec, Arity, CommandSpec, Flags, Group, Handler, KeySpec};
use crate::resp::Args;
use crate::types::place::Maker;
use crate::types::set::{NewSet, SetRef};
use crate::types::value::NewValue;
use crate::types::{DataType, Encoding, TypeName, WrongType};

pub(super) static SINTER: CommandSpec = CommandSpec {
    name: "sinter",
    summary: "Returns the members that all sets have in common.",
    complexity: "O(N*M), N the members of the smallest set, M the number of sets",
    group: Group::Set,
    arity: Arity::AtLeast(2),
    flags: Flags::READONLY,
    keys: &[KeySpec::rest(1, 1, Access::READ_ONLY.or(Access::ACCESS))],
    args: &[ArgSpec::key("key").multiple()],
    tips: &["nondeterministic_output_order"],
    handler: Handler::Read { now: sinter, past: sinter },
    ..CommandSpec::BASE
};

pub(super) static SINTERCARD: CommandSpec = CommandSpec {
    name: "sintercard",
    summary: "Counts the members that all sets have in common.",
    complexity: "O(N*M), N the members of the smallest set, M the number of sets",
    since: "7.0.0",
    group: Group::Set,
    arity: Arity::AtLeast(3),
    flags: Flags::READONLY,
    keys: &[KeySpec::counted(1, 1, Access::READ_ONLY.or(Access::ACCESS))],
    args: &[
        ArgSpec::integer("numkeys"),
        ArgSpec::key("key").multiple(),
        ArgSpec::integer("limit").token("LIMIT").optional(),
    ],
    handler: Handler::Read { now: sintercard, past: sintercard },
    ..CommandSpec::BASE
};

pub(super) static SINTERSTORE: CommandSpec = CommandSpec {
    name: "sinterstore",
    summary: "Stores the members that all sets have in common.",
    complexity: "O(N*M), N the members of the smallest set, M the number of sets",
    group: Group::Set,
    arity: Arity::AtLeast(3),
    flags: Flags::WRITE.or(Flags::DENYOOM),
    keys: &[
        KeySpec::at(1, Access::OVERWRITE.or(Access::UPDATE)),
        KeySpec::rest(2, 1, Access::READ_ONLY.or(Access::ACCESS)),
    ],
    args: &[ArgSpec::key("destination"), ArgSpec::key_of("key", 1).multiple()],
    handler: Handler::Data(sinterstore),
    ..CommandSpec::BASE
};

pub(super) static SUNION: CommandSpec = CommandSpec {
    name: "sunion",
    summary: "Returns the members of all the sets together.",
    complexity: "O(N), N the members of all sets",
    group: Group::Set,
    arity: Arity::AtLeast(2),
    flags: Flags::READONLY,
    keys: &[KeySpec::rest(1, 1, Access::READ_ONLY.or(Access::ACCESS))],
    args: &[ArgSpec::key("key").multiple()],
    tips: &["nondeterministic_output_order"],
    handler: Handler::Read { now: sunion, past: sunion },
    ..CommandSpec::BASE
};

pub(super) static SUNIONSTORE: CommandSpec = CommandSpec {
    name: "sunionstore",
    summary: "Stores the members of all the sets together.",
    complexity: "O(N), N the members of all sets",
    group: Group::Set,
    arity: Arity::AtLeast(3),
    flags: Flags::WRITE.or(Flags::DENYOOM),
    keys: &[
        KeySpec::at(1, Access::OVERWRITE.or(Access::UPDATE)),
        KeySpec::rest(2, 1, Access::READ_ONLY.or(Access::ACCESS)),
    ],
    args: &[ArgSpec::key("destination"), ArgSpec::key_of("key", 1).multiple()],
    handler: Handler::Data(sunionstore),
    ..CommandSpec::BASE
};

pub(super) static SDIFF: CommandSpec = CommandSpec {
    name: "sdiff",
    summary: "Returns the members of the first set that are in none of the others.",
    complexity: "O(N), N the members of all sets",
    group: Group::Set,
    arity: Arity::AtLeast(2),
    flags: Flags::READONLY,
    keys: &[KeySpec::rest(1, 1, Access::READ_ONLY.or(Access::ACCESS))],
    args: &[ArgSpec::key("key").multiple()],
    tips: &["nondeterministic_output_order"],
    handler: Handler::Read { now: sdiff, past: sdiff },
    ..CommandSpec::BASE
};

pub(super) static SDIFFSTORE: CommandSpec = CommandSpec {
    name: "sdiffstore",
    summary: "Stores the members of the first set that are in none of the others.",
    complexity: "O(N), N the members of all sets",
    group: Group::Set,
    arity: Arity::AtLeast(3),
    flags: Flags::WRITE.or(Flags::DENYOOM),
    keys: &[
        KeySpec::at(1, Access::OVERWRITE.or(Access::UPDATE)),
        KeySpec::rest(2, 1, Access::READ_ONLY.or(Access::ACCESS)),
    ],
    args: &[ArgSpec::key("destination"), ArgSpec::key_of("key", 1).multiple()],
    handler: Handler::Data(sdiffstore),
    ..CommandSpec::BASE
};

const NO_KEYS: CommandError = CommandError::fixed("ERR numkeys should be greater than 0");
const TOO_FEW_ARGUMENTS: CommandError = CommandError::fixed("ERR Number of keys can't be greater than number of args");
const NEGATIVE_LIMIT: CommandError = CommandError::fixed("ERR LIMIT can't be negative");

/// What is made of sets.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Operation {
    Inter,
    Union,
    Diff,
}

/// Looks the keys up, as a command that reads them does, and refuses other types.
fn look_at<'k, W: When>(
    ctx: &mut Ctx<'_, W>,
    args: Args<'k>,
    first: usize,
    end: usize,
) -> Result<Vec<Key<'k>>, WrongType> {
    let mut keys = Vec::with_capacity(end - first);
    let mut seen = Ok(());
    each_key(ctx, args, first, end, 1, |ctx, key, _| {
        keys.push(key);
        let found = ctx.db.lookup_read(key).map_or(Ok(()), |entry| entry.expect(TypeName::Set));
        seen = seen.and(found);
    });
    seen.map(|()| keys)
}

/// The sets of keys that were looked at.
fn sets<'a>(reading: Reading<'a>, keys: &[Key<'_>]) -> Vec<Option<SetRef<'a>>> {
    let set = |key: &Key<'_>| reading.peek(*key).and_then(|entry| entry.set().ok());
    keys.iter().map(set).collect()
}

/// What computing the result costs, in elements of a set that is sent as it is.
fn cost(operation: Operation, sets: &[Option<SetRef<'_>>]) -> usize {
    /// To look for a member, or to collect it.
    const MEMBER: usize = 4;
    let members = match operation {
        Operation::Inter if sets.iter().any(Option::is_none) => 0,
        Operation::Inter => sets.iter().flatten().map(|set| set.len()).min().unwrap_or(0).saturating_mul(sets.len()),
        Operation::Diff if sets.first().is_some_and(Option::is_none) => 0,
        Operation::Union | Operation::Diff => sets.iter().flatten().map(|set| set.len()).sum(),
    };
    members.saturating_mul(MEMBER)
}

/// Shows what all sets have in common, until `f` has enough and says false.
fn intersect<'a>(sets: &[Option<SetRef<'a>>], pace: &mut impl Pace, mut f: impl FnMut(Item<'a>) -> bool) {
    let Some(mut sets) = sets.iter().copied().collect::<Option<Vec<_>>>() else { return };
    sets.sort_by_key(|set| set.len());
    let (smallest, others) = sets.split_first().expect("the arity asks for a key");
    for member in smallest.iter() {
        if others.iter().all(|set| set.has(member)) && !f(member) || !pace.works_on() {
            return;
        }
    }
}

/// The result as a set. What is to be stored grows from an empty set by the rules of SADD; what is only to be sent is
/// collected in a form that finds members fast.
fn compute(
    operation: Operation,
    sets: &[Option<SetRef<'_>>],
    keys: &[Key<'_>],
    stored: bool,
    maker: &mut Maker<'_>,
    pace: &mut impl Pace,
) -> NewSet {
    let integers = sets.iter().flatten().all(|set| set.encoding() == Encoding::Intset);
    let mut result = if stored || integers { NewSet::new() } else { NewSet::table(maker) };
    match operation {
        Operation::Inter => {
            let smallest = sets.iter().flatten().min_by_key(|set| set.len());
            if smallest.is_some_and(|set| set.encoding() != Encoding::Intset) {
                result = NewSet::listpack();
            }
            intersect(sets, pace, |member| {
                result.add(member, maker);
                true
            });
            return result.settle(maker);
        }
        Operation::Union => {
            for member in sets.iter().flatten().flat_map(|set| set.iter()) {
                result.add(member, maker);
                if !pace.works_on() {
                    break;
                }
            }
        }
        Operation::Diff => subtract(sets, keys, &mut result, maker, pace),
    }
    result
}

/// Adds the members of the first set that are in none of the others.
fn subtract(
    sets: &[Option<SetRef<'_>>],
    keys: &[Key<'_>],
    result: &mut NewSet,
    maker: &mut Maker<'_>,
    pace: &mut impl Pace,
) {
    let (Some(Some(first)), Some(rest)) = (sets.first(), sets.get(1..)) else { return };
    if keys.iter().skip(1).any(|key| key.bytes == keys[0].bytes) {
        return;
    }
    let mut others: Vec<_> = rest.iter().flatten().collect();
    let all: usize = first.len() + others.iter().map(|set| set.len()).sum::<usize>();
    if first.len() * (others.len() + 1) / 2 <= all {
        // The larger a set is, the more likely it has a member.
        others.sort_by_key(|set| std::cmp::Reverse(set.len()));
        for member in first.iter() {
            if !others.iter().any(|set| set.has(member)) {
                result.add(member, maker);
            }
            if !pace.works_on() {
                return;
            }
        }
        return;
    }
    for member in first.iter() {
        result.add(member, maker);
        if !pace.works_on() {
            return;
        }
    }
    for member in others.iter().flat_map(|set| set.iter()) {
        result.remove(member, maker);
        if result.view().is_empty() || !pace.works_on() {
            return;
        }
    }
}

fn send<W: When>(ctx: &mut Ctx<'_, W>, args: Args<'_>, operation: Operation) -> ReadResult {
    let keys = look_at(ctx, args, 1, args.len())?;
    let (reading, mut maker) = ctx.db.reading();
    let (sets, pace) = (sets(reading, &keys), &mut ctx.pace);
    if pace.is_long(cost(operation, &sets)) {
        return Ok(Progress::long_read());
    }
    if operation == Operation::Inter {
        let (at, mut found) = (ctx.reply.set_deferred(), 0);
        intersect(&sets, pace, |member| {
            reply_member(ctx.reply, member);
            found += 1;
            true
        });
        ctx.reply.set_set_len(at, found);
        return Ok(Progress::Done);
    }
    let result = compute(operation, &sets, &keys, false, &mut maker, pace);
    reply_set(ctx.reply, result.view(), pace);
    Ok(Progress::Done)
}

fn store(ctx: &mut DataCtx<'_>, args: Args<'_>, operation: Operation) -> CommandResult {
    let event = KeyEvent::set(match operation {
        Operation::Union => "sunionstore",
        Operation::Inter => "sinterstore",
        Operation::Diff => "sdiffstore",
    });
    let keys = look_at(ctx, args, 2, args.len())?;
    let (reading, mut maker) = ctx.db.reading();
    let (sets, mut pace) = (sets(reading, &keys), Here::ANYTHING);
    let result = compute(operation, &sets, &keys, true, &mut maker, &mut pace);
    let (count, target) = (result.view().len(), ctx.key(args, 1));
    if count > 0 {
        ctx.db.entry(target).set_value(NewValue::Set(result), event);
    } else {
        ctx.db.remove(target);
    }
    ctx.reply.int(count as i64);
    Ok(())
}

fn sinter<W: When>(ctx: &mut Ctx<'_, W>, args: Args<'_>) -> ReadResult {
    send(ctx, args, Operation::Inter)
}

fn sinterstore(ctx: &mut DataCtx<'_>, args: Args<'_>) -> CommandResult {
    store(ctx, args, Operation::Inter)
}

fn sunion<W: When>(ctx: &mut Ctx<'_, W>, args: Args<'_>) -> ReadResult {
    send(ctx, args, Operation::Union)
}

fn sunionstore(ctx: &mut DataCtx<'_>, args: Args<'_>) -> CommandResult {
    store(ctx, args, Operation::Union)
}

fn sdiff<W: When>(ctx: &mut Ctx<'_, W>, args: Args<'_>) -> ReadResult {
    send(ctx, args, Operation::Diff)
}

fn sdiffstore(ctx: &mut DataCtx<'_>, args: Args<'_>) -> CommandResult {
    store(ctx, args, Operation::Diff)
}

fn sintercard<W: When>(ctx: &mut Ctx<'_, W>, args: Args<'_>) -> ReadResult {
    let count = int(&args[1]).ok().and_then(|n| usize::try_from(n).ok()).filter(|n| *n > 0).ok_or(NO_KEYS)?;
    if count > args.len() - 2 {
        return Err(TOO_FEW_ARGUMENTS);
    }
    let mut limit = 0;
    let mut options = args.skip(2 + count).iter();
    while let Some(word) = options.next() {
        match options.next() {
            Some(text) if word.eq_ignore_ascii_case(b"LIMIT") => {
                limit = int(text).ok().and_then(|n| usize::try_from(n).ok()).ok_or(NEGATIVE_LIMIT)?;
            }
            _ => return Err(error::SYNTAX),
        }
    }
    let keys = look_at(ctx, args, 2, 2 + count)?;
    let sets = sets(ctx.db.reading().0, &keys);
    if ctx.pace.is_long(cost(Operation::Inter, &sets)) {
        return Ok(Progress::long_read());
    }
    let mut found = 0usize;
    intersect(&sets, &mut ctx.pace, |_| {
        found += 1;
        found != limit
    });
    ctx.reply.int(found as i64);
    Ok(Progress::Done)
}
