//! ZRANDMEMBER: members chosen at random, each as likely as any other.

use super::{reply_begin, reply_element, reply_member};
use crate::exec::args::int;
use crate::exec::ctx::DataCtx;
use crate::exec::error::{self, CommandError, CommandResult};
use crate::exec::room::BULK_BYTES_MIN;
use crate::exec::spec::{Access, ArgSpec, Arity, CommandSpec, Flags, Group, Handler, KeySpec};
use crate::resp::Args;
use crate::types::contract::DataType;
use crate::util::rng::Rng;
use std::collections::HashSet;

pub(super) static ZRANDMEMBER: CommandSpec = CommandSpec {
    name: "zrandmember",
    summary: "Returns members chosen at random.",
    complexity: "O(N), N the members returned",
    since: "6.2.0",
    group: Group::SortedSet,
    arity: Arity::AtLeast(2),
    flags: Flags::READONLY,
    keys: &[KeySpec::at(1, Access::READ_ONLY.or(Access::ACCESS))],
    args: &[
        ArgSpec::key("key"),
        ArgSpec::block("options", &[ArgSpec::integer("count"), ArgSpec::word("withscores", "WITHSCORES").optional()])
            .optional(),
    ],
    tips: &["nondeterministic_output"],
    handler: Handler::Data(zrandmember),
    ..CommandSpec::BASE
};

fn zrandmember(ctx: &mut DataCtx<'_>, args: Args<'_>) -> CommandResult {
    let count = args.get(2).map(int).transpose()?;
    if count == Some(i64::MIN) {
        let most = i64::MAX;
        return Err(CommandError::text(format!("ERR value is out of range, value must between -{most} and {most}")));
    }
    let scores = match args.len() {
        2 | 3 => false,
        4 if args[3].eq_ignore_ascii_case(b"withscores") => true,
        _ => return Err(error::SYNTAX),
    };
    // Twice the count must have a name, too.
    if scores && count.is_some_and(|count| count.abs() > i64::MAX / 2) {
        return Err(error::OUT_OF_RANGE);
    }
    let (mut random, room) = (ctx.db.random(), ctx.reply_room());
    let key = ctx.key(args, 1);
    let set = ctx.db.lookup_read(key).map(|entry| entry.zset()).transpose()?;
    let Some(set) = set else {
        match count {
            None => ctx.reply.null(),
            Some(_) => ctx.reply.array(0),
        }
        return Ok(());
    };
    let len = set.len();
    let Some(count) = count else {
        let rank = random.index(len);
        set.walk(rank..rank + 1, false, |member, _| reply_member(ctx.reply, member));
        return Ok(());
    };
    if count < 0 {
        let count = usize::try_from(count.unsigned_abs()).unwrap_or(usize::MAX);
        room.admit(count, BULK_BYTES_MIN)?;
        reply_begin(ctx.reply, count, scores);
        for _ in 0..count {
            let rank = random.index(len);
            set.walk(rank..rank + 1, false, |member, score| reply_element(ctx.reply, member, scores.then_some(score)));
            if !room.goes_on(ctx.reply)? {
                break;
            }
        }
        return Ok(());
    }
    let ranks = different(&mut random, len, count as usize);
    reply_begin(ctx.reply, ranks.len(), scores);
    for rank in ranks {
        set.walk(rank..rank + 1, false, |member, score| reply_element(ctx.reply, member, scores.then_some(score)));
    }
    Ok(())
}

/// So many different ranks, all of them if there are no more.
fn different(random: &mut Rng, len: usize, wanted: usize) -> Vec<usize> {
    if wanted >= len {
        return (0..len).collect();
    }
    // Floyd: every choice of `wanted` among `len` is as likely as any other.
    let mut chosen = HashSet::with_capacity(wanted);
    for last in len - wanted..len {
        let rank = random.index(last + 1);
        if !chosen.insert(rank) {
            chosen.insert(last);
        }
    }
    chosen.into_iter().collect()
}
