//! One member at a time, and the set as a whole: ZADD, ZINCRBY, ZREM, ZCARD, ZSCORE, ZMSCORE, ZRANK, ZREVRANK, ZSCAN.

use super::{reply_member, zset_of};
use crate::db::{KeyEvent, KeySlot};
use crate::exec::args::ELEMENTS_AHEAD;
use crate::exec::ctx::DataCtx;
use crate::exec::cursor::{self, Filter, Knows};
use crate::exec::error::{self, CommandError, CommandResult};
use crate::exec::spec::{Access, ArgSpec, Arity, CommandSpec, Flags, Group, Handler, KeySpec};
use crate::resp::Args;
use crate::types::contract::{DataType, Encoding, TypeName};
use crate::types::value::NewValue;
use crate::types::zset::{self, AddRule, Added, NewZset};
use crate::util::num;

pub(super) static ZADD: CommandSpec = CommandSpec {
    name: "zadd",
    summary: "Adds members to a sorted set, or gives them other scores.",
    complexity: "O(log(N)) for each member",
    since: "1.2.0",
    group: Group::SortedSet,
    arity: Arity::AtLeast(4),
    flags: Flags::WRITE.or(Flags::DENYOOM).or(Flags::FAST),
    keys: &[KeySpec::at(1, Access::READ_WRITE.or(Access::UPDATE))],
    args: &[
        ArgSpec::key("key"),
        ArgSpec::one_of("condition", &[ArgSpec::word("nx", "NX"), ArgSpec::word("xx", "XX")]).optional().since("3.0.2"),
        ArgSpec::one_of("comparison", &[ArgSpec::word("gt", "GT"), ArgSpec::word("lt", "LT")])
            .optional()
            .since("6.2.0"),
        ArgSpec::word("change", "CH").optional().since("3.0.2"),
        ArgSpec::word("increment", "INCR").optional().since("3.0.2"),
        ArgSpec::block("data", &[ArgSpec::double("score"), ArgSpec::string("member")]).multiple(),
    ],
    element: 3,
    handler: Handler::Data(zadd),
    ..CommandSpec::BASE
};

pub(super) static ZINCRBY: CommandSpec = CommandSpec {
    name: "zincrby",
    summary: "Adds to the score of a member.",
    complexity: "O(log(N))",
    since: "1.2.0",
    group: Group::SortedSet,
    arity: Arity::Exactly(4),
    flags: Flags::WRITE.or(Flags::DENYOOM).or(Flags::FAST),
    keys: &[KeySpec::at(1, Access::READ_WRITE.or(Access::ACCESS).or(Access::UPDATE))],
    args: &[ArgSpec::key("key"), ArgSpec::integer("increment"), ArgSpec::string("member")],
    element: 3,
    handler: Handler::Data(zincrby),
    ..CommandSpec::BASE
};

pub(super) static ZREM: CommandSpec = CommandSpec {
    name: "zrem",
    summary: "Removes members.",
    complexity: "O(M*log(N)), M the members",
    since: "1.2.0",
    group: Group::SortedSet,
    arity: Arity::AtLeast(3),
    flags: Flags::WRITE.or(Flags::FAST),
    keys: &[KeySpec::at(1, Access::READ_WRITE.or(Access::DELETE))],
    args: &[ArgSpec::key("key"), ArgSpec::string("member").multiple()],
    element: 2,
    handler: Handler::Data(zrem),
    ..CommandSpec::BASE
};

pub(super) static ZCARD: CommandSpec = CommandSpec {
    name: "zcard",
    summary: "Counts the members of a sorted set.",
    since: "1.2.0",
    group: Group::SortedSet,
    arity: Arity::Exactly(2),
    flags: Flags::READONLY.or(Flags::FAST),
    keys: &[KeySpec::at(1, Access::READ_ONLY)],
    args: &[ArgSpec::key("key")],
    handler: Handler::Data(zcard),
    ..CommandSpec::BASE
};

pub(super) static ZSCORE: CommandSpec = CommandSpec {
    name: "zscore",
    summary: "Returns the score of a member.",
    since: "1.2.0",
    group: Group::SortedSet,
    arity: Arity::Exactly(3),
    flags: Flags::READONLY.or(Flags::FAST),
    keys: &[KeySpec::at(1, Access::READ_ONLY.or(Access::ACCESS))],
    args: &[ArgSpec::key("key"), ArgSpec::string("member")],
    element: 2,
    handler: Handler::Data(zscore),
    ..CommandSpec::BASE
};

pub(super) static ZMSCORE: CommandSpec = CommandSpec {
    name: "zmscore",
    summary: "Returns the scores of members.",
    complexity: "O(N), N the members asked for",
    since: "6.2.0",
    group: Group::SortedSet,
    arity: Arity::AtLeast(3),
    flags: Flags::READONLY.or(Flags::FAST),
    keys: &[KeySpec::at(1, Access::READ_ONLY.or(Access::ACCESS))],
    args: &[ArgSpec::key("key"), ArgSpec::string("member").multiple()],
    element: 2,
    handler: Handler::Data(zmscore),
    ..CommandSpec::BASE
};

