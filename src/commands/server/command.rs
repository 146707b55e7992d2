//! COMMAND: what the table knows of commands, in the forms that client libraries and fuzzers read.
//!
//! Everything here is derived from [`CommandSpec`]s; no fact about a command is written in this file.

use crate::exec::ctx::AdminCtx;
use crate::exec::error::{self, CommandError, CommandResult};
use crate::exec::spec::{
    ArgKind, ArgSpec, Arity, Begin, Categories, CommandSpec, Find, Flags, Group, Handler, KeySpec,
};
use crate::exec::table::{Command, Lookup};
use crate::exec::{help, keys};
use crate::resp::{Args, Reply};
use crate::util::glob;

pub(super) static COMMAND: CommandSpec = CommandSpec {
    name: "command",
    summary: "Describes all commands.",
    complexity: "O(N), N the commands",
    since: "2.8.13",
    group: Group::Server,
    arity: Arity::AtLeast(1),
    flags: Flags::LOADING.or(Flags::STALE),
    categories: Categories::CONNECTION,
    tips: &["nondeterministic_output_order"],
    subcommands: &[
        &COMMAND_COUNT,
        &COMMAND_DOCS,
        &COMMAND_GETKEYS,
        &COMMAND_GETKEYSANDFLAGS,
        &COMMAND_HELP,
        &COMMAND_INFO,
        &COMMAND_LIST,
    ],
    handler: Handler::Admin(command),
    ..CommandSpec::BASE
};

static COMMAND_COUNT: CommandSpec = CommandSpec {
    name: "count",
    summary: "Counts the commands.",
    since: "2.8.13",
    group: Group::Server,
    arity: Arity::Exactly(2),
    flags: Flags::LOADING.or(Flags::STALE),
    categories: Categories::CONNECTION,
    handler: Handler::Admin(command_count),
    ..CommandSpec::BASE
};

static COMMAND_DOCS: CommandSpec = CommandSpec {
    name: "docs",
    summary: "Documents commands.",
    complexity: "O(N), N the commands asked for",
    since: "7.0.0",
    group: Group::Server,
    arity: Arity::AtLeast(2),
    flags: Flags::LOADING.or(Flags::STALE),
    categories: Categories::CONNECTION,
    args: &[ArgSpec::string("command-name").multiple().optional()],
    tips: &["nondeterministic_output_order"],
    handler: Handler::Admin(command_docs),
    ..CommandSpec::BASE
};

static COMMAND_GETKEYS: CommandSpec = CommandSpec {
    name: "getkeys",
    summary: "Finds the keys in a full command line.",
    complexity: "O(N), N the arguments",
    since: "2.8.13",
    group: Group::Server,
    arity: Arity::AtLeast(3),
    flags: Flags::LOADING.or(Flags::STALE),
    categories: Categories::CONNECTION,
    args: &[ArgSpec::string("command"), ArgSpec::string("arg").multiple().optional()],
    handler: Handler::Admin(command_getkeys),
    ..CommandSpec::BASE
};

static COMMAND_GETKEYSANDFLAGS: CommandSpec = CommandSpec {
    name: "getkeysandflags",
    summary: "Finds the keys in a full command line and how each is accessed.",
    complexity: "O(N), N the arguments",
    since: "7.0.0",
    group: Group::Server,
    arity: Arity::AtLeast(3),
    flags: Flags::LOADING.or(Flags::STALE),
    categories: Categories::CONNECTION,
    args: &[ArgSpec::string("command"), ArgSpec::string("arg").multiple().optional()],
    handler: Handler::Admin(command_getkeysandflags),
    ..CommandSpec::BASE
};

static COMMAND_INFO: CommandSpec = CommandSpec {
    name: "info",
    summary: "Describes the named commands.",
    complexity: "O(N), N the commands asked for",
    since: "2.8.13",
    group: Group::Server,
    arity: Arity::AtLeast(2),
    flags: Flags::LOADING.or(Flags::STALE),
    categories: Categories::CONNECTION,
    args: &[ArgSpec::string("command-name").multiple().optional()],
    tips: &["nondeterministic_output_order"],
    handler: Handler::Admin(command_info),
    ..CommandSpec::BASE
};

