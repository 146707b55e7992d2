//! ZUNION, ZINTER, ZDIFF and their STORE forms; ZINTERCARD. Plain sets count as sorted sets whose scores are all 1.

use super::{reply_begin, reply_element};
use crate::blocking::Progress;
use crate::collections::listpack::Item;
use crate::db::{Key, KeyEvent, Readable, Reading};
use crate::exec::args::int;
use crate::exec::ctx::{Ctx, DataCtx, ReadResult};
use crate::exec::error::{self, CommandError, CommandResult};
use crate::exec::long_read::{Here, Pace, When};
use crate::exec::spec::{Access, ArgSpec, Arity, CommandSpec, Flags, Group, Handler, KeySpec};
use crate::resp::Args;
use crate::types::contract::DataType;
use crate::types::set::SetRef;
use crate::types::value::{NewValue, ValueRef};
use crate::types::zset::{NewZset, ZsetRef};
use crate::util::num;
use std::collections::{HashMap, HashSet};

pub(super) static ZUNION: CommandSpec = CommandSpec {
    name: "zunion",
    summary: "Returns the members that any of several sorted sets has.",
    complexity: "O(N+M*log(M)), N the members of all sets, M the result",
    since: "6.2.0",
    group: Group::SortedSet,
    arity: Arity::AtLeast(3),
    flags: Flags::READONLY,
    keys: &[KeySpec::counted(1, 1, Access::READ_ONLY.or(Access::ACCESS))],
    args: &[
        ArgSpec::integer("numkeys"),
        ArgSpec::key("key").multiple(),
        ArgSpec::integer("weight").token("WEIGHTS").multiple().optional(),
        ArgSpec::one_of(
            "aggregate",
            &[ArgSpec::word("sum", "SUM"), ArgSpec::word("min", "MIN"), ArgSpec::word("max", "MAX")],
        )
        .token("AGGREGATE")
        .optional(),
        ArgSpec::word("withscores", "WITHSCORES").optional(),
    ],
    handler: Handler::Read { now: zunion, past: zunion },
    ..CommandSpec::BASE
};

pub(super) static ZINTER: CommandSpec = CommandSpec {
    name: "zinter",
    summary: "Returns the members that all of several sorted sets have.",
    complexity: "O(N*K+M*log(M)), N the smallest set, K the sets, M the result",
    since: "6.2.0",
    group: Group::SortedSet,
    arity: Arity::AtLeast(3),
    flags: Flags::READONLY,
    keys: &[KeySpec::counted(1, 1, Access::READ_ONLY.or(Access::ACCESS))],
    args: &[
        ArgSpec::integer("numkeys"),
        ArgSpec::key("key").multiple(),
        ArgSpec::integer("weight").token("WEIGHTS").multiple().optional(),
        ArgSpec::one_of(
            "aggregate",
            &[ArgSpec::word("sum", "SUM"), ArgSpec::word("min", "MIN"), ArgSpec::word("max", "MAX")],
        )
        .token("AGGREGATE")
        .optional(),
        ArgSpec::word("withscores", "WITHSCORES").optional(),
    ],
    handler: Handler::Read { now: zinter, past: zinter },
    ..CommandSpec::BASE
};

pub(super) static ZDIFF: CommandSpec = CommandSpec {
    name: "zdiff",
    summary: "Returns the members that only the first of several sorted sets has.",
    complexity: "O(N), N the members of all sets",
    since: "6.2.0",
    group: Group::SortedSet,
    arity: Arity::AtLeast(3),
    flags: Flags::READONLY,
    keys: &[KeySpec::counted(1, 1, Access::READ_ONLY.or(Access::ACCESS))],
    args: &[
        ArgSpec::integer("numkeys"),
        ArgSpec::key("key").multiple(),
        ArgSpec::word("withscores", "WITHSCORES").optional(),
    ],
    handler: Handler::Read { now: zdiff, past: zdiff },
    ..CommandSpec::BASE
};

