//! INFO: what there is to know about the instance, in sections.
//!
//! A section is a heading and a function that writes lines; [`SECTIONS`] is the list, in Redis's order. Names and
//! order of the fields are Redis 8.0's, because monitoring matches on them. A field about something that this server
//! does not have says what is true of a server without it (`role:master`, `aof_enabled:0`). What is known in another
//! room is written by that room (`SaveStatus::rdb_fields`).
//!
//! | file | sections |
//! | --- | --- |
//! | `mod.rs` | which sections a request means |
//! | `server.rs` | server, clients, threads, replication, cpu, modules, cluster, kvstash |
//! | `memory.rs` | memory |
//! | `stats.rs` | persistence, stats, debug |
//! | `commands.rs` | commandstats, errorstats, latencystats, keyspace, keysizes |

mod commands;
mod memory;
mod server;
mod stats;

use std::fmt::{Display, Write};

use crate::client::Client;
use crate::exec::ctx::{AdminCtx, Host};
use crate::exec::error::CommandResult;
use crate::exec::instance::Instance;
use crate::exec::memory::MemoryReport;
use crate::exec::spec::{ArgSpec, Arity, Categories, CommandSpec, Flags, Group, Handler};
use crate::resp::Args;

pub(super) static INFO: CommandSpec = CommandSpec {
    name: "info",
    summary: "Reports the state of the server and its statistics.",
    group: Group::Server,
    arity: Arity::AtLeast(1),
    flags: Flags::LOADING.and(Flags::STALE),
    categories: Categories::DANGEROUS,
    args: &[ArgSpec::string("section").multiple().optional()],
    tips: &["nondeterministic_output", "request_policy:all_shards", "response_policy:special"],
    handler: Handler::Admin(info),
    ..CommandSpec::BASE
};

/// What the sections are written from.
struct Facts<'a> {
    inst: &'a Instance,
    /// The client that asks; it is not among `inst.clients` meanwhile.
    caller: &'a Client,
    host: &'a dyn Host,
    memory: &'a MemoryReport,
}

/// Writes one line.
type Line<'a> = &'a mut dyn FnMut(&str, &dyn Display);

/// When a section is shown without being asked for by its name.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Shown {
    /// Always.
    Default,
    /// Under `all` and `everything`.
    All,
    /// Never.
    OnlyByName,
}

struct Section {
    /// In lower case, as it is asked for.
    name: &'static str,
    heading: &'static str,
    shown: Shown,
    write: fn(&Facts<'_>, Line<'_>),
}

const fn section(heading: &'static str, name: &'static str, shown: Shown, write: fn(&Facts<'_>, Line<'_>)) -> Section {
    Section { name, heading, shown, write }
}

static SECTIONS: [Section; 18] = [
    section("Server", "server", Shown::Default, server::server),
    section("Clients", "clients", Shown::Default, server::clients),
    section("Memory", "memory", Shown::Default, memory::memory),
    section("Persistence", "persistence", Shown::Default, stats::persistence),
    section("Threads", "threads", Shown::Default, server::threads),
    section("Stats", "stats", Shown::Default, stats::stats),
    section("Replication", "replication", Shown::Default, server::replication),
    section("CPU", "cpu", Shown::Default, server::cpu),
    section("Modules", "modules", Shown::Default, server::modules),
    section("Commandstats", "commandstats", Shown::All, commands::commandstats),
    section("Errorstats", "errorstats", Shown::Default, commands::errorstats),
    section("Latencystats", "latencystats", Shown::All, commands::latencystats),
    section("Cluster", "cluster", Shown::Default, server::cluster),
    section("Keyspace", "keyspace", Shown::Default, commands::keyspace),
    section("Keysizes", "keysizes", Shown::Default, commands::keysizes),
    section("Kvstash", "kvstash", Shown::Default, server::kvstash),
    section("Debug", "debug", Shown::OnlyByName, stats::debug),
    // A name of its own in Redis, for what `all` leaves out there: lines of modules, which do not exist here.
    section("Modules", "module_list", Shown::OnlyByName, server::modules),
];

/// Whether a request with these arguments means this section.
fn is_wanted(section: &Section, args: Args<'_>) -> bool {
    if args.len() == 1 {
        return section.shown == Shown::Default;
    }
    args.iter().skip(1).any(|arg| match arg.to_ascii_lowercase().as_slice() {
        b"default" => section.shown == Shown::Default,
        b"all" | b"everything" => section.shown != Shown::OnlyByName,
        name => name == section.name.as_bytes(),
    })
}

fn info(ctx: &mut AdminCtx<'_>, args: Args<'_>) -> CommandResult {
    let memory = ctx.inst.memory_report(ctx.client.memory());
    let facts = Facts { inst: ctx.inst, caller: ctx.client, host: ctx.host, memory: &memory };
    let mut text = String::with_capacity(8 * 1024);
    for section in SECTIONS.iter().filter(|s| is_wanted(s, args)) {
        if !text.is_empty() {
            text.push_str("\r\n");
        }
        text.push_str("# ");
        text.push_str(section.heading);
        text.push_str("\r\n");
        (section.write)(&facts, &mut |name, value| {
            let written = write!(text, "{name}:{value}\r\n");
            written.expect("a String takes whatever is written to it");
        });
    }
    ctx.reply().verbatim("txt", text.as_bytes());
    Ok(())
}

/// A number of bytes as `_human` fields show it: `1.50M`.
struct Human(u64);

impl Display for Human {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        const UNITS: [(&str, u32); 5] = [("P", 50), ("T", 40), ("G", 30), ("M", 20), ("K", 10)];
        match UNITS.iter().find(|(_, bits)| self.0 >> bits > 0) {
            None => write!(f, "{}B", self.0),
            Some((unit, bits)) => write!(f, "{:.2}{unit}", self.0 as f64 / (1u64 << bits) as f64),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resp::OwnedArgs;

    fn wanted(line: &str) -> Vec<&'static str> {
        let args = OwnedArgs::from_parts(line.split(' '));
        SECTIONS.iter().filter(|s| is_wanted(s, args.view())).map(|s| s.name).collect()
    }

    #[test]
    fn sections_are_chosen_by_name_in_any_case_each_once() {
        assert_eq!(wanted("info CPU server Server"), ["server", "cpu"]);
        assert!(wanted("info nosuch").is_empty());
        assert!(!wanted("info").contains(&"commandstats"));
        assert_eq!(wanted("info default"), wanted("info"));
        assert!(wanted("info all").contains(&"latencystats"));
        assert!(!wanted("info everything").contains(&"debug"));
        assert_eq!(wanted("info debug"), ["debug"]);
    }

    #[test]
    fn sizes_for_people() {
        let sizes = [(0, "0B"), (1023, "1023B"), (1024, "1.00K"), (1_572_864, "1.50M"), (25_276_502_016, "23.54G")];
        for (bytes, text) in sizes {
            assert_eq!(Human(bytes).to_string(), text);
        }
    }
}
