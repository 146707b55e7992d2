//! Elements by their position or their text: LLEN, LINDEX, LRANGE, LPOS, LSET, LINSERT, LREM, LTRIM.

use super::reply_item;
use crate::blocking::Progress;
use crate::db::{KeyEvent, KeySlot, Readable};
use crate::exec::args::int;
use crate::exec::ctx::{Ctx, DataCtx, ReadResult};
use crate::exec::error::{self, CommandError, CommandResult};
use crate::exec::long_read::{Pace, When};
use crate::exec::spec::{Access, ArgSpec, Arity, CommandSpec, Flags, Group, Handler, KeySpec};
use crate::resp::Args;
use crate::types::TypeName;
use crate::types::list::{self, Item, ListRef};
use std::ops::{ControlFlow, Range};

pub(super) static LLEN: CommandSpec = CommandSpec {
    name: "llen",
    summary: "Counts the elements of a list.",
    group: Group::List,
    arity: Arity::Exactly(2),
    flags: Flags::READONLY.or(Flags::FAST),
    keys: &[KeySpec::at(1, Access::READ_ONLY)],
    args: &[ArgSpec::key("key")],
    handler: Handler::Data(llen),
    ..CommandSpec::BASE
};

pub(super) static LINDEX: CommandSpec = CommandSpec {
    name: "lindex",
    summary: "Returns the element at a position of a list.",
    complexity: "O(N) at worst, N the elements of a node",
    group: Group::List,
    arity: Arity::Exactly(3),
    flags: Flags::READONLY,
    keys: &[KeySpec::at(1, Access::READ_ONLY.or(Access::ACCESS))],
    args: &[ArgSpec::key("key"), ArgSpec::integer("index")],
    handler: Handler::Data(lindex),
    ..CommandSpec::BASE
};

pub(super) static LRANGE: CommandSpec = CommandSpec {
    name: "lrange",
    summary: "Returns a run of elements of a list.",
    complexity: "O(N), N the elements returned",
    group: Group::List,
    arity: Arity::Exactly(4),
    flags: Flags::READONLY,
    keys: &[KeySpec::at(1, Access::READ_ONLY.or(Access::ACCESS))],
    args: &[ArgSpec::key("key"), ArgSpec::integer("start"), ArgSpec::integer("stop")],
    handler: Handler::Read { now: lrange, past: lrange },
    ..CommandSpec::BASE
};

pub(super) static LPOS: CommandSpec = CommandSpec {
    name: "lpos",
    summary: "Finds the positions of elements that equal a given one.",
    complexity: "O(N), N the elements of the list",
    since: "6.0.6",
    group: Group::List,
    arity: Arity::AtLeast(3),
    flags: Flags::READONLY,
    keys: &[KeySpec::at(1, Access::READ_ONLY.or(Access::ACCESS))],
    args: &[
        ArgSpec::key("key"),
        ArgSpec::string("element"),
        ArgSpec::integer("rank").token("RANK").optional(),
        ArgSpec::integer("num-matches").token("COUNT").optional(),
        ArgSpec::integer("len").token("MAXLEN").optional(),
    ],
    handler: Handler::Data(lpos),
    ..CommandSpec::BASE
};

pub(super) static LSET: CommandSpec = CommandSpec {
    name: "lset",
    summary: "Replaces the element at a position of a list.",
    complexity: "O(N) at worst, N the elements of a node",
    group: Group::List,
    arity: Arity::Exactly(4),
    flags: Flags::WRITE.or(Flags::DENYOOM),
    keys: &[KeySpec::at(1, Access::READ_WRITE.or(Access::UPDATE))],
    args: &[ArgSpec::key("key"), ArgSpec::integer("index"), ArgSpec::string("element")],
    handler: Handler::Data(lset),
    ..CommandSpec::BASE
};

