//! LATENCY: what was slow, and how the durations of commands are distributed.
//!
//! The monitor of slow events is [`crate::observe::latency`]; the histograms are those of the commands' statistics.

use crate::exec::ctx::AdminCtx;
use crate::exec::error::{CommandError, CommandResult};
use crate::exec::help;
use crate::exec::spec::{ArgSpec, Arity, CommandSpec, Flags, Group, Handler};
use crate::exec::table::{Command, CommandTable};
use crate::observe::metrics::{CommandStats, Histogram};
use crate::resp::{Args, Reply};

pub(super) static LATENCY: CommandSpec = CommandSpec {
    name: "latency",
    summary: "Container of commands about latency.",
    complexity: "see the subcommands",
    since: "2.8.13",
    group: Group::Server,
    arity: Arity::AtLeast(2),
    subcommands: &[
        &LATENCY_DOCTOR,
        &LATENCY_GRAPH,
        &LATENCY_HELP,
        &LATENCY_HISTOGRAM,
        &LATENCY_HISTORY,
        &LATENCY_LATEST,
        &LATENCY_RESET,
    ],
    ..CommandSpec::BASE
};

static LATENCY_DOCTOR: CommandSpec = CommandSpec {
    name: "doctor",
    summary: "Explains the recorded spikes.",
    since: "2.8.13",
    group: Group::Server,
    arity: Arity::Exactly(2),
    flags: Flags::ADMIN.or(Flags::NOSCRIPT).or(Flags::LOADING).or(Flags::STALE),
    tips: &["nondeterministic_output", "request_policy:all_nodes", "response_policy:special"],
    handler: Handler::Admin(latency_doctor),
    ..CommandSpec::BASE
};

static LATENCY_GRAPH: CommandSpec = CommandSpec {
    name: "graph",
    summary: "Draws the recorded spikes of an event.",
    since: "2.8.13",
    group: Group::Server,
    arity: Arity::Exactly(3),
    flags: Flags::ADMIN.or(Flags::NOSCRIPT).or(Flags::LOADING).or(Flags::STALE),
    args: &[ArgSpec::string("event")],
    tips: &["nondeterministic_output", "request_policy:all_nodes", "response_policy:special"],
    handler: Handler::Admin(latency_graph),
    ..CommandSpec::BASE
};

static LATENCY_HELP: CommandSpec = CommandSpec {
    name: "help",
    summary: "Describes the LATENCY subcommands.",
    since: "2.8.13",
    group: Group::Server,
    arity: Arity::Exactly(2),
    flags: Flags::LOADING.or(Flags::STALE),
    handler: Handler::Admin(latency_help),
    ..CommandSpec::BASE
};

static LATENCY_HISTOGRAM: CommandSpec = CommandSpec {
    name: "histogram",
    summary: "Returns how the durations of commands are distributed.",
    complexity: "O(N), N the commands",
    since: "7.0.0",
    group: Group::Server,
    arity: Arity::AtLeast(2),
    flags: Flags::ADMIN.or(Flags::NOSCRIPT).or(Flags::LOADING).or(Flags::STALE),
    args: &[ArgSpec::string("command").multiple().optional()],
    tips: &["nondeterministic_output", "request_policy:all_nodes", "response_policy:special"],
    handler: Handler::Admin(latency_histogram),
    ..CommandSpec::BASE
};

static LATENCY_HISTORY: CommandSpec = CommandSpec {
    name: "history",
    summary: "Returns the recorded spikes of an event.",
    since: "2.8.13",
    group: Group::Server,
    arity: Arity::Exactly(3),
    flags: Flags::ADMIN.or(Flags::NOSCRIPT).or(Flags::LOADING).or(Flags::STALE),
    args: &[ArgSpec::string("event")],
    tips: &["nondeterministic_output", "request_policy:all_nodes", "response_policy:special"],
    handler: Handler::Admin(latency_history),
    ..CommandSpec::BASE
};

static LATENCY_LATEST: CommandSpec = CommandSpec {
    name: "latest",
    summary: "Returns the latest spike of each event.",
    since: "2.8.13",
    group: Group::Server,
    arity: Arity::Exactly(2),
    flags: Flags::ADMIN.or(Flags::NOSCRIPT).or(Flags::LOADING).or(Flags::STALE),
    tips: &["nondeterministic_output", "request_policy:all_nodes", "response_policy:special"],
    handler: Handler::Admin(latency_latest),
    ..CommandSpec::BASE
};

