//! CLIENT: the subcommands about the connection itself.

use super::{acks, clients, tracking};
use crate::client::{Attention, ClientFlags};
use crate::exec::ctx::AdminCtx;
use crate::exec::error::{self, CommandError, CommandResult};
use crate::exec::help;
use crate::exec::spec::{ArgSpec, Arity, CommandSpec, Flags, Group, Handler};
use crate::resp::Args;

pub(super) static CLIENT: CommandSpec = CommandSpec {
    name: "client",
    summary: "Container of commands about connections.",
    complexity: "see the subcommands",
    since: "2.4.0",
    group: Group::Connection,
    arity: Arity::AtLeast(2),
    flags: Flags::KEEPS_CACHING,
    subcommands: &[
        &tracking::CLIENT_CACHING,
        &CLIENT_GETNAME,
        &tracking::CLIENT_GETREDIR,
        &CLIENT_HELP,
        &CLIENT_ID,
        &CLIENT_INFO,
        &clients::CLIENT_KILL,
        &clients::CLIENT_LIST,
        &CLIENT_NO_EVICT,
        &CLIENT_NO_TOUCH,
        &clients::CLIENT_PAUSE,
        &CLIENT_REPLY,
        &CLIENT_SETINFO,
        &CLIENT_SETNAME,
        &tracking::CLIENT_TRACKING,
        &tracking::CLIENT_TRACKINGINFO,
        &clients::CLIENT_UNBLOCK,
        &clients::CLIENT_UNPAUSE,
        &acks::CLIENT_WRITEACKS,
    ],
    ..CommandSpec::BASE
};

static CLIENT_ID: CommandSpec = CommandSpec {
    name: "id",
    summary: "Returns the id of this connection.",
    since: "5.0.0",
    group: Group::Connection,
    arity: Arity::Exactly(2),
    flags: Flags::NOSCRIPT.or(Flags::LOADING).or(Flags::STALE),
    handler: Handler::Admin(client_id),
    ..CommandSpec::BASE
};

static CLIENT_INFO: CommandSpec = CommandSpec {
    name: "info",
    summary: "Describes this connection.",
    since: "6.2.0",
    group: Group::Connection,
    arity: Arity::Exactly(2),
    flags: Flags::NOSCRIPT.or(Flags::LOADING).or(Flags::STALE),
    tips: &["nondeterministic_output"],
    handler: Handler::Admin(client_info),
    ..CommandSpec::BASE
};

static CLIENT_GETNAME: CommandSpec = CommandSpec {
    name: "getname",
    summary: "Returns the name of this connection.",
    since: "2.6.9",
    group: Group::Connection,
    arity: Arity::Exactly(2),
    flags: Flags::NOSCRIPT.or(Flags::LOADING).or(Flags::STALE),
    handler: Handler::Admin(client_getname),
    ..CommandSpec::BASE
};

static CLIENT_SETNAME: CommandSpec = CommandSpec {
    name: "setname",
    summary: "Names this connection.",
    since: "2.6.9",
    group: Group::Connection,
    arity: Arity::Exactly(3),
    flags: Flags::NOSCRIPT.or(Flags::LOADING).or(Flags::STALE),
    args: &[ArgSpec::string("connection-name")],
    tips: &["request_policy:all_nodes", "response_policy:all_succeeded"],
    handler: Handler::Admin(client_setname),
    ..CommandSpec::BASE
};

static CLIENT_SETINFO: CommandSpec = CommandSpec {
    name: "setinfo",
    summary: "Records facts about the client library of this connection.",
    since: "7.2.0",
    group: Group::Connection,
    arity: Arity::Exactly(4),
    flags: Flags::NOSCRIPT.or(Flags::LOADING).or(Flags::STALE),
    args: &[ArgSpec::one_of(
        "attr",
        &[ArgSpec::string("libname").token("LIB-NAME"), ArgSpec::string("libver").token("LIB-VER")],
    )],
    tips: &["request_policy:all_nodes", "response_policy:all_succeeded"],
    handler: Handler::Admin(client_setinfo),
    ..CommandSpec::BASE
};

static CLIENT_NO_EVICT: CommandSpec = CommandSpec {
    name: "no-evict",
    summary: "Exempts this connection from eviction of clients.",
    since: "7.0.0",
    group: Group::Connection,
    arity: Arity::Exactly(3),
    flags: Flags::ADMIN.or(Flags::NOSCRIPT).or(Flags::LOADING).or(Flags::STALE),
    args: &[ArgSpec::one_of("enabled", &[ArgSpec::word("on", "ON"), ArgSpec::word("off", "OFF")])],
    handler: Handler::Admin(client_no_evict),
    ..CommandSpec::BASE
};

static CLIENT_NO_TOUCH: CommandSpec = CommandSpec {
    name: "no-touch",
    summary: "Stops or resumes marking keys as accessed by this connection.",
    since: "7.2.0",
    group: Group::Connection,
    arity: Arity::Exactly(3),
    flags: Flags::NOSCRIPT.or(Flags::LOADING).or(Flags::STALE),
    args: &[ArgSpec::one_of("enabled", &[ArgSpec::word("on", "ON"), ArgSpec::word("off", "OFF")])],
    handler: Handler::Admin(client_no_touch),
    ..CommandSpec::BASE
};

