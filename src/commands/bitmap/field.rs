//! BITFIELD and BITFIELD_RO: integers of any width, at any bit of a string.
//!
//! The whole request is understood before anything of it is done; then the string is made long enough for the farthest
//! write, and the operations follow one another.

use super::{SETBIT_EVENT, bit_offset, keep_raw, read_at};
use crate::db::KeySlot;
use crate::exec::args::int;
use crate::exec::ctx::DataCtx;
use crate::exec::error::{self, CommandError, CommandResult};
use crate::exec::spec::{Access, ArgSpec, Arity, CommandSpec, Flags, Group, Handler, KeySpec};
use crate::resp::Args;
use crate::types::string::StringRef;
use crate::util::bits::Field;
use crate::util::num;

const ENCODING: ArgSpec = ArgSpec::string("encoding");
const OFFSET: ArgSpec = ArgSpec::integer("offset");
const GET: ArgSpec = ArgSpec::block("get-block", &[ENCODING, OFFSET]).token("GET");

pub(super) static BITFIELD: CommandSpec = CommandSpec {
    name: "bitfield",
    summary: "Reads and changes integers of any width inside a string.",
    complexity: "O(1) for each operation",
    since: "3.2.0",
    group: Group::Bitmap,
    arity: Arity::AtLeast(2),
    flags: Flags::WRITE.or(Flags::DENYOOM),
    keys: &[KeySpec::at(1, Access::READ_WRITE.or(Access::ACCESS).or(Access::UPDATE))
        .varying(access_of_bitfield)
        .note("GET alone only reads")],
    args: &[
        ArgSpec::key("key"),
        ArgSpec::one_of(
            "operation",
            &[
                GET,
                ArgSpec::block(
                    "write",
                    &[
                        ArgSpec::one_of(
                            "overflow-block",
                            &[
                                ArgSpec::word("wrap", "WRAP"),
                                ArgSpec::word("sat", "SAT"),
                                ArgSpec::word("fail", "FAIL"),
                            ],
                        )
                        .token("OVERFLOW")
                        .optional(),
                        ArgSpec::one_of(
                            "write-operation",
                            &[
                                ArgSpec::block("set-block", &[ENCODING, OFFSET, ArgSpec::integer("value")])
                                    .token("SET"),
                                ArgSpec::block("incrby-block", &[ENCODING, OFFSET, ArgSpec::integer("increment")])
                                    .token("INCRBY"),
                            ],
                        ),
                    ],
                ),
            ],
        )
        .multiple()
        .optional(),
    ],
    handler: Handler::Data(bitfield),
    ..CommandSpec::BASE
};

pub(super) static BITFIELD_RO: CommandSpec = CommandSpec {
    name: "bitfield_ro",
    summary: "Reads integers of any width inside a string.",
    complexity: "O(1) for each operation",
    since: "6.0.0",
    group: Group::Bitmap,
    arity: Arity::AtLeast(2),
    flags: Flags::READONLY.or(Flags::FAST),
    keys: &[KeySpec::at(1, Access::READ_ONLY.or(Access::ACCESS))],
    args: &[ArgSpec::key("key"), GET.multiple_token().optional()],
    handler: Handler::Data(bitfield_ro),
    ..CommandSpec::BASE
};

const BAD_TYPE: CommandError = CommandError::fixed(
    "ERR Invalid bitfield type. Use something like i16 u8. Note that u64 is not supported but i64 is.",
);

/// What becomes of a number that its field has no room for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Overflow {
    Wrap,
    Saturate,
    Fail,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Action {
    Get,
    Set(i64),
    IncrBy(i64),
}

/// One operation of a request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Operation {
    action: Action,
    signed: bool,
    field: Field,
    overflow: Overflow,
}

impl Operation {
    /// The number that the field's bits mean.
    fn meaning(&self, bits: u64) -> i64 {
        if !self.signed {
            return bits as i64; // below 2^63
        }
        let unused = 64 - self.field.width;
        (bits << unused) as i64 >> unused
    }

    /// The number to be stored for `wanted`; `None` when there is no room for it and that is a failure.
    fn fitted(&self, wanted: i128) -> Option<i64> {
        let (least, most) = match (self.signed, self.field.width) {
            (true, width) => (-(1_i128 << (width - 1)), (1_i128 << (width - 1)) - 1),
            (false, width) => (0, (1_i128 << width) - 1),
        };
        if (least..=most).contains(&wanted) {
            return Some(wanted as i64);
        }
        match self.overflow {
            Overflow::Wrap => Some(self.meaning(wanted as u64 & (u64::MAX >> (64 - self.field.width)))),
            Overflow::Saturate => Some(wanted.clamp(least, most) as i64),
            Overflow::Fail => None,
        }
    }

