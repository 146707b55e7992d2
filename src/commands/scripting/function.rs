//! FUNCTION: libraries of functions.

use super::flush_lazily;
use crate::exec::ctx::AdminCtx;
use crate::exec::error::{self, CommandError, CommandResult};
use crate::exec::help;
use crate::exec::script::Policy;
use crate::exec::spec::{ArgSpec, Arity, CommandSpec, Flags, Group, Handler};
use crate::resp::Args;
use crate::script::Kind;
use crate::util::glob;

const ALL_SHARDS: &[&str] = &["request_policy:all_shards", "response_policy:all_succeeded"];

pub(super) static FUNCTION: CommandSpec = CommandSpec {
    name: "function",
    summary: "Container of commands about functions.",
    complexity: "see the subcommands",
    since: "7.0.0",
    group: Group::Scripting,
    arity: Arity::AtLeast(2),
    subcommands: &[&DELETE, &DUMP, &FLUSH, &HELP, &KILL, &LIST, &LOAD, &RESTORE, &STATS],
    ..CommandSpec::BASE
};

/// What they have in common.
const SUBCOMMAND: CommandSpec = CommandSpec {
    since: "7.0.0",
    group: Group::Scripting,
    arity: Arity::Exactly(2),
    flags: Flags::NOSCRIPT,
    ..CommandSpec::BASE
};

static DELETE: CommandSpec = CommandSpec {
    name: "delete",
    summary: "Deletes a library.",
    arity: Arity::Exactly(3),
    flags: Flags::NOSCRIPT.or(Flags::WRITE),
    args: &[ArgSpec::string("library-name")],
    tips: ALL_SHARDS,
    handler: Handler::Admin(delete),
    ..SUBCOMMAND
};

static DUMP: CommandSpec = CommandSpec {
    name: "dump",
    summary: "Returns all libraries as a payload for FUNCTION RESTORE.",
    complexity: "O(N), N the functions",
    handler: Handler::Admin(dump),
    ..SUBCOMMAND
};

static FLUSH: CommandSpec = CommandSpec {
    name: "flush",
    summary: "Deletes all libraries.",
    complexity: "O(N), N the functions",
    arity: Arity::AtLeast(2),
    flags: Flags::NOSCRIPT.or(Flags::WRITE),
    args: &[ArgSpec::one_of("flush-type", &[ArgSpec::word("async", "ASYNC"), ArgSpec::word("sync", "SYNC")]).optional()],
    tips: ALL_SHARDS,
    handler: Handler::Admin(flush),
    ..SUBCOMMAND
};

static HELP: CommandSpec = CommandSpec {
    name: "help",
    summary: "Describes the FUNCTION subcommands.",
    flags: Flags::LOADING.or(Flags::STALE),
    handler: Handler::Admin(function_help),
    ..SUBCOMMAND
};

static KILL: CommandSpec = CommandSpec {
    name: "kill",
    summary: "Stops the function that runs.",
    flags: Flags::NOSCRIPT.or(Flags::ALLOW_BUSY),
    tips: &["request_policy:all_shards", "response_policy:one_succeeded"],
    handler: Handler::Admin(kill),
    ..SUBCOMMAND
};

static LIST: CommandSpec = CommandSpec {
    name: "list",
    summary: "Returns the libraries and their functions.",
    complexity: "O(N), N the functions",
    arity: Arity::AtLeast(2),
    args: &[
        ArgSpec::string("library-name-pattern").token("LIBRARYNAME").optional(),
        ArgSpec::word("withcode", "WITHCODE").optional(),
    ],
    tips: &["nondeterministic_output_order"],
    handler: Handler::Admin(list),
    ..SUBCOMMAND
};

static LOAD: CommandSpec = CommandSpec {
    name: "load",
    summary: "Creates a library.",
    complexity: "O(1), and what its code takes to be compiled",
    arity: Arity::AtLeast(3),
    flags: Flags::NOSCRIPT.or(Flags::WRITE).or(Flags::DENYOOM),
    args: &[ArgSpec::word("replace", "REPLACE").optional(), ArgSpec::string("function-code")],
    tips: ALL_SHARDS,
    handler: Handler::Admin(load),
    ..SUBCOMMAND
};

static RESTORE: CommandSpec = CommandSpec {
    name: "restore",
    summary: "Creates libraries from a payload.",
    complexity: "O(N), N the functions of the payload",
    arity: Arity::AtLeast(3),
    flags: Flags::NOSCRIPT.or(Flags::WRITE).or(Flags::DENYOOM),
    args: &[
        ArgSpec::string("serialized-value"),
        ArgSpec::one_of(
            "policy",
            &[ArgSpec::word("flush", "FLUSH"), ArgSpec::word("append", "APPEND"), ArgSpec::word("replace", "REPLACE")],
        )
        .optional(),
    ],
    tips: ALL_SHARDS,
    handler: Handler::Admin(restore),
    ..SUBCOMMAND
};

static STATS: CommandSpec = CommandSpec {
    name: "stats",
    summary: "Returns what runs, and how many functions there are.",
    flags: Flags::NOSCRIPT.or(Flags::ALLOW_BUSY),
    tips: &["nondeterministic_output", "request_policy:all_shards", "response_policy:special"],
    handler: Handler::Admin(stats),
    ..SUBCOMMAND
};

fn delete(ctx: &mut AdminCtx<'_>, args: Args<'_>) -> CommandResult {
    if !ctx.inst.delete_library(&args[2]) {
        return Err(CommandError::fixed("ERR Library not found"));
    }
    ctx.inst.functions_changed();
    ctx.reply().ok();
    Ok(())
}