static COMMAND_LIST: CommandSpec = CommandSpec {
    name: "list",
    summary: "Lists the names of commands.",
    complexity: "O(N), N the commands",
    since: "7.0.0",
    group: Group::Server,
    arity: Arity::AtLeast(2),
    flags: Flags::LOADING.or(Flags::STALE),
    categories: Categories::CONNECTION,
    args: &[ArgSpec::one_of(
        "filterby",
        &[
            ArgSpec::string("module-name").token("MODULE"),
            ArgSpec::string("category").token("ACLCAT"),
            ArgSpec::pattern("pattern").token("PATTERN"),
        ],
    )
    .token("FILTERBY")
    .optional()],
    tips: &["nondeterministic_output_order"],
    handler: Handler::Admin(command_list),
    ..CommandSpec::BASE
};

static COMMAND_HELP: CommandSpec = CommandSpec {
    name: "help",
    summary: "Describes the COMMAND subcommands.",
    since: "5.0.0",
    group: Group::Server,
    arity: Arity::Exactly(2),
    flags: Flags::LOADING.or(Flags::STALE),
    categories: Categories::CONNECTION,
    handler: Handler::Admin(command_help),
    ..CommandSpec::BASE
};

/// COMMAND without a subcommand: COMMAND INFO of everything.
fn command(ctx: &mut AdminCtx<'_>, _args: Args<'_>) -> CommandResult {
    let table = ctx.inst.table;
    let reply = ctx.reply();
    reply.array(table.commands().len());
    for command in table.commands() {
        info(reply, command);
    }
    Ok(())
}

fn command_count(ctx: &mut AdminCtx<'_>, _args: Args<'_>) -> CommandResult {
    let count = ctx.inst.table.commands().len();
    ctx.reply().int(count as i64);
    Ok(())
}

fn command_help(ctx: &mut AdminCtx<'_>, _args: Args<'_>) -> CommandResult {
    help::reply(ctx.reply(), &COMMAND);
    Ok(())
}

fn command_info(ctx: &mut AdminCtx<'_>, args: Args<'_>) -> CommandResult {
    if args.len() == 2 {
        return command(ctx, args);
    }
    let table = ctx.inst.table;
    let reply = ctx.reply();
    reply.array(args.len() - 2);
    for name in args.iter().skip(2) {
        match table.by_full_name(name) {
            Some(command) => info(reply, command),
            None => reply.null(),
        }
    }
    Ok(())
}

fn info(reply: &mut Reply, command: &Command) {
    let spec = command.spec;
    let (first, last, step) = legacy_range(spec);
    reply.array(10);
    reply.bulk(command.full_name.as_bytes());
    reply.int(spec.arity.number());
    status_set(reply, spec.flags.count() + usize::from(has_movable_keys(spec)), |reply| {
        spec.flags.names().for_each(|n| reply.simple(n));
        if has_movable_keys(spec) {
            reply.simple("movablekeys");
        }
    });
    reply.int(first);
    reply.int(last);
    reply.int(step);
    let categories = spec.all_categories();
    status_set(reply, categories.count(), |reply| categories.names().for_each(|n| reply.simple(&format!("@{n}"))));
    reply.set(spec.tips.len());
    spec.tips.iter().for_each(|tip| reply.bulk(tip.as_bytes()));
    reply.set(spec.keys.len());
    spec.keys.iter().for_each(|keys| key_spec(reply, keys));
    if command.subcommands.is_empty() {
        reply.set(0); // not the type of the full list, but Redis's answer
    } else {
        reply.array(command.subcommands.len());
        command.subcommands.iter().for_each(|sub| info(reply, sub));
    }
}

fn status_set(reply: &mut Reply, len: usize, members: impl FnOnce(&mut Reply)) {
    reply.set(len);
    members(reply);
}

/// The first/last/step triple of old clients: the hull of the specs that are plain ranges.
fn legacy_range(spec: &CommandSpec) -> (i64, i64, i64) {
    let (mut first, mut last, mut step) = (i64::MAX, 0, 0);
    for keys in spec.keys {
        let (Begin::Index(begin), Find::Range { last: relative, step: each, .. }) = (keys.begin, keys.find) else {
            continue;
        };
        let begin = i64::from(begin);
        let end = if relative >= 0 { begin + i64::from(relative) } else { i64::from(relative) };
        // Two ranges become one only when they touch; a later range that does not is what movablekeys is for.
        if first == i64::MAX {
            (first, last, step) = (begin, end, i64::from(each));
        } else if begin == last + step {
            last = end;
        }
    }
    if first == i64::MAX { (0, 0, 0) } else { (first, last, step) }
}

/// True when the triple does not find every key.
fn has_movable_keys(spec: &CommandSpec) -> bool {
    spec.keys.iter().any(|k| !matches!((k.begin, k.find), (Begin::Index(_), Find::Range { limit: 0 | 1, .. })))
}

