//! MEMORY: where memory goes, and what may be wrong with it.
//!
//! The figures are [`MemoryReport`]'s; names and order of MEMORY STATS are Redis 8.0's. What Redis counts of parts
//! that this server does not have (scripts, replication buffers) is 0.

use crate::exec::ctx::{AdminCtx, DataCtx};
use crate::exec::error::{self, CommandError, CommandResult};
use crate::exec::memory::{MemoryReport, percent};
use crate::exec::spec::{Access, ArgSpec, Arity, CommandSpec, Flags, Group, Handler, KeySpec};
use crate::exec::{args, help};
use crate::resp::{Args, Reply};
use crate::sys::allocator;

pub(super) static MEMORY: CommandSpec = CommandSpec {
    name: "memory",
    summary: "Container of commands about memory.",
    complexity: "see the subcommands",
    since: "4.0.0",
    group: Group::Server,
    arity: Arity::AtLeast(2),
    subcommands: &[&MEMORY_DOCTOR, &MEMORY_HELP, &MEMORY_MALLOC_STATS, &MEMORY_PURGE, &MEMORY_STATS, &MEMORY_USAGE],
    ..CommandSpec::BASE
};

static MEMORY_DOCTOR: CommandSpec = CommandSpec {
    name: "doctor",
    summary: "Reports what looks wrong with memory.",
    since: "4.0.0",
    group: Group::Server,
    arity: Arity::Exactly(2),
    tips: &["nondeterministic_output", "request_policy:all_shards", "response_policy:special"],
    handler: Handler::Admin(memory_doctor),
    ..CommandSpec::BASE
};

static MEMORY_HELP: CommandSpec = CommandSpec {
    name: "help",
    summary: "Describes the MEMORY subcommands.",
    since: "4.0.0",
    group: Group::Server,
    arity: Arity::Exactly(2),
    flags: Flags::LOADING.or(Flags::STALE),
    handler: Handler::Admin(memory_help),
    ..CommandSpec::BASE
};

static MEMORY_MALLOC_STATS: CommandSpec = CommandSpec {
    name: "malloc-stats",
    summary: "Shows the allocator's own report.",
    since: "4.0.0",
    group: Group::Server,
    arity: Arity::Exactly(2),
    tips: &["nondeterministic_output", "request_policy:all_shards", "response_policy:special"],
    handler: Handler::Admin(memory_malloc_stats),
    ..CommandSpec::BASE
};

static MEMORY_PURGE: CommandSpec = CommandSpec {
    name: "purge",
    summary: "Asks the allocator to return free memory.",
    since: "4.0.0",
    group: Group::Server,
    arity: Arity::Exactly(2),
    tips: &["request_policy:all_shards", "response_policy:all_succeeded"],
    handler: Handler::Admin(memory_purge),
    ..CommandSpec::BASE
};

static MEMORY_STATS: CommandSpec = CommandSpec {
    name: "stats",
    summary: "Reports where memory goes.",
    since: "4.0.0",
    group: Group::Server,
    arity: Arity::Exactly(2),
    tips: &["nondeterministic_output", "request_policy:all_shards", "response_policy:special"],
    handler: Handler::Admin(memory_stats),
    ..CommandSpec::BASE
};

static MEMORY_USAGE: CommandSpec = CommandSpec {
    name: "usage",
    summary: "Estimates the memory that a key takes.",
    complexity: "O(N), N the samples",
    since: "4.0.0",
    group: Group::Server,
    arity: Arity::AtLeast(3),
    flags: Flags::READONLY,
    keys: &[KeySpec::at(2, Access::READ_ONLY)],
    args: &[ArgSpec::key("key"), ArgSpec::integer("count").token("SAMPLES").optional()],
    handler: Handler::Data(memory_usage),
    ..CommandSpec::BASE
};

fn memory_usage(ctx: &mut DataCtx<'_>, args: Args<'_>) -> CommandResult {
    samples(args)?;
    let key = ctx.key(args, 2);
    // Looking is no access.
    match ctx.db.peek(key).map(|entry| entry.memory_usage()) {
        Some(bytes) => ctx.reply.int(bytes as i64),
        None => ctx.reply.null(),
    }
    Ok(())
}