pub(super) static ZUNIONSTORE: CommandSpec = CommandSpec {
    name: "zunionstore",
    summary: "Stores the members that any of several sorted sets has.",
    complexity: "O(N+M*log(M)), N the members of all sets, M the result",
    since: "2.0.0",
    group: Group::SortedSet,
    arity: Arity::AtLeast(4),
    flags: Flags::WRITE.or(Flags::DENYOOM),
    keys: &[
        KeySpec::at(1, Access::OVERWRITE.or(Access::UPDATE)),
        KeySpec::counted(2, 1, Access::READ_ONLY.or(Access::ACCESS)),
    ],
    args: &[
        ArgSpec::key("destination"),
        ArgSpec::integer("numkeys"),
        ArgSpec::key_of("key", 1).multiple(),
        ArgSpec::integer("weight").token("WEIGHTS").multiple().optional(),
        ArgSpec::one_of(
            "aggregate",
            &[ArgSpec::word("sum", "SUM"), ArgSpec::word("min", "MIN"), ArgSpec::word("max", "MAX")],
        )
        .token("AGGREGATE")
        .optional(),
    ],
    handler: Handler::Data(zunionstore),
    ..CommandSpec::BASE
};

pub(super) static ZINTERSTORE: CommandSpec = CommandSpec {
    name: "zinterstore",
    summary: "Stores the members that all of several sorted sets have.",
    complexity: "O(N*K+M*log(M)), N the smallest set, K the sets, M the result",
    since: "2.0.0",
    group: Group::SortedSet,
    arity: Arity::AtLeast(4),
    flags: Flags::WRITE.or(Flags::DENYOOM),
    keys: &[
        KeySpec::at(1, Access::OVERWRITE.or(Access::UPDATE)),
        KeySpec::counted(2, 1, Access::READ_ONLY.or(Access::ACCESS)),
    ],
    args: &[
        ArgSpec::key("destination"),
        ArgSpec::integer("numkeys"),
        ArgSpec::key_of("key", 1).multiple(),
        ArgSpec::integer("weight").token("WEIGHTS").multiple().optional(),
        ArgSpec::one_of(
            "aggregate",
            &[ArgSpec::word("sum", "SUM"), ArgSpec::word("min", "MIN"), ArgSpec::word("max", "MAX")],
        )
        .token("AGGREGATE")
        .optional(),
    ],
    handler: Handler::Data(zinterstore),
    ..CommandSpec::BASE
};

pub(super) static ZDIFFSTORE: CommandSpec = CommandSpec {
    name: "zdiffstore",
    summary: "Stores the members that only the first of several sorted sets has.",
    complexity: "O(N), N the members of all sets",
    since: "6.2.0",
    group: Group::SortedSet,
    arity: Arity::AtLeast(4),
    flags: Flags::WRITE.or(Flags::DENYOOM),
    keys: &[
        KeySpec::at(1, Access::OVERWRITE.or(Access::UPDATE)),
        KeySpec::counted(2, 1, Access::READ_ONLY.or(Access::ACCESS)),
    ],
    args: &[ArgSpec::key("destination"), ArgSpec::integer("numkeys"), ArgSpec::key_of("key", 1).multiple()],
    handler: Handler::Data(zdiffstore),
    ..CommandSpec::BASE
};

pub(super) static ZINTERCARD: CommandSpec = CommandSpec {
    name: "zintercard",
    summary: "Counts the members that all of several sorted sets have.",
    complexity: "O(N*K), N the smallest set, K the sets",
    since: "7.0.0",
    group: Group::SortedSet,
    arity: Arity::AtLeast(3),
    flags: Flags::READONLY,
    keys: &[KeySpec::counted(1, 1, Access::READ_ONLY.or(Access::ACCESS))],
    args: &[
        ArgSpec::integer("numkeys"),
        ArgSpec::key("key").multiple(),
        ArgSpec::integer("limit").token("LIMIT").optional(),
    ],
    handler: Handler::Read { now: zintercard, past: zintercard },
    ..CommandSpec::BASE
};

