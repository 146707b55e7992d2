//! BITOP: several strings become one, bit by bit.
//!
//! What is done to the bytes is in [`crate::collections::bitop`].

use crate::collections::bitop::{Source, combined_flat, combined_rope};
use crate::collections::simd::combine::Combine;
use crate::db::{ExpiryUpdate, Key, KeyEvent};
use crate::exec::ctx::DataCtx;
use crate::exec::error::{self, CommandError, CommandResult};
use crate::exec::spec::{Access, ArgSpec, Arity, CommandSpec, Flags, Group, Handler, KeySpec};
use crate::resp::Args;
use crate::types::string::{BLOB_MAX, Flat, Rope, Spelling, StringRef};

pub(super) static BITOP: CommandSpec = CommandSpec {
    name: "bitop",
    summary: "Combines strings bit by bit and stores the result.",
    complexity: "O(N), N the bytes of all strings",
    since: "2.6.0",
    group: Group::Bitmap,
    arity: Arity::AtLeast(4),
    flags: Flags::WRITE.or(Flags::DENYOOM),
    keys: &[
        KeySpec::at(2, Access::OVERWRITE.or(Access::UPDATE)),
        KeySpec::rest(3, 1, Access::READ_ONLY.or(Access::ACCESS)),
    ],
    args: &[
        ArgSpec::one_of(
            "operation",
            &[
                ArgSpec::word("and", "AND"),
                ArgSpec::word("or", "OR"),
                ArgSpec::word("xor", "XOR"),
                ArgSpec::word("not", "NOT"),
                ArgSpec::word("diff", "DIFF"),
                ArgSpec::word("diff1", "DIFF1"),
                ArgSpec::word("andor", "ANDOR"),
                ArgSpec::word("one", "ONE"),
            ],
        ),
        ArgSpec::key("destkey"),
        ArgSpec::key_of("key", 1).multiple(),
    ],
    handler: Handler::Data(bitop),
    ..CommandSpec::BASE
};

fn operation(word: &[u8]) -> Result<Combine, CommandError> {
    let all: [(&str, Combine); 8] = [
        ("and", Combine::And),
        ("or", Combine::Or),
        ("xor", Combine::Xor),
        ("not", Combine::Not),
        ("diff", Combine::Diff),
        ("diff1", Combine::Diff1),
        ("andor", Combine::AndOr),
        ("one", Combine::One),
    ];
    let found = all.into_iter().find(|(name, _)| word.eq_ignore_ascii_case(name.as_bytes()));
    found.map(|(_, how)| how).ok_or(error::SYNTAX)
}

fn bitop(ctx: &mut DataCtx<'_>, args: Args<'_>) -> CommandResult {
    let how = operation(&args[1])?;
    let two_at_least = match how {
        Combine::Not if args.len() != 4 => {
            return Err(CommandError::fixed("ERR BITOP NOT must be called with a single source key."));
        }
        Combine::Diff => Some("DIFF"),
        Combine::Diff1 => Some("DIFF1"),
        Combine::AndOr => Some("ANDOR"),
        _ => None,
    };
    if let Some(name) = two_at_least.filter(|_| args.len() < 5) {
        return Err(CommandError::text(format!("ERR BITOP {name} must be called with at least two source keys.")));
    }
    let sources: Vec<Key<'_>> = (3..args.len()).map(|i| ctx.key(args, i)).collect();
    for key in &sources {
        if let Some(entry) = ctx.db.lookup_read(*key) {
            entry.string()?;
        }
    }
    let (len, result) = combined(ctx, how, &sources);
    let to = ctx.key(args, 2);
    match result {
        _ if len == 0 => {
            ctx.db.remove(to);
        }
        Combined::Short(text) => ctx.db.entry(to).set_bytes(&text, Spelling::Raw, ExpiryUpdate::Clear, KeyEvent::SET),
        Combined::Long(rope) => ctx.db.entry(to).set_rope(rope, Spelling::Raw, ExpiryUpdate::Clear, KeyEvent::SET),
    }
    ctx.reply.int(len as i64);
    Ok(())
}

enum Combined {
    Short(Vec<u8>),
    Long(Rope),
}

/// The result, as long as the longest source, and how long that is. All of them are strings, or missing.
fn combined(ctx: &DataCtx<'_>, how: Combine, keys: &[Key<'_>]) -> (usize, Combined) {
    let value = |key: &Key<'_>| match ctx.db.peek(*key).map(|entry| entry.string()) {
        Some(Ok(value)) => value,
        _ => StringRef::Bytes(b""),
    };
    let values: Vec<StringRef<'_>> = keys.iter().map(value).collect();
    // Numbers are spelled out; there are rarely any.
    let has_numbers = values.iter().any(|value| matches!(value, StringRef::Int(_)));
    let mut rooms: Vec<Flat> = if has_numbers { values.iter().map(|_| Flat::default()).collect() } else { Vec::new() };
    let mut room = rooms.iter_mut();
    let mut sources = Vec::with_capacity(values.len());
    for value in &values {
        sources.push(match *value {
            StringRef::Rope(rope) => Source::Rope(rope),
            StringRef::Bytes(text) => Source::Flat(text),
            number => Source::Flat(number.flat(room.next().expect("as many rooms as values"))),
        });
    }
    let len = sources.iter().map(|source| source.len()).max().unwrap_or(0);
    if len > BLOB_MAX {
        (len, Combined::Long(combined_rope(how, &sources)))
    } else {
        (len, Combined::Short(combined_flat(how, &sources)))
    }
}
