//! The two ends of one list: LPUSH and RPUSH, which make it, LPUSHX and RPUSHX, which do not, LPOP, RPOP, LMPOP.

use super::{pop_name, popped, pushed, reply_item, side_of};
use crate::db::{Key, KeySlot, Vacant};
use crate::exec::args::int;
use crate::exec::ctx::DataCtx;
use crate::exec::error::{self, CommandError, CommandResult};
use crate::exec::spec::{Access, ArgSpec, Arity, CommandSpec, Flags, Group, Handler, KeySpec};
use crate::resp::{Args, Reply};
use crate::types::TypeName;
use crate::types::list::{self, Item, NewList, Side};
use crate::types::value::NewValue;

pub(super) static LPUSH: CommandSpec = CommandSpec {
    name: "lpush",
    summary: "Puts elements before the head of a list, which is made if it is missing.",
    complexity: "O(1) for each element",
    group: Group::List,
    arity: Arity::AtLeast(3),
    flags: Flags::WRITE.or(Flags::DENYOOM).or(Flags::FAST),
    keys: &[KeySpec::at(1, Access::READ_WRITE.or(Access::INSERT))],
    args: &[ArgSpec::key("key"), ArgSpec::string("element").multiple()],
    handler: Handler::Data(lpush),
    ..CommandSpec::BASE
};

pub(super) static LPUSHX: CommandSpec = CommandSpec {
    name: "lpushx",
    summary: "Puts elements before the head of a list that exists.",
    complexity: "O(1) for each element",
    since: "2.2.0",
    group: Group::List,
    arity: Arity::AtLeast(3),
    flags: Flags::WRITE.or(Flags::DENYOOM).or(Flags::FAST),
    keys: &[KeySpec::at(1, Access::READ_WRITE.or(Access::INSERT))],
    args: &[ArgSpec::key("key"), ArgSpec::string("element").multiple()],
    handler: Handler::Data(lpushx),
    ..CommandSpec::BASE
};

pub(super) static RPUSH: CommandSpec = CommandSpec {
    name: "rpush",
    summary: "Puts elements behind the tail of a list, which is made if it is missing.",
    complexity: "O(1) for each element",
    group: Group::List,
    arity: Arity::AtLeast(3),
    flags: Flags::WRITE.or(Flags::DENYOOM).or(Flags::FAST),
    keys: &[KeySpec::at(1, Access::READ_WRITE.or(Access::INSERT))],
    args: &[ArgSpec::key("key"), ArgSpec::string("element").multiple()],
    handler: Handler::Data(rpush),
    ..CommandSpec::BASE
};

pub(super) static RPUSHX: CommandSpec = CommandSpec {
    name: "rpushx",
    summary: "Puts elements behind the tail of a list that exists.",
    complexity: "O(1) for each element",
    since: "2.2.0",
    group: Group::List,
    arity: Arity::AtLeast(3),
    flags: Flags::WRITE.or(Flags::DENYOOM).or(Flags::FAST),
    keys: &[KeySpec::at(1, Access::READ_WRITE.or(Access::INSERT))],
    args: &[ArgSpec::key("key"), ArgSpec::string("element").multiple()],
    handler: Handler::Data(rpushx),
    ..CommandSpec::BASE
};

pub(super) static LPOP: CommandSpec = CommandSpec {
    name: "lpop",
    summary: "Takes elements off the head of a list.",
    complexity: "O(N), N the elements returned",
    group: Group::List,
    arity: Arity::AtLeast(2),
    flags: Flags::WRITE.or(Flags::FAST),
    keys: &[KeySpec::at(1, Access::READ_WRITE.or(Access::ACCESS).or(Access::DELETE))],
    args: &[ArgSpec::key("key"), ArgSpec::integer("count").optional().since("6.2.0")],
    handler: Handler::Data(lpop),
    ..CommandSpec::BASE
};

pub(super) static RPOP: CommandSpec = CommandSpec {
    name: "rpop",
    summary: "Takes elements off the tail of a list.",
    complexity: "O(N), N the elements returned",
    group: Group::List,
    arity: Arity::AtLeast(2),
    flags: Flags::WRITE.or(Flags::FAST),
    keys: &[KeySpec::at(1, Access::READ_WRITE.or(Access::ACCESS).or(Access::DELETE))],
    args: &[ArgSpec::key("key"), ArgSpec::integer("count").optional().since("6.2.0")],
    handler: Handler::Data(rpop),
    ..CommandSpec::BASE
};