static LATENCY_RESET: CommandSpec = CommandSpec {
    name: "reset",
    summary: "Forgets the recorded spikes.",
    since: "2.8.13",
    group: Group::Server,
    arity: Arity::AtLeast(2),
    flags: Flags::ADMIN.or(Flags::NOSCRIPT).or(Flags::LOADING).or(Flags::STALE),
    args: &[ArgSpec::string("event").multiple().optional()],
    tips: &["request_policy:all_nodes", "response_policy:agg_sum"],
    handler: Handler::Admin(latency_reset),
    ..CommandSpec::BASE
};

fn latency_latest(ctx: &mut AdminCtx<'_>, _args: Args<'_>) -> CommandResult {
    let reply = &mut ctx.session.reply;
    let events = ctx.inst.latency.events();
    reply.array(events.len());
    for (name, history) in events {
        let latest = history.latest();
        reply.array(4);
        reply.bulk(name.as_bytes());
        reply.int(latest.at_seconds);
        reply.int(latest.ms as i64);
        reply.int(history.worst_ms() as i64);
    }
    Ok(())
}

fn latency_history(ctx: &mut AdminCtx<'_>, args: Args<'_>) -> CommandResult {
    let reply = &mut ctx.session.reply;
    let event = String::from_utf8_lossy(&args[2]);
    let Some(history) = ctx.inst.latency.history(&event) else {
        reply.array(0);
        return Ok(());
    };
    reply.array(history.samples().len());
    for sample in history.samples() {
        reply.array(2);
        reply.int(sample.at_seconds);
        reply.int(sample.ms as i64);
    }
    Ok(())
}

fn latency_graph(ctx: &mut AdminCtx<'_>, args: Args<'_>) -> CommandResult {
    let event = String::from_utf8_lossy(&args[2]);
    let Some(history) = ctx.inst.latency.history(&event) else {
        return Err(CommandError::quoting("ERR No samples available for event '", &args[2], "'"));
    };
    let text = history.graph(&event, ctx.inst.now_ms / 1000);
    ctx.reply().verbatim("txt", text.as_bytes());
    Ok(())
}

fn latency_doctor(ctx: &mut AdminCtx<'_>, _args: Args<'_>) -> CommandResult {
    let threshold_ms = ctx.inst.config.observability.latency_monitor_threshold as u64;
    let text = ctx.inst.latency.doctor(threshold_ms, ctx.inst.now_ms / 1000);
    ctx.reply().verbatim("txt", text.as_bytes());
    Ok(())
}

fn latency_reset(ctx: &mut AdminCtx<'_>, args: Args<'_>) -> CommandResult {
    let latency = &mut ctx.inst.latency;
    let events = if args.len() == 2 {
        latency.reset_all()
    } else {
        args.iter().skip(2).filter(|event| latency.reset(&String::from_utf8_lossy(event))).count()
    };
    ctx.reply().int(events as i64);
    Ok(())
}

fn latency_histogram(ctx: &mut AdminCtx<'_>, args: Args<'_>) -> CommandResult {
    let metrics = &ctx.inst.metrics;
    let stats = |command: &Command| &metrics.commands[usize::from(command.id)];
    let mut shown = asked_for(ctx.inst.table, args);
    shown.retain(|command| stats(command).histogram.count() > 0);
    let reply = &mut ctx.session.reply;
    reply.map(shown.len());
    for command in shown {
        reply.bulk(command.full_name.as_bytes());
        distribution(reply, stats(command));
    }
    Ok(())
}

/// The commands that a request names, or all. A container stands for its subcommands; names of no command are
/// passed over.
fn asked_for<'t>(table: &'t CommandTable, args: Args<'_>) -> Vec<&'t Command> {
    if args.len() == 2 {
        return table.all().collect();
    }
    let named = args.iter().skip(2).filter_map(|name| table.by_full_name(name));
    named.flat_map(|command| std::iter::once(command).chain(&command.subcommands)).collect()
}

/// How many calls there were, and how many took at most so many microseconds, for every power of two that made a
/// difference.
fn distribution(reply: &mut Reply, stats: &CommandStats) {
    reply.map(2);
    reply.bulk(b"calls");
    let counts = stats.histogram.counts();
    reply.int(counts.iter().sum::<u64>() as i64);
    reply.bulk(b"histogram_usec");
    reply.map(counts.iter().filter(|count| **count > 0).count());
    let mut within = 0;
    for (i, count) in counts.iter().enumerate().filter(|(_, count)| **count > 0) {
        within += count;
        reply.int(Histogram::bound_us(i) as i64);
        reply.int(within as i64);
    }
}

fn latency_help(ctx: &mut AdminCtx<'_>, _args: Args<'_>) -> CommandResult {
    help::reply(ctx.reply(), &LATENCY);
    Ok(())
}
