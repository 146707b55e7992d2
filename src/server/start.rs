//! Start-up, in order. Each step says what it needs of the ones before.
//!
//! 1. The names of commands: the last thing that can be wrong with the configuration alone.
//! 2. The working directory, since all other paths are relative to it.
//! 3. The log, so that everything after can complain.
//! 4. Limits of the operating system, since they bound `maxclients`.
//! 5. The instance, the reactor; from here on a crash leaves a report.
//! 6. The listeners: who cannot listen need not load.
//! 7. What killed processes left beside the data set goes; then the data set: from now on a step a turn, and `Ready to
//!    accept connections` when it is there.
//!
//! What cannot be done as configured is reported with the place in the configuration that asks for it.

use std::sync::Arc;

use super::facts;
use super::host::{RESERVED_DESCRIPTORS, UNIX_SOCKET_FAILED};
use super::{Server, shutdown};
use crate::commands;
use crate::config::{Config, Loaded, Place, Sources};
use crate::db::Keyspace;
use crate::exec::configure;
use crate::exec::ctx::Host;
use crate::exec::instance::{Instance, Parts};
use crate::exec::table::CommandTable;
use crate::observe::keys;
use crate::observe::log::{self, Logger};
use crate::observe::metrics::Metrics;
use crate::persist::Saver;
use crate::reactor::Reactor;
use crate::sys::clock::Clock;
use crate::sys::disk::RealDisk;
use crate::sys::{clock, files, process, signals};
use crate::util::hash::HashSeed;
use crate::util::rng::Rng;

/// Runs a server until it is stopped; returns the exit code of the process.
pub fn run(loaded: Loaded) -> i32 {
    let prepared = name_commands(&loaded).and_then(|table| {
        enter_directory(&loaded)?;
        Ok((table, open_log(&loaded)?))
    });
    let (table, log) = match prepared {
        Ok(prepared) => prepared,
        Err(report) => {
            eprint!("{report}");
            return 1;
        }
    };
    match start(loaded, table, log.clone()) {
        Ok((server, inst)) => server.serve(inst),
        Err(why) => {
            log.log(log::Level::Warning, &why, &[]);
            log.warning("Fatal error, can't start.", &[]);
            1
        }
    }
}

/// What standard error is told about a parameter that cannot be followed.
fn report(loaded: &Loaded, place: Option<&Place>, why: &str) -> String {
    let speaks = loaded.config.server.redis_version.to_lossy();
    match place {
        Some(place) => place.error(why).report(&speaks),
        None => format!("kvstash: {why}\n"),
    }
}

fn name_commands(loaded: &Loaded) -> Result<&'static CommandTable, String> {
    let renames = loaded.config.renamed_commands.iter().map(|r| (&r.from[..], &r.to[..]));
    commands::table_with_renames(renames)
        .map_err(|bad| report(loaded, loaded.sources.place_of_rename(bad.index), bad.why))
}

fn enter_directory(loaded: &Loaded) -> Result<(), String> {
    let dir = loaded.config.persistence.dir.as_path();
    std::env::set_current_dir(dir).map_err(|error| {
        let why = format!("Can't chdir to '{}': {error}", dir.display());
        report(loaded, loaded.sources.place_of("dir"), &why)
    })
}

fn open_log(loaded: &Loaded) -> Result<Logger, String> {
    let config = &loaded.config;
    let observability = &config.observability;
    let log = Logger::new(log::Options {
        level: configure::level(config),
        format: configure::format(config),
        output: match observability.logfile.is_empty() {
            true => log::Output::Stdout,
            false => log::Output::File(observability.logfile.as_path().to_owned()),
        },
        role: log::Role::Primary,
        stamp,
        open: files::append,
    });
    log.map_err(|error| {
        report(loaded, loaded.sources.place_of("logfile"), &format!("Can't open the log file: {error}"))
    })
}

/// A complaint, with the place that asks for what cannot be done.
fn placed(why: String, sources: &Sources, name: &str) -> String {
    match sources.place_of(name) {
        Some(place) => format!("{why} ({name}: {place})"),
        None => why,
    }
}

fn stamp() -> log::Stamp {
    let wall_ms = Clock::system().wall_ms();
    log::Stamp { wall_ms, utc_offset_seconds: clock::utc_offset_seconds(wall_ms) }
}

