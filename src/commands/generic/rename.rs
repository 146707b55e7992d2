//! Values from key to key: RENAME, RENAMENX, MOVE, COPY.
//!
//! RENAME and MOVE hand the value itself over, with its deadline, however large it is. COPY makes a second owner that
//! shares what the first does not change.

use crate::db::Transfer;
use crate::exec::args::db_index;
use crate::exec::ctx::DataCtx;
use crate::exec::error::{self, CommandResult};
use crate::exec::spec::{Access, ArgSpec, Arity, CommandSpec, Flags, Group, Handler, KeySpec};
use crate::resp::Args;

pub(super) static RENAME: CommandSpec = CommandSpec {
    name: "rename",
    summary: "Gives a key another name, overwriting what was there.",
    group: Group::Generic,
    arity: Arity::Exactly(3),
    flags: Flags::WRITE,
    keys: &[
        KeySpec::at(1, Access::READ_WRITE.or(Access::ACCESS).or(Access::DELETE)),
        KeySpec::at(2, Access::OVERWRITE.or(Access::UPDATE)),
    ],
    args: &[ArgSpec::key("key"), ArgSpec::key_of("newkey", 1)],
    handler: Handler::Data(rename),
    ..CommandSpec::BASE
};

pub(super) static RENAMENX: CommandSpec = CommandSpec {
    name: "renamenx",
    summary: "Gives a key another name unless that name is taken.",
    group: Group::Generic,
    arity: Arity::Exactly(3),
    flags: Flags::WRITE.or(Flags::FAST),
    keys: &[
        KeySpec::at(1, Access::READ_WRITE.or(Access::ACCESS).or(Access::DELETE)),
        KeySpec::at(2, Access::OVERWRITE.or(Access::INSERT)),
    ],
    args: &[ArgSpec::key("key"), ArgSpec::key_of("newkey", 1)],
    handler: Handler::Data(renamenx),
    ..CommandSpec::BASE
};

pub(super) static MOVE: CommandSpec = CommandSpec {
    name: "move",
    summary: "Moves a key to another database.",
    group: Group::Generic,
    arity: Arity::Exactly(3),
    flags: Flags::WRITE.or(Flags::FAST).or(Flags::OTHER_DBS),
    keys: &[KeySpec::at(1, Access::READ_WRITE.or(Access::ACCESS).or(Access::UPDATE))],
    args: &[ArgSpec::key("key"), ArgSpec::integer("db")],
    handler: Handler::Data(move_),
    ..CommandSpec::BASE
};

pub(super) static COPY: CommandSpec = CommandSpec {
    name: "copy",
    summary: "Copies a key's value to another key.",
    complexity: "O(1) for strings, else O(N) for N nested items",
    since: "6.2.0",
    group: Group::Generic,
    arity: Arity::AtLeast(3),
    flags: Flags::WRITE.or(Flags::DENYOOM).or(Flags::OTHER_DBS),
    keys: &[KeySpec::at(1, Access::READ_ONLY.or(Access::ACCESS)), KeySpec::at(2, Access::OVERWRITE.or(Access::UPDATE))],
    args: &[
        ArgSpec::key("source"),
        ArgSpec::key_of("destination", 1),
        ArgSpec::integer("destination-db").token("DB").optional(),
        ArgSpec::word("replace", "REPLACE").optional(),
    ],
    handler: Handler::Data(copy),
    ..CommandSpec::BASE
};

fn rename(ctx: &mut DataCtx<'_>, args: Args<'_>) -> CommandResult {
    let (from, to) = (ctx.key(args, 1), ctx.key(args, 2));
    if !ctx.db.rename(from, to) {
        return Err(error::NO_SUCH_KEY);
    }
    ctx.reply.ok();
    Ok(())
}

fn renamenx(ctx: &mut DataCtx<'_>, args: Args<'_>) -> CommandResult {
    let (from, to) = (ctx.key(args, 1), ctx.key(args, 2));
    if ctx.db.lookup_write(from).is_none() {
        return Err(error::NO_SUCH_KEY);
    }
    // A key that is given its own name is taken.
    let free = ctx.db.lookup_write(to).is_none();
    if free {
        ctx.db.rename(from, to);
    }
    ctx.reply.int(i64::from(free));
    Ok(())
}

fn move_(ctx: &mut DataCtx<'_>, args: Args<'_>) -> CommandResult {
    let target = db_index(&args[2], &ctx.db)?;
    if target == ctx.db.index() {
        return Err(error::SAME_OBJECT);
    }
    let key = ctx.key(args, 1);
    let outcome = ctx.db.move_to(key, target);
    ctx.reply.int(i64::from(outcome == Transfer::Done));
    Ok(())
}

fn copy(ctx: &mut DataCtx<'_>, args: Args<'_>) -> CommandResult {
    let mut target = ctx.db.index();
    let mut replace = false;
    let mut rest = args.skip(3).iter();
    while let Some(word) = rest.next() {
        if word.eq_ignore_ascii_case(b"REPLACE") {
            replace = true;
        } else if word.eq_ignore_ascii_case(b"DB") {
            target = db_index(rest.next().ok_or(error::SYNTAX)?, &ctx.db)?;
        } else {
            return Err(error::SYNTAX);
        }
    }
    let (from, to) = (ctx.key(args, 1), ctx.key(args, 2));
    if target == ctx.db.index() && from.bytes == to.bytes {
        return Err(error::SAME_OBJECT);
    }
    // Reading the source is an access.
    let copied = ctx.db.lookup_read(from).is_some() && ctx.db.copy_to(from, target, to, replace) == Transfer::Done;
    ctx.reply.int(i64::from(copied));
    Ok(())
}
