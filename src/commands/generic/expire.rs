//! Giving a key a deadline, or taking it away: EXPIRE, PEXPIRE, EXPIREAT, PEXPIREAT, PERSIST.
//!
//! The four of the family are one command with another unit; the deadline is kept in unix milliseconds whatever it
//! was given in. A deadline that has passed already deletes the key now, and is answered like any other: that is how
//! a client with a slow way to us, or a clock ahead of ours, gets what it asked for.
//!
//! For the conditions GT and LT, a key without a deadline lives forever: GT never holds for it, LT always.

use crate::db::KeySlot;
use crate::exec::args::{ExpiryUnit, int};
use crate::exec::ctx::DataCtx;
use crate::exec::error::{self, CommandError, CommandResult};
use crate::exec::spec::{Access, ArgSpec, Arity, CommandSpec, Flags, Group, Handler, KeySpec};
use crate::resp::Args;

pub(super) static EXPIRE: CommandSpec = CommandSpec {
    name: "expire",
    summary: "Sets a key's time to live in seconds.",
    group: Group::Generic,
    arity: Arity::AtLeast(3),
    flags: Flags::WRITE.or(Flags::FAST),
    keys: &[KeySpec::at(1, Access::READ_WRITE.or(Access::UPDATE))],
    args: &[
        ArgSpec::key("key"),
        ArgSpec::integer("seconds"),
        ArgSpec::one_of(
            "condition",
            &[
                ArgSpec::word("nx", "NX"),
                ArgSpec::word("xx", "XX"),
                ArgSpec::word("gt", "GT"),
                ArgSpec::word("lt", "LT"),
            ],
        )
        .optional()
        .since("7.0.0"),
    ],
    handler: Handler::Data(expire),
    ..CommandSpec::BASE
};

pub(super) static PEXPIRE: CommandSpec = CommandSpec {
    name: "pexpire",
    summary: "Sets a key's time to live in milliseconds.",
    since: "2.6.0",
    group: Group::Generic,
    arity: Arity::AtLeast(3),
    flags: Flags::WRITE.or(Flags::FAST),
    keys: &[KeySpec::at(1, Access::READ_WRITE.or(Access::UPDATE))],
    args: &[
        ArgSpec::key("key"),
        ArgSpec::integer("milliseconds"),
        ArgSpec::one_of(
            "condition",
            &[
                ArgSpec::word("nx", "NX"),
                ArgSpec::word("xx", "XX"),
                ArgSpec::word("gt", "GT"),
                ArgSpec::word("lt", "LT"),
            ],
        )
        .optional()
        .since("7.0.0"),
    ],
    handler: Handler::Data(pexpire),
    ..CommandSpec::BASE
};

pub(super) static EXPIREAT: CommandSpec = CommandSpec {
    name: "expireat",
    summary: "Sets the unix time, in seconds, at which a key expires.",
    since: "1.2.0",
    group: Group::Generic,
    arity: Arity::AtLeast(3),
    flags: Flags::WRITE.or(Flags::FAST),
    keys: &[KeySpec::at(1, Access::READ_WRITE.or(Access::UPDATE))],
    args: &[
        ArgSpec::key("key"),
        ArgSpec::unix_time("unix-time-seconds"),
        ArgSpec::one_of(
            "condition",
            &[
                ArgSpec::word("nx", "NX"),
                ArgSpec::word("xx", "XX"),
                ArgSpec::word("gt", "GT"),
                ArgSpec::word("lt", "LT"),
            ],
        )
        .optional()
        .since("7.0.0"),
    ],
    handler: Handler::Data(expireat),
    ..CommandSpec::BASE
};

pub(super) static PEXPIREAT: CommandSpec = CommandSpec {
    name: "pexpireat",
    summary: "Sets the unix time, in milliseconds, at which a key expires.",
    since: "2.6.0",
    group: Group::Generic,
    arity: Arity::AtLeast(3),
    flags: Flags::WRITE.or(Flags::FAST),
    keys: &[KeySpec::at(1, Access::READ_WRITE.or(Access::UPDATE))],
    args: &[
        ArgSpec::key("key"),
        ArgSpec::unix_time("unix-time-milliseconds"),
        ArgSpec::one_of(
            "condition",
            &[
                ArgSpec::word("nx", "NX"),
                ArgSpec::word("xx", "XX"),
                ArgSpec::word("gt", "GT"),
                ArgSpec::word("lt", "LT"),
            ],
        )
        .optional()
        .since("7.0.0"),
    ],
    handler: Handler::Data(pexpireat),
    ..CommandSpec::BASE
};

pub(super) static PERSIST: CommandSpec = CommandSpec {
    name: "persist",
    summary: "Removes the expiry of a key.",
    since: "2.2.0",
    group: Group::Generic,
    arity: Arity::Exactly(2),
    flags: Flags::WRITE.or(Flags::FAST),
    keys: &[KeySpec::at(1, Access::READ_WRITE.or(Access::UPDATE))],
    args: &[ArgSpec::key("key")],
    handler: Handler::Data(persist),
    ..CommandSpec::BASE
};

