//! XDEL and XSETID.

use super::{ids, stream_mut};
use crate::db::{KeyEvent, KeySlot};
use crate::exec::args::int;
use crate::exec::ctx::DataCtx;
use crate::exec::error::{self, CommandError, CommandResult};
use crate::exec::spec::{Access, ArgSpec, Arity, CommandSpec, Flags, Group, Handler, KeySpec};
use crate::resp::Args;
use crate::types::contract::TypeName;
use crate::types::stream::id::StreamId;

pub(super) static XDEL: CommandSpec = CommandSpec {
    name: "xdel",
    summary: "Removes entries from a stream.",
    complexity: "O(log N) an entry",
    since: "5.0.0",
    group: Group::Stream,
    arity: Arity::AtLeast(3),
    flags: Flags::WRITE.or(Flags::FAST),
    keys: &[KeySpec::at(1, Access::READ_WRITE.or(Access::DELETE))],
    args: &[ArgSpec::key("key"), ArgSpec::string("id").multiple()],
    handler: Handler::Data(xdel),
    ..CommandSpec::BASE
};

pub(super) static XSETID: CommandSpec = CommandSpec {
    name: "xsetid",
    summary: "Sets the last id of a stream, as replication needs it.",
    since: "5.0.0",
    group: Group::Stream,
    arity: Arity::AtLeast(3),
    flags: Flags::WRITE.or(Flags::DENYOOM).or(Flags::FAST),
    keys: &[KeySpec::at(1, Access::READ_WRITE.or(Access::UPDATE))],
    args: &[
        ArgSpec::key("key"),
        ArgSpec::string("last-id"),
        ArgSpec::integer("entries-added").token("ENTRIESADDED").optional().since("7.0.0"),
        ArgSpec::string("max-deleted-id").token("MAXDELETEDID").optional().since("7.0.0"),
    ],
    handler: Handler::Data(xsetid),
    ..CommandSpec::BASE
};

const NEGATIVE_ADDED: CommandError = CommandError::fixed("ERR entries_added must be positive");
const BELOW_GIVEN_DELETED: CommandError =
    CommandError::fixed("ERR The ID specified in XSETID is smaller than the provided max_deleted_entry_id");
const BELOW_DELETED: CommandError =
    CommandError::fixed("ERR The ID specified in XSETID is smaller than current max_deleted_entry_id");
const BELOW_LAST: CommandError =
    CommandError::fixed("ERR The ID specified in XSETID is smaller than the target stream top item");
const FEWER_ADDED: CommandError =
    CommandError::fixed("ERR The entries_added specified in XSETID is smaller than the target stream length");

fn xdel(ctx: &mut DataCtx<'_>, args: Args<'_>) -> CommandResult {
    let key = ctx.key(args, 1);
    let KeySlot::Occupied(mut place) = ctx.db.entry(key) else {
        ctx.reply.int(0);
        return Ok(());
    };
    place.get().expect(TypeName::Stream)?;
    let ids = ids::ids(args, 2)?;
    let (stream, heap) = stream_mut(&mut place);
    let gone = ids.into_iter().filter(|id| stream.delete(heap, *id)).count();
    if gone > 0 {
        stream.find_first();
        place.changed(gone, KeyEvent::stream("xdel"));
    }
    ctx.reply.int(gone as i64);
    Ok(())
}

fn xsetid(ctx: &mut DataCtx<'_>, args: Args<'_>) -> CommandResult {
    let id = ids::id(&args[2])?;
    let (mut added, mut deleted) = (None, StreamId::MIN);
    let mut at = 3;
    while at < args.len() {
        let Some(value) = args.get(at + 1) else { return Err(error::SYNTAX) };
        if args[at].eq_ignore_ascii_case(b"ENTRIESADDED") {
            added = Some(u64::try_from(int(value)?).map_err(|_| NEGATIVE_ADDED)?);
        } else if args[at].eq_ignore_ascii_case(b"MAXDELETEDID") {
            deleted = ids::id(value)?;
            if id < deleted {
                return Err(BELOW_GIVEN_DELETED);
            }
        } else {
            return Err(error::SYNTAX);
        }
        at += 2;
    }
    let key = ctx.key(args, 1);
    let KeySlot::Occupied(mut place) = ctx.db.entry(key) else { return Err(error::NO_SUCH_KEY) };
    place.get().expect(TypeName::Stream)?;
    let (stream, heap) = stream_mut(&mut place);
    if id < stream.facts().max_deleted_id {
        return Err(BELOW_DELETED);
    }
    if let Some(last) = stream.entries().last() {
        if id < last.id {
            return Err(BELOW_LAST);
        }
        if added.is_some_and(|added| added < stream.entries().len()) {
            return Err(FEWER_ADDED);
        }
    }
    let mut facts = *stream.facts();
    facts.last_id = id;
    facts.entries_added = added.unwrap_or(facts.entries_added);
    if !deleted.is_zero() {
        facts.max_deleted_id = deleted;
    }
    stream.set_facts(heap, facts);
    place.changed(1, KeyEvent::stream("xsetid"));
    ctx.reply.ok();
    Ok(())
}
