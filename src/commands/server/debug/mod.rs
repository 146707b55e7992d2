//! DEBUG: what tests need of a server and nobody else should touch.
//!
//! Each subcommand is a row of [`SUBCOMMANDS`]; HELP is derived from the rows. A subcommand that Redis has and that
//! would mean nothing here is a row of [`MEANINGLESS`] and says so: a test that turns a switch which does nothing
//! would test nothing, and not know it.
//!
//! Whether DEBUG may be called at all is `enable-debug-command`'s to say.
//!
//! | file | subcommands |
//! | --- | --- |
//! | `data.rs` | the data set: DIGEST OBJECT POPULATE RELOAD HTSTATS ... |
//! | `process.rs` | the process: SLEEP LOG SEGFAULT PANIC and switches |
//! | `protocol.rs` | replies of every kind: PROTOCOL ERROR |

mod data;
mod process;
mod protocol;

use std::ops::RangeInclusive;

use crate::blocking::Progress;
use crate::exec::ctx::{AdminCtx, ReadResult};
use crate::exec::error::{CommandError, CommandResult};
use crate::exec::gate;
use crate::exec::spec::{Arity, CommandSpec, Flags, Group, Handler, Permission};
use crate::resp::Args;

pub(super) static DEBUG: CommandSpec = CommandSpec {
    name: "debug",
    summary: "Container of commands for tests and debugging.",
    complexity: "depends on the subcommand",
    group: Group::Server,
    arity: Arity::AtLeast(2),
    flags: Flags::ADMIN.or(Flags::NOSCRIPT).or(Flags::LOADING).or(Flags::STALE).or(Flags::UNDECLARED_KEYS),
    allowed: Some(Permission { parameter: "enable-debug-command", value: |config| config.server.enable_debug_command }),
    handler: Handler::AdminRead { now: debug, past: data::digest_past },
    ..CommandSpec::BASE
};

struct Subcommand {
    name: &'static str,
    /// Its arguments as HELP shows them.
    syntax: &'static str,
    /// How many words there may be, `DEBUG` and the name among them.
    argc: RangeInclusive<usize>,
    about: &'static str,
    run: Run,
}

/// What runs.
enum Run {
    Now(fn(&mut AdminCtx<'_>, Args<'_>) -> CommandResult),
    /// Perhaps another thread has to read: `past` of the command is for this alone.
    Read(fn(&mut AdminCtx<'_>, Args<'_>) -> ReadResult),
}

const fn row(
    name: &'static str,
    syntax: &'static str,
    argc: RangeInclusive<usize>,
    about: &'static str,
    run: fn(&mut AdminCtx<'_>, Args<'_>) -> CommandResult,
) -> Subcommand {
    Subcommand { name, syntax, argc, about, run: Run::Now(run) }
}

static SUBCOMMANDS: &[Subcommand] = &[
    row(
        "AOF-FLUSH-SLEEP",
        "<microseconds>",
        3..=3,
        "Sleep before each write to the append-only file.",
        process::aof_flush_sleep,
    ),
    row("ASSERT", "", 2..=2, "Crash by a failed assertion.", process::assert),
    row("CHANGE-REPL-ID", "", 2..=2, "Change the id of the replication history.", process::change_repl_id),
    row("CONFIG-REWRITE-FORCE-ALL", "", 2..=2, "CONFIG REWRITE with every parameter.", process::config_rewrite),
    Subcommand {
        run: Run::Read(data::digest),
        ..row("DIGEST", "", 2..=2, "One number for the contents of all databases.", help)
    },
    row("DIGEST-VALUE", "<key> [<key> ...]", 2..=usize::MAX, "One number for each value.", data::digest_value),
    row("ERROR", "<text>", 3..=3, "Reply with an error of that text.", protocol::error),
    row("HELP", "", 2..=2, "Print this help.", help),
    row("HTSTATS", "<dbid> [full]", 3..=4, "Statistics of a database's hash table.", data::htstats),
    row("HTSTATS-KEY", "<key> [full]", 3..=4, "The same of the table in a value.", data::htstats_key),
    row(
        "KEYSIZES-HIST-ASSERT",
        "<0|1>",
        3..=3,
        "Whether every command is followed by a look at all keys, and a crash if INFO keysizes does not agree.",
        process::assert_sizes,
    ),
    row("LISTPACK", "<key>", 3..=3, "Describe a value encoded as listpack.", data::listpack),
    row("LOADAOF", "", 2..=2, "Remove the data set and load the append-only file.", data::load_aof),
    row("LOG", "<text>", 3..=3, "Write the text to the log.", process::log),
    row("OBJECT", "<key> [fast]", 3..=4, "Low-level facts about a key and its value.", data::object),
    row("PANIC", "", 2..=2, "Crash by a panic.", process::panic),
    row("PAUSE-CRON", "<0|1>", 3..=3, "Stop what is done periodically.", process::pause_cron),
    row(
        "POPULATE",
        "<count> [<prefix>] [<size>]",
        3..=5,
        "Create strings <prefix>:0, <prefix>:1 ... that do not exist yet.",
        data::populate,
    ),
    row(
        "PROTOCOL",
        "<type>",
        3..=3,
        "Reply with a value of type string, integer, double, bignum, null, array, set, map, attrib, push, verbatim, \
         true or false.",
        protocol::protocol,
    ),
    row("QUICKLIST", "<key> [<0|1>]", 3..=4, "Describe a value encoded as quicklist.", data::quicklist),
    row(
        "QUICKLIST-PACKED-THRESHOLD",
        "<bytes>",
        3..=3,
        "From how many bytes on an element has a node of its own; 0: where the limits say.",
        data::packed_threshold,
    ),
    row(
        "RELOAD",
        "[NOSAVE] [NOFLUSH] [MERGE]",
        2..=usize::MAX,
        "Save the data set, remove it, load it. NOSAVE loads the file that is there, NOFLUSH adds it to what is in \
         memory, and with MERGE the file's keys win.",
        data::reload,
    ),
    row(
        "REPLICATE",
        "[<all|aof|repl>] <command> [<arg> ...]",
        3..=usize::MAX,
        "Send a command to replicas, to the append-only file or to both, without executing it.",
        process::replicate,
    ),
    row("REPLYBUFFER", "RESIZING <0|1>", 4..=4, "Whether unused reply buffers are freed.", process::replybuffer),
    row("SEGFAULT", "", 2..=2, "Crash by an access to memory that is not there.", process::segfault),
    row("SET-ACTIVE-EXPIRE", "<0|1>", 3..=3, "Whether keys expire before they are looked up.", process::active_expire),
    row(
        "SET-DISABLE-DENY-SCRIPTS",
        "<0|1>",
        3..=3,
        "Let scripts call what they must not.",
        process::allow_all_in_scripts,
    ),
    row(
        "SET-SKIP-CHECKSUM-VALIDATION",
        "<0|1>",
        3..=3,
        "Whether checksums of files and of RESTORE's payloads are believed.",
        process::skip_checksums,
    ),
    row("SLEEP", "<seconds>", 3..=3, "Do nothing for so long.", process::sleep),
    row("STRINGMATCH-LEN", "<pattern> <text>", 4..=4, "Whether the text matches the pattern.", data::stringmatch),
    row("STRINGMATCH-TEST", "", 2..=2, "Match random patterns against random texts.", data::stringmatch_test),
];

