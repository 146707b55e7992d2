//! XADD and XTRIM: what comes at the end of a stream, and what goes at its front.

use super::{ids, replies, stream_mut};
use crate::db::{DbMut, KeyEvent, KeySlot, Occupied};
use crate::exec::args::int;
use crate::exec::ctx::DataCtx;
use crate::exec::error::{self, CommandError, CommandResult};
use crate::exec::spec::{Access, ArgSpec, Arity, CommandSpec, Flags, Group, Handler, KeySpec};
use crate::resp::Args;
use crate::types::contract::TypeName;
use crate::types::place::Place;
use crate::types::stream::chunk::{self, ChunkLimits};
use crate::types::stream::entries::{References, Threshold, Trim};
use crate::types::stream::id::{Seq, StreamId, Written};
use crate::types::stream::{AddError, NewStream, StreamObject, Trimmed};
use crate::types::value::NewValue;

pub(super) static XADD: CommandSpec = CommandSpec {
    name: "xadd",
    summary: "Appends an entry to a stream, and trims the stream where asked for.",
    complexity: "O(1); O(N) when N entries are trimmed",
    since: "5.0.0",
    group: Group::Stream,
    arity: Arity::AtLeast(5),
    flags: Flags::WRITE.or(Flags::DENYOOM).or(Flags::FAST),
    keys: &[KeySpec::at(1, Access::READ_WRITE.or(Access::UPDATE)).note("UPDATE because it may trim, too")],
    args: &[
        ArgSpec::key("key"),
        ArgSpec::word("nomkstream", "NOMKSTREAM").optional().since("6.2.0"),
        ids::CONDITION,
        ArgSpec::block(
            "trim",
            &[
                ArgSpec::one_of(
                    "strategy",
                    &[ArgSpec::word("maxlen", "MAXLEN"), ArgSpec::word("minid", "MINID").since("6.2.0")],
                ),
                ArgSpec::one_of("operator", &[ArgSpec::word("equal", "="), ArgSpec::word("approximately", "~")])
                    .optional(),
                ArgSpec::string("threshold"),
                ArgSpec::integer("count").token("LIMIT").optional().since("6.2.0"),
            ],
        )
        .optional(),
        ArgSpec::one_of("id-selector", &[ArgSpec::word("auto-id", "*"), ArgSpec::string("id")]),
        ArgSpec::block("data", &[ArgSpec::string("field"), ArgSpec::string("value")]).multiple(),
    ],
    tips: &["nondeterministic_output"],
    handler: Handler::Data(xadd),
    ..CommandSpec::BASE
};

pub(super) static XTRIM: CommandSpec = CommandSpec {
    name: "xtrim",
    summary: "Removes the oldest entries of a stream.",
    complexity: "O(N), N the entries removed",
    since: "5.0.0",
    group: Group::Stream,
    arity: Arity::AtLeast(4),
    flags: Flags::WRITE,
    keys: &[KeySpec::at(1, Access::READ_WRITE.or(Access::DELETE))],
    args: &[
        ArgSpec::key("key"),
        ArgSpec::block(
            "trim",
            &[
                ArgSpec::one_of(
                    "strategy",
                    &[ArgSpec::word("maxlen", "MAXLEN"), ArgSpec::word("minid", "MINID").since("6.2.0")],
                ),
                ArgSpec::one_of("operator", &[ArgSpec::word("equal", "="), ArgSpec::word("approximately", "~")])
                    .optional(),
                ArgSpec::string("threshold"),
                ArgSpec::integer("count").token("LIMIT").optional().since("6.2.0"),
                ids::CONDITION,
            ],
        ),
    ],
    tips: &["nondeterministic_output"],
    handler: Handler::Data(xtrim),
    ..CommandSpec::BASE
};

const TWO_STRATEGIES: CommandError =
    CommandError::fixed("ERR syntax error, MAXLEN and MINID options at the same time are not compatible");
const NEGATIVE_MAXLEN: CommandError = CommandError::fixed("ERR The MAXLEN argument must be >= 0.");
const NEGATIVE_LIMIT: CommandError = CommandError::fixed("ERR The LIMIT argument must be >= 0.");
const LIMIT_WITHOUT_STRATEGY: CommandError =
    CommandError::fixed("ERR syntax error, LIMIT cannot be used without specifying a trimming strategy");
const NO_STRATEGY: CommandError =
    CommandError::fixed("ERR syntax error, XTRIM must be called with a trimming strategy");
const LIMIT_OF_EXACT: CommandError =
    CommandError::fixed("ERR syntax error, LIMIT cannot be used without the special ~ option");
const ZERO_ID: CommandError = CommandError::fixed("ERR The ID specified in XADD must be greater than 0-0");
const EXHAUSTED: CommandError =
    CommandError::fixed("ERR The stream has exhausted the last possible ID, unable to add more items");
