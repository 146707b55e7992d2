//! An element from one list to another, or to the other end of the same: LMOVE, RPOPLPUSH.

use super::ends::make_list;
use super::{popped, pushed, reply_item, side_of};
use crate::db::{Key, KeyEvent, KeySlot};
use crate::exec::ctx::DataCtx;
use crate::exec::error::{CommandError, CommandResult};
use crate::exec::spec::{Access, ArgSpec, Arity, CommandSpec, Flags, Group, Handler, KeySpec};
use crate::resp::Args;
use crate::types::TypeName;
use crate::types::list::{self, Item, Side};

pub(super) static LMOVE: CommandSpec = CommandSpec {
    name: "lmove",
    summary: "Moves an element from an end of one list to an end of another.",
    since: "6.2.0",
    group: Group::List,
    arity: Arity::Exactly(5),
    flags: Flags::WRITE.or(Flags::DENYOOM),
    keys: &[
        KeySpec::at(1, Access::READ_WRITE.or(Access::ACCESS).or(Access::DELETE)),
        KeySpec::at(2, Access::READ_WRITE.or(Access::INSERT)),
    ],
    args: &[
        ArgSpec::key("source"),
        ArgSpec::key_of("destination", 1),
        ArgSpec::one_of("wherefrom", &[ArgSpec::word("left", "LEFT"), ArgSpec::word("right", "RIGHT")]),
        ArgSpec::one_of("whereto", &[ArgSpec::word("left", "LEFT"), ArgSpec::word("right", "RIGHT")]),
    ],
    handler: Handler::Data(lmove),
    ..CommandSpec::BASE
};

pub(super) static RPOPLPUSH: CommandSpec = CommandSpec {
    name: "rpoplpush",
    summary: "Moves the last element of one list before the first of another.",
    since: "1.2.0",
    group: Group::List,
    arity: Arity::Exactly(3),
    flags: Flags::WRITE.or(Flags::DENYOOM),
    keys: &[
        KeySpec::at(1, Access::READ_WRITE.or(Access::ACCESS).or(Access::DELETE)),
        KeySpec::at(2, Access::READ_WRITE.or(Access::INSERT)),
    ],
    args: &[ArgSpec::key("source"), ArgSpec::key_of("destination", 1)],
    deprecated: Some(("6.2.0", "LMOVE with the RIGHT and LEFT arguments")),
    handler: Handler::Data(rpoplpush),
    ..CommandSpec::BASE
};

fn lmove(ctx: &mut DataCtx<'_>, args: Args<'_>) -> CommandResult {
    let (from, to) = (side_of(&args[3])?, side_of(&args[4])?);
    null_unless(ctx, args, from, to)
}

fn rpoplpush(ctx: &mut DataCtx<'_>, args: Args<'_>) -> CommandResult {
    null_unless(ctx, args, Side::Tail, Side::Head)
}

fn null_unless(ctx: &mut DataCtx<'_>, args: Args<'_>, from: Side, to: Side) -> CommandResult {
    let (source, target) = (ctx.key(args, 1), ctx.key(args, 2));
    if !move_element(ctx, source, target, from, to)? {
        ctx.reply.null();
    }
    Ok(())
}

/// Moves an element and replies with it. False, and no reply, if there is no source.
pub(super) fn move_element(
    ctx: &mut DataCtx<'_>,
    source: Key<'_>,
    target: Key<'_>,
    from: Side,
    to: Side,
) -> Result<bool, CommandError> {
    match ctx.db.lookup_write(source) {
        Some(entry) => entry.expect(TypeName::List)?,
        None => return Ok(false),
    }
    if let Some(entry) = ctx.db.lookup_write(target) {
        entry.expect(TypeName::List)?;
    }
    let same = source.bytes == target.bytes;
    let mut text = Vec::new();
    let mut number = None;
    let mut keep = |item: Item<'_>| match item {
        Item::Int(n) => number = Some(n),
        Item::Bytes(bytes) => text.extend_from_slice(bytes),
    };
    let KeySlot::Occupied(mut place) = ctx.db.entry(source) else {
        unreachable!("it was just looked up");
    };
    if same {
        list::rotate(&mut place, from, to, |item| reply_item(ctx.reply, item));
        place.changed_quietly(1);
        place.notify(pushed(to));
        place.notify(popped(from));
        return Ok(true);
    }
    let list = place.get().list()?;
    let is_last = list.len() == 1;
    if !is_last {
        list::pop(&mut place, from, 1, &mut keep);
        place.changed_quietly(1);
    } else {
        list.take(0, false, 1, &mut keep);
        place.remove_quietly();
    }
    let item = number.map_or(Item::Bytes(&text), Item::Int);
    reply_item(ctx.reply, item);
    put(ctx, target, item, to);
    // Subscribers are told of the arrival first, as by Redis.
    ctx.db.notify(source, popped(from));
    if is_last {
        ctx.db.notify(source, KeyEvent::DEL);
    }
    Ok(true)
}

/// Puts an element into the list that a key has or gets. The change was counted where it came from.
fn put(ctx: &mut DataCtx<'_>, target: Key<'_>, item: Item<'_>, side: Side) {
    let one = std::iter::once(item);
    match ctx.db.entry(target) {
        KeySlot::Occupied(mut place) => {
            list::push(&mut place, side, one, false);
            place.changed(0, pushed(side));
        }
        KeySlot::Vacant(place) => make_list(place, one, side, 0),
    }
}
