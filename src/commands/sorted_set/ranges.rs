//! ZRANGE, in all its forms: by rank, by score, by member; forwards and backwards; replied or stored.

use super::{BAD_MEMBERS, BAD_SCORES, reply_begin, reply_element};
use crate::blocking::Progress;
use crate::db::{KeyEvent, Readable};
use crate::exec::args::int;
use crate::exec::ctx::{Ctx, DataCtx, ReadResult};
use crate::exec::error::{self, CommandError, CommandResult};
use crate::exec::long_read::{Pace, When};
use crate::exec::spec::{Access, ArgSpec, Arity, CommandSpec, Flags, Group, Handler, KeySpec};
use crate::resp::Args;
use crate::types::contract::DataType;
use crate::types::value::NewValue;
use crate::types::zset::spec::{LexRange, ScoreRange, ranks};
use crate::types::zset::{NewZset, ZsetRef};
use std::ops::Range;

pub(super) static ZRANGE: CommandSpec = CommandSpec {
    name: "zrange",
    summary: "Returns members by rank, by score or by name.",
    complexity: "O(log(N)+M), M the members returned",
    since: "1.2.0",
    group: Group::SortedSet,
    arity: Arity::AtLeast(4),
    flags: Flags::READONLY,
    keys: &[KeySpec::at(1, Access::READ_ONLY.or(Access::ACCESS))],
    args: &[
        ArgSpec::key("key"),
        ArgSpec::string("start"),
        ArgSpec::string("stop"),
        ArgSpec::one_of("sortby", &[ArgSpec::word("byscore", "BYSCORE"), ArgSpec::word("bylex", "BYLEX")])
            .optional()
            .since("6.2.0"),
        ArgSpec::word("rev", "REV").optional().since("6.2.0"),
        ArgSpec::block("limit", &[ArgSpec::integer("offset"), ArgSpec::integer("count")])
            .token("LIMIT")
            .optional()
            .since("6.2.0"),
        ArgSpec::word("withscores", "WITHSCORES").optional(),
    ],
    handler: Handler::Read { now: zrange, past: zrange },
    ..CommandSpec::BASE
};

pub(super) static ZRANGESTORE: CommandSpec = CommandSpec {
    name: "zrangestore",
    summary: "Stores members by rank, by score or by name.",
    complexity: "O(log(N)+M), M the members stored",
    since: "6.2.0",
    group: Group::SortedSet,
    arity: Arity::AtLeast(5),
    flags: Flags::WRITE.or(Flags::DENYOOM),
    keys: &[KeySpec::at(1, Access::OVERWRITE.or(Access::UPDATE)), KeySpec::at(2, Access::READ_ONLY.or(Access::ACCESS))],
    args: &[
        ArgSpec::key("dst"),
        ArgSpec::key_of("src", 1),
        ArgSpec::string("min"),
        ArgSpec::string("max"),
        ArgSpec::one_of("sortby", &[ArgSpec::word("byscore", "BYSCORE"), ArgSpec::word("bylex", "BYLEX")]).optional(),
        ArgSpec::word("rev", "REV").optional(),
        ArgSpec::block("limit", &[ArgSpec::integer("offset"), ArgSpec::integer("count")]).token("LIMIT").optional(),
    ],
    handler: Handler::Data(zrangestore),
    ..CommandSpec::BASE
};

pub(super) static ZRANGEBYSCORE: CommandSpec = CommandSpec {
    name: "zrangebyscore",
    summary: "Returns the members with scores in a range.",
    complexity: "O(log(N)+M), M the members returned",
    since: "1.0.5",
    group: Group::SortedSet,
    arity: Arity::AtLeast(4),
    flags: Flags::READONLY,
    keys: &[KeySpec::at(1, Access::READ_ONLY.or(Access::ACCESS))],
    args: &[
        ArgSpec::key("key"),
        ArgSpec::double("min"),
        ArgSpec::double("max"),
        ArgSpec::word("withscores", "WITHSCORES").optional().since("2.0.0"),
        ArgSpec::block("limit", &[ArgSpec::integer("offset"), ArgSpec::integer("count")]).token("LIMIT").optional(),
    ],
    deprecated: Some(("6.2.0", "ZRANGE with the BYSCORE argument")),
    handler: Handler::Read { now: zrangebyscore, past: zrangebyscore },
    ..CommandSpec::BASE
};

pub(super) static ZREVRANGEBYSCORE: CommandSpec = CommandSpec {
    name: "zrevrangebyscore",
    summary: "Returns the members with scores in a range, the highest score first.",
    complexity: "O(log(N)+M), M the members returned",
    since: "2.2.0",
    group: Group::SortedSet,
    arity: Arity::AtLeast(4),
    flags: Flags::READONLY,
    keys: &[KeySpec::at(1, Access::READ_ONLY.or(Access::ACCESS))],
    args: &[
        ArgSpec::key("key"),
        ArgSpec::double("max"),
        ArgSpec::double("min"),
        ArgSpec::word("withscores", "WITHSCORES").optional(),
        ArgSpec::block("limit", &[ArgSpec::integer("offset"), ArgSpec::integer("count")]).token("LIMIT").optional(),
    ],
    deprecated: Some(("6.2.0", "ZRANGE with the REV and BYSCORE arguments")),
    handler: Handler::Read { now: zrevrangebyscore, past: zrevrangebyscore },
    ..CommandSpec::BASE
};

