//! SORT and SORT_RO: the elements of a list, set or sorted set in another order, or other keys' values in their stead.
//!
//! ```text
//! SORT key [BY pattern] [LIMIT offset count] [GET pattern ...] [ASC | DESC] [ALPHA] [STORE destination]
//! ```
//!
//! A pattern names a key for each element: the element takes the place of the first `*`. `weight_*` is a string;
//! `user_*->age` is a field of a hash; `#` is the element itself. A BY pattern without `*` means: do not sort.

use crate::db::KeyEvent;
use std::ops::{ControlFlow, Range};

use super::sorting::{self, Named, Pattern, Texts, Weights, while_it};
use crate::blocking::Progress;
use crate::collections::listpack::Item;
use crate::db::Readable;
use crate::exec::args::int;
use crate::exec::ctx::{Ctx, DataCtx, ReadResult};
use crate::exec::error::{self, CommandError, CommandResult};
use crate::exec::long_read::{Pace, Past, When};
use crate::exec::room::ELEMENT_BYTES_MIN;
use crate::exec::spec::{Access, ArgSpec, Arity, Categories, CommandSpec, Flags, Group, Handler, KeySpec};
use crate::resp::Args;
use crate::types::list::{NewList, Side};
use crate::types::string::StringRef;
use crate::types::value::{NewValue, ValueRef};

const ON_TYPES: Categories = Categories::SET.or(Categories::SORTEDSET).or(Categories::LIST).or(Categories::DANGEROUS);

const PATTERN_KEYS: KeySpec = KeySpec::searched(|_| None, Access::READ_ONLY.or(Access::ACCESS))
    .note("which keys BY and GET name depends on the elements");

const ORDER: ArgSpec =
    ArgSpec::one_of("order", &[ArgSpec::word("asc", "ASC"), ArgSpec::word("desc", "DESC")]).optional();
const BY: ArgSpec = ArgSpec::pattern("by-pattern").token("BY").optional().display("pattern");
const LIMIT: ArgSpec =
    ArgSpec::block("limit", &[ArgSpec::integer("offset"), ArgSpec::integer("count")]).token("LIMIT").optional();
const GET: ArgSpec = ArgSpec::pattern("get-pattern").token("GET").multiple_token().optional().display("pattern");
const ALPHA: ArgSpec = ArgSpec::word("sorting", "ALPHA").optional();

pub(super) static SORT: CommandSpec = CommandSpec {
    name: "sort",
    summary: "Sorts the elements of a list, set or sorted set, and returns or stores them.",
    complexity: "O(N+M*log(M)), N the elements, M those returned",
    group: Group::Generic,
    arity: Arity::AtLeast(2),
    flags: Flags::WRITE.or(Flags::DENYOOM).or(Flags::UNDECLARED_KEYS),
    categories: ON_TYPES,
    keys: &[
        KeySpec::at(1, Access::READ_ONLY.or(Access::ACCESS)),
        PATTERN_KEYS,
        KeySpec::searched(store_key, Access::OVERWRITE.or(Access::UPDATE)).note("STORE may stand anywhere"),
    ],
    args: &[
        ArgSpec::key("key"),
        BY,
        LIMIT,
        GET,
        ORDER,
        ALPHA,
        ArgSpec::key_of("destination", 2).token("STORE").optional(),
    ],
    handler: Handler::Read { now: sort, past: sort_past },
    ..CommandSpec::BASE
};

pub(super) static SORT_RO: CommandSpec = CommandSpec {
    name: "sort_ro",
    summary: "Sorts the elements of a list, set or sorted set, and returns them.",
    complexity: "O(N+M*log(M)), N the elements, M those returned",
    since: "7.0.0",
    group: Group::Generic,
    arity: Arity::AtLeast(2),
    flags: Flags::READONLY.or(Flags::UNDECLARED_KEYS),
    categories: ON_TYPES,
    keys: &[KeySpec::at(1, Access::READ_ONLY.or(Access::ACCESS)), PATTERN_KEYS],
    args: &[ArgSpec::key("key"), BY, LIMIT, GET, ORDER, ALPHA],
    handler: Handler::Read { now: sort_ro, past: sort_ro },
    ..CommandSpec::BASE
};

const NOT_NUMBERS: CommandError = CommandError::fixed("ERR One or more scores can't be converted into double");