    /// What to store and what to reply, for the number that is there.
    fn apply(&self, old: i64) -> (Option<i64>, Option<i64>) {
        match self.action {
            Action::Get => (None, Some(old)),
            Action::Set(value) => {
                // An unsigned field takes the number for the 64 bits it has.
                let wanted = if self.signed { i128::from(value) } else { i128::from(value as u64) };
                let new = self.fitted(wanted);
                (new, new.map(|_| old))
            }
            Action::IncrBy(by) => {
                let new = self.fitted(i128::from(old) + i128::from(by));
                (new, new)
            }
        }
    }

    fn is_write(&self) -> bool {
        self.action != Action::Get
    }

    /// The string is at least so long when this writes.
    fn end(&self) -> u64 {
        self.field.byte() + self.field.bytes() as u64
    }
}

fn parse(ctx: &DataCtx<'_>, args: Args<'_>) -> Result<Vec<Operation>, CommandError> {
    let mut operations = Vec::new();
    let mut overflow = Overflow::Wrap;
    let mut at = 2;
    while let Some(word) = args.get(at) {
        let is = |name: &str| word.eq_ignore_ascii_case(name.as_bytes());
        let more = args.len() - at - 1;
        if is("overflow") && more >= 1 {
            overflow = match &args[at + 1] {
                w if w.eq_ignore_ascii_case(b"wrap") => Overflow::Wrap,
                w if w.eq_ignore_ascii_case(b"sat") => Overflow::Saturate,
                w if w.eq_ignore_ascii_case(b"fail") => Overflow::Fail,
                _ => return Err(CommandError::fixed("ERR Invalid OVERFLOW type specified")),
            };
            at += 2;
            continue;
        }
        let reads = is("get") && more >= 2;
        if !reads && !((is("set") || is("incrby")) && more >= 3) {
            return Err(error::SYNTAX);
        }
        let (signed, width) = field_type(&args[at + 1]).ok_or(BAD_TYPE)?;
        let offset = bit_offset(&args[at + 2], ctx.config, Some(width))?;
        let action = match reads {
            true => Action::Get,
            false if is("set") => Action::Set(int(&args[at + 3])?),
            false => Action::IncrBy(int(&args[at + 3])?),
        };
        operations.push(Operation { action, signed, field: Field { offset, width }, overflow });
        at += if reads { 3 } else { 4 };
    }
    Ok(operations)
}

/// `i1` to `i64`, `u1` to `u63`.
fn field_type(text: &[u8]) -> Option<(bool, u32)> {
    let (signed, digits) = match text {
        [b'i', digits @ ..] => (true, digits),
        [b'u', digits @ ..] => (false, digits),
        _ => return None,
    };
    let width = num::parse_i64(digits)?;
    let most = if signed { 64 } else { 63 };
    (1..=most).contains(&width).then_some((signed, width as u32))
}

/// BITFIELD only reads when all its operations do.
fn access_of_bitfield(args: Args<'_>) -> Access {
    if only_reads(args) {
        Access::READ_ONLY.or(Access::ACCESS)
    } else {
        Access::READ_WRITE.or(Access::ACCESS).or(Access::UPDATE)
    }
}

/// Whether all operations from argument 2 on are `GET type offset` or `OVERFLOW how`.
fn only_reads(args: Args<'_>) -> bool {
    let mut at = 2;
    while let Some(word) = args.get(at) {
        at += match word {
            _ if word.eq_ignore_ascii_case(b"get") && at + 2 < args.len() => 3,
            _ if word.eq_ignore_ascii_case(b"overflow") && at + 1 < args.len() => 2,
            _ => return false,
        };
    }
    true
}

fn bitfield(ctx: &mut DataCtx<'_>, args: Args<'_>) -> CommandResult {
    let operations = parse(ctx, args)?;
    if operations.iter().any(Operation::is_write) {
        write(ctx, args, &operations)
    } else {
        read(ctx, args, &operations)
    }
}

fn bitfield_ro(ctx: &mut DataCtx<'_>, args: Args<'_>) -> CommandResult {
    let operations = parse(ctx, args)?;
    if operations.iter().any(Operation::is_write) {
        return Err(CommandError::fixed("ERR BITFIELD_RO only supports the GET subcommand"));
    }
    read(ctx, args, &operations)
}

fn read(ctx: &mut DataCtx<'_>, args: Args<'_>, operations: &[Operation]) -> CommandResult {
    let key = ctx.key(args, 1);
    let value = match ctx.db.lookup_read(key) {
        Some(entry) => entry.string()?,
        None => StringRef::Bytes(b""),
    };
    ctx.reply.array(operations.len());
    for operation in operations {
        let bits = operation.field.read(&read_at(value, operation.field.byte()));
        ctx.reply.int(operation.meaning(bits));
    }
    Ok(())
}