pub(super) static LINSERT: CommandSpec = CommandSpec {
    name: "linsert",
    summary: "Inserts an element before or after another one.",
    complexity: "O(N), N the elements up to the pivot",
    since: "2.2.0",
    group: Group::List,
    arity: Arity::Exactly(5),
    flags: Flags::WRITE.or(Flags::DENYOOM),
    keys: &[KeySpec::at(1, Access::READ_WRITE.or(Access::INSERT))],
    args: &[
        ArgSpec::key("key"),
        ArgSpec::one_of("where", &[ArgSpec::word("before", "BEFORE"), ArgSpec::word("after", "AFTER")]),
        ArgSpec::string("pivot"),
        ArgSpec::string("element"),
    ],
    handler: Handler::Data(linsert),
    ..CommandSpec::BASE
};

pub(super) static LREM: CommandSpec = CommandSpec {
    name: "lrem",
    summary: "Removes elements that equal a given one.",
    complexity: "O(N), N the elements of the list",
    group: Group::List,
    arity: Arity::Exactly(4),
    flags: Flags::WRITE,
    keys: &[KeySpec::at(1, Access::READ_WRITE.or(Access::DELETE))],
    args: &[ArgSpec::key("key"), ArgSpec::integer("count"), ArgSpec::string("element")],
    handler: Handler::Data(lrem),
    ..CommandSpec::BASE
};

pub(super) static LTRIM: CommandSpec = CommandSpec {
    name: "ltrim",
    summary: "Removes all elements but a run of them.",
    complexity: "O(N), N the elements removed",
    group: Group::List,
    arity: Arity::Exactly(4),
    flags: Flags::WRITE,
    keys: &[KeySpec::at(1, Access::READ_WRITE.or(Access::DELETE))],
    args: &[ArgSpec::key("key"), ArgSpec::integer("start"), ArgSpec::integer("stop")],
    handler: Handler::Data(ltrim),
    ..CommandSpec::BASE
};

const RANK_ZERO: CommandError = CommandError::fixed(
    "ERR RANK can't be zero: use 1 to start from the first match, 2 from the second ... or use negative to start from \
     the end of the list",
);
const OUT_OF_RANGE: CommandError =
    CommandError::fixed("ERR value is out of range, value must between -9223372036854775807 and 9223372036854775807");
const COUNT_NEGATIVE: CommandError = CommandError::fixed("ERR COUNT can't be negative");
const MAXLEN_NEGATIVE: CommandError = CommandError::fixed("ERR MAXLEN can't be negative");
const INDEX_OUT_OF_RANGE: CommandError = CommandError::fixed("ERR index out of range");

/// The place that a number means which may count from the end.
fn place_of(index: i64, len: usize) -> Option<usize> {
    let place = if index < 0 { len.checked_sub(usize::try_from(index.unsigned_abs()).ok()?)? } else { index as usize };
    (place < len).then_some(place)
}

/// The places that two numbers mean, which may count from the end and reach beyond it.
fn range_of(start: i64, stop: i64, len: usize) -> Range<usize> {
    let from_end = |n: i64| if n < 0 { n.saturating_add(len as i64) } else { n };
    let start = from_end(start).max(0) as usize;
    let stop = usize::try_from(from_end(stop).saturating_add(1)).unwrap_or(0).min(len);
    if start < stop { start..stop } else { 0..0 }
}

fn llen(ctx: &mut DataCtx<'_>, args: Args<'_>) -> CommandResult {
    let key = ctx.key(args, 1);
    let len = match ctx.db.lookup_read(key) {
        Some(entry) => entry.list()?.len(),
        None => 0,
    };
    ctx.reply.int(len as i64);
    Ok(())
}

fn lindex(ctx: &mut DataCtx<'_>, args: Args<'_>) -> CommandResult {
    let key = ctx.key(args, 1);
    let reply = &mut *ctx.reply;
    let Some(entry) = ctx.db.lookup_read(key) else {
        reply.null();
        return Ok(());
    };
    let list = entry.list()?;
    let index = int(&args[2])?;
    let shown = place_of(index, list.len()).and_then(|place| list.get(place, |item| reply_item(reply, item)));
    if shown.is_none() {
        reply.null();
    }
    Ok(())
}

