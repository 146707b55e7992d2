//! The world in memory: what an instance asks of it is answered from numbers.

use std::cell::{Cell, RefCell};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use kvstash::config::Config;
use kvstash::exec::call;
use kvstash::exec::ctx::Host;
use kvstash::exec::instance::Instance;
use kvstash::exec::link::{Link, LinkId};
use kvstash::exec::long_read::ReadJob;
use kvstash::observe::log::Logger;
use kvstash::observe::metrics::Metrics;
use kvstash::persist::{Received, SaveOutcome};
use kvstash::resp::OwnedArgs;
use kvstash::sys::process::{CpuTime, Process};

/// When the simulation begins, ms since 1970.
pub const BEGIN_MS: i64 = 1_700_000_000_000;

/// A clock that only the simulation moves.
pub struct SimHost {
    /// Since the beginning.
    elapsed_ms: Cell<i64>,
    /// Every look at the clock takes a millisecond.
    pub hurries: Cell<bool>,
    /// What a client says when a command lets others have a turn.
    pub within: Option<(u32, OwnedArgs)>,
    /// Long reads that nobody has done yet.
    pub reads: Vec<ReadJob>,
    /// What was last set by `oom-score-adj`.
    pub oom_score: Cell<i32>,
    /// What was last set by `dir`.
    pub directory: RefCell<PathBuf>,
    /// Conversations that nobody has begun yet.
    pub links: Vec<Box<dyn Link>>,
    /// How many were ever opened: their numbers count from 1.
    pub opened: u64,
    /// Conversations that the instance wants woken, and that it wants to hear no more of.
    pub woken: Vec<LinkId>,
    pub dropped: Vec<LinkId>,
    /// Copies for replicas that were made.
    pub copied: (Sender<SaveOutcome>, Receiver<SaveOutcome>),
}

impl SimHost {
    pub fn new() -> SimHost {
        SimHost {
            elapsed_ms: Cell::new(0),
            hurries: Cell::new(false),
            within: None,
            reads: Vec::new(),
            oom_score: Cell::new(0),
            directory: RefCell::default(),
            links: Vec::new(),
            opened: 0,
            woken: Vec::new(),
            dropped: Vec::new(),
            copied: channel(),
        }
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

    fn process(&self) -> &dyn Process {
        self
    }

    fn now_ns(&self) -> u64 {
        if self.hurries.get() {
            self.pass(1);
        }
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
        let copied = self.copied.0.clone();
        Box::new(move |outcome| copied.send(outcome).expect("the world is there"))
    }

    fn when_copy_grows(&self) -> Box<dyn Fn() + Send + Sync> {
        Box::new(|| ())
    }

    fn when_spilled(&self) -> Box<dyn Fn(kvstash::stream::SpillReport) + Send> {
        Box::new(drop)
    }

    fn when_received(&self) -> Box<dyn Fn(Received) + Send> {
        Box::new(drop)
    }

    fn when_rewritten(&self) -> Box<dyn FnOnce(SaveOutcome) + Send> {
        Box::new(drop)
    }

    fn start_aof_thread(&self) -> std::io::Result<kvstash::persist::aof::AofThread> {
        Err(std::io::ErrorKind::Unsupported.into())
    }

    fn when_freed(&self, _client: u64) -> Box<dyn FnOnce() + Send> {
        Box::new(|| ())
    }

    fn read_elsewhere(&mut self, job: ReadJob) {
        self.reads.push(job);
    }

    fn open_link(&mut self, link: Box<dyn Link>) -> LinkId {
        self.links.push(link);
        self.opened += 1;
        LinkId(self.opened)
    }

    fn wake_link(&mut self, id: LinkId) {
        self.woken.push(id);
    }

    fn drop_link(&mut self, id: LinkId) {
        self.dropped.push(id);
    }

    fn drive_link(&mut self, _link: &mut dyn Link) {}

    fn sleep(&self, duration: Duration) {
        self.pass(duration.as_millis() as i64);
    }

    fn serve_others(&mut self, inst: &mut Instance) {
        let Some((id, args)) = self.within.take() else { return };
        let unit = inst.keyspace.set_unit_aside();
        let mut session = inst.clients.take(id - 1).expect("a client");
        let found = inst.table.lookup(args.view());
        call::request(inst, &mut session, self, found, args.view(), None);
        inst.clients.put_back(session);
        inst.keyspace.take_unit_back(unit);
    }

    fn allow_clients(&mut self, _maxclients: u64) -> Result<(), String> {
        Ok(())
    }
}

/// A process of round numbers.
impl Process for SimHost {
    fn pid(&self) -> u32 {
        4242
    }

    fn executable(&self) -> String {
        "/simulated/kvstash".to_owned()
    }

    fn os(&self) -> String {
        "Simulation 1.0 none".to_owned()
    }

    fn machine_memory_bytes(&self) -> u64 {
        1 << 34
    }

    fn rss_bytes(&self) -> u64 {
        1 << 24
    }

    fn cpu_time(&self) -> CpuTime {
        CpuTime { user_us: self.elapsed_ms.get() as u64, ..CpuTime::default() }
    }

    fn oom_score(&self) -> io::Result<i32> {
        Ok(self.oom_score.get())
    }

    fn set_oom_score(&self, score: i32) -> io::Result<()> {
        self.oom_score.set(score);
        Ok(())
    }

    fn enter_directory(&self, directory: &Path) -> io::Result<()> {
        self.directory.replace(directory.to_owned());
        Ok(())
    }
}
