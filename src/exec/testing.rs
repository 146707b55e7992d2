//! An instance for unit tests, with commands of the test's own.

use std::sync::Arc;

use crate::config;
use crate::db::Keyspace;
use crate::exec::instance::{Instance, Parts};
use crate::exec::table::CommandTable;
use crate::observe::log::Logger;
use crate::observe::metrics::{Metrics, Series};
use crate::persist::Saver;
use crate::sys::disk::RealDisk;
use crate::util::hash::HashSeed;
use crate::util::rng::Rng;

/// An empty instance with two databases, without clients; `series` are what its cron publishes.
pub(crate) fn instance(table: &'static CommandTable, series: Vec<Series>) -> Instance {
    let names: Vec<&'static str> = table.by_ids().map(|c| c.full_name.as_str()).collect();
    let invocation = config::argv::split(&[]);
    let loaded = config::load::load(&invocation, [], || Ok(Vec::new())).expect("nothing to refuse");
    let config = loaded.config;
    Instance::new(Parts {
        keyspace: Keyspace::new(2, HashSeed::fixed(7), Instance::keyspace_options(&config)),
        config,
        sources: loaded.sources,
        table,
        saver: Saver::new(Arc::new(RealDisk), 0),
        metrics: Arc::new(Metrics::new(series, 2, &names)),
        log: Logger::silent(),
        rng: Rng::from_seed(7),
        now_ms: 1_700_000_000_000,
    })
}