#[derive(Clone, Copy, PartialEq, Eq)]
enum Operation {
    Union,
    Inter,
    Diff,
}

/// How scores of the same member become one.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
enum Aggregate {
    #[default]
    Sum,
    Min,
    Max,
}

impl Aggregate {
    fn join(self, a: f64, b: f64) -> f64 {
        match self {
            // Infinities of both signs make no number; Redis says 0.
            Aggregate::Sum => number(a + b),
            // A product that is no number loses, and so does the later of two zeros.
            Aggregate::Min if b < a => b,
            Aggregate::Max if b > a => b,
            Aggregate::Min | Aggregate::Max => a,
        }
    }
}

fn number(score: f64) -> f64 {
    if score.is_nan() { 0.0 } else { score }
}

/// A set that takes part.
#[derive(Clone, Copy)]
enum Source<'a> {
    Missing,
    Set(SetRef<'a>),
    Zset(ZsetRef<'a>),
}

impl Source<'_> {
    fn len(self) -> usize {
        match self {
            Source::Missing => 0,
            Source::Set(set) => set.len(),
            Source::Zset(set) => set.len(),
        }
    }

    fn score(self, member: &[u8]) -> Option<f64> {
        match self {
            Source::Missing => None,
            Source::Set(set) => set.contains(member).then_some(1.0),
            Source::Zset(set) => set.score(member),
        }
    }

    /// Shows all elements, as long as the pace allows it.
    fn each(self, pace: &mut impl Pace, mut f: impl FnMut(&[u8], f64)) {
        let mut room = itoa::Buffer::new();
        match self {
            Source::Missing => {}
            Source::Set(set) => {
                for member in set.iter() {
                    f(member.text(&mut room), 1.0);
                    if !pace.works_on() {
                        break;
                    }
                }
            }
            Source::Zset(set) => set.walk_while(0..set.len(), false, |member, score| {
                f(member.text(&mut room), score);
                pace.works_on()
            }),
        }
    }
}

/// What is asked for.
struct Wish<'a> {
    keys: Vec<Key<'a>>,
    weights: Vec<f64>,
    aggregate: Aggregate,
    scores: bool,
    /// ZINTERCARD: no more than so many are counted; 0 for all.
    limit: usize,
}

/// Where in the request things are, and what may follow the keys.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    Reply,
    Store,
    Count,
}

fn parse<'a, W: When>(
    ctx: &mut Ctx<'_, W>,
    args: Args<'a>,
    operation: Operation,
    form: Form,
) -> Result<Wish<'a>, CommandError> {
    let at = if form == Form::Store { 2 } else { 1 };
    let count = int(&args[at])?;
    if count < 1 {
        let name = &ctx.command.full_name;
        return Err(CommandError::text(format!("ERR at least 1 input key is needed for '{name}' command")));
    }
    let count = usize::try_from(count).ok().filter(|n| *n < args.len() - at).ok_or(error::SYNTAX)?;
    let mut wish =
        Wish { keys: Vec::new(), weights: vec![1.0; count], aggregate: Aggregate::Sum, scores: false, limit: 0 };
    for i in at + 1..at + 1 + count {
        let key = ctx.key(args, i);
        if let Some(entry) = ctx.db.lookup_read(key)
            && !matches!(entry.value(), ValueRef::Zset(_) | ValueRef::Set(_))
        {
            return Err(error::WRONG_TYPE);
        }
        wish.keys.push(key);
    }
    let mut next = at + 1 + count;
    let combines = operation != Operation::Diff && form != Form::Count;
    while let Some(word) = args.get(next) {
        let is = |name: &str| word.eq_ignore_ascii_case(name.as_bytes());
        let left = args.len() - next;
        if combines && left > count && is("weights") {
            for i in 0..count {
                let text = &args[next + 1 + i];
                wish.weights[i] = num::parse_f64(text).ok_or(CommandError::fixed("ERR weight value is not a float"))?;
            }
            next += 1 + count;
        } else if combines && left >= 2 && is("aggregate") {
            wish.aggregate = match &args[next + 1] {
                how if how.eq_ignore_ascii_case(b"sum") => Aggregate::Sum,
                how if how.eq_ignore_ascii_case(b"min") => Aggregate::Min,
                how if how.eq_ignore_ascii_case(b"max") => Aggregate::Max,
                _ => return Err(error::SYNTAX),
            };
            next += 2;
        } else if form == Form::Reply && is("withscores") {
            wish.scores = true;
            next += 1;
        } else if form == Form::Count && left >= 2 && is("limit") {
            let limit = num::parse_i64(&args[next + 1]).and_then(|n| usize::try_from(n).ok());
            wish.limit = limit.ok_or(CommandError::fixed("ERR LIMIT can't be negative"))?;
            next += 2;
        } else {
            return Err(error::SYNTAX);
        }
    }
    Ok(wish)
}

