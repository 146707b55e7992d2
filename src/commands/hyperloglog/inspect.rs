//! PFDEBUG and PFSELFTEST: for tests.

use super::{read, store};
use crate::collections::hyperloglog::{self as hll, Form};
use crate::db::KeySlot;
use crate::exec::ctx::DataCtx;
use crate::exec::error::{CommandError, CommandResult};
use crate::exec::spec::{Access, ArgSpec, Arity, CommandSpec, Flags, Group, Handler, KeySpec};
use crate::resp::Args;

pub(super) static PFDEBUG: CommandSpec = CommandSpec {
    name: "pfdebug",
    summary: "Looks inside a HyperLogLog.",
    complexity: "O(N), N the registers",
    since: "2.8.9",
    group: Group::Hyperloglog,
    arity: Arity::Exactly(3),
    flags: Flags::WRITE.or(Flags::DENYOOM).or(Flags::ADMIN),
    keys: &[KeySpec::at(2, Access::READ_WRITE.or(Access::ACCESS))],
    args: &[ArgSpec::string("subcommand"), ArgSpec::key("key")],
    handler: Handler::Data(pfdebug),
    ..CommandSpec::BASE
};

pub(super) static PFSELFTEST: CommandSpec = CommandSpec {
    name: "pfselftest",
    summary: "Checks the arithmetic of HyperLogLogs.",
    complexity: "O(N), N the registers",
    since: "2.8.9",
    group: Group::Hyperloglog,
    arity: Arity::Exactly(1),
    flags: Flags::ADMIN,
    handler: Handler::Data(pfselftest),
    ..CommandSpec::BASE
};

fn pfdebug(ctx: &mut DataCtx<'_>, args: Args<'_>) -> CommandResult {
    let word = &args[1];
    let is = |name: &str| word.eq_ignore_ascii_case(name.as_bytes());
    if is("simd") {
        return simd(ctx, &args[2]);
    }
    let key = ctx.key(args, 2);
    let KeySlot::Occupied(mut entry) = ctx.db.entry(key) else {
        return Err(CommandError::fixed("ERR The specified key does not exist"));
    };
    let (text, form) = read(entry.string()?)?;
    if is("encoding") {
        ctx.reply.simple(if form == Form::Dense { "dense" } else { "sparse" });
    } else if is("decode") {
        if form == Form::Dense {
            return Err(CommandError::fixed("ERR HLL encoding is not sparse"));
        }
        let runs = hll::describe_sparse(text)?;
        ctx.reply.bulk(runs.as_bytes());
    } else if is("todense") || is("getreg") {
        let mut text = text.to_vec();
        let converted = hll::to_dense(&mut text)?;
        if converted {
            store(&mut entry, &text);
            entry.changed_quietly(1);
        }
        if is("todense") {
            ctx.reply.int(i64::from(converted));
        } else {
            let registers = hll::registers(&text)?;
            ctx.reply.array(registers.len());
            registers.iter().for_each(|value| ctx.reply.int(i64::from(*value)));
        }
    } else {
        return Err(CommandError::quoting("ERR Unknown PFDEBUG subcommand '", word, "'"));
    }
    Ok(())
}

/// Redis can turn its vector code off. Ours gives the same bytes at every width, so there is nothing to turn.
fn simd(ctx: &mut DataCtx<'_>, word: &[u8]) -> CommandResult {
    match word {
        w if w.eq_ignore_ascii_case(b"on") => ctx.reply.simple("enabled"),
        w if w.eq_ignore_ascii_case(b"off") => ctx.reply.simple("disabled"),
        _ => return Err(CommandError::fixed("ERR Argument must be ON or OFF")),
    }
    Ok(())
}

/// Elements added in the test: half a second's work at most.
const TEST_ELEMENTS: u64 = 1_000_000;

/// The standard error of an estimate from 16384 registers is 0.8 %; four times that is as good as never.
const TEST_ERROR_MAX: f64 = 0.0325;

fn pfselftest(ctx: &mut DataCtx<'_>, _args: Args<'_>) -> CommandResult {
    let failed = |what: &str| CommandError::text(format!("ERR TESTFAILED {what}"));
    let sparse_max = ctx.db.keyspace().options().limits.hll_sparse_bytes;
    let (mut sparse, mut dense) = (hll::empty(), hll::empty());
    hll::to_dense(&mut dense)?;
    for index in 0..hll::REGISTERS {
        let rank = 1 + (index * 7 % 51) as u8;
        hll::add_dense(&mut dense, (index, rank));
    }
    let registers = hll::registers(&dense)?;
    if (0..hll::REGISTERS).any(|index| registers[index] != 1 + (index * 7 % 51) as u8) {
        return Err(failed("Register does not hold what was put there"));
    }
    let mut dense = hll::empty();
    hll::to_dense(&mut dense)?;
    let mut check_at = 1;
    for n in 1..=TEST_ELEMENTS {
        let seen = hll::observe(&n.to_le_bytes());
        hll::add_dense(&mut dense, seen);
        if hll::form(&sparse) == Some(Form::Sparse) {
            hll::add(&mut sparse, seen, sparse_max)?;
            if n == check_at && hll::count(&sparse)? != hll::count(&dense)? {
                return Err(failed("dense/sparse disagree"));
            }
        }
        if n == check_at {
            let error = (hll::count(&dense)? as f64 - n as f64).abs();
            if error > (n as f64 * TEST_ERROR_MAX).ceil() {
                return Err(failed(&format!("Too big error. card:{n} abserr:{error}")));
            }
            if n < sparse_max / 2 && hll::form(&sparse) != Some(Form::Sparse) {
                return Err(failed("sparse encoding not used"));
            }
            check_at *= 10;
        }
    }
    ctx.reply.ok();
    Ok(())
}