/// How many elements of a collection are to be looked at. A string has none.
fn samples(args: Args<'_>) -> Result<i64, CommandError> {
    const SAMPLES_DEFAULT: i64 = 5;
    let mut samples = SAMPLES_DEFAULT;
    let mut options = args.iter().skip(3);
    while let Some(word) = options.next() {
        let (true, Some(count)) = (word.eq_ignore_ascii_case(b"samples"), options.next()) else {
            return Err(error::SYNTAX);
        };
        samples = args::int(count)?;
        if samples < 0 {
            return Err(error::SYNTAX);
        }
    }
    Ok(samples)
}

fn memory_stats(ctx: &mut AdminCtx<'_>, _args: Args<'_>) -> CommandResult {
    let report = ctx.inst.memory_report(ctx.host, Some(ctx.session));
    let reply = ctx.reply();
    // Lines before, between and after the databases.
    reply.map(12 + report.dbs.len() + 21);
    let mut int = |name: &str, value: u64| pair(reply, name, value);
    int("peak.allocated", report.peak);
    int("total.allocated", report.used);
    int("startup.allocated", report.startup);
    int("replication.backlog", report.stream.backlog);
    int("replica.fullsync.buffer", 0);
    int("clients.slaves", report.stream.beyond);
    int("clients.normal", report.clients);
    int("cluster.links", 0);
    int("aof.buffer", report.aof);
    int("lua.caches", report.scripts);
    int("functions.caches", report.functions);
    int("script.VMs", report.engines);
    for db in &report.dbs {
        reply.bulk(format!("db.{}", db.index).as_bytes());
        reply.map(2);
        pair(reply, "overhead.hashtable.main", db.table as u64);
        pair(reply, "overhead.hashtable.expires", db.expiries as u64);
    }
    totals(reply, &report);
    Ok(())
}

/// The part of MEMORY STATS that comes after the databases.
fn totals(reply: &mut Reply, report: &MemoryReport) {
    let tables: usize = report.dbs.iter().map(|db| db.table).sum();
    pair(reply, "overhead.db.hashtable.lut", tables as u64);
    // Tables grow segment by segment: there are never two of one.
    pair(reply, "overhead.db.hashtable.rehashing", 0);
    pair(reply, "overhead.total", report.overhead);
    pair(reply, "db.dict.rehashing.count", 0);
    pair(reply, "keys.count", report.keys);
    pair(reply, "keys.bytes-per-key", report.bytes_per_key());
    pair(reply, "dataset.bytes", report.dataset());
    double(reply, "dataset.percentage", report.dataset_percent());
    double(reply, "peak.percentage", percent(report.used, report.peak));
    pair(reply, "allocator.allocated", report.allocator.allocated);
    pair(reply, "allocator.active", report.allocator.active);
    pair(reply, "allocator.resident", report.allocator.resident);
    pair(reply, "allocator.muzzy", 0);
    for (ratio, bytes, share) in [
        ("allocator-fragmentation.ratio", "allocator-fragmentation.bytes", report.allocator_fragmentation()),
        ("allocator-rss.ratio", "allocator-rss.bytes", report.allocator_rss()),
        ("rss-overhead.ratio", "rss-overhead.bytes", report.rss_overhead()),
        ("fragmentation", "fragmentation.bytes", report.fragmentation()),
    ] {
        double(reply, ratio, share.ratio);
        reply.bulk(bytes.as_bytes());
        reply.int(share.bytes);
    }
}

fn pair(reply: &mut Reply, name: &str, value: u64) {
    reply.bulk(name.as_bytes());
    reply.int(value as i64);
}

fn double(reply: &mut Reply, name: &str, value: f64) {
    reply.bulk(name.as_bytes());
    reply.double(value);
}

fn memory_doctor(ctx: &mut AdminCtx<'_>, _args: Args<'_>) -> CommandResult {
    let report = ctx.inst.memory_report(ctx.host, Some(ctx.session));
    let text = diagnosis(&report, ctx.inst.clients.len() as u64);
    ctx.reply().verbatim("txt", text.as_bytes());
    Ok(())
}

/// Less than this is too little to say anything about: a few pages more or less look like much.
const JUDGED_BYTES_MIN: u64 = 5 << 20;

