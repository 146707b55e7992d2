//! Scripts and functions, as the instance knows them: which there are, who may run them, what becomes of what they do.
//!
//! What a script is, and how Lua runs it, is in [`crate::script`]; here is the other side of that: the commands that it
//! calls are run like those of a transaction, by the only way there is (`exec/call.rs`), for a session that stands for the
//! client that called. A run is one unit of the write stream.
//!
//! | file | what |
//! | --- | --- |
//! | `cache.rs` | scripts that EVAL and SCRIPT LOAD have brought |
//! | `eval.rs` | EVAL and its kin |
//! | `libraries.rs` | functions and their libraries |
//! | `load.rs` | FUNCTION LOAD, and libraries that come in files |
//! | `permission.rs` | what must hold before a script runs, and before each of its calls |
//! | `run.rs` | a run: what it asks of the server |
//! | `busy.rs` | a run that takes long: who may do what meanwhile, how it is stopped |

mod busy;
mod cache;
mod eval;
mod libraries;
mod load;
mod permission;
mod run;

pub use busy::Running;
pub use cache::{CachedScript, Digest, ScriptCache};
pub use eval::eval;
pub use libraries::{Function, Libraries, Library, fcall};
pub use load::Policy;

use crate::client::Session;
use crate::config::Config;
use crate::exec::instance::Instance;
use crate::script::{Engine, Kind, Retired};

/// Everything about scripts.
#[derive(Default)]
pub struct Scripts {
    /// What EVAL has brought.
    pub cache: ScriptCache,
    /// What FUNCTION LOAD has brought.
    pub libraries: Libraries,
    /// The states of Lua, from the first script and the first function on; one that runs something is not here.
    eval: Option<Box<Engine>>,
    functions: Option<Box<Engine>>,
    /// What they took when something was last run in them, bytes.
    eval_bytes: usize,
    functions_bytes: usize,
    /// The session that scripts run their commands with, between two runs.
    session: Option<Box<Session>>,
    /// When what runs just now began, wall clock, µs: to a script no time passes.
    pub began_us: Option<i64>,
    /// What runs for longer than others want to wait.
    pub running: Option<Running>,
}

impl Scripts {
    /// Takes a state of Lua, to run something in it; it has to be given back.
    fn take_engine(&mut self, kind: Kind, config: &Config) -> Box<Engine> {
        let (place, bytes) = match kind {
            Kind::Scripts => (&mut self.eval, &mut self.eval_bytes),
            Kind::Functions => (&mut self.functions, &mut self.functions_bytes),
        };
        if let Some(engine) = &place {
            *bytes = engine.memory();
        }
        place.take().unwrap_or_else(|| {
            let version = config.server.redis_version.to_lossy();
            let mut engine = Engine::new(kind, (&version, number_of(&version)));
            engine.limit_memory(usize::try_from(config.limits.lua_memory_limit).unwrap_or(0));
            Box::new(engine)
        })
    }

    fn give_back(&mut self, kind: Kind, engine: Box<Engine>) {
        match kind {
            Kind::Scripts => self.eval = Some(engine),
            Kind::Functions => self.functions = Some(engine),
        }
    }

    /// `lua-memory-limit` has changed.
    pub fn limit_memory(&mut self, bytes: u64) {
        for engine in [&mut self.eval, &mut self.functions].into_iter().flatten() {
            engine.limit_memory(usize::try_from(bytes).unwrap_or(0));
        }
    }

    /// Bytes of the states of Lua: of scripts, of functions.
    pub fn engine_memory(&self) -> (usize, usize) {
        let bytes = |engine: &Option<Box<Engine>>, last| engine.as_ref().map_or(last, |engine| engine.memory());
        (bytes(&self.eval, self.eval_bytes), bytes(&self.functions, self.functions_bytes))
    }

    /// Bytes of everything that scripts and functions take.
    pub fn memory(&self) -> usize {
        let (eval, functions) = self.engine_memory();
        eval + functions + self.cache.memory() + self.libraries.memory()
    }

    /// SCRIPT FLUSH: every script is forgotten, and the state of Lua with them. What is to be freed comes back.
    pub fn flush_scripts(&mut self) -> Option<Box<Engine>> {
        let evicted = self.cache.evicted;
        self.cache = ScriptCache::default();
        self.cache.evicted = evicted;
        self.eval_bytes = 0;
        self.eval.take()
    }

    /// FUNCTION FLUSH, in the same way.
    pub fn flush_functions(&mut self) -> Option<Box<Engine>> {
        self.libraries = Libraries::default();
        self.functions_bytes = 0;
        self.functions.take()
    }
}

/// A version as a number: `0xMMmmpp`.
fn number_of(version: &str) -> i64 {
    let mut parts = version.split('.').map(|part| part.parse().unwrap_or(0));
    let mut next = || parts.next().unwrap_or(0_i64);
    next() << 16 | next() << 8 | next()
}

impl Instance {
    /// A state of Lua is not needed any more, and with it so many scripts or functions.
    pub fn drop_engine(&mut self, engine: Option<Box<Engine>>, objects: usize, lazily: bool) {
        let Some(engine) = engine.filter(|_| lazily) else { return };
        let bytes = engine.memory() as u64;
        self.keyspace.free_other_elsewhere(Box::new(Retired::new(engine)), objects as u64 + 1, bytes);
    }

    /// All functions go.
    pub fn flush_functions(&mut self) {
        let count = self.scripts.libraries.functions();
        let engine = self.scripts.flush_functions();
        self.drop_engine(engine, count, true);
    }

    /// There are other functions than before: that is a change of the data set.
    pub fn functions_changed(&mut self) {
        self.keyspace.stats_mut().dirty += 1;
    }
}
