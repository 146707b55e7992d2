//! SORT and SORT_RO: the elements of a list, set or sorted set in another order, or other keys' values in their stead.
//!
//! ```text
//! SORT key [BY pattern] [LIMIT offset count] [GET pattern ...] [ASC | DESC] [ALPHA] [STORE destination]
//! ```
//!
//! A pattern names a key for each element: the element takes the place of the first `*`. `weight_*` is a string;
//! `user_*->age` is a field of a hash; `#` is the element itself. A BY pattern without `*` means: do not sort.

use std::cmp::Ordering;
use std::ops::{ControlFlow, Range};

use crate::collections::listpack::Item;
use crate::exec::args::int;
use crate::exec::ctx::DataCtx;
use crate::exec::error::{self, CommandError, CommandResult};
use crate::exec::room::ELEMENT_BYTES_MIN;
use crate::exec::spec::{Access, ArgSpec, Arity, Categories, CommandSpec, Flags, Group, Handler, KeySpec};
use crate::resp::Args;
use crate::types::contract::DataType;
use crate::types::list::{NewList, Side};
use crate::types::value::{NewValue, ValueRef};
use crate::util::num;

const ON_TYPES: Categories =
    Categories::SET.and(Categories::SORTEDSET).and(Categories::LIST).and(Categories::DANGEROUS);

const PATTERN_KEYS: KeySpec = KeySpec::searched(|_| None, Access::READ_ONLY.and(Access::ACCESS))
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
    flags: Flags::WRITE.and(Flags::DENYOOM).and(Flags::UNDECLARED_KEYS),
    categories: ON_TYPES,
    keys: &[
        KeySpec::at(1, Access::READ_ONLY.and(Access::ACCESS)),
        PATTERN_KEYS,
        KeySpec::searched(store_key, Access::OVERWRITE.and(Access::UPDATE)).note("STORE may stand anywhere"),
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
    handler: Handler::Data(sort),
    ..CommandSpec::BASE
};

