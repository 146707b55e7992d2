//! BITOP: several strings become one, bit by bit.
//!
//! The sources are read a piece at a time, all of them at the same place, so that what is combined is in the
//! cache and no long string is put together for it.

use crate::collections::rope::PIECE;
use crate::db::{ExpiryUpdate, Key};
use crate::exec::ctx::DataCtx;
use crate::exec::error::{self, CommandError, CommandResult};
use crate::exec::spec::{Access, ArgSpec, Arity, CommandSpec, Flags, Group, Handler, KeySpec};
use crate::resp::Args;
use crate::types::string::{Flat, Rope, RopeBuilder, Spelling, StringRef};
use crate::util::bits::Combine;

pub(super) static BITOP: CommandSpec = CommandSpec {
    name: "bitop",
    summary: "Combines strings bit by bit and stores the result.",
    complexity: "O(N), N the bytes of all strings",
    since: "2.6.0",
    group: Group::Bitmap,
    arity: Arity::AtLeast(4),
    flags: Flags::WRITE.and(Flags::DENYOOM),
    keys: &[
        KeySpec::at(2, Access::OVERWRITE.and(Access::UPDATE)),
        KeySpec::rest(3, 1, Access::READ_ONLY.and(Access::ACCESS)),
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
    let result = combined(ctx, how, &sources);
    let len = result.len();
    let to = ctx.key(args, 2);
    if result.is_empty() {
        ctx.db.remove(to);
    } else {
        ctx.db.entry(to).set_rope(result, Spelling::Raw, ExpiryUpdate::Clear);
    }
    ctx.reply.int(len as i64);
    Ok(())
}

/// The result, as long as the longest source. All of them are strings, or missing.
fn combined(ctx: &DataCtx<'_>, how: Combine, sources: &[Key<'_>]) -> Rope {
    let values: Vec<StringRef<'_>> = sources
        .iter()
        .map(|key| match ctx.db.peek(*key).map(|entry| entry.string()) {
            Some(Ok(value)) => value,
            _ => StringRef::Bytes(b""),
        })
        .collect();
    let mut rooms: Vec<Flat> = values.iter().map(|_| Flat::default()).collect();
    // What is no rope is short: its text is one piece.
    let texts: Vec<Option<&[u8]>> = values
        .iter()
        .zip(&mut rooms)
        .map(|(value, room)| match value {
            StringRef::Rope(_) => None,
            flat => Some(flat.flat(room)),
        })
        .collect();
    let len = values.iter().map(|value| value.len()).max().unwrap_or(0);
    let mut out = RopeBuilder::default();
    let (mut piece, mut room) = (vec![0; len.min(PIECE)], vec![0; len.min(PIECE)]);
    for at in (0..len).step_by(PIECE) {
        let n = PIECE.min(len - at);
        let parts = values.iter().zip(&texts).map(|(value, text)| {
            let range = at.min(value.len())..(at + n).min(value.len());
            match (value, text) {
                (_, Some(text)) => &text[range],
                (StringRef::Rope(rope), None) => rope.slices(range).next().unwrap_or(b""),
                _ => b"",
            }
        });
        how.into(&mut piece[..n], &mut room[..n], parts);
        out.push(&piece[..n]);
    }
    out.finish()
}
