//! GETBIT and SETBIT: one bit.

use super::{SETBIT_EVENT, bit_offset, keep_raw, read_at};
use crate::db::KeySlot;
use crate::exec::ctx::DataCtx;
use crate::exec::error::{CommandError, CommandResult};
use crate::exec::spec::{Access, ArgSpec, Arity, CommandSpec, Flags, Group, Handler, KeySpec};
use crate::resp::Args;

pub(super) static GETBIT: CommandSpec = CommandSpec {
    name: "getbit",
    summary: "Returns the bit at an offset of a string.",
    since: "2.2.0",
    group: Group::Bitmap,
    arity: Arity::Exactly(3),
    flags: Flags::READONLY.or(Flags::FAST),
    keys: &[KeySpec::at(1, Access::READ_ONLY.or(Access::ACCESS))],
    args: &[ArgSpec::key("key"), ArgSpec::integer("offset")],
    handler: Handler::Data(getbit),
    ..CommandSpec::BASE
};

pub(super) static SETBIT: CommandSpec = CommandSpec {
    name: "setbit",
    summary: "Sets or clears the bit at an offset of a string.",
    since: "2.2.0",
    group: Group::Bitmap,
    arity: Arity::Exactly(4),
    flags: Flags::WRITE.or(Flags::DENYOOM),
    keys: &[KeySpec::at(1, Access::READ_WRITE.or(Access::ACCESS).or(Access::UPDATE))],
    args: &[ArgSpec::key("key"), ArgSpec::integer("offset"), ArgSpec::integer("value")],
    handler: Handler::Data(setbit),
    ..CommandSpec::BASE
};

const BAD_BIT: CommandError = CommandError::fixed("ERR bit is not an integer or out of range");

fn getbit(ctx: &mut DataCtx<'_>, args: Args<'_>) -> CommandResult {
    let offset = bit_offset(&args[2], ctx.config, None)?;
    let key = ctx.key(args, 1);
    let set = match ctx.db.lookup_read(key) {
        Some(entry) => read_at::<1>(entry.string()?, offset / 8)[0] & mask(offset) != 0,
        None => false,
    };
    ctx.reply.int(i64::from(set));
    Ok(())
}

fn setbit(ctx: &mut DataCtx<'_>, args: Args<'_>) -> CommandResult {
    let offset = bit_offset(&args[2], ctx.config, None)?;
    let on = match &args[3] {
        b"0" => false,
        b"1" => true,
        _ => return Err(BAD_BIT),
    };
    let byte_at = (offset / 8) as usize;
    let key = ctx.key(args, 1);
    let was = match ctx.db.entry(key) {
        KeySlot::Occupied(mut entry) => {
            let value = entry.string()?;
            let grows = byte_at >= value.len();
            let [byte] = read_at::<1>(value, offset / 8);
            let was = byte & mask(offset) != 0;
            if grows || was != on {
                let byte = if on { byte | mask(offset) } else { byte & !mask(offset) };
                entry.write_at(byte_at, &[byte], SETBIT_EVENT)?;
            } else {
                keep_raw(&mut entry);
            }
            was
        }
        KeySlot::Vacant(place) => {
            place.insert_at(byte_at, &[if on { mask(offset) } else { 0 }], SETBIT_EVENT);
            false
        }
    };
    ctx.reply.int(i64::from(was));
    Ok(())
}

fn mask(offset: u64) -> u8 {
    0x80 >> (offset % 8)
}