fn dump(ctx: &mut AdminCtx<'_>, _args: Args<'_>) -> CommandResult {
    let payload = ctx.inst.dump_libraries();
    ctx.reply().bulk(&payload);
    Ok(())
}

fn flush(ctx: &mut AdminCtx<'_>, args: Args<'_>) -> CommandResult {
    const REFUSED: CommandError = CommandError::fixed("ERR FUNCTION FLUSH only supports SYNC|ASYNC option");
    let lazily = flush_lazily(ctx.inst, args, REFUSED)?;
    let count = ctx.inst.scripts.libraries.functions();
    let engine = ctx.inst.scripts.flush_functions();
    ctx.inst.drop_engine(engine, count, lazily);
    ctx.inst.functions_changed();
    ctx.reply().ok();
    Ok(())
}

fn kill(ctx: &mut AdminCtx<'_>, _args: Args<'_>) -> CommandResult {
    ctx.inst.stop_script(Kind::Functions)?;
    ctx.reply().ok();
    Ok(())
}

fn list(ctx: &mut AdminCtx<'_>, args: Args<'_>) -> CommandResult {
    let (mut pattern, mut with_code) = (None, false);
    let mut options = args.iter().skip(2);
    while let Some(option) = options.next() {
        if !with_code && option.eq_ignore_ascii_case(b"withcode") {
            with_code = true;
        } else if pattern.is_none() && option.eq_ignore_ascii_case(b"libraryname") {
            let missing = CommandError::fixed("ERR library name argument was not given");
            pattern = Some(options.next().ok_or(missing)?);
        } else {
            return Err(CommandError::quoting("ERR Unknown argument ", option, ""));
        }
    }
    let libraries = ctx.inst.scripts.libraries.iter();
    let wanted: Vec<_> =
        libraries.filter(|(name, _)| pattern.is_none_or(|pattern| glob::matches(pattern, name, true))).collect();
    let reply = &mut ctx.session.reply;
    reply.array(wanted.len());
    for (name, library) in wanted {
        reply.map(if with_code { 4 } else { 3 });
        reply.bulk(b"library_name");
        reply.bulk(name);
        reply.bulk(b"engine");
        reply.bulk(b"LUA");
        reply.bulk(b"functions");
        reply.array(library.functions.len());
        for function in &library.functions {
            reply.map(3);
            reply.bulk(b"name");
            reply.bulk(&function.name);
            reply.bulk(b"description");
            match &function.description {
                Some(text) => reply.bulk(text),
                None => reply.null(),
            }
            reply.bulk(b"flags");
            reply.set(function.flags.count());
            function.flags.names().for_each(|name| reply.simple(name));
        }
        if with_code {
            reply.bulk(b"library_code");
            reply.bulk(&library.code);
        }
    }
    Ok(())
}

fn load(ctx: &mut AdminCtx<'_>, args: Args<'_>) -> CommandResult {
    let code = args.len() - 1;
    let mut replaces = false;
    for option in args.iter().take(code).skip(2) {
        if !option.eq_ignore_ascii_case(b"replace") {
            return Err(CommandError::quoting("ERR Unknown option given: ", option, ""));
        }
        replaces = true;
    }
    let is_limited = !ctx.origin.must_be_obeyed();
    let name = ctx.inst.load_library(&args[code], replaces, is_limited)?;
    ctx.inst.functions_changed();
    ctx.reply().bulk(&name);
    Ok(())
}

fn restore(ctx: &mut AdminCtx<'_>, args: Args<'_>) -> CommandResult {
    if args.len() > 4 {
        return Err(error::wrong_subcommand(&args[0], &args[1]));
    }
    let policy = match args.get(3).map(<[u8]>::to_ascii_lowercase).as_deref() {
        None | Some(b"append") => Policy::Append,
        Some(b"replace") => Policy::Replace,
        Some(b"flush") => Policy::Flush,
        Some(_) => {
            return Err(CommandError::fixed(
                "ERR Wrong restore policy given, value should be either FLUSH, APPEND or REPLACE.",
            ));
        }
    };
    ctx.inst.restore_libraries(&args[2], policy)?;
    ctx.inst.functions_changed();
    ctx.reply().ok();
    Ok(())
}

fn stats(ctx: &mut AdminCtx<'_>, _args: Args<'_>) -> CommandResult {
    let now_ns = ctx.host.now_ns();
    let scripts = &ctx.inst.scripts;
    let reply = &mut ctx.session.reply;
    reply.map(2);
    reply.bulk(b"running_script");
    match &scripts.running {
        Some(running) => {
            reply.map(3);
            reply.bulk(b"name");
            reply.bulk(running.name.as_bytes());
            reply.bulk(b"command");
            reply.array(running.request.len());
            running.request.view().iter().for_each(|arg| reply.bulk(arg));
            reply.bulk(b"duration_ms");
            reply.int((now_ns.saturating_sub(running.began_ns) / 1_000_000) as i64);
        }
        None => reply.null(),
    }
    reply.bulk(b"engines");
    reply.map(1);
    reply.bulk(b"LUA");
    reply.map(2);
    reply.bulk(b"libraries_count");
    reply.int(scripts.libraries.len() as i64);
    reply.bulk(b"functions_count");
    reply.int(scripts.libraries.functions() as i64);
    Ok(())
}

fn function_help(ctx: &mut AdminCtx<'_>, _args: Args<'_>) -> CommandResult {
    help::reply(ctx.reply(), &FUNCTION);
    Ok(())
}
