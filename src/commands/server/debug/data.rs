//! DEBUG subcommands that look at the data set, fill it, or send it to its file and back.

use std::fmt::Write;

use crate::blocking::Progress;
use crate::collections::quicklist::set_large_from;
use crate::db::{AccessPolicy, EntryRef, REPLAYED_MS};
use crate::exec::args;
use crate::exec::ctx::{AdminCtx, Ctx, ReadResult};
use crate::exec::debug::{ReloadError, ReloadOptions};
use crate::exec::error::{self, CommandError, CommandResult};
use crate::exec::instance::Alert;
use crate::exec::long_read::{Pace, Past};
use crate::observe::log::Level;
use crate::rdb::{RdbWriter, WriteOptions};
use crate::resp::Args;
use crate::types::Encoding;
use crate::types::list::ListRef;
use crate::types::value::ValueRef;
use crate::util::{glob, num};

/// What the digest of an element costs, in elements of a set that is sent as it is.
const DIGEST_COST: usize = 20;

pub(super) fn digest(ctx: &mut AdminCtx<'_>, _args: Args<'_>) -> ReadResult {
    if ctx.pace().is_long(ctx.inst.keyspace.elements().saturating_mul(DIGEST_COST)) {
        return Ok(Progress::long_read());
    }
    let digest = ctx.inst.keyspace.digest().to_string();
    ctx.reply().simple(&digest);
    Ok(Progress::Done)
}

/// DIGEST of a snapshot.
pub(super) fn digest_past(ctx: &mut Ctx<'_, Past>, _args: Args<'_>) -> ReadResult {
    let (snapshot, pace) = (ctx.db.snapshot(), &mut ctx.pace);
    // For nobody, if that is broken off.
    let digest = snapshot.digest_while(|| pace.works_on());
    ctx.reply.simple(&digest.to_string());
    Ok(Progress::Done)
}

pub(super) fn digest_value(ctx: &mut AdminCtx<'_>, args: Args<'_>) -> CommandResult {
    ctx.reply().array(args.len() - 2);
    for name in args.skip(2).iter() {
        let db = ctx.db();
        let digest = db.digest_value(db.key(name)).to_string();
        ctx.reply().simple(&digest);
    }
    Ok(())
}