const NOT_HIGHER: CommandError =
    CommandError::fixed("ERR The ID specified in XADD is equal or smaller than the target stream top item");
const TOO_LARGE: CommandError = CommandError::fixed("ERR Elements are too large to be stored");

/// Without LIMIT, `~` removes at most so many full chunks at once.
const CHUNKS_MAX: u64 = 100;
/// What that is when chunks have any number of entries, and what it is at most.
const LIMIT_DEFAULT: u64 = 10_000;
const LIMIT_MAX: u64 = 1_000_000;

/// What stands between the key and the entry.
struct Options {
    trim: Option<Trim>,
    make: bool,
    /// None for `*`.
    id: Option<Written>,
    /// Where the id is; behind the last argument for XTRIM.
    id_at: usize,
    /// Where the operator of the threshold is.
    operator_at: usize,
    /// Where LIMIT is.
    limit_at: Option<usize>,
}

impl Options {
    fn parse(args: Args<'_>, is_add: bool, chunk_entries: u64) -> Result<Options, CommandError> {
        let mut options =
            Options { trim: None, make: true, id: None, id_at: args.len(), operator_at: 0, limit_at: None };
        let mut threshold = None;
        let (mut approximate, mut limit, mut references) = (false, None, None);
        let mut at = 2;
        while at < args.len() {
            let (word, more) = (&args[at], args.len() - 1 - at);
            if is_add && word == b"*" {
                options.id_at = at;
                break;
            }
            let is_maxlen = word.eq_ignore_ascii_case(b"MAXLEN");
            if (is_maxlen || word.eq_ignore_ascii_case(b"MINID")) && more > 0 {
                if threshold.is_some() {
                    return Err(TWO_STRATEGIES);
                }
                let operator = if more > 1 { &args[at + 1] } else { b"" };
                approximate = operator == b"~";
                options.operator_at = at + 1;
                at += if operator == b"~" || operator == b"=" { 2 } else { 1 };
                threshold = Some(if is_maxlen {
                    Threshold::Length(u64::try_from(int(&args[at])?).map_err(|_| NEGATIVE_MAXLEN)?)
                } else {
                    Threshold::Id(ids::id(&args[at])?)
                });
            } else if word.eq_ignore_ascii_case(b"LIMIT") && more > 0 {
                options.limit_at = Some(at);
                at += 1;
                limit = Some(u64::try_from(int(&args[at])?).map_err(|_| NEGATIVE_LIMIT)?);
            } else if is_add && word.eq_ignore_ascii_case(b"NOMKSTREAM") {
                options.make = false;
            } else if references.is_none()
                && let Some(said) = ids::references(word)
            {
                references = Some(said);
            } else if is_add {
                options.id = Some(Written::parse(word).ok_or(ids::INVALID_ID)?);
                options.id_at = at;
                break;
            } else {
                return Err(error::SYNTAX);
            }
            at += 1;
        }
        let Some(to) = threshold else {
            return match limit {
                Some(1..) => Err(LIMIT_WITHOUT_STRATEGY),
                _ if !is_add => Err(NO_STRATEGY),
                _ if limit.is_some() => Err(LIMIT_OF_EXACT),
                _ => Ok(options),
            };
        };
        let limit = match limit {
            Some(_) if !approximate => return Err(LIMIT_OF_EXACT),
            Some(limit) => limit,
            None if !approximate => 0,
            None => match chunk_entries.saturating_mul(CHUNKS_MAX) {
                0 => LIMIT_DEFAULT,
                limit => limit.min(LIMIT_MAX),
            },
        };
        options.trim = Some(Trim { to, approximate, limit, references: references.unwrap_or_default() });
        Ok(options)
    }

    /// Whether the command means something else elsewhere: the id is chosen by the clock, or it depends on the chunks
    /// how much is trimmed.
    fn is_vague(&self) -> bool {
        let is_exact_id = self.id.is_some_and(|id| id.seq != Seq::Any);
        !is_exact_id || self.trim.is_some_and(|trim| trim.approximate)
    }

    /// Has the command propagated with what became of it in place of what it left open.
    fn propagate(&self, db: &mut DbMut<'_>, args: Args<'_>, id: Option<StreamId>, reached: Threshold) {
        let id = id.map(|id| id.to_string());
        let reached = match reached {
            Threshold::Length(len) => (&b"MAXLEN"[..], len.to_string()),
            Threshold::Id(id) => (&b"MINID"[..], id.to_string()),
        };
        let mut command: Vec<&[u8]> = args.iter().collect();
        if let Some(id) = &id {
            command[self.id_at] = id.as_bytes();
        }
        if self.trim.is_some_and(|trim| trim.approximate) {
            command[self.operator_at - 1] = reached.0;
            command[self.operator_at] = b"=";
            command[self.operator_at + 1] = reached.1.as_bytes();
            if let Some(at) = self.limit_at {
                command.drain(at..at + 2);
            }
        }
        db.propagate(&command);
    }
}