/// Where the destination stands: after the last STORE that is no other option's argument.
fn store_key(args: Args<'_>) -> Option<usize> {
    let (mut at, mut found) = (2, None);
    while let Some(word) = args.get(at) {
        at += match word {
            w if w.eq_ignore_ascii_case(b"limit") => 3,
            w if w.eq_ignore_ascii_case(b"get") || w.eq_ignore_ascii_case(b"by") => 2,
            w if w.eq_ignore_ascii_case(b"store") && at + 1 < args.len() => {
                found = Some(at + 1);
                1
            }
            _ => 1,
        };
    }
    found
}

/// What is asked for.
#[derive(Clone, Default)]
struct Wish<'a> {
    by: Option<&'a [u8]>,
    gets: Vec<&'a [u8]>,
    descending: bool,
    alpha: bool,
    limit: Option<(i64, i64)>,
    /// Index of the argument that names the destination.
    store: Option<usize>,
}

impl<'a> Wish<'a> {
    fn parse(args: Args<'a>, may_store: bool) -> Result<Wish<'a>, CommandError> {
        let mut wish = Wish::default();
        let mut at = 2;
        while let Some(word) = args.get(at) {
            let is = |name: &str| word.eq_ignore_ascii_case(name.as_bytes());
            let next = args.get(at + 1);
            match next {
                _ if is("asc") => wish.descending = false,
                _ if is("desc") => wish.descending = true,
                _ if is("alpha") => wish.alpha = true,
                Some(offset) if is("limit") && at + 2 < args.len() => {
                    wish.limit = Some((int(offset)?, int(&args[at + 2])?));
                    at += 2;
                }
                Some(_) if is("store") && may_store => {
                    wish.store = Some(at + 1);
                    at += 1;
                }
                Some(pattern) if is("by") => {
                    wish.by = Some(pattern);
                    at += 1;
                }
                Some(pattern) if is("get") => {
                    wish.gets.push(pattern);
                    at += 1;
                }
                _ => return Err(error::SYNTAX),
            }
            at += 1;
        }
        Ok(wish)
    }

    /// BY names no element: the order is the one there is.
    fn is_unsorted(&self) -> bool {
        self.by.is_some_and(|pattern| !pattern.contains(&b'*'))
    }

    /// Which of `len` elements in order are wanted.
    fn range(&self, len: usize) -> Range<usize> {
        let (offset, count) = self.limit.unwrap_or((0, -1));
        let start = usize::try_from(offset).unwrap_or(0).min(len);
        let count = usize::try_from(count).unwrap_or(len);
        start..start.saturating_add(count).min(len)
    }
}

/// What a request makes of its elements costs, in elements of a set that is sent as it is.
fn cost(value: ValueRef<'_>, wish: &Wish<'_>) -> usize {
    /// To sort an element, or to look for what a pattern names for it.
    const STEP: usize = 4;
    let (len, gets) = (value.len(), wish.gets.len().saturating_mul(STEP));
    if wish.is_unsorted() {
        // A set is gone through as a whole.
        let passed = if matches!(value, ValueRef::Set(_)) { len } else { 0 };
        return wish.range(len).len().saturating_mul(gets + 1).max(passed);
    }
    let by = if wish.by.is_some() { 2 * STEP } else { STEP };
    len.saturating_mul(by).saturating_add(wish.range(len).len().saturating_mul(gets))
}

/// Loads all elements of a value in its own order; only those of the range wanted, in the order wanted, when they are
/// not going to be sorted and have an order. Which of those that were loaded are wanted, then.
fn load(
    elements: &mut Texts,
    value: ValueRef<'_>,
    wish: &Wish<'_>,
    as_they_are: bool,
    pace: &mut impl Pace,
) -> Range<usize> {
    let len = value.len();
    let range = wish.range(len);
    match value {
        ValueRef::List(list) if as_they_are => {
            let mut left = range.len();
            if left > 0 {
                let start = if wish.descending { len - 1 - range.start } else { range.start };
                list.walk(start, wish.descending, |item| {
                    elements.push(item);
                    left -= 1;
                    while_it(left > 0 && pace.works_on())
                });
            }
            return 0..elements.len();
        }
        ValueRef::Zset(zset) if as_they_are => {
            let ranks = if wish.descending { len - range.end..len - range.start } else { range };
            zset.walk_while(ranks, wish.descending, |item, _| {
                elements.push(item);
                pace.works_on()
            });
            return 0..elements.len();
        }
        ValueRef::List(list) => list.walk(0, false, |item| {
            elements.push(item);
            while_it(pace.works_on())
        }),
        ValueRef::Zset(zset) => zset.walk_while(0..len, false, |item, _| {
            elements.push(item);
            pace.works_on()
        }),
        ValueRef::Set(set) => {
            for item in set.iter() {
                elements.push(item);
                if !pace.works_on() {
                    break;
                }
            }
        }
        _ => {}
    }
    // Fewer than there are if it was broken off: then for nobody.
    range.start.min(elements.len())..range.end.min(elements.len())
}

fn can_be_sorted(value: ValueRef<'_>) -> Result<ValueRef<'_>, CommandError> {
    match value {
        ValueRef::List(_) | ValueRef::Set(_) | ValueRef::Zset(_) => Ok(value),
        _ => Err(error::WRONG_TYPE),
    }
}

fn sort(ctx: &mut DataCtx<'_>, args: Args<'_>) -> ReadResult {
    let wish = Wish::parse(args, true)?;
    match wish.store {
        Some(to) => store(ctx, args, to, wish).map(|()| Progress::Done),
        None => show(ctx, args, &wish),
    }
}

fn sort_past(ctx: &mut Ctx<'_, Past>, args: Args<'_>) -> ReadResult {
    show(ctx, args, &Wish::parse(args, true)?)
}

fn sort_ro<W: When>(ctx: &mut Ctx<'_, W>, args: Args<'_>) -> ReadResult {
    show(ctx, args, &Wish::parse(args, false)?)
}

/// The elements that are wanted, by their numbers in the order wanted.
fn order<W: When>(
    ctx: &mut Ctx<'_, W>,
    elements: &Texts,
    range: Range<usize>,
    wish: &Wish<'_>,
) -> Result<Vec<usize>, CommandError> {
    if wish.is_unsorted() {
        return Ok(range.collect());
    }
    let by = wish.by.map(Pattern::of);
    let weights = Weights::of(&mut ctx.db, &mut ctx.pace, elements, by, wish.alpha).ok_or(NOT_NUMBERS)?;
    Ok(weights.order(&mut ctx.pace, elements, wish.descending, range))
}

fn show<W: When>(ctx: &mut Ctx<'_, W>, args: Args<'_>, wish: &Wish<'_>) -> ReadResult {
    let key = ctx.key(args, 1);
    let (mut elements, mut range) = (Texts::default(), 0..0);
    let mut wish = wish.clone();
    if let Some(entry) = ctx.db.lookup_read(key) {
        let value = can_be_sorted(entry.value())?;
        if ctx.in_script && wish.is_unsorted() && matches!(value, ValueRef::Set(_)) {
            (wish.by, wish.alpha) = (None, true);
        }
        let wish = &wish;
        if ctx.pace.is_long(cost(value, wish)) {
            return Ok(Progress::long_read());
        }
        range = load(&mut elements, value, wish, wish.is_unsorted(), &mut ctx.pace);
    }
    let chosen = order(ctx, &elements, range, &wish)?;
    let gets: Vec<Pattern<'_>> = wish.gets.iter().map(|pattern| Pattern::of(pattern)).collect();
    reply(ctx, &elements, &chosen, &gets).map(|()| Progress::Done)
}

/// What patterns name for each element can be more than all data: the same element may be there many times, and name a
/// large value with each of many patterns. So there is a limit to it.
fn reply<W: When>(ctx: &mut Ctx<'_, W>, elements: &Texts, chosen: &[usize], gets: &[Pattern<'_>]) -> CommandResult {
    let texts = chosen.iter().map(|at| elements.text(*at));
    if gets.is_empty() {
        ctx.reply.array(chosen.len());
        for text in texts {
            ctx.reply.bulk(text);
            if !ctx.pace.goes_on(ctx.reply) {
                break;
            }
        }
        return Ok(());
    }
    let (room, len) = (ctx.reply_room().of_patterns(), chosen.len().saturating_mul(gets.len()));
    room.admit(len, ELEMENT_BYTES_MIN)?;
    let (reply, pace) = (&mut *ctx.reply, &mut ctx.pace);
    reply.array(len);
    let ended = sorting::each_named(&mut ctx.db, gets, texts, |found| {
        match found {
            None => reply.null(),
            Some(Named::Field(item)) => match item {
                Item::Int(n) => reply.bulk_int(n),
                Item::Bytes(text) => reply.bulk(text),
            },
            Some(Named::String(text)) => match text {
                StringRef::Int(n) => reply.bulk_int(n),
                StringRef::Bytes(text) => reply.bulk(text),
                StringRef::Rope(rope) => reply.shared_bulk(rope.len(), rope.pieces(0..rope.len())),
            },
        }
        match room.goes_on(reply) {
            Ok(true) if pace.goes_on(reply) => ControlFlow::Continue(()),
            Ok(_) => ControlFlow::Break(Ok(())),
            Err(error) => ControlFlow::Break(Err(error)),
        }
    });
    ended.break_value().unwrap_or(Ok(()))
}

fn store(ctx: &mut DataCtx<'_>, args: Args<'_>, to: usize, mut wish: Wish<'_>) -> CommandResult {
    let key = ctx.key(args, 1);
    let (mut elements, mut range) = (Texts::default(), 0..0);
    let found = ctx.db.lookup_write(key).is_some();
    ctx.db.count_lookup(key, found);
    if let Some(entry) = ctx.db.lookup_write(key) {
        let value = can_be_sorted(entry.value())?;
        if wish.is_unsorted() && matches!(value, ValueRef::Set(_)) {
            // A set has no order of its own; what is stored should not depend on how it lies in memory.
            (wish.alpha, wish.by) = (true, None);
        }
        range = load(&mut elements, value, &wish, wish.is_unsorted(), &mut ctx.pace);
    }
    let chosen = order(ctx, &elements, range, &wish)?;
    let gets: Vec<Pattern<'_>> = wish.gets.iter().map(|pattern| Pattern::of(pattern)).collect();
    let len = chosen.len().saturating_mul(gets.len().max(1));
    let texts = chosen.iter().map(|at| elements.text(*at));
    let mut values = Texts::default();
    if !gets.is_empty() {
        // As much as could be replied.
        let room = ctx.reply_room().of_patterns();
        room.admit(len, ELEMENT_BYTES_MIN)?;
        let ended = sorting::each_named(&mut ctx.db, &gets, texts.clone(), |found| {
            values.push_with(|bytes| found.into_iter().for_each(|found| found.push_to(bytes)));
            match room.admit_bytes(values.memory()) {
                Ok(()) => ControlFlow::Continue(()),
                Err(error) => ControlFlow::Break(error),
            }
        });
        if let ControlFlow::Break(error) = ended {
            return Err(error);
        }
    }
    let to = ctx.db.key(&args[to]);
    if len == 0 {
        ctx.db.remove(to);
    } else {
        let mut maker = ctx.db.maker();
        let list = if gets.is_empty() {
            NewList::pushed(texts.map(Item::of), Side::Tail, &mut maker)
        } else {
            NewList::pushed(values.iter().map(Item::of), Side::Tail, &mut maker)
        };
        ctx.db.entry(to).set_value(NewValue::List(list), KeyEvent::list("sortstore"));
    }
    ctx.reply.int(len as i64);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resp::OwnedArgs;

    #[test]
    fn limits() {
        let range = |limit, len| Wish { limit, ..Wish::default() }.range(len);
        assert_eq!(range(None, 5), 0..5);
        assert_eq!(range(Some((1, 2)), 5), 1..3);
        assert_eq!(range(Some((-3, 2)), 5), 0..2);
        assert_eq!(range(Some((2, -1)), 5), 2..5);
        assert_eq!(range(Some((0, 0)), 5), 0..0);
        assert!(range(Some((9, 1)), 5).is_empty() && range(Some((5, i64::MAX)), 5).is_empty());
        assert_eq!(range(Some((i64::MIN, i64::MAX)), 5), 0..5);
    }

    #[test]
    fn where_the_destination_stands() {
        let at = |request: &str| store_key(OwnedArgs::from_parts(request.split(' ')).view());
        assert_eq!(at("sort k"), None);
        assert_eq!(at("sort k store a store b"), Some(5));
        assert_eq!(at("sort k limit store get by store"), None);
        assert_eq!(at("sort k get store store d"), Some(5));
        assert_eq!(at("sort k store"), None);
    }
}
