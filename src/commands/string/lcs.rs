//! LCS: the longest common subsequence of two strings, its length, or where it lies in both.
//!
//! How it is found is in [`super::subsequence`]. Redis fills a table of four bytes for every pair of positions and
//! refuses pairs of strings whose table would be larger than `proto-max-bulk-len`. Here the table takes a
//! thirty-second part of that, but the limit is the same one, because it bounds the time too.

use super::subsequence::Subsequence;
use crate::config::Config;
use crate::exec::args::int;
use crate::exec::ctx::DataCtx;
use crate::exec::error::{self, CommandError, CommandResult};
use crate::exec::spec::{Access, ArgSpec, Arity, Begin, CommandSpec, Find, Flags, Group, Handler, KeySpec};
use crate::resp::{Args, Reply};
use crate::types::string::{Flat, Rope, StringRef};

pub(super) static LCS: CommandSpec = CommandSpec {
    name: "lcs",
    summary: "Finds the longest common subsequence of two strings.",
    complexity: "O(N*M), the lengths of the two strings",
    since: "7.0.0",
    group: Group::String,
    arity: Arity::AtLeast(3),
    flags: Flags::READONLY,
    keys: &[KeySpec {
        access: Access::READ_ONLY.or(Access::ACCESS),
        access_of: None,
        begin: Begin::Index(1),
        find: Find::Range { last: 1, step: 1, limit: 0 },
        notes: "",
    }],
    args: &[
        ArgSpec::key("key1"),
        ArgSpec::key("key2"),
        ArgSpec::word("len", "LEN").optional(),
        ArgSpec::word("idx", "IDX").optional(),
        ArgSpec::integer("min-match-len").token("MINMATCHLEN").optional(),
        ArgSpec::word("withmatchlen", "WITHMATCHLEN").optional(),
    ],
    handler: Handler::Data(lcs),
    ..CommandSpec::BASE
};

const NOT_STRINGS: CommandError = CommandError::fixed("ERR The specified keys must contain string values");
const LEN_AND_IDX: CommandError =
    CommandError::fixed("ERR If you want both the length and indexes, please just use IDX.");
const TOO_LONG: CommandError = CommandError::fixed("ERR String too long for LCS");
const TOO_MUCH_MEMORY: CommandError =
    CommandError::fixed("ERR Insufficient memory, transient memory for LCS exceeds proto-max-bulk-len");

fn lcs(ctx: &mut DataCtx<'_>, args: Args<'_>) -> CommandResult {
    let texts = [text(ctx, args, 1), text(ctx, args, 2)];
    let [Ok(a), Ok(b)] = texts else { return Err(NOT_STRINGS) };
    let options = Options::parse(args)?;
    check_size(ctx.config, a.len() as u64, b.len() as u64)?;
    let (a, b) = (StringRef::Rope(&a).to_vec(), StringRef::Rope(&b).to_vec());
    if options.len {
        ctx.reply.int(Subsequence::len_of(&a, &b) as i64);
        return Ok(());
    }
    let found = Subsequence::of(&a, &b);
    if options.indexes {
        reply_matches(ctx.reply, &found, options);
    } else {
        ctx.reply.bulk(&found.text(&a));
    }
    Ok(())
}

/// The string at a key; a missing one is empty. A large one is shared, until its size is known to be allowed.
fn text(ctx: &mut DataCtx<'_>, args: Args<'_>, i: usize) -> Result<Rope, CommandError> {
    let key = ctx.key(args, i);
    let Some(entry) = ctx.db.lookup_read(key) else { return Ok(Rope::default()) };
    Ok(match entry.string()? {
        StringRef::Rope(rope) => rope.clone(),
        short => Rope::from(short.flat(&mut Flat::default())),
    })
}

#[derive(Clone, Copy, Default)]
struct Options {
    len: bool,
    indexes: bool,
    match_len_min: i64,
    match_lens: bool,
}

impl Options {
    fn parse(args: Args<'_>) -> Result<Options, CommandError> {
        let mut options = Options::default();
        let mut rest = args.skip(3).iter();
        while let Some(word) = rest.next() {
            match word {
                _ if word.eq_ignore_ascii_case(b"LEN") => options.len = true,
                _ if word.eq_ignore_ascii_case(b"IDX") => options.indexes = true,
                _ if word.eq_ignore_ascii_case(b"WITHMATCHLEN") => options.match_lens = true,
                _ if word.eq_ignore_ascii_case(b"MINMATCHLEN") => {
                    options.match_len_min = int(rest.next().ok_or(error::SYNTAX)?)?;
                }
                _ => return Err(error::SYNTAX),
            }
        }
        if options.len && options.indexes { Err(LEN_AND_IDX) } else { Ok(options) }
    }
}

/// What Redis's table of the two strings would take is allowed.
fn check_size(config: &Config, a: u64, b: u64) -> CommandResult {
    const CELL_BYTES: u64 = 4;
    let positions_max = u64::from(u32::MAX) - 1;
    if a >= positions_max || b >= positions_max {
        return Err(TOO_LONG);
    }
    let bytes = (a + 1).checked_mul(b + 1).and_then(|cells| cells.checked_mul(CELL_BYTES));
    if bytes.is_some_and(|bytes| bytes <= config.limits.proto_max_bulk_len) { Ok(()) } else { Err(TOO_MUCH_MEMORY) }
}

fn reply_matches(reply: &mut Reply, found: &Subsequence, options: Options) {
    reply.map(2);
    reply.bulk(b"matches");
    let matches = found.runs.iter().filter(|run| run.len as i64 >= options.match_len_min);
    reply.array(matches.clone().count());
    for run in matches {
        reply.array(if options.match_lens { 3 } else { 2 });
        for start in [run.a, run.b] {
            reply.array(2);
            reply.int(start as i64);
            reply.int((start + run.len - 1) as i64);
        }
        if options.match_lens {
            reply.int(run.len as i64);
        }
    }
    reply.bulk(b"len");
    reply.int(found.len as i64);
}