/// The sets that take part, each with its weight.
fn sources<'a>(reading: Reading<'a>, wish: &Wish<'_>) -> Vec<(Source<'a>, f64)> {
    let source = |key: &Key<'_>| match reading.peek(*key).map(|entry| entry.value()) {
        Some(ValueRef::Zset(set)) => Source::Zset(set),
        Some(ValueRef::Set(set)) => Source::Set(set),
        _ => Source::Missing,
    };
    wish.keys.iter().map(source).zip(wish.weights.iter().copied()).collect()
}

/// What computing the result costs, in elements of a sorted set that is sent as it is.
fn cost(operation: Operation, sources: &[(Source<'_>, f64)]) -> usize {
    /// To look for a member; to collect it, and bring it in order.
    const FOUND: usize = 4;
    const COLLECTED: usize = 10;
    let mut lengths = sources.iter().map(|(source, _)| source.len());
    match operation {
        Operation::Inter => lengths.min().unwrap_or(0).saturating_mul(sources.len()).saturating_mul(FOUND),
        Operation::Union => lengths.sum::<usize>().saturating_mul(COLLECTED),
        Operation::Diff => {
            let first = lengths.next().unwrap_or(0);
            let gone = lengths.sum::<usize>().min(first.saturating_mul(sources.len()));
            first.saturating_mul(COLLECTED).saturating_add(if first > 0 { gone.saturating_mul(FOUND) } else { 0 })
        }
    }
}

/// The elements of the result, in no order.
fn compute(
    mut sources: Vec<(Source<'_>, f64)>,
    operation: Operation,
    wish: &Wish<'_>,
    pace: &mut impl Pace,
) -> Vec<(f64, Vec<u8>)> {
    if operation != Operation::Diff {
        sources.sort_by_key(|(source, _)| source.len());
    }
    let mut result = Vec::new();
    match operation {
        Operation::Union => {
            let mut all: HashMap<Vec<u8>, f64> = HashMap::new();
            for (source, weight) in sources {
                source.each(pace, |member, score| {
                    let score = number(score * weight);
                    match all.get_mut(member) {
                        Some(known) => *known = wish.aggregate.join(*known, score),
                        None => drop(all.insert(member.to_vec(), score)),
                    }
                });
            }
            result.reserve_exact(all.len());
            for (member, score) in all {
                result.push((score, member));
                pace.works_on();
            }
        }
        Operation::Inter => {
            let Some(((first, weight), others)) = sources.split_first() else { return result };
            first.each(pace, |member, score| {
                if wish.limit > 0 && result.len() >= wish.limit {
                    return;
                }
                let mut joined = number(score * weight);
                for (other, weight) in others {
                    let Some(score) = other.score(member) else { return };
                    joined = wish.aggregate.join(joined, score * weight);
                }
                result.push((joined, member.to_vec()));
            });
        }
        Operation::Diff => {
            let Some(((first, _), others)) = sources.split_first() else { return result };
            // With few others each member is looked for; with many small ones their members are gathered first.
            let gone: usize = others.iter().map(|(other, _)| other.len()).sum();
            let mut gathered: HashSet<Vec<u8>> = HashSet::new();
            let gather = gone < first.len();
            if gather {
                others.iter().for_each(|(other, _)| {
                    other.each(pace, |member, _| {
                        gathered.insert(member.to_vec());
                    });
                });
            }
            first.each(pace, |member, score| {
                let known = match gather {
                    true => gathered.contains(member),
                    false => others.iter().any(|(other, _)| other.score(member).is_some()),
                };
                if !known {
                    result.push((score, member.to_vec()));
                }
            });
        }
    }
    result
}

fn reply<W: When>(ctx: &mut Ctx<'_, W>, args: Args<'_>, operation: Operation) -> ReadResult {
    let wish = parse(ctx, args, operation, Form::Reply)?;
    let sources = sources(ctx.db.reading().0, &wish);
    if ctx.pace.is_long(cost(operation, &sources)) {
        return Ok(Progress::long_read());
    }
    let mut result = compute(sources, operation, &wish, &mut ctx.pace);
    result.sort_by(|a, b| {
        ctx.pace.works_on();
        a.0.partial_cmp(&b.0).unwrap_or(std::cmp::Ordering::Equal).then_with(|| a.1.cmp(&b.1))
    });
    reply_begin(ctx.reply, result.len(), wish.scores);
    // Each is freed when it is sent: a million at once would take a while.
    for (score, member) in result {
        reply_element(ctx.reply, Item::Bytes(&member), wish.scores.then_some(score));
        if !ctx.pace.goes_on(ctx.reply) {
            break;
        }
    }
    Ok(Progress::Done)
}

fn store(ctx: &mut DataCtx<'_>, args: Args<'_>, operation: Operation) -> CommandResult {
    let wish = parse(ctx, args, operation, Form::Store)?;
    let event = KeyEvent::zset(match operation {
        Operation::Union => "zunionstore",
        Operation::Inter => "zinterstore",
        Operation::Diff => "zdiffstore",
    });
    let (sources, mut pace) = (sources(ctx.db.reading().0, &wish), Here::ANYTHING);
    let mut result = compute(sources, operation, &wish, &mut pace);
    let to = ctx.key(args, 1);
    let count = result.len();
    if count == 0 {
        ctx.db.remove(to);
    } else {
        let set = NewZset::of(&mut ctx.db.maker(), &mut result);
        ctx.db.entry(to).set_value(NewValue::Zset(set), event);
    }
    ctx.reply.int(count as i64);
    Ok(())
}

fn zunion<W: When>(ctx: &mut Ctx<'_, W>, args: Args<'_>) -> ReadResult {
    reply(ctx, args, Operation::Union)
}

fn zinter<W: When>(ctx: &mut Ctx<'_, W>, args: Args<'_>) -> ReadResult {
    reply(ctx, args, Operation::Inter)
}

fn zdiff<W: When>(ctx: &mut Ctx<'_, W>, args: Args<'_>) -> ReadResult {
    reply(ctx, args, Operation::Diff)
}

fn zunionstore(ctx: &mut DataCtx<'_>, args: Args<'_>) -> CommandResult {
    store(ctx, args, Operation::Union)
}

fn zinterstore(ctx: &mut DataCtx<'_>, args: Args<'_>) -> CommandResult {
    store(ctx, args, Operation::Inter)
}

fn zdiffstore(ctx: &mut DataCtx<'_>, args: Args<'_>) -> CommandResult {
    store(ctx, args, Operation::Diff)
}

fn zintercard<W: When>(ctx: &mut Ctx<'_, W>, args: Args<'_>) -> ReadResult {
    let wish = parse(ctx, args, Operation::Inter, Form::Count)?;
    let sources = sources(ctx.db.reading().0, &wish);
    if ctx.pace.is_long(cost(Operation::Inter, &sources)) {
        return Ok(Progress::long_read());
    }
    let count = compute(sources, Operation::Inter, &wish, &mut ctx.pace).len();
    ctx.reply.int(count as i64);
    Ok(Progress::Done)
}