/// What is unusual about a memory report, in sentences.
fn diagnosis(report: &MemoryReport, clients: u64) -> String {
    if report.used < JUDGED_BYTES_MIN {
        return "The instance holds too little data to judge its memory. Ask again when there is more in it.\n"
            .to_owned();
    }
    let mut found = Vec::new();
    if report.peak as f64 > report.used as f64 * 1.5 {
        found.push(format!(
            "Peak: at some time {} bytes were allocated, now it is {}. Resident memory that looks too large may be \
             left from then; MEMORY PURGE gives unused pages back.",
            report.peak, report.used
        ));
    }
    let mut wasteful = |what: &str, share: crate::exec::memory::Share, advice: &str| {
        if share.ratio > 1.4 && share.bytes > (10 << 20) {
            found.push(format!("{what}: {:.2} times, {} bytes more than needed. {advice}", share.ratio, share.bytes));
        }
    };
    wasteful(
        "Allocator fragmentation",
        report.allocator_fragmentation(),
        "Pages are held by few values each. Values of changing size do this; reloading the data set packs them.",
    );
    wasteful(
        "Allocator overhead",
        report.allocator_rss(),
        "The allocator keeps freed pages. They are used again; MEMORY PURGE gives them back now.",
    );
    wasteful(
        "Process overhead",
        report.rss_overhead(),
        "Resident memory does not come from the allocator: buffers of the kernel, or mapped files.",
    );
    let per_client = report.clients.checked_div(clients).unwrap_or(0);
    if per_client > 200 << 10 {
        found.push(format!(
            "Client buffers: {per_client} bytes for each client on average. Some may not read their replies, or send \
             huge requests: look at omem and qbuf in CLIENT LIST."
        ));
    }
    match found.is_empty() {
        true => "Memory looks fine.\n".to_owned(),
        false => found.into_iter().map(|text| format!("* {text}\n")).collect(),
    }
}

fn memory_purge(ctx: &mut AdminCtx<'_>, _args: Args<'_>) -> CommandResult {
    allocator::purge().map_err(|_| CommandError::fixed("ERR Error purging dirty pages"))?;
    ctx.reply().ok();
    Ok(())
}

fn memory_malloc_stats(ctx: &mut AdminCtx<'_>, _args: Args<'_>) -> CommandResult {
    let text = allocator::report();
    ctx.reply().verbatim("txt", text.as_bytes());
    Ok(())
}

fn memory_help(ctx: &mut AdminCtx<'_>, _args: Args<'_>) -> CommandResult {
    help::reply(ctx.reply(), &MEMORY);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exec::memory::DbMemory;
    use crate::resp::OwnedArgs;
    use crate::sys::allocator::MemoryStats;

    fn report(used: u64, resident: u64) -> MemoryReport {
        let allocator = MemoryStats { allocated: used, active: used, resident, ..MemoryStats::default() };
        let dbs = vec![DbMemory { index: 0, table: 100, expiries: 10 }];
        MemoryReport {
            allocator,
            used,
            shared: 0,
            peak: used,
            peak_s: 0,
            startup: 0,
            rss: resident,
            clients: 1000,
            stream: Default::default(),
            scripts: 0,
            functions: 0,
            engines: 0,
            aof: 0,
            dbs,
            overhead: 110,
            keys: 1,
        }
    }

    #[test]
    fn the_doctor_names_what_is_unusual() {
        assert!(diagnosis(&report(1000, 1000), 1).contains("too little"));
        assert_eq!(diagnosis(&report(100 << 20, 110 << 20), 1), "Memory looks fine.\n");
        let text = diagnosis(&report(100 << 20, 300 << 20), 1);
        assert!(text.starts_with("* Allocator overhead: 3.00 times") && text.lines().count() == 1, "{text}");
        let greedy = MemoryReport { clients: 300 << 20, peak: 200 << 20, ..report(100 << 20, 100 << 20) };
        let text = diagnosis(&greedy, 10);
        assert!(text.contains("Peak") && text.contains("Client buffers"), "{text}");
    }

    #[test]
    fn samples_are_a_count() {
        let parse = |line: &str| samples(OwnedArgs::from_parts(line.split(' ')).view());
        assert_eq!(parse("memory usage k"), Ok(5));
        assert_eq!(parse("memory usage k SAMPLES 3 samples 0"), Ok(0));
        for bad in ["memory usage k samples", "memory usage k sample 1", "memory usage k samples -1"] {
            assert_eq!(parse(bad), Err(error::SYNTAX), "{bad}");
        }
        assert_eq!(parse("memory usage k samples x"), Err(error::NOT_INTEGER));
    }
}