fn key_spec(reply: &mut Reply, keys: &KeySpec) {
    reply.map(3 + usize::from(!keys.notes.is_empty()));
    if !keys.notes.is_empty() {
        reply.bulk(b"notes");
        reply.bulk(keys.notes.as_bytes());
    }
    reply.bulk(b"flags");
    reply.set(keys.access.count());
    keys.access.names().for_each(|n| reply.simple(n));
    reply.bulk(b"begin_search");
    match keys.begin {
        Begin::Index(at) => typed(reply, "index", &[("index", i64::from(at))]),
        Begin::Searched(_) => typed(reply, "unknown", &[]),
        Begin::Keyword(word, from) | Begin::Option { word, from, .. } => {
            reply.map(2);
            reply.bulk(b"type");
            reply.bulk(b"keyword");
            reply.bulk(b"spec");
            reply.map(2);
            reply.bulk(b"keyword");
            reply.bulk(word.as_bytes());
            reply.bulk(b"startfrom");
            reply.int(i64::from(from));
        }
    }
    reply.bulk(b"find_keys");
    if matches!(keys.begin, Begin::Searched(_)) {
        return typed(reply, "unknown", &[]);
    }
    match keys.find {
        Find::Range { last, step, limit } => typed(
            reply,
            "range",
            &[("lastkey", i64::from(last)), ("keystep", i64::from(step)), ("limit", i64::from(limit))],
        ),
        Find::Counted { count_at, first, step } => typed(
            reply,
            "keynum",
            &[("keynumidx", i64::from(count_at)), ("firstkey", i64::from(first)), ("keystep", i64::from(step))],
        ),
    }
}

fn typed(reply: &mut Reply, kind: &str, numbers: &[(&str, i64)]) {
    reply.map(2);
    reply.bulk(b"type");
    reply.bulk(kind.as_bytes());
    reply.bulk(b"spec");
    reply.map(numbers.len());
    for (name, number) in numbers {
        reply.bulk(name.as_bytes());
        reply.int(*number);
    }
}

fn command_docs(ctx: &mut AdminCtx<'_>, args: Args<'_>) -> CommandResult {
    let table = ctx.inst.table;
    let wanted: Vec<&Command> = if args.len() == 2 {
        table.commands().iter().collect()
    } else {
        args.iter().skip(2).filter_map(|name| table.by_full_name(name)).collect()
    };
    let reply = ctx.reply();
    reply.map(wanted.len());
    for command in wanted {
        docs(reply, command);
    }
    Ok(())
}

fn docs(reply: &mut Reply, command: &Command) {
    let spec = command.spec;
    reply.bulk(command.full_name.as_bytes());
    let at = reply.map_deferred();
    let mut fields = 4;
    for (name, value) in [
        ("summary", spec.summary),
        ("since", spec.since),
        ("group", spec.group.name()),
        ("complexity", spec.complexity),
    ] {
        reply.bulk(name.as_bytes());
        reply.bulk(value.as_bytes());
    }
    if let Some((since, replaced_by)) = spec.deprecated {
        reply.bulk(b"doc_flags");
        reply.set(1);
        reply.simple("deprecated");
        reply.bulk(b"deprecated_since");
        reply.bulk(since.as_bytes());
        reply.bulk(b"replaced_by");
        reply.bulk(replaced_by.as_bytes());
        fields += 3;
    }
    if !spec.history.is_empty() {
        reply.bulk(b"history");
        reply.set(spec.history.len());
        for (version, what) in spec.history {
            reply.array(2);
            reply.bulk(version.as_bytes());
            reply.bulk(what.as_bytes());
        }
        fields += 1;
    }
    if !spec.args.is_empty() {
        reply.bulk(b"arguments");
        reply.array(spec.args.len());
        spec.args.iter().for_each(|arg| argument(reply, arg));
        fields += 1;
    }
    if !command.subcommands.is_empty() {
        reply.bulk(b"subcommands");
        reply.map(command.subcommands.len());
        command.subcommands.iter().for_each(|sub| docs(reply, sub));
        fields += 1;
    }
    reply.set_map_len(at, fields);
}

