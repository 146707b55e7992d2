//! The group `sorted_set`: members in the order of their scores.
//!
//! | file | commands |
//! | --- | --- |
//! | `members.rs` | ZADD, ZINCRBY, ZREM, ZCARD, ZSCORE, ZMSCORE, ZRANK, ZREVRANK, ZSCAN |
//! | `ranges.rs` | ZRANGE and all its older forms, ZRANGESTORE: which part is meant |
//! | `counts.rs` | ZCOUNT, ZLEXCOUNT, ZREMRANGEBYRANK, ZREMRANGEBYSCORE, ZREMRANGEBYLEX |
//! | `pop.rs` | ZPOPMIN, ZPOPMAX, ZMPOP, and those that wait |
//! | `algebra.rs` | ZUNION, ZINTER, ZDIFF, with and without STORE; ZINTERCARD |
//! | `random.rs` | ZRANDMEMBER |

mod algebra;
mod counts;
mod members;
mod pop;
mod random;
mod ranges;

use crate::collections::listpack::Item;
use crate::exec::ctx::DataCtx;
use crate::exec::error::CommandError;
use crate::exec::spec::CommandSpec;
use crate::resp::{Args, Proto, Reply};
use crate::types::zset::ZsetRef;

pub(super) static COMMANDS: &[&CommandSpec] = &[
    &members::ZADD,
    &members::ZINCRBY,
    &members::ZREM,
    &members::ZCARD,
    &members::ZSCORE,
    &members::ZMSCORE,
    &members::ZRANK,
    &members::ZREVRANK,
    &members::ZSCAN,
    &ranges::ZRANGE,
    &ranges::ZRANGESTORE,
    &ranges::ZRANGEBYSCORE,
    &ranges::ZREVRANGEBYSCORE,
    &ranges::ZRANGEBYLEX,
    &ranges::ZREVRANGEBYLEX,
    &ranges::ZREVRANGE,
    &counts::ZCOUNT,
    &counts::ZLEXCOUNT,
    &counts::ZREMRANGEBYRANK,
    &counts::ZREMRANGEBYSCORE,
    &counts::ZREMRANGEBYLEX,
    &pop::ZPOPMIN,
    &pop::ZPOPMAX,
    &pop::ZMPOP,
    &pop::BZPOPMIN,
    &pop::BZPOPMAX,
    &pop::BZMPOP,
    &algebra::ZUNION,
    &algebra::ZINTER,
    &algebra::ZDIFF,
    &algebra::ZUNIONSTORE,
    &algebra::ZINTERSTORE,
    &algebra::ZDIFFSTORE,
    &algebra::ZINTERCARD,
    &random::ZRANDMEMBER,
];

const BAD_SCORES: CommandError = CommandError::fixed("ERR min or max is not a float");
const BAD_MEMBERS: CommandError = CommandError::fixed("ERR min or max not valid string range item");

/// The sorted set of the key that argument `at` names, to be read.
fn zset_of<'c>(ctx: &'c mut DataCtx<'_>, args: Args<'_>, at: usize) -> Result<Option<ZsetRef<'c>>, CommandError> {
    let key = ctx.key(args, at);
    Ok(ctx.db.lookup_read(key).map(|entry| entry.zset()).transpose()?)
}

#[inline]
fn reply_member(reply: &mut Reply, member: Item<'_>) {
    match member {
        Item::Int(n) => reply.bulk_int(n),
        Item::Bytes(text) => reply.bulk(text),
    }
}

/// Begins a reply of so many elements; with scores they are pairs in RESP3 and one after the other in RESP2.
fn reply_begin(reply: &mut Reply, count: usize, scores: bool) {
    let flat = scores && reply.proto == Proto::Resp2;
    reply.array(if flat { 2 * count } else { count });
}

/// One element of such a reply.
fn reply_element(reply: &mut Reply, member: Item<'_>, score: Option<f64>) {
    if score.is_some() && reply.proto != Proto::Resp2 {
        reply.array(2);
    }
    reply_member(reply, member);
    if let Some(score) = score {
        reply.double(score);
    }
}
