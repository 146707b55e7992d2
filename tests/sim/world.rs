//! An instance, and clients that speak to it without sockets, as the server's batches do it.

use std::env;
use std::ops::Range;
use std::sync::{Arc, LazyLock};

use kvstash::client::{Attention, Endpoint};
use kvstash::commands;
use kvstash::config;
use kvstash::db::Keyspace;
use kvstash::exec::call::{self, Outcome};
use kvstash::exec::ctx::Host;
use kvstash::exec::instance::{Instance, Parts};
use kvstash::exec::table::CommandTable;
use kvstash::observe::log::Logger;
use kvstash::observe::metrics::Metrics;
use kvstash::persist::Saver;
use kvstash::reactor::ConnId;
use kvstash::resp::OwnedArgs;
use kvstash::sys::disk::RealDisk;
use kvstash::util::hash::HashSeed;
use kvstash::util::rng::Rng;

use crate::host::SimHost;

static TABLE: LazyLock<&'static CommandTable> = LazyLock::new(commands::table);

pub struct World {
    pub inst: Instance,
    pub host: SimHost,
}

impl World {
    /// An empty instance; its clients have the ids 1 to `clients`.
    pub fn new(seed: u64, clients: u32) -> World {
        let host = SimHost::new();
        let table = *TABLE;
        let names: Vec<&'static str> = table.by_ids().map(|command| command.full_name.as_str()).collect();
        let invocation = config::argv::split(&[]);
        let loaded = config::load::load(&invocation, [], || Ok(Vec::new())).expect("the defaults are valid");
        let mut inst = Instance::new(Parts {
            keyspace: Keyspace::new(2, HashSeed::fixed(seed), Instance::keyspace_options(&loaded.config)),
            config: loaded.config,
            sources: loaded.sources,
            table,
            saver: Saver::new(Arc::new(RealDisk), host.now_ms()),
            metrics: Arc::new(Metrics::new(commands::info::series(), 2, &names)),
            log: Logger::silent(),
            rng: Rng::from_seed(seed),
            now_ms: host.now_ms(),
        });
        for index in 0..clients {
            inst.clients.add(ConnId { index, generation: 1 }, Endpoint::default(), 0);
        }
        World { inst, host }
    }

    /// Client `id` sends a request, which must be one that runs at once or blocks.
    pub fn say(&mut self, id: u32, words: &[String]) {
        let outcome = self.ask(id, &OwnedArgs::from_parts(words));
        assert_ne!(outcome, Outcome::Postponed, "nothing is paused here");
    }

    /// Client `id` sends a request. One that is postponed is forgotten.
    pub fn ask(&mut self, id: u32, args: &OwnedArgs) -> Outcome {
        let mut session = self.inst.clients.take(id - 1).expect("a client");
        assert!(!session.attention.has(Attention::HELD), "a blocked client does not speak");
        let found = self.inst.table.lookup(args.view());
        let outcome = call::request(&mut self.inst, &mut session, &mut self.host, found, args.view(), None);
        self.inst.clients.put_back(session);
        self.inst.deliver(None);
        outcome
    }

    /// What client `id` was sent since this was last asked.
    pub fn received(&mut self, id: u32) -> String {
        let out = &mut self.inst.clients.at_mut(id - 1).expect("a client").session.reply.out;
        let text = String::from_utf8(out.to_vec()).expect("the simulation's values are text");
        out.clear();
        text
    }

    pub fn is_blocked(&self, id: u32) -> bool {
        self.inst.clients.at(id - 1).expect("a client").session.attention.has(Attention::BLOCKED)
    }

    /// The beginning of a turn: time has passed.
    pub fn pass(&mut self, ms: i64) {
        self.host.pass(ms);
        self.inst.now_ms = self.host.now_ms();
        self.inst.stamp_ns = self.host.now_ns();
    }

    /// Before sleep: what is due happens.
    pub fn settle(&mut self) {
        self.inst.expire_due(|| true);
        self.inst.serve_waits(&mut self.host);
        self.inst.asks.clear();
    }
}

/// The seeds of a test: as many as usual, or as the environment says.
pub fn seeds(usual: u64) -> Range<u64> {
    let number = |name: &str| env::var(name).ok().map(|text| text.parse().expect("SIM_SEED and SIM_SEEDS are numbers"));
    match number("SIM_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("SIM_SEEDS").unwrap_or(usual),
    }
}
