//! XCLAIM and XAUTOCLAIM: pending entries that another consumer takes over.

use super::propagation::{Claimed, GroupName, owners};
use super::{CREATE_CONSUMER_EVENT, count_lookup, ids, no_key_or_group, replies, stream_mut};
use crate::cow::Heap;
use crate::db::{KeySlot, Occupied};
use crate::exec::ctx::DataCtx;
use crate::exec::error::{self, CommandError, CommandResult};
use crate::exec::spec::{Access, ArgSpec, Arity, CommandSpec, Flags, Group, Handler, KeySpec};
use crate::resp::Args;
use crate::types::stream::StreamObject;
use crate::types::stream::groups::{self, Consumer};
use crate::types::stream::id::StreamId;
use crate::util::num;

pub(super) static XCLAIM: CommandSpec = CommandSpec {
    name: "xclaim",
    summary: "Gives pending entries to another consumer of the group.",
    complexity: "O(log N) an entry",
    since: "5.0.0",
    group: Group::Stream,
    arity: Arity::AtLeast(6),
    flags: Flags::WRITE.or(Flags::FAST),
    keys: &[KeySpec::at(1, Access::READ_WRITE.or(Access::UPDATE))],
    args: &[
        ArgSpec::key("key"),
        ArgSpec::string("group"),
        ArgSpec::string("consumer"),
        ArgSpec::string("min-idle-time"),
        ArgSpec::string("id").multiple(),
        ArgSpec::integer("ms").token("IDLE").optional(),
        ArgSpec::unix_time("unix-time-milliseconds").token("TIME").optional(),
        ArgSpec::integer("count").token("RETRYCOUNT").optional(),
        ArgSpec::word("force", "FORCE").optional(),
        ArgSpec::word("justid", "JUSTID").optional(),
        ArgSpec::string("lastid").token("LASTID").optional(),
    ],
    tips: &["nondeterministic_output"],
    handler: Handler::Data(xclaim),
    ..CommandSpec::BASE
};

pub(super) static XAUTOCLAIM: CommandSpec = CommandSpec {
    name: "xautoclaim",
    summary: "Gives pending entries that were idle for long to another consumer, a few at a call.",
    complexity: "O(M), M the entries looked at",
    since: "6.2.0",
    group: Group::Stream,
    arity: Arity::AtLeast(6),
    flags: Flags::WRITE.or(Flags::FAST),
    keys: &[KeySpec::at(1, Access::READ_WRITE.or(Access::DELETE))],
    args: &[
        ArgSpec::key("key"),
        ArgSpec::string("group"),
        ArgSpec::string("consumer"),
        ArgSpec::string("min-idle-time"),
        ArgSpec::string("start"),
        ArgSpec::integer("count").token("COUNT").optional(),
        ArgSpec::word("justid", "JUSTID").optional(),
    ],
    tips: &["nondeterministic_output"],
    handler: Handler::Data(xautoclaim),
    ..CommandSpec::BASE
};

const BAD_CLAIM_IDLE: CommandError = CommandError::fixed("ERR Invalid min-idle-time argument for XCLAIM");
const BAD_AUTOCLAIM_IDLE: CommandError = CommandError::fixed("ERR Invalid min-idle-time argument for XAUTOCLAIM");
const BAD_IDLE: CommandError = CommandError::fixed("ERR Invalid IDLE option argument for XCLAIM");
const BAD_TIME: CommandError = CommandError::fixed("ERR Invalid TIME option argument for XCLAIM");
const BAD_RETRYCOUNT: CommandError = CommandError::fixed("ERR Invalid RETRYCOUNT option argument for XCLAIM");
const BAD_COUNT: CommandError = CommandError::fixed("ERR COUNT must be > 0");

/// XAUTOCLAIM looks at so many entries for each that it may return.
const TRIES_PER_ENTRY: u64 = 10;
const COUNT_DEFAULT: u64 = 100;
const COUNT_MAX: u64 = i64::MAX as u64 / 16;

/// The place of a stream with a group of this name.
fn with_group<'a>(slot: KeySlot<'a>, args: Args<'_>) -> Result<(Occupied<'a>, groups::Group), CommandError> {
    let KeySlot::Occupied(place) = slot else { return Err(no_key_or_group(&args[1], &args[2])) };
    let stream = place.get().stream()?;
    let Some(group) = stream.groups().and_then(|groups| groups.group(&args[2])) else {
        return Err(no_key_or_group(&args[1], &args[2]));
    };
    Ok((place, group))
}