/// The entry at argument 2, however old it is: looking is no access.
fn with_entry<T>(ctx: &mut AdminCtx<'_>, args: Args<'_>, f: impl FnOnce(EntryRef<'_>) -> T) -> Result<T, CommandError> {
    // One whose time is over is there as long as nobody has met it.
    let db = ctx.inst.keyspace.db(ctx.session.db as usize, REPLAYED_MS);
    db.peek(db.key(&args[2])).map(f).ok_or(error::NO_SUCH_KEY)
}

/// Bytes of the value in an RDB file, without its type.
fn saved_len(entry: EntryRef<'_>, compression: bool) -> u64 {
    let mut writer = RdbWriter::in_memory(WriteOptions { compression, ..WriteOptions::default() });
    entry.value().save(&mut writer).expect("writing to memory does not fail");
    writer.offset()
}

pub(super) fn object(ctx: &mut AdminCtx<'_>, args: Args<'_>) -> CommandResult {
    let fast = match args.get(3) {
        None => false,
        Some(word) if word.eq_ignore_ascii_case(b"fast") => true,
        Some(_) => return Err(super::unknown(&args[1])),
    };
    let compression = ctx.inst.config.persistence.rdbcompression;
    let (policy, now_ms) = (ctx.inst.keyspace.options().access, ctx.inst.now_ms);
    let limits = ctx.inst.keyspace.options().limits;
    let list_size = limits.list_size;
    let line = with_entry(ctx, args, |entry| {
        let mut line = format!("Value at:{:p} refcount:1 encoding:{}", entry.key().as_ptr(), entry.encoding().name());
        if !fast {
            // Writing to a String does not fail.
            let _ = write!(line, " serializedlength:{}", saved_len(entry, compression));
        }
        let idle = match policy {
            AccessPolicy::Lru => policy.idle_seconds(entry.clock(), now_ms),
            AccessPolicy::Lfu { .. } => 0,
        };
        let _ = write!(line, " lru:{} lru_seconds_idle:{idle}", AccessPolicy::redis_bits(entry.clock()));
        if let ValueRef::List(ListRef::Large(list, Encoding::Quicklist)) = entry.value() {
            let (nodes, (_, bytes)) = (list.nodes(), list.compression());
            let average = list.len() as f64 / nodes as f64;
            let _ = write!(
                line,
                " ql_nodes:{nodes} ql_avg_node:{average:.2} ql_listpack_max:{list_size} ql_compressed:{} \
                 ql_uncompressed_size:{bytes}",
                u8::from(limits.list_compress_depth > 0)
            );
        }
        line
    })?;
    ctx.reply().simple(&line);
    Ok(())
}

pub(super) fn populate(ctx: &mut AdminCtx<'_>, args: Args<'_>) -> CommandResult {
    let positive = |i: usize| {
        let number = args.get(i).map(|text| num::parse_i64(text).and_then(|n| u64::try_from(n).ok()));
        number.map(|n| n.ok_or(error::MUST_BE_POSITIVE)).transpose()
    };
    let count = positive(2)?.unwrap_or(0);
    let prefix = args.get(3).unwrap_or(b"key");
    let size = positive(4)?.filter(|size| *size > 0);
    if size.is_some_and(|size| size > ctx.inst.config.limits.proto_max_bulk_len) {
        return Err(error::STRING_TOO_LONG);
    }
    let (db, now_ms) = (ctx.session.db as usize, ctx.inst.now_ms);
    ctx.inst.keyspace.populate(db, count, prefix, size.map(|size| size as usize), now_ms);
    ctx.reply().ok();
    Ok(())
}

pub(super) fn load_aof(ctx: &mut AdminCtx<'_>, _args: Args<'_>) -> CommandResult {
    if ctx.inst.alert.has(Alert::LOADING) {
        return Err(error::LOADING);
    }
    if let Err(error) = ctx.inst.reload_aof(ctx.host) {
        for line in error.lines() {
            ctx.inst.log.log(Level::Warning, line, &[]);
        }
        return Err(CommandError::fixed("ERR Error trying to load the AOF files, check server logs"));
    }
    ctx.reply().ok();
    Ok(())
}

pub(super) fn reload(ctx: &mut AdminCtx<'_>, args: Args<'_>) -> CommandResult {
    let mut options = ReloadOptions::default();
    for word in args.skip(2).iter() {
        match () {
            () if word.eq_ignore_ascii_case(b"MERGE") => options.merge = true,
            () if word.eq_ignore_ascii_case(b"NOFLUSH") => options.noflush = true,
            () if word.eq_ignore_ascii_case(b"NOSAVE") => options.nosave = true,
            () => {
                let text = "ERR DEBUG RELOAD only supports the MERGE, NOFLUSH and NOSAVE options.";
                return Err(CommandError::fixed(text));
            }
        }
    }
    if ctx.inst.alert.has(Alert::LOADING) {
        return Err(error::LOADING);
    }
    match ctx.inst.reload(options, ctx.host) {
        Ok(()) => {
            ctx.reply().ok();
            Ok(())
        }
        Err(ReloadError::Save) => Err(CommandError::fixed("ERR")),
        Err(ReloadError::Load) => Err(CommandError::fixed("ERR Error trying to load the RDB dump, check server logs")),
    }
}

pub(super) fn htstats(ctx: &mut AdminCtx<'_>, args: Args<'_>) -> CommandResult {
    const NO_SUCH_DB: CommandError = CommandError::fixed("ERR Out of range database");
    let index = usize::try_from(args::int(&args[2])?).map_err(|_| NO_SUCH_DB)?;
    let keyspace = &ctx.inst.keyspace;
    if index >= keyspace.databases() {
        return Err(NO_SUCH_DB);
    }
    let (table, info) = (keyspace.table_stats(index), keyspace.info(index, ctx.inst.now_ms));
    let mut text = "[Dictionary HT]\n".to_owned();
    // Writing to a String does not fail.
    let _ = match table.entries {
        0 => writeln!(text, "No stats available for empty dictionaries"),
        n => writeln!(
            text,
            "Hash table 0 stats (main hash table):\n table size: {}\n number of elements: {n}",
            table.slots
        ),
    };
    if table.entries > 0 && args.len() == 4 {
        let filled = table.entries as f64 / table.slots.max(1) as f64 * 100.0;
        let _ = writeln!(
            text,
            " segments: {}\n deepest segment: {} bits\n filled: {filled:.2}%\n bytes without elements: {}",
            table.segments, table.depth, table.bytes
        );
    }
    let _ = writeln!(text, "[Expires HT]");
    if info.expires > 0 {
        let bytes = keyspace.expiry_bytes(index);
        let _ = writeln!(text, "Index by deadline:\n number of elements: {}\n bytes: {bytes}", info.expires);
    }
    ctx.reply().verbatim("txt", text.as_bytes());
    Ok(())
}

pub(super) fn htstats_key(ctx: &mut AdminCtx<'_>, args: Args<'_>) -> CommandResult {
    with_entry(ctx, args, |_| ())?;
    // No type that has a table inside can be stored yet.
    let text = "ERR The value stored at the specified key is not represented using an hash table";
    Err(CommandError::fixed(text))
}

pub(super) fn listpack(ctx: &mut AdminCtx<'_>, args: Args<'_>) -> CommandResult {
    describe(ctx, args, &[Encoding::Listpack, Encoding::ListpackEx], "ERR Not a listpack encoded object.")
}

pub(super) fn quicklist(ctx: &mut AdminCtx<'_>, args: Args<'_>) -> CommandResult {
    describe(ctx, args, &[Encoding::Quicklist], "ERR Not a quicklist encoded object.")
}

/// A line about a value in one of these encodings.
fn describe(ctx: &mut AdminCtx<'_>, args: Args<'_>, encodings: &[Encoding], other: &'static str) -> CommandResult {
    let line = with_entry(ctx, args, |entry| {
        let value = entry.value();
        let line = match value {
            ValueRef::List(ListRef::Large(list, _)) => format!("nodes:{} ", list.nodes()),
            _ => String::new(),
        };
        encodings
            .contains(&entry.encoding())
            .then(|| format!("{line}elements:{} bytes:{}", value.len(), value.memory_usage(0)))
    })?;
    ctx.reply().simple(&line.ok_or(CommandError::fixed(other))?);
    Ok(())
}

/// The largest element that may be told to be small.
const PACKED_THRESHOLD_MAX: u64 = (4 << 30) - (1 << 20);

pub(super) fn packed_threshold(ctx: &mut AdminCtx<'_>, args: Args<'_>) -> CommandResult {
    let bytes = num::parse_memory(&args[2])
        .filter(|bytes| *bytes <= PACKED_THRESHOLD_MAX)
        .ok_or(CommandError::fixed("ERR argument must be a memory value bigger than 1 and smaller than 4gb"))?;
    set_large_from(bytes as usize);
    ctx.reply().ok();
    Ok(())
}

pub(super) fn stringmatch(ctx: &mut AdminCtx<'_>, args: Args<'_>) -> CommandResult {
    let matches = glob::matches(&args[2], &args[3], false);
    ctx.reply().int(i64::from(matches));
    Ok(())
}

/// Random patterns of the characters that mean something, against random texts: none may crash or take long.
pub(super) fn stringmatch_test(ctx: &mut AdminCtx<'_>, _args: Args<'_>) -> CommandResult {
    const ROUNDS: usize = 100_000;
    const LEN_MAX: u64 = 32;
    const ALPHABET: &[u8] = b"ab*?[]^-\\";
    let rng = &mut ctx.inst.rng;
    let mut random = |out: &mut Vec<u8>| {
        out.clear();
        out.extend((0..rng.below(LEN_MAX)).map(|_| ALPHABET[rng.index(ALPHABET.len())]));
    };
    let (mut pattern, mut text) = (Vec::new(), Vec::new());
    let mut matched = 0_usize;
    for _ in 0..ROUNDS {
        random(&mut pattern);
        random(&mut text);
        matched += usize::from(glob::matches(&pattern, &text, false));
    }
    ctx.reply().simple(&format!("Apparently Redis did not crash: test passed ({matched} of {ROUNDS} matched)"));
    Ok(())
}