static CLIENT_REPLY: CommandSpec = CommandSpec {
    name: "reply",
    summary: "Turns the replies on this connection on or off.",
    since: "3.2.0",
    group: Group::Connection,
    arity: Arity::Exactly(3),
    flags: Flags::NOSCRIPT.or(Flags::LOADING).or(Flags::STALE),
    args: &[ArgSpec::one_of(
        "action",
        &[ArgSpec::word("on", "ON"), ArgSpec::word("off", "OFF"), ArgSpec::word("skip", "SKIP")],
    )],
    handler: Handler::Admin(client_reply),
    ..CommandSpec::BASE
};

static CLIENT_HELP: CommandSpec = CommandSpec {
    name: "help",
    summary: "Describes the CLIENT subcommands.",
    since: "5.0.0",
    group: Group::Connection,
    arity: Arity::Exactly(2),
    flags: Flags::LOADING.or(Flags::STALE),
    handler: Handler::Admin(client_help),
    ..CommandSpec::BASE
};

fn client_id(ctx: &mut AdminCtx<'_>, _args: Args<'_>) -> CommandResult {
    let id = ctx.session.id as i64;
    ctx.reply().int(id);
    Ok(())
}

fn client_info(ctx: &mut AdminCtx<'_>, _args: Args<'_>) -> CommandResult {
    let mut text = String::new();
    if let Some(caller) = ctx.caller() {
        clients::push_line(ctx.inst, caller, &mut text);
    }
    ctx.reply().verbatim("txt", text.as_bytes());
    Ok(())
}

fn client_getname(ctx: &mut AdminCtx<'_>, _args: Args<'_>) -> CommandResult {
    let name = ctx.session.about.name.clone();
    if name.is_empty() {
        ctx.reply().null();
    } else {
        ctx.reply().bulk(&name);
    }
    Ok(())
}

fn client_setname(ctx: &mut AdminCtx<'_>, args: Args<'_>) -> CommandResult {
    check_name(&args[2])?;
    ctx.session.about.name = args[2].to_vec();
    ctx.reply().ok();
    Ok(())
}

/// A name that would break the line of CLIENT LIST is refused.
pub(super) fn check_name(name: &[u8]) -> CommandResult {
    if is_plain(name) {
        return Ok(());
    }
    Err(CommandError::fixed("ERR Client names cannot contain spaces, newlines or special characters."))
}

fn is_plain(text: &[u8]) -> bool {
    text.iter().all(|b| (b'!'..=b'~').contains(b))
}

fn client_setinfo(ctx: &mut AdminCtx<'_>, args: Args<'_>) -> CommandResult {
    let (option, value) = (&args[2], &args[3]);
    let about = &mut ctx.session.about;
    let (name, field) = if option.eq_ignore_ascii_case(b"lib-name") {
        ("lib-name", &mut about.lib_name)
    } else if option.eq_ignore_ascii_case(b"lib-ver") {
        ("lib-ver", &mut about.lib_ver)
    } else {
        return Err(CommandError::quoting("ERR Unrecognized option '", option, "'"));
    };
    if !is_plain(value) {
        return Err(CommandError::text(format!("ERR {name} cannot contain spaces, newlines or special characters.")));
    }
    *field = value.to_vec();
    ctx.reply().ok();
    Ok(())
}

fn on_or_off(word: &[u8]) -> Result<bool, CommandError> {
    match word {
        w if w.eq_ignore_ascii_case(b"on") => Ok(true),
        w if w.eq_ignore_ascii_case(b"off") => Ok(false),
        _ => Err(error::SYNTAX),
    }
}

fn client_no_evict(ctx: &mut AdminCtx<'_>, args: Args<'_>) -> CommandResult {
    let on = on_or_off(&args[2])?;
    if let Some(connection) = ctx.inst.clients.connection_of_mut(ctx.session) {
        connection.flags.put(ClientFlags::NO_EVICT, on);
    }
    ctx.reply().ok();
    Ok(())
}

fn client_no_touch(ctx: &mut AdminCtx<'_>, args: Args<'_>) -> CommandResult {
    ctx.session.attention.put(Attention::NO_TOUCH, on_or_off(&args[2])?);
    ctx.reply().ok();
    Ok(())
}

/// Neither OFF nor SKIP replies; ON does.
fn client_reply(ctx: &mut AdminCtx<'_>, args: Args<'_>) -> CommandResult {
    let attention = &mut ctx.session.attention;
    let mode = &args[2];
    if mode.eq_ignore_ascii_case(b"on") {
        attention.put(Attention::REPLY_OFF.or(Attention::REPLY_SKIP).or(Attention::REPLY_SKIP_NEXT), false);
        ctx.reply().ok();
    } else if mode.eq_ignore_ascii_case(b"off") {
        attention.put(Attention::REPLY_OFF, true);
    } else if mode.eq_ignore_ascii_case(b"skip") {
        if !attention.has(Attention::REPLY_OFF) {
            attention.put(Attention::REPLY_SKIP_NEXT, true);
        }
    } else {
        return Err(error::SYNTAX);
    }
    Ok(())
}

fn client_help(ctx: &mut AdminCtx<'_>, _args: Args<'_>) -> CommandResult {
    help::reply(ctx.reply(), &CLIENT);
    Ok(())
}