/// Subcommands of Redis that do nothing here, and why.
static MEANINGLESS: &[(&str, &str)] = &[
    ("CLIENT-EVICTION", "clients are not evicted"),
    ("CLUSTERLINK", NO_CLUSTER),
    ("CRASH-AND-RECOVER", "restarting is the service manager's affair"),
    ("DELAY-RDB-CLIENT-FREE-SECONDS", NO_REPLICATION),
    ("DICT-RESIZING", "the hash table grows and shrinks by single segments and never as a whole"),
    ("DROP-CLUSTER-PACKET-FILTER", NO_CLUSTER),
    ("INTERNAL_SECRET", NO_CLUSTER),
    ("LEAK", "nothing is leaked on purpose"),
    ("MALLCTL", "the allocator is set up at the start"),
    ("MALLCTL-STR", "the allocator is set up at the start"),
    ("MARK-INTERNAL-CLIENT", NO_CLUSTER),
    ("OOM", "PANIC crashes the same way"),
    ("REPL-PAUSE", NO_REPLICATION),
    ("RESTART", "restarting is the service manager's affair"),
    ("SCRIPT", "INFO memory and MEMORY STATS say what scripts take"),
    ("SDSLEN", "strings have no header of their own"),
    ("STRUCTSIZE", "there are no C structures"),
];

const NO_CLUSTER: &str = "there is no cluster mode yet";
const NO_REPLICATION: &str = "there is no replication yet";

fn debug(ctx: &mut AdminCtx<'_>, args: Args<'_>) -> ReadResult {
    if let Some(refusal) = gate::permitted(ctx.inst, ctx.session, ctx.command) {
        return Err(refusal);
    }
    let name = &args[1];
    if let Some((name, why)) = MEANINGLESS.iter().find(|(known, _)| name.eq_ignore_ascii_case(known.as_bytes())) {
        return Err(CommandError::text(format!("ERR DEBUG {name} is not supported: {why}")));
    }
    match SUBCOMMANDS.iter().find(|s| name.eq_ignore_ascii_case(s.name.as_bytes())) {
        Some(subcommand) if subcommand.argc.contains(&args.len()) => match subcommand.run {
            Run::Now(run) => run(ctx, args).map(|()| Progress::Done),
            Run::Read(run) => run(ctx, args),
        },
        _ => Err(unknown(name)),
    }
}

fn unknown(name: &[u8]) -> CommandError {
    let name = String::from_utf8_lossy(&name[..name.len().min(128)]).into_owned();
    CommandError::text(format!("ERR unknown subcommand or wrong number of arguments for '{name}'. Try DEBUG HELP."))
}

fn help(ctx: &mut AdminCtx<'_>, _args: Args<'_>) -> CommandResult {
    let reply = ctx.reply();
    reply.array(1 + 2 * SUBCOMMANDS.len());
    reply.simple("DEBUG <subcommand> [<arg> [value] [opt] ...]. Subcommands are:");
    for subcommand in SUBCOMMANDS {
        reply.simple(format!("{} {}", subcommand.name, subcommand.syntax).trim_end());
        reply.simple(&format!("    {}", subcommand.about));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_sorted_and_unique() {
        assert!(SUBCOMMANDS.is_sorted_by(|a, b| a.name < b.name));
        assert!(MEANINGLESS.is_sorted_by(|a, b| a.0 < b.0));
        assert!(MEANINGLESS.iter().all(|(name, _)| SUBCOMMANDS.iter().all(|s| s.name != *name)));
    }
}
