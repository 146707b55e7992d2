//! INFO: what there is to know about the instance, in sections.
//!
//! A section is a heading and a list of rows; [`SECTIONS`] is the list, in Redis's order. A row is all there is to know
//! of one line, and of the series of `/metrics` that shows the same number. Lines that there are any number of (a
//! command's, a database's) are written by a function of the section. Names and order of the fields are Redis's,
//! because monitoring matches on them. A field about something that this server does not have says what is true of a
//! server without it (`role:master`, `aof_enabled:0`).
//!
//! | file | what |
//! | --- | --- |
//! | `mod.rs` | which sections a request means |
//! | `row.rs` | what a row is |
//! | `publish.rs` | the rows as series |
//! | `server.rs` | server, clients, threads, replication, cpu, cluster, kvstash |
//! | `memory.rs` | memory |
//! | `persistence.rs` | persistence |
//! | `stats.rs` | stats, debug |
//! | `commands.rs` | commandstats, errorstats, latencystats, keyspace, keysizes |

mod commands;
mod memory;
mod persistence;
mod publish;
mod replication;
mod row;
mod server;
mod stats;

use std::fmt::{Display, Write};

use crate::client::Client;
use crate::exec::aof::AofStatus;
use crate::exec::ctx::{AdminCtx, Host};
use crate::exec::error::CommandResult;
use crate::exec::instance::Instance;
use crate::exec::memory::MemoryReport;
use crate::exec::rates::PerSecond;
use crate::exec::spec::{ArgSpec, Arity, Categories, CommandSpec, Flags, Group, Handler};
use crate::persist::SaveStatus;
use crate::resp::Args;
use crate::sys::process::CpuTime;

pub use publish::{publish, rows, series};
pub use row::{Kind, Row, Value};

pub(super) static INFO: CommandSpec = CommandSpec {
    name: "info",
    summary: "Reports the state of the server and its statistics.",
    group: Group::Server,
    arity: Arity::AtLeast(1),
    flags: Flags::LOADING.or(Flags::STALE),
    categories: Categories::DANGEROUS,
    args: &[ArgSpec::string("section").multiple().optional()],
    tips: &["nondeterministic_output", "request_policy:all_shards", "response_policy:special"],
    handler: Handler::Admin(info),
    ..CommandSpec::BASE
};

/// What rows are computed from.
pub struct Facts<'a> {
    inst: &'a Instance,
    /// The client that asks; its session is not among `inst.clients` meanwhile.
    caller: Option<Client<'a>>,
    host: &'a dyn Host,
    memory: &'a MemoryReport,
    save: SaveStatus,
    aof: AofStatus,
    rates: PerSecond,
    cpu: CpuTime,
}

impl<'a> Facts<'a> {
    /// What is known now.
    pub fn new(
        inst: &'a Instance,
        caller: Option<Client<'a>>,
        host: &'a dyn Host,
        memory: &'a MemoryReport,
    ) -> Facts<'a> {
        let aof = inst.aof_status();
        let (save, rates, cpu) = (inst.save_status(), inst.stats.rates.mean(), host.process().cpu_time());
        Facts { inst, caller, host, memory, save, aof, rates, cpu }
    }

    /// Clients that watch, and what they watch.
    fn watching(&self) -> (usize, usize) {
        self.inst.keyspace.watch().totals()
    }

    /// Segments and slots of all tables.
    fn tables(&self) -> (usize, usize) {
        let keyspace = &self.inst.keyspace;
        let tables = (0..keyspace.databases()).map(|db| keyspace.table_stats(db));
        tables.fold((0, 0), |(segments, slots), table| (segments + table.segments, slots + table.slots))
    }
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
    rows: &'static [Row],
    /// Writes what there is any number of.
    more: fn(&Facts<'_>, Line<'_>),
}

/// A section of rows.
const fn section(heading: &'static str, name: &'static str, shown: Shown, rows: &'static [Row]) -> Section {
    Section { name, heading, shown, rows, more: |_, _| {} }
}

impl Section {
    const fn more(mut self, more: fn(&Facts<'_>, Line<'_>)) -> Section {
        self.more = more;
        self
    }
}

static SECTIONS: [Section; 18] = [
    section("Server", "server", Shown::Default, server::SERVER).more(server::listeners),
    section("Clients", "clients", Shown::Default, server::CLIENTS),
    section("Memory", "memory", Shown::Default, memory::MEMORY),
    section("Persistence", "persistence", Shown::Default, persistence::PERSISTENCE),
    section("Threads", "threads", Shown::Default, server::THREADS),
    section("Stats", "stats", Shown::Default, stats::STATS),
    section("Replication", "replication", Shown::Default, replication::REPLICATION).more(replication::replicas),
    section("CPU", "cpu", Shown::Default, server::CPU),
    section("Modules", "modules", Shown::Default, &[]),
    section("Commandstats", "commandstats", Shown::All, &[]).more(commands::commandstats),
    section("Errorstats", "errorstats", Shown::Default, &[]).more(commands::errorstats),
    section("Latencystats", "latencystats", Shown::All, &[]).more(commands::latencystats),
    section("Cluster", "cluster", Shown::Default, server::CLUSTER),
    section("Keyspace", "keyspace", Shown::Default, &[]).more(commands::keyspace),
    section("Keysizes", "keysizes", Shown::Default, &[]).more(commands::keysizes),
    section("Kvstash", "kvstash", Shown::Default, server::KVSTASH),
    section("Debug", "debug", Shown::OnlyByName, stats::DEBUG),
    // A name of its own in Redis, for what `all` leaves out there: lines of modules, which do not exist here.
    section("Modules", "module_list", Shown::OnlyByName, &[]),
];

/// Whether a request with these arguments means this section.
fn is_asked_for(section: &Section, args: Args<'_>) -> bool {
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
    let memory = ctx.inst.memory_report(ctx.host, Some(ctx.session));
    let facts = Facts::new(ctx.inst, ctx.caller(), ctx.host, &memory);
    let mut text = String::with_capacity(8 * 1024);
    for section in SECTIONS.iter().filter(|s| is_asked_for(s, args)) {
        if !text.is_empty() {
            text.push_str("\r\n");
        }
        text.push_str("# ");
        text.push_str(section.heading);
        text.push_str("\r\n");
        let mut line = |name: &str, value: &dyn Display| {
            let written = write!(text, "{name}:{value}\r\n");
            written.expect("a String takes whatever is written to it");
        };
        section.rows.iter().for_each(|row| row.write(&facts, &mut line));
        (section.more)(&facts, &mut line);
    }
    ctx.reply().verbatim("txt", text.as_bytes());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resp::OwnedArgs;

    fn wanted(line: &str) -> Vec<&'static str> {
        let args = OwnedArgs::from_parts(line.split(' '));
        SECTIONS.iter().filter(|s| is_asked_for(s, args.view())).map(|s| s.name).collect()
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
}