/// The consumer of this name, who has just been seen, and is made if need be. True if it was made.
pub(super) fn seen_consumer(
    stream: &mut StreamObject,
    heap: &mut Heap,
    group: &groups::Group,
    name: &[u8],
    now_ms: i64,
) -> (Consumer, bool) {
    let groups = stream.groups_mut(heap);
    let is_new = groups.create_consumer(heap, group, name, now_ms);
    let mut consumer = groups.consumer(group, name).expect("it was made if it was not there");
    if consumer.seen_ms != now_ms {
        consumer.seen_ms = now_ms;
        groups.update_consumer(heap, group, name, &consumer);
    }
    (consumer, is_new)
}

/// The options behind the ids of XCLAIM.
#[derive(Default)]
struct Claim {
    delivered_ms: Option<i64>,
    deliveries: Option<u64>,
    force: bool,
    just_id: bool,
    last_id: StreamId,
}

impl Claim {
    fn parse(args: Args<'_>, mut at: usize, now_ms: i64) -> Result<Claim, CommandError> {
        let mut claim = Claim::default();
        while at < args.len() {
            let (word, value) = (&args[at], args.get(at + 1));
            let number = |refusal| value.and_then(num::parse_i64).ok_or(refusal);
            if word.eq_ignore_ascii_case(b"FORCE") {
                claim.force = true;
            } else if word.eq_ignore_ascii_case(b"JUSTID") {
                claim.just_id = true;
            } else if let Some(value) = value
                && let Some(option) = ["IDLE", "TIME", "RETRYCOUNT", "LASTID"]
                    .into_iter()
                    .find(|option| word.eq_ignore_ascii_case(option.as_bytes()))
            {
                match option {
                    "IDLE" => claim.delivered_ms = Some(now_ms.wrapping_sub(number(BAD_IDLE)?)),
                    "TIME" => claim.delivered_ms = Some(number(BAD_TIME)?),
                    // A negative number is as good as none.
                    "RETRYCOUNT" => claim.deliveries = u64::try_from(number(BAD_RETRYCOUNT)?).ok(),
                    _ => claim.last_id = ids::id(value)?,
                }
                at += 1;
            } else {
                return Err(CommandError::quoting("ERR Unrecognized XCLAIM option '", word, "'"));
            }
            at += 1;
        }
        Ok(claim)
    }
}

fn xclaim(ctx: &mut DataCtx<'_>, args: Args<'_>) -> CommandResult {
    let key = ctx.key(args, 1);
    let now_ms = ctx.db.clock_ms();
    count_lookup(ctx, key);
    let (mut place, mut group) = with_group(ctx.db.entry(key), args)?;
    let idle_ms = num::parse_i64(&args[4]).ok_or(BAD_CLAIM_IDLE)?.max(0);
    let wanted: Vec<StreamId> = args.skip(5).iter().map_while(|text| StreamId::parse(text, 0)).collect();
    let claim = Claim::parse(args, 5 + wanted.len(), now_ms)?;
    let mut claims = place.propagates().then(Vec::new);
    // A time that cannot be is no reason to refuse: clocks differ.
    let delivered_ms = claim.delivered_ms.filter(|ms| (0..=now_ms).contains(ms)).unwrap_or(now_ms);
    let (stream, heap) = stream_mut(&mut place);
    let moves = claim.last_id > group.last_id;
    if moves {
        group.last_id = claim.last_id;
        stream.groups_mut(heap).update(heap, &args[2], &group);
    }
    let (mut consumer, is_new) = seen_consumer(stream, heap, &group, &args[3], now_ms);
    let head = ctx.reply.array_deferred();
    let (mut n, mut gone) = (0, 0);
    let (entries, groups) = stream.entries_and_groups(heap);
    let mut finder = entries.finder();
    for id in wanted {
        let pending = groups.pending(&group, id);
        let Some(entry) = finder.find(id) else {
            // What is pending of an entry that is gone goes too.
            if let Some(pending) = pending {
                groups.acknowledge(heap, &group, id);
                gone += 1;
                claims.iter_mut().for_each(|claims| claims.push(was_pending(&pending)));
            }
            continue;
        };
        let deliveries = match pending {
            Some(pending) if pending.idle_ms(now_ms) < idle_ms && idle_ms > 0 => continue,
            Some(pending) => pending.deliveries,
            None if claim.force => 1,
            None => continue,
        };
        let deliveries = claim.deliveries.unwrap_or(deliveries.wrapping_add(u64::from(!claim.just_id)));
        groups.deliver(heap, &consumer, id, delivered_ms, deliveries);
        if let Some(claims) = &mut claims {
            claims.push(Claimed { id, delivered_ms, deliveries, owner: None });
        }
        if claim.just_id {
            replies::id(ctx.reply, id);
        } else {
            replies::entry(ctx.reply, &entry);
        }
        n += 1;
    }
    ctx.reply.set_array_len(head, n);
    if n > 0 {
        consumer.active_ms = now_ms;
        stream.groups_mut(heap).update_consumer(heap, &group, &args[3], &consumer);
    }
    // The last id goes with whatever else changed.
    let changes = usize::from(is_new) + (n + gone).max(usize::from(moves));
    settle_claim(&mut place, changes, is_new);
    if let Some(claims) = claims {
        let owners = owners(stream_mut(&mut place).0.groups().expect("it has a group"), &group, &claims);
        let name = GroupName { key, group: &args[2] };
        name.propagate_claims(&mut ctx.db, (&args[3], is_new), &claims, &owners, group.last_id);
        if moves && claims.is_empty() {
            name.propagate_position(&mut ctx.db, &group);
        }
    }
    Ok(())
}