pub(super) static ZRANK: CommandSpec = CommandSpec {
    name: "zrank",
    summary: "Returns how many members come before one.",
    complexity: "O(log(N))",
    since: "2.0.0",
    group: Group::SortedSet,
    arity: Arity::AtLeast(3),
    flags: Flags::READONLY.or(Flags::FAST),
    keys: &[KeySpec::at(1, Access::READ_ONLY.or(Access::ACCESS))],
    args: &[ArgSpec::key("key"), ArgSpec::string("member"), ArgSpec::word("withscore", "WITHSCORE").optional()],
    element: 2,
    handler: Handler::Data(zrank),
    ..CommandSpec::BASE
};

pub(super) static ZREVRANK: CommandSpec = CommandSpec {
    name: "zrevrank",
    summary: "Returns how many members come after one.",
    complexity: "O(log(N))",
    since: "2.0.0",
    group: Group::SortedSet,
    arity: Arity::AtLeast(3),
    flags: Flags::READONLY.or(Flags::FAST),
    keys: &[KeySpec::at(1, Access::READ_ONLY.or(Access::ACCESS))],
    args: &[ArgSpec::key("key"), ArgSpec::string("member"), ArgSpec::word("withscore", "WITHSCORE").optional()],
    element: 2,
    handler: Handler::Data(zrevrank),
    ..CommandSpec::BASE
};

pub(super) static ZSCAN: CommandSpec = CommandSpec {
    name: "zscan",
    summary: "Iterates over the members of a sorted set, a few at a call.",
    complexity: "O(1) a call, O(N) for the whole iteration",
    since: "2.8.0",
    group: Group::SortedSet,
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
    handler: Handler::Data(zscan),
    ..CommandSpec::BASE
};

const NOT_A_NUMBER: CommandError = CommandError::fixed("ERR resulting score is not a number (NaN)");

fn zadd(ctx: &mut DataCtx<'_>, args: Args<'_>) -> CommandResult {
    let mut rule = AddRule::default();
    let mut count_moved = false;
    let mut first = 2;
    while let Some(word) = args.get(first) {
        match word {
            _ if word.eq_ignore_ascii_case(b"nx") => rule.new_only = true,
            _ if word.eq_ignore_ascii_case(b"xx") => rule.known_only = true,
            _ if word.eq_ignore_ascii_case(b"gt") => rule.greater_only = true,
            _ if word.eq_ignore_ascii_case(b"lt") => rule.lower_only = true,
            _ if word.eq_ignore_ascii_case(b"incr") => rule.increment = true,
            _ if word.eq_ignore_ascii_case(b"ch") => count_moved = true,
            _ => break,
        }
        first += 1;
    }
    let given = args.len() - first;
    if given == 0 || !given.is_multiple_of(2) {
        return Err(error::SYNTAX);
    }
    if rule.new_only && rule.known_only {
        return Err(CommandError::fixed("ERR XX and NX options at the same time are not compatible"));
    }
    let both = rule.greater_only && rule.lower_only;
    if both || (rule.new_only && (rule.greater_only || rule.lower_only)) {
        return Err(CommandError::fixed("ERR GT, LT, and/or NX options at the same time are not compatible"));
    }
    if rule.increment && given > 2 {
        return Err(CommandError::fixed("ERR INCR option supports a single increment-element pair"));
    }
    add(ctx, args, first, rule, count_moved)
}

fn zincrby(ctx: &mut DataCtx<'_>, args: Args<'_>) -> CommandResult {
    add(ctx, args, 2, AddRule { increment: true, ..AddRule::default() }, false)
}

/// Adds the pairs of scores and members that begin at argument `first`.
fn add(ctx: &mut DataCtx<'_>, args: Args<'_>, first: usize, rule: AddRule, count_moved: bool) -> CommandResult {
    let pairs = (args.len() - first) / 2;
    let mut scores = Vec::with_capacity(pairs);
    for at in (first..args.len()).step_by(2) {
        scores.push(num::parse_f64(&args[at]).ok_or(error::NOT_FLOAT)?);
    }
    let key = ctx.key(args, 1);
    let mut entry = match ctx.db.entry(key) {
        KeySlot::Occupied(mut entry) => {
            entry.get().expect(TypeName::Zset)?;
            if pairs > 1 {
                zset::expect_more(&mut entry, pairs);
            }
            entry
        }
        KeySlot::Vacant(_) if rule.known_only => {
            if rule.increment {
                ctx.reply.null();
            } else {
                ctx.reply.int(0);
            }
            return Ok(());
        }
        KeySlot::Vacant(mut place) => {
            // As in Redis, only the first member says of how long they are.
            let set = NewZset::empty(&place.maker(), pairs, args.len_of(first + 1));
            place.insert_value(NewValue::Zset(set))
        }
    };
    let (mut new, mut moved) = (0, 0);
    let mut last = None;
    let mut failure = None;
    for (i, score) in scores.into_iter().enumerate() {
        let at = first + 2 * i + 1;
        let added = if args.has_long() {
            zset::add(&mut entry, rule, score, args.text(at))
        } else {
            zset::add(&mut entry, rule, score, &args[at])
        };
        last = match added {
            Ok(Added::New(score)) => {
                new += 1;
                Some(score)
            }
            Ok(Added::Moved(score)) => {
                moved += 1;
                Some(score)
            }
            Ok(Added::Same(score)) => Some(score),
            Ok(Added::Refused) => None,
            Err(_) => {
                failure = Some(NOT_A_NUMBER);
                break;
            }
        };
    }
    if new + moved > 0 {
        entry.changed(new + moved, KeyEvent::zset(if rule.increment { "zincr" } else { "zadd" }));
    }
    if let Some(error) = failure {
        return Err(error);
    }
    match last {
        Some(score) if rule.increment => ctx.reply.double(score),
        None if rule.increment => ctx.reply.null(),
        _ => ctx.reply.int((new + if count_moved { moved } else { 0 }) as i64),
    }
    Ok(())
}

