//! Start-up, in order. Each step says what it needs of the ones before.
//!
//! 1. The working directory, since all other paths are relative to it.
//! 2. The log, so that everything after can complain.
//! 3. Limits of the operating system, since they bound `maxclients`.
//! 4. The instance, the reactor; from here on a crash leaves a report.
//! 5. The listeners: who cannot listen need not load.
//! 6. The data set: from now on a step a turn, and `Ready to accept connections` when it is there.

use std::sync::Arc;

use super::busy_poll::BusyPoll;
use super::facts;
use super::outside::Outside;
use super::pool::BufferPool;
use super::{Server, shutdown};
use crate::commands;
use crate::config::{Config, Loaded};
use crate::db::Keyspace;
use crate::exec::configure;
use crate::exec::ctx::Host;
use crate::exec::instance::{Instance, Parts};
use crate::observe::keys;
use crate::observe::log::{self, Logger};
use crate::observe::metrics::Metrics;
use crate::persist::Saver;
use crate::reactor::Reactor;
use crate::sys::clock::Clock;
use crate::sys::disk::RealDisk;
use crate::sys::{clock, process, signals};
use crate::util::hash::HashSeed;
use crate::util::rng::Rng;

/// Runs a server until it is stopped; returns the exit code of the process.
pub fn run(loaded: Loaded) -> i32 {
    let dir = loaded.config.persistence.dir.as_path();
    if let Err(error) = std::env::set_current_dir(dir) {
        eprintln!("kvstash: can't chdir to '{}': {error}", dir.display());
        return 1;
    }
    let log = match open_log(&loaded.config) {
        Ok(log) => log,
        Err(error) => {
            eprintln!("kvstash: can't open the log file: {error}");
            return 1;
        }
    };
    match start(loaded, log.clone()) {
        Ok(server) => server.serve(),
        Err(why) => {
            log.log(log::Level::Warning, &why, &[]);
            log.warning("Fatal error, can't start.", &[]);
            1
        }
    }
}

fn open_log(config: &Config) -> std::io::Result<Logger> {
    let observability = &config.observability;
    Logger::new(log::Options {
        level: configure::level(config),
        format: configure::format(config),
        output: match observability.logfile.is_empty() {
            true => log::Output::Stdout,
            false => log::Output::File(observability.logfile.as_path().to_owned()),
        },
        role: log::Role::Primary,
        stamp,
    })
}

fn stamp() -> log::Stamp {
    let wall_ms = Clock::system().wall_ms();
    log::Stamp { wall_ms, utc_offset_seconds: clock::utc_offset_seconds(wall_ms) }
}

fn start(loaded: Loaded, log: Logger) -> Result<Server, String> {
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
    let mut reactor = Reactor::new().map_err(io("creating the event loop"))?;
    reactor.watch_signals(&shutdown::WATCHED).map_err(io("watching signals"))?;
    let mut outside = Outside::new(reactor, clock);
    if let Err(why) = outside.allow_clients(u64::from(config.limits.maxclients)) {
        log.warning("The limit of open files bounds maxclients", &[(keys::REASON, &why)]);
        config.limits.maxclients = (process::nofile().saturating_sub(32)).max(1) as u32;
    }
    let renames = config.renamed_commands.iter().map(|r| (r.from.as_str(), r.to.as_str()));
    let table = commands::table_with_renames(renames)?;
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
    listen(&mut outside, &inst)?;
    inst.tell_identity();
    inst.apply_at_start(&mut outside);
    facts::write_pidfile(&inst.config, &inst.log);
    inst.log.notice("Server initialized", &[(keys::CLOCK, &clock.describe())]);
    inst.stamp_ns = outside.now_ns();
    outside.observe(&inst.config, &inst.metrics, &inst.log)?;
    let mut server = Server {
        inst,
        outside,
        ready: Vec::new(),
        to_flush: Vec::new(),
        postponed: Vec::new(),
        batch: Default::default(),
        queries: BufferPool::default(),
        replies: BufferPool::default(),
        events: Vec::new(),
        busy_poll: BusyPoll::default(),
        next_cron_ns: 0,
        cron_slot: 0,
        shutdown: shutdown::Progress::default(),
        loading: None,
    };
    server.inst.note_startup_memory();
    server.begin_load()?;
    Ok(server)
}

/// Opens the listeners. The line that says which port it failed on makes tools try another one.
fn listen(outside: &mut Outside, inst: &Instance) -> Result<(), String> {
    outside.relisten(&inst.config).map_err(|why| {
        inst.log.log(log::Level::Warning, &format!("Warning: {why}"), &[]);
        format!("Failed listening on port {} (tcp), aborting.", inst.config.server.port)
    })
}