pub(super) static LMPOP: CommandSpec = CommandSpec {
    name: "lmpop",
    summary: "Takes elements off an end of the first list that has any.",
    complexity: "O(N+M), N the keys, M the elements returned",
    since: "7.0.0",
    group: Group::List,
    arity: Arity::AtLeast(4),
    flags: Flags::WRITE,
    keys: &[KeySpec::counted(1, 1, Access::READ_WRITE.or(Access::ACCESS).or(Access::DELETE))],
    args: &[
        ArgSpec::integer("numkeys"),
        ArgSpec::key("key").multiple(),
        ArgSpec::one_of("where", &[ArgSpec::word("left", "LEFT"), ArgSpec::word("right", "RIGHT")]),
        ArgSpec::integer("count").token("COUNT").optional(),
    ],
    handler: Handler::Data(lmpop),
    ..CommandSpec::BASE
};

pub(super) const NO_KEYS: CommandError = CommandError::fixed("ERR numkeys should be greater than 0");
const NO_COUNT: CommandError = CommandError::fixed("ERR count should be greater than 0");

fn lpush(ctx: &mut DataCtx<'_>, args: Args<'_>) -> CommandResult {
    push(ctx, args, Side::Head, true)
}

fn rpush(ctx: &mut DataCtx<'_>, args: Args<'_>) -> CommandResult {
    push(ctx, args, Side::Tail, true)
}

fn lpushx(ctx: &mut DataCtx<'_>, args: Args<'_>) -> CommandResult {
    push(ctx, args, Side::Head, false)
}

fn rpushx(ctx: &mut DataCtx<'_>, args: Args<'_>) -> CommandResult {
    push(ctx, args, Side::Tail, false)
}

#[inline]
fn push(ctx: &mut DataCtx<'_>, args: Args<'_>, side: Side, make: bool) -> CommandResult {
    let key = ctx.key(args, 1);
    let elements = args.skip(2);
    let mut slot = ctx.db.entry(key);
    let len = match &mut slot {
        KeySlot::Occupied(place) => {
            place.get().expect(TypeName::List)?;
            match elements.len() {
                _ if elements.has_long() => list::push_texts(place, side, elements.texts().collect()),
                1 => list::push(place, side, std::iter::once(Item::of(&elements[0])), true),
                _ => list::push(place, side, elements.iter().map(Item::of), true),
            }
            place.changed(elements.len(), pushed(side));
            place.get().list()?.len()
        }
        KeySlot::Vacant(_) if !make => 0,
        KeySlot::Vacant(_) => match slot {
            KeySlot::Vacant(mut place) => {
                let list = if elements.has_long() {
                    NewList::pushed_texts(elements.texts().collect(), side, &mut place.maker())
                } else {
                    NewList::pushed(elements.iter().map(Item::of), side, &mut place.maker())
                };
                store(place, list, elements.len(), side);
                elements.len()
            }
            KeySlot::Occupied(_) => unreachable!("matched above"),
        },
    };
    ctx.reply.int(len as i64);
    Ok(())
}

/// Makes a list where none is; counts `changes`.
pub(super) fn make_list<'v>(
    mut place: Vacant<'_>,
    items: impl Iterator<Item = Item<'v>> + Clone,
    side: Side,
    changes: usize,
) {
    let list = NewList::pushed(items, side, &mut place.maker());
    store(place, list, changes, side);
}

fn store(place: Vacant<'_>, list: NewList, changes: usize, side: Side) {
    place.insert_value(NewValue::List(list)).changed(changes, pushed(side));
}

fn lpop(ctx: &mut DataCtx<'_>, args: Args<'_>) -> CommandResult {
    pop(ctx, args, Side::Head)
}

fn rpop(ctx: &mut DataCtx<'_>, args: Args<'_>) -> CommandResult {
    pop(ctx, args, Side::Tail)
}

#[inline]
fn pop(ctx: &mut DataCtx<'_>, args: Args<'_>, side: Side) -> CommandResult {
    let key = ctx.key(args, 1);
    if args.len() > 2 {
        return pop_count(ctx, args, key, side);
    }
    if !pop_into(ctx, key, side, 1, |_, _| {})? {
        ctx.reply.null();
    }
    Ok(())
}

