//! XGROUP: consumer groups come, change and go.

use super::{CREATE_CONSUMER_EVENT, bad_subcommand, ids, no_group, stream_mut};
use crate::db::{KeyEvent, KeySlot, Occupied};
use crate::exec::args::int;
use crate::exec::ctx::DataCtx;
use crate::exec::error::{CommandError, CommandResult};
use crate::exec::help;
use crate::exec::spec::{Access, ArgSpec, Arity, CommandSpec, Flags, Group, Handler, KeySpec};
use crate::resp::Args;
use crate::types::contract::TypeName;
use crate::types::stream::NewStream;
use crate::types::stream::groups;
use crate::types::value::NewValue;

pub(super) static XGROUP: CommandSpec = CommandSpec {
    name: "xgroup",
    summary: "Container of commands that change consumer groups.",
    complexity: "see the subcommands",
    since: "5.0.0",
    group: Group::Stream,
    arity: Arity::AtLeast(2),
    subcommands: &[
        &XGROUP_CREATE,
        &XGROUP_CREATECONSUMER,
        &XGROUP_DELCONSUMER,
        &XGROUP_DESTROY,
        &XGROUP_HELP,
        &XGROUP_SETID,
    ],
    ..CommandSpec::BASE
};

static XGROUP_CREATE: CommandSpec = CommandSpec {
    name: "create",
    summary: "Creates a consumer group.",
    since: "5.0.0",
    group: Group::Stream,
    arity: Arity::AtLeast(5),
    flags: Flags::WRITE.or(Flags::DENYOOM),
    keys: &[KeySpec::at(2, Access::READ_WRITE.or(Access::INSERT))],
    args: &[
        ArgSpec::key("key"),
        ArgSpec::string("group"),
        ArgSpec::one_of("id-selector", &[ArgSpec::string("id"), ArgSpec::word("new-id", "$")]),
        ArgSpec::word("mkstream", "MKSTREAM").optional(),
        ArgSpec::integer("entriesread").token("ENTRIESREAD").optional().display("entries-read"),
    ],
    handler: Handler::Data(xgroup_create),
    ..CommandSpec::BASE
};

static XGROUP_CREATECONSUMER: CommandSpec = CommandSpec {
    name: "createconsumer",
    summary: "Creates a consumer in a group.",
    since: "6.2.0",
    group: Group::Stream,
    arity: Arity::Exactly(5),
    flags: Flags::WRITE.or(Flags::DENYOOM),
    keys: &[KeySpec::at(2, Access::READ_WRITE.or(Access::INSERT))],
    args: &[ArgSpec::key("key"), ArgSpec::string("group"), ArgSpec::string("consumer")],
    handler: Handler::Data(xgroup_createconsumer),
    ..CommandSpec::BASE
};

static XGROUP_DELCONSUMER: CommandSpec = CommandSpec {
    name: "delconsumer",
    summary: "Removes a consumer from a group.",
    complexity: "O(N), N its pending entries",
    since: "5.0.0",
    group: Group::Stream,
    arity: Arity::Exactly(5),
    flags: Flags::WRITE,
    keys: &[KeySpec::at(2, Access::READ_WRITE.or(Access::DELETE))],
    args: &[ArgSpec::key("key"), ArgSpec::string("group"), ArgSpec::string("consumer")],
    handler: Handler::Data(xgroup_delconsumer),
    ..CommandSpec::BASE
};

static XGROUP_DESTROY: CommandSpec = CommandSpec {
    name: "destroy",
    summary: "Removes a consumer group.",
    complexity: "O(N), N its pending entries",
    since: "5.0.0",
    group: Group::Stream,
    arity: Arity::Exactly(4),
    flags: Flags::WRITE,
    keys: &[KeySpec::at(2, Access::READ_WRITE.or(Access::DELETE))],
    args: &[ArgSpec::key("key"), ArgSpec::string("group")],
    handler: Handler::Data(xgroup_destroy),
    ..CommandSpec::BASE
};

static XGROUP_HELP: CommandSpec = CommandSpec {
    name: "help",
    summary: "Describes the XGROUP subcommands.",
    since: "5.0.0",
    group: Group::Stream,
    arity: Arity::Exactly(2),
    flags: Flags::LOADING.or(Flags::STALE),
    handler: Handler::Data(xgroup_help),
    ..CommandSpec::BASE
};

static XGROUP_SETID: CommandSpec = CommandSpec {
    name: "setid",
    summary: "Sets the last delivered id of a group.",
    since: "5.0.0",
    group: Group::Stream,
    arity: Arity::AtLeast(5),
    flags: Flags::WRITE,
    keys: &[KeySpec::at(2, Access::READ_WRITE.or(Access::UPDATE))],
    args: &[
        ArgSpec::key("key"),
        ArgSpec::string("group"),
        ArgSpec::one_of("id-selector", &[ArgSpec::string("id"), ArgSpec::word("new-id", "$")]),
        ArgSpec::integer("entriesread").token("ENTRIESREAD").optional().display("entries-read"),
    ],
    handler: Handler::Data(xgroup_setid),
    ..CommandSpec::BASE
};

const BUSY_GROUP: CommandError = CommandError::fixed("BUSYGROUP Consumer Group name already exists");
const NO_KEY: CommandError = CommandError::fixed(
    "ERR The XGROUP subcommand requires the key to exist. Note that for CREATE you may want to use the MKSTREAM option \
     to create an empty stream automatically.",
);
const BAD_READ: CommandError = CommandError::fixed("ERR value for ENTRIESREAD must be positive or -1");

/// The options of CREATE and SETID.
struct Options {
    make: bool,
    entries_read: Option<u64>,
}

