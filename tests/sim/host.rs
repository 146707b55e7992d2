//! The world in memory: what an instance asks of it is answered from numbers.

use std::cell::Cell;
use std::sync::Arc;
use std::time::Duration;

use kvstash::config::Config;
use kvstash::exec::ctx::Host;
use kvstash::exec::instance::Instance;
use kvstash::exec::link::Link;
use kvstash::exec::long_read::ReadJob;
use kvstash::observe::log::Logger;
use kvstash::observe::metrics::Metrics;
use kvstash::persist::SaveOutcome;

/// When the simulation begins, ms since 1970.
pub const BEGIN_MS: i64 = 1_700_000_000_000;

/// A clock that only the simulation moves.
pub struct SimHost {
    /// Since the beginning.
    elapsed_ms: Cell<i64>,
    /// Long reads that nobody has done yet.
    pub reads: Vec<ReadJob>,
    /// Conversations that nobody has begun yet.
    pub links: Vec<Box<dyn Link>>,
}

impl SimHost {
    pub fn new() -> SimHost {
        SimHost { elapsed_ms: Cell::new(0), reads: Vec::new(), links: Vec::new() }
    }

    /// Lets time pass.
    pub fn pass(&self, ms: i64) {
        self.elapsed_ms.set(self.elapsed_ms.get() + ms);
    }

    /// Wall clock, ms since 1970.
    pub fn now_ms(&self) -> i64 {
        BEGIN_MS + self.elapsed_ms.get()
    }
}

impl Host for SimHost {
    fn relisten(&mut self, _config: &Config) -> Result<(), String> {
        Ok(())
    }

    fn observe(&mut self, _config: &Config, _metrics: &Arc<Metrics>, _log: &Logger) -> Result<(), String> {
        Ok(())
    }

    fn now_ns(&self) -> u64 {
        self.elapsed_ms.get() as u64 * 1_000_000
    }

    fn wall_us(&self) -> i64 {
        self.now_ms() * 1000
    }

    fn clock_name(&self) -> String {
        "simulated".to_owned()
    }

    fn when_saved(&self) -> Box<dyn FnOnce(SaveOutcome) + Send> {
        Box::new(drop)
    }

    fn when_copied(&self) -> Box<dyn FnOnce(SaveOutcome) + Send> {
        Box::new(drop)
    }

    fn when_freed(&self, _client: u64) -> Box<dyn FnOnce() + Send> {
        Box::new(|| ())
    }

    fn read_elsewhere(&mut self, job: ReadJob) {
        self.reads.push(job);
    }

    fn open_link(&mut self, link: Box<dyn Link>) {
        self.links.push(link);
    }

    fn drive_link(&mut self, _link: &mut dyn Link) {}

    fn sleep(&self, duration: Duration) {
        self.pass(duration.as_millis() as i64);
    }

    fn serve_others(&mut self, _inst: &mut Instance) {}

    fn allow_clients(&mut self, _maxclients: u64) -> Result<(), String> {
        Ok(())
    }
}
