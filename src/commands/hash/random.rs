//! HRANDFIELD: fields chosen at random, each as likely as any other.
//!
//! Fields whose time is over are deleted before. Where they have to stay, in a pause, the choice is one of a list of the
//! others.

use super::reply_item;
use crate::exec::args::int;
use crate::exec::ctx::DataCtx;
use crate::exec::error::{self, CommandError, CommandResult};
use crate::exec::room::BULK_BYTES_MIN;
use crate::exec::spec::{Access, ArgSpec, Arity, CommandSpec, Flags, Group, Handler, KeySpec};
use crate::resp::{Args, Proto, Reply};
use crate::types::hash::{Field, HashRef};
use crate::util::rng::Rng;
use std::collections::HashSet;

/// What a hash has at least times what is wanted of it, when fields are drawn instead of gone through.
const DRAW_ABOVE: usize = 3;

pub(super) static HRANDFIELD: CommandSpec = CommandSpec {
    name: "hrandfield",
    summary: "Returns fields chosen at random.",
    complexity: "O(N), N the fields returned",
    since: "6.2.0",
    group: Group::Hash,
    arity: Arity::AtLeast(2),
    flags: Flags::READONLY,
    keys: &[KeySpec::at(1, Access::READ_ONLY.or(Access::ACCESS))],
    args: &[
        ArgSpec::key("key"),
        ArgSpec::block("options", &[ArgSpec::integer("count"), ArgSpec::word("withvalues", "WITHVALUES").optional()])
            .optional(),
    ],
    tips: &["nondeterministic_output"],
    handler: Handler::Data(hrandfield),
    ..CommandSpec::BASE
};

fn hrandfield(ctx: &mut DataCtx<'_>, args: Args<'_>) -> CommandResult {
    let count = args.get(2).map(int).transpose()?;
    if count == Some(i64::MIN) {
        let most = i64::MAX;
        return Err(CommandError::text(format!("ERR value is out of range, value must between -{most} and {most}")));
    }
    let values = match args.len() {
        2 | 3 => false,
        4 if args[3].eq_ignore_ascii_case(b"withvalues") => true,
        _ => return Err(error::SYNTAX),
    };
    // Twice the count must have a name, too.
    if values && count.is_some_and(|count| count.abs() > i64::MAX / 2) {
        return Err(error::OUT_OF_RANGE);
    }
    let (mut rng, now_ms, room) = (ctx.db.random(), ctx.db.now_ms(), ctx.reply_room());
    let key = ctx.key(args, 1);
    if ctx.db.peek(key).is_some_and(|entry| entry.hash().is_ok_and(|hash| hash.has_expired(now_ms))) {
        ctx.db.delete_expired_fields(key);
    }
    let hash = ctx.db.lookup_read(key).map(|entry| entry.hash()).transpose()?;
    let choice = hash.map(|hash| Choice::new(hash, now_ms)).filter(|choice| choice.len() > 0);
    let (Some(choice), reply) = (choice, &mut *ctx.reply) else {
        match count {
            None => ctx.reply.null(),
            Some(_) => ctx.reply.array(0),
        }
        return Ok(());
    };
    let Some(count) = count else {
        reply_item(reply, choice.random(&mut rng).name);
        return Ok(());
    };
    if count < 0 {
        let count = usize::try_from(count.unsigned_abs()).unwrap_or(usize::MAX);
        room.admit(count, BULK_BYTES_MIN * (1 + usize::from(values)))?;
        begin(reply, count, values);
        for _ in 0..count {
            reply_field(reply, choice.random(&mut rng), values);
            if !room.goes_on(reply)? {
                break;
            }
        }
        return Ok(());
    }
    let count = usize::try_from(count).unwrap_or(usize::MAX).min(choice.len());
    begin(reply, count, values);
    choice.different(count, &mut rng, |field| reply_field(reply, field, values));
    Ok(())
}

fn begin(reply: &mut Reply, count: usize, values: bool) {
    reply.array(if values && reply.proto == Proto::Resp2 { count.saturating_mul(2) } else { count });
}

fn reply_field(reply: &mut Reply, field: Field<'_>, values: bool) {
    if values && reply.proto == Proto::Resp3 {
        reply.array(2);
    }
    reply_item(reply, field.name);
    if values {
        reply_item(reply, field.value);
    }
}

/// What there is to choose from.
enum Choice<'a> {
    All(HashRef<'a>),
    /// Those that have time left.
    Some(Vec<Field<'a>>),
}

impl<'a> Choice<'a> {
    fn new(hash: HashRef<'a>, now_ms: i64) -> Choice<'a> {
        if !hash.has_expired(now_ms) {
            return Choice::All(hash);
        }
        let mut fields = Vec::new();
        hash.for_each_live(now_ms, |field| fields.push(field));
        Choice::Some(fields)
    }

    fn len(&self) -> usize {
        match self {
            Choice::All(hash) => hash.len(),
            Choice::Some(fields) => fields.len(),
        }
    }

    fn random(&self, rng: &mut Rng) -> Field<'a> {
        match self {
            Choice::All(hash) => hash.random(rng),
            Choice::Some(fields) => fields[rng.index(fields.len())],
        }
    }

    /// Shows `count` different fields.
    fn different(&self, count: usize, rng: &mut Rng, mut f: impl FnMut(Field<'a>)) {
        if let Choice::All(HashRef::Large(hash)) = self
            && count.saturating_mul(DRAW_ABOVE) < hash.len()
        {
            let mut seen = HashSet::with_capacity(count);
            while seen.len() < count {
                let field = self.random(rng);
                if seen.insert(field.name.to_vec()) {
                    f(field);
                }
            }
            return;
        }
        // Each with the probability that makes all choices of `count` equally likely.
        let (mut wanted, mut left) = (count, self.len());
        let mut show = |field| {
            if rng.index(left) < wanted {
                f(field);
                wanted -= 1;
            }
            left -= 1;
        };
        match self {
            Choice::All(hash) => hash.for_each(show),
            Choice::Some(fields) => fields.iter().for_each(|field| show(*field)),
        }
    }
}