impl Options {
    fn parse(args: Args<'_>, may_make: bool) -> Result<Options, CommandError> {
        let mut options = Options { make: false, entries_read: None };
        let mut at = 5;
        while at < args.len() {
            if may_make && args[at].eq_ignore_ascii_case(b"MKSTREAM") {
                options.make = true;
                at += 1;
            } else if args[at].eq_ignore_ascii_case(b"ENTRIESREAD") && at + 1 < args.len() {
                options.entries_read = match int(&args[at + 1])? {
                    -1 => None,
                    read => Some(u64::try_from(read).map_err(|_| BAD_READ)?),
                };
                at += 2;
            } else {
                return Err(bad_subcommand("XGROUP", &args[1]));
            }
        }
        Ok(options)
    }
}

/// The place of a stream that must be there.
fn existing(slot: KeySlot<'_>) -> Result<Occupied<'_>, CommandError> {
    match slot {
        KeySlot::Occupied(place) => {
            place.get().expect(TypeName::Stream)?;
            Ok(place)
        }
        KeySlot::Vacant(_) => Err(NO_KEY),
    }
}

/// The place of a stream with a group that must be there.
fn existing_group<'a>(slot: KeySlot<'a>, args: Args<'_>) -> Result<(Occupied<'a>, groups::Group), CommandError> {
    let place = existing(slot)?;
    let stream = place.get().stream()?;
    let group = stream.groups().and_then(|groups| groups.group(&args[3]));
    let group = group.ok_or_else(|| no_group(&args[2], &args[3]))?;
    Ok((place, group))
}

fn xgroup_create(ctx: &mut DataCtx<'_>, args: Args<'_>) -> CommandResult {
    let options = Options::parse(args, true)?;
    let key = ctx.key(args, 2);
    let slot = ctx.db.entry(key);
    if !options.make {
        // Before the id is looked at.
        if let KeySlot::Vacant(_) = slot {
            return Err(NO_KEY);
        }
    }
    if let Some(entry) = slot.get() {
        entry.expect(TypeName::Stream)?;
    }
    let id = match &args[4] {
        b"$" => None,
        text => Some(ids::id(text)?),
    };
    let (mut place, is_new) = match slot {
        KeySlot::Occupied(place) => (place, false),
        KeySlot::Vacant(mut vacant) => {
            let new = NewStream::empty(vacant.maker().epoch());
            (vacant.insert_value(NewValue::Stream(new)), true)
        }
    };
    let (stream, heap) = stream_mut(&mut place);
    let id = id.unwrap_or(stream.facts().last_id);
    let read = options.entries_read.map(|read| read.min(stream.facts().entries_added));
    if !stream.groups_mut(heap).create(heap, &args[3], id, read) {
        debug_assert!(!is_new, "a new stream has no groups");
        return Err(BUSY_GROUP);
    }
    place.changed(1, KeyEvent::stream("xgroup-create"));
    ctx.reply.ok();
    Ok(())
}

fn xgroup_setid(ctx: &mut DataCtx<'_>, args: Args<'_>) -> CommandResult {
    let options = Options::parse(args, false)?;
    let key = ctx.key(args, 2);
    let (mut place, mut group) = existing_group(ctx.db.entry(key), args)?;
    let (stream, heap) = stream_mut(&mut place);
    group.last_id = match &args[4] {
        b"$" => stream.facts().last_id,
        text => ids::id_or_edge(text, 0)?,
    };
    group.entries_read = options.entries_read.map(|read| read.min(stream.facts().entries_added));
    stream.groups_mut(heap).update(heap, &args[3], &group);
    place.changed(1, KeyEvent::stream("xgroup-setid"));
    ctx.reply.ok();
    Ok(())
}

fn xgroup_destroy(ctx: &mut DataCtx<'_>, args: Args<'_>) -> CommandResult {
    let key = ctx.key(args, 2);
    let mut place = existing(ctx.db.entry(key))?;
    let (stream, heap) = stream_mut(&mut place);
    let gone = stream.groups().is_some() && stream.groups_mut(heap).destroy_group(heap, &args[3]);
    if gone {
        // Consumers that wait in XREADGROUP are told.
        place.changed(1, KeyEvent::stream("xgroup-destroy"));
    }
    ctx.reply.int(i64::from(gone));
    Ok(())
}

fn xgroup_createconsumer(ctx: &mut DataCtx<'_>, args: Args<'_>) -> CommandResult {
    let key = ctx.key(args, 2);
    let now_ms = ctx.db.clock_ms();
    let (mut place, group) = existing_group(ctx.db.entry(key), args)?;
    let (stream, heap) = stream_mut(&mut place);
    let is_new = stream.groups_mut(heap).create_consumer(heap, &group, &args[4], now_ms);
    if is_new {
        place.changed(1, CREATE_CONSUMER_EVENT);
    }
    ctx.reply.int(i64::from(is_new));
    Ok(())
}

fn xgroup_delconsumer(ctx: &mut DataCtx<'_>, args: Args<'_>) -> CommandResult {
    let key = ctx.key(args, 2);
    let (mut place, group) = existing_group(ctx.db.entry(key), args)?;
    let (stream, heap) = stream_mut(&mut place);
    let pending = stream.groups_mut(heap).delete_consumer(heap, &group, &args[4]);
    if pending.is_some() {
        place.changed(1, KeyEvent::stream("xgroup-delconsumer"));
    }
    ctx.reply.int(pending.unwrap_or(0) as i64);
    Ok(())
}

fn xgroup_help(ctx: &mut DataCtx<'_>, _args: Args<'_>) -> CommandResult {
    help::reply(ctx.reply, &XGROUP);
    Ok(())
}
