//! Parts of a string: APPEND, SETRANGE, GETRANGE, SUBSTR.
//!
//! A string grows at the cost of what is added to it, and is changed at the cost of what is changed: a long one lies
//! in pieces (see [`crate::types::string`]). How long it may become is `proto-max-bulk-len`, which keeps one SETRANGE
//! from allocating half a gigabyte of nothing by mistake.

use super::store;
use crate::config::Config;
use crate::db::{ExpiryUpdate, KeyEvent, KeySlot};
use crate::exec::args::int;
use crate::exec::ctx::DataCtx;
use crate::exec::error::{self, CommandResult};
use crate::exec::spec::{Access, ArgSpec, Arity, CommandSpec, Flags, Group, Handler, KeySpec};
use crate::resp::{Args, Reply};
use crate::types::string::{Flat, StringRef};
use std::ops::Range;

pub(super) static APPEND: CommandSpec = CommandSpec {
    name: "append",
    summary: "Appends a value to the string at a key, creating it when absent.",
    complexity: "O(1) amortised",
    since: "2.0.0",
    group: Group::String,
    arity: Arity::Exactly(3),
    flags: Flags::WRITE.or(Flags::DENYOOM).or(Flags::FAST),
    keys: &[KeySpec::at(1, Access::READ_WRITE.or(Access::INSERT))],
    args: &[ArgSpec::key("key"), ArgSpec::string("value")],
    handler: Handler::Data(append),
    ..CommandSpec::BASE
};

pub(super) static SETRANGE: CommandSpec = CommandSpec {
    name: "setrange",
    summary: "Overwrites part of the string at a key, padding it with zero bytes up to the offset.",
    complexity: "O(1), or O(N) for N bytes written",
    since: "2.2.0",
    group: Group::String,
    arity: Arity::Exactly(4),
    flags: Flags::WRITE.or(Flags::DENYOOM),
    keys: &[KeySpec::at(1, Access::READ_WRITE.or(Access::UPDATE))],
    args: &[ArgSpec::key("key"), ArgSpec::integer("offset"), ArgSpec::string("value")],
    handler: Handler::Data(setrange),
    ..CommandSpec::BASE
};

pub(super) static GETRANGE: CommandSpec = CommandSpec {
    name: "getrange",
    summary: "Returns part of the string stored at a key.",
    complexity: "O(N), N the bytes returned",
    since: "2.4.0",
    group: Group::String,
    arity: Arity::Exactly(4),
    flags: Flags::READONLY,
    keys: &[KeySpec::at(1, Access::READ_ONLY.or(Access::ACCESS))],
    args: &[ArgSpec::key("key"), ArgSpec::integer("start"), ArgSpec::integer("end")],
    handler: Handler::Data(getrange),
    ..CommandSpec::BASE
};

pub(super) static SUBSTR: CommandSpec = CommandSpec {
    name: "substr",
    summary: "Returns part of the string stored at a key.",
    complexity: "O(N), N the bytes returned",
    group: Group::String,
    arity: Arity::Exactly(4),
    flags: Flags::READONLY,
    keys: &[KeySpec::at(1, Access::READ_ONLY.or(Access::ACCESS))],
    args: &[ArgSpec::key("key"), ArgSpec::integer("start"), ArgSpec::integer("end")],
    deprecated: Some(("2.0.0", "GETRANGE")),
    handler: Handler::Data(substr),
    ..CommandSpec::BASE
};

fn append(ctx: &mut DataCtx<'_>, args: Args<'_>) -> CommandResult {
    let key = ctx.key(args, 1);
    let len = match ctx.db.entry(key) {
        KeySlot::Occupied(mut entry) => {
            check_len(ctx.config, entry.string()?.len() as u64, args.len_of(2))?;
            match args.pieces(2) {
                Some(more) => entry.append_buffer(more)?,
                None => entry.append(&args[2])?,
            }
        }
        vacant @ KeySlot::Vacant(_) => {
            store(vacant, args, 2, ExpiryUpdate::Clear, KeyEvent::string("append"));
            args.len_of(2)
        }
    };
    ctx.reply.int(len as i64);
    Ok(())
}