pub(super) static ZRANGEBYLEX: CommandSpec = CommandSpec {
    name: "zrangebylex",
    summary: "Returns the members between two others, all scores being equal.",
    complexity: "O(log(N)+M), M the members returned",
    since: "2.8.9",
    group: Group::SortedSet,
    arity: Arity::AtLeast(4),
    flags: Flags::READONLY,
    keys: &[KeySpec::at(1, Access::READ_ONLY.or(Access::ACCESS))],
    args: &[
        ArgSpec::key("key"),
        ArgSpec::string("min"),
        ArgSpec::string("max"),
        ArgSpec::block("limit", &[ArgSpec::integer("offset"), ArgSpec::integer("count")]).token("LIMIT").optional(),
    ],
    deprecated: Some(("6.2.0", "ZRANGE with the BYLEX argument")),
    handler: Handler::Read { now: zrangebylex, past: zrangebylex },
    ..CommandSpec::BASE
};

pub(super) static ZREVRANGEBYLEX: CommandSpec = CommandSpec {
    name: "zrevrangebylex",
    summary: "Returns the members between two others backwards, all scores being equal.",
    complexity: "O(log(N)+M), M the members returned",
    since: "2.8.9",
    group: Group::SortedSet,
    arity: Arity::AtLeast(4),
    flags: Flags::READONLY,
    keys: &[KeySpec::at(1, Access::READ_ONLY.or(Access::ACCESS))],
    args: &[
        ArgSpec::key("key"),
        ArgSpec::string("max"),
        ArgSpec::string("min"),
        ArgSpec::block("limit", &[ArgSpec::integer("offset"), ArgSpec::integer("count")]).token("LIMIT").optional(),
    ],
    deprecated: Some(("6.2.0", "ZRANGE with the REV and BYLEX arguments")),
    handler: Handler::Read { now: zrevrangebylex, past: zrevrangebylex },
    ..CommandSpec::BASE
};

pub(super) static ZREVRANGE: CommandSpec = CommandSpec {
    name: "zrevrange",
    summary: "Returns members by rank, the highest score first.",
    complexity: "O(log(N)+M), M the members returned",
    since: "1.2.0",
    group: Group::SortedSet,
    arity: Arity::AtLeast(4),
    flags: Flags::READONLY,
    keys: &[KeySpec::at(1, Access::READ_ONLY.or(Access::ACCESS))],
    args: &[
        ArgSpec::key("key"),
        ArgSpec::integer("start"),
        ArgSpec::integer("stop"),
        ArgSpec::word("withscores", "WITHSCORES").optional(),
    ],
    deprecated: Some(("6.2.0", "ZRANGE with the REV argument")),
    handler: Handler::Read { now: zrevrange, past: zrevrange },
    ..CommandSpec::BASE
};

/// What the ends of the range are.
#[derive(Clone, Copy, PartialEq, Eq)]
enum By {
    Rank,
    Score,
    Member,
}

/// What the name of the command leaves open.
#[derive(Clone, Copy)]
struct Form {
    by: Option<By>,
    reverse: Option<bool>,
}

fn zrange<W: When>(ctx: &mut Ctx<'_, W>, args: Args<'_>) -> ReadResult {
    show(ctx, args, Form { by: None, reverse: None })
}

fn zrevrange<W: When>(ctx: &mut Ctx<'_, W>, args: Args<'_>) -> ReadResult {
    show(ctx, args, Form { by: Some(By::Rank), reverse: Some(true) })
}

fn zrangebyscore<W: When>(ctx: &mut Ctx<'_, W>, args: Args<'_>) -> ReadResult {
    show(ctx, args, Form { by: Some(By::Score), reverse: Some(false) })
}

fn zrevrangebyscore<W: When>(ctx: &mut Ctx<'_, W>, args: Args<'_>) -> ReadResult {
    show(ctx, args, Form { by: Some(By::Score), reverse: Some(true) })
}

fn zrangebylex<W: When>(ctx: &mut Ctx<'_, W>, args: Args<'_>) -> ReadResult {
    show(ctx, args, Form { by: Some(By::Member), reverse: Some(false) })
}

fn zrevrangebylex<W: When>(ctx: &mut Ctx<'_, W>, args: Args<'_>) -> ReadResult {
    show(ctx, args, Form { by: Some(By::Member), reverse: Some(true) })
}

/// The part that is meant.
enum Part<'a> {
    Ranks(i64, i64),
    Scores(ScoreRange),
    Members(LexRange<'a>),
}

/// What a request asks for of its source, whose key is argument `source`.
struct Wish<'a> {
    part: Part<'a>,
    reverse: bool,
    limit: Option<(i64, i64)>,
    scores: bool,
}

