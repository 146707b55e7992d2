//! Members chosen at random: SPOP, SRANDMEMBER.
//!
//! All choices are exactly uniform, whatever the encoding.

use super::reply_member;
use crate::collections::listpack::Item;
use crate::db::{Key, KeyEvent, KeySlot, Occupied};
use crate::exec::args::int;
use crate::exec::ctx::DataCtx;
use crate::exec::error::{self, CommandError, CommandResult};
use crate::exec::room::BULK_BYTES_MIN;
use crate::exec::spec::{Access, ArgSpec, Arity, CommandSpec, Flags, Group, Handler, KeySpec};
use crate::resp::{Args, Reply};
use crate::types::Encoding;
use crate::types::place::Place;
use crate::types::set::{self, NewSet, SetRef};
use crate::util::rng::Rng;
use std::collections::HashSet;

/// What the whole set has at least times what is left of it, when SPOP makes a new set of the rest.
const REBUILD_BELOW: usize = 5;
/// What a set has at least times what is wanted of it, when SRANDMEMBER draws instead of going through all.
const DRAW_ABOVE: usize = 3;

pub(super) static SPOP: CommandSpec = CommandSpec {
    name: "spop",
    summary: "Removes members chosen at random from a set, and returns them.",
    complexity: "O(N), N the members returned",
    group: Group::Set,
    arity: Arity::AtLeast(2),
    flags: Flags::WRITE.or(Flags::FAST),
    keys: &[KeySpec::at(1, Access::READ_WRITE.or(Access::ACCESS).or(Access::DELETE))],
    args: &[ArgSpec::key("key"), ArgSpec::integer("count").optional().since("3.2.0")],
    tips: &["nondeterministic_output"],
    handler: Handler::Data(spop),
    ..CommandSpec::BASE
};

pub(super) static SRANDMEMBER: CommandSpec = CommandSpec {
    name: "srandmember",
    summary: "Returns members of a set chosen at random.",
    complexity: "O(N), N the members returned",
    group: Group::Set,
    arity: Arity::AtLeast(2),
    flags: Flags::READONLY,
    keys: &[KeySpec::at(1, Access::READ_ONLY.or(Access::ACCESS))],
    args: &[ArgSpec::key("key"), ArgSpec::integer("count").optional().since("2.6.0")],
    tips: &["nondeterministic_output"],
    handler: Handler::Data(srandmember),
    ..CommandSpec::BASE
};

const COUNT_OUT_OF_RANGE: CommandError =
    CommandError::fixed("ERR value is out of range, value must between -9223372036854775807 and 9223372036854775807");

const SPOP_EVENT: KeyEvent = KeyEvent::set("spop").first();

fn spop(ctx: &mut DataCtx<'_>, args: Args<'_>) -> CommandResult {
    let count = match args.len() {
        2 => None,
        3 => Some(int(&args[2]).ok().and_then(|n| usize::try_from(n).ok()).ok_or(error::MUST_BE_POSITIVE)?),
        _ => return Err(error::SYNTAX),
    };
    let (mut rng, key) = (ctx.db.random(), ctx.key(args, 1));
    let names = ctx.db.propagates().then(Vec::new);
    let KeySlot::Occupied(mut place) = ctx.db.entry(key) else {
        if count.is_some() {
            ctx.reply.set(0)
        } else {
            ctx.reply.null()
        }
        return Ok(());
    };
    let len = place.get().set()?.len();
    let mut popped = Popped { reply: ctx.reply, names };
    let Some(count) = count else {
        set::pop_random(&mut place, &mut rng, |member| popped.push(member));
        place.removed(1, SPOP_EVENT);
        let names = popped.names;
        propagate(ctx, key, names);
        return Ok(());
    };
    let count = count.min(len);
    popped.reply.set(count);
    if count == len {
        popped.names = None;
        place.get().set()?.iter().for_each(|member| popped.push(member));
        place.emptied(count, SPOP_EVENT);
        ctx.db.propagate_removal(key);
    } else if count > 0 {
        pop_some(&mut place, count, len - count, &mut rng, &mut popped)?;
        place.changed(count, SPOP_EVENT);
        let names = popped.names;
        propagate(ctx, key, names);
    }
    Ok(())
}

/// Where members go that are popped: to the client, and to those who repeat it.
struct Popped<'a> {
    reply: &'a mut Reply,
    /// Kept while somebody propagates.
    names: Option<Vec<Vec<u8>>>,
}