pub(super) static SORT_RO: CommandSpec = CommandSpec {
    name: "sort_ro",
    summary: "Sorts the elements of a list, set or sorted set, and returns them.",
    complexity: "O(N+M*log(M)), N the elements, M those returned",
    since: "7.0.0",
    group: Group::Generic,
    arity: Arity::AtLeast(2),
    flags: Flags::READONLY.and(Flags::UNDECLARED_KEYS),
    categories: ON_TYPES,
    keys: &[KeySpec::at(1, Access::READ_ONLY.and(Access::ACCESS)), PATTERN_KEYS],
    args: &[ArgSpec::key("key"), BY, LIMIT, GET, ORDER, ALPHA],
    handler: Handler::Data(sort_ro),
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
#[derive(Default)]
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

/// What an element is sorted by.
enum Weight {
    Nothing,
    Number(f64),
    Text(Vec<u8>),
}

/// The elements: their texts one after the other in one buffer.
#[derive(Default)]
struct Elements {
    texts: Vec<u8>,
    places: Vec<(Range<usize>, Weight)>,
}

impl Elements {
    fn push(&mut self, item: Item<'_>) {
        let start = self.texts.len();
        item.push_to(&mut self.texts);
        self.places.push((start..self.texts.len(), Weight::Nothing));
    }

    fn text(&self, at: usize) -> &[u8] {
        &self.texts[self.places[at].0.clone()]
    }

    /// Loads all elements of a value in its own order; only those of `range`, in the order wanted, when they are not
    /// going to be sorted and have an order.
    fn load(&mut self, value: ValueRef<'_>, wish: &Wish<'_>, as_they_are: bool) -> Result<Range<usize>, CommandError> {
        let len = match value {
            ValueRef::List(list) => list.len(),
            ValueRef::Set(set) => set.len(),
            ValueRef::Zset(zset) => DataType::len(&zset),
            _ => return Err(error::WRONG_TYPE),
        };
        let range = wish.range(len);
        match value {
            ValueRef::List(list) if as_they_are => {
                let mut left = range.len();
                if left > 0 {
                    let start = if wish.descending { len - 1 - range.start } else { range.start };
                    list.walk(start, wish.descending, |item| {
                        self.push(item);
                        left -= 1;
                        if left == 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
                    });
                }
                return Ok(0..range.len());
            }
            ValueRef::Zset(zset) if as_they_are => {
                let ranks = if wish.descending { len - range.end..len - range.start } else { range.clone() };
                zset.walk(ranks, wish.descending, |item, _| self.push(item));
                return Ok(0..range.len());
            }
            ValueRef::List(list) => list.each(|item| self.push(item)),
            ValueRef::Zset(zset) => zset.for_each(|item, _| self.push(item)),
            ValueRef::Set(set) => set.iter().for_each(|item| self.push(item)),
            _ => {}
        }
        Ok(range)
    }

    /// Finds out what each is sorted by. False when one that should be a number is none.
    fn weigh(&mut self, ctx: &mut DataCtx<'_>, by: Option<&[u8]>, alpha: bool) -> bool {
        let mut all_numbers = true;
        for at in 0..self.places.len() {
            let found = match by {
                Some(pattern) => named(ctx, pattern, self.text(at)),
                None if alpha => continue,
                None => Some(self.text(at).to_vec()),
            };
            self.places[at].1 = match found {
                None => Weight::Nothing,
                Some(text) if alpha => Weight::Text(text),
                Some(text) => {
                    let number = number(&text);
                    all_numbers &= number.is_some();
                    Weight::Number(number.unwrap_or(0.0))
                }
            };
        }
        all_numbers
    }

    fn sort(&mut self, by: bool, alpha: bool, descending: bool) {
        let texts = &self.texts;
        self.places.sort_by(|(a, a_weight), (b, b_weight)| {
            let by_text = || texts[a.clone()].cmp(&texts[b.clone()]);
            let order = match (a_weight, b_weight) {
                _ if alpha && !by => by_text(),
                (Weight::Text(a), Weight::Text(b)) => a.cmp(b),
                (Weight::Nothing, Weight::Nothing) if alpha => Ordering::Equal,
                (Weight::Nothing, _) if alpha => Ordering::Less,
                (_, Weight::Nothing) if alpha => Ordering::Greater,
                _ => {
                    let value = |weight: &Weight| match weight {
                        Weight::Number(number) => *number,
                        _ => 0.0,
                    };
                    value(a_weight).partial_cmp(&value(b_weight)).unwrap_or(Ordering::Equal).then_with(by_text)
                }
            };
            if descending { order.reverse() } else { order }
        });
    }
}

/// A weight as a number; no text at all is 0.
fn number(text: &[u8]) -> Option<f64> {
    let text = error::until_nul(text);
    if text.is_empty() { Some(0.0) } else { num::parse_decimal_f64(text) }
}

/// The value that a pattern names for an element.
fn named(ctx: &mut DataCtx<'_>, pattern: &[u8], element: &[u8]) -> Option<Vec<u8>> {
    if pattern == b"#" {
        return Some(element.to_vec());
    }
    let star = pattern.iter().position(|byte| *byte == b'*')?;
    let rest = &pattern[star + 1..];
    let arrow = rest.windows(2).position(|two| two == b"->").filter(|at| at + 2 < rest.len());
    let (after, field) = match arrow {
        Some(at) => (&rest[..at], Some(&rest[at + 2..])),
        None => (rest, None),
    };
    let name = [&pattern[..star], element, after].concat();
    let key = ctx.db.key(&name);
    let now_ms = ctx.db.now_ms();
    if let Some(field) = field {
        ctx.db.forget_if_lapsed(key, field);
    }
    match (ctx.db.lookup_read(key)?.value(), field) {
        (ValueRef::String(text), None) => Some(text.to_vec()),
        (ValueRef::Hash(hash), Some(field)) => hash.get(field, now_ms).map(|field| field.value.to_vec()),
        _ => None,
    }
}

fn sort(ctx: &mut DataCtx<'_>, args: Args<'_>) -> CommandResult {
    run(ctx, args, true)
}

fn sort_ro(ctx: &mut DataCtx<'_>, args: Args<'_>) -> CommandResult {
    run(ctx, args, false)
}

fn run(ctx: &mut DataCtx<'_>, args: Args<'_>, may_store: bool) -> CommandResult {
    let mut wish = Wish::parse(args, may_store)?;
    let key = ctx.key(args, 1);
    let found = if wish.store.is_some() { ctx.db.lookup_write(key) } else { ctx.db.lookup_read(key) };
    let mut elements = Elements::default();
    let mut range = 0..0;
    let mut sorts = !wish.is_unsorted();
    if let Some(entry) = found {
        let value = entry.value();
        if !sorts && wish.store.is_some() && matches!(value, ValueRef::Set(_)) {
            // A set has no order of its own; what is stored should not depend on how it lies in memory.
            (sorts, wish.alpha, wish.by) = (true, true, None);
        }
        range = elements.load(value, &wish, !sorts)?;
    }
    if sorts {
        if !elements.weigh(ctx, wish.by, wish.alpha) {
            return Err(NOT_NUMBERS);
        }
        elements.sort(wish.by.is_some(), wish.alpha, wish.descending);
    }
    match wish.store {
        Some(to) => store(ctx, args, to, &elements, range, &wish.gets),
        None if wish.gets.is_empty() => {
            ctx.reply.array(range.len());
            range.for_each(|at| ctx.reply.bulk(elements.text(at)));
            Ok(())
        }
        None => reply(ctx, &elements, range, &wish.gets),
    }
}

/// What patterns name for each element. That is more than all data: the same element may be there many times, and name
/// a large value with each of many patterns.
fn reply(ctx: &mut DataCtx<'_>, elements: &Elements, range: Range<usize>, gets: &[&[u8]]) -> CommandResult {
    let (room, len) = (ctx.reply_room(), range.len().saturating_mul(gets.len()));
    room.admit(len, ELEMENT_BYTES_MIN)?;
    ctx.reply.array(len);
    for at in range {
        for pattern in gets {
            match named(ctx, pattern, elements.text(at)) {
                Some(value) => ctx.reply.bulk(&value),
                None => ctx.reply.null(),
            }
            if !room.goes_on(ctx.reply)? {
                return Ok(());
            }
        }
    }
    Ok(())
}

fn store(
    ctx: &mut DataCtx<'_>,
    args: Args<'_>,
    to: usize,
    elements: &Elements,
    range: Range<usize>,
    gets: &[&[u8]],
) -> CommandResult {
    let len = range.len().saturating_mul(gets.len().max(1));
    let (mut values, mut bytes) = (Vec::new(), 0);
    if !gets.is_empty() {
        // As much as could be replied.
        let room = ctx.reply_room();
        room.admit(len, ELEMENT_BYTES_MIN)?;
        for at in range.clone() {
            for pattern in gets {
                let value = named(ctx, pattern, elements.text(at)).unwrap_or_default();
                bytes += value.len().max(ELEMENT_BYTES_MIN);
                room.admit_bytes(bytes)?;
                values.push(value);
            }
        }
    }
    let to = ctx.db.key(&args[to]);
    if len == 0 {
        ctx.db.remove(to);
    } else {
        let mut maker = ctx.db.maker();
        let list = if gets.is_empty() {
            NewList::pushed(range.map(|at| Item::of(elements.text(at))), Side::Tail, &mut maker)
        } else {
            NewList::pushed(values.iter().map(|value| Item::of(value)), Side::Tail, &mut maker)
        };
        ctx.db.entry(to).set_value(NewValue::List(list));
    }
    ctx.reply.int(len as i64);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resp::OwnedArgs;

    #[test]
    fn numbers() {
        for (text, expected) in [
            ("", 0.0),
            ("+5", 5.0),
            ("1e3", 1e3),
            (".5", 0.5),
            ("1.", 1.0),
            ("-inf", f64::NEG_INFINITY),
            ("1e400", f64::INFINITY),
        ] {
            assert_eq!(number(text.as_bytes()), Some(expected), "{text:?}");
        }
        for text in ["5 ", " 5", "x", "nan", " ", "0x10", "+-5", "-", "."] {
            assert_eq!(number(text.as_bytes()), None, "{text:?}");
        }
    }

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