fn pop_count(ctx: &mut DataCtx<'_>, args: Args<'_>, key: Key<'_>, side: Side) -> CommandResult {
    if args.len() > 3 {
        return Err(error::wrong_arity(&ctx.command.full_name));
    }
    let count = int(&args[2]).ok().and_then(|n| usize::try_from(n).ok()).ok_or(error::MUST_BE_POSITIVE)?;
    if count > 0 {
        if !pop_into(ctx, key, side, count, |reply, count| reply.array(count))? {
            ctx.reply.null_array();
        }
        return Ok(());
    }
    match ctx.db.lookup_write(key) {
        Some(entry) => {
            entry.expect(TypeName::List)?;
            ctx.reply.array(0);
        }
        None => ctx.reply.null_array(),
    }
    Ok(())
}

/// Replies up to `count` elements from one end and removes them, after `before` has opened the reply for as many as
/// there are. False, and no reply, if there is no such key.
#[inline]
pub(super) fn pop_into(
    ctx: &mut DataCtx<'_>,
    key: Key<'_>,
    side: Side,
    count: usize,
    before: impl FnOnce(&mut Reply, usize),
) -> Result<bool, CommandError> {
    let KeySlot::Occupied(mut place) = ctx.db.entry(key) else { return Ok(false) };
    let reply = &mut *ctx.reply;
    let list = place.get().list()?;
    let len = list.len();
    let count = count.min(len);
    before(reply, count);
    if count == len {
        let start = if side == Side::Head { 0 } else { len - 1 };
        list.take(start, side == Side::Tail, count, |item| reply_item(reply, item));
        place.emptied(count, popped(side));
    } else {
        list::pop(&mut place, side, count, |item| reply_item(reply, item));
        place.changed(count, popped(side));
    }
    Ok(true)
}

fn lmpop(ctx: &mut DataCtx<'_>, args: Args<'_>) -> CommandResult {
    let request = Several::parse(args, 1)?;
    if !request.pop(ctx, args)? {
        ctx.reply.null_array();
    }
    Ok(())
}

/// LMPOP and BLMPOP: several keys, a side, perhaps a count.
pub(super) struct Several {
    /// The arguments that are keys.
    pub keys: std::ops::Range<usize>,
    side: Side,
    count: usize,
}

impl Several {
    /// Reads from the number of keys on.
    pub fn parse(args: Args<'_>, numkeys_at: usize) -> Result<Several, CommandError> {
        let numkeys = int(&args[numkeys_at]).ok().and_then(|n| usize::try_from(n).ok()).filter(|n| *n > 0);
        let first = numkeys_at + 1;
        let end = first.checked_add(numkeys.ok_or(NO_KEYS)?).ok_or(error::SYNTAX)?;
        let side = side_of(args.get(end).ok_or(error::SYNTAX)?)?;
        let mut count = None;
        let mut rest = end + 1;
        while let Some(option) = args.get(rest) {
            if count.is_some() || !option.eq_ignore_ascii_case(b"count") {
                return Err(error::SYNTAX);
            }
            let given = args.get(rest + 1).ok_or(error::SYNTAX)?;
            count = Some(int(given).ok().and_then(|n| usize::try_from(n).ok()).filter(|n| *n > 0).ok_or(NO_COUNT)?);
            rest += 2;
        }
        Ok(Several { keys: first..end, side, count: count.unwrap_or(1) })
    }

    /// Replies with elements of the first list that has any; false, and no reply, if none has.
    pub fn pop(&self, ctx: &mut DataCtx<'_>, args: Args<'_>) -> Result<bool, CommandError> {
        for at in self.keys.clone() {
            let key = ctx.key(args, at);
            let mut taken = 0;
            let open = |reply: &mut Reply, count: usize| {
                taken = count;
                reply.array(2);
                reply.bulk(key.bytes);
                reply.array(count);
            };
            if pop_into(ctx, key, self.side, self.count, open)? {
                ctx.db.propagate(&[pop_name(self.side), key.bytes, taken.to_string().as_bytes()]);
                return Ok(true);
            }
        }
        Ok(false)
    }
}
