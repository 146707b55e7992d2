//! Values out and in again: DUMP, RESTORE.
//!
//! A payload is what a file has for the value, with a footer that proves it was not damaged (see
//! [`crate::rdb::payload`]); it travels between servers, of other makes too. Whoever sends one may have made it up,
//! so its structure is vetted whatever the footer says.
//!
//! The order in which RESTORE refuses is Redis's: options, the key that is in the way, the time, the payload.

use crate::config::Config;
use crate::db::KeySlot;
use crate::exec::args::int;
use crate::exec::ctx::DataCtx;
use crate::exec::error::{self, CommandError, CommandResult};
use crate::exec::spec::{Access, ArgSpec, Arity, Categories, CommandSpec, Flags, Group, Handler, KeySpec};
use crate::observe::keys;
use crate::observe::log::Logger;
use crate::rdb::{self, RdbError, RdbReader, RdbWriter, WriteOptions, payload};
use crate::resp::Args;
use crate::types::place::Maker;
use crate::types::string::BLOB_MAX;
use crate::types::value::{NewValue, ValueRef, Vetting};

pub(super) static DUMP: CommandSpec = CommandSpec {
    name: "dump",
    summary: "Returns the value at a key in serialised form.",
    complexity: "O(1) to find the key, O(N) for N bytes",
    since: "2.6.0",
    group: Group::Generic,
    arity: Arity::Exactly(2),
    flags: Flags::READONLY,
    keys: &[KeySpec::at(1, Access::READ_ONLY.or(Access::ACCESS))],
    args: &[ArgSpec::key("key")],
    tips: &["nondeterministic_output"],
    handler: Handler::Data(dump),
    ..CommandSpec::BASE
};

pub(super) static RESTORE: CommandSpec = CommandSpec {
    name: "restore",
    summary: "Creates a key from a value that DUMP serialised.",
    complexity: "O(N), N the bytes of the payload",
    since: "2.6.0",
    group: Group::Generic,
    arity: Arity::AtLeast(4),
    flags: Flags::WRITE.or(Flags::DENYOOM),
    categories: Categories::DANGEROUS,
    keys: &[KeySpec::at(1, Access::OVERWRITE.or(Access::UPDATE))],
    args: &[
        ArgSpec::key("key"),
        ArgSpec::integer("ttl"),
        ArgSpec::string("serialized-value"),
        ArgSpec::word("replace", "REPLACE").optional().since("3.0.0"),
        ArgSpec::word("absttl", "ABSTTL").optional().since("5.0.0"),
        ArgSpec::integer("seconds").token("IDLETIME").optional().since("5.0.0"),
        ArgSpec::integer("frequency").token("FREQ").optional().since("5.0.0"),
    ],
    handler: Handler::Data(restore),
    ..CommandSpec::BASE
};

fn dump(ctx: &mut DataCtx<'_>, args: Args<'_>) -> CommandResult {
    let key = ctx.key(args, 1);
    match ctx.db.lookup_read(key) {
        Some(entry) => {
            let dumped = serialised(entry.value(), ctx.config);
            if dumped.len() > BLOB_MAX {
                ctx.reply.shared_bulk(dumped.len(), [dumped.into()]);
            } else {
                ctx.reply.bulk(&dumped);
            }
        }
        None => ctx.reply.null(),
    }
    Ok(())
}

/// What DUMP answers for a value.
pub(super) fn serialised(value: ValueRef<'_>, config: &Config) -> Vec<u8> {
    let options = WriteOptions { compression: config.persistence.rdbcompression, ..WriteOptions::default() };
    let opcode = value.rdb_opcode(options.version);
    let version = options.version.max(opcode.since_version());
    let mut writer = RdbWriter::in_memory(WriteOptions { version, ..options });
    let written = writer.write_type(opcode).and_then(|()| value.save(&mut writer));
    written.expect("writing to memory does not fail");
    payload::wrap(&mut writer)
}

const BAD_TTL: CommandError = CommandError::fixed("ERR Invalid TTL value, must be >= 0");
const BAD_IDLETIME: CommandError = CommandError::fixed("ERR Invalid IDLETIME value, must be >= 0");
const BAD_FREQ: CommandError = CommandError::fixed("ERR Invalid FREQ value, must be >= 0 and <= 255");
const BAD_FORMAT: CommandError = CommandError::fixed("ERR Bad data format");