fn start(loaded: Loaded, table: &'static CommandTable, log: Logger) -> Result<(Server, Instance), String> {
    let Loaded { mut config, sources } = loaded;
    let clock = Clock::system();
    log.notice(
        "oO0OoO0OoO0Oo kvstash is starting oO0OoO0OoO0Oo",
        &[(keys::VERSION, &env!("CARGO_PKG_VERSION")), (keys::PID, &process::pid())],
    );
    let io = |what: &str| {
        let what = what.to_owned();
        move |error: std::io::Error| format!("{what}: {error}")
    };
    signals::ignore_broken_pipes().map_err(io("ignoring SIGPIPE"))?;
    bound_clients(&mut config, &log)?;
    let mut reactor = Reactor::new().map_err(io("creating the event loop"))?;
    reactor.watch_signals(&shutdown::WATCHED).map_err(io("watching signals"))?;
    let mut server = Server::new(reactor, clock);
    let names: Vec<&'static str> = table.by_ids().map(|c| c.full_name.as_str()).collect();
    let metrics = Arc::new(Metrics::new(commands::info::series(), config.storage.databases as usize, &names));
    let rng = Rng::from_os();
    let seed = HashSeed::random();
    let keyspace = Keyspace::new(config.storage.databases as usize, seed, Instance::keyspace_options(&config));
    let now_ms = clock.wall_ms();
    let saver = Saver::new(Arc::new(RealDisk), now_ms);
    let parts = Parts { keyspace, config, sources, table, saver, metrics, log, rng, now_ms };
    let mut inst = Instance::new(parts);
    facts::report_crashes(&inst.log, &inst.metrics).map_err(io("preparing crash reports"))?;
    facts::greet(&inst.config, &inst.log);
    facts::warn_of_system(&inst.config, &inst.log);
    listen(&mut server, &inst)?;
    inst.tell_identity(&server);
    inst.apply_at_start(&mut server);
    facts::write_pidfile(&inst.config, &inst.sources, &inst.log);
    inst.log.notice("Server initialized", &[(keys::CLOCK, &clock.describe())]);
    inst.stamp_ns = server.now_ns();
    let observed = server.observe(&inst.config, &inst.metrics, &inst.log);
    observed.map_err(|why| placed(why, &inst.sources, "http-listen"))?;
    inst.note_startup_memory();
    facts::remove_leftovers(&inst.log);
    server.begin_load(&mut inst)?;
    Ok((server, inst))
}

/// Makes room for `maxclients` connections, or for as many as the system lets us. As Redis does, with its words: a limit
/// that leaves no descriptor for a client is no limit to start with.
fn bound_clients(config: &mut Config, log: &Logger) -> Result<(), String> {
    let wanted = u64::from(config.limits.maxclients) + RESERVED_DESCRIPTORS;
    let (allowed, refused) = match process::raise_nofile(wanted) {
        Ok(allowed) => (allowed, None),
        Err(error) => (process::nofile(), Some(error)),
    };
    if allowed >= wanted {
        return Ok(());
    }
    if allowed <= RESERVED_DESCRIPTORS {
        return Err(format!(
            "Your current 'ulimit -n' of {allowed} is not enough for the server to start. Please increase your open \
             file limit to at least {wanted}. Exiting."
        ));
    }
    let (asked, most) = (config.limits.maxclients, u32::try_from(allowed - RESERVED_DESCRIPTORS));
    config.limits.maxclients = most.expect("less than what was asked for, which is 32 bits");
    for text in [
        format!("You requested maxclients of {asked} requiring at least {wanted} max file descriptors."),
        format!(
            "Server can't set maximum open files to {wanted} because of OS error: {}.",
            refused.map_or_else(|| "Operation not permitted".to_owned(), |error| error.to_string())
        ),
        format!(
            "Current maximum open files is {allowed}. maxclients has been reduced to {} to compensate for low ulimit. \
             If you need higher maxclients increase 'ulimit -n'.",
            config.limits.maxclients
        ),
    ] {
        log.log(log::Level::Warning, &text, &[]);
    }
    Ok(())
}

/// Opens the listeners. The line that says which port it failed on makes tools try another one.
fn listen(server: &mut Server, inst: &Instance) -> Result<(), String> {
    server.relisten(&inst.config).map_err(|why| {
        if why.starts_with(UNIX_SOCKET_FAILED) {
            return placed(why, &inst.sources, "unixsocket");
        }
        let why = placed(placed(format!("Warning: {why}"), &inst.sources, "bind"), &inst.sources, "port");
        inst.log.log(log::Level::Warning, &why, &[]);
        format!("Failed listening on port {} (tcp), aborting.", inst.config.server.port)
    })
}