fn argument(reply: &mut Reply, arg: &ArgSpec) {
    let at = reply.map_deferred();
    let mut fields = 0;
    let mut text = |reply: &mut Reply, name: &str, value: &str| {
        reply.bulk(name.as_bytes());
        reply.bulk(value.as_bytes());
        fields += 1;
    };
    text(reply, "name", arg.name);
    text(reply, "type", arg.kind.name());
    if !matches!(arg.kind, ArgKind::OneOf | ArgKind::Block) {
        text(reply, "display_text", arg.display.unwrap_or(arg.name));
    }
    if let Some(token) = arg.token {
        text(reply, "token", token);
    }
    if let Some(since) = arg.since {
        text(reply, "since", since);
    }
    if let Some(since) = arg.deprecated_since {
        text(reply, "deprecated_since", since);
    }
    if let Some(spec) = arg.key_spec {
        reply.bulk(b"key_spec_index");
        reply.int(i64::from(spec));
        fields += 1;
    }
    let flags = [(arg.optional, "optional"), (arg.multiple, "multiple"), (arg.multiple_token, "multiple_token")];
    let set = flags.iter().filter(|(on, _)| *on).count();
    if set > 0 {
        reply.bulk(b"flags");
        reply.set(set);
        flags.iter().filter(|(on, _)| *on).for_each(|(_, name)| reply.simple(name));
        fields += 1;
    }
    if !arg.args.is_empty() {
        reply.bulk(b"arguments");
        reply.array(arg.args.len());
        arg.args.iter().for_each(|inner| argument(reply, inner));
        fields += 1;
    }
    reply.set_map_len(at, fields);
}

fn command_list(ctx: &mut AdminCtx<'_>, args: Args<'_>) -> CommandResult {
    let table = ctx.inst.table;
    let names: Vec<&str> = match args.len() {
        2 => table.commands().iter().map(|c| c.full_name.as_str()).collect(),
        5 if args[2].eq_ignore_ascii_case(b"filterby") => filtered(ctx, &args[3], &args[4])?,
        _ => return Err(error::SYNTAX),
    };
    let reply = ctx.reply();
    reply.array(names.len());
    names.iter().for_each(|name| reply.bulk(name.as_bytes()));
    Ok(())
}

fn filtered(ctx: &AdminCtx<'_>, by: &[u8], value: &[u8]) -> Result<Vec<&'static str>, CommandError> {
    let all = ctx.inst.table.all();
    let keep: Box<dyn Fn(&Command) -> bool> = if by.eq_ignore_ascii_case(b"module") {
        Box::new(|_| false) // no command comes from a module
    } else if by.eq_ignore_ascii_case(b"aclcat") {
        let category = Categories::NAMES.iter().find(|(_, name)| value.eq_ignore_ascii_case(name.as_bytes()));
        match category {
            Some((category, _)) => Box::new(|c: &Command| c.spec.all_categories().has(*category)),
            None => Box::new(|_| false),
        }
    } else if by.eq_ignore_ascii_case(b"pattern") {
        Box::new(|c: &Command| glob::matches(value, c.full_name.as_bytes(), true))
    } else {
        return Err(error::SYNTAX);
    };
    Ok(all.filter(|c| keep(c)).map(|c| c.full_name.as_str()).collect())
}

fn command_getkeys(ctx: &mut AdminCtx<'_>, args: Args<'_>) -> CommandResult {
    let found = keys_of(ctx, args)?;
    let reply = ctx.reply();
    reply.array(found.len());
    found.iter().for_each(|key| reply.bulk(&args[key.at + 2]));
    Ok(())
}

fn command_getkeysandflags(ctx: &mut AdminCtx<'_>, args: Args<'_>) -> CommandResult {
    let found = keys_of(ctx, args)?;
    let reply = ctx.reply();
    reply.array(found.len());
    for key in found {
        reply.array(2);
        reply.bulk(&args[key.at + 2]);
        reply.set(key.access.count());
        key.access.names().for_each(|name| reply.simple(name));
    }
    Ok(())
}

fn keys_of(ctx: &AdminCtx<'_>, args: Args<'_>) -> Result<Vec<keys::FoundKey>, CommandError> {
    let inner = args.skip(2);
    let Lookup::Found(command) = ctx.inst.table.lookup(inner) else {
        return Err(CommandError::fixed("ERR Invalid command specified"));
    };
    if command.spec.keys.is_empty() {
        return Err(CommandError::fixed("ERR The command has no key arguments"));
    }
    let wrong = CommandError::fixed("ERR Invalid number of arguments specified for command");
    if !command.arity.accepts(inner.len()) {
        return Err(wrong);
    }
    match keys::find(command.spec, inner) {
        Some(found) if !found.is_empty() || command.flags.has(Flags::NO_MANDATORY_KEYS) => Ok(found),
        _ => Err(CommandError::fixed("ERR Invalid arguments specified for command")),
    }
}
