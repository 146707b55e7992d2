//! BITCOUNT and BITPOS: over a whole string, or over a range of its bytes or bits.

use std::ops::Range;

use crate::collections::rope::is_gap;
use crate::collections::simd::bits::{count_ones, find_bit};
use crate::collections::simd::prefetch_start;
use crate::exec::args::int;
use crate::exec::ctx::DataCtx;
use crate::exec::error::{self, CommandError, CommandResult};
use crate::exec::spec::{Access, ArgSpec, Arity, CommandSpec, Flags, Group, Handler, KeySpec};
use crate::resp::Args;
use crate::types::string::{Flat, StringRef};
use crate::util::bits;

const UNIT: ArgSpec = ArgSpec::one_of("unit", &[ArgSpec::word("byte", "BYTE"), ArgSpec::word("bit", "BIT")]);

pub(super) static BITCOUNT: CommandSpec = CommandSpec {
    name: "bitcount",
    summary: "Counts the set bits of a string, or of a part of it.",
    complexity: "O(N), N the bytes looked at",
    since: "2.6.0",
    group: Group::Bitmap,
    arity: Arity::AtLeast(2),
    flags: Flags::READONLY,
    keys: &[KeySpec::at(1, Access::READ_ONLY.or(Access::ACCESS))],
    args: &[
        ArgSpec::key("key"),
        ArgSpec::block("range", &[ArgSpec::integer("start"), ArgSpec::integer("end"), UNIT.optional().since("7.0.0")])
            .optional(),
    ],
    handler: Handler::Data(bitcount),
    ..CommandSpec::BASE
};

pub(super) static BITPOS: CommandSpec = CommandSpec {
    name: "bitpos",
    summary: "Finds the first bit of a string that is set, or that is clear.",
    complexity: "O(N), N the bytes looked at",
    since: "2.8.7",
    group: Group::Bitmap,
    arity: Arity::AtLeast(3),
    flags: Flags::READONLY,
    keys: &[KeySpec::at(1, Access::READ_ONLY.or(Access::ACCESS))],
    args: &[
        ArgSpec::key("key"),
        ArgSpec::integer("bit"),
        ArgSpec::block(
            "range",
            &[
                ArgSpec::integer("start"),
                ArgSpec::block("end-unit-block", &[ArgSpec::integer("end"), UNIT.optional().since("7.0.0")]).optional(),
            ],
        )
        .optional(),
    ],
    handler: Handler::Data(bitpos),
    ..CommandSpec::BASE
};

/// A part of a string, as it was asked for.
#[derive(Clone, Copy)]
struct Part {
    start: i64,
    end: i64,
    in_bits: bool,
}

impl Part {
    const WHOLE: Part = Part { start: 0, end: -1, in_bits: false };

    /// The bits it means in a string of `bytes` bytes. Numbers below zero count from the end; what lies outside is cut
    /// off.
    fn bits(self, bytes: usize) -> Range<u64> {
        let len = if self.in_bits { bytes as i64 * 8 } else { bytes as i64 };
        let from_start = |at: i64| if at < 0 { at.saturating_add(len).max(0) } else { at };
        let (start, end) = (from_start(self.start), from_start(self.end).min(len - 1));
        if start > end {
            return 0..0;
        }
        let unit = if self.in_bits { 1 } else { 8 };
        start as u64 * unit..(end as u64 + 1) * unit
    }

    /// Turned around among numbers that count from the end: BITCOUNT takes it for empty before it is cut off.
    fn is_turned(self) -> bool {
        self.start < 0 && self.end < 0 && self.start > self.end
    }
}

fn is_bit_unit(word: &[u8]) -> Result<bool, CommandError> {
    match word {
        word if word.eq_ignore_ascii_case(b"bit") => Ok(true),
        word if word.eq_ignore_ascii_case(b"byte") => Ok(false),
        _ => Err(error::SYNTAX),
    }
}

fn bitcount(ctx: &mut DataCtx<'_>, args: Args<'_>) -> CommandResult {
    let part = match args.len() {
        2 => Part::WHOLE,
        4 | 5 => {
            let (start, end) = (int(&args[2])?, int(&args[3])?);
            Part { start, end, in_bits: args.get(4).map_or(Ok(false), is_bit_unit)? }
        }
        _ => return Err(error::SYNTAX),
    };
    let key = ctx.key(args, 1);
    let Some(entry) = ctx.db.lookup_read(key) else {
        ctx.reply.int(0);
        return Ok(());
    };
    let value = entry.string()?;
    let range = if part.is_turned() { 0..0 } else { part.bits(value.len()) };
    let mut count = 0;
    each_slice(value, &range, false, |_, slice| {
        if !is_gap(slice) {
            count += count_ones(slice);
        }
        true
    });
    ctx.reply.int(count as i64);
    Ok(())
}