/// A pending entry that goes, because what was pending is no more.
fn was_pending(pending: &groups::Pending) -> Claimed {
    let groups::Pending { id, delivered_ms, deliveries, .. } = *pending;
    Claimed { id, delivered_ms, deliveries, owner: Some(pending.consumer()) }
}

fn settle_claim(place: &mut Occupied<'_>, changes: usize, is_new: bool) {
    if changes > 0 {
        place.changed_quietly(changes);
    }
    if is_new {
        place.notify(CREATE_CONSUMER_EVENT);
    }
}

fn xautoclaim(ctx: &mut DataCtx<'_>, args: Args<'_>) -> CommandResult {
    let idle_ms = num::parse_i64(&args[4]).ok_or(BAD_AUTOCLAIM_IDLE)?.max(0);
    let start = ids::start(&args[5])?;
    let (mut count, mut just_id) = (COUNT_DEFAULT, false);
    let mut at = 6;
    while at < args.len() {
        if args[at].eq_ignore_ascii_case(b"COUNT") && at + 1 < args.len() {
            at += 1;
            let given = num::parse_i64(&args[at]).and_then(|n| u64::try_from(n).ok());
            count = given.filter(|n| (1..=COUNT_MAX).contains(n)).ok_or(BAD_COUNT)?;
        } else if args[at].eq_ignore_ascii_case(b"JUSTID") {
            just_id = true;
        } else {
            return Err(error::SYNTAX);
        }
        at += 1;
    }
    let key = ctx.key(args, 1);
    let now_ms = ctx.db.clock_ms();
    count_lookup(ctx, key);
    let (mut place, group) = with_group(ctx.db.entry(key), args)?;
    let mut claims = place.propagates().then(Vec::new);
    let (stream, heap) = stream_mut(&mut place);
    let (mut consumer, is_new) = seen_consumer(stream, heap, &group, &args[3], now_ms);
    let (mut claimed, mut gone) = (vec![], vec![]);
    let mut tries = count.saturating_mul(TRIES_PER_ENTRY);
    let mut next = StreamId::MIN;
    let (entries, groups) = stream.entries_and_groups(heap);
    let mut finder = entries.finder();
    groups.claim(heap, &group, &consumer, start, |pending| {
        let id = pending.id;
        if tries == 0 || count == 0 {
            next = id;
            return groups::Claim::Stop;
        }
        tries -= 1;
        if finder.find(id).is_none() {
            gone.push(id);
            claims.iter_mut().for_each(|claims| claims.push(was_pending(pending)));
            count -= 1;
            groups::Claim::Forget
        } else if idle_ms == 0 || pending.idle_ms(now_ms) >= idle_ms {
            claimed.push(id);
            count -= 1;
            let deliveries = pending.deliveries.wrapping_add(u64::from(!just_id));
            if let Some(claims) = &mut claims {
                claims.push(Claimed { id, delivered_ms: now_ms, deliveries, owner: None });
            }
            groups::Claim::Take { delivered_ms: now_ms, deliveries }
        } else {
            groups::Claim::Leave
        }
    });
    let reply = &mut *ctx.reply;
    reply.array(3);
    replies::id(reply, next);
    reply.array(claimed.len());
    let mut finder = stream.entries().finder();
    for id in &claimed {
        let entry = if just_id { None } else { finder.find(*id) };
        match entry {
            Some(entry) => replies::entry(reply, &entry),
            None => replies::id(reply, *id),
        }
    }
    reply.array(gone.len());
    gone.iter().for_each(|id| replies::id(reply, *id));
    if !claimed.is_empty() {
        consumer.active_ms = now_ms;
        stream.groups_mut(heap).update_consumer(heap, &group, &args[3], &consumer);
    }
    settle_claim(&mut place, usize::from(is_new) + claimed.len() + gone.len(), is_new);
    if let Some(claims) = claims {
        let owners = owners(stream_mut(&mut place).0.groups().expect("it has a group"), &group, &claims);
        let name = GroupName { key, group: &args[2] };
        name.propagate_claims(&mut ctx.db, (&args[3], is_new), &claims, &owners, group.last_id);
    }
    Ok(())
}