fn setrange(ctx: &mut DataCtx<'_>, args: Args<'_>) -> CommandResult {
    let offset = u64::try_from(int(&args[2])?).map_err(|_| error::OFFSET_OUT_OF_RANGE)?;
    let key = ctx.key(args, 1);
    let slot = ctx.db.entry(key);
    let old_len = match slot.get() {
        Some(entry) => entry.string()?.len(),
        None => 0,
    };
    if args.len_of(3) == 0 {
        ctx.reply.int(old_len as i64);
        return Ok(());
    }
    check_len(ctx.config, offset, args.len_of(3))?;
    let offset = offset as usize;
    let event = KeyEvent::string("setrange");
    let len = match (slot, args.pieces(3)) {
        (KeySlot::Occupied(mut entry), Some(pieces)) => entry.write_buffer_at(offset, pieces, event)?,
        (KeySlot::Occupied(mut entry), None) => entry.write_at(offset, &args[3], event)?,
        (KeySlot::Vacant(place), Some(pieces)) => place.insert_buffer_at(offset, pieces, event),
        (KeySlot::Vacant(place), None) => place.insert_at(offset, &args[3], event),
    };
    ctx.reply.int(len as i64);
    Ok(())
}

/// `more` after `offset` bytes stays within the longest string allowed.
fn check_len(config: &Config, offset: u64, more: usize) -> CommandResult {
    let end = offset.checked_add(more as u64);
    if end.is_some_and(|end| end <= config.limits.proto_max_bulk_len) { Ok(()) } else { Err(error::STRING_TOO_LONG) }
}

fn getrange(ctx: &mut DataCtx<'_>, args: Args<'_>) -> CommandResult {
    let (start, end) = (int(&args[2])?, int(&args[3])?);
    let key = ctx.key(args, 1);
    let Some(entry) = ctx.db.lookup_read(key) else {
        ctx.reply.bulk(b"");
        return Ok(());
    };
    let value = entry.string()?;
    reply_range(ctx.reply, value, span(start, end, value.len()));
    Ok(())
}

fn substr(ctx: &mut DataCtx<'_>, args: Args<'_>) -> CommandResult {
    getrange(ctx, args)
}

/// The bytes from `start` to `end`, both included, of a string of `len` bytes. Numbers below zero count from the
/// string's end. What lies outside is cut off, but an interval that is turned around among such numbers is empty
/// before it is cut.
fn span(start: i64, end: i64, len: usize) -> Range<usize> {
    if start < 0 && end < 0 && start > end {
        return 0..0;
    }
    let len = len as i64;
    let from_start = |at: i64| if at < 0 { at.saturating_add(len).max(0) } else { at };
    let (start, end) = (from_start(start), from_start(end).min(len - 1));
    if start > end { 0..0 } else { start as usize..end as usize + 1 }
}

fn reply_range(reply: &mut Reply, value: StringRef<'_>, range: Range<usize>) {
    match value {
        StringRef::Bytes(bytes) => reply.bulk(&bytes[range]),
        StringRef::Int(_) => reply.bulk(&value.flat(&mut Flat::default())[range]),
        StringRef::Rope(rope) => reply.shared_bulk(range.len(), rope.pieces(range)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans() {
        let cut = |start, end| {
            let text = "Hello World";
            &text[span(start, end, text.len())]
        };
        assert_eq!(cut(0, 4), "Hello");
        assert_eq!(cut(-5, -1), "World");
        assert_eq!(cut(i64::MIN, i64::MAX), "Hello World");
        assert_eq!(cut(6, 1000), "World");
        for (start, end) in [(5, 4), (-1, -5), (11, 20), (-100, -200), (1, -100), (-1, -100)] {
            assert_eq!(cut(start, end), "", "{start} {end}");
        }
        // Redis cuts both ends to the first byte, and returns it.
        for (start, end) in [(0, -100), (-100, -99), (-100, -100)] {
            assert_eq!(cut(start, end), "H", "{start} {end}");
        }
        assert_eq!(span(0, -1, 0), 0..0);
        assert_eq!(span(-1, -1, 0), 0..0);
    }
}