fn bitpos(ctx: &mut DataCtx<'_>, args: Args<'_>) -> CommandResult {
    let bit = match int(&args[2])? {
        0 => false,
        1 => true,
        _ => return Err(CommandError::fixed("ERR The bit argument must be 1 or 0.")),
    };
    let mut part = Part::WHOLE;
    if args.len() > 6 {
        return Err(error::SYNTAX);
    }
    if let Some(start) = args.get(3) {
        part.start = int(start)?;
        part.in_bits = args.get(5).map_or(Ok(false), is_bit_unit)?;
    }
    if let Some(end) = args.get(4) {
        part.end = int(end)?;
    }
    let key = ctx.key(args, 1);
    let Some(entry) = ctx.db.lookup_read(key) else {
        // An endless string of clear bits.
        ctx.reply.int(if bit { -1 } else { 0 });
        return Ok(());
    };
    let value = entry.string()?;
    let range = part.bits(value.len());
    let mut found = None;
    each_slice(value, &range, !bit, |at, slice| {
        if !bit || !is_gap(slice) {
            found = find_bit(slice, bit).map(|bit_at| at * 8 + bit_at);
        }
        found.is_none()
    });
    // Unless the range has an end, clear bits follow it.
    let beyond = !bit && args.len() < 5 && !range.is_empty();
    let at = found.or(beyond.then_some(range.end)).map_or(-1, |at| at as i64);
    ctx.reply.int(at);
    Ok(())
}

/// Calls `f` with the bytes that hold the bits of `range`, slice by slice, and where they begin, until it returns
/// false. Bits around the range are `outside`.
fn each_slice(value: StringRef<'_>, range: &Range<u64>, outside: bool, mut f: impl FnMut(u64, &[u8]) -> bool) {
    if range.is_empty() {
        return;
    }
    let mut room = Flat::default();
    let (first, last) = (range.start / 8, (range.end - 1) / 8);
    let byte = |at: u64| bits::within(super::read_at::<1>(value, at)[0], at, range, outside);
    if !f(first, &[byte(first)]) || first == last {
        return;
    }
    let inner = first as usize + 1..last as usize;
    let mut at = first + 1;
    let whole = match value {
        StringRef::Rope(rope) => {
            let mut slices = rope.slices(inner).peekable();
            loop {
                let Some(slice) = slices.next() else { break true };
                slices.peek().copied().filter(|next| !is_gap(next)).inspect(|next| prefetch_start(next));
                if !f(at, slice) {
                    break false;
                }
                at += slice.len() as u64;
            }
        }
        flat => f(at, &flat.flat(&mut room)[inner]),
    };
    if whole {
        f(last, &[byte(last)]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::collections::rope::{PIECE, Rope};

    #[test]
    fn parts() {
        let bytes = |start, end| Part { start, end, in_bits: false }.bits(10);
        assert_eq!(bytes(0, -1), 0..80);
        assert_eq!(bytes(-2, 100), 64..80);
        assert_eq!(bytes(0, -100), 0..8);
        assert_eq!(bytes(i64::MIN, i64::MAX), 0..80);
        assert!(bytes(3, 2).is_empty() && bytes(10, 11).is_empty());
        assert_eq!(Part { start: 5, end: -3, in_bits: true }.bits(10), 5..78);
        assert!(Part::WHOLE.bits(0).is_empty());
    }

    #[test]
    fn slices_of_a_rope_are_those_of_its_bytes() {
        let text: Vec<u8> = (0..3 * PIECE + 100).map(|i| ((i * 31) >> 3) as u8).collect();
        let rope = Rope::from(&text[..]);
        let views = [StringRef::Rope(&rope), StringRef::Bytes(&text)];
        let end = text.len() as u64 * 8;
        for range in [0..end, 3..end - 3, 5..6, 0..8, 7..17, 8 * PIECE as u64 - 1..8 * PIECE as u64 + 1, 8..16, 9..9] {
            let [a, b] = views.map(|view| {
                let (mut all, mut start) = (vec![], None);
                each_slice(view, &range, false, |at, slice| {
                    start.get_or_insert(at);
                    assert_eq!(at as usize, *start.get_or_insert(at) as usize + all.len());
                    all.extend_from_slice(slice);
                    true
                });
                (start, all)
            });
            assert!(a == b, "{range:?}");
            let ones = range.clone().filter(|at| text[(at / 8) as usize] >> (7 - at % 8) & 1 == 1).count();
            assert_eq!(count_ones(&a.1), ones as u64);
        }
    }
}
