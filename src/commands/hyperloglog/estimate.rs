//! PFADD, PFCOUNT, PFMERGE.

use super::{CORRUPT, PFADD_EVENT, read, store};
use crate::collections::hyperloglog::{self as hll, Form};
use crate::db::{ExpiryUpdate, KeySlot};
use crate::exec::ctx::DataCtx;
use crate::exec::error::CommandResult;
use crate::exec::spec::{Access, ArgSpec, Arity, CommandSpec, Flags, Group, Handler, KeySpec};
use crate::resp::Args;
use crate::types::place::Place;
use crate::types::string::Spelling;

pub(super) static PFADD: CommandSpec = CommandSpec {
    name: "pfadd",
    summary: "Adds elements to a HyperLogLog.",
    complexity: "O(1) for each element",
    since: "2.8.9",
    group: Group::Hyperloglog,
    arity: Arity::AtLeast(2),
    flags: Flags::WRITE.or(Flags::DENYOOM).or(Flags::FAST),
    keys: &[KeySpec::at(1, Access::READ_WRITE.or(Access::INSERT))],
    args: &[ArgSpec::key("key"), ArgSpec::string("element").multiple().optional()],
    handler: Handler::Data(pfadd),
    ..CommandSpec::BASE
};

pub(super) static PFCOUNT: CommandSpec = CommandSpec {
    name: "pfcount",
    summary: "Estimates how many distinct elements HyperLogLogs have seen.",
    complexity: "O(1) for one key, O(N) for the union of N",
    since: "2.8.9",
    group: Group::Hyperloglog,
    arity: Arity::AtLeast(2),
    flags: Flags::READONLY.or(Flags::MAY_REPLICATE),
    keys: &[KeySpec::rest(1, 1, Access::READ_WRITE.or(Access::ACCESS))
        .note("the count of a single key is remembered in its value")],
    args: &[ArgSpec::key("key").multiple()],
    handler: Handler::Data(pfcount),
    ..CommandSpec::BASE
};

pub(super) static PFMERGE: CommandSpec = CommandSpec {
    name: "pfmerge",
    summary: "Stores the union of HyperLogLogs.",
    complexity: "O(N), N the HyperLogLogs",
    since: "2.8.9",
    group: Group::Hyperloglog,
    arity: Arity::AtLeast(2),
    flags: Flags::WRITE.or(Flags::DENYOOM),
    keys: &[
        KeySpec::at(1, Access::READ_WRITE.or(Access::ACCESS).or(Access::INSERT)),
        KeySpec::rest(2, 1, Access::READ_ONLY.or(Access::ACCESS)),
    ],
    args: &[ArgSpec::key("destkey"), ArgSpec::key_of("sourcekey", 1).multiple().optional()],
    handler: Handler::Data(pfmerge),
    ..CommandSpec::BASE
};

fn pfadd(ctx: &mut DataCtx<'_>, args: Args<'_>) -> CommandResult {
    let sparse_max = ctx.db.keyspace().options().limits.hll_sparse_bytes;
    let observed = args.iter().skip(2).map(hll::observe);
    let key = ctx.key(args, 1);
    let updated = match ctx.db.entry(key) {
        KeySlot::Occupied(mut entry) => {
            let (text, form) = read(entry.string()?)?;
            let mut updated = 0;
            if form == Form::Dense {
                // Looking costs nothing; the first change makes the bytes ours.
                let observed: Vec<_> = observed.collect();
                if observed.iter().any(|seen| hll::would_grow(text, *seen)) {
                    let text = entry.bytes_mut().ok_or(CORRUPT)?;
                    updated = observed.into_iter().filter(|seen| hll::add_dense(text, *seen)).count();
                    hll::forget_count(text);
                }
            } else {
                let mut text = text.to_vec();
                for seen in observed {
                    updated += usize::from(hll::add(&mut text, seen, sparse_max)?);
                }
                if updated > 0 {
                    hll::forget_count(&mut text);
                    store(&mut entry, &text);
                }
            }
            if updated > 0 {
                entry.changed(updated, PFADD_EVENT);
            }
            updated
        }
        KeySlot::Vacant(place) => {
            let mut text = hll::empty();
            for seen in observed {
                hll::add(&mut text, seen, sparse_max)?;
            }
            hll::forget_count(&mut text);
            place.insert_bytes(&text, Spelling::Raw, ExpiryUpdate::Clear, PFADD_EVENT);
            1
        }
    };
    ctx.reply.int(i64::from(updated > 0));
    Ok(())
}

fn pfcount(ctx: &mut DataCtx<'_>, args: Args<'_>) -> CommandResult {
    if args.len() > 2 {
        let mut union = Box::new([0; hll::REGISTERS]);
        for i in 1..args.len() {
            let key = ctx.key(args, i);
            if let Some(entry) = ctx.db.lookup_read(key) {
                hll::merge(&mut union, read(entry.string()?)?.0)?;
            }
        }
        ctx.reply.int(hll::count_registers(&union) as i64);
        return Ok(());
    }
    let key = ctx.key(args, 1);
    let Some(entry) = ctx.db.lookup_read(key) else {
        ctx.reply.int(0);
        return Ok(());
    };
    let (text, _) = read(entry.string()?)?;
    let count = match hll::cached_count(text) {
        Some(count) => count,
        None => {
            let count = hll::count(text)?;
            if let KeySlot::Occupied(mut entry) = ctx.db.entry(key) {
                hll::cache_count(entry.bytes_mut().ok_or(CORRUPT)?, count);
                entry.changed_quietly(1);
            }
            count
        }
    };
    ctx.reply.int(count as i64);
    Ok(())
}

fn pfmerge(ctx: &mut DataCtx<'_>, args: Args<'_>) -> CommandResult {
    let sparse_max = ctx.db.keyspace().options().limits.hll_sparse_bytes;
    let mut union = Box::new([0; hll::REGISTERS]);
    let mut dense = false;
    for i in 1..args.len() {
        let key = ctx.key(args, i);
        if let Some(entry) = ctx.db.lookup_read(key) {
            let (text, form) = read(entry.string()?)?;
            hll::merge(&mut union, text)?;
            dense |= form == Form::Dense;
        }
    }
    let key = ctx.key(args, 1);
    let slot = ctx.db.entry(key);
    let mut text = match &slot {
        KeySlot::Occupied(entry) => read(entry.string()?)?.0.to_vec(),
        KeySlot::Vacant(_) => hll::empty(),
    };
    if dense {
        hll::to_dense(&mut text)?;
    }
    hll::raise(&mut text, &mut union, sparse_max)?;
    hll::forget_count(&mut text);
    match slot {
        KeySlot::Occupied(mut entry) => {
            store(&mut entry, &text);
            entry.changed(1, PFADD_EVENT);
        }
        KeySlot::Vacant(place) => place.insert_bytes(&text, Spelling::Raw, ExpiryUpdate::Clear, PFADD_EVENT),
    }
    ctx.reply.ok();
    Ok(())
}