fn parse(args: Args<'_>, source: usize, form: Form) -> Result<Wish<'_>, CommandError> {
    let stores = source > 1;
    let (mut by, mut reverse) = (form.by, form.reverse);
    let (mut scores, mut limit) = (false, None);
    let mut at = source + 3;
    while let Some(word) = args.get(at) {
        let is = |name: &str| word.eq_ignore_ascii_case(name.as_bytes());
        if is("withscores") && !stores {
            scores = true;
        } else if is("limit") && at + 2 < args.len() {
            limit = Some((int(&args[at + 1])?, int(&args[at + 2])?));
            at += 2;
        } else if is("rev") && reverse.is_none() {
            reverse = Some(true);
        } else if is("bylex") && by.is_none() {
            by = Some(By::Member);
        } else if is("byscore") && by.is_none() {
            by = Some(By::Score);
        } else {
            return Err(error::SYNTAX);
        }
        at += 1;
    }
    let (by, reverse) = (by.unwrap_or(By::Rank), reverse.unwrap_or(false));
    if limit.is_some_and(|(_, count)| count != -1) && by == By::Rank {
        return Err(CommandError::fixed(
            "ERR syntax error, LIMIT is only supported in combination with either BYSCORE or BYLEX",
        ));
    }
    if scores && by == By::Member {
        return Err(CommandError::fixed("ERR syntax error, WITHSCORES not supported in combination with BYLEX"));
    }
    let get = |at: usize| args.get(at).expect("the arity was checked");
    let (mut min, mut max) = (get(source + 1), get(source + 2));
    if reverse && by != By::Rank {
        std::mem::swap(&mut min, &mut max);
    }
    let part = match by {
        By::Rank => Part::Ranks(int(min)?, int(max)?),
        By::Score => Part::Scores(ScoreRange::parse(min, max).ok_or(BAD_SCORES)?),
        By::Member => Part::Members(LexRange::parse(min, max).ok_or(BAD_MEMBERS)?),
    };
    Ok(Wish { part, reverse, limit, scores })
}

fn show<W: When>(ctx: &mut Ctx<'_, W>, args: Args<'_>, form: Form) -> ReadResult {
    let Wish { part, reverse, limit, scores } = parse(args, 1, form)?;
    let key = ctx.key(args, 1);
    let Some(entry) = ctx.db.lookup_read(key) else {
        ctx.reply.array(0);
        return Ok(Progress::Done);
    };
    let (set, reply) = (entry.zset()?, &mut *ctx.reply);
    let ranks = chosen(set, &part, reverse, limit);
    if ctx.pace.is_long(ranks.len()) {
        return Ok(Progress::long_read());
    }
    reply_begin(reply, ranks.len(), scores);
    set.walk_while(ranks, reverse, |member, score| {
        reply_element(reply, member, scores.then_some(score));
        ctx.pace.goes_on(reply)
    });
    Ok(Progress::Done)
}

fn zrangestore(ctx: &mut DataCtx<'_>, args: Args<'_>) -> CommandResult {
    let Wish { part, reverse, limit, .. } = parse(args, 2, Form { by: None, reverse: None })?;
    let key = ctx.key(args, 2);
    let mut pairs: Vec<(f64, Vec<u8>)> = Vec::new();
    if let Some(entry) = ctx.db.lookup_read(key) {
        let set = entry.zset()?;
        set.walk(chosen(set, &part, reverse, limit), reverse, |member, score| {
            let mut name = Vec::new();
            member.push_to(&mut name);
            pairs.push((score, name));
        });
    }
    store(ctx, args, pairs)
}

/// The ranks that are meant, within the limit.
fn chosen(set: ZsetRef<'_>, part: &Part<'_>, reverse: bool, limit: Option<(i64, i64)>) -> Range<usize> {
    let len = set.len();
    let meant = match part {
        Part::Ranks(start, stop) => {
            let asked = ranks(*start, *stop, len);
            if reverse { len - asked.end..len - asked.start } else { asked }
        }
        Part::Scores(range) => set.ranks_of_scores(range),
        Part::Members(range) => set.ranks_of_members(range, reverse),
    };
    let Some((offset, count)) = limit.filter(|_| !matches!(part, Part::Ranks(..))) else { return meant };
    let Ok(offset) = usize::try_from(offset) else { return 0..0 };
    let offset = offset.min(meant.len());
    let count = usize::try_from(count).unwrap_or(usize::MAX).min(meant.len() - offset);
    if reverse {
        let end = meant.end - offset;
        end - count..end
    } else {
        let start = meant.start + offset;
        start..start + count
    }
}

fn store(ctx: &mut DataCtx<'_>, args: Args<'_>, mut pairs: Vec<(f64, Vec<u8>)>) -> CommandResult {
    let to = ctx.key(args, 1);
    let count = pairs.len();
    if count == 0 {
        ctx.db.remove(to);
    } else {
        let set = NewZset::of(&mut ctx.db.maker(), &mut pairs);
        ctx.db.entry(to).set_value(NewValue::Zset(set), KeyEvent::zset("zrangestore"));
    }
    ctx.reply.int(count as i64);
    Ok(())
}
