//! XDELEX and XACKDEL: deleting entries with regard to the groups that know them.

use super::{ids, stream_mut};
use crate::db::{KeyEvent, KeySlot};
use crate::exec::ctx::DataCtx;
use crate::exec::error::{self, CommandError, CommandResult};
use crate::exec::spec::{Access, ArgSpec, Arity, CommandSpec, Flags, Group, Handler, KeySpec};
use crate::resp::{Args, Reply};
use crate::types::contract::TypeName;
use crate::types::stream::Deletion;
use crate::types::stream::entries::References;
use crate::types::stream::id::StreamId;
use crate::util::num;

pub(super) static XDELEX: CommandSpec = CommandSpec {
    name: "xdelex",
    summary: "Removes entries from a stream, and says what of references to them in groups.",
    complexity: "O(log N) an entry",
    since: "8.2.0",
    group: Group::Stream,
    arity: Arity::AtLeast(5),
    flags: Flags::WRITE.or(Flags::FAST),
    keys: &[KeySpec::at(1, Access::READ_WRITE.or(Access::DELETE))],
    args: &[
        ArgSpec::key("key"),
        ids::CONDITION,
        ArgSpec::block("ids", &[ArgSpec::integer("numids"), ArgSpec::string("id").multiple()]).token("IDS"),
    ],
    handler: Handler::Data(xdelex),
    ..CommandSpec::BASE
};

pub(super) static XACKDEL: CommandSpec = CommandSpec {
    name: "xackdel",
    summary: "Acknowledges entries in a group and removes them from the stream.",
    complexity: "O(log N) an entry",
    since: "8.2.0",
    group: Group::Stream,
    arity: Arity::AtLeast(6),
    flags: Flags::WRITE.or(Flags::FAST),
    keys: &[KeySpec::at(1, Access::READ_WRITE.or(Access::UPDATE).or(Access::DELETE))],
    args: &[
        ArgSpec::key("key"),
        ArgSpec::string("group"),
        ids::CONDITION,
        ArgSpec::block("ids", &[ArgSpec::integer("numids"), ArgSpec::string("id").multiple()]).token("IDS"),
    ],
    handler: Handler::Data(xackdel),
    ..CommandSpec::BASE
};

/// Replies for one id.
const DONE: i64 = 1;
const ABSENT: i64 = -1;
const NEEDED: i64 = 2;

const BAD_COUNT: CommandError = CommandError::fixed("ERR Number of IDs must be a positive integer");
const WRONG_COUNT: CommandError = CommandError::fixed("ERR The `numids` parameter must match the number of arguments");

/// What stands behind the key (and the group).
struct Options<'a> {
    references: References,
    /// Not looked at yet: where there is no stream, any text is an id.
    texts: Args<'a>,
    count: usize,
}

impl<'a> Options<'a> {
    fn parse(args: Args<'a>, mut at: usize) -> Result<Options<'a>, CommandError> {
        let (mut references, mut texts) = (None, None);
        while at < args.len() {
            if args[at].eq_ignore_ascii_case(b"IDS") && at + 1 < args.len() {
                let count = num::parse_i64(&args[at + 1]).and_then(|n| usize::try_from(n).ok());
                let count = count.filter(|n| *n > 0).ok_or(BAD_COUNT)?;
                at += 2;
                if count > args.len() - at {
                    return Err(WRONG_COUNT);
                }
                texts = Some((args.skip(at), count));
                at += count;
            } else if let (None, Some(said)) = (references, ids::references(&args[at])) {
                references = Some(said);
                at += 1;
            } else {
                return Err(error::SYNTAX);
            }
        }
        let (texts, count) = texts.ok_or(error::SYNTAX)?;
        Ok(Options { references: references.unwrap_or_default(), texts, count })
    }

    fn ids(&self) -> Result<Vec<StreamId>, CommandError> {
        self.texts.iter().take(self.count).map(ids::id).collect()
    }
}

fn xdelex(ctx: &mut DataCtx<'_>, args: Args<'_>) -> CommandResult {
    delete(ctx, args, None, 2)
}

fn xackdel(ctx: &mut DataCtx<'_>, args: Args<'_>) -> CommandResult {
    delete(ctx, args, args.get(2), 3)
}

/// Deletes entries, with a group only those that it acknowledges by this. Replies what came of each.
fn delete(ctx: &mut DataCtx<'_>, args: Args<'_>, group: Option<&[u8]>, options_at: usize) -> CommandResult {
    let key = ctx.key(args, 1);
    let slot = ctx.db.entry(key);
    if let Some(entry) = slot.get() {
        entry.expect(TypeName::Stream)?;
    }
    let options = Options::parse(args, options_at)?;
    let reply = &mut *ctx.reply;
    let nothing = |reply: &mut Reply| {
        reply.array(options.count);
        (0..options.count).for_each(|_| reply.int(ABSENT));
    };
    let KeySlot::Occupied(mut place) = slot else {
        nothing(reply);
        return Ok(());
    };
    let stream = place.get().stream()?;
    let found = group.map(|name| stream.groups().and_then(|groups| groups.group(name)));
    if let Some(None) = found {
        nothing(reply);
        return Ok(());
    }
    let ids = options.ids()?;
    let (stream, heap) = stream_mut(&mut place);
    let (mut changes, mut gone) = (0, 0);
    reply.array(ids.len());
    for id in ids {
        if let Some(group) = found.flatten() {
            if !stream.groups_mut(heap).acknowledge(heap, &group, id) {
                reply.int(ABSENT);
                continue;
            }
            changes += 1;
        }
        let deletion = stream.delete_with(heap, id, options.references);
        gone += usize::from(deletion == Deletion::Done);
        changes += usize::from(matches!(deletion, Deletion::Done | Deletion::Forgotten));
        reply.int(match deletion {
            Deletion::Done => DONE,
            Deletion::Needed => NEEDED,
            // An entry that was pending is gone by now, whether or not it was there.
            Deletion::Absent | Deletion::Forgotten => {
                if group.is_some() {
                    DONE
                } else {
                    ABSENT
                }
            }
        });
    }
    if changes > 0 {
        stream.find_first();
        place.changed_quietly(changes);
    }
    if gone > 0 {
        place.notify(KeyEvent::stream("xdel"));
    }
    Ok(())
}