fn lrange<W: When>(ctx: &mut Ctx<'_, W>, args: Args<'_>) -> ReadResult {
    let (start, stop) = (int(&args[2])?, int(&args[3])?);
    let key = ctx.key(args, 1);
    let reply = &mut *ctx.reply;
    let Some(entry) = ctx.db.lookup_read(key) else {
        reply.array(0);
        return Ok(Progress::Done);
    };
    let list = entry.list()?;
    let range = range_of(start, stop, list.len());
    if ctx.pace.is_long(range.len()) {
        return Ok(Progress::long_read());
    }
    reply.array(range.len());
    let mut left = range.len();
    if left > 0 {
        list.walk(range.start, false, |item| {
            reply_item(reply, item);
            left -= 1;
            if left > 0 && ctx.pace.goes_on(reply) { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        });
    }
    Ok(Progress::Done)
}

/// What LPOS looks for, beside the element.
struct Search {
    /// Matches to be passed over.
    skip: u64,
    backwards: bool,
    /// None: one position is asked for, and told without an array. 0: all.
    count: Option<u64>,
    /// Elements to be compared; 0: all.
    maxlen: u64,
}

impl Search {
    fn parse(args: Args<'_>) -> Result<Search, CommandError> {
        let (mut rank, mut count, mut maxlen) = (1i64, None, 0);
        let mut at = 3;
        while let Some(option) = args.get(at) {
            let value = args.get(at + 1).ok_or(error::SYNTAX)?;
            let unsigned = || int(value).ok().and_then(|n| u64::try_from(n).ok());
            if option.eq_ignore_ascii_case(b"rank") {
                rank = int(value)?;
                match rank {
                    i64::MIN => return Err(OUT_OF_RANGE),
                    0 => return Err(RANK_ZERO),
                    _ => {}
                }
            } else if option.eq_ignore_ascii_case(b"count") {
                count = Some(unsigned().ok_or(COUNT_NEGATIVE)?);
            } else if option.eq_ignore_ascii_case(b"maxlen") {
                maxlen = unsigned().ok_or(MAXLEN_NEGATIVE)?;
            } else {
                return Err(error::SYNTAX);
            }
            at += 2;
        }
        Ok(Search { skip: rank.unsigned_abs() - 1, backwards: rank < 0, count, maxlen })
    }

    /// Hands the positions of matches to `found`.
    fn run(&self, list: ListRef<'_>, what: Item<'_>, mut found: impl FnMut(usize)) {
        let len = list.len();
        let (mut skip, mut seen) = (self.skip, 0u64);
        let mut left = self.count.unwrap_or(1);
        let start = if self.backwards { len - 1 } else { 0 };
        list.walk(start, self.backwards, |item| {
            if item == what {
                if skip > 0 {
                    skip -= 1;
                } else {
                    found(if self.backwards { len - 1 - seen as usize } else { seen as usize });
                    left = left.wrapping_sub(1);
                    if left == 0 {
                        return ControlFlow::Break(());
                    }
                }
            }
            seen += 1;
            if seen == self.maxlen { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
    }
}

fn lpos(ctx: &mut DataCtx<'_>, args: Args<'_>) -> CommandResult {
    let search = Search::parse(args)?;
    let key = ctx.key(args, 1);
    let reply = &mut *ctx.reply;
    let list = ctx.db.lookup_read(key).map(|entry| entry.list()).transpose()?;
    let what = Item::of(&args[2]);
    if search.count.is_none() {
        let mut first = None;
        if let Some(list) = list {
            search.run(list, what, |place| first = Some(place));
        }
        match first {
            Some(place) => reply.int(place as i64),
            None => reply.null(),
        }
        return Ok(());
    }
    let Some(list) = list else {
        reply.array(0);
        return Ok(());
    };
    let places = reply.array_deferred();
    let mut count = 0;
    search.run(list, what, |place| {
        reply.int(place as i64);
        count += 1;
    });
    reply.set_array_len(places, count);
    Ok(())
}

fn lset(ctx: &mut DataCtx<'_>, args: Args<'_>) -> CommandResult {
    let key = ctx.key(args, 1);
    let KeySlot::Occupied(mut place) = ctx.db.entry(key) else { return Err(error::NO_SUCH_KEY) };
    let len = place.get().list()?.len();
    // Redis looks at the lower 32 bits of the number alone. Out of range, the list may still change its form.
    let index = i64::from(int(&args[2])? as i32);
    let at = place_of(index, len).unwrap_or(usize::MAX);
    if !list::set(&mut place, at, args.text(3)) {
        return Err(INDEX_OUT_OF_RANGE);
    }
    place.changed(1, KeyEvent::list("lset"));
    ctx.reply.ok();
    Ok(())
}

fn linsert(ctx: &mut DataCtx<'_>, args: Args<'_>) -> CommandResult {
    let after = match &args[2] {
        word if word.eq_ignore_ascii_case(b"after") => true,
        word if word.eq_ignore_ascii_case(b"before") => false,
        _ => return Err(error::SYNTAX),
    };
    let key = ctx.key(args, 1);
    let len = match ctx.db.entry(key) {
        KeySlot::Occupied(mut place) => {
            place.get().expect(TypeName::List)?;
            if list::insert(&mut place, &args[3], after, args.text(4)) {
                place.changed(1, KeyEvent::list("linsert"));
                place.get().list()?.len() as i64
            } else {
                -1
            }
        }
        KeySlot::Vacant(_) => 0,
    };
    ctx.reply.int(len);
    Ok(())
}

fn lrem(ctx: &mut DataCtx<'_>, args: Args<'_>) -> CommandResult {
    let count = int(&args[2])?;
    if count == i64::MIN {
        return Err(OUT_OF_RANGE);
    }
    let key = ctx.key(args, 1);
    let mut removed = 0;
    if let KeySlot::Occupied(mut place) = ctx.db.entry(key) {
        place.get().expect(TypeName::List)?;
        let limit = if count == 0 { usize::MAX } else { usize::try_from(count.unsigned_abs()).unwrap_or(usize::MAX) };
        removed = list::remove_equal(&mut place, &args[3], limit, count < 0);
        if removed > 0 {
            place.removed(removed, KeyEvent::list("lrem").first());
        }
    }
    ctx.reply.int(removed as i64);
    Ok(())
}

const LTRIM_EVENT: KeyEvent = KeyEvent::list("ltrim").first();

fn ltrim(ctx: &mut DataCtx<'_>, args: Args<'_>) -> CommandResult {
    let (start, stop) = (int(&args[2])?, int(&args[3])?);
    let key = ctx.key(args, 1);
    if let KeySlot::Occupied(mut place) = ctx.db.entry(key) {
        let len = place.get().list()?.len();
        let kept = range_of(start, stop, len);
        let gone = len - kept.len();
        if kept.is_empty() {
            place.emptied(gone, LTRIM_EVENT);
        } else {
            if gone > 0 {
                list::trim(&mut place, kept);
            }
            // Who watches the list is told even if it is as before, as in Redis.
            place.changed(gone, LTRIM_EVENT);
        }
    }
    ctx.reply.ok();
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_that_count_from_the_end() {
        assert_eq!([0, 4, 5, -1, -5, -6].map(|n| place_of(n, 5)), [Some(0), Some(4), None, Some(4), Some(0), None]);
        assert_eq!([i64::MIN, i64::MAX].map(|n| place_of(n, 5)), [None, None]);
        for (start, stop, range) in [
            (0, -1, 0..5),
            (-3, -2, 2..4),
            (-100, 100, 0..5),
            (3, 1, 0..0),
            (5, 10, 0..0),
            (0, -6, 0..0),
            (i64::MIN, i64::MAX, 0..5),
            (i64::MAX, i64::MIN, 0..0),
            (2, 2, 2..3),
        ] {
            assert_eq!(range_of(start, stop, 5), range, "{start} {stop}");
        }
    }
}