fn write(ctx: &mut DataCtx<'_>, args: Args<'_>, operations: &[Operation]) -> CommandResult {
    let end = operations.iter().filter(|op| op.is_write()).map(Operation::end).max().unwrap_or(1) as usize;
    let key = ctx.key(args, 1);
    let grows = match ctx.db.entry(key) {
        KeySlot::Occupied(mut entry) => {
            let grows = entry.string()?.len() < end;
            if !grows {
                keep_raw(&mut entry);
            }
            grows
        }
        KeySlot::Vacant(_) => true,
    };
    ctx.reply.array(operations.len());
    for operation in operations {
        let field = operation.field;
        let slot = ctx.db.entry(key);
        let mut window = read_at(text(&slot)?, field.byte());
        let old = field.read(&window);
        let (new, told) = operation.apply(operation.meaning(old));
        match told {
            Some(number) => ctx.reply.int(number),
            None => ctx.reply.null(),
        }
        if let Some(new) = new {
            field.write(&mut window, new as u64);
            // Each write that changes something counts, and each of a request that makes the string longer.
            if grows || field.read(&window) != old {
                put(slot, field.byte() as usize, &window[..field.bytes()])?;
            }
        }
    }
    // What failed has made room all the same.
    let slot = ctx.db.entry(key);
    if text(&slot)?.len() < end {
        put(slot, end - 1, &[0])?;
    }
    Ok(())
}

fn text<'s>(slot: &'s KeySlot<'_>) -> Result<StringRef<'s>, CommandError> {
    match slot {
        KeySlot::Occupied(entry) => Ok(entry.string()?),
        KeySlot::Vacant(_) => Ok(StringRef::Bytes(b"")),
    }
}

fn put(slot: KeySlot<'_>, at: usize, bytes: &[u8]) -> CommandResult {
    match slot {
        KeySlot::Occupied(mut entry) => entry.write_at(at, bytes, SETBIT_EVENT)?,
        KeySlot::Vacant(place) => place.insert_at(at, bytes, SETBIT_EVENT),
    };
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_it_does_with_its_key() {
        let reads = |request: &str| super::only_reads(crate::resp::OwnedArgs::from_parts(request.split(' ')).view());
        assert!(reads("bitfield k") && reads("bitfield k GET u8 0 overflow SAT get u8 1"));
        assert!(!reads("bitfield k get u8 0 set u8 0 1") && !reads("bitfield k foo") && !reads("bitfield k get u8"));
    }

    #[test]
    fn types() {
        assert_eq!(field_type(b"i64"), Some((true, 64)));
        assert_eq!(field_type(b"u1"), Some((false, 1)));
        for bad in ["u64", "i65", "u0", "i0", "x8", "u08", "U8", "u", "", "8", "i-1"] {
            assert_eq!(field_type(bad.as_bytes()), None, "{bad}");
        }
    }

    #[test]
    fn what_does_not_fit() {
        let field = |width| Field { offset: 0, width };
        let set = |signed, width, overflow, value| {
            Operation { action: Action::Set(value), signed, field: field(width), overflow }.apply(5)
        };
        let add = |signed, width, overflow, old, by| {
            Operation { action: Action::IncrBy(by), signed, field: field(width), overflow }.apply(old).1
        };
        use Overflow::{Fail, Saturate, Wrap};
        assert_eq!(set(true, 8, Wrap, 200), (Some(-56), Some(5)));
        assert_eq!(set(true, 8, Saturate, -129), (Some(-128), Some(5)));
        assert_eq!(set(true, 8, Fail, 128), (None, None));
        assert_eq!(set(false, 8, Saturate, -1), (Some(255), Some(5)), "as a number of 64 bits it is large");
        assert_eq!(set(false, 8, Wrap, 256), (Some(0), Some(5)));
        assert_eq!(set(true, 64, Fail, i64::MIN), (Some(i64::MIN), Some(5)));
        assert_eq!(add(true, 64, Saturate, i64::MAX, i64::MAX), Some(i64::MAX));
        assert_eq!(add(true, 64, Wrap, i64::MAX, i64::MAX), Some(-2));
        assert_eq!(add(true, 64, Fail, -2, i64::MIN), None);
        assert_eq!(add(false, 63, Wrap, 0, -1), Some(i64::MAX));
        assert_eq!(add(false, 63, Saturate, i64::MAX, 1), Some(i64::MAX));
        assert_eq!(add(false, 8, Saturate, 3, -5), Some(0));
        assert_eq!(add(true, 5, Wrap, 14, 3), Some(-15));
    }
}
