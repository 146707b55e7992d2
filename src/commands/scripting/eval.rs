//! What runs a script or a function.

use crate::exec::ctx::AdminCtx;
use crate::exec::error::CommandResult;
use crate::exec::script::{eval, fcall};
use crate::exec::spec::{Access, ArgSpec, Arity, CommandSpec, Flags, Group, Handler, KeySpec, ScriptName};
use crate::resp::Args;

const WRITES: Flags = Flags::NOSCRIPT
    .or(Flags::STALE)
    .or(Flags::SKIP_MONITOR)
    .or(Flags::NO_MANDATORY_KEYS)
    .or(Flags::MAY_REPLICATE)
    .or(Flags::RUNS_SCRIPT);

const READS: Flags = Flags::NOSCRIPT
    .or(Flags::STALE)
    .or(Flags::SKIP_MONITOR)
    .or(Flags::NO_MANDATORY_KEYS)
    .or(Flags::READONLY)
    .or(Flags::RUNS_SCRIPT);

const ANY_KEYS: KeySpec = KeySpec::counted(2, 1, Access::READ_WRITE.or(Access::ACCESS).or(Access::UPDATE));
const READ_KEYS: KeySpec = KeySpec::counted(2, 1, Access::READ_ONLY.or(Access::ACCESS));

/// What they have in common.
const RUNS: CommandSpec = CommandSpec {
    complexity: "depends on the script",
    group: Group::Scripting,
    arity: Arity::AtLeast(3),
    flags: WRITES,
    ..CommandSpec::BASE
};

macro_rules! args {
    ($what:literal) => {
        &[
            ArgSpec::string($what),
            ArgSpec::integer("numkeys"),
            ArgSpec::key("key").optional().multiple(),
            ArgSpec::string("arg").optional().multiple(),
        ]
    };
}

pub(super) static EVAL: CommandSpec = CommandSpec {
    name: "eval",
    summary: "Runs a script.",
    since: "2.6.0",
    keys: &[ANY_KEYS.note("We cannot tell how the keys will be used so we assume the worst, RW and UPDATE")],
    args: args!("script"),
    script: Some(ScriptName::Text),
    handler: Handler::Admin(|ctx, args| eval(ctx, args, false, false)),
    ..RUNS
};

pub(super) static EVAL_RO: CommandSpec = CommandSpec {
    name: "eval_ro",
    summary: "Runs a script that only reads.",
    since: "7.0.0",
    flags: READS,
    keys: &[READ_KEYS.note("We cannot tell how the keys will be used so we assume the worst, RO and ACCESS")],
    args: args!("script"),
    script: Some(ScriptName::Text),
    handler: Handler::Admin(|ctx, args| eval(ctx, args, false, true)),
    ..RUNS
};

pub(super) static EVALSHA: CommandSpec = CommandSpec {
    name: "evalsha",
    summary: "Runs a script that is known, by its SHA1.",
    since: "2.6.0",
    keys: &[ANY_KEYS],
    args: args!("sha1"),
    script: Some(ScriptName::Digest),
    handler: Handler::Admin(|ctx, args| eval(ctx, args, true, false)),
    ..RUNS
};

pub(super) static EVALSHA_RO: CommandSpec = CommandSpec {
    name: "evalsha_ro",
    summary: "Runs a script that is known and only reads, by its SHA1.",
    since: "7.0.0",
    flags: READS,
    keys: &[READ_KEYS],
    args: args!("sha1"),
    script: Some(ScriptName::Digest),
    handler: Handler::Admin(|ctx, args| eval(ctx, args, true, true)),
    ..RUNS
};

pub(super) static FCALL: CommandSpec = CommandSpec {
    name: "fcall",
    summary: "Runs a function.",
    since: "7.0.0",
    keys: &[ANY_KEYS.note("We cannot tell how the keys will be used so we assume the worst, RW and UPDATE")],
    args: args!("function"),
    script: Some(ScriptName::Function),
    handler: Handler::Admin(run_function),
    ..RUNS
};

pub(super) static FCALL_RO: CommandSpec = CommandSpec {
    name: "fcall_ro",
    summary: "Runs a function that only reads.",
    since: "7.0.0",
    flags: READS,
    keys: &[READ_KEYS.note("We cannot tell how the keys will be used so we assume the worst, RO and ACCESS")],
    args: args!("function"),
    script: Some(ScriptName::Function),
    handler: Handler::Admin(run_reading_function),
    ..RUNS
};

fn run_function(ctx: &mut AdminCtx<'_>, args: Args<'_>) -> CommandResult {
    fcall(ctx, args, false)
}

fn run_reading_function(ctx: &mut AdminCtx<'_>, args: Args<'_>) -> CommandResult {
    fcall(ctx, args, true)
}