/// The exact threshold at which a trim ended: elsewhere it removes the same entries.
fn reached(stream: &StreamObject, trim: Option<Trim>) -> Threshold {
    let entries = stream.entries();
    match trim {
        // Entries in front may stay, because somebody needs them: then it is the number of those left that says it.
        Some(Trim { to: Threshold::Id(keep), references, .. }) if references != References::Acked => {
            let first = entries.first().map_or(StreamId::MAX, |entry| entry.id);
            // What is still pending between the two stays so.
            Threshold::Id(if references == References::Delete { first.min(keep) } else { first })
        }
        _ => Threshold::Length(entries.len()),
    }
}

fn xadd(ctx: &mut DataCtx<'_>, args: Args<'_>) -> CommandResult {
    let options = if &args[2] == b"*" {
        Options { trim: None, make: true, id: None, id_at: 2, operator_at: 0, limit_at: None }
    } else {
        Options::parse(args, true, chunk_entries(ctx))?
    };
    let texts = args.skip(options.id_at + 1);
    if texts.len() < 2 || !texts.len().is_multiple_of(2) {
        return Err(error::wrong_arity("xadd"));
    }
    if matches!(options.id, Some(Written { ms: 0, seq: Seq::Given(0) | Seq::Missing })) {
        return Err(ZERO_ID);
    }
    let key = ctx.key(args, 1);
    let now_ms = ctx.db.clock_ms();
    let mut place = match ctx.db.entry(key) {
        KeySlot::Occupied(place) => {
            place.get().expect(TypeName::Stream)?;
            place
        }
        KeySlot::Vacant(_) if !options.make => {
            ctx.reply.null();
            return Ok(());
        }
        KeySlot::Vacant(mut vacant) => {
            check_size(texts)?;
            let new = NewStream::empty(vacant.maker().epoch());
            vacant.insert_value(NewValue::Stream(new))
        }
    };
    let limits = place.maker().limits;
    let limits = ChunkLimits {
        bytes: usize::try_from(limits.stream_bytes).unwrap_or(usize::MAX),
        entries: limits.stream_entries,
    };
    let (stream, heap) = stream_mut(&mut place);
    let id = stream.choose_id(options.id, now_ms).map_err(|why| match why {
        AddError::Exhausted => EXHAUSTED,
        AddError::NotHigher => NOT_HIGHER,
    })?;
    check_size(texts)?;
    if texts.has_long() {
        stream.add_long(heap, limits, id, texts.texts().collect());
    } else {
        stream.add(heap, limits, id, texts.iter());
    }
    let mut trimmed = 0;
    if let Some(trim) = options.trim {
        trimmed = stream.trim(heap, trim).gone;
    }
    let reached = reached(stream, options.trim);
    place.changed(1, KeyEvent::stream("xadd").first());
    if trimmed > 0 {
        place.notify(XTRIM_EVENT);
    }
    if options.is_vague() && ctx.db.propagates() {
        let is_given = options.id.is_some_and(|id| id.seq != Seq::Any);
        options.propagate(&mut ctx.db, args, (!is_given).then_some(id), reached);
    }
    replies::id(ctx.reply, id);
    Ok(())
}

/// A listpack has its limit, and so have the texts of an entry.
#[inline]
fn check_size(texts: Args<'_>) -> CommandResult {
    if chunk::bytes_alone((0..texts.len()).map(|i| texts.len_of(i))) > chunk::BYTES_MAX {
        Err(TOO_LARGE)
    } else {
        Ok(())
    }
}

fn chunk_entries(ctx: &DataCtx<'_>) -> u64 {
    ctx.config.storage.stream_node_max_entries
}

const XTRIM_EVENT: KeyEvent = KeyEvent::stream("xtrim").first();

fn xtrim(ctx: &mut DataCtx<'_>, args: Args<'_>) -> CommandResult {
    let options = Options::parse(args, false, chunk_entries(ctx))?;
    let key = ctx.key(args, 1);
    let mut gone = 0;
    if let (KeySlot::Occupied(mut place), Some(trim)) = (ctx.db.entry(key), options.trim) {
        place.get().expect(TypeName::Stream)?;
        let trimmed = trim_at(&mut place, trim);
        gone = trimmed.gone;
        if (gone > 0 || trimmed.forgot) && trim.approximate {
            let reached = reached(stream_mut(&mut place).0, Some(trim));
            options.propagate(&mut ctx.db, args, None, reached);
        }
    }
    ctx.reply.int(gone as i64);
    Ok(())
}

fn trim_at(place: &mut Occupied<'_>, trim: Trim) -> Trimmed {
    let (stream, heap) = stream_mut(place);
    let trimmed = stream.trim(heap, trim);
    if trimmed.gone > 0 {
        place.changed(trimmed.gone as usize, XTRIM_EVENT);
    } else if trimmed.forgot {
        place.changed_quietly(1);
    }
    trimmed
}