fn expire(ctx: &mut DataCtx<'_>, args: Args<'_>) -> CommandResult {
    set_deadline(ctx, args, ExpiryUnit::Seconds)
}

fn pexpire(ctx: &mut DataCtx<'_>, args: Args<'_>) -> CommandResult {
    set_deadline(ctx, args, ExpiryUnit::Millis)
}

fn expireat(ctx: &mut DataCtx<'_>, args: Args<'_>) -> CommandResult {
    set_deadline(ctx, args, ExpiryUnit::UnixSeconds)
}

fn pexpireat(ctx: &mut DataCtx<'_>, args: Args<'_>) -> CommandResult {
    set_deadline(ctx, args, ExpiryUnit::UnixMillis)
}

fn set_deadline(ctx: &mut DataCtx<'_>, args: Args<'_>, unit: ExpiryUnit) -> CommandResult {
    let conditions = Conditions::parse(args)?;
    let now_ms = ctx.db.now_ms();
    let deadline = unit.deadline_ms(int(&args[2])?, ctx.db.clock_ms());
    let deadline = deadline.ok_or_else(|| error::invalid_expire(&ctx.command.full_name))?;
    let key = ctx.key(args, 1);
    let is_past = deadline <= now_ms;
    let done = match ctx.db.entry(key) {
        KeySlot::Occupied(mut entry) if conditions.hold(entry.expiry_ms(), deadline) => {
            if is_past {
                entry.remove();
            } else {
                entry.set_expiry(Some(deadline));
            }
            true
        }
        KeySlot::Occupied(_) | KeySlot::Vacant(_) => false,
    };
    if done && ctx.db.propagates() {
        if is_past {
            ctx.db.propagate_expiry(key);
        } else {
            let deadline = deadline.to_string();
            let command: [&[u8]; 3] = [b"PEXPIREAT", key.bytes, deadline.as_bytes()];
            let command: Vec<&[u8]> = command.into_iter().chain(args.skip(3).iter()).collect();
            ctx.db.propagate(&command);
        }
    }
    ctx.reply.int(i64::from(done));
    Ok(())
}

const NX_WITH_OTHERS: CommandError =
    CommandError::fixed("ERR NX and XX, GT or LT options at the same time are not compatible");
const GT_WITH_LT: CommandError = CommandError::fixed("ERR GT and LT options at the same time are not compatible");

/// All that were given must hold.
#[derive(Clone, Copy, Default)]
struct Conditions {
    /// There is no deadline yet.
    nx: bool,
    /// There is one.
    xx: bool,
    /// The new one is later.
    gt: bool,
    /// The new one is earlier.
    lt: bool,
}

impl Conditions {
    fn parse(args: Args<'_>) -> Result<Conditions, CommandError> {
        let mut conditions = Conditions::default();
        for word in args.skip(3) {
            match word {
                _ if word.eq_ignore_ascii_case(b"NX") => conditions.nx = true,
                _ if word.eq_ignore_ascii_case(b"XX") => conditions.xx = true,
                _ if word.eq_ignore_ascii_case(b"GT") => conditions.gt = true,
                _ if word.eq_ignore_ascii_case(b"LT") => conditions.lt = true,
                _ => return Err(CommandError::quoting("ERR Unsupported option ", word, "")),
            }
        }
        let Conditions { nx, xx, gt, lt } = conditions;
        if nx && (xx || gt || lt) {
            return Err(NX_WITH_OTHERS);
        }
        if gt && lt {
            return Err(GT_WITH_LT);
        }
        Ok(conditions)
    }

    fn hold(self, old: Option<i64>, new: i64) -> bool {
        let Conditions { nx, xx, gt, lt } = self;
        let refused = nx && old.is_some()
            || xx && old.is_none()
            || gt && old.is_none_or(|old| new <= old)
            || lt && old.is_some_and(|old| new >= old);
        !refused
    }
}

fn persist(ctx: &mut DataCtx<'_>, args: Args<'_>) -> CommandResult {
    let key = ctx.key(args, 1);
    let done = ctx.db.persist(key);
    ctx.reply.int(i64::from(done));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conditions() {
        let hold = |nx, xx, gt, lt, old, new| Conditions { nx, xx, gt, lt }.hold(old, new);
        for old in [None, Some(5)] {
            assert!(hold(false, false, false, false, old, 5));
            assert_eq!(hold(true, false, false, false, old, 5), old.is_none());
            assert_eq!(hold(false, true, false, false, old, 5), old.is_some());
            assert_eq!(hold(false, false, true, false, old, 6), old.is_some());
            assert!(!hold(false, false, true, false, old, 5));
            assert!(hold(false, false, false, true, old, 4));
            assert_eq!(hold(false, false, false, true, old, 5), old.is_none());
            assert_eq!(hold(false, true, false, true, old, 4), old.is_some());
        }
    }
}