impl Popped<'_> {
    fn push(&mut self, member: Item<'_>) {
        reply_member(self.reply, member);
        if let Some(names) = &mut self.names {
            names.push(member.to_vec());
        }
    }
}

/// Elsewhere the same members go: in several commands, if they are many.
fn propagate(ctx: &mut DataCtx<'_>, key: Key<'_>, names: Option<Vec<Vec<u8>>>) {
    for some in names.unwrap_or_default().chunks(MEMBERS_PROPAGATED_AT_ONCE) {
        let command: Vec<&[u8]> = [b"SREM", key.bytes].into_iter().chain(some.iter().map(|name| &name[..])).collect();
        ctx.db.propagate(&command);
    }
}

const MEMBERS_PROPAGATED_AT_ONCE: usize = 1024;

/// Pops members, but not all.
fn pop_some(
    place: &mut Occupied<'_>,
    count: usize,
    left: usize,
    rng: &mut Rng,
    popped: &mut Popped<'_>,
) -> CommandResult {
    let remains_large = left * REBUILD_BELOW > count || left as u64 > place.maker().limits.set_entries;
    if place.encoding() == Encoding::Hashtable && remains_large {
        set::pop_many(place, count, rng, |member| popped.push(member));
        return Ok(());
    }
    if left * REBUILD_BELOW > count || place.encoding() == Encoding::Listpack {
        for _ in 0..count {
            set::pop_random(place, rng, |member| popped.push(member));
        }
        return Ok(());
    }
    // Little is left: it is what is drawn, and begins anew as a set, in the encoding of a new one.
    let mut rest = Vec::with_capacity(left);
    for _ in 0..left {
        set::pop_random(place, rng, |member| rest.push(member.to_vec()));
    }
    place.get().set()?.iter().for_each(|member| popped.push(member));
    let integers = place.encoding() == Encoding::Intset;
    let maker = &mut place.maker();
    let mut set = if integers { NewSet::new() } else { NewSet::listpack() };
    rest.iter().for_each(|member| assert!(set.add(Item::of(member), maker), "popped once"));
    set.with_payload(|encoding, payload| place.store(encoding, payload));
    Ok(())
}

fn srandmember(ctx: &mut DataCtx<'_>, args: Args<'_>) -> CommandResult {
    let count = match args.len() {
        2 => None,
        3 => Some(int(&args[2])?),
        _ => return Err(error::SYNTAX),
    };
    if count == Some(i64::MIN) {
        return Err(COUNT_OUT_OF_RANGE);
    }
    let (mut rng, key, room) = (ctx.db.random(), ctx.key(args, 1), ctx.reply_room());
    let Some(entry) = ctx.db.lookup_read(key) else {
        if count.is_some() {
            ctx.reply.array(0)
        } else {
            ctx.reply.null()
        }
        return Ok(());
    };
    let set = entry.set()?;
    match count {
        None => reply_member(ctx.reply, set.random(&mut rng)),
        Some(count) if count >= 0 => {
            let count = (count as usize).min(set.len());
            ctx.reply.array(count);
            choose(set, count, &mut rng, |member| reply_member(ctx.reply, member));
        }
        Some(count) => {
            let count = usize::try_from(count.unsigned_abs()).unwrap_or(usize::MAX);
            room.admit(count, BULK_BYTES_MIN)?;
            ctx.reply.array(count);
            for _ in 0..count {
                reply_member(ctx.reply, set.random(&mut rng));
                if !room.goes_on(ctx.reply)? {
                    break;
                }
            }
        }
    }
    Ok(())
}

/// Shows `count` different members.
fn choose(set: SetRef<'_>, count: usize, rng: &mut Rng, mut f: impl FnMut(Item<'_>)) {
    if let SetRef::Table(table) = set
        && count * DRAW_ABOVE < table.len()
    {
        let mut seen = HashSet::with_capacity(count);
        while seen.len() < count {
            let member = table.random(rng).expect("a stored set is not empty").key;
            if seen.insert(member) {
                f(Item::Bytes(member));
            }
        }
        return;
    }
    // Each with the probability that makes all choices of `count` equally likely.
    let mut wanted = count;
    for (left, member) in (1..=set.len()).rev().zip(set.iter()) {
        if rng.index(left) < wanted {
            f(member);
            wanted -= 1;
        }
    }
}