fn restore(ctx: &mut DataCtx<'_>, args: Args<'_>) -> CommandResult {
    let options = Options::parse(args)?;
    let (now_ms, clock_ms) = (ctx.db.now_ms(), ctx.db.clock_ms());
    let checksums = ctx.db.keyspace().options().payload_checksums;
    let key = ctx.key(args, 1);
    let mut slot = ctx.db.entry(key);
    if slot.get().is_some() && !options.replace {
        return Err(error::BUSY_KEY);
    }
    let ttl = int(&args[2])?;
    if ttl < 0 {
        return Err(BAD_TTL);
    }
    let payload = match args.pieces(3) {
        Some(pieces) => payload::unwrap_pieces(pieces, checksums),
        None => payload::unwrap(&args[3], checksums),
    };
    let value = read(payload, ctx.log, &mut slot.maker())?;
    let from = if options.absolute { 0 } else { clock_ms };
    let deadline = (ttl > 0).then(|| ttl.saturating_add(from));
    let is_past = deadline.is_some_and(|at| at <= now_ms);
    let replaces = slot.get().is_some();
    match slot {
        // What would expire at once is not stored, but what it replaces is gone.
        KeySlot::Occupied(entry) if is_past => entry.remove(),
        KeySlot::Vacant(_) if is_past => {}
        slot => slot.restore(value, deadline, options.access),
    }
    if is_past && replaces {
        ctx.db.propagate_removal(key);
    } else if let Some(deadline) = deadline.filter(|_| !options.absolute && ctx.db.propagates()) {
        let deadline = deadline.to_string();
        let command = args.iter().take(2).chain([deadline.as_bytes()]).chain(args.skip(3).iter());
        let command: Vec<&[u8]> = command.chain([&b"ABSTTL"[..]]).collect();
        ctx.db.propagate(&command);
    }
    ctx.reply.ok();
    Ok(())
}

/// The value of a payload. Why it is none is in the log, in the words that Redis has for it.
fn read(
    payload: Result<RdbReader<'_>, RdbError>,
    log: &Logger,
    maker: &mut Maker<'_>,
) -> Result<NewValue, CommandError> {
    let refused = |why: RdbError, error| {
        log.warning("A payload was refused", &[(keys::REASON, &why.to_string())]);
        error
    };
    let mut reader = payload.map_err(|why| refused(why, error::BAD_PAYLOAD))?;
    let value = reader.read_type().and_then(|kind| NewValue::load(kind, &mut reader, Vetting::Hostile, maker));
    value.map_err(|why| refused(why, BAD_FORMAT))?.ok_or(BAD_FORMAT)
}

struct Options {
    replace: bool,
    /// ABSTTL: the time is a point in time.
    absolute: bool,
    access: rdb::Access,
}

impl Options {
    fn parse(args: Args<'_>) -> Result<Options, CommandError> {
        let mut options = Options { replace: false, absolute: false, access: rdb::Access::Unknown };
        let mut rest = args.skip(4).iter();
        while let Some(word) = rest.next() {
            match (word, options.access) {
                _ if word.eq_ignore_ascii_case(b"REPLACE") => options.replace = true,
                _ if word.eq_ignore_ascii_case(b"ABSTTL") => options.absolute = true,
                (_, rdb::Access::Unknown | rdb::Access::IdleSeconds(_)) if word.eq_ignore_ascii_case(b"IDLETIME") => {
                    let seconds = int(rest.next().ok_or(error::SYNTAX)?)?;
                    let seconds = u64::try_from(seconds).map_err(|_| BAD_IDLETIME)?;
                    options.access = rdb::Access::IdleSeconds(seconds);
                }
                (_, rdb::Access::Unknown | rdb::Access::Frequency(_)) if word.eq_ignore_ascii_case(b"FREQ") => {
                    let counter = int(rest.next().ok_or(error::SYNTAX)?)?;
                    let counter = u8::try_from(counter).map_err(|_| BAD_FREQ)?;
                    options.access = rdb::Access::Frequency(counter);
                }
                _ => return Err(error::SYNTAX),
            }
        }
        Ok(options)
    }
}