fn zrem(ctx: &mut DataCtx<'_>, args: Args<'_>) -> CommandResult {
    let key = ctx.key(args, 1);
    let mut removed = 0;
    if let KeySlot::Occupied(mut entry) = ctx.db.entry(key) {
        let mut left = entry.get().zset()?.len();
        for (at, member) in (2..).zip(args.skip(2).iter()) {
            if let Some(later) = args.get(at + ELEMENTS_AHEAD) {
                entry.prefetch(later);
            }
            if zset::remove(&mut entry, member) {
                removed += 1;
                left -= 1;
                if left == 0 {
                    break;
                }
            }
        }
        if removed > 0 {
            entry.removed(removed, KeyEvent::zset("zrem").first());
        }
    }
    ctx.reply.int(removed as i64);
    Ok(())
}

fn zcard(ctx: &mut DataCtx<'_>, args: Args<'_>) -> CommandResult {
    let count = zset_of(ctx, args, 1)?.map_or(0, |set| set.len());
    ctx.reply.int(count as i64);
    Ok(())
}

fn zscore(ctx: &mut DataCtx<'_>, args: Args<'_>) -> CommandResult {
    match zset_of(ctx, args, 1)?.and_then(|set| set.score(&args[2])) {
        Some(score) => ctx.reply.double(score),
        None => ctx.reply.null(),
    }
    Ok(())
}

fn zmscore(ctx: &mut DataCtx<'_>, args: Args<'_>) -> CommandResult {
    let set = zset_of(ctx, args, 1)?;
    let scores: Vec<Option<f64>> = args.skip(2).iter().map(|member| set?.score(member)).collect();
    ctx.reply.array(scores.len());
    for score in scores {
        match score {
            Some(score) => ctx.reply.double(score),
            None => ctx.reply.null(),
        }
    }
    Ok(())
}

fn zrank(ctx: &mut DataCtx<'_>, args: Args<'_>) -> CommandResult {
    rank(ctx, args, false)
}

fn zrevrank(ctx: &mut DataCtx<'_>, args: Args<'_>) -> CommandResult {
    rank(ctx, args, true)
}

fn rank(ctx: &mut DataCtx<'_>, args: Args<'_>, reverse: bool) -> CommandResult {
    if args.len() > 4 {
        return Err(error::wrong_arity(&ctx.command.full_name));
    }
    let with_score = match args.get(3) {
        None => false,
        Some(word) if word.eq_ignore_ascii_case(b"withscore") => true,
        Some(_) => return Err(error::SYNTAX),
    };
    let set = zset_of(ctx, args, 1)?;
    let found = set.and_then(|set| set.rank(&args[2]).map(|(rank, score)| (rank, score, set.len())));
    match found {
        Some((rank, score, len)) => {
            let rank = if reverse { len - 1 - rank } else { rank };
            if with_score {
                ctx.reply.array(2);
            }
            ctx.reply.int(rank as i64);
            if with_score {
                ctx.reply.double(score);
            }
        }
        None if with_score => ctx.reply.null_array(),
        None => ctx.reply.null(),
    }
    Ok(())
}

fn zscan(ctx: &mut DataCtx<'_>, args: Args<'_>) -> CommandResult {
    let cursor = cursor::parse(&args[2])?;
    let key = ctx.key(args, 1);
    let set = ctx.db.lookup_read(key).map(|entry| entry.zset()).transpose()?;
    let Some(set) = set else {
        cursor::reply(ctx.reply, |_, _| 0);
        return Ok(());
    };
    let filter = Filter::parse(args.skip(3), Knows::Nothing)?;
    // Redis writes scores in two ways here: as a listpack has them, and with seventeen digits.
    let digits = set.encoding() == Encoding::Skiplist;
    let mut text = Vec::with_capacity(24);
    cursor::reply(ctx.reply, |reply, found| {
        set.scan(cursor, filter.count, |member, score| {
            if filter.pattern.matches(member.text(&mut itoa::Buffer::new())) {
                reply_member(reply, member);
                if digits {
                    text.clear();
                    num::push_f64_17(&mut text, score);
                    reply.bulk(&text);
                } else {
                    reply.bulk_f64(score);
                }
                *found += 2;
            }
        })
    });
    Ok(())
}
